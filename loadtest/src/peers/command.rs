//! `loadtest peer`: one peer on the command line, to be measured by whatever tool.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::matching::Matching;
use super::{Name, Setup, hyper, start, wait_for_signal};
use crate::bare::{Bare, Besides};

/// Run something to be measured against, until SIGINT or SIGTERM.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Which.
    name: Name,
    /// Where it answers; port 0: any that is free.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The core to which it is pinned.
    #[arg(long)]
    core: Option<usize>,
    /// Where the partner is that `nginx-lua`, `uring` and `glommio` ask.
    #[arg(long, value_name = "ADDRESS")]
    partner: Option<SocketAddr>,
    /// What `uring` and `glommio` serve, instead of the least that there is.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The program behind `uring` and `glommio`; without it, `pinion` beside this one.
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
}

/// # Errors
/// Why it can't, for a person.
pub fn run(arguments: Arguments) -> Result<(), String> {
    let Arguments { name, listen, core, partner, config, server } = arguments;
    if listen.port() != 0 && matches!(name, Name::Hyper | Name::Bare | Name::BareMatcher) {
        println!("{} answers on {listen}", name.as_str());
        let served = match name {
            Name::Hyper => hyper::serve(listen, core).map(|never| match never {}),
            Name::BareMatcher => {
                let matching = Matching::new()?;
                Bare::start(listen, core, Besides::Matches(matching.into())).and_then(Bare::serve)
            }
            _ => Bare::start(listen, core, Besides::Nothing).and_then(Bare::serve),
        };
        return served.map_err(|error| format!("{}: {error}", name.as_str()));
    }
    let setup = Setup { listen, core, partner, config, server, program: None };
    let peer = start(name, &setup).map_err(|absence| format!("{}: {absence}", name.as_str()))?;
    let announce = || println!("{} answers on {} (processes {:?})", name.as_str(), peer.address, peer.pids());
    wait_for_signal(announce).map_err(|error| error.to_string())?;
    if let Ok(worked) = peer.cpu_time() {
        println!("{} has worked for {:.3} s", name.as_str(), worked.as_secs_f64());
    }
    Ok(())
}
