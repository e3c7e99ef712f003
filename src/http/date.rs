//! Dates as HTTP writes and reads them: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7, IMF-fixdate).
//! The civil calendar is Howard Hinnant's `days_from_civil` and its inverse: in years that begin in March the leap day
//! comes last.

/// Bytes of every IMF-fixdate.
pub const DATE_BYTES: usize = 29;

const DAYS: [&[u8; 3]; 7] = [b"Sun", b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat"];
const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
/// 9999-12-31T23:59:59: the format has four digits for a year.
const UNIX_S_MAX: u64 = 253_402_300_799;

/// The date of a Unix time in seconds. Times beyond the year 9999 are written as its end.
pub fn format(unix_s: u64) -> [u8; DATE_BYTES] {
    let unix_s = unix_s.min(UNIX_S_MAX);
    let (days, second) = (unix_s / 86_400, unix_s % 86_400);
    let (year, month, day) = civil_of(days);
    let mut out = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    out[..3].copy_from_slice(DAYS[((days + 4) % 7) as usize]);
    put_two(&mut out[5..], day);
    out[8..11].copy_from_slice(MONTHS[month as usize - 1]);
    put_two(&mut out[12..], year / 100);
    put_two(&mut out[14..], year % 100);
    put_two(&mut out[17..], second / 3_600);
    put_two(&mut out[20..], second / 60 % 60);
    put_two(&mut out[23..], second % 60);
    out
}

/// The Unix time in seconds of an IMF-fixdate from 1970 on; `None` for anything else, the obsolete forms included.
pub fn parse(text: &[u8]) -> Option<u64> {
    let text: &[u8; DATE_BYTES] = text.try_into().ok()?;
    let number = |range: std::ops::Range<usize>| {
        let digits = &text[range];
        digits.iter().all(u8::is_ascii_digit).then(|| digits.iter().fold(0, |sum, b| sum * 10 + u64::from(b - b'0')))
    };
    let month = MONTHS.iter().position(|month| month[..] == text[8..11])? as u64 + 1;
    let (year, day) = (number(12..16)?, number(5..7)?);
    let (hour, minute, second) = (number(17..19)?, number(20..22)?, number(23..25)?);
    if year < 1970 || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days_of(year, month, day);
    let unix_s = days * 86_400 + hour * 3_600 + minute * 60 + second.min(59);
    // Writing it again checks the rest: the day of the month and of the week, and the fixed bytes.
    let mut written = format(unix_s);
    written[23..25].copy_from_slice(&text[23..25]);
    (written == *text).then_some(unix_s)
}

fn put_two(out: &mut [u8], value: u64) {
    out[0] = b'0' + (value / 10) as u8;
    out[1] = b'0' + (value % 10) as u8;
}

/// Year, month and day of a day counted from 1970-01-01.
pub(crate) fn civil_of(days: u64) -> (u64, u64, u64) {
    // Counted from 0000-03-01, in eras of 400 years.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// The day counted from 1970-01-01, for years from 1970 on.
pub(crate) fn days_of(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day.max(1) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        let known = [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (UNIX_S_MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ];
        for (unix_s, text) in known {
            assert_eq!(std::str::from_utf8(&format(unix_s)), Ok(text));
            assert_eq!(parse(text.as_bytes()), Some(unix_s));
        }
        assert_eq!(format(u64::MAX), format(UNIX_S_MAX));
    }

    #[test]
    fn days_are_consecutive_over_four_centuries() {
        for day in 0..146_097 {
            assert_eq!(parse(&format(day * 86_400 + 3_661)), Some(day * 86_400 + 3_661));
        }
    }

    #[test]
    fn other_forms_are_no_dates() {
        for bad in [
            "",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Thu, 30 Feb 2023 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Wed, 31 Dec 1969 23:59:59 GMT",
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
