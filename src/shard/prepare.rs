//! What follows from a request's bytes and the ruleset alone: the account, the decoded call, consent, who calls. A pure
//! function, so that a request can be prepared again when it goes on later or on another core.

use std::net::IpAddr;

use smallvec::SmallVec;

use super::identify::{self, ValidId};
use super::job::Context;
use crate::event::CallBuffers;
use crate::event::call::{Call, Headers, Platform, Request as CallRequest};
use crate::event::cookie::CookiesSent;
use crate::event::errors::{ErrorCode, ErrorSet};
use crate::event::form;
use crate::event::host::{self, Site};
use crate::http::Request;
use crate::identity::{EcidKey, Mid};
use crate::ids::{AccountIndex, DataSourceId};
use crate::limits::DECLARED_IDS_MAX;
use crate::partner::settings::Partner;
use crate::privacy::{Decision, Use, Wishes};
use crate::ruleset::{Account, DataSource, Ruleset};

/// A call with all that can be known of it without its visitor.
pub(super) struct Prepared<'a> {
    pub rules: &'a Ruleset,
    pub account_index: AccountIndex,
    pub account: &'a Account,
    pub request: &'a Request<'a>,
    pub call: Call<'a>,
    /// The declared ids of the call that count.
    pub ids: SmallVec<[ValidId<'a>; DECLARED_IDS_MAX]>,
    /// What was wrong with the others.
    pub id_errors: ErrorSet,
    pub cookies: CookiesSent<'a>,
    pub decision: Decision<'a>,
    /// The key of the organisation that the call names, else of the account's own.
    pub ecid_key: &'a EcidKey,
}

/// Who calls: what they can bear as an answer differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    Browser,
    Mobile,
    Server,
}

impl Caller {
    pub(super) fn of(request: &Request<'_>, platform: Option<Platform>) -> Caller {
        let fields = &request.fields;
        let from_page = fields.origin.is_some() || fields.referer.is_some();
        let fetched = [fields.sec_fetch_dest, fields.sec_fetch_mode, fields.sec_fetch_site, fields.sec_fetch_user];
        if platform.is_some_and(Platform::is_mobile) {
            Caller::Mobile
        } else if from_page || fetched.iter().any(Option::is_some) {
            Caller::Browser
        } else {
            Caller::Server
        }
    }
}

impl<'a> Prepared<'a> {
    pub(super) fn caller(&self) -> Caller {
        Caller::of(self.request, self.call.platform)
    }

    /// Whether this is an `/id` rather than an `/event`.
    pub(super) fn is_id(&self) -> bool {
        matches!(self.request.path, b"/id" | b"/id/rd")
    }

    /// The declared ids that count and are not denied.
    pub(super) fn ids_allowed(&self, context: &Context) -> impl Iterator<Item = &ValidId<'a>> {
        let blocked = context.ids_blocked;
        self.ids.iter().filter(move |id| blocked & 1 << id.place == 0)
    }

    /// Whether the call says something of the visitor's ids that her home is to know.
    pub(super) fn declares(&self, context: &Context) -> bool {
        self.ids_allowed(context).next().is_some() || identify::states(self).next().is_some()
    }

    /// Whether the call names an id that is denied.
    pub(super) fn denies(&self, context: &Context, source: DataSourceId, text: &[u8]) -> bool {
        let is_denied = |id: &ValidId<'_>| context.ids_blocked & 1 << id.place != 0;
        context.ids_blocked != 0 && self.ids.iter().any(|id| is_denied(id) && id.source == source && id.id == text)
    }

    /// Whether a partner may be asked about this visitor, and what it said be used.
    pub(super) fn may_use(&self, partner: &Partner) -> bool {
        self.decision.allows(Use::Partners) && self.decision.allows_vendor(partner.vendor_id)
    }

    /// The call's `d_mid`, if it is one that names somebody.
    pub(super) fn mid(&self) -> Option<&'a [u8]> {
        self.call.mid.filter(|mid| matches!(Mid::classify(mid), Mid::ThirtyEightDigits(_) | Mid::Other(_)))
    }

    /// The host of the page that calls: the browser's word for it counts more than the page's own.
    pub(super) fn page_host(&self) -> Option<&[u8]> {
        let origin = self.request.fields.origin.and_then(host::of_url);
        origin.or_else(|| self.call.signal(b"h_referer").and_then(host::of_url))
    }

    /// Whether the page that calls may read the answer.
    pub(super) fn origin_is_listed(&self) -> bool {
        self.request.fields.origin.is_some_and(|origin| self.account.origins.allows(origin))
    }
}

/// The organisation that a call names: `None` when it names none, an error when nobody knows it.
pub(super) type Organisation = Result<Option<AccountIndex>, ErrorCode>;

pub(super) fn organisation(rules: &Ruleset, name: Option<&[u8]>) -> Organisation {
    let find = |name| rules.organisations.get(name).copied().ok_or(ErrorCode::OrganisationInvalid);
    name.map(find).transpose()
}

/// The account that a host name selects; on the host for ids, which is nobody's own, the organisation does.
pub(super) fn account_of_host(
    rules: &Ruleset,
    host: Option<&[u8]>,
    organisation: Organisation,
) -> Result<AccountIndex, ErrorCode> {
    let host = host.ok_or(ErrorCode::HostMissing)?;
    let account = match host::site(host, rules.server.base_domain.as_bytes()) {
        Site::Account(alias) => account_of_alias(rules, alias),
        Site::Ids => organisation?,
        Site::Unknown => None,
        Site::Outside => rules.server.default_account,
    };
    account.ok_or(ErrorCode::HostUnknown)
}

/// The account of an ID sync: on the host for ids it is the data source's, which nobody has of those open to all.
pub(super) fn account_of_sync(
    rules: &Ruleset,
    host: Option<&[u8]>,
    source: Option<&DataSource>,
) -> Result<Option<AccountIndex>, ErrorCode> {
    match host.map(|host| host::site(host, rules.server.base_domain.as_bytes())) {
        Some(Site::Ids) => Ok(source.and_then(|source| source.account)),
        _ => account_of_host(rules, host, Ok(None)).map(Some),
    }
}

/// The account of a request of which only the target was read.
pub(super) fn account_of_target(rules: &Ruleset, request: &Request<'_>) -> Option<AccountIndex> {
    let name = form::pairs(request.query).find(|(key, _)| *key == b"d_orgid").map(|(_, value)| value);
    let mut room = [0; 256];
    let name = match name {
        Some(name) if name.len() <= room.len() => form::Scratch::new(&mut room).decode(name).ok(),
        _ => None,
    };
    account_of_host(rules, request.host, organisation(rules, name)).ok()
}

fn account_of_alias(rules: &Ruleset, alias: &[u8]) -> Option<AccountIndex> {
    if let Some(account) = rules.aliases.get(alias) {
        return Some(*account);
    }
    // Host names compare without case; nearly all arrive in lower case.
    let mut lower = [0; 63];
    let lower = lower.get_mut(..alias.len())?;
    lower.copy_from_slice(alias);
    lower.make_ascii_lowercase();
    rules.aliases.get(&*lower).copied()
}

/// What the call says, whoever's it is.
pub(super) fn decode<'a>(
    request: &'a Request<'a>,
    body: &'a [u8],
    buffers: &mut CallBuffers,
    scratch: &'a mut [u8],
) -> Call<'a> {
    let fields = &request.fields;
    let headers = Headers {
        content_type: fields.content_type,
        host: request.host,
        user_agent: fields.user_agent,
        accept_language: fields.accept_language,
        referer: fields.referer,
        referrer: fields.referrer,
        date: fields.date,
    };
    buffers.decode(&CallRequest { query: request.query, body, headers }, scratch)
}

/// Decodes a call and finds its account. Without one, the call is all there is, and the reason.
#[expect(clippy::result_large_err, reason = "it lives on the stack for one call; boxing would allocate")]
pub(super) fn prepare<'a>(
    rules: &'a Ruleset,
    request: &'a Request<'a>,
    body: &'a [u8],
    buffers: &mut CallBuffers,
    scratch: &'a mut [u8],
) -> Result<Prepared<'a>, (Call<'a>, ErrorCode)> {
    let fields = &request.fields;
    let mut call = decode(request, body, buffers, scratch);
    let organisation = organisation(rules, call.organisation);
    if let Err(code) = organisation {
        call.errors.insert(code);
    }
    let account_index = match account_of_host(rules, request.host, organisation) {
        Ok(index) => index,
        Err(code) => return Err((call, code)),
    };
    let account = &rules.accounts[account_index.0 as usize];
    let named = organisation.ok().flatten().map_or(account, |named| &rules.accounts[named.0 as usize]);
    let (mut ids, mut id_errors) = (SmallVec::new(), ErrorSet::EMPTY);
    identify::valid_ids(rules, Some(account_index), &call.declared_ids, &mut ids, &mut id_errors);
    let cookies = CookiesSent::parse(fields.cookie.iter());
    let wishes = Wishes {
        opted_out: cookies.opted_out() || call.mid == Some(b"NOTARGET"),
        consent: call.consent,
        coppa: call.coppa,
        gpc: fields.sec_gpc == Some(b"1"),
        dnt: fields.dnt == Some(b"1"),
    };
    let decision = Decision::new(&wishes, &account.privacy);
    let ecid_key = &named.ecid_key;
    Ok(Prepared { rules, account_index, account, request, call, ids, id_errors, cookies, decision, ecid_key })
}

/// The visitor's address and whether she came by https: trusted proxies are believed, nobody else.
pub(super) fn origin_of(rules: &Ruleset, peer: IpAddr, request: &Request<'_>) -> (IpAddr, bool) {
    let is_trusted = |address: IpAddr| rules.server.trusted_proxies.iter().any(|network| network.contains(address));
    if !is_trusted(peer) {
        return (peer.to_canonical(), false);
    }
    let secure = request.fields.x_forwarded_proto.is_some_and(|proto| proto.eq_ignore_ascii_case(b"https"));
    // Each proxy appends whom it saw: the last address that is no trusted proxy's is the visitor's.
    let mut visitor = peer;
    for line in request.fields.x_forwarded_for.iter() {
        for part in line.split(|byte| *byte == b',') {
            let address = std::str::from_utf8(part.trim_ascii()).ok().and_then(|text| text.parse::<IpAddr>().ok());
            match address {
                Some(address) if is_trusted(address) && !is_trusted(visitor) => {}
                Some(address) => visitor = address,
                None => visitor = peer,
            }
        }
    }
    (visitor.to_canonical(), secure)
}
