//! nginx, with the configs that are shipped under `peers/nginx/`.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Absence, Setup};

const EMPTY_GIF: &str = include_str!("../../peers/nginx/empty_gif.conf");
const LUA: &str = include_str!("../../peers/nginx/lua.conf");

const FILES_MAX: u64 = 65_536;
const PROGRAMS: [&str; 3] = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"];
const MODULE_FOLDERS: [&str; 3] = ["/usr/lib/nginx/modules", "/usr/share/nginx/modules", "/usr/lib64/nginx/modules"];

pub(super) fn empty_gif(address: SocketAddr, setup: &Setup, folder: &Path) -> Result<Command, Absence> {
    command(EMPTY_GIF, &[], address, setup, folder)
}

pub(super) fn lua(address: SocketAddr, setup: &Setup, folder: &Path) -> Result<Command, Absence> {
    let partner = setup.partner.ok_or_else(|| io::Error::other("nginx-lua needs a partner to ask"))?;
    let module = |folder: &&str| Path::new(folder).join("ngx_http_lua_module.so").exists();
    let modules = MODULE_FOLDERS.into_iter().find(module).ok_or_else(|| Absence::Missing {
        what: "nginx's lua module".to_owned(),
        remedy: "apt-get install nginx libnginx-mod-http-lua",
    })?;
    command(LUA, &[("@partner@", &partner.to_string()), ("@modules@", modules)], address, setup, folder)
}

fn command(
    config: &str,
    words: &[(&str, &str)],
    address: SocketAddr,
    setup: &Setup,
    folder: &Path,
) -> Result<Command, Absence> {
    let program = PROGRAMS.into_iter().find(|program| Path::new(program).exists());
    let program =
        program.ok_or_else(|| Absence::Missing { what: "nginx".to_owned(), remedy: "apt-get install nginx" })?;
    let path = write_config(config, words, address, setup.core, folder)?;
    let mut command = Command::new(program);
    command.arg("-p").arg(folder).arg("-e").arg("stderr").arg("-c").arg(path);
    Ok(command)
}

fn write_config(
    config: &str,
    words: &[(&str, &str)],
    address: SocketAddr,
    core: Option<usize>,
    folder: &Path,
) -> io::Result<PathBuf> {
    let affinity = core.map_or(String::new(), |core| format!("worker_cpu_affinity 1{};", "0".repeat(core)));
    let mut text = config
        .replace("@listen@", &address.to_string())
        .replace("@affinity@", &affinity)
        .replace("@files@", &files_max().to_string())
        .replace("@folder@", &folder.display().to_string());
    for (word, value) in words {
        text = text.replace(word, value);
    }
    let path = folder.join("nginx.conf");
    std::fs::write(&path, text)?;
    Ok(path)
}

/// As many open files as it may have and can need.
fn files_max() -> u64 {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let hard = line.and_then(|line| line.split_ascii_whitespace().nth(1)?.parse().ok());
    hard.unwrap_or(u64::MAX).min(FILES_MAX)
}
