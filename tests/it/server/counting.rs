//! Parallel calls for one visitor or one person lose no realisation, whichever connection and core they arrive at.

use std::net::SocketAddr;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use pinion::config::file::Runtime;

use super::partner::{Act, Partner, json};
use super::{Connection, Options, Server};

const CONFIG: &str = include_str!("counting.toml");
const UUID: &str = "12345678901234567890123456789012345678";
const CLIENTS: usize = 50;
const CALLS: usize = 1_000;
/// Requests sent before their answers are read: few enough to fit the sockets' buffers.
const PIPELINED: usize = 100;

on_each_runtime!(
    fifty_clients_with_a_thousand_calls_each_count_fifty_thousand,
    what_persons_do_on_many_devices_adds_up,
    a_trait_that_call_and_partner_name_counts_once,
);

fn a_trait_that_call_and_partner_name_counts_once(runtime: Runtime) {
    const TWICE: &str = "\n[[segment]]\nid = 109\nname = \"twice\"\naccount = \"shop\"\n\
                         expression = \"FREQUENCY([2T]) >= 2\"\n";
    let partner = Partner::start(Act::Answer(
        std::time::Duration::ZERO,
        json(r#"{"segment":[{"segment_id":"photo","ttl":86400}]}"#),
    ));
    let config = include_str!("smoke.toml").replace("\n[[partner]]", &format!("{TWICE}\n[[partner]]"));
    let options = Options { partners: vec![partner.address], connections_max: 64, ..Options::on(runtime) };
    let server = Server::start(&config, options);
    let mut client = Connection::to(server.address);
    let mut visit = || {
        let target = format!("/event?d_uuid={UUID}&d_rtbd=json&d_cts=2&d_sid=2");
        let reply = client.get("shop.example.net", &target, "");
        (reply.ids("segments"), reply.ids("traits"))
    };
    assert_eq!(visit(), (vec![101], vec![2]), "named by the call and by the partner: once");
    assert_eq!(visit(), (vec![101, 109], vec![2]), "named by the call alone");
    assert_eq!(partner.requests(), 1);
    drop(client);
    server.assert_quiet();
}

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

/// Forty devices at home on either core, each used by all of four persons at home on either core.
fn what_persons_do_on_many_devices_adds_up(runtime: Runtime) {
    const DEVICES: usize = 40;
    const PERSONS: usize = 4;
    loop {
        let day = today();
        let server = Server::start(CONFIG, Options { shards: 2, ..Options::on(runtime) });
        let address = server.address;
        thread::scope(|scope| {
            for device in 0..DEVICES {
                scope.spawn(move || {
                    let calls: Vec<String> = (0..50 * PERSONS).map(|i| signed_in(device, i % PERSONS, true)).collect();
                    call_each(address, &calls);
                });
            }
        });
        let all = (DEVICES * 50 * PERSONS) as u64;
        server.wait_until("all is counted", |server| server.total(|totals| totals.traits_realised.value()) == all);
        // A call that did not wait long enough has not been told what its person's profile says, but it counts there.
        let segments_of = |person| {
            let reply = || {
                let mut client = server.connect();
                client.send(signed_in(100, person, false).as_bytes());
                client.receive()
            };
            let told = std::iter::repeat_with(reply).take(100).find(|reply| reply.header("X-Error").is_none());
            told.expect("a call that is not late").ids("segments")
        };
        let found: Vec<Vec<u64>> = (0..PERSONS).map(segments_of).collect();
        if today() != day {
            continue;
        }
        assert_eq!(found, vec![vec![200]; PERSONS], "2,000 each, no more and no less");
        assert_eq!(server.total(|totals| totals.traits_realised.value()), all);
        assert_eq!(server.total(|totals| totals.persons_new.value()), PERSONS as u64);
        assert_eq!(server.total(|totals| totals.person_traits_kept.value() + totals.overloaded.value()), 0);
        server.assert_quiet();
        return;
    }
}

/// A call on a device by the person signed in there.
fn signed_in(device: usize, person: usize, realises: bool) -> String {
    let signal = if realises { "&c_product=camera" } else { "" };
    format!(
        "GET /event?d_rtbd=json&d_cts=2&d_uuid={:019}{device:019}&d_cid=20%01p{person}%011{signal} HTTP/1.1\r\n\
         Host: club.example.net\r\n\r\n",
        7
    )
}

/// Makes these calls over one connection.
fn call_each(address: SocketAddr, calls: &[String]) {
    let mut client = Connection::to(address);
    for batch in calls.chunks(PIPELINED) {
        client.send(batch.concat().as_bytes());
        for _ in batch {
            assert_eq!(client.receive().status, 200);
        }
    }
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
