//! What partners, destinations and ID syncs are told of a visitor's ids, and what they are not: ids that were opted
//! out, of a blocked data source, or denied because they come too often.

use std::time::Duration;

use pinion::config::file::Runtime;

use super::partner::{Act, Partner, json};
use super::{Connection, Options, Reply, Server};

const CONFIG: &str = include_str!("told.toml");
const HOST: &str = "shop.example.net";
/// The call is kept, and no partner is asked.
const UNTOLD: &str = "Sec-GPC: 1\r\n";
const OWN_ID: &str = r#"{"segments":["a"],"own":"own-1"}"#;

/// A server with the two partners of the config, which both give one answer.
struct Told {
    server: Server,
    client: Connection,
    partners: [Partner; 2],
}

impl Told {
    fn start(config: &str, runtime: Runtime, shards: u16) -> Told {
        let partners = [OWN_ID, "{}"].map(|body| Partner::start(Act::Answer(Duration::ZERO, json(body))));
        let addresses = partners.each_ref().map(|partner| partner.address).to_vec();
        let options = Options { shards, partners: addresses, connections_max: 64, ..Options::on(runtime) };
        let server = Server::start(config, options);
        Told { client: server.connect(), server, partners }
    }

    fn visit(&mut self, visitor: u64, parameters: &str, headers: &str) -> Reply {
        let target = format!("/event?d_uuid={visitor:038}&d_rtbd=json&d_cts=2&d_dst=1&c_came=1{parameters}");
        let reply = self.client.get(HOST, &target, headers);
        assert_eq!(reply.status, 200, "{}", reply.head);
        reply
    }

    fn opt_out(&mut self, id: &str) {
        let reply = self.client.get(HOST, &format!("/demoptout?d_rtbd=json&d_cid_ic={id}"), "");
        assert_eq!((reply.status, reply.json().get("errors")), (200, None), "{}", reply.json());
    }

    /// All that the partners heard since they were last looked at, one after the other.
    fn heard(&self) -> [String; 2] {
        self.partners.each_ref().map(|partner| String::from_utf8_lossy(&partner.take_heard().concat()).into_owned())
    }

    fn end(self) {
        drop(self.client);
        self.server.assert_quiet();
    }
}

/// What an answer tells by its URL and its cookie.
fn destinations(reply: &Reply) -> (String, String) {
    let json = reply.json();
    let text = |list: &str, key: &str| json[list][0][key].as_str().unwrap_or_default().to_owned();
    (text("dests", "c"), text("stuff", "cv"))
}

fn pixel(crm: &str, own: &str) -> String {
    format!("http://pixel.example/?crm={crm}&own={own}&")
}

on_each_runtime!(
    an_opted_out_id_is_told_to_nobody,
    a_partners_own_id_that_was_opted_out_is_not_kept,
    ids_of_a_blocked_data_source_are_told_to_nobody,
    an_id_whose_data_source_was_blocked_later_is_told_no_more,
    a_denied_id_is_told_to_nobody,
    a_derived_signal_is_told_like_one_of_the_call,
);

fn a_derived_signal_is_told_like_one_of_the_call(runtime: Runtime) {
    let derived = |source: &str, value: &str, target: &str| {
        format!(
            "\n[[derived_signal]]\naccount = \"shop\"\nsource_key = \"{source}\"\nsource_value = \"{value}\"\n\
             target_key = \"c_kind\"\ntarget_value = \"{target}\"\n"
        )
    };
    let config = CONFIG.replace("?crm=%dpid_11%&own=%dpid_12%&", "?kind=%sig_c_kind%&");
    let config = config + &derived("c_team", "reds", "ball") + &derived("c_team", "jets", "wing");
    let mut told = Told::start(&config, runtime, 1);
    let cases = [
        ("&c_team=reds", "ball"),
        ("&c_team=blues,jets", "wing"),
        ("&c_team=blues", ""),
        ("&c_other=reds", ""),
        ("&c_team=reds&c_kind=own", "own"),
    ];
    for (visitor, (parameters, kind)) in (1..).zip(cases) {
        let reply = told.visit(visitor, parameters, "");
        assert_eq!(destinations(&reply).0, format!("http://pixel.example/?kind={kind}&"), "{parameters}");
        assert!(told.heard()[0].starts_with(&format!("GET /?kind={kind}& ")), "{parameters}");
    }
    told.end();
}

fn an_opted_out_id_is_told_to_nobody(runtime: Runtime) {
    for shards in [1, 2] {
        let mut told = Told::start(CONFIG, runtime, shards);
        for visitor in [1, 2] {
            told.visit(visitor, "&d_cid_ic=crm%01ann", UNTOLD);
            let reply = told.visit(visitor, "&d_cid_ic=crm%01joe", UNTOLD);
            assert_eq!(destinations(&reply), Default::default());
        }
        told.visit(3, "&d_cid_ic=crm%01joe", UNTOLD);

        told.visit(1, "", "");
        let [template, default] = told.heard();
        assert!(template.starts_with("GET /?crm=joe&own=& ") && template.contains("X-Member: joe\r\n"), "{template}");
        assert!(
            default.contains(r#""user":{"id":"joe","eids":[{"source":"crm.example","uids":[{"id":"joe"}]}"#),
            "{default}"
        );

        told.opt_out("crm%01joe");
        // What was declared before is the visitor's latest again.
        let reply = told.visit(2, "", "");
        assert_eq!(destinations(&reply), (pixel("ann", "own-1"), "ann-own-1".to_owned()));
        let [template, default] = told.heard();
        assert!(template.starts_with("GET /?crm=ann&own=& ") && template.contains("X-Member: ann\r\n"), "{template}");
        assert!(
            default.contains(r#""user":{"id":"ann","eids":[{"source":"crm.example","uids":[{"id":"ann"}]}"#),
            "{default}"
        );

        let reply = told.visit(3, "", "");
        assert_eq!(destinations(&reply), (pixel("", "own-1"), "-own-1".to_owned()));
        let [template, default] = told.heard();
        assert!(template.starts_with("GET /?crm=&own=& ") && !template.contains("X-Member"), "{template}");
        assert!(default.contains(r#""user":{},"#) && !default.contains("joe"), "{default}");
        told.end();
    }
}

fn a_partners_own_id_that_was_opted_out_is_not_kept(runtime: Runtime) {
    for shards in [1, 2] {
        let mut told = Told::start(CONFIG, runtime, shards);
        assert_eq!(destinations(&told.visit(1, "", "")).0, pixel("", "own-1"));
        assert_eq!(told.server.total(|totals| totals.ids_mapped.value()), 1);
        told.opt_out("own%01own-1");
        assert_eq!(destinations(&told.visit(1, "", "")).0, pixel("", ""), "it is in the profile");
        // The partner says it again, of another visitor.
        assert_eq!(destinations(&told.visit(2, "", "")).0, pixel("", ""));
        assert_eq!(told.partners[0].requests(), 2);
        assert_eq!(told.server.total(|totals| totals.ids_mapped.value()), 1);
        told.end();
    }
}

/// The config with one of its data sources blocked.
fn blocking(data_source: &str) -> String {
    let table = format!("integration_code = \"{data_source}\"\n");
    assert!(CONFIG.contains(&table));
    CONFIG.replace(&table, &format!("{table}blocked = true\n"))
}

/// The URL that `/id` asks the page to have fired.
fn sync_url(told: &mut Told, parameters: &str) -> String {
    let reply = told.client.get(HOST, &format!("/id?d_rtbd=json{parameters}"), "");
    let json = reply.json();
    json["ibs"][0]["url"][0].as_str().unwrap_or_else(|| panic!("no sync in {json}")).to_owned()
}

fn ids_of_a_blocked_data_source_are_told_to_nobody(runtime: Runtime) {
    let mut told = Told::start(CONFIG, runtime, 1);
    assert_eq!(sync_url(&mut told, "&d_cid_ic=crm%01joe"), "//sync.example/?crm=joe&");
    told.end();
    let mut told = Told::start(&blocking("crm"), runtime, 1);
    assert_eq!(sync_url(&mut told, "&d_cid_ic=crm%01joe"), "//sync.example/?crm=&");
    assert_eq!(destinations(&told.visit(1, "&d_cid_ic=crm%01joe", "")).0, pixel("", "own-1"));
    let heard = told.heard().concat();
    assert!(heard.contains("?crm=&own=&") && !heard.contains("joe"), "{heard}");
    told.end();
    // What a partner says by itself is no better.
    let mut told = Told::start(&blocking("own"), runtime, 1);
    assert_eq!(destinations(&told.visit(1, "", "")).0, pixel("", ""));
    assert_eq!(told.server.total(|totals| totals.ids_mapped.value()), 0);
    told.end();
}

fn an_id_whose_data_source_was_blocked_later_is_told_no_more(runtime: Runtime) {
    let mut told = Told::start(CONFIG, runtime, 1);
    told.visit(1, "&d_cid_ic=crm%01joe", UNTOLD);
    let addresses = told.partners.each_ref().map(|partner| partner.address);
    let rules = super::ruleset_of_epoch(&blocking("crm"), 2);
    told.server.shards().load(&rules, &move |partner| [addresses[partner.0 as usize]].into());
    told.server.wait_until("the new rules", |server| server.gauge(|gauges| gauges.epoch.value()) == 2);
    assert_eq!(destinations(&told.visit(1, "", "")).0, pixel("", "own-1"));
    let heard = told.heard().concat();
    assert!(heard.contains("?crm=&own=&") && !heard.contains("joe"), "{heard}");
    told.end();
}

fn a_denied_id_is_told_to_nobody(runtime: Runtime) {
    let mut told = Told::start(CONFIG, runtime, 1);
    // It is in this profile since before it came too often.
    told.visit(1, "&d_cid_ic=crm%01joe", UNTOLD);
    let is_denied = |told: &mut Told| {
        let reply = told.visit(2, "&d_cid_ic=crm%01joe", UNTOLD);
        reply.header("X-Error").is_some_and(|errors| errors == "303")
    };
    assert!((0..1_000).any(|_| is_denied(&mut told)), "20 in a minute are enough");
    assert_eq!(sync_url(&mut told, "&d_cid_ic=crm%01joe"), "//sync.example/?crm=&");
    assert_eq!(destinations(&told.visit(1, "&d_cid_ic=crm%01joe", "")).0, pixel("", "own-1"));
    let heard = told.heard().concat();
    assert!(heard.contains("?crm=&own=&") && !heard.contains("joe"), "{heard}");
    told.end();
}
