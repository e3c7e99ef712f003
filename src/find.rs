//! Finding a byte in text that is usually short, as keys and values of calls are: the first bytes are looked at one by
//! one, which is done before a vectorised search would have set itself up. Long text is searched vectorised all the
//! same.
#![forbid(unsafe_code)]

/// Bytes looked at one by one.
const NEAR: usize = 16;

/// Where `needle` first stands.
#[inline]
pub(crate) fn byte(needle: u8, text: &[u8]) -> Option<usize> {
    match near(text, |byte| byte == needle) {
        None if text.len() > NEAR => Some(NEAR + memchr::memchr(needle, &text[NEAR..])?),
        found => found,
    }
}

/// Where `first` or `second` first stands.
#[inline]
pub(crate) fn either(first: u8, second: u8, text: &[u8]) -> Option<usize> {
    match near(text, |byte| byte == first || byte == second) {
        None if text.len() > NEAR => Some(NEAR + memchr::memchr2(first, second, &text[NEAR..])?),
        found => found,
    }
}

/// How often `needle` stands in `text`.
#[inline]
pub(crate) fn count(needle: u8, text: &[u8]) -> usize {
    match byte(needle, text) {
        Some(at) => memchr::memchr_iter(needle, &text[at..]).count(),
        None => 0,
    }
}

#[inline]
fn near(text: &[u8], is_wanted: impl Fn(u8) -> bool) -> Option<usize> {
    text[..text.len().min(NEAR)].iter().position(|&byte| is_wanted(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_a_plain_loop_would() {
        for len in 0..2 * NEAR + 2 {
            let text = vec![b'x'; len];
            assert_eq!((byte(b',', &text), either(b',', b'+', &text), count(b',', &text)), (None, None, 0));
            for at in 0..len {
                let mut text = text.clone();
                text[at..].fill(b'+');
                text[at] = b',';
                assert_eq!((byte(b',', &text), either(b'+', b',', &text)), (Some(at), Some(at)));
                assert_eq!(count(b'+', &text), len - at - 1);
                assert_eq!(byte(b'+', &text), (at + 1 < len).then_some(at + 1));
            }
        }
    }
}
