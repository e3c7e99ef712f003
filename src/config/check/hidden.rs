//! What a check keeps to itself: the keys by which partners know their clients. What is shown ends up in terminals,
//! logs and tickets.

use std::collections::BTreeMap;

use toml::Spanned;

/// Parts of the names of URL parameters whose values are keys.
const KEY_NAMES: [&str; 7] = ["key", "token", "secret", "auth", "pass", "sig", "cred"];

/// A header's value as it may be shown: a macro alone tells nothing, anything else may be a key.
pub(super) fn hidden_header(template: &str) -> String {
    if is_macro(template) { template.to_owned() } else { hidden(template) }
}

/// A URL's template without the keys in its parameters.
pub(super) fn hidden_keys(template: &str) -> String {
    hidden_keys_of(template, template)
}

/// What became of a URL's template, or of what follows its host, without the keys that the template holds.
fn hidden_keys_of(url: &str, template: &str) -> String {
    let Some((path, query)) = url.split_once('?') else { return url.to_owned() };
    let parameters = template.split_once('?').map_or("", |(_, query)| query).split('&');
    let keys: Vec<&str> = parameters
        .filter_map(|parameter| parameter.split_once('='))
        .filter(|(name, value)| is_key(name) && !is_macro(value))
        .map(|(name, _)| name)
        .collect();
    let shown = |parameter: &str| match parameter.split_once('=') {
        Some((name, value)) if keys.contains(&name) => format!("{name}={}", hidden(value)),
        _ => parameter.to_owned(),
    };
    let parameters: Vec<String> = query.split('&').map(shown).collect();
    format!("{path}?{}", parameters.join("&"))
}

/// A request in lines as they may be shown, made of the templates of a URL and of header lines.
pub(super) fn hidden_request(
    request: &str,
    url: &str,
    templates: &BTreeMap<Spanned<String>, Spanned<String>>,
) -> String {
    let is_hidden = |name: &str| {
        let template = templates.iter().find(|(known, _)| known.get_ref().eq_ignore_ascii_case(name));
        template.is_some_and(|(_, template)| !is_macro(template.get_ref()))
    };
    let (head, body) = request.split_once("\r\n\r\n").unwrap_or((request, ""));
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let mut text = match first.rsplit_once(' ') {
        Some((target, version)) => format!("{} {version}", hidden_keys_of(target, url)),
        None => first.to_owned(),
    };
    for line in lines {
        text.push('\n');
        match line.split_once(": ") {
            Some((name, value)) if is_hidden(name) => text.push_str(&format!("{name}: {}", hidden(value))),
            _ => text.push_str(line),
        }
    }
    format!("{text}\n\n{}", body.replace("\r\n", "\n"))
}

fn hidden(value: &str) -> String {
    "*".repeat(value.len())
}

fn is_macro(template: &str) -> bool {
    let within = |start: &str, end: &str| template.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
    let name = within("%", "%").or_else(|| within("${", "}"));
    name.is_some_and(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
}

fn is_key(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    KEY_NAMES.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_from_what_may_be_shown() {
        assert_eq!(hidden_header("Bearer abcdef"), "*************", "the length may tell which one it is");
        assert_eq!(hidden_header("abc%did%"), "********");
        assert_eq!(hidden_header("%did%"), "%did%");
        assert_eq!(hidden_header("${GDPR_CONSENT}"), "${GDPR_CONSENT}");
        let url = "https://partner.example/v1?apiKey=s3cret&uid=%did%&token=%sig_x%&v=2&access_token=a=b";
        let shown = "https://partner.example/v1?apiKey=******&uid=%did%&token=%sig_x%&v=2\
                     &access_token=***";
        assert_eq!(hidden_keys(url), shown);
        assert_eq!(hidden_keys("https://partner.example/key"), "https://partner.example/key");
    }

    #[test]
    fn a_request_is_shown_without_its_keys() {
        let spanned = |text: &str| Spanned::new(0..0, text.to_owned());
        let templates = [("X-Api-Key", "s3cret"), ("X-Visitor", "%did%")];
        let templates = templates.iter().map(|(name, value)| (spanned(name), spanned(value))).collect();
        let url = "https://partner.example/v1?key=s3cret&token=%did%&v=2";
        let request = "POST /v1?key=s3cret&token=0123&v=2 HTTP/1.1\r\nHost: partner.example\r\nx-api-key: s3cret\r\n\
                       X-Visitor: 0123\r\n\r\n{\"a\": 1}";
        let shown = "POST /v1?key=******&token=0123&v=2 HTTP/1.1\nHost: partner.example\n\
                     x-api-key: ******\nX-Visitor: 0123\n\n{\"a\": 1}";
        assert_eq!(hidden_request(request, url, &templates), shown);
    }
}
