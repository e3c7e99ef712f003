//! Checks of one partner.

use toml::Spanned;

use super::super::file::{AnswerFormat, Method, Mode, Partner, UserId};
use super::super::global::is_global;
use super::super::reader::Faults;
use super::{Known, check_filled, check_range, check_text, check_vendor, text, written};
use crate::limits::PARTNER_BODY_BYTES_MAX;
use crate::partner::url;

const TIMEOUT_MS_MAX: u32 = 60_000;
const IDLE_MS_MAX: u32 = 3_600_000;
const CONNECTIONS_MAX: u32 = 65_535;
const QUEUE_MAX: u32 = 65_535;

/// Headers that decide how a request is framed or routed: the server writes them itself.
const OWN_HEADERS: [&str; 9] = [
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
];

pub(super) fn check(entry: &Partner, known: &Known<'_>, faults: &mut Faults<'_>) {
    let account = entry.account.get_ref().as_str();
    known.check_account(&entry.account, faults);
    known.check_data_source(&entry.data_source, account, faults);
    // The name becomes part of the signal key under which rules see the partner's segments.
    check_text(&entry.name, text::is_key, "1 to 64 letters, digits and `_`, `.`, `-`", faults);
    check_vendor(&entry.vendor_id, faults);
    check_request(entry, known, faults);
    check_ids(entry, known, faults);
    check_answer(entry, faults);
    check_times(entry, known, faults);
    check_pool(entry, faults);
}

fn check_request(entry: &Partner, known: &Known<'_>, faults: &mut Faults<'_>) {
    let account = entry.account.get_ref().as_str();
    if let Some(scheme) = url::tls_scheme(entry.url.get_ref()) {
        let hint = "write http:// where the network can be trusted, or the address of a proxy that speaks TLS to it";
        faults.add_within(&entry.url, scheme, url::TLS_FAULT, hint);
    } else {
        check_text(&entry.url, text::is_web_url, "a URL that begins with http:// and a host", faults);
    }
    known.check_template(&entry.url, account, faults);
    for (name, value) in &entry.headers {
        check_header(name, value, faults);
        known.check_template(value, account, faults);
    }
    if let Some(body) = &entry.body {
        known.check_template(body, account, faults);
        if entry.method == Method::Get {
            faults.add(body.span(), "a GET has no body", "take it away, or write `method = \"POST\"`");
        }
    }
    if let Some(addresses) = &entry.addresses
        && addresses.get_ref().is_empty()
    {
        faults.add(addresses.span(), "the list of addresses is empty", "leave `addresses` out to ask DNS");
    }
}

/// The ids of the default body.
fn check_ids(entry: &Partner, known: &Known<'_>, faults: &mut Faults<'_>) {
    let account = entry.account.get_ref().as_str();
    let sent = entry.id_source.iter().chain(entry.eids.iter().map(|sent| &sent.data_source));
    for id in sent.filter(|id| !is_global(*id.get_ref())) {
        known.check_data_source(id, account, faults);
    }
    entry.eids.iter().for_each(|sent| check_filled(&sent.source, faults));
    match (entry.user_id.get_ref(), &entry.id_source) {
        (UserId::Declared, None) => {
            faults.add(entry.user_id.span(), "`id_source` is missing", "say whose declared id is sent");
        }
        (UserId::Declared, Some(_)) | (_, None) => {}
        (_, Some(id)) => {
            faults.add(id.span(), "`id_source` is not looked at", "write `user_id = \"declared\"` to send it");
        }
    }
    let is_default_body = entry.body.is_none() && entry.method == Method::Post;
    let written = [
        Some(entry.user_id.span()).filter(|_| *entry.user_id.get_ref() != UserId::Uuid),
        entry.eids.first().map(|sent| sent.data_source.span()),
    ];
    for span in written.into_iter().flatten().filter(|_| !is_default_body) {
        let hint = "leave `body` out, or name ids by macros: %did%, %mcid%, %dpid_N%";
        faults.add(span, "this is for the default body, which the partner is not sent", hint);
    }
}

fn check_header(name: &Spanned<String>, value: &Spanned<String>, faults: &mut Faults<'_>) {
    check_text(name, text::is_token, "a header's name: letters, digits and !#$%&'*+-.^_`|~", faults);
    if OWN_HEADERS.contains(&name.get_ref().to_ascii_lowercase().as_str()) {
        let hint =
            if name.get_ref().eq_ignore_ascii_case("content-type") { "set `content_type`" } else { "take it away" };
        faults.add(name.span(), format!("`{}` is written by the server itself", name.get_ref()), hint);
    }
    if value.get_ref().bytes().any(|byte| byte < b' ' && byte != b'\t' || byte == 0x7f) {
        faults.add(value.span(), "a header's value has a control character", "keep it on one line");
    }
}

fn check_answer(entry: &Partner, faults: &mut Faults<'_>) {
    for status in &entry.status_empty {
        match status.get_ref() {
            200 => faults.add(status.span(), "200 carries answers", "only other statuses can mean 'nothing known'"),
            100..=199 => faults.add(status.span(), "a 1xx status is no answer", "it is 201 to 599"),
            _ => check_range(status, 201, 599, faults),
        }
    }
    if let Some(score) = &entry.min_score {
        if entry.format != AnswerFormat::Scored {
            faults.add(score.span(), "only answers of format `scored` have scores", "take `min_score` away");
        }
        if !score.get_ref().is_finite() {
            faults.add(score.span(), "this is no number to compare with", "write a plain number");
        }
    }
    let paths = [&entry.id_path, &entry.ttl_path, &entry.element, &entry.element_ttl];
    for path in entry.segments_paths.iter().chain(paths.into_iter().flatten()) {
        check_filled(path, faults);
    }
    check_range(&entry.answer_bytes_max, 1, PARTNER_BODY_BYTES_MAX as u32, faults);
    check_range(&entry.share_percent, 0, 100, faults);
}

fn check_times(entry: &Partner, known: &Known<'_>, faults: &mut Faults<'_>) {
    check_range(&entry.connect_ms, 1, TIMEOUT_MS_MAX, faults);
    // A ruleset stays in use, and the next one waits, until the last call of the one before it has ended.
    check_range(&entry.late_ms, 0, TIMEOUT_MS_MAX, faults);
    check_range(&entry.idle_ms, 1, IDLE_MS_MAX, faults);
    if let Some(expected) = &entry.expected_ms {
        check_range(expected, 1, TIMEOUT_MS_MAX, faults);
    }
    let min_ms = *entry.min_ms.get_ref();
    if let Some(timeout) = &entry.timeout_ms {
        check_range(timeout, 1, TIMEOUT_MS_MAX, faults);
        if *timeout.get_ref() < min_ms {
            let message = format!("a timeout of {} ms is below `min_ms`, {min_ms}", timeout.get_ref());
            faults.add(timeout.span(), message, "the partner would never be asked");
        }
    }
    if entry.mode != Mode::Background
        && let Some(account) = known.accounts.get(entry.account.get_ref().as_str())
    {
        let budget = account.budget_ms.get_ref().saturating_sub(*account.reserve_ms.get_ref());
        if min_ms > budget {
            // A default `min_ms` is pointed at by the partner's id.
            let span = if entry.min_ms.span().is_empty() { entry.id.span() } else { entry.min_ms.span() };
            let message = format!("`min_ms` is {min_ms}, but the account leaves {budget} ms for partners");
            faults.add(span, message, "the partner would never be asked");
        }
    }
}

fn check_pool(entry: &Partner, faults: &mut Faults<'_>) {
    check_range(&entry.max_connections, 1, CONNECTIONS_MAX, faults);
    check_range(&entry.queue_max, 0, QUEUE_MAX, faults);
    if entry.min_idle.get_ref() > entry.max_connections.get_ref() {
        let span = written(&entry.min_idle, &entry.max_connections);
        let message = format!(
            "`min_idle` is {}, but there are at most {} connections",
            entry.min_idle.get_ref(),
            entry.max_connections.get_ref()
        );
        faults.add(span, message, "`max_connections` is to be at least `min_idle`");
    }
}
