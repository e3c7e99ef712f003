//! The same work, to be run under valgrind by perf/instructions.sh, which counts what happens within
//! `measured_work` and nothing else. Without valgrind it only shows that everything runs.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    unreachable_pub,
    reason = "the bans of clippy.toml are for what serves, not for what measures it"
)]

mod common;

use std::hint::black_box;

use common::{Run, Size, WORKS};

/// What is done once only, as filling caches, is not counted.
const WARM_UP: usize = 64;
const OPERATIONS: usize = 64;

/// `--names` prints what there is; `=NAME` chooses one; without arguments everything runs.
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let wanted = arguments.iter().find_map(|argument| argument.strip_prefix('='));
    let is_wanted = |name: &str| wanted.is_none_or(|wanted| name == wanted);
    for work in WORKS.iter().filter(|work| work.size == Size::Small && is_wanted(work.name)) {
        if arguments.iter().any(|argument| argument == "--names") {
            println!("{}", work.name);
            continue;
        }
        let mut run = (work.make)();
        (0..WARM_UP).for_each(|_| _ = black_box(run()));
        measured_work(&mut run);
        println!("{} {OPERATIONS}", work.name);
    }
}

#[inline(never)]
fn measured_work(run: &mut Run) {
    for _ in 0..OPERATIONS {
        black_box(run());
    }
}
