//! Wall time of each piece of work: `./x bench`, with words of names to choose some. What counts on a shared machine
//! is one against the other (the matcher against the naive one, 10k against 1m), not the figure itself.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    unreachable_pub,
    reason = "the bans of clippy.toml are for what serves, not for what measures it"
)]

mod common;

use std::time::Duration;

use common::{Run, Size, WORKS, Work};
use criterion::Criterion;

/// Enough to tell that what is done has changed.
const HASHED: usize = 256;

fn main() {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let size_max = match std::env::var_os("BENCH_HUGE") {
        _ if !is_bench => Size::Small,
        Some(_) => Size::Huge,
        None => Size::Large,
    };
    let mut criterion = Criterion::default()
        .sample_size(50)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    for work in WORKS.iter().filter(|work| work.size <= size_max) {
        measure(&mut criterion, work, if is_bench { HASHED } else { 1 });
    }
    criterion.final_summary();
}

fn measure(criterion: &mut Criterion, work: &Work, hashed: usize) {
    // Made only when it is asked for, and once.
    let mut made: Option<Run> = None;
    criterion.bench_function(work.name, |bencher| {
        let run = made.get_or_insert_with(|| {
            let mut run = (work.make)();
            let result = (0..hashed).fold(0u64, |hash, _| hash.wrapping_mul(31).wrapping_add(run()));
            println!("{}: results have the hash {result:016x}", work.name);
            run
        });
        bencher.iter(run);
    });
}
