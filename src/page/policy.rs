//! The iframe's Content-Security-Policy. It runs the one script that it was written with, loads images and nothing
//! else, and shows itself only in pages that may read the account's answers: whoever holds the iframe can have an image
//! fired with the visitor's id in its address, and with that id everything else could be asked for.
//!
//! Written once for each account when its configuration is compiled.

use sha2::{Digest as _, Sha256};

use super::FRAME;

/// The header's value for an account that lets pages of these origins read its answers; `None`: all pages.
pub fn frame_policy(origins: Option<&[Box<str>]>) -> Box<str> {
    let hash = base64(&Sha256::digest(script()));
    let mut policy = format!(
        "default-src 'none'; script-src 'sha256-{hash}'; img-src http: https:; base-uri 'none'; form-action 'none'"
    );
    if let Some(origins) = origins {
        policy.push_str("; frame-ancestors");
        origins.iter().for_each(|origin| policy.extend([" ", origin]));
        if origins.is_empty() {
            policy.push_str(" 'none'");
        }
    }
    policy.into()
}

/// What stands between the iframe's script tags: of that a browser takes the hash.
fn script() -> &'static [u8] {
    const START: &[u8] = b"<script>";
    const END: &[u8] = b"</script>";
    let find = |tag: &[u8]| FRAME.windows(tag.len()).position(|window| window == tag);
    let (start, end) = (find(START).expect("it has one"), find(END).expect("it has one"));
    &FRAME[start + START.len()..end]
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, index| bits << 8 | u32::from(chunk.get(index).copied().unwrap_or(0)));
        for index in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * index)) as usize & 63];
            text.push(if index <= chunk.len() { digit.into() } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_as_base64() {
        // RFC 4648, section 10.
        let cases =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")];
        for (bytes, text) in cases {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn only_pages_that_may_read_hold_the_iframe() {
        assert!(frame_policy(Some(&[])).ends_with("; frame-ancestors 'none'"));
        let listed = frame_policy(Some(&["https://a.example".into(), "http://localhost:*".into()]));
        assert!(listed.ends_with("; frame-ancestors https://a.example http://localhost:*"), "{listed}");
        assert!(!frame_policy(None).contains("frame-ancestors"));
        assert!(listed.starts_with("default-src 'none'; script-src 'sha256-"));
    }

    #[test]
    fn the_script_is_all_of_it() {
        let script = str::from_utf8(script()).unwrap();
        assert!(script.starts_with("\n(function () {") && script.ends_with("})();\n"));
    }
}
