//! Whom a call is about: the protocol's order of `d_uuid`, `d_mid`, cookie, declared id, new.
//!
//! An id in a call is a claim. It never replaces a valid cookie, and without a cookie it becomes one only for a page
//! whose origin is listed; else any page could hand its visitors somebody else's identity.

use smallvec::SmallVec;

use super::job::{Access, Context, Visitor};
use super::prepare::{Caller, Prepared};
use crate::event::cookie::VisitorCookie;
use crate::event::declared::{Authentication, DeclaredId, Scope};
use crate::event::errors::{ErrorCode, ErrorSet};
use crate::identity::{AuthState, Generator, IdHash, KeyedHash, Mid, TableHash, Uuid};
use crate::ids::{AccountIndex, DataSourceId, ShardId};
use crate::limits::{DECLARED_ID_BYTES_MAX, DECLARED_IDS_MAX, DECLARED_IDS_PER_NAMESPACE_MAX, DECLARED_IDS_READ_MAX};
use crate::privacy::Use;
use crate::ruleset::{DataSource, IdFormat, Resolve, Ruleset};

/// A declared id that passed all checks.
#[derive(Clone, Copy, Debug)]
pub(super) struct ValidId<'a> {
    pub source: DataSourceId,
    pub id: &'a [u8],
    pub authentication: AuthState,
    /// Which of the call's declared ids it is.
    pub place: u8,
}

/// A state that a call declares without an id: it is said of the latest one that the visitor has of the data source.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    pub source: DataSourceId,
    pub authentication: AuthState,
    /// As [`ValidId::place`].
    pub place: u8,
}

const _: () = assert!(DECLARED_IDS_READ_MAX <= u64::BITS as usize, "a context has one bit for each id of its call");

/// Reads `d_uuid`, `d_mid` and the cookie: whom they name, the one that counts first.
pub(super) fn claims(
    prepared: &Prepared<'_>,
    cookie: Option<Uuid>,
    errors: &mut ErrorSet,
) -> impl Iterator<Item = Uuid> + use<> {
    let call = &prepared.call;
    let named = call.uuid.and_then(|text| {
        let uuid = Uuid::parse(text);
        if uuid.is_none() {
            errors.insert(ErrorCode::UuidInvalid);
        }
        uuid
    });
    let by_mid = call.mid.and_then(|text| {
        let mid = Mid::classify(text);
        if mid == Mid::Invalid {
            errors.insert(ErrorCode::EcidInvalid);
        }
        prepared.ecid_key.resolve(mid)
    });
    let cookie_wins = prepared.account.cookie_wins && prepared.caller() == Caller::Browser;
    let first = if cookie_wins { cookie } else { None };
    [first, named, by_mid, cookie].into_iter().flatten()
}

/// The visitor's cookie, where it may be used.
pub(super) fn cookie_of(prepared: &Prepared<'_>) -> Option<Uuid> {
    if !prepared.decision.allows(Use::ReadCookies) {
        return None;
    }
    match prepared.cookies.demdex? {
        VisitorCookie::Uuid(text) => Uuid::parse(text),
        VisitorCookie::OptedOut => None,
    }
}

/// The first declared id by which this caller may find a visitor: an error when it presents a wrong token.
pub(super) fn resolvable(
    prepared: &Prepared<'_>,
    context: &Context,
    hash: &IdHash,
) -> Result<KeyedHash, Option<ErrorCode>> {
    if prepared.caller() != Caller::Server {
        return Err(None);
    }
    let account = prepared.account;
    let token = prepared.request.fields.authorization.and_then(bearer_token);
    let has_token = account.token.as_deref().is_some_and(|own| token.is_some_and(|given| same_secret(own, given)));
    if token.is_some() && account.token.is_some() && !has_token {
        return Err(Some(ErrorCode::TokenInvalid));
    }
    let is_trusted = has_token || account.server_addresses.iter().any(|network| network.contains(context.address));
    let may_resolve = |id: &&ValidId<'_>| match prepared.rules.data_sources[&id.source].resolve {
        Resolve::Never => false,
        Resolve::Server => is_trusted,
        Resolve::Any => true,
    };
    prepared.ids_allowed(context).find(may_resolve).map(|id| hash.declared(id.source, id.id)).ok_or(None)
}

/// The person who is signed in by this call: of several the first.
pub(super) fn signed_in<'p, 'a>(prepared: &'p Prepared<'a>, context: &Context) -> Option<&'p ValidId<'a>> {
    let is_person = |id: &&ValidId<'_>| {
        id.authentication == AuthState::Authenticated && prepared.rules.names_persons(id.source, prepared.account_index)
    };
    prepared.ids_allowed(context).find(is_person)
}

/// The states that a call declares without ids, of data sources that it may name.
pub(super) fn states(prepared: &Prepared<'_>) -> impl Iterator<Item = State> {
    let account = Some(prepared.account_index);
    let declared_ids = prepared.call.declared_ids.iter().enumerate();
    declared_ids.filter(|(_, declared)| declared.id.is_none()).filter_map(move |(place, declared)| {
        let source = data_source(prepared.rules, account, declared).ok().filter(|source| !source.is_blocked)?;
        Some(State { source: source.id, authentication: state_of(declared), place: place as u8 })
    })
}

/// RFC 6750; the scheme's name is in any case (RFC 9110, section 11.1).
fn bearer_token(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// Compares in a time that does not tell how much agreed.
fn same_secret(own: &[u8], given: &[u8]) -> bool {
    own.len() == given.len() && own.iter().zip(given).fold(0, |different, (a, b)| different | (a ^ b)) == 0
}

/// Who the visitor is in the end, and which cookie to set.
pub(super) fn settle(
    prepared: &Prepared<'_>,
    claim: Option<(Uuid, bool)>,
    cookie: Option<Uuid>,
    draw: impl FnOnce() -> Uuid,
) -> Visitor {
    let may_set = prepared.decision.allows(Use::SetCookies);
    match claim {
        Some((uuid, declared)) => {
            let claimed = (!declared && prepared.origin_is_listed()).then_some(uuid);
            let cookie = if may_set { cookie.or(claimed) } else { None };
            Visitor { uuid, is_new: false, cookie, access: Access::Full }
        }
        None => {
            let uuid = draw();
            let cookie = may_set.then_some(cookie.unwrap_or(uuid));
            Visitor { uuid, is_new: true, cookie, access: Access::Full }
        }
    }
}

/// Draws a uuid that this shard owns, so that a new visitor's requests need no other core.
pub(super) fn draw(generator: &mut Generator, shard: ShardId, hash: &TableHash, shards: u16) -> Uuid {
    generator.uuid_owned_by(shard, hash, shards)
}

/// Checks declared ids: name-space limit first, then ten, and only valid ids count. Where no account calls, that of the
/// data source does.
pub(super) fn valid_ids<'a>(
    rules: &Ruleset,
    account: Option<AccountIndex>,
    declared_ids: &[DeclaredId<'a>],
    valid: &mut SmallVec<[ValidId<'a>; DECLARED_IDS_MAX]>,
    errors: &mut ErrorSet,
) {
    // As most calls.
    if declared_ids.is_empty() {
        return;
    }
    let mut found = 0u32;
    let mut invalid = 0u32;
    let mut spaces: SmallVec<[(DataSourceId, usize); DECLARED_IDS_READ_MAX]> = SmallVec::new();
    for (place, declared) in declared_ids.iter().enumerate() {
        let Some(text) = declared.id else {
            // A state alone is no id, neither a good one nor a bad one.
            let source = data_source(rules, account, declared);
            let blocked = source.map(|source| source.is_blocked.then_some(ErrorCode::DataSourceBlocked));
            blocked.unwrap_or_else(Some).into_iter().for_each(|code| errors.insert(code));
            continue;
        };
        let id = match check(rules, account, declared, text) {
            Ok(id) => ValidId { place: place as u8, ..id },
            Err(code) => {
                errors.insert(code);
                if code == ErrorCode::GlobalDeviceIdInvalid {
                    errors.insert(ErrorCode::DeclaredIdInvalid);
                }
                invalid += 1;
                continue;
            }
        };
        // A data source is one name space, by whichever of its names it is called.
        let space = spaces.iter().position(|(source, _)| *source == id.source).unwrap_or(spaces.len());
        if space == spaces.len() {
            spaces.push((id.source, 0));
        }
        spaces[space].1 += 1;
        if spaces[space].1 > DECLARED_IDS_PER_NAMESPACE_MAX {
            errors.insert(ErrorCode::NamespaceOverLimit);
            continue;
        }
        found += 1;
        if valid.len() < DECLARED_IDS_MAX {
            valid.push(id);
        }
    }
    if found as usize > DECLARED_IDS_MAX {
        errors.insert_too_many_ids(found);
    }
    if invalid > 0 && valid.is_empty() {
        errors.insert(ErrorCode::DeclaredIdsAllInvalid);
    }
}

/// The data source that a declared id or a state names, if the account may name it.
fn data_source<'r>(
    rules: &'r Ruleset,
    account: Option<AccountIndex>,
    declared: &DeclaredId<'_>,
) -> Result<&'r DataSource, ErrorCode> {
    let number = || std::str::from_utf8(declared.source).ok().and_then(|text| text.parse::<u32>().ok());
    let source = match declared.scope {
        Scope::DataSource => number().map(DataSourceId),
        Scope::IntegrationCode => account.and_then(|account| rules.integration_code(account, declared.source)),
        Scope::Namespace => account.zip(number()).and_then(|named| rules.name_spaces.get(&named).copied()),
    };
    let source = source.and_then(|id| rules.data_sources.get(&id)).ok_or(ErrorCode::DeclaredIdInvalid)?;
    if source.account.zip(account).is_some_and(|(owner, caller)| owner != caller) {
        return Err(ErrorCode::DeclaredIdUnauthorised);
    }
    Ok(source)
}

fn check<'a>(
    rules: &Ruleset,
    account: Option<AccountIndex>,
    declared: &DeclaredId<'a>,
    text: &'a [u8],
) -> Result<ValidId<'a>, ErrorCode> {
    let source = data_source(rules, account, declared)?;
    let blank = text.iter().all(u8::is_ascii_whitespace);
    if blank || text.contains(&b':') || text.len() > DECLARED_ID_BYTES_MAX {
        return Err(ErrorCode::DeclaredIdInvalid);
    }
    if source.format != IdFormat::Any && !source.format.accepts(text) {
        return Err(ErrorCode::GlobalDeviceIdInvalid);
    }
    Ok(ValidId { source: source.id, id: text, authentication: state_of(declared), place: 0 })
}

fn state_of(declared: &DeclaredId<'_>) -> AuthState {
    match declared.authentication {
        Authentication::Unknown => AuthState::Unknown,
        Authentication::Authenticated => AuthState::Authenticated,
        Authentication::LoggedOut => AuthState::LoggedOut,
    }
}
