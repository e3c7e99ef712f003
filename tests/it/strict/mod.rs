//! Whether an answer's JSON is what clients decode. The SDKs on phones drop a whole answer over one member of another
//! type; scripts in pages hang on what they can't read. So nothing is forgiven: which members there are, their order,
//! types and forms, and what the headers say of them. Every answer that a test of the server receives goes through
//! here, and what may not pass is shown not to by faults that are planted below.

mod faults;
mod json;

use std::collections::HashSet;

use pinion::event::errors::ErrorCode;

use json::Value;

type Checked = Result<(), String>;
/// A member: its name, whether it must be there, and what it must be.
type Member = (&'static str, bool, fn(&Value) -> Checked);

/// Checks an answer whose head is given as text, status line included, and whose request was for `path`, if known.
pub fn check(head: &str, body: &[u8], path: Option<&str>) -> Checked {
    // Ahead of it there may be the word to go on.
    let head = head.rsplit("\r\n\r\n").next().unwrap_or_default();
    let header = |name: &str| {
        let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    let content_type = header("Content-Type").unwrap_or_default();
    let text = match content_type {
        JSON => body,
        SCRIPT if body.starts_with(b"/**/") => script_argument(body)?,
        _ if content_type.contains("json") => return Err(format!("Content-Type is {content_type}")),
        _ => return Ok(()),
    };
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err("JSON under another status than 200".to_owned());
    }
    if header("X-Content-Type-Options") != Some("nosniff") {
        return Err("a browser may take it for something else".to_owned());
    }
    if body.is_empty() {
        return Ok(());
    }
    let Value::Object(members) = json::parse(text)? else { return Err("no object".to_owned()) };
    let answer = Answer { members };
    let kind = answer.kind()?;
    if path.is_some_and(|path| !kind.is_of(path, content_type == SCRIPT)) {
        return Err(format!("{kind:?} is no answer of {}", path.unwrap_or_default()));
    }
    answer.check(kind)?;
    answer.check_errors(header("X-Error"))?;
    match answer.text("tid") {
        Some(tid) if header("X-TID") != Some(tid) => Err(format!("X-TID is not {tid}")),
        _ => Ok(()),
    }
}

const JSON: &str = "application/json;charset=utf-8";
const SCRIPT: &str = "application/javascript;charset=utf-8";

/// What a callback is called with.
fn script_argument(body: &[u8]) -> Result<&[u8], String> {
    let rest = body.strip_prefix(b"/**/").ok_or("no comment ahead of the callback")?;
    let open = rest.iter().position(|byte| *byte == b'(').ok_or("nothing is called")?;
    let (callback, call) = rest.split_at(open);
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_$.[]".contains(byte);
    if callback.is_empty() || callback.len() > 128 || !callback.iter().all(is_name) {
        return Err(format!("no callback: {}", callback.escape_ascii()));
    }
    call[1..].strip_suffix(b");").ok_or_else(|| "the call does not end".to_owned())
}

/// The documents that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Event,
    Id,
    OptOut,
    ErrorsOnly,
}

impl Kind {
    fn is_of(self, path: &str, is_script: bool) -> bool {
        match self {
            Kind::Event => ["/event", "/firstevent"].contains(&path),
            Kind::Id => ["/id", "/id/rd"].contains(&path),
            Kind::OptOut => ["/optOutStatus", "/demoptout", "/demoptout.jpg"].contains(&path),
            Kind::ErrorsOnly => is_script && ["/event", "/firstevent", "/id", "/id/rd"].contains(&path),
        }
    }

    /// The members in their order.
    fn members(self) -> &'static [Member] {
        match self {
            Kind::Event => &[
                ("stuff", true, |value| each(value, cookie)),
                ("uuid", false, |value| text(value, is_uuid)),
                ("dcs_region", false, number),
                ("dests", false, |value| each(value, destination)),
                ("traits", false, ids),
                ("segments", false, ids),
                ("errors", false, |value| each(value, error)),
                ("tid", true, |value| text(value, is_tid)),
            ],
            Kind::Id => &[
                ("d_mid", false, |value| text(value, is_ecid)),
                ("id_sync_ttl", true, number),
                ("d_blob", false, |value| text(value, is_blob)),
                ("dcs_region", false, number),
                ("d_optout", false, opt_out),
                ("d_ottl", true, number),
                ("ibs", true, |value| each(value, id_sync)),
                ("subdomain", true, |value| text(value, |_| true)),
                ("errors", false, |value| each(value, error)),
                ("error_msg", false, |value| text(value, |text| !text.is_empty())),
                ("tid", true, |value| text(value, is_tid)),
            ],
            Kind::OptOut => {
                &[("d_optout", true, opt_outs), ("d_ottl", true, number), ("errors", false, |value| each(value, error))]
            }
            Kind::ErrorsOnly => &[("errors", true, |value| each(value, error))],
        }
    }
}

struct Answer {
    members: Vec<(String, Value)>,
}

impl Answer {
    fn get(&self, name: &str) -> Option<&Value> {
        self.members.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    fn has_text(&self, name: &str) -> bool {
        self.text(name).is_some_and(|text| !text.is_empty())
    }

    fn kind(&self) -> Result<Kind, String> {
        match self.members.first().map(|(name, _)| name.as_str()) {
            Some("stuff") => Ok(Kind::Event),
            Some("d_mid" | "id_sync_ttl") => Ok(Kind::Id),
            Some("d_optout") => Ok(Kind::OptOut),
            Some("errors") => Ok(Kind::ErrorsOnly),
            other => Err(format!("no answer begins with {other:?}")),
        }
    }

    fn check(&self, kind: Kind) -> Checked {
        check_members(&self.members, kind.members())?;
        let codes = self.codes();
        let has = |reasons: &[u64]| codes.iter().any(|code| reasons.contains(code));
        match kind {
            // Phones forget the visitor when an answer doesn't tell who she is.
            Kind::Event if self.get("uuid").is_none() && !has(ABOUT_NOBODY) => Err("no uuid, and no reason".to_owned()),
            Kind::Event if self.get("uuid").is_some() && has(&[171, 315]) => Err("a uuid after a refusal".to_owned()),
            Kind::Event if self.get("dcs_region").is_none() && !has(NO_ACCOUNT) => Err("no region".to_owned()),
            Kind::Id if !self.has_text("d_mid") && !has(ABOUT_NOBODY) => Err("no d_mid, and no reason".to_owned()),
            Kind::Id if self.has_text("d_blob") && !self.has_text("d_mid") => Err("d_blob without d_mid".to_owned()),
            // A caller who is put off keeps the id that it has, and that is all.
            Kind::Id if self.has_text("d_mid") && !self.has_text("d_blob") && !has(&[0]) => {
                Err("d_mid without d_blob".to_owned())
            }
            Kind::Id if !self.has_text("subdomain") && !has(NO_ACCOUNT) => Err("no subdomain".to_owned()),
            Kind::Id if self.get("dcs_region").is_none() && !has(NO_ACCOUNT) => Err("no region".to_owned()),
            Kind::Id if self.get("d_optout").is_some() != has(&[171]) => {
                Err("d_optout and error 171 differ".to_owned())
            }
            Kind::Id if self.get("d_optout") == Some(&Value::Array(Vec::new())) => Err("an empty d_optout".to_owned()),
            _ => Ok(()),
        }
    }

    fn errors(&self) -> impl Iterator<Item = (u64, &str)> {
        let errors = match self.get("errors") {
            Some(Value::Array(errors)) => &errors[..],
            _ => &[],
        };
        errors.iter().filter_map(|error| match error {
            Value::Object(members) => match &members[..] {
                [(_, Value::Number(code)), (_, Value::Text(message))] => Some((*code, message.as_str())),
                _ => None,
            },
            _ => None,
        })
    }

    fn codes(&self) -> Vec<u64> {
        self.errors().map(|(code, _)| code).collect()
    }

    /// Ascending, each once but for the ids over the limit, the same in the header and in words.
    fn check_errors(&self, header: Option<&str>) -> Checked {
        let codes = self.codes();
        if self.get("errors").is_some() && codes.is_empty() {
            return Err("an empty list of errors".to_owned());
        }
        if !codes.windows(2).all(|pair| pair[0] < pair[1] || pair == [309, 309]) {
            return Err(format!("codes that don't ascend: {codes:?}"));
        }
        let mirrored = codes.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
        if header.unwrap_or_default() != mirrored || header == Some("") {
            return Err(format!("X-Error is {header:?}, but the errors are {mirrored}"));
        }
        let messages = self.errors().map(|(_, message)| message).collect::<Vec<_>>().join("; ");
        let told = self.text("error_msg");
        let is_id = self.get("id_sync_ttl").is_some();
        if told.is_some_and(|told| told != messages) || is_id && told.is_some() == messages.is_empty() {
            return Err(format!("error_msg is {told:?} for {messages}"));
        }
        Ok(())
    }
}

/// Errors of calls that are about nobody in particular, since they were turned away or could not be read.
const ABOUT_NOBODY: &[u64] = &[0, 1, 2, 100, 111, 171, 172, 173, 198, 199, 311, 313, 314, 315];
/// Errors of calls that no account is known for.
const NO_ACCOUNT: &[u64] = &[1, 2, 100];

/// Each member there is, in order, and nothing else.
fn check_members(found: &[(String, Value)], known: &[Member]) -> Checked {
    let mut found = found.iter().peekable();
    for (name, is_needed, check) in known {
        match found.next_if(|(other, _)| other == name) {
            Some((_, value)) => check(value).map_err(|fault| format!("{name}: {fault}"))?,
            None if *is_needed => return Err(format!("`{name}` is missing or out of order")),
            None => {}
        }
    }
    found.next().map_or(Ok(()), |(name, _)| Err(format!("`{name}` is unknown or out of order")))
}

fn cookie(value: &Value) -> Checked {
    // A cookie without a domain is that of the page.
    let is_text = |value: &Value| text(value, |_| true);
    let is_named = |value: &Value| text(value, |name| !name.is_empty());
    object(value, &[("cn", true, is_named), ("cv", true, is_text), ("ttl", true, number), ("dmn", true, is_text)])
}

/// All of its values are strings.
fn destination(value: &Value) -> Checked {
    let url = |value: &Value| text(value, |url| !url.is_empty());
    let tag = |value: &Value| text(value, |tag| ["img", "iframe"].contains(&tag));
    object(
        value,
        &[("id", true, |value| text(value, is_digits)), ("y", true, tag), ("c", true, url), ("e", false, url)],
    )
}

fn id_sync(value: &Value) -> Checked {
    let flag = |value: &Value| match value {
        Value::Number(0 | 1) => Ok(()),
        other => Err(format!("{other:?} instead of 0 or 1")),
    };
    let urls = |value: &Value| match value {
        Value::Array(urls) if urls.is_empty() => Err("no URL".to_owned()),
        _ => each(value, |url| text(url, |url| !url.is_empty())),
    };
    object(
        value,
        &[
            ("id", true, |value| text(value, is_digits)),
            ("ttl", true, number),
            ("tag", true, |value| text(value, |tag| ["img", "iframe"].contains(&tag))),
            ("fireURLSync", true, flag),
            ("syncOnPage", true, flag),
            ("url", true, urls),
        ],
    )
}

fn error(value: &Value) -> Checked {
    let code = |value: &Value| match value {
        Value::Number(code) if ErrorCode::ALL.iter().any(|known| u64::from(known.number()) == *code) => Ok(()),
        other => Err(format!("{other:?} is no code")),
    };
    object(value, &[("code", true, code), ("msg", true, |value| text(value, |message| !message.is_empty()))])
}

fn opt_out(value: &Value) -> Checked {
    each(value, |element| text(element, |word| word == "global"))
}

/// A declared id's opt-out reaches one account.
fn opt_outs(value: &Value) -> Checked {
    each(value, |element| text(element, |word| ["global", "account"].contains(&word)))
}

fn object(value: &Value, members: &[Member]) -> Checked {
    match value {
        Value::Object(found) => check_members(found, members),
        other => Err(format!("{} instead of an object", other.kind())),
    }
}

fn each(value: &Value, check: fn(&Value) -> Checked) -> Checked {
    match value {
        Value::Array(elements) => elements.iter().try_for_each(check),
        other => Err(format!("{} instead of an array", other.kind())),
    }
}

/// Different numbers.
fn ids(value: &Value) -> Checked {
    each(value, number)?;
    let Value::Array(elements) = value else { return Ok(()) };
    let mut seen = HashSet::new();
    let repeated = elements.iter().find(|id| matches!(id, Value::Number(id) if !seen.insert(*id)));
    repeated.map_or(Ok(()), |id| Err(format!("{id:?} twice")))
}

/// As the SDKs keep them.
fn number(value: &Value) -> Checked {
    match value {
        Value::Number(number) if *number <= i32::MAX as u64 => Ok(()),
        other => Err(format!("{other:?} instead of a number below 2^31")),
    }
}

fn text(value: &Value, is_right: fn(&str) -> bool) -> Checked {
    match value {
        Value::Text(text) if is_right(text) => Ok(()),
        Value::Text(text) => Err(format!("{text:?}")),
        other => Err(format!("{} instead of a string", other.kind())),
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Two numbers below 2^63, of 19 digits each.
fn is_uuid(text: &str) -> bool {
    const HALF_MAX: &str = "9223372036854775807";
    text.len() == 38 && is_digits(text) && &text[..19] <= HALF_MAX && &text[19..] <= HALF_MAX
}

fn is_ecid(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

fn is_blob(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=512).contains(&text.len()) && text.bytes().all(is_plain)
}

/// Eight bytes in base64.
fn is_tid(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || b"+/".contains(&byte);
    text.strip_suffix('=').is_some_and(|digits| digits.len() == 11 && digits.bytes().all(is_digit))
}
