//! The command line, and nothing else.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use pinion::config::file;
use pinion::control::{check, server};
use pinion::demo;
use pinion::reactor::uring::Without;

/// A real-time data collection server.
///
/// It collects signals from browsers, apps and servers, asks data partners about the visitor while the visitor waits,
/// and answers with the segments that the visitor is in.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT.
    ///
    /// SIGTERM and SIGINT let what is under way be answered, then end the process with code 0. SIGHUP reads the config
    /// file again: accounts, rules, partners and destinations change without a lost request; what `[server]` says
    /// about ports, cores and sizes stays until the next start.
    Serve {
        /// The config file; without one an embedded default serves on 127.0.0.1:8080.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// What moves the bytes; without it the config decides, or else what the kernel has.
        #[arg(long)]
        runtime: Option<Runtime>,
        /// What the main runtime does without, joined by commas: multishot, buffer-ring, defer-taskrun, fixed-files,
        /// ring-fd. Only to measure what each is worth.
        #[arg(long, value_name = "FEATURES", default_value = "", hide = true)]
        reactor_without: Without,
    },
    /// Check a config without serving.
    ///
    /// Prints every fault with its line, or, when there is none: the effective config, the memory that it takes, the
    /// highest rate of lookups at each partner, and the request that each partner would get. Ends with code 1 when the
    /// config can't be used.
    Check {
        /// The config file; without one the embedded default is checked.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Serve a shop to click through, with two toy partners.
    ///
    /// One partner answers at once, the other too late. The page shows signals, the partners' answers, traits and
    /// segments of every click. Nothing is kept.
    Demo {
        /// Where calls of /event are served; port 0: any that is free.
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
        listen: SocketAddr,
        /// Where the page is; port 0: any that is free.
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
        page: SocketAddr,
        /// Where /healthz, /readyz and /metrics are.
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
        admin: SocketAddr,
        /// What moves the bytes; without it, what the kernel has decides.
        #[arg(long)]
        runtime: Option<Runtime>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Runtime {
    /// The main one: Linux 6.1 or newer.
    Uring,
    /// The second one: Linux 5.10 or newer.
    Glommio,
}

impl From<Runtime> for file::Runtime {
    fn from(runtime: Runtime) -> file::Runtime {
        match runtime {
            Runtime::Uring => file::Runtime::Uring,
            Runtime::Glommio => file::Runtime::Glommio,
        }
    }
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Serve { config, runtime, reactor_without } => {
            let reactor = server::Reactor { runtime: runtime.map(Into::into), without: reactor_without };
            server::run(&server::Options::Serve { config }, reactor)
        }
        Command::Check { config } => check::run(config.as_deref()),
        Command::Demo { listen, page, admin, runtime } => {
            let addresses = demo::Addresses { data: listen, admin, page };
            let reactor = server::Reactor { runtime: runtime.map(Into::into), ..Default::default() };
            server::run(&server::Options::Demo(addresses), reactor)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
