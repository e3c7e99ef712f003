//! What scripts put around JSON: `/**/`, a callback, an assignment, a trailing `;`. Nothing of it is run; anything
//! else around the JSON, code behind it included, makes the answer an error.

/// The JSON within `body`; `None` when what stands around it is none of the known wrappers. Bare JSON passes.
pub fn unwrap(body: &[u8]) -> Option<&[u8]> {
    let body = body.trim_ascii();
    let body = body.strip_suffix(b";").unwrap_or(body).trim_ascii_end();
    let body = body.strip_prefix(b"/**/").unwrap_or(body).trim_ascii_start();
    let (is_declared, rest) = match body.strip_prefix(b"var") {
        Some(rest) if rest.first().is_some_and(u8::is_ascii_whitespace) => (true, rest.trim_ascii_start()),
        _ => (false, body),
    };
    let name_len = rest.iter().position(|&byte| !is_name_byte(byte)).unwrap_or(rest.len());
    if name_len == 0 || !is_name_start(rest[0]) {
        return (!is_declared).then_some(body);
    }
    let behind = rest[name_len..].trim_ascii_start();
    match behind.split_first() {
        Some((b'=', json)) => Some(json.trim_ascii()),
        Some((b'(', call)) if !is_declared => Some(call.strip_suffix(b")")?.trim_ascii()),
        // `true`, `null`: the parser and the format judge them.
        None if !is_declared => Some(body),
        _ => None,
    }
}

fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'$')
}

/// Dots and brackets make `a.b[0]` one name.
fn is_name_byte(byte: u8) -> bool {
    is_name_start(byte) || byte.is_ascii_digit() || matches!(byte, b'.' | b'[' | b']')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_wrappers_and_none_else() {
        let cases: &[(&str, Option<&str>)] = &[
            ("{}", Some("{}")),
            (" [1] ; ", Some("[1]")),
            ("/**/cb({});", Some("{}")),
            ("/**/ {}", Some("{}")),
            ("a.b[1].c ( {\"x\":1} ) ;\n", Some("{\"x\":1}")),
            ("_$1({})", Some("{}")),
            ("var x = {};", Some("{}")),
            ("var\tx={}", Some("{}")),
            ("varx = {}", Some("{}")),
            ("x={}", Some("{}")),
            ("cb()", Some("")),
            ("null", Some("null")),
            ("var {}", None),
            ("var x({})", None),
            ("var x", None),
            ("cb({}", None),
            ("cb {}", None),
            // These come out as no JSON.
            ("cb({});evil()", Some("{});evil(")),
            ("cb({}));", Some("{})")),
            ("x={};;", Some("{};")),
            ("x={} // c", Some("{} // c")),
            ("/* c */{}", Some("/* c */{}")),
            ("", Some("")),
        ];
        for (body, expected) in cases {
            assert_eq!(unwrap(body.as_bytes()), expected.map(str::as_bytes), "{body}");
        }
    }
}
