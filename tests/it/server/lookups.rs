//! When partners are asked and when not, and what becomes of their answers: late ones, shared ones, cached ones.

use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use pinion::config::file::Runtime;
use pinion::metrics::PartnerTotals;

use super::partner::{Act, Partner, json};
use super::{Connection, Options, Reply, Server};

const CONFIG: &str = include_str!("lookups.toml");
const HOST: &str = "shop.example.net";
const PHOTO: &str = r#"{"segment":[{"segment_id":"photo","ttl":86400}]}"#;
/// For tests that decide themselves when an answer comes.
const LONG_BUDGET: (&str, &str) = ("budget_ms = 30", "budget_ms = 9000");

fn at_once(body: &str) -> Act {
    Act::Answer(Duration::ZERO, json(body))
}

/// The config with more settings for its partner.
fn config(settings: &str) -> String {
    format!("{CONFIG}{settings}\n")
}

fn start(runtime: Runtime, config: &str, partner: &Partner) -> Server {
    Server::start(config, Options { partners: vec![partner.address], connections_max: 64, ..Options::on(runtime) })
}

fn visit(client: &mut Connection, visitor: u64) -> Reply {
    visit_with(client, visitor, "", "")
}

fn visit_with(client: &mut Connection, visitor: u64, parameters: &str, headers: &str) -> Reply {
    client.get(HOST, &format!("/event?d_uuid={visitor:038}&d_rtbd=json&d_cts=2{parameters}"), headers)
}

fn total(server: &Server, number: impl Fn(&PartnerTotals) -> u64) -> u64 {
    server.partner_total(0, number)
}

/// An answer that comes when the guard is dropped.
fn held(lock: &Arc<Mutex<()>>) -> (Act, MutexGuard<'_, ()>) {
    let guard = lock.lock().expect("no holder panics");
    (Act::Held(Arc::clone(lock), json(PHOTO)), guard)
}

on_each_runtime!(
    a_late_answer_enriches_the_next_call,
    an_answer_after_the_late_limit_is_lost,
    parallel_calls_of_one_visitor_share_one_lookup,
    who_joins_a_lookup_waits_until_its_own_deadline,
    a_background_partner_delays_nobody,
    a_call_that_waits_only_for_the_unknown_uses_what_is_stale,
    answers_are_cached_for_their_time,
    a_share_of_visitors_is_looked_up,
    what_keeps_a_partner_from_being_asked,
    a_partner_is_not_asked_when_too_little_time_is_left,
    time_spent_behind_another_request_is_not_given_twice,
    without_consent_nobody_hears_of_the_visitor,
    consent_reaches_partners_that_it_names_only,
    what_a_partner_said_before_is_not_used_without_consent,
    a_partner_that_asks_for_rest_gets_it,
    a_failing_partner_is_asked_less_and_comes_back,
    calls_wait_for_a_connection_or_do_without,
    a_call_is_repeated_though_others_wait,
    partners_hear_how_much_time_is_left_when_they_are_asked,
    what_a_partner_targets_is_signals_for_rules,
    many_signals_of_a_partner_are_evaluated_as_far_as_there_is_room,
);

fn a_late_answer_enriches_the_next_call(runtime: Runtime) {
    let lock = Arc::default();
    let (act, guard) = held(&lock);
    let partner = Partner::start(act);
    let server = start(runtime, &config("late_ms = 9000"), &partner);
    let mut client = server.connect();
    assert_eq!(visit(&mut client, 1).ids("segments"), [0; 0]);
    drop(guard);
    server.wait_until("the late answer", |server| total(server, |totals| totals.late.value()) == 1);
    let next = visit(&mut client, 1);
    assert_eq!((next.ids("segments"), next.ids("traits")), (vec![101], vec![2]));
    assert_eq!(partner.requests(), 1);
    assert_eq!(total(&server, |totals| totals.timeouts.value()), 1);
    assert_eq!(total(&server, |totals| totals.skipped_cache.value()), 1);
    drop(client);
    server.assert_quiet();
}

fn an_answer_after_the_late_limit_is_lost(runtime: Runtime) {
    let lock = Arc::default();
    let (act, guard) = held(&lock);
    let partner = Partner::start(act);
    let server = start(runtime, &config("late_ms = 20"), &partner);
    let mut client = server.connect();
    assert_eq!(visit(&mut client, 1).ids("segments"), [0; 0]);
    server.wait_until("the late limit", |server| server.gauge(|gauges| gauges.partner_connections.value()) == 0);
    partner.set(Act::Hang);
    drop(guard);
    assert_eq!(visit(&mut client, 1).ids("segments"), [0; 0]);
    assert_eq!(partner.requests(), 2, "the visitor is as unknown as before");
    assert_eq!(total(&server, |totals| totals.late.value() + totals.hits.value()), 0);
    drop(client);
    server.assert_quiet();
}

fn parallel_calls_of_one_visitor_share_one_lookup(runtime: Runtime) {
    const CALLS: u64 = 20;
    let lock = Arc::default();
    let (act, guard) = held(&lock);
    let partner = Partner::start(act);
    let config = CONFIG.replace(LONG_BUDGET.0, LONG_BUDGET.1) + "timeout_ms = 9000\n";
    let options = Options { shards: 2, partners: vec![partner.address], connections_max: 64, ..Options::on(runtime) };
    let server = Server::start(&config, options);
    let address = server.address;
    let calls: Vec<_> =
        (0..CALLS).map(|_| thread::spawn(move || visit(&mut Connection::to(address), 1).ids("segments"))).collect();
    server.wait_until("all calls joined", |server| total(server, |totals| totals.shared.value()) == CALLS - 1);
    drop(guard);
    for call in calls {
        assert_eq!(call.join().expect("the call is answered"), [101]);
    }
    assert_eq!(partner.requests(), 1);
    assert_eq!(total(&server, |totals| totals.calls.value()), 1);
    server.assert_quiet();
}

fn who_joins_a_lookup_waits_until_its_own_deadline(runtime: Runtime) {
    let lock = Arc::default();
    let (act, guard) = held(&lock);
    let partner = Partner::start(act);
    let config = config("timeout_ms = 9000\nlate_ms = 9000").replace(LONG_BUDGET.0, "budget_ms = 500");
    let server = start(runtime, &config, &partner);
    let mut first = server.connect();
    assert_eq!(visit(&mut first, 1).ids("segments"), [0; 0], "her time was over");
    let address = server.address;
    let second = thread::spawn(move || visit(&mut Connection::to(address), 1).ids("segments"));
    server.wait_until("the second call joined", |server| total(server, |totals| totals.shared.value()) == 1);
    drop(guard);
    assert_eq!(second.join().expect("the call is answered"), [101]);
    assert_eq!(partner.requests(), 1);
    let of = |number: fn(&PartnerTotals) -> u64| total(&server, number);
    assert_eq!((of(|totals| totals.timeouts.value()), of(|totals| totals.hits.value())), (1, 1));
    assert_eq!(of(|totals| totals.late.value()), 0, "somebody still waited");
    drop(first);
    server.assert_quiet();
}

fn a_background_partner_delays_nobody(runtime: Runtime) {
    let lock = Arc::default();
    let (act, guard) = held(&lock);
    let partner = Partner::start(act);
    let config = config("mode = \"background\"\ntimeout_ms = 9000").replace(LONG_BUDGET.0, LONG_BUDGET.1);
    let server = start(runtime, &config, &partner);
    let mut client = server.connect();
    // Answered although the partner says nothing yet, and the budget is far from over.
    assert_eq!(visit(&mut client, 1).ids("segments"), [0; 0]);
    drop(guard);
    server.wait_until("the answer", |server| total(server, |totals| totals.hits.value()) == 1);
    assert_eq!(visit(&mut client, 1).ids("segments"), [101]);
    assert_eq!((partner.requests(), total(&server, |totals| totals.late.value())), (1, 0));
    assert_eq!(server.partner(0).waited.filled().count(), 0, "nobody waited");
    drop(client);
    server.assert_quiet();
}

fn a_call_that_waits_only_for_the_unknown_uses_what_is_stale(runtime: Runtime) {
    let lock = Arc::default();
    let partner = Partner::start(at_once(&PHOTO.replace("86400", "1")));
    let config = config("mode = \"wait_if_unknown\"\ntimeout_ms = 9000").replace(LONG_BUDGET.0, LONG_BUDGET.1);
    let server = start(runtime, &config, &partner);
    let mut client = server.connect();
    let first = visit(&mut client, 1);
    assert_eq!((first.ids("segments"), first.ids("traits")), (vec![101], vec![1, 2]), "it waited");
    let (act, guard) = held(&lock);
    partner.set(act);
    let start = Instant::now();
    while partner.requests() < 2 {
        let again = visit(&mut client, 1);
        assert_eq!((again.ids("segments"), again.ids("traits")), (vec![101], vec![2]), "it did not wait");
        assert!(start.elapsed() < Duration::from_secs(10), "never asked again");
        thread::sleep(Duration::from_millis(20));
    }
    drop(guard);
    server.wait_until("the fresh answer", |server| total(server, |totals| totals.hits.value()) == 2);
    drop(client);
    server.assert_quiet();
}

fn answers_are_cached_for_their_time(runtime: Runtime) {
    let lasting = Partner::start(at_once(&PHOTO.replace("86400", "2")));
    let negative = Partner::start(Act::Answer(Duration::ZERO, b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()));
    let second = "\n[[partner]]\nid = 2\nname = \"nothing\"\naccount = \"shop\"\ndata_source = 11\n\
                  url = \"http://nothing.example/\"\nnegative_ttl_s = 2\n";
    let config = config(second).replace(LONG_BUDGET.0, LONG_BUDGET.1);
    let options =
        Options { partners: vec![lasting.address, negative.address], connections_max: 64, ..Options::on(runtime) };
    let server = Server::start(&config, options);
    let mut client = server.connect();
    let start = Instant::now();
    for _ in 0..3 {
        assert_eq!(visit(&mut client, 1).ids("segments"), [101]);
    }
    if start.elapsed() < Duration::from_secs(2) {
        assert_eq!((lasting.requests(), negative.requests()), (1, 1), "asked once");
    }
    assert_eq!(visit(&mut client, 2).ids("segments"), [101]);
    assert!(lasting.requests() >= 2 && negative.requests() >= 2, "another visitor is another question");
    let (lasting_before, negative_before) = (lasting.requests(), negative.requests());
    while lasting.requests() == lasting_before || negative.requests() == negative_before {
        assert_eq!(visit(&mut client, 1).ids("segments"), [101]);
        assert!(start.elapsed() < Duration::from_secs(10), "cached for ever");
        thread::sleep(Duration::from_millis(20));
    }
    let empties = server.partner(1).totals.empties.value();
    assert_eq!((total(&server, |totals| totals.hits.value()), empties), (lasting.requests(), negative.requests()));
    drop(client);
    server.assert_quiet();
}

fn a_share_of_visitors_is_looked_up(runtime: Runtime) {
    for (share, expected) in [("0", 0..=0), ("50", 30..=70), ("100", 100..=100)] {
        let partner = Partner::start(at_once(PHOTO));
        // Shadow answers are not kept, so each call of a visitor in the share asks; and nobody waits for them.
        let config = config(&format!("share_percent = {share}\nshadow = true"));
        let server = start(runtime, &config.replace(LONG_BUDGET.0, LONG_BUDGET.1), &partner);
        let mut client = server.connect();
        let (mut asked, mut visits) = (0, 0);
        for visitor in 0..100 {
            let before = partner.requests();
            for _ in 0..2 {
                assert_eq!(visit(&mut client, visitor).ids("segments"), [0; 0], "shadow answers show nowhere");
                visits += 1;
                server.wait_until("the answer", |server| {
                    total(server, |totals| totals.hits.value() + totals.skipped_share.value()) == visits
                });
            }
            let times = partner.requests() - before;
            assert!(times == 0 || times == 2, "{share} %: a visitor is in the share or not");
            asked += times / 2;
        }
        assert!(expected.contains(&asked), "{share} %: {asked} of 100");
        assert_eq!(total(&server, |totals| totals.skipped_share.value()), 2 * (100 - asked));
        assert_eq!(total(&server, |totals| totals.hits.value()), 2 * asked);
    }
}

fn what_keeps_a_partner_from_being_asked(runtime: Runtime) {
    type Skip = fn(&PartnerTotals) -> u64;
    let cases: [(&str, &str, &str, &str, Skip); 2] = [
        ("macro", "headers = { X-Id = \"%dpid_10!%\" }", "&d_cid=10%01abc", "", |totals| totals.skipped_macro.value()),
        ("privacy", "", "", "Sec-GPC: 1\r\n", |totals| totals.skipped_consent.value()),
    ];
    for (name, settings, remedy, headers, skipped) in cases {
        let partner = Partner::start(at_once(PHOTO));
        let server = start(runtime, &config(settings).replace(LONG_BUDGET.0, LONG_BUDGET.1), &partner);
        let mut client = server.connect();
        assert_eq!(visit_with(&mut client, 1, "", headers).ids("segments"), [0; 0], "{name}");
        assert_eq!((partner.requests(), total(&server, skipped)), (0, 1), "{name}");
        assert_eq!(visit_with(&mut client, 2, remedy, "").ids("segments"), [101], "{name}");
        assert_eq!((partner.requests(), total(&server, skipped)), (1, 1), "{name}");
        drop(client);
        server.assert_quiet();
    }
}

fn a_partner_is_not_asked_when_too_little_time_is_left(runtime: Runtime) {
    let partner = Partner::start(at_once(PHOTO));
    // All the time that there is: what a request has left that came in on another core is less.
    let options = Options { shards: 2, partners: vec![partner.address], connections_max: 64, ..Options::on(runtime) };
    let server = Server::start(&config("min_ms = 25"), options);
    let mut client = server.connect();
    let skipped = || total(&server, |totals| totals.skipped_budget.value());
    let mut visitor = 0;
    while skipped() == 0 {
        let before = partner.requests();
        let segments = visit(&mut client, visitor).ids("segments");
        if skipped() > 0 {
            assert_eq!((segments, partner.requests()), (vec![], before));
        }
        visitor += 1;
        assert!(visitor < 1_000, "no request lost any time on its way");
    }
    drop(client);
    server.assert_quiet();
}

fn time_spent_behind_another_request_is_not_given_twice(runtime: Runtime) {
    const REQUESTS: u64 = 4;
    let partner = Partner::start(Act::Hang);
    let config = config("timeout_ms = 9000\nmin_ms = 10").replace(LONG_BUDGET.0, "budget_ms = 200");
    let server = start(runtime, &config, &partner);
    let mut client = server.connect();
    let request = |visitor| format!("GET /event?d_uuid={visitor:038}&d_rtbd=json HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let start = Instant::now();
    client.send((0..REQUESTS).map(request).collect::<String>().as_bytes());
    (0..REQUESTS).for_each(|_| assert_eq!(client.receive().status, 200));
    assert!(start.elapsed() < Duration::from_millis(2 * 200), "{:?}", start.elapsed());
    assert_eq!(partner.requests(), 1);
    assert_eq!(total(&server, |totals| totals.skipped_budget.value()), REQUESTS - 1);
    let waits_ms: Vec<_> = server.metrics()[0].latency.filled().map(|(ns, count)| (ns / 1_000_000, count)).collect();
    assert!(waits_ms.iter().all(|(ms, _)| *ms >= 190), "each of them waited: {waits_ms:?}");
    drop(client);
    server.assert_quiet();
}

fn without_consent_nobody_hears_of_the_visitor(runtime: Runtime) {
    let partner = Partner::start(at_once(PHOTO));
    let server = start(runtime, CONFIG, &partner);
    let mut client = server.connect();
    let reply = visit_with(&mut client, 1, "&gdpr=1", "");
    assert_eq!(reply.ids("segments"), [0; 0]);
    assert!(reply.json()["errors"].is_array(), "{}", reply.json());
    assert_eq!(partner.requests(), 0);
    assert_eq!(server.total(|totals| totals.consent_refused.value()), 1);
    drop(client);
    server.assert_quiet();
    assert_eq!(server.gauge(|gauges| gauges.profiles.value()), 0);
}

/// Consent of a visitor to purposes 1 and 10 and to vendors 2 and 6; as a publisher wrote it who restricts vendor 6.
const GRANTED: &str = "CQdZmkAQdZmkAAfABBENB4FgAIBAAAAAAAYgADEQAAAAAAAA.YAAAAAAAAAAA";
const RESTRICTED: &str = "CQdZmkAQdZmkAAfABBENB4FgAIBAAAAAAAYgADEQAAAAlAAIABgA.YAAAAAAAAAAA";

fn consent_reaches_partners_that_it_names_only(runtime: Runtime) {
    for (vendor, query, headers, asked) in [
        (Some(6), format!("&gdpr=1&gdpr_consent={GRANTED}"), "", true),
        (Some(6), format!("&gdpr=1&gdpr_consent={RESTRICTED}"), "", false),
        (Some(7), format!("&gdpr=1&gdpr_consent={GRANTED}"), "", false),
        (None, format!("&gdpr=1&gdpr_consent={GRANTED}"), "", false),
        (Some(7), String::new(), "", true),
        (Some(6), format!("&gpp=DBABMA~{GRANTED}&gpp_sid=2"), "", true),
        (Some(7), format!("&gpp=DBABMA~{GRANTED}&gpp_sid=2"), "", false),
        (Some(6), "&gpp=DBABLA~CAAqAAAAAABA.QA&gpp_sid=7".into(), "", true),
        (Some(6), "&gpp=DBABrw~CAAQAAAAAABA.QA~BAgAAABA.QA&gpp_sid=7".into(), "", false),
        (Some(6), "&gpp=DBABrw~CAAQAAAAAABA.QA~BAgAAABA.QA&gpp_sid=8".into(), "", true),
        (Some(6), "&gpp=DBABBg~BAgAAABA.YA&gpp_sid=8".into(), "", false),
        (Some(6), String::new(), "Sec-GPC: 1\r\n", false),
        (Some(6), String::new(), "DNT: 1\r\n", true),
    ] {
        let partner = Partner::start(at_once(PHOTO));
        let vendor_id = vendor.map_or(String::new(), |id| format!("vendor_id = {id}"));
        let operator = CONFIG.replace("budget_ms", "vendor_id = 2\nbudget_ms");
        let config = format!("{operator}\n{vendor_id}\n").replace(LONG_BUDGET.0, LONG_BUDGET.1);
        let server = start(runtime, &config, &partner);
        let mut client = server.connect();
        let expected: &[u64] = if asked { &[101] } else { &[] };
        let case = format!("{vendor:?} {query} {headers}");
        assert_eq!(visit_with(&mut client, 1, &query, headers).ids("segments"), expected, "{case}");
        assert_eq!(
            (partner.requests(), total(&server, |totals| totals.skipped_consent.value())),
            match asked {
                true => (1, 0),
                false => (0, 1),
            }
        );
        drop(client);
        server.assert_quiet();
    }
}

fn what_a_partner_said_before_is_not_used_without_consent(runtime: Runtime) {
    let partner = Partner::start(at_once(PHOTO));
    let server = start(runtime, &CONFIG.replace(LONG_BUDGET.0, LONG_BUDGET.1), &partner);
    let mut client = server.connect();
    // Trait 2 is a rule over what the partner said; trait 1 was realised when it answered and is the account's own.
    assert_eq!(visit(&mut client, 1).ids("traits"), [1, 2]);
    assert_eq!(visit_with(&mut client, 1, "", "Sec-GPC: 1\r\n").ids("traits"), [0; 0]);
    assert_eq!(visit_with(&mut client, 1, "&gpp=DBABBg~BAgAAABA.YA&gpp_sid=8", "").ids("traits"), [0; 0]);
    assert_eq!(visit(&mut client, 1).ids("traits"), [2]);
    assert_eq!(partner.requests(), 1);
    drop(client);
    server.assert_quiet();
}

fn a_partner_that_asks_for_rest_gets_it(runtime: Runtime) {
    let busy = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n".to_vec();
    let partner = Partner::start(Act::Answer(Duration::ZERO, busy));
    let server = start(runtime, &CONFIG.replace(LONG_BUDGET.0, LONG_BUDGET.1), &partner);
    let mut client = server.connect();
    assert_eq!(visit(&mut client, 1).ids("segments"), [0; 0]);
    let answered = Instant::now();
    partner.set(at_once(PHOTO));
    let mut skipped = 0;
    while visit(&mut client, 1).ids("segments").is_empty() {
        skipped += 1;
        assert!(answered.elapsed() < Duration::from_secs(10), "rests for ever");
        thread::sleep(Duration::from_millis(20));
    }
    // The second began before the answer to the first call was here.
    assert!(answered.elapsed() > Duration::from_millis(900), "{:?}", answered.elapsed());
    assert_eq!((partner.requests(), total(&server, |totals| totals.skipped_health.value())), (2, skipped));
    assert_eq!(total(&server, |totals| totals.errors_status.value()), 1);
    drop(client);
    server.assert_quiet();
}

fn a_failing_partner_is_asked_less_and_comes_back(runtime: Runtime) {
    let failing = b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n".to_vec();
    let partner = Partner::start(Act::Answer(Duration::ZERO, failing));
    let config = config("shadow = true").replace(LONG_BUDGET.0, LONG_BUDGET.1);
    let server = start(runtime, &config, &partner);
    let mut client = server.connect();
    let skipped = || total(&server, |totals| totals.skipped_health.value());
    for visitor in 0..400 {
        visit(&mut client, visitor);
    }
    assert!(skipped() > 100, "{} of 400 calls skipped", skipped());
    assert!(partner.requests() >= 15, "{} calls made", partner.requests());
    partner.set(at_once(PHOTO));
    let (mut before, mut calls) = (skipped(), 0);
    loop {
        (0..50).for_each(|visitor| drop(visit(&mut client, visitor)));
        calls += 50;
        if skipped() == before {
            break;
        }
        before = skipped();
        assert!(calls < 5_000, "it never comes back");
    }
    println!("recovered within {calls} calls");
    drop(client);
    server.assert_quiet();
}

fn calls_wait_for_a_connection_or_do_without(runtime: Runtime) {
    for (queue, connections_opened, capped) in [(1, 1, 0), (0, 1, 1)] {
        let lock = Arc::default();
        let (act, guard) = held(&lock);
        let partner = Partner::start(act);
        let settings = format!("max_connections = 1\nqueue_max = {queue}\ntimeout_ms = 9000");
        let server = start(runtime, &config(&settings).replace(LONG_BUDGET.0, LONG_BUDGET.1), &partner);
        let address = server.address;
        let first = thread::spawn(move || visit(&mut Connection::to(address), 1).ids("segments"));
        server.wait_until("the first asks", |_| partner.requests() == 1);
        let second = thread::spawn(move || visit(&mut Connection::to(address), 2).ids("segments"));
        server.wait_until("the second came", |server| {
            let queued = server.gauge(|gauges| gauges.parked.value()) == 2;
            queued || total(server, |totals| totals.skipped_cap.value()) == 1
        });
        drop(guard);
        assert_eq!(first.join().expect("it is answered"), [101]);
        assert_eq!(second.join().expect("it is answered").is_empty(), capped == 1);
        assert_eq!(total(&server, |totals| totals.skipped_cap.value()), capped);
        assert_eq!(total(&server, |totals| totals.connections_opened.value()), connections_opened);
        server.assert_quiet();
    }
}

/// What the partner was asked, in the order in which it came.
fn heard(partner: &Partner) -> Vec<String> {
    partner.take_heard().into_iter().map(|bytes| String::from_utf8(bytes).expect("all of it is text")).collect()
}

/// How much time the default body of a request says is left.
fn tmax(request: &str) -> u64 {
    let (_, body) = request.split_once("\r\n\r\n").expect("a whole request");
    let body: serde_json::Value = serde_json::from_str(body).expect("the body is as long as its head says");
    body["tmax"].as_u64().expect("a number")
}

fn a_call_is_repeated_though_others_wait(runtime: Runtime) {
    let lock: Arc<Mutex<()>> = Arc::default();
    let partner = Partner::start(at_once(PHOTO));
    // The shard has more places for connections than the partner may have: one that closes still takes its own.
    let other = "\n[[partner]]\nid = 2\nname = \"other\"\naccount = \"shop\"\ndata_source = 11\n\
                 url = \"http://other.example/\"\nshare_percent = 0\n";
    let config = config(&format!("max_connections = 1\ntimeout_ms = 9000\n{other}"));
    let server = start(runtime, &config.replace(LONG_BUDGET.0, LONG_BUDGET.1), &partner);
    let address = server.address;
    assert_eq!(visit(&mut server.connect(), 1).ids("segments"), [101]);
    let guard = lock.lock().expect("no holder panics");
    partner.set(Act::HeldClose(Arc::clone(&lock)));
    let second = thread::spawn(move || visit(&mut Connection::to(address), 2).ids("segments"));
    server.wait_until("the second asks", |_| partner.requests() == 2);
    let third = thread::spawn(move || visit(&mut Connection::to(address), 3).ids("segments"));
    server.wait_until("the third waits", |server| server.gauge(|gauges| gauges.parked.value()) == 2);
    partner.set(at_once(PHOTO));
    thread::sleep(Duration::from_millis(5));
    drop(guard);
    assert_eq!(second.join().expect("it is answered"), [101]);
    assert_eq!(third.join().expect("it is answered"), [101]);
    let of = |number: fn(&PartnerTotals) -> u64| total(&server, number);
    assert_eq!((of(|totals| totals.retries.value()), of(|totals| totals.errors_reset.value())), (1, 0));
    assert_eq!((of(|totals| totals.connections_opened.value()), partner.requests()), (2, 4));
    let heard = heard(&partner);
    assert!(tmax(&heard[2]) <= tmax(&heard[1]) - 5, "the repeated one: {:?}", &heard[1..3]);
    server.assert_quiet();
}

fn partners_hear_how_much_time_is_left_when_they_are_asked(runtime: Runtime) {
    // One digit more than when the second gets the connection.
    const BUDGET_MS: u64 = 10_050;
    const WAIT: Duration = Duration::from_millis(100);
    let lock = Arc::default();
    let (act, guard) = held(&lock);
    let partner = Partner::start(act);
    let config = config("max_connections = 1\nheaders = { X-Left = \"at most %timeout_ms% ms\" }")
        .replace("example/lookup", "example/lookup?left=%timeout_ms%&from=pinion")
        .replace(LONG_BUDGET.0, &format!("budget_ms = {BUDGET_MS}"));
    let server = start(runtime, &config, &partner);
    let address = server.address;
    let first = thread::spawn(move || visit(&mut Connection::to(address), 1).ids("segments"));
    server.wait_until("the first asks", |_| partner.requests() == 1);
    let start = Instant::now();
    let second = thread::spawn(move || visit(&mut Connection::to(address), 2).ids("segments"));
    server.wait_until("the second waits", |server| server.gauge(|gauges| gauges.parked.value()) == 2);
    thread::sleep(WAIT);
    drop(guard);
    assert_eq!(first.join().expect("it is answered"), [101]);
    assert_eq!(second.join().expect("it is answered"), [101]);
    let heard = heard(&partner);
    let left_ms = tmax(&heard[1]);
    assert!(left_ms <= BUDGET_MS - WAIT.as_millis() as u64, "{}", heard[1]);
    assert!(left_ms + start.elapsed().as_millis() as u64 + 10 >= BUDGET_MS, "{}", heard[1]);
    assert!(heard[1].starts_with(&format!("POST /lookup?left={left_ms}&from=pinion HTTP/1.1\r\n")), "{}", heard[1]);
    assert!(heard[1].contains(&format!("\r\nX-Left: at most {left_ms} ms\r\n")), "{}", heard[1]);
    server.assert_quiet();
}

/// The config with a partner of format `targeting` and a rule over what it says.
fn targeting(expression: &str) -> String {
    let rule = format!("expression = '{expression}'");
    let config = CONFIG.replace("expression = \"d_partner_photo == photo\"", &rule).replace("1T", "2T");
    assert!(config.contains(&rule));
    config.replace(LONG_BUDGET.0, LONG_BUDGET.1) + "format = \"targeting\"\ntimeout_ms = 9000\n"
}

fn what_a_partner_targets_is_signals_for_rules(runtime: Runtime) {
    let said =
        r#"{"targeting":{"sport":["golf","rugby"],"club":"a,b","age":33,"d_partner_photo":"x","p_y":1,"h_z":1}}"#;
    for (expression, is_so) in [
        ("sport == rugby", true),
        ("sport == golf AND age > 30", true),
        ("sport == rugby AND c_page == home", true),
        ("sport == tennis", false),
        ("club == \"a,b\"", true),
        ("club == a", false),
        ("d_partner_photo matchesregex \".*\"", false),
        ("p_y == 1 OR h_z == 1", false),
    ] {
        let partner = Partner::start(at_once(said));
        let server = start(runtime, &targeting(expression), &partner);
        let mut client = server.connect();
        let expected: (&[u64], &[u64]) = if is_so { (&[2], &[101]) } else { (&[], &[]) };
        // In the call that waits for it, and from the cache as long as it is fresh.
        for _ in 0..2 {
            let reply = visit_with(&mut client, 1, "&c_page=home", "");
            assert_eq!((&reply.ids("traits")[..], &reply.ids("segments")[..]), expected, "{expression}");
        }
        assert_eq!((partner.requests(), total(&server, |totals| totals.hits.value())), (1, 1));
        assert_eq!(total(&server, |totals| totals.segments_dropped.value()), 3, "keys that no partner may use");
        // Consent is asked for each time.
        let refused = visit_with(&mut client, 1, "&c_page=home", "Sec-GPC: 1\r\n");
        assert_eq!(refused.ids("traits"), [0; 0], "{expression}");
        drop(client);
        server.assert_quiet();
    }
}

fn many_signals_of_a_partner_are_evaluated_as_far_as_there_is_room(runtime: Runtime) {
    let values = |count: usize| (0..count).map(|i| format!("\"v{i}\"")).collect::<Vec<_>>().join(",");
    // As many as one answer may have, and far more; the last one is what the rule asks for.
    for (count, is_so, dropped) in [(511, true, 0), (700, false, 189)] {
        let partner = Partner::start(at_once(&format!("{{\"targeting\":{{\"k\":[{},\"last\"]}}}}", values(count))));
        let server = start(runtime, &targeting("k == last"), &partner);
        let mut client = server.connect();
        let reply = visit(&mut client, 1);
        assert_eq!(reply.ids("traits").len(), usize::from(is_so), "{count}");
        assert_eq!(total(&server, |totals| totals.segments_dropped.value()), dropped);
        drop(client);
        server.assert_quiet();
    }
}
