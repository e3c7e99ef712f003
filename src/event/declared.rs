//! Declared ids: what a call says its visitor is known as at some data source. Only taken apart here; whether a data
//! source exists, may be named and has such ids is for `identity` to say.

/// How a declared id names its data source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `d_cid`, `d_dpid` and `dpid`: by number.
    DataSource,
    /// `d_cid_ic`: by integration code.
    IntegrationCode,
    /// `d_cid_ns`: by name space.
    Namespace,
}

/// Whether the visitor is signed in under a declared id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Authentication {
    #[default]
    Unknown,
    Authenticated,
    LoggedOut,
}

/// One declared id as the call gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeclaredId<'a> {
    pub scope: Scope,
    pub source: &'a [u8],
    /// `None`: the call declares a state for this source and no id. Empty: the id is malformed, which is error 300.
    pub id: Option<&'a [u8]>,
    pub authentication: Authentication,
}

impl<'a> DeclaredId<'a> {
    /// Takes apart `SOURCE 01 ID [01 STATE]` or `SOURCE 01 STATE`, where 01 is that byte or, from clients that encode
    /// twice, the text `%01`.
    pub fn parse(scope: Scope, value: &'a [u8]) -> Self {
        let malformed = |source| DeclaredId { scope, source, id: Some(&[]), authentication: Authentication::default() };
        let (source, Some(rest)) = split(value) else { return malformed(value) };
        match split(rest) {
            (state, None) if let Some(authentication) = parse_state(state) => {
                DeclaredId { scope, source, id: None, authentication }
            }
            (id, None) => DeclaredId { scope, source, id: Some(id), authentication: Authentication::default() },
            (_, Some(state)) if split(state).1.is_some() => malformed(source),
            (id, Some(state)) => {
                let authentication = parse_state(state).unwrap_or_default();
                DeclaredId { scope, source, id: Some(id), authentication }
            }
        }
    }
}

/// What stands before the first separator, and what stands after it.
fn split(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    for (at, &byte) in text.iter().enumerate() {
        let separator = match byte {
            1 => 1,
            b'%' if text[at..].starts_with(b"%01") => 3,
            _ => continue,
        };
        return (&text[..at], Some(&text[at + separator..]));
    }
    (text, None)
}

fn parse_state(text: &[u8]) -> Option<Authentication> {
    match text {
        b"0" => Some(Authentication::Unknown),
        b"1" => Some(Authentication::Authenticated),
        b"2" => Some(Authentication::LoggedOut),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, source: &str, id: Option<&str>, authentication: Authentication) {
        let expected = DeclaredId {
            scope: Scope::DataSource,
            source: source.as_bytes(),
            id: id.map(str::as_bytes),
            authentication,
        };
        for value in [value.replace('|', "\x01"), value.replace('|', "%01")] {
            assert_eq!(DeclaredId::parse(Scope::DataSource, value.as_bytes()), expected, "{value:?}");
        }
    }

    #[test]
    fn ids_are_taken_apart_at_either_separator() {
        check("12|joe", "12", Some("joe"), Authentication::Unknown);
        check("12|joe|1", "12", Some("joe"), Authentication::Authenticated);
        check("12|joe|2", "12", Some("joe"), Authentication::LoggedOut);
        check("12|joe|0", "12", Some("joe"), Authentication::Unknown);
        check("12|joe|9", "12", Some("joe"), Authentication::Unknown);
        check("12|1", "12", None, Authentication::Authenticated);
        check("12|3", "12", Some("3"), Authentication::Unknown);
        check("12|2|1", "12", Some("2"), Authentication::Authenticated);
        check("12|", "12", Some(""), Authentication::Unknown);
        check("12||1", "12", Some(""), Authentication::Authenticated);
        check("|joe", "", Some("joe"), Authentication::Unknown);
        check("12", "12", Some(""), Authentication::Unknown);
        check("12|joe|1|x", "12", Some(""), Authentication::Unknown);
    }

    #[test]
    fn the_separators_may_be_mixed() {
        let id = DeclaredId::parse(Scope::Namespace, b"crm%01a b\x011");
        assert_eq!(
            (id.source, id.id, id.authentication),
            (&b"crm"[..], Some(&b"a b"[..]), Authentication::Authenticated)
        );
    }
}
