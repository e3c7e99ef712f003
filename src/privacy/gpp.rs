//! Strings of the IAB's Global Privacy Platform: a header that lists sections by their ids, then the sections, `~`
//! between them. Source: "Global Privacy Platform String" of the IAB Tech Lab.
//!
//! The header's ids become the bits of one number, so that nothing is unpacked here either: a section's place is the
//! number of lower ids.

use super::bits::Bits;
use super::us;
use crate::limits::CONSENT_BYTES_MAX;

/// The section that is a TCF consent string for Europe.
const TCF_EU: u8 = 2;
/// Ids up to this one are told apart; in 2026 the highest in use is 27.
const SECTION_MAX: u64 = 63;

/// A GPP string whose header can be read and agrees with the sections.
#[derive(Clone, Copy, Debug)]
pub struct GppString<'a> {
    /// One bit for each id.
    ids: u64,
    /// Behind the header.
    sections: &'a [u8],
}

impl<'a> GppString<'a> {
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        if text.len() > CONSENT_BYTES_MAX {
            return None;
        }
        let header_end = text.iter().position(|&byte| byte == b'~').unwrap_or(text.len());
        let (header, sections) = text.split_at(header_end);
        let ids = section_ids(Bits::parse(header)?)?;
        let separators = sections.iter().filter(|&&byte| byte == b'~').count();
        (separators == ids.count_ones() as usize).then_some(GppString { ids, sections })
    }

    /// Ids and texts, in ascending order.
    pub fn sections(self) -> impl Iterator<Item = (u8, &'a [u8])> {
        let ids = (0..=SECTION_MAX as u8).filter(move |id| self.ids >> id & 1 == 1);
        ids.zip(self.sections.split(|&byte| byte == b'~').skip(1))
    }
}

/// The header: its type, its version, and a counted list of ids and ranges of ids, each coded as its distance from the
/// one before.
fn section_ids(header: Bits<'_>) -> Option<u64> {
    const TYPE: u64 = 3;
    const VERSION: u64 = 1;
    if header.read(0, 6)? != TYPE || header.read(6, 6)? != VERSION {
        return None;
    }
    let mut at = 24;
    let (mut ids, mut last) = (0u64, 0);
    for _ in 0..header.read(12, 12)? {
        let is_range = header.read(at, 1)? == 1;
        let first = last + fibonacci(header, &mut at, 1)?;
        last = if is_range { first + fibonacci(header, &mut at, 0)? } else { first };
        if last > SECTION_MAX {
            return None;
        }
        (first..=last).for_each(|id| ids |= 1 << id);
    }
    Some(ids)
}

/// A number as a sum of Fibonacci numbers, lowest first, which two set bits in a row end. It stands `skipped` bits
/// behind `at`, which moves behind it.
fn fibonacci(bits: Bits<'_>, at: &mut usize, skipped: usize) -> Option<u64> {
    /// The code of the highest id is shorter.
    const BITS_MAX: usize = 16;
    let (mut sum, mut this, mut next) = (0, 1, 2);
    let mut was_set = false;
    *at += skipped;
    for _ in 0..BITS_MAX {
        let is_set = bits.read(*at, 1)? == 1;
        *at += 1;
        if is_set && was_set {
            return Some(sum);
        }
        sum += if is_set { this } else { 0 };
        (this, next) = (next, this + next);
        was_set = is_set;
    }
    None
}

/// What a call's GPP string comes to where it applies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applicable<'a> {
    /// The European section applies; inside, its text, if there is one.
    pub tcf: Option<Option<&'a [u8]>>,
    /// The visitor opts out of the sale or sharing of her data or of targeted advertising, or nobody can tell.
    pub opted_out: bool,
}

impl<'a> Applicable<'a> {
    /// `gpp_sid` names the sections that apply; without it none does.
    pub fn new(gpp: Option<&'a [u8]>, gpp_sid: Option<&[u8]>) -> Self {
        let mut result = Applicable::default();
        let Some(names) = gpp_sid else { return result };
        let (applying, is_known) = applying_ids(names);
        result.opted_out = !is_known;
        let mut missing = applying;
        for (id, text) in gpp.and_then(GppString::parse).into_iter().flat_map(GppString::sections) {
            if applying >> id & 1 == 0 {
                continue;
            }
            missing &= !(1 << id);
            match id {
                TCF_EU => result.tcf = Some(Some(text)),
                id => result.opted_out |= us::opts_out(id, text).unwrap_or(true),
            }
        }
        if missing >> TCF_EU & 1 == 1 {
            result.tcf = Some(None);
        }
        result.opted_out |= missing & !(1 << TCF_EU) != 0;
        result
    }
}

/// One bit for each id of the list, and whether those are all. 0 and -1 say that no section applies.
fn applying_ids(names: &[u8]) -> (u64, bool) {
    let (mut ids, mut is_known) = (0, true);
    for name in names.split(|byte| b",_ ".contains(byte)) {
        let number = std::str::from_utf8(name).ok().and_then(|text| text.parse::<u64>().ok());
        match (name, number) {
            (b"" | b"-1", _) | (_, Some(0)) => {}
            (_, Some(id @ 1..=SECTION_MAX)) => ids |= 1 << id,
            _ => is_known = false,
        }
    }
    (ids, is_known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str) -> Option<Vec<u8>> {
        GppString::parse(text.as_bytes()).map(|string| string.sections().map(|(id, _)| id).collect())
    }

    /// The examples of the specification, and what is not whole.
    #[test]
    fn headers_list_sections() {
        assert_eq!(ids("DBABM~x"), Some(vec![2]));
        assert_eq!(ids("DBACNY~x~y"), Some(vec![2, 6]));
        assert_eq!(ids("DBABjw~x~y"), Some(vec![5, 6]));
        assert_eq!(ids("DBAA"), Some(vec![]));
        let string = GppString::parse(b"DBACNY~first.part~1YNN").unwrap();
        assert_eq!(string.sections().collect::<Vec<_>>(), [(2, &b"first.part"[..]), (6, b"1YNN")]);
        for odd in ["", "D", "DBAC", "DBACN", "DBACNY", "DBACNY~x", "DBACNY~x~y~z", "CBABM~x", "DCABM~x", "DB=BM~x"] {
            assert_eq!(ids(odd), None, "{odd}");
        }
        assert_eq!(ids(&format!("DBABM~{}", "x".repeat(CONSENT_BYTES_MAX))), None);
    }

    /// Ids are small; a coded number without an end is given up rather than added up.
    #[test]
    fn ids_that_nobody_has_are_unreadable() {
        assert_eq!(ids(&format!("DBAB{}~x", "A".repeat(50))), None);
        assert_eq!(ids(&format!("DBAB{}~x", "q".repeat(50))), None);
        assert_eq!(ids(&format!("D___{}~x", "_".repeat(8_000))), None);
    }

    #[test]
    fn what_applies_counts_and_nothing_else() {
        let no_opt_out = b"DBABLA~BVVqAAAAAAA".as_slice();
        let new = |gpp, sections: &'static str| Applicable::new(gpp, Some(sections.as_bytes()));
        assert_eq!(Applicable::new(Some(no_opt_out), None), Applicable::default());
        for none in ["", "0", "-1", "-1,0", " "] {
            assert_eq!(new(Some(no_opt_out), none), Applicable::default(), "{none}");
            assert_eq!(new(Some(b"nonsense"), none), Applicable::default(), "{none}");
        }
        let opted_out = Applicable { tcf: None, opted_out: true };
        for unknown in ["64", "1000", "99999999999999999999", "x", "${GPP_SID}", "7;8", "1", "5", "28", "8", "7,9"] {
            assert_eq!(new(Some(no_opt_out), unknown), opted_out, "{unknown}");
        }
        assert_eq!(new(None, "7"), opted_out);
        assert_eq!(new(Some(b""), "7"), opted_out);
        assert_eq!(new(None, "2"), Applicable { tcf: Some(None), opted_out: false });
        assert_eq!(new(Some(b"nonsense"), "2_7"), Applicable { tcf: Some(None), opted_out: true });
        let both = b"DBACNY~tcf~1YNN".as_slice();
        assert_eq!(new(Some(both), "2"), Applicable { tcf: Some(Some(b"tcf")), opted_out: false });
        assert_eq!(new(Some(both), "6,2"), Applicable { tcf: Some(Some(b"tcf")), opted_out: false });
    }
}
