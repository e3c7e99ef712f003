//! The load generator and partner simulator. Not built yet: this says so and fails, so that nobody takes its silence
//! for a passed test.
#![allow(clippy::disallowed_macros, reason = "a command line talks to a person")]

use std::process::ExitCode;

fn main() -> ExitCode {
    eprintln!(
        "loadtest does nothing yet. It will offer load to a server at a fixed rate, whatever the answers, play the \
         partners that the server asks, and hold the measured latencies against budgets."
    );
    ExitCode::FAILURE
}
