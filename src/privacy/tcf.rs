//! Consent strings of the IAB's Transparency and Consent Framework, version 2: the core segment, read bit by bit out
//! of its base64url text. Source: "Consent string and vendor list formats v2" of the IAB Tech Lab.
//!
//! Consent alone is asked for, so the legitimate interests are passed over, and so are the other segments: a vendor
//! that was not disclosed can't have been consented to.

use super::bits::Bits;
use crate::limits::CONSENT_BYTES_MAX;

/// The core segment of a consent string that is whole.
#[derive(Clone, Copy, Debug)]
pub struct TcfConsent<'a> {
    bits: Bits<'a>,
    /// Where the list of publisher restrictions begins.
    restrictions_at: usize,
}

// Where the fields of the core segment lie, in bits.
const VERSION: usize = 0;
const CMP_ID: usize = 78;
const PURPOSES: usize = 152;
const PURPOSES_COUNT: u8 = 24;
const VENDORS: usize = 213;

impl<'a> TcfConsent<'a> {
    /// `None` when the text is not a whole version 2 string.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let core = text.split(|&byte| byte == b'.').next()?;
        let core = &core[..core.len() - core.iter().rev().take_while(|&&byte| byte == b'=').count()];
        let bits = Bits::parse(core)?;
        if core.len() > CONSENT_BYTES_MAX || bits.read(VERSION, 6)? != 2 {
            return None;
        }
        let legitimate_interests_at = VendorList::at(bits, VENDORS)?.end()?;
        let restrictions_at = VendorList::at(bits, legitimate_interests_at)?.end()?;
        let consent = TcfConsent { bits, restrictions_at };
        // Walks all restrictions once: a string that ends within them is not whole.
        consent.find_restriction(|_, _, _| false)?;
        Some(consent)
    }

    /// The consent management platform that wrote the string.
    pub fn cmp_id(&self) -> u16 {
        self.bits.read(CMP_ID, 12).unwrap_or_default() as u16
    }

    /// Whether a vendor may act for all these purposes: the visitor consents to them and to the vendor, and the
    /// publisher doesn't object.
    pub fn grants(&self, vendor: u16, purposes: &[u8]) -> bool {
        purposes.iter().all(|&purpose| self.allows_purpose(purpose))
            && self.allows_vendor(vendor)
            && !self.publisher_restricts(vendor, purposes)
    }

    /// Whether the visitor consents to a purpose, counted from 1.
    pub fn allows_purpose(&self, purpose: u8) -> bool {
        (1..=PURPOSES_COUNT).contains(&purpose) && self.bits.is_set(PURPOSES + usize::from(purpose) - 1)
    }

    /// Whether the visitor consents to a vendor.
    pub fn allows_vendor(&self, vendor: u16) -> bool {
        VendorList::at(self.bits, VENDORS).is_some_and(|list| list.contains(vendor))
    }

    /// Whether the publisher keeps a vendor from using its consent for one of these purposes: forbids the purpose, or
    /// asks for legitimate interest instead.
    pub fn publisher_restricts(&self, vendor: u16, purposes: &[u8]) -> bool {
        const REQUIRES_CONSENT: u64 = 1;
        self.find_restriction(|purpose, kind, vendors| {
            purposes.contains(&(purpose as u8)) && kind != REQUIRES_CONSENT && vendors.contains(vendor)
        })
        .unwrap_or(true)
    }

    /// Whether any restriction is such; `None` when the string ends before the restrictions do, or one means nothing.
    fn find_restriction(&self, is_such: impl Fn(u64, u64, Ranges<'a>) -> bool) -> Option<bool> {
        const UNDEFINED: u64 = 3;
        let count = self.bits.read(self.restrictions_at, 12)?;
        let mut at = self.restrictions_at + 12;
        for _ in 0..count {
            let (purpose, kind) = (self.bits.read(at, 6)?, self.bits.read(at + 6, 2)?);
            if purpose == 0 || kind == UNDEFINED {
                return None;
            }
            let vendors = Ranges { bits: self.bits, at: at + 8 };
            at = vendors.end()?;
            if is_such(purpose, kind, vendors) {
                return Some(true);
            }
        }
        Some(false)
    }
}

/// A set of vendors: one bit each, or ranges, whichever was shorter.
#[derive(Clone, Copy)]
struct VendorList<'a> {
    bits: Bits<'a>,
    at: usize,
    vendor_max: u16,
    ranges: bool,
}

impl<'a> VendorList<'a> {
    const HEAD_BITS: usize = 17;

    fn at(bits: Bits<'a>, at: usize) -> Option<Self> {
        let vendor_max = bits.read(at, 16)? as u16;
        Some(VendorList { bits, at: at + Self::HEAD_BITS, vendor_max, ranges: bits.read(at + 16, 1)? == 1 })
    }

    /// Where the list ends, if the string holds all of it.
    fn end(&self) -> Option<usize> {
        if self.ranges {
            return Ranges { bits: self.bits, at: self.at }.end();
        }
        let end = self.at + usize::from(self.vendor_max);
        (end <= self.bits.length()).then_some(end)
    }

    fn contains(&self, vendor: u16) -> bool {
        if self.ranges {
            return Ranges { bits: self.bits, at: self.at }.contains(vendor);
        }
        (1..=self.vendor_max).contains(&vendor) && self.bits.is_set(self.at + usize::from(vendor) - 1)
    }
}

/// A counted list of vendors and ranges of vendors.
#[derive(Clone, Copy)]
struct Ranges<'a> {
    bits: Bits<'a>,
    at: usize,
}

impl Ranges<'_> {
    fn end(self) -> Option<usize> {
        self.walk(|_, _| false).map(|(end, _)| end)
    }

    fn contains(self, vendor: u16) -> bool {
        self.walk(|first, last| (first..=last).contains(&u64::from(vendor))).is_some_and(|(_, found)| found)
    }

    /// Goes through the ranges until one is such. Returns where it stopped and whether one was; `None` when the string
    /// ends before, or a range does before it begins.
    fn walk(self, is_such: impl Fn(u64, u64) -> bool) -> Option<(usize, bool)> {
        let count = self.bits.read(self.at, 12)?;
        let mut at = self.at + 12;
        for _ in 0..count {
            let is_range = self.bits.read(at, 1)? == 1;
            let first = self.bits.read(at + 1, 16)?;
            let last = if is_range { self.bits.read(at + 17, 16)? } else { first };
            if last < first {
                return None;
            }
            at += if is_range { 33 } else { 17 };
            if is_such(first, last) {
                return Some((at, true));
            }
        }
        Some((at, false))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::privacy::bits::tests::Writer;

    /// The fields up to the vendors.
    fn head(purposes: &[u8]) -> Writer {
        let mut writer = Writer::default();
        writer.put(2, 6).put(15_000_000_000, 36).put(15_000_000_000, 36).put(31, 12).put(1, 12).put(1, 6);
        writer.put(0b000100_001101, 12).put(120, 12).put(4, 6).put(0, 2).put(0, 12);
        for purpose in 1..=24 {
            writer.put(u64::from(purposes.contains(&purpose)), 1);
        }
        writer.put(0, 24).put(0, 1).put(0b000100_000100, 12);
        assert_eq!(writer.0.len(), VENDORS);
        writer
    }

    fn put_vendors(writer: &mut Writer, vendors: &[u16], ranges: bool) {
        let vendor_max = vendors.iter().copied().max().unwrap_or(0);
        writer.put(vendor_max.into(), 16).put(ranges.into(), 1);
        if ranges {
            put_ranges(writer, vendors);
        } else {
            for vendor in 1..=vendor_max {
                writer.put(vendors.contains(&vendor).into(), 1);
            }
        }
    }

    /// Every other vendor as a range of one.
    fn put_ranges(writer: &mut Writer, vendors: &[u16]) {
        writer.put(vendors.len() as u64, 12);
        for (index, &vendor) in vendors.iter().enumerate() {
            writer.put(index as u64 % 2, 1).put(vendor.into(), 16);
            if index % 2 == 1 {
                writer.put(vendor.into(), 16);
            }
        }
    }

    pub(in crate::privacy) fn text(purposes: &[u8], vendors: &[u16], ranges: bool) -> Vec<u8> {
        let mut writer = head(purposes);
        put_vendors(&mut writer, vendors, ranges);
        put_vendors(&mut writer, &[3], !ranges);
        writer.put(0, 12).text()
    }

    #[test]
    fn purposes_and_vendors_are_read_from_either_encoding() {
        for ranges in [false, true] {
            let text = text(&[1, 3, 24], &[2, 6, 8, 1_000], ranges);
            let consent = TcfConsent::parse(&text).unwrap();
            assert_eq!((0..=40).filter(|&purpose| consent.allows_purpose(purpose)).collect::<Vec<_>>(), [1, 3, 24]);
            assert_eq!((0..2_000).filter(|&id| consent.allows_vendor(id)).collect::<Vec<_>>(), [2, 6, 8, 1_000]);
            assert!(!consent.publisher_restricts(2, &[1]));
        }
    }

    #[test]
    fn further_segments_and_padding_are_passed_over() {
        let mut text = text(&[1], &[2], false);
        text.extend(b"==.YAAAAAAAAAAA.IAAA");
        assert!(TcfConsent::parse(&text).unwrap().allows_vendor(2));
    }

    #[test]
    fn strings_that_are_not_whole_are_refused() {
        let text = text(&[1, 10], &[2, 6, 8], true);
        assert!(TcfConsent::parse(&text).is_some());
        // The last character may hold padding alone, none before it.
        for length in 0..text.len() - 1 {
            assert!(TcfConsent::parse(&text[..length]).is_none(), "{length}");
        }
        let version_1 = [b"B", &text[1..]].concat();
        assert!(TcfConsent::parse(&version_1).is_none());
        for odd in [&b" "[..], b"+", b"/", b"\xff"] {
            assert!(TcfConsent::parse(&[odd, &text[1..]].concat()).is_none());
            assert!(TcfConsent::parse(&[&text[..], odd].concat()).is_none());
        }
    }

    #[test]
    fn strings_longer_than_any_are_refused() {
        let mut text = text(&[1], &[2], false);
        text.resize(CONSENT_BYTES_MAX, b'A');
        assert!(TcfConsent::parse(&text).is_some());
        text.push(b'A');
        assert!(TcfConsent::parse(&text).is_none());
    }

    #[test]
    fn a_publisher_may_restrict_a_vendor() {
        let mut writer = head(&[1, 10]);
        put_vendors(&mut writer, &[2, 6, 8], false);
        put_vendors(&mut writer, &[], false);
        writer.put(3, 12);
        for (purpose, kind, vendors) in [(1, 0, &[6, 9][..]), (10, 1, &[2]), (10, 2, &[8])] {
            writer.put(purpose, 6).put(kind, 2);
            put_ranges(&mut writer, vendors);
        }
        let text = writer.text();
        let consent = TcfConsent::parse(&text).unwrap();
        let restricted = |vendor| [1, 10].map(|purpose| consent.publisher_restricts(vendor, &[purpose]));
        assert_eq!(restricted(2), [false, false]);
        assert_eq!(restricted(6), [true, false]);
        assert_eq!(restricted(8), [false, true]);
        assert_eq!([2, 6, 8].map(|vendor| consent.grants(vendor, &[1, 10])), [true, false, false]);
        assert!(consent.grants(6, &[10]) && !consent.grants(6, &[10, 9]) && !consent.grants(9, &[10]));
        assert_eq!(consent.cmp_id(), 31);
    }
}
