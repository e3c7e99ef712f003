//! Everything that clients ask for beside the usual calls: each kind of answer that the server gives on a connection
//! that stays open, errors and redirects included, and what that answer must be.

use std::io::Write as _;

use crate::standard::{HOST, ID_SOURCE, ORGANISATION, ORIGIN, REDIRECT_HOST, SYNC_HOST};

/// What an answer must be; anything else is an error of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Below 400, and no `X-Error`.
    Success,
    /// Exactly this status, and `X-Error` or not.
    Exactly { status: u16, has_error: bool },
}

/// Whom a request is about.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The request's own number.
    pub number: u64,
    pub uuid: &'a str,
}

type Write = fn(&mut Vec<u8>, About<'_>);

const fn exactly(status: u16) -> Expected {
    Expected::Exactly { status, has_error: false }
}

const fn error() -> Expected {
    Expected::Exactly { status: 200, has_error: true }
}

/// Each kind, as often as any other.
pub const OTHERS: &[(&str, Expected, Write)] = &[
    ("script", exactly(200), |out, about| {
        get(out, HOST, &format!("/event?{JSON}&d_cb=s_c_il%5B1%5D.cb&c_n={}", about.number), &page(Some(about)));
    }),
    ("script for a page that may not read", error(), |out, about| {
        let elsewhere = "Referer: https://elsewhere.example/\r\n";
        get(out, HOST, &format!("/event?{JSON}&d_cb=cb&c_n={}", about.number), elsewhere);
    }),
    ("cookie test of /id", exactly(302), |out, _| get(out, SYNC_HOST, &id("/id", "&d_verify=1"), &page(None))),
    ("failed cookie test of /id", error(), |out, _| get(out, SYNC_HOST, &id("/id/rd", "&d_verify=1"), &page(None))),
    ("passed cookie test of /id", exactly(200), |out, about| {
        get(out, SYNC_HOST, &id("/id/rd", "&d_verify=1"), &page(Some(about)));
    }),
    ("/id of a child", exactly(200), |out, _| get(out, SYNC_HOST, &id("/id", "&d_coppa=true"), &page(None))),
    ("cookie test of a sync", exactly(302), |out, about| {
        get(out, SYNC_HOST, &format!("/ibs:dpid={ID_SOURCE}&dpuuid=o{}", about.number), "");
    }),
    ("confirmed sync", exactly(200), |out, about| {
        let target = format!("/demconf.jpg?et:ibs%7cdata:dpid={ID_SOURCE}&dpuuid=o{}", about.number);
        get(out, SYNC_HOST, &target, &cookie(about));
    }),
    ("sync with a redirect", exactly(302), |out, about| {
        let redirect = format!("https%3A%2F%2F{REDIRECT_HOST}%2Fs%3Fid%3D%24%7BDD_UUID%7D");
        let target = format!("/ibs:dpid={ID_SOURCE}&dpuuid=o{}&redir={redirect}", about.number);
        get(out, SYNC_HOST, &target, &cookie(about));
    }),
    ("sync with a redirect elsewhere", exactly(200), |out, about| {
        let redirect = "https%3A%2F%2Felsewhere.example%2F";
        get(out, SYNC_HOST, &format!("/ibs:dpid={ID_SOURCE}&dpuuid=o&redir={redirect}"), &cookie(about));
    }),
    ("opt-out, now and then", exactly(200), |out, about| {
        // Of visitors who never come again: others are not told that they opted out.
        let path = if about.number.is_multiple_of(8) { "/demoptout.jpg" } else { "/optOutStatus" };
        get(out, SYNC_HOST, &format!("{path}?d_uuid=9{:037}", about.number), "");
    }),
    ("visitor who opted out", error(), |out, _| {
        get(out, HOST, &format!("/event?{JSON}"), "Cookie: demdex=NOTARGET\r\n")
    }),
    ("refused consent", error(), |out, about| {
        get(out, HOST, &format!("/event?{JSON}&gdpr=1&gdpr_consent=x"), &page(Some(about)));
    }),
    ("GPP and GPC", exactly(200), |out, about| {
        let headers = format!("{}Sec-GPC: 1\r\n", page(Some(about)));
        get(out, HOST, &format!("/event?{JSON}&gdpr=0&gpp=DBABM~x&gpp_sid=7"), &headers);
    }),
    ("bad encoding", error(), |out, about| get(out, HOST, &format!("/event?{JSON}&c_x=%zz"), &page(Some(about)))),
    ("JSON for a body", error(), |out, _| post(out, "application/json", "{\"c_x\":1}")),
    ("form text labelled as text", exactly(200), |out, about| {
        post(out, "text/plain", &format!("{JSON}&c_n={}&d_uuid={}", about.number, about.uuid));
    }),
    ("chunks", exactly(200), |out, about| {
        let head = "Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n";
        let (one, two) = (JSON, format!("&c_n={}&d_uuid={}", about.number, about.uuid));
        let chunks = format!("{:x}\r\n{one}\r\n{:x};a=b\r\n{two}\r\n0\r\n\r\n", one.len(), two.len());
        let _ = write!(out, "POST /event HTTP/1.1\r\nHost: {HOST}\r\n{head}\r\n{chunks}");
    }),
    ("phone", exactly(200), |out, about| {
        let id = "d_cid_ic=DSID_20915%01E4FE9BDE-CAA0-47B6-908D-FFBA3FA184F2%011";
        let call = format!("d_ptfm=ios&d_mid={:x}-a&{id}&d_blob=b&dcs_region=9&c_n={}", about.number, about.number);
        get(out, HOST, &format!("/event?{JSON}&{call}"), "User-Agent: Mozilla/5.0 (iPhone; CPU OS 19_0)\r\n");
    }),
    ("phone with a test's ids", error(), |out, about| {
        get(out, HOST, &format!("/event?{JSON}&d_ptfm=android&d_uuid=testUuid&c_n={}", about.number), "");
    }),
    ("declared ids", exactly(200), |out, about| {
        let ids = format!("d_cid={ID_SOURCE}%01crm-{}%011&d_dpid={ID_SOURCE}&d_dpuuid=o", about.number % 1_000);
        get(out, HOST, &format!("/event?{JSON}&d_uuid={}&{ids}&c_n={}", about.uuid, about.number), "");
    }),
    ("declared ids that are wrong", error(), |out, about| {
        get(out, HOST, &format!("/event?{JSON}&d_uuid={}&d_cid=999%01x&c_n={}", about.uuid, about.number), "");
    }),
    ("/firstevent", exactly(200), |out, about| {
        get(out, HOST, &format!("/firstevent?{JSON}&c_n={}", about.number), &page(Some(about)));
    }),
    ("click", exactly(302), |out, about| {
        let to = format!("https%253A%252F%252F{REDIRECT_HOST}%252F%253Fc%253D%2525d_creative%2525");
        get(out, HOST, &format!("/event?d_event=click&d_creative=7&c_n={}&d_rd={to}", about.number), &cookie(about));
    }),
    ("host of nobody", error(), |out, _| get(out, "nobody.pinion.localhost", &format!("/event?{JSON}"), "")),
    ("preflight", exactly(204), |out, _| {
        let asks = "Access-Control-Request-Method: POST\r\n";
        let _ = write!(out, "OPTIONS /event HTTP/1.1\r\nHost: {HOST}\r\nOrigin: {ORIGIN}\r\n{asks}\r\n");
    }),
    ("no such path", exactly(404), |out, _| get(out, HOST, "/nothing/here", "")),
    ("no such method there", exactly(405), |out, _| {
        let _ = write!(out, "DELETE /event HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    }),
    ("iframe", exactly(200), |out, _| get(out, HOST, "/dest5.html?d_nsid=0", "")),
    ("tag", exactly(200), |out, _| get(out, HOST, "/pinion.js", "")),
    ("robots", exactly(200), |out, _| get(out, HOST, "/robots.txt", "")),
    ("policy", exactly(200), |out, _| get(out, HOST, "/w3c/p3p.xml", "")),
    ("icon", exactly(204), |out, _| get(out, HOST, "/favicon.ico", "")),
];

const JSON: &str = "d_rtbd=json&d_jsonv=1&d_dst=1&d_cts=2";

fn get(out: &mut Vec<u8>, host: &str, target: &str, headers: &str) {
    let _ = write!(out, "GET {target} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n");
}

fn post(out: &mut Vec<u8>, content_type: &str, body: &str) {
    let head = format!("Content-Type: {content_type}\r\nContent-Length: {}\r\n", body.len());
    let _ = write!(out, "POST /event?d_rtbd=json HTTP/1.1\r\nHost: {HOST}\r\n{head}\r\n{body}");
}

fn id(path: &str, more: &str) -> String {
    format!("{path}?d_visid_ver=5.5.0&d_rtbd=json&d_ver=2&d_orgid={ORGANISATION}{more}")
}

fn cookie(about: About<'_>) -> String {
    format!("Cookie: demdex={}\r\n", about.uuid)
}

/// The headers of a page that may read.
fn page(about: Option<About<'_>>) -> String {
    let cookie = about.map(cookie).unwrap_or_default();
    format!("Origin: {ORIGIN}\r\nReferer: {ORIGIN}/page\r\n{cookie}")
}

impl Expected {
    /// Whether the status is right, and whether `X-Error` is.
    pub fn judge(self, status: u16, has_error: bool) -> (bool, bool) {
        match self {
            Expected::Success => (status < 400, !has_error),
            Expected::Exactly { status: due, has_error: error_due } => (status == due, has_error == error_due),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pinion::http::Progress;
    use pinion::http::request::{self, Parsed};

    #[test]
    fn each_request_is_one_and_leaves_the_connection_open() {
        let about = About { number: u64::MAX, uuid: "00000000000000000010000000000000000002" };
        for (name, _, write) in OTHERS {
            let mut out = Vec::new();
            write(&mut out, about);
            assert!(out.len() <= crate::requests::REQUEST_BYTES_MAX, "{name}");
            let parsed = request::parse(&out, &mut Progress::default());
            let Parsed::Complete { request, consumed } = parsed else { panic!("{name}: {parsed:?}") };
            assert!(consumed == out.len() && request.keep_alive, "{name}");
        }
    }

    #[test]
    fn an_answer_must_be_what_is_due() {
        assert_eq!(Expected::Success.judge(302, false), (true, true));
        assert_eq!(Expected::Success.judge(404, true), (false, false));
        assert_eq!(error().judge(200, true), (true, true));
        assert_eq!(error().judge(200, false), (true, false));
        assert_eq!(exactly(404).judge(200, false), (false, true));
    }
}
