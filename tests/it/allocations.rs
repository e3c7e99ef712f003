//! A shard's thread allocates nothing and frees nothing from the moment it is ready: no warm-up, whatever arrives.
//!
//! The real server runs with sealed threads (see `allocator`) while clients, partners and the control thread do all
//! that they can do to it.

mod config;
mod parts;
mod requests;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use pinion::config::file::Runtime;
use pinion::ids::{PartnerId, PartnerIndex, ShardId};
use pinion::metrics::PartnerTotals;

use crate::allocator::{Watch, seal};
use crate::server::partner::{Act, json};
use crate::server::{Connection, GLOMMIO, Options, Server, URING, protocol, ruleset_of_epoch};

use config::Partners;
use requests::{ANSWERED, CLOSING};

const REQUESTS: u64 = 10_000;
const CLIENTS: u64 = 4;
const CHURN: u64 = 1_000;
const PIPELINED: u64 = 60;
const RULESETS: u64 = 4;

#[test]
fn ten_thousand_requests_of_every_kind() {
    let watch = Watch::begin();
    let (server, asked) = serve_everything(URING, Some(seal));
    // Everything up to here, and nothing of what comes after: a thread that ends gives its memory back.
    watch.assert_clean(2);
    assert!(asked >= REQUESTS);
    assert_all_happened(&server);
}

/// The second runtime allocates, for it promises nothing about that; but it has to get through all of it as well.
#[test]
fn the_second_runtime_serves_them_too() {
    // Nothing is counted, but one such server is enough at a time.
    let _turn = Watch::begin();
    let (_, asked) = serve_everything(GLOMMIO, None);
    assert!(asked >= REQUESTS);
}

/// Does all that can be done to a server. Returns it when all is over, and the number of requests.
fn serve_everything(runtime: Runtime, on_ready: Option<fn(ShardId)>) -> (Server, u64) {
    let text = config::text();
    let partners = Partners::start();
    let mut server = Server::start(
        &text,
        Options {
            shards: 2,
            partners: partners.addresses.clone(),
            on_ready,
            // So little that profiles are evicted.
            memory_bytes: 3 << 20,
            ..Options::on(runtime)
        },
    );
    let asked = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let (address, asked) = (server.address, &asked);
        let clients: Vec<_> = (0..CLIENTS).map(|client| scope.spawn(move || ask(address, client, asked))).collect();
        let churn = scope.spawn(move || churn(address));
        // What the control thread does meanwhile.
        let mut retired = 0;
        for round in 0.. {
            if clients.iter().all(|client| client.is_finished()) && churn.is_finished() {
                break;
            }
            if round % 25 == 24 && round / 25 < RULESETS {
                let ruleset = ruleset_of_epoch(&text, 2 + round / 25);
                let addresses = |index: PartnerIndex| partners.addresses[index.0 as usize..][..1].into();
                server.shards().load(&ruleset, &addresses);
            }
            server.shards().move_partner(PartnerId(1), &[partners.addresses[0], partners.moved.address]);
            partners.turncoat.set(match round % 2 {
                0 => Act::Answer(Duration::ZERO, json("{}")),
                _ => Act::Reset(Vec::new()),
            });
            retired += server.shards().retired();
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(retired >= 2, "rulesets were replaced while the clients asked: {retired}");
    });
    server.assert_quiet();
    assert!(partners.moved.requests() > 0, "a partner moved");
    assert_eq!(server.gauge(|gauges| gauges.backtracking_regexes.value()), 0, "these may allocate");
    (server, asked.load(SeqCst))
}

/// One client's share of the requests.
fn ask(address: SocketAddr, client: u64, asked: &AtomicU64) {
    let mut connection = Connection::to(address);
    for number in (client..).step_by(CLIENTS as usize) {
        if asked.load(SeqCst) >= REQUESTS {
            return;
        }
        // 11 shares no factor with the number of kinds: neighbours differ, and each client comes to all kinds.
        let (kind, status) = ANSWERED[(number / CLIENTS * 11 + client) as usize % ANSWERED.len()];
        connection.send(&kind(number));
        let reply = connection.receive();
        assert_eq!(reply.status, status, "{}\n{}", String::from_utf8_lossy(&kind(number)), reply.head);
        asked.fetch_add(1, SeqCst);
        if number % 10 == client {
            let (kind, status) = CLOSING[number as usize / 10 % CLOSING.len()];
            let request = kind(number);
            connection.send(&request);
            let is_head = request.starts_with(b"HEAD");
            let reply = if is_head { connection.receive_to_head() } else { connection.receive() };
            assert_eq!(reply.status, status, "{}", reply.head);
            connection = Connection::to(address);
            asked.fetch_add(1, SeqCst);
        }
        if number % 100 == client {
            asked.fetch_add(pipeline(&mut connection, number), SeqCst);
        }
    }
}

/// Many requests at once, of all kinds that keep the connection open.
fn pipeline(connection: &mut Connection, number: u64) -> u64 {
    let kinds = (number..number + PIPELINED).map(|number| (number, ANSWERED[number as usize % ANSWERED.len()]));
    let flood: Vec<u8> = kinds.clone().flat_map(|(number, (kind, _))| kind(number)).collect();
    let mut writer = connection.stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || writer.write_all(&flood).expect("the server reads"));
    for (_, (_, status)) in kinds {
        assert_eq!(connection.receive().status, status);
    }
    sender.join().unwrap();
    PIPELINED
}

/// Connections that come and go: with nothing said, in the middle of a request, ahead of the answer, broken.
fn churn(address: SocketAddr) {
    for number in 0..CHURN {
        let mut stream = TcpStream::connect(address).expect("the server listens");
        let (kind, _) = ANSWERED[number as usize % ANSWERED.len()];
        let request = kind(number);
        let sent = match number % 4 {
            0 => 0,
            1 => request.len() / 2,
            _ => request.len(),
        };
        // The server may be faster in closing.
        let _ = stream.write_all(&request[..sent]);
        if number % 2 == 0 {
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
    }
}

/// What is denied, blocked or refused takes paths of its own.
#[test]
fn who_comes_too_often_is_told_so_without_one() {
    let watch = Watch::begin();
    let options = Options { shards: 2, on_ready: Some(seal), ..Options::on(URING) };
    let server = Server::start(protocol::LIMITS_CONFIG, options);
    protocol::put_cases(&server, "limits", false);
    watch.assert_clean(2);
    let counts: Vec<_> = server.metrics().iter().flat_map(|metrics| metrics.totals.values()).collect();
    for name in FOR_LIMITS {
        assert!(counts.iter().any(|(found, _, value)| *found == name && *value > 0), "never happened: {name}");
    }
}

/// What happens only where there are limits.
const FOR_LIMITS: [&str; 8] = [
    "declared_ids_denied",
    "declared_ids_blocked",
    "device_ids_denied",
    "device_ids_blocked",
    "profiles_denied",
    "profile_calls_blocked",
    "calls_limited",
    "opt_outs_limited",
];

type PartnerNumber = fn(&PartnerTotals) -> u64;

/// The test is worth what it covers.
fn assert_all_happened(server: &Server) {
    let mut idle = Vec::new();
    let unused = [
        // Nothing in the test should use up a pool, be it by chance; and these need a day or years.
        "connections_idle_closed",
        "connections_flood_closed",
        "connections_stalled_closed",
        "overloaded",
        "opt_outs_refused",
        "hops_refused",
        "ids_unsent",
        "parked_refused",
        "profiles_expired",
        "segments_left",
        "ids_evicted",
        "counts_saturated",
        "persons_unread",
        "persons_late",
        "person_traits_kept",
        // Four denied ids in one place.
        "ids_uncounted",
    ];
    let values: Vec<_> = server.metrics()[0].totals.values().map(|(name, ..)| name).collect();
    for name in values {
        let value = |(found, _, value): (&str, &str, u64)| (found == name).then_some(value);
        let total: u64 = server.metrics().iter().filter_map(|metrics| metrics.totals.values().find_map(value)).sum();
        if total == 0 && !unused.contains(&name) && !FOR_LIMITS.contains(&name) {
            idle.push(name);
        }
    }
    let partners: [(&str, PartnerNumber); 16] = [
        ("hits", |totals| totals.hits.value()),
        ("empties", |totals| totals.empties.value()),
        ("late answers", |totals| totals.late.value()),
        ("timeouts", |totals| totals.timeouts.value()),
        ("failed connects", |totals| totals.errors_connect.value()),
        ("resets", |totals| totals.errors_reset.value()),
        ("malformed answers", |totals| totals.errors_protocol.value()),
        ("statuses", |totals| totals.errors_status.value()),
        ("bad bodies", |totals| totals.errors_body.value()),
        ("too large answers", |totals| totals.errors_size.value()),
        ("second tries", |totals| totals.retries.value()),
        ("lookups skipped for health", |totals| totals.skipped_health.value()),
        ("lookups skipped for want of a connection", |totals| totals.skipped_cap.value()),
        ("lookups skipped for the cache", |totals| totals.skipped_cache.value()),
        ("lookups skipped for want of an id", |totals| totals.skipped_macro.value()),
        ("reused connections", |totals| totals.connections_reused.value()),
    ];
    for (name, number) in partners {
        let of = |index| server.partner_total(index, number);
        if (0..server.partners().len()).map(of).sum::<u64>() == 0 {
            idle.push(name);
        }
    }
    assert!(idle.is_empty(), "never happened: {idle:?}");
}
