//! Which of the server's few paths a request is for, and which methods that path takes. Paths are compared exactly:
//! neither case, nor escapes, nor a trailing slash are forgiven.

use super::ibs::SyncText;
use crate::http::Method;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint<'a> {
    /// `/event`: collect, look partners up, evaluate, answer.
    Event,
    /// `/firstevent`: `/event` again, after its cookie test.
    FirstEvent,
    /// `/id`: the visitor's ECID.
    Id,
    /// `/id/rd`: `/id` again, after its cookie test.
    IdRedirected,
    /// `/ibs:TEXT`: map a partner's id to the visitor.
    Sync(SyncText<'a>),
    /// `/demconf.jpg?et:ibs%7cdata:TEXT`: `/ibs` again, after its cookie test.
    SyncConfirmed(SyncText<'a>),
    /// `/demoptout.jpg` and `/demoptout`.
    OptOut,
    /// `/optOutStatus`: the opt-out state, read only.
    OptOutStatus,
    /// `/dest3.html` to `/dest5.html`: the iframe.
    Frame,
    /// `/pinion.js`: the project's own tag.
    Tag,
    Robots,
    PrivacyPolicy,
    Icon,
}

/// What the HTTP method makes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Serve,
    /// OPTIONS: a CORS preflight, answered with the methods that are allowed.
    Preflight {
        allow: &'static str,
    },
    /// 405 with this `Allow`.
    NotAllowed {
        allow: &'static str,
    },
}

impl<'a> Endpoint<'a> {
    /// `None` is 404. `query` is what follows the first `?`, if there is one.
    pub fn parse(path: &'a [u8], query: Option<&'a [u8]>) -> Option<Self> {
        Some(match path {
            b"/event" => Endpoint::Event,
            b"/firstevent" => Endpoint::FirstEvent,
            b"/id" => Endpoint::Id,
            b"/id/rd" => Endpoint::IdRedirected,
            b"/demoptout.jpg" | b"/demoptout" => Endpoint::OptOut,
            b"/optOutStatus" => Endpoint::OptOutStatus,
            b"/dest3.html" | b"/dest4.html" | b"/dest5.html" => Endpoint::Frame,
            b"/pinion.js" => Endpoint::Tag,
            b"/robots.txt" => Endpoint::Robots,
            b"/w3c/p3p.xml" => Endpoint::PrivacyPolicy,
            b"/favicon.ico" => Endpoint::Icon,
            b"/demconf.jpg" => Endpoint::SyncConfirmed(SyncText { head: confirmed_sync(query?)?, tail: None }),
            _ => Endpoint::Sync(SyncText { head: path.strip_prefix(b"/ibs:")?, tail: query }),
        })
    }

    pub fn admit(self, method: Method) -> Admission {
        let posts = matches!(self, Endpoint::Event | Endpoint::Id | Endpoint::IdRedirected);
        let allow = if posts { "GET, HEAD, POST, OPTIONS" } else { "GET, HEAD, OPTIONS" };
        match method {
            Method::Get | Method::Head => Admission::Serve,
            Method::Post if posts => Admission::Serve,
            Method::Options => Admission::Preflight { allow },
            Method::Post | Method::Connect | Method::Other => Admission::NotAllowed { allow },
        }
    }
}

/// The sync that the second hop of its cookie test carries. The bar occurs escaped in either case and plain.
fn confirmed_sync(query: &[u8]) -> Option<&[u8]> {
    let rest = query.strip_prefix(b"et:ibs")?;
    [&b"%7cdata:"[..], b"%7Cdata:", b"|data:"].iter().find_map(|&prefix| rest.strip_prefix(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &'static str, query: Option<&'static str>) -> Option<Endpoint<'static>> {
        Endpoint::parse(path.as_bytes(), query.map(str::as_bytes))
    }

    #[test]
    fn paths_are_compared_exactly() {
        assert_eq!(parse("/event", None), Some(Endpoint::Event));
        assert_eq!(parse("/id/rd", Some("a=b")), Some(Endpoint::IdRedirected));
        assert_eq!(parse("/dest4.html", None), Some(Endpoint::Frame));
        assert_eq!(parse("/optOutStatus", None), Some(Endpoint::OptOutStatus));
        for unknown in
            ["", "/", "/event/", "//event", "/Event", "/%65vent", "/event;x", "/ibs", "/ib%73:x", "/optoutstatus", "*"]
        {
            assert_eq!(parse(unknown, None), None, "{unknown}");
        }
    }

    #[test]
    fn syncs_keep_their_text_as_it_came() {
        let text = |head: &'static str, tail: Option<&'static str>| SyncText {
            head: head.as_bytes(),
            tail: tail.map(str::as_bytes),
        };
        assert_eq!(parse("/ibs:dpid=1", None), Some(Endpoint::Sync(text("dpid=1", None))));
        assert_eq!(parse("/ibs:", Some("dpid=1")), Some(Endpoint::Sync(text("", Some("dpid=1")))));
        let confirmed = Some(Endpoint::SyncConfirmed(text("dpid=1?x", None)));
        for query in ["et:ibs%7cdata:dpid=1?x", "et:ibs%7Cdata:dpid=1?x", "et:ibs|data:dpid=1?x"] {
            assert_eq!(parse("/demconf.jpg", Some(query)), confirmed);
        }
        assert_eq!(parse("/demconf.jpg", None), None);
        assert_eq!(parse("/demconf.jpg", Some("dpid=1")), None);
    }

    #[test]
    fn each_endpoint_takes_its_methods() {
        let id = Endpoint::Id;
        assert_eq!(id.admit(Method::Get), Admission::Serve);
        assert_eq!(id.admit(Method::Post), Admission::Serve);
        assert_eq!(id.admit(Method::Head), Admission::Serve);
        assert_eq!(id.admit(Method::Options), Admission::Preflight { allow: "GET, HEAD, POST, OPTIONS" });
        assert_eq!(id.admit(Method::Other), Admission::NotAllowed { allow: "GET, HEAD, POST, OPTIONS" });
        assert_eq!(Endpoint::FirstEvent.admit(Method::Post), Admission::NotAllowed { allow: "GET, HEAD, OPTIONS" });
        assert_eq!(Endpoint::Robots.admit(Method::Connect), Admission::NotAllowed { allow: "GET, HEAD, OPTIONS" });
    }
}
