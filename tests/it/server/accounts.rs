//! Two accounts know one and the same visitor, and nothing of each other: traits, segments, partners, their answers
//! and caches, destinations.

use std::time::Duration;

use pinion::config::file::Runtime;

use super::partner::{Act, Partner, json};
use super::{Connection, Options, Reply, Server};

const CONFIG: &str = include_str!("accounts.toml");
const PHOTO: &str = r#"{"segment":[{"segment_id":"photo","ttl":86400}]}"#;
const UUID: &str = "00000000000000000000000000000000000077";

fn visit(client: &mut Connection, account: &str, parameters: &str) -> Reply {
    let target = format!("/event?d_uuid={UUID}&d_rtbd=json&d_cts=2&d_dst=1{parameters}");
    let reply = client.get(&format!("{account}.example.net"), &target, "");
    assert_eq!(reply.status, 200, "{}", reply.head);
    assert_eq!(reply.json()["uuid"], UUID);
    reply
}

/// The names of the cookies and the URLs of the pixels that an answer asks for.
fn destinations(reply: &Reply) -> (Vec<String>, Vec<String>) {
    let answer = reply.json();
    let texts = |list: &str, key: &str| -> Vec<String> {
        let entries = answer[list].as_array().into_iter().flatten();
        entries.map(|entry| entry[key].as_str().expect("a text").to_owned()).collect()
    };
    (texts("stuff", "cn"), texts("dests", "c"))
}

on_each_runtime!(accounts_know_nothing_of_each_other,);

fn accounts_know_nothing_of_each_other(runtime: Runtime) {
    for shards in [1, 2] {
        let shops = Partner::start(Act::Answer(Duration::ZERO, json(PHOTO)));
        let banks = Partner::start(Act::Answer(Duration::ZERO, b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()));
        let options = Options { shards, partners: vec![shops.address, banks.address], ..Options::on(runtime) };
        let server = Server::start(CONFIG, options);
        check(&server, &shops, &banks);
        server.assert_quiet();
    }
}

fn check(server: &Server, shops: &Partner, banks: &Partner) {
    let mut client = server.connect();
    let pixels = |account: &str| vec![format!("http://pixel.example/{account}"); 1];

    let shop = visit(&mut client, "shop", "&c_product=camera");
    assert_eq!((shop.ids("traits"), shop.ids("segments")), (vec![1, 2, 3], vec![101, 102]));
    assert_eq!(destinations(&shop), (vec!["shopads".to_owned()], pixels("shop")));
    assert_eq!((shops.requests(), banks.requests()), (1, 0), "each account has its own partner");

    // The shop's traits, segments and cached answer are all in the profile; the bank, whose partner knows nothing,
    // sees none of them, neither by naming a trait nor by the partner of the same name and segment of the same text.
    let bank = visit(&mut client, "bank", "&c_product=camera&d_sid=1&d_sid=2");
    assert_eq!((bank.ids("traits"), bank.ids("segments")), (vec![], vec![]));
    assert_eq!(destinations(&bank), (vec![], vec![]));
    assert_eq!((shops.requests(), banks.requests()), (1, 1), "the shop's answer is no answer for the bank");
    assert_eq!(server.total(|totals| totals.traits_foreign.value()), 2);

    let bank = visit(&mut client, "bank", "&c_product=loan");
    assert_eq!((bank.ids("traits"), bank.ids("segments")), (vec![11], vec![111]));
    assert_eq!(destinations(&bank), (vec!["bankads".to_owned()], pixels("bank")));
    assert_eq!((shops.requests(), banks.requests()), (1, 1), "its own 'nothing known' is cached");

    let shop = visit(&mut client, "shop", "&c_product=loan&d_sid=11&d_sid=12");
    assert_eq!((shop.ids("traits"), shop.ids("segments")), (vec![3], vec![101, 102]), "as before");
    assert_eq!(destinations(&shop), (vec!["shopads".to_owned()], pixels("shop")));
    assert_eq!(server.total(|totals| totals.traits_foreign.value()), 4);

    // By integration code each names its own data source, and a foreign one can't be named at all.
    let bank = visit(&mut client, "bank", "&d_cid=10%01abc");
    assert!(bank.json()["errors"].is_array(), "{}", bank.json());
    let bank = visit(&mut client, "bank", "&d_cid_ic=own%01abc");
    assert_eq!(bank.json().get("errors"), None, "{}", bank.json());
    let shop = visit(&mut client, "shop", "&c_product=camera&d_tdpid=20");
    assert_eq!(shop.ids("traits"), [0; 0], "the bank's data source has no traits of the shop");

    // Neither's calls made the visitor leave a segment of the other's.
    assert_eq!(server.total(|totals| totals.segments_left.value()), 0);
    assert_eq!(server.total(|totals| totals.segments_entered.value()), 3);
    assert_eq!((shops.requests(), banks.requests()), (1, 1));
}
