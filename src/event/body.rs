//! What a body holds, whatever it says it holds.

/// Whether a body holds form text. Clients label it in three ways; a JSON document isn't form text however labelled,
/// and neither is what comes under any other label.
pub(super) fn body_is_form_text(content_type: Option<&[u8]>, body: &[u8]) -> bool {
    let body = body.trim_ascii();
    if body.is_empty() {
        return true;
    }
    let label = content_type.unwrap_or_default().split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    const LABELS: [&[u8]; 4] = [b"", b"application/x-www-form-urlencoded", b"text/plain", b"application/json"];
    let labelled_json = label.eq_ignore_ascii_case(b"application/json");
    LABELS.iter().any(|known| label.eq_ignore_ascii_case(known)) && !is_json(body, labelled_json)
}

/// Objects and arrays show by their brackets. Under the label of JSON a lone string, number or word is JSON as well.
fn is_json(body: &[u8], labelled_json: bool) -> bool {
    let inside = || body[1..body.len() - 1].trim_ascii_start().first().copied();
    match (body, body.last()) {
        ([b'{', _, ..], Some(b'}')) => matches!(inside(), None | Some(b'"')),
        ([b'[', _, ..], Some(b']')) => {
            matches!(inside(), None | Some(b'"' | b'{' | b'[' | b'0'..=b'9' | b'-' | b't' | b'f' | b'n'))
        }
        ([b'"', _, ..], Some(b'"')) => labelled_json,
        (b"true" | b"false" | b"null", _) => labelled_json,
        ([b'-' | b'0'..=b'9', ..], _) => labelled_json && body.iter().all(|byte| b"+-.eE0123456789".contains(byte)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_bodies_are_told_from_form_text() {
        let json = Some(&b"application/json; charset=utf-8"[..]);
        let form = Some(&b"application/x-www-form-urlencoded"[..]);
        for (content_type, body, is_form) in [
            (json, "a=1&b=2", true),
            (json, "{\"a\":1}", false),
            (json, " [1,2] \n", false),
            (json, "{}", false),
            (json, "null", false),
            (json, "-1.5e3", false),
            (json, "\"text\"", false),
            (json, "", true),
            (form, "{\"a\":1}", false),
            (form, "null", true),
            (form, "[x]=[y]", true),
            (form, "{", true),
            (None, "a=1", true),
            (Some(b"TEXT/PLAIN;charset=UTF-8"), "a=1", true),
            (Some(b"multipart/form-data; boundary=x"), "--x", false),
        ] {
            assert_eq!(body_is_form_text(content_type, body.as_bytes()), is_form, "{content_type:?} {body}");
        }
    }
}
