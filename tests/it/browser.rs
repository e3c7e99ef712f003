//! The iframe and the tag in a headless Chromium: `tests/browser/run.mjs` holds the cases, this starts the server for
//! them. Needs node, a Chromium (or `CHROMIUM`, its path), and `npm ci` once in `tests/browser`.

use std::io::Write as _;
use std::process::Command;

use pinion::config::file::Runtime;

use crate::server::{Options, Server};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser");
const CONFIG: &str = include_str!("../browser/config.toml");
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

#[test]
fn browsers_do_as_the_protocol_says() {
    let chromium = match needs() {
        Ok(chromium) => chromium,
        Err(missing) => {
            let _ = writeln!(std::io::stderr(), "\nSKIPPED: nothing was tried in a browser: {missing}\n");
            return;
        }
    };
    let server = Server::start(CONFIG, Options::on(Runtime::Uring));
    let run = Command::new("node")
        .arg("run.mjs")
        .current_dir(FOLDER)
        .env("PINION", server.address.to_string())
        .env("CHROMIUM", chromium)
        .output()
        .expect("node was found");
    let (told, fault) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{told}\n{fault}");
    server.assert_quiet();
}

/// The browser's program, or what is missing.
fn needs() -> Result<String, String> {
    let is_there = |program: &str| Command::new(program).arg("--version").output().is_ok_and(|it| it.status.success());
    let browser = match std::env::var("CHROMIUM") {
        Ok(path) => Some(path).filter(|path| is_there(path)),
        Err(_) => NAMES.iter().find(|name| is_there(name)).and_then(|name| path_of(name)),
    };
    let chromium = browser.ok_or("no Chromium is installed")?;
    if !is_there("node") {
        return Err("node is not installed".to_owned());
    }
    if !std::path::Path::new(FOLDER).join("node_modules/playwright-core").exists() {
        return Err("run `npm ci` in tests/browser first".to_owned());
    }
    Ok(chromium)
}

/// Playwright takes no bare names.
fn path_of(name: &str) -> Option<String> {
    let folders = std::env::var_os("PATH")?;
    let paths = std::env::split_paths(&folders).map(|folder| folder.join(name));
    paths.filter(|path| path.is_file()).find_map(|path| path.into_os_string().into_string().ok())
}
