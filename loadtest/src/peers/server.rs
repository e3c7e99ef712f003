//! Our own server as a peer, on either runtime: the same shard, the same job, so that only the runtimes differ.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use toml::{Table, Value};

use super::{Absence, Setup};

const CONFIG: &str = include_str!("../../peers/server.toml");
/// As many as the partner simulator has by default, by the same names.
const PARTNER_SEGMENTS: u32 = 1_000;

pub(super) fn command(runtime: &str, address: SocketAddr, setup: &Setup, folder: &Path) -> Result<Command, Absence> {
    let program = program(setup)?;
    let path = folder.join("server.toml");
    let config = config(address, setup, folder)?;
    std::fs::write(&path, config.to_string())?;
    let mut command = Command::new(program);
    command.arg("serve").arg("--config").arg(path).arg("--runtime").arg(runtime);
    Ok(command)
}

fn program(setup: &Setup) -> Result<PathBuf, Absence> {
    let beside = || Ok::<_, io::Error>(std::env::current_exe()?.with_file_name("pinion"));
    let program = setup.server.clone().map_or_else(beside, Ok)?;
    if program.exists() {
        return Ok(program);
    }
    Err(Absence::Missing { what: program.display().to_string(), remedy: "cargo build --release" })
}

/// The config with what only this run knows.
fn config(address: SocketAddr, setup: &Setup, folder: &Path) -> io::Result<Table> {
    let text = match (&setup.config, setup.partner) {
        (Some(path), _) => std::fs::read_to_string(path)?,
        (None, Some(partner)) => format!("{CONFIG}{}", partner_text(partner)),
        (None, None) => CONFIG.to_owned(),
    };
    let mut config: Table = text.parse().map_err(io::Error::other)?;
    let server = config.get_mut("server").and_then(Value::as_table_mut);
    let server = server.ok_or_else(|| io::Error::other("a config without [server]"))?;
    server.insert("listen".to_owned(), vec![address.to_string()].into());
    server.insert("admin".to_owned(), "127.0.0.1:0".into());
    server.insert("data_dir".to_owned(), folder.join("data").display().to_string().into());
    server.insert("shards".to_owned(), 1.into());
    if let Some(core) = setup.core {
        server.insert("cores".to_owned(), vec![core as i64].into());
    }
    Ok(config)
}

/// A partner, and for each of its segments a trait and a segment of ours, so that the answer shows what the partner
/// said. Its answers are good for no longer than the second they came in: for a lookup at every event, as the other
/// peers do it, each event must be another visitor's, or a second later.
fn partner_text(partner: SocketAddr) -> String {
    let mut text = format!(
        r#"
[[partner]]
id = 1
name = "simulator"
account = "peer"
data_source = 200
url = "http://partner.localhost/lookup"
addresses = ["{partner}"]
ttl_s = 0
negative_ttl_s = 0
"#
    );
    for number in 1..=PARTNER_SEGMENTS {
        let id = 1_000 + number;
        let entry = format!(
            r#"
[[trait]]
id = {id}
name = "s{number}"
data_source = 200
integration_code = "s{number}"

[[segment]]
id = {id}
name = "s{number}"
account = "peer"
expression = "{id}T"
"#
        );
        text.push_str(&entry);
    }
    text
}
