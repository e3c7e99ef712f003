//! The same cases on the paths that are there to be measured: each thing that the runtime can do without, and all at
//! once, must change its speed only.

use std::io::Read as _;

use pinion::reactor::uring::FEATURES;

use super::echo::Echo;
use super::runtimes::Uring;
use super::{accepting, bytes, calling, client, closing, config, echo_through, messages, start};

/// Everything that a connection can go through.
const CASES: &[fn(Uring)] = &[
    bytes::echoes_and_tells_the_peer,
    bytes::sends_more_than_the_sockets_hold,
    accepting::two_thousand_connections_leave_every_slot_free,
    accepting::a_full_table_lets_clients_wait,
    accepting::who_waits_is_taken_before_listening_ends,
    bytes::a_paused_connection_gets_little_and_loses_nothing,
    bytes::the_end_comes_after_the_bytes_before_it_even_when_paused,
    bytes::a_half_closed_client_still_gets_its_answer,
    bytes::a_reset_is_told_as_one,
    closing::closing_sends_the_answer_first_even_if_bytes_are_unread,
    closing::an_abort_resets,
    closing::an_abort_gives_a_stuck_buffer_back_before_it_closes,
    closing::a_runtime_may_end_with_everything_under_way,
    calling::connects_as_often_as_slots_allow,
    calling::a_refused_connection_is_told_and_closed,
    calling::a_connect_that_hangs_can_be_given_up,
    messages::control_gets_an_answer_each_time,
];

fn runtime(features: &str) -> Uring {
    Uring { without: features.parse().unwrap() }
}

fn hold_without(features: &str) {
    let runtime = runtime(features);
    CASES.iter().for_each(|case| case(runtime));
    if !runtime.without.buffer_ring {
        bytes::starving_connections_all_get_their_turn(runtime);
    }
    messages::ping_pong(runtime, runtime, 1_000, messages::deaf);
}

#[test]
fn multishot() {
    hold_without("multishot");
}

#[test]
fn the_buffer_ring() {
    hold_without("buffer-ring");
}

#[test]
fn deferred_work() {
    hold_without("defer-taskrun");
}

#[test]
fn direct_descriptors() {
    hold_without("fixed-files");
}

#[test]
fn the_registered_ring() {
    hold_without("ring-fd");
}

#[test]
fn everything() {
    hold_without(&FEATURES.join(","));
}

/// Sockets that are files of the process are closed with the runtime that had them.
#[test]
fn no_file_is_left_behind() {
    let running = start(runtime("fixed-files"), config(), Echo::default());
    let mut streams: Vec<_> = (0..8).map(|_| client(running.address)).collect();
    streams.iter_mut().for_each(|stream| assert_eq!(echo_through(stream, b"here"), b"here"));
    running.stop();
    for mut stream in streams {
        assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)), "the socket is still open");
    }
}
