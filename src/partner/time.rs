//! The two ways in which partners write dates: RFC 3339 in bodies, RFC 9110 in headers. Both come out as Unix time.
//!
//! Days are counted with Howard Hinnant's `days_from_civil` (<https://howardhinnant.github.io/date_algorithms.html>).

use crate::limits::PARTNER_RETRY_AFTER_S_MAX;

/// `2026-11-21T21:00:00.5+02:00` as Unix milliseconds, 0 for what lies before 1970; `None` when it is no such date.
pub fn rfc3339_ms(text: &[u8]) -> Option<u64> {
    let mut text = Cursor { rest: text };
    let (year, month, day) =
        (text.number(4)?, text.byte(b'-').and(text.number(2))?, text.byte(b'-').and(text.number(2))?);
    if !matches!(text.next()?, b'T' | b't' | b' ') {
        return None;
    }
    let (hour, minute, second) = text.clock()?;
    let mut milliseconds = 0;
    if text.rest.first() == Some(&b'.') {
        text.next();
        milliseconds = text.fraction_ms()?;
    }
    let offset_minutes = text.offset_minutes()?;
    let seconds = seconds_since_1970(year, month, day, hour, minute, second)? - offset_minutes * 60;
    let is_end = text.rest.is_empty();
    is_end.then(|| u64::try_from(seconds * 1_000 + milliseconds).unwrap_or(0))
}

/// The seconds that a `Retry-After` asks for, at most [`PARTNER_RETRY_AFTER_S_MAX`]: a number, or a date that is
/// compared with the present. A date in the past is 0; `None` when it is neither.
pub fn retry_after_s(text: &[u8], wall_ms: u64) -> Option<u64> {
    let text = text.trim_ascii();
    if !text.is_empty() && text.iter().all(u8::is_ascii_digit) {
        let seconds =
            text.iter().fold(0_u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
        return Some(seconds.min(PARTNER_RETRY_AFTER_S_MAX));
    }
    let until_s = http_date_s(text)?;
    let wait_ms = until_s.saturating_mul(1_000).saturating_sub(wall_ms);
    Some(wait_ms.div_ceil(1_000).min(PARTNER_RETRY_AFTER_S_MAX))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` as Unix seconds. The two obsolete forms are not read: a date is a hint here.
fn http_date_s(text: &[u8]) -> Option<u64> {
    const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let comma = text.iter().position(|&byte| byte == b',')?;
    let mut text = Cursor { rest: &text[comma + 1..] };
    let day = text.byte(b' ').and(text.number(2))?;
    text.byte(b' ')?;
    let (name, rest) = text.rest.split_at_checked(3)?;
    let month = MONTHS.chunks(3).position(|month| month == name)? as i64 + 1;
    text.rest = rest;
    let year = text.byte(b' ').and(text.number(4))?;
    text.byte(b' ')?;
    let (hour, minute, second) = text.clock()?;
    let seconds = seconds_since_1970(year, month, day, hour, minute, second)?;
    u64::try_from(seconds).ok().filter(|_| text.rest == b" GMT")
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn byte(&mut self, expected: u8) -> Option<()> {
        (self.next()? == expected).then_some(())
    }

    /// Exactly `digits` digits.
    fn number(&mut self, digits: usize) -> Option<i64> {
        (0..digits).try_fold(0, |sum, _| {
            let digit = self.next().filter(u8::is_ascii_digit)?;
            Some(sum * 10 + i64::from(digit - b'0'))
        })
    }

    /// `08:49:37`.
    fn clock(&mut self) -> Option<(i64, i64, i64)> {
        let hour = self.number(2)?;
        let minute = self.byte(b':').and(self.number(2))?;
        let second = self.byte(b':').and(self.number(2))?;
        Some((hour, minute, second))
    }

    /// Any number of digits after a point, of which three count.
    fn fraction_ms(&mut self) -> Option<i64> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (fraction, rest) = self.rest.split_at(digits);
        self.rest = rest;
        let digit = |place: usize| i64::from(fraction.get(place).map_or(0, |digit| digit - b'0'));
        (digits > 0).then(|| digit(0) * 100 + digit(1) * 10 + digit(2))
    }

    fn offset_minutes(&mut self) -> Option<i64> {
        let sign = match self.next()? {
            b'Z' | b'z' => return Some(0),
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let (hours, minutes) = (self.number(2)?, self.byte(b':').and(self.number(2))?);
        (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
    }
}

fn seconds_since_1970(year: i64, month: i64, day: i64, hour: i64, minute: i64, second: i64) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of_month = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    // A leap second is written as :60.
    if !(1..=days_of_month).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some(((days_from_civil(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_with_any_offset() {
        let cases: &[(&str, Option<u64>)] = &[
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-11-21T21:00:00Z", Some(1_795_294_800_000)),
            ("2026-11-21t23:00:00.5+02:00", Some(1_795_294_800_500)),
            ("2026-11-21 15:30:00.123456789-05:30", Some(1_795_294_800_123)),
            ("2024-02-29T00:00:00z", Some(1_709_164_800_000)),
            ("2016-12-31T23:59:60Z", Some(1_483_228_800_000)),
            ("1970-01-01T00:00:00+00:01", Some(0)),
            ("0001-01-01T00:00:00Z", Some(0)),
            ("2023-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-00-01T00:00:00Z", None),
            ("2026-11-21T24:00:00Z", None),
            ("2026-11-21T21:00:00", None),
            ("2026-11-21T21:00:00.Z", None),
            ("2026-11-21T21:00:00+0200", None),
            ("2026-11-21T21:00:00+24:00", None),
            ("2026-11-21T21:00:00Zx", None),
            ("2026-11-21", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(rfc3339_ms(text.as_bytes()), *expected, "{text}");
        }
    }

    #[test]
    fn days_agree_with_counting() {
        let mut counted = 0;
        for year in 1970..2110 {
            for month in 1..=12 {
                for day in 1..=31 {
                    if seconds_since_1970(year, month, day, 0, 0, 0).is_some() {
                        assert_eq!(days_from_civil(year, month, day), counted);
                        counted += 1;
                    }
                }
            }
        }
        assert_eq!(counted, 51_134);
    }

    #[test]
    fn retry_after_in_both_forms() {
        let now_ms = 784_111_777_000 - 2_500;
        let cases: &[(&str, Option<u64>)] = &[
            ("0", Some(0)),
            (" 7 ", Some(7)),
            ("61", Some(60)),
            ("99999999999999999999999999", Some(60)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(3)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("Mon, 07 Nov 1994 08:49:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:49:37", None),
            ("Sun, 06 Foo 1994 08:49:37 GMT", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(retry_after_s(text.as_bytes(), now_ms), *expected, "{text}");
        }
    }
}
