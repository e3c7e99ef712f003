//! `loadtest simulate`: a partner on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::Profile;
use crate::peers::wait_for_signal;

/// Play a data partner until SIGINT or SIGTERM, then say what it was asked.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What the partner is like; without it, it knows everybody and answers at once.
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// Where it answers; port 0: any that is free.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The core to which its thread is pinned.
    #[arg(long)]
    core: Option<usize>,
}

/// # Errors
/// Why it can't, for a person.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    let profile = match &arguments.profile {
        None => Profile::default(),
        Some(path) => {
            let named = |error: String| format!("{}: {error}", path.display());
            let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
            Profile::from_toml(&text).map_err(named)?
        }
    };
    let simulator = super::start_at(&profile, arguments.listen, arguments.core).map_err(|error| error.to_string())?;
    let announce = || println!("partner {:?} answers on {}", profile.name, simulator.address);
    wait_for_signal(announce).map_err(|error| error.to_string())?;
    println!("partner {:?}: {}", profile.name, simulator.counts());
    Ok(())
}
