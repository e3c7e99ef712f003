//! What the main runtime alone promises: no system call that is not needed.

use std::thread;

use super::messages::{Ticker, deaf, ping_pong};
use super::{Config, URING, config, start};

#[test]
fn shards_that_sleep_are_woken_once_for_each_message() {
    let reports = ping_pong(URING, URING, 10_000, deaf);
    let wakes: u64 = reports.iter().map(|report| report.counters.wakes).sum();
    assert!(wakes > 0 && wakes <= 10_001, "{wakes}");
}

#[test]
fn shards_that_spin_need_not_be_woken() {
    let reports = ping_pong(URING, URING, 2_000, |id| {
        let cores = thread::available_parallelism().unwrap().get();
        let core = (cores > 1).then_some(usize::from(id.0));
        Config { core, spin_ns: 50_000_000, ..deaf(id) }
    });
    let wakes: u64 = reports.iter().map(|report| report.counters.wakes).sum();
    assert!(wakes < 500, "{wakes}");
}

#[test]
fn an_idle_loop_makes_one_system_call_for_each_turn() {
    let (_, report) = start(URING, config(), Ticker::default()).thread.join().unwrap();
    // One more at the end, and some leeway for what may interrupt a wait.
    assert!(report.counters.enters <= u64::from(Ticker::TURNS) + 3, "{}", report.counters.enters);
}
