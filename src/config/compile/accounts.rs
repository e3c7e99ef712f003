//! What of the server's and an account's tables needs no compiler.

use toml::Spanned;

use super::super::file;
use super::Places;
use super::rules::AccountRules;
use crate::destination::Destinations;
use crate::id_sync::IdSyncs;
use crate::identity::Secret;
use crate::ids::PartnerIndex;
use crate::meters::Rate;
use crate::page;
use crate::privacy::{Platforms, Policy, Uses};
use crate::ruleset::{Account, Limits, Origins, ServerPolicy};

pub(super) fn server_policy(server: &file::Server, limits: &file::Limits, places: &Places<'_>) -> ServerPolicy {
    ServerPolicy {
        base_domain: server.base_domain.get_ref().as_str().into(),
        default_account: server.default_account.as_ref().and_then(|alias| places.account(alias)),
        node: server.node.get_ref().as_str().into(),
        region: server.region,
        trusted_proxies: server.trusted_proxies.as_slice().into(),
        partitioned: server.partitioned,
        limits: self::limits(limits),
    }
}

fn limits(limits: &file::Limits) -> Limits {
    Limits {
        declared_ids: Rate::per_minute(limits.declared_id_calls_per_minute),
        device_ids: Rate::per_minute(limits.device_id_calls_per_minute),
        profiles: Rate::per_minute(limits.profile_calls_per_minute),
        deny_ns: u64::from(*limits.deny_s.get_ref()) * 1_000_000_000,
        servers: Rate::per_minute(limits.server_calls_per_minute),
        browsers: Rate::per_minute(limits.browser_calls_per_minute),
        opt_outs: Rate::per_minute(limits.opt_outs_per_minute),
    }
}

pub(super) fn assemble(
    server: &file::Server,
    account: &file::Account,
    (rules, destinations, id_syncs): (AccountRules, Destinations, IdSyncs),
    partners: Box<[PartnerIndex]>,
    secret: &Secret,
) -> Account {
    let AccountRules { matcher, program, merged, segments } = rules;
    let organisation = account.organisation.get_ref();
    let origins = origins(&account.allowed_origins);
    Account {
        alias: account.alias.get_ref().as_str().into(),
        organisation: organisation.as_bytes().into(),
        ecid_key: secret.ecid_key(organisation),
        frame_policy: page::frame_policy((!origins.any).then_some(&origins.list)),
        origins,
        budget_ns: u64::from(*account.budget_ms.get_ref()) * 1_000_000,
        reserve_ns: u64::from(*account.reserve_ms.get_ref()) * 1_000_000,
        jsonp_without_referer: account.jsonp_without_referer,
        cookie_wins: account.browser_ids == file::BrowserIds::CookieWins,
        token: account.token.as_ref().map(|token| token.0.as_bytes().into()),
        server_addresses: account.server_addresses.as_slice().into(),
        redirect_hosts: boxed(&account.redirect_hosts),
        privacy: privacy(server, account),
        matcher,
        program,
        merged,
        segments,
        partners,
        destinations,
        id_syncs,
    }
}

fn privacy(server: &file::Server, account: &file::Account) -> Policy {
    let refused = |is_honoured: bool| if is_honoured { Uses::THIRD_PARTIES } else { Uses::NONE };
    Policy {
        vendor_id: account.vendor_id.as_ref().map(|id| *id.get_ref()),
        gpc_refuses: refused(server.honour_gpc),
        dnt_refuses: refused(server.honour_dnt),
        platforms: Platforms::new(ids(&server.cmp_ids), ids(&server.cmp_ids_deleted)),
    }
}

fn ids(list: &[Spanned<u16>]) -> impl Iterator<Item = u16> {
    list.iter().map(|id| *id.get_ref())
}

fn origins(allowed: &[Spanned<String>]) -> Origins {
    let any = allowed.iter().any(|origin| origin.get_ref() == "*");
    let list = allowed.iter().map(|origin| as_sent(origin.get_ref()).into());
    Origins { any, list: if any { Box::default() } else { list.collect() } }
}

/// Browsers leave out the port that the scheme implies.
fn as_sent(origin: &str) -> &str {
    let implied = if origin.starts_with("https://") { ":443" } else { ":80" };
    origin.strip_suffix(implied).unwrap_or(origin)
}

pub(super) fn boxed(texts: &[Spanned<String>]) -> Box<[Box<str>]> {
    texts.iter().map(|text| text.get_ref().as_str().into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_kept_as_browsers_send_them() {
        let list = |texts: &[&str]| {
            let texts: Vec<_> = texts.iter().map(|text| Spanned::new(0..0, (*text).to_owned())).collect();
            origins(&texts)
        };
        let origins = list(&["https://a.example:443", "http://b.example:80", "http://[::80]", "http://c.example:443"]);
        assert!(origins.allows(b"https://a.example") && origins.allows(b"http://b.example"));
        assert!(origins.allows(b"http://[::80]") && origins.allows(b"http://c.example:443"));
        assert!(!origins.allows(b"https://a.example:443") && !origins.any);
        assert!(list(&["*"]).allows(b"https://x.example"));
        assert!(!list(&[]).allows(b"https://x.example"));
    }
}
