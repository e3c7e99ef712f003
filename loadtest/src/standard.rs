//! The standard job: a config of any number of rules and segments, always the same for the same numbers, and the
//! signals that calls carry to meet it.
//!
//! A call has its signals under keys `c_k0` to `c_k39` with values `v0` to `v499`. Of the rules six in ten compare one
//! signal, two in ten two of them, and the rest look into texts and at numbers; a call with 20 signals realises about
//! six traits of 10,000.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use crate::random::Random;
use crate::scenario::{PartnerMode, Scenario};

pub const KEYS: u64 = 40;
pub const VALUES: u64 = 500;
/// Sections of the site that calls come from, as their `Referer` says.
pub const SECTIONS: u64 = 200;
/// Different segments that one partner knows.
pub const PARTNER_SEGMENTS: u64 = 50;
/// The host that selects the account, and the one for id syncs.
pub const HOST: &str = "load.pinion.localhost";
pub const SYNC_HOST: &str = "dpm.pinion.localhost";
pub const ORIGIN: &str = "https://www.example.com";
pub const ORGANISATION: &str = "10AD7E5710AD7E5710AD7E57%40AdobeOrg";
/// Where clicks and syncs may lead.
pub const REDIRECT_HOST: &str = "sync.example";
/// The data source of ids that calls declare.
pub const ID_SOURCE: u32 = 100;

const SEED: u64 = 0x57A9_DA2D;
const PARTNER_SOURCE: u32 = 200;
const PARTNER_TRAIT: u32 = 900_000;

/// The server's config file. `partners` are the addresses of the scenario's partners, in their order.
pub fn config(scenario: &Scenario, cores: &[usize], partners: &[SocketAddr], data_dir: &Path) -> String {
    let mut text = head(scenario, cores, data_dir);
    let mut random = Random::new(SEED);
    for number in 0..scenario.server.rules {
        let expression = rule(&mut random);
        let id = number + 1;
        let _ = write!(
            text,
            "\n[[trait]]\nid = {id}\nname = \"Rule {id}\"\ndata_source = {ID_SOURCE}\nexpression = '{expression}'\n"
        );
    }
    for (index, partner) in (0..).zip(&scenario.partners) {
        let source = PARTNER_SOURCE + index;
        for segment in 1..=PARTNER_SEGMENTS as u32 {
            let id = PARTNER_TRAIT + index * PARTNER_SEGMENTS as u32 + segment;
            let _ = write!(
                text,
                "\n[[trait]]\nid = {id}\nname = \"{} {segment}\"\ndata_source = {source}\n\
                 integration_code = \"s{segment}\"\n",
                partner.name
            );
        }
    }
    for number in 0..scenario.server.segments {
        let expression = segment(&mut random, scenario);
        let id = number + 1;
        let _ = write!(
            text,
            "\n[[segment]]\nid = {id}\nname = \"Segment {id}\"\naccount = \"load\"\nexpression = \"{expression}\"\n"
        );
    }
    for (index, (partner, address)) in scenario.partners.iter().zip(partners).enumerate() {
        let mode = match partner.mode {
            PartnerMode::Wait => "wait",
            PartnerMode::Background => "background",
            PartnerMode::WaitIfUnknown => "wait_if_unknown",
        };
        let _ = write!(
            text,
            "\n[[partner]]\nid = {}\nname = \"{}\"\naccount = \"load\"\ndata_source = {}\nmethod = \"GET\"\n\
             url = \"http://{}.partner.example/lookup/{index}?id=%did%&n=%sig_c_n%\"\naddresses = [\"{address}\"]\n\
             format = \"{}\"\nmode = \"{mode}\"\nttl_s = {}\nnegative_ttl_s = {}\n",
            index + 1,
            partner.name,
            PARTNER_SOURCE + index as u32,
            partner.name,
            partner.format,
            partner.ttl_s,
            partner.ttl_s
        );
    }
    text
}

fn head(scenario: &Scenario, cores: &[usize], data_dir: &Path) -> String {
    let server = &scenario.server;
    // Cores that are not there can't be pinned to: then the system may choose.
    let place = match cores {
        [] => format!("shards = {}", server.shards),
        cores => format!("cores = {cores:?}"),
    };
    let mut text = format!(
        r#"# The standard job, generated: {} rules, {} segments.

[server]
listen = ["127.0.0.1:0"]
admin = "127.0.0.1:0"
base_domain = "pinion.localhost"
{place}
memory_max = "{}"
connections_max = {}
data_dir = {data_dir:?}
secret = "{}"
node = "load"
spin_us = {}

[[account]]
alias = "load"
organisation = "{}"
allowed_origins = ["{ORIGIN}"]
redirect_hosts = ["{REDIRECT_HOST}"]
budget_ms = {}

[[data_source]]
id = {ID_SOURCE}
account = "load"
name = "Site"
redirect_hosts = ["{REDIRECT_HOST}"]
"#,
        server.rules,
        server.segments,
        server.memory_max,
        scenario.connections + scenario.connections / 2 + 64,
        "10ad".repeat(16),
        server.spin_us,
        ORGANISATION.replace("%40", "@"),
        server.budget_ms,
    );
    for (index, partner) in (0..).zip(&scenario.partners) {
        let id = PARTNER_SOURCE + index;
        let _ = write!(text, "\n[[data_source]]\nid = {id}\naccount = \"load\"\nname = \"{}\"\n", partner.name);
    }
    text
}

fn rule(random: &mut Random) -> String {
    let comparison = |random: &mut Random| format!("c_k{} == v{}", random.below(KEYS), random.below(VALUES));
    match random.below(10) {
        0..6 => comparison(random),
        6..8 => format!("{} AND {}", comparison(random), comparison(random)),
        8 => format!(r#"h_referer contains "/section-{}/""#, random.below(SECTIONS)),
        _ => format!(r#"c_price >= {} AND {}"#, random.below(1_000), comparison(random)),
    }
}

fn segment(random: &mut Random, scenario: &Scenario) -> String {
    let rules = u64::from(scenario.server.rules.max(1));
    let partners = scenario.partners.len() as u64;
    let trait_id = |random: &mut Random| 1 + random.below(rules);
    match random.below(5) {
        0 => format!("{}T OR {}T", trait_id(random), trait_id(random)),
        1 => format!("{}T AND {}T", trait_id(random), trait_id(random)),
        2 => format!("FREQUENCY([{}T] <= 30D) >= 3", trait_id(random)),
        3 if partners > 0 => {
            let known = u64::from(PARTNER_TRAIT) + 1 + random.below(partners * PARTNER_SEGMENTS);
            format!("{known}T")
        }
        _ => {
            let recent = trait_id(random);
            let mut absent = trait_id(random);
            // The same one twice could never be.
            while absent == recent && rules > 1 {
                absent = trait_id(random);
            }
            format!("[{recent}T] <= 7D AND NOT {absent}T")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_takes_the_config() {
        let scenario = Scenario::load("standard").unwrap();
        let address = "127.0.0.1:9".parse().unwrap();
        let text = config(&scenario, &[0], &vec![address; scenario.partners.len()], Path::new("data"));
        assert!(scenario.server.rules >= 10_000 && scenario.server.segments >= 200 && scenario.partners.len() == 3);
        assert_eq!(text, config(&scenario, &[0], &vec![address; scenario.partners.len()], Path::new("data")));
        if let Err(errors) = pinion::config::file::parse(&text, "standard.toml") {
            panic!("{}", errors[0]);
        }
        let mut few = scenario;
        few.server.rules = 100;
        let text = config(&few, &[0], &vec![address; few.partners.len()], Path::new("data"));
        if let Err(errors) = pinion::config::load(&text, "few.toml") {
            panic!("{}", errors[0]);
        }
    }
}
