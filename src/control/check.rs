//! `pinion check`: is a config right, and what does it come to?

use std::path::Path;
use std::process::ExitCode;

use super::cores::Layout;
use super::server::ConfigText;
use super::{say, sizes};
use crate::config::check::report;
use crate::config::source::Source;
use crate::identity::Secret;

/// Prints all faults of a config, or all that follows from it.
pub fn run(config: Option<&Path>) -> ExitCode {
    let read = ConfigText::read(config).and_then(|text| Ok((text.load()?, text)));
    let (loaded, text) = match read {
        Ok(read) => read,
        Err(fault) => {
            say::warning(fault);
            return ExitCode::FAILURE;
        }
    };
    // Nothing that is shown hangs on the secret, and a check leaves no file behind.
    let (ruleset, file) = loaded.into_ruleset(&Secret::from_bytes([0; 32]), 1);
    let layout = Layout::of(&file.server);
    let numbers = match sizes::plan(&file, layout.shards()) {
        Ok(plan) => sizes::numbers(&plan),
        Err(fault) => {
            say::warning(fault);
            return ExitCode::FAILURE;
        }
    };
    sizes::warning(&numbers).into_iter().for_each(say::warning);
    say::news(format_args!("{} can be used: {layout}\n", text.name));
    say::news(report(&file, &Source::new(&text.name, &text.text), &ruleset, &numbers).trim_end());
    ExitCode::SUCCESS
}
