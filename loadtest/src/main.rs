//! The load generator, the partners that it plays, and the peers that it compares with.
#![allow(clippy::disallowed_macros, reason = "a command line talks to a person")]

mod peers;
#[allow(dead_code, reason = "the load generator starts partners of its own and checks what they said")]
mod simulator;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Offer load, play partners, run peers.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Simulate(simulator::command::Arguments),
    Peer(peers::command::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Simulate(arguments) => simulator::command::run(&arguments),
        Command::Peer(arguments) => peers::command::run(arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("loadtest: {fault}");
            ExitCode::FAILURE
        }
    }
}
