//! Parallel calls for one visitor lose no realisation, whichever connection and core they arrive at.

use std::net::SocketAddr;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use pinion::config::file::Runtime;

use super::{Connection, Options, Server};

const CONFIG: &str = include_str!("counting.toml");
const UUID: &str = "12345678901234567890123456789012345678";
const CLIENTS: usize = 50;
const CALLS: usize = 1_000;
/// Requests sent before their answers are read: few enough to fit the sockets' buffers.
const PIPELINED: usize = 100;

on_each_runtime!(fifty_clients_with_a_thousand_calls_each_count_fifty_thousand,);

fn fifty_clients_with_a_thousand_calls_each_count_fifty_thousand(runtime: Runtime) {
    // Counts are kept by day: a test that began before midnight begins again after it.
    loop {
        let day = today();
        let server = Server::start(CONFIG, Options { shards: 2, ..Options::on(runtime) });
        count(&server, || today() == day);
        server.assert_quiet();
        if today() == day {
            return;
        }
    }
}

fn count(server: &Server, same_day: impl Fn() -> bool) {
    let address = server.address;
    assert_eq!(segments(server), [0; 0]);
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(move || call(address, CALLS));
        }
    });
    assert_eq!(server.total(|totals| totals.traits_realised.value()), (CLIENTS * CALLS) as u64);
    assert_eq!(segments(server), [100], "50,000, no more and no less");
    let hops = server.total(|totals| totals.hops.value());
    println!("{hops} of {} calls came in on the other core", CLIENTS * CALLS);
    assert!(hops > 0, "clients were spread over both cores");
    assert_eq!(server.total(|totals| totals.visitors_new.value() + totals.overloaded.value()), 1, "one visitor");

    // Up to the largest count of a day, and past it.
    let rest = usize::from(u16::MAX) - CLIENTS * CALLS;
    thread::scope(|scope| {
        scope.spawn(move || call(address, rest / 2));
        scope.spawn(move || call(address, rest - rest / 2));
    });
    let saturated = || server.total(|totals| totals.counts_saturated.value());
    assert!(!same_day() || saturated() == 0);
    assert_eq!(segments(server), [100, 101, 102], "65,535");
    call(address, 10);
    assert!(!same_day() || saturated() == 10, "{}", saturated());
    assert!(!same_day() || segments(server) == [100, 101, 102], "it stays at 65,535");
}

/// Realises the trait so many times, over a connection of its own.
fn call(address: SocketAddr, times: usize) {
    let request = format!("GET /event?d_uuid={UUID}&c_product=camera HTTP/1.1\r\nHost: shop.example.net\r\n\r\n");
    let mut client = Connection::to(address);
    let mut left = times;
    while left > 0 {
        let batch = left.min(PIPELINED);
        client.send(request.repeat(batch).as_bytes());
        for _ in 0..batch {
            assert_eq!(client.receive().status, 200);
        }
        left -= batch;
    }
}

fn segments(server: &Server) -> Vec<u64> {
    let target = format!("/event?d_uuid={UUID}&d_rtbd=json&d_cts=2");
    server.connect().get("shop.example.net", &target, "").ids("segments")
}

fn today() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock past 1970").as_secs() / 86_400
}
