//! The sections of a GPP string that speak for visitors from the United States: the national one, the states' ones,
//! and the older `US Privacy` text. Source: the section specifications of the IAB Tech Lab's Global Privacy Platform.
//!
//! Of each the opt-outs alone are read: of sale, of sharing, of targeted advertising, and the browser's Global Privacy
//! Control as the page saw it. All fields behind the version are two bits wide, and the opt-outs stand together.

use super::bits::Bits;

/// The older text, four characters.
const US_PRIVACY: u8 = 6;
/// The national section; the states follow it.
const NATIONAL: u8 = 7;

const SENSITIVE_DATA_BITS: usize = 16;

/// Where a section says what.
struct Layout {
    versions: u64,
    /// In bits.
    opt_outs_at: usize,
    opt_outs: usize,
    /// The length of the core segment, in bits.
    core_bits: usize,
    further: Further,
}

/// What may follow the core.
#[derive(Clone, Copy)]
enum Further {
    /// Segments with types, of which one is defined: the Global Privacy Control's.
    PrivacyControl,
    /// The visitor's choices about sensitive data, without a type.
    SensitiveData,
}

const fn state(opt_outs_at: usize, core_bits: usize) -> Layout {
    Layout { versions: 1, opt_outs_at, opt_outs: 2, core_bits, further: Further::PrivacyControl }
}

const fn newer_state(core_bits: usize) -> Layout {
    Layout { further: Further::SensitiveData, ..state(16, core_bits) }
}

/// From [`NATIONAL`] on. The national core of version 1 is the shorter one.
const LAYOUTS: [Layout; 21] = [
    Layout { versions: 2, opt_outs_at: 18, opt_outs: 3, core_bits: 60, further: Further::PrivacyControl },
    state(12, 46),   // California
    state(12, 40),   // Virginia
    state(12, 38),   // Colorado
    state(14, 42),   // Utah
    state(12, 44),   // Connecticut
    state(12, 46),   // Florida
    state(12, 46),   // Montana
    state(12, 52),   // Oregon
    state(12, 42),   // Texas
    state(12, 52),   // Delaware
    state(14, 42),   // Iowa
    state(12, 42),   // Nebraska
    state(12, 46),   // New Hampshire
    state(12, 54),   // New Jersey
    state(12, 42),   // Tennessee
    state(12, 42),   // Minnesota
    state(16, 22),   // Maryland
    newer_state(24), // Indiana
    newer_state(24), // Kentucky
    newer_state(24), // Rhode Island
];

/// Whether the visitor opts out of anything; `None` when the section is not one of these or can't be read.
pub fn opts_out(section: u8, text: &[u8]) -> Option<bool> {
    if section == US_PRIVACY {
        return us_privacy(text);
    }
    let layout = LAYOUTS.get(usize::from(section.checked_sub(NATIONAL)?))?;
    let mut segments = text.split(|&byte| byte == b'.');
    let core = Bits::parse(segments.next()?)?;
    let is_known = (1..=layout.versions).contains(&core.read(0, 6)?);
    if !is_known || core.length() < layout.core_bits {
        return None;
    }
    let is_given = |index| core.read(layout.opt_outs_at + 2 * index, 2).is_none_or(is_opt_out);
    let mut opted_out = (0..layout.opt_outs).any(is_given);
    for segment in segments {
        let segment = Bits::parse(segment)?;
        opted_out |= match layout.further {
            Further::PrivacyControl => gpc(segment)?,
            Further::SensitiveData => segment.read(0, SENSITIVE_DATA_BITS).map(|_| false)?,
        };
    }
    Some(opted_out)
}

/// 0: the question doesn't arise, 1: opted out, 2: not. 3 means nothing, and what nobody understands refuses.
fn is_opt_out(value: u64) -> bool {
    !matches!(value, 0 | 2)
}

/// The segment of the Global Privacy Control. Of another type none is defined.
fn gpc(segment: Bits<'_>) -> Option<bool> {
    const TYPE: u64 = 1;
    let is_gpc = segment.read(0, 2)? == TYPE;
    is_gpc.then(|| segment.is_set(2))
}

/// Version, notice given, opted out of sale, covered by a service provider agreement.
fn us_privacy(text: &[u8]) -> Option<bool> {
    let &[b'1', notice, opt_out, agreement] = text else { return None };
    let is_answer = |letter: &u8| b"YN-".contains(letter);
    [notice, opt_out, agreement].iter().all(is_answer).then_some(opt_out == b'Y')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privacy::bits::tests::Writer;

    /// A section whose choices are all `filling` but one.
    fn section(id: u8, at: usize, value: u64, filling: u64) -> Vec<u8> {
        let layout = &LAYOUTS[usize::from(id - NATIONAL)];
        let mut writer = Writer::default();
        writer.put(1, 6);
        for bit in (6..layout.core_bits).step_by(2) {
            writer.put(if bit == at { value } else { filling }, 2);
        }
        writer.text()
    }

    #[test]
    fn opt_outs_are_found_and_nothing_else_is_taken_for_one() {
        for id in NATIONAL..NATIONAL + LAYOUTS.len() as u8 {
            let layout = &LAYOUTS[usize::from(id - NATIONAL)];
            let opt_outs = layout.opt_outs_at..layout.opt_outs_at + 2 * layout.opt_outs;
            for at in (6..layout.core_bits).step_by(2) {
                let found = |value, filling| opts_out(id, &section(id, at, value, filling));
                assert_eq!(found(1, 2), Some(opt_outs.contains(&at)), "{id} {at}");
                assert_eq!(found(1, 0), Some(opt_outs.contains(&at)), "{id} {at}");
                assert_eq!(found(3, 0), Some(opt_outs.contains(&at)), "{id} {at}");
            }
        }
    }

    #[test]
    fn the_privacy_control_opts_out() {
        let with = |id, more: &str| opts_out(id, &[&section(id, 6, 2, 2), more.as_bytes()].concat());
        for (more, expected) in
            [("", Some(false)), (".QA", Some(false)), (".YA", Some(true)), (".Y", Some(true)), (".QA.YA", Some(true))]
        {
            assert_eq!(with(7, more), expected, "{more}");
            assert_eq!(with(24, more), expected, "{more}");
        }
        for unreadable in [".", ".gA", ".YA.", ".Y!", "..YA"] {
            assert_eq!(with(8, unreadable), None, "{unreadable}");
        }
        assert_eq!(with(25, ".VVUA"), Some(false));
        assert_eq!(with(25, ".VV"), None);
    }

    #[test]
    fn sections_that_are_not_whole_or_not_known_are_unreadable() {
        let whole = section(7, 6, 2, 2);
        assert_eq!(opts_out(7, &whole), Some(false));
        (0..whole.len()).for_each(|length| assert_eq!(opts_out(7, &whole[..length]), None, "{length}"));
        assert_eq!(opts_out(7, &[b"C", &whole[1..]].concat()), Some(false));
        for version in ["A", "D", "_", "+"] {
            assert_eq!(opts_out(7, &[version.as_bytes(), &whole[1..]].concat()), None, "{version}");
        }
        assert_eq!(opts_out(8, &[b"C", &section(8, 6, 2, 2)[1..]].concat()), None);
        for section in [0, 1, 2, 3, 5, 28, 63, 255] {
            assert_eq!(opts_out(section, &whole), None, "{section}");
        }
    }

    #[test]
    fn the_older_text_is_read() {
        for (text, expected) in [
            ("1YYN", Some(true)),
            ("1NYY", Some(true)),
            ("1YNN", Some(false)),
            ("1---", Some(false)),
            ("2YNN", None),
            ("1YN", None),
            ("1YNNN", None),
            ("1ynn", None),
        ] {
            assert_eq!(opts_out(US_PRIVACY, text.as_bytes()), expected, "{text}");
        }
    }
}
