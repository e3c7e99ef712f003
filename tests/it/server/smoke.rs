//! The main job, once: a visitor's call, a partner asked meanwhile, its segment in the same answer.

use std::time::{Duration, Instant};

use pinion::config::file::Runtime;
use pinion::reactor::uring::{FEATURES, Without};

use super::partner::{Act, Partner, json};
use super::{Options, Server, alone};

pub const CONFIG: &str = include_str!("smoke.toml");

on_each_runtime!(a_partner_that_is_asked_during_the_call_gives_its_segment_to_the_answer);

/// Of three rounds one must pass: a machine that is busy with something else can make any partner late.
fn a_partner_that_is_asked_during_the_call_gives_its_segment_to_the_answer(runtime: Runtime) {
    main_job(runtime, "");
}

/// The paths that are there to be measured.
#[test]
fn the_main_runtime_can_do_without_what_makes_it_fast() {
    for features in FEATURES {
        main_job(Runtime::Uring, features);
    }
    main_job(Runtime::Uring, &FEATURES.join(","));
}

fn main_job(runtime: Runtime, without: &str) {
    let without: Without = without.parse().expect("features have their names");
    let _alone = alone();
    assert!((0..3).any(|_| is_answered_in_time(runtime, without)), "never answered in time");
}

/// Whether the partner's answer came in time. All else must be right in any case.
fn is_answered_in_time(runtime: Runtime, without: Without) -> bool {
    let partner = Partner::start(Act::Answer(
        Duration::from_millis(3),
        json(r#"{"segment":[{"segment_id":"photo","ttl":86400}]}"#),
    ));
    let server = Server::start(CONFIG, Options { without, partners: vec![partner.address], ..Options::on(runtime) });
    let mut client = server.connect();
    let start = Instant::now();
    let reply = client.get("shop.example.net", "/event?d_rtbd=json&d_cts=2&c_product=camera", "");
    let took = start.elapsed();
    assert_eq!(reply.status, 200, "{}", reply.head);
    let answer = reply.json();
    if server.partner(0).totals.timeouts.value() > 0 || took >= Duration::from_millis(55) {
        println!("answered after {took:?}");
        return false;
    }
    assert_eq!(answer["uuid"].as_str().map(str::len), Some(38), "{answer}");
    assert!(answer["dcs_region"].is_u64(), "{answer}");
    assert_eq!(reply.ids("traits"), [1, 2], "{answer}");
    assert_eq!(reply.ids("segments"), [100, 101], "{answer}");

    // The cookie names the visitor again, and what the partner said is remembered.
    let cookie = reply.header("Set-Cookie").expect("a new visitor gets a cookie").split(';').next().unwrap().to_owned();
    let again = client.get("shop.example.net", "/event?d_rtbd=json&d_cts=2", &format!("Cookie: {cookie}\r\n"));
    assert_eq!(again.json()["uuid"], answer["uuid"]);
    assert_eq!(again.ids("segments"), [100, 101]);
    assert_eq!(partner.requests(), 1);
    drop(client);
    server.assert_quiet();
    let latencies: Vec<(u64, u64)> = server.metrics()[0].latency.filled().collect();
    assert_eq!(latencies.iter().map(|(_, count)| count).sum::<u64>(), 2, "{latencies:?}");
    assert!(latencies.iter().any(|(ns, count)| *ns > 2_000_000 && *count == 1), "the one that waited: {latencies:?}");
    true
}
