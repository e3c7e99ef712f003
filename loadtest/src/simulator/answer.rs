//! The bytes of answers, in every format that the server reads.
//!
//! They are written by hand, from the formats' descriptions, and share nothing with the server's reader: the tests
//! hold the one against the other.

use std::io::Write as _;

use super::draw::{Purpose, draw};
use super::profile::{Format, Knowledge, Profile};

/// The body of what the partner says of a visitor, and its status. Formats differ in how they say that they know
/// nothing, too. `wall_s` is the Unix time.
pub(super) fn write_body(profile: &Profile, visitor: u64, wall_s: u64, out: &mut Vec<u8>) -> u16 {
    match profile.knowledge(visitor) {
        Some(known) => {
            let segments = Segments { profile, visitor, known, wall_s };
            segments.write(out);
            200
        }
        None => {
            let nothing = nothing_known(profile.format);
            out.extend_from_slice(nothing.as_bytes());
            if nothing.is_empty() { 204 } else { 200 }
        }
    }
}

/// A response whose head is true to its body.
pub(super) fn write_response(status: u16, more_fields: &str, body: &[u8], out: &mut Vec<u8>) {
    write_response_claiming(status, more_fields, body.len(), body, out);
}

/// A response that claims to have a body of `body_bytes`.
pub(super) fn write_response_claiming(
    status: u16,
    more_fields: &str,
    body_bytes: usize,
    body: &[u8],
    out: &mut Vec<u8>,
) {
    let reason = match status {
        200 => "OK",
        204 => "No Content",
        429 => "Too Many Requests",
        _ => "Internal Server Error",
    };
    put(out, format_args!("HTTP/1.1 {status} {reason}\r\n{more_fields}"));
    if status != 204 {
        put(out, format_args!("Content-Type: application/json\r\nContent-Length: {body_bytes}\r\n"));
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
}

fn nothing_known(format: Format) -> &'static str {
    match format {
        Format::Pinion => "",
        Format::OpenRtb => r#"{"user":{"data":[]}}"#,
        Format::Flat => r#"{"segments":[]}"#,
        Format::Scored => r#"{"segments":{}}"#,
        Format::Lotame => r#"lt_answer({"Profile":{"Audiences":{"Audience":[]}}});"#,
        Format::BlueKai => r#"var r = {"campaigns":[]};"#,
        Format::Targeting => r#"{"targeting":{}}"#,
        Format::Stale => r#"{"status":"no_track"}"#,
        Format::Dcs => r#"{"errors":[{"code":171,"msg":"opted out"}]}"#,
    }
}

struct Segments<'a> {
    profile: &'a Profile,
    visitor: u64,
    known: Knowledge,
    wall_s: u64,
}

/// What surrounds the segments: where a format has several ways, a visitor has always the same one.
impl Segments<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        let variant = draw(self.profile.seed, Purpose::Layout, self.visitor, 0).below(6);
        match self.profile.format {
            Format::Pinion => {
                put(out, format_args!(r#"{{"segment":["#));
                self.each(out, |out, id| match self.profile.ttl_s {
                    Some(ttl_s) => put(out, format_args!(r#"{{"segment_id":"{id}","ttl":{ttl_s}}}"#)),
                    None => put(out, format_args!(r#"{{"segment_id":"{id}"}}"#)),
                });
                put(out, format_args!("]}}"));
            }
            Format::OpenRtb => self.write_openrtb(variant, out),
            Format::Flat => {
                self.write_flat(out);
                self.write_ttl(out);
            }
            Format::Scored => {
                put(out, format_args!(r#"{{"segments":{{"#));
                let mut scores = draw(self.profile.seed, Purpose::Layout, self.visitor, 1);
                self.each(out, |out, id| put(out, format_args!(r#""{id}":0.{}"#, 50 + scores.below(50))));
                put(out, format_args!("}}"));
                self.write_ttl(out);
            }
            Format::Lotame => {
                let (before, after) = [("lt_answer(", ");"), ("var lt = ", ";")][variant as usize % 2];
                let pid = self.visitor;
                put(out, format_args!(r#"{before}{{"Profile":{{"pid":"{pid:016x}","Audiences":{{"Audience":["#));
                self.each(out, |out, id| put(out, format_args!(r#"{{"id":"{id}","abbr":"all"}}"#)));
                put(out, format_args!("]}}}}}}{after}"));
            }
            Format::BlueKai => {
                put(out, format_args!(r#"var r = {{"campaigns":[{{"categories":["#));
                self.each(out, |out, id| put(out, format_args!(r#"{{"categoryID":{id}}}"#)));
                put(out, format_args!("]}}]}};"));
            }
            Format::Targeting => {
                put(out, format_args!(r#"{{"targeting":{{"segment":["#));
                self.each(out, |out, id| put(out, format_args!(r#""{id}""#)));
                put(out, format_args!("]}}"));
                self.write_ttl(out);
            }
            Format::Stale => {
                self.write_flat(out);
                let ttl_s = u64::from(self.profile.ttl_s.unwrap_or(3_600));
                put(out, format_args!(r#","staleAt":""#));
                write_time(self.wall_s + ttl_s, out);
                put(out, format_args!(r#"","expiresAt":""#));
                write_time(self.wall_s + 2 * ttl_s, out);
                put(out, format_args!(r#""}}"#));
            }
            Format::Dcs => {
                put(out, format_args!(r#"{{"uuid":"{}","traits":[],"segments":["#, self.visitor));
                self.each(out, |out, id| put(out, format_args!("{id}")));
                put(out, format_args!(r#"],"stuff":[]}}"#));
            }
        }
    }

    fn write_openrtb(&self, variant: u64, out: &mut Vec<u8>) {
        const DATA: &str = r#""data":[{"name":"simulator","ext":{"segtax":4},"segment":["#;
        let (before, after) = match variant % 3 {
            0 => (format!(r#"{{"user":{{{DATA}"#), "]}],\"eids\":[]}}"),
            1 => (format!(r#"{{"ortb2":{{"user":{{{DATA}"#), "]}]}}}"),
            _ => (r#"{"audience":[{"ids":["#.to_owned(), "]}]}"),
        };
        out.extend_from_slice(before.as_bytes());
        self.each(out, |out, id| put(out, format_args!(r#"{{"id":"{id}","value":"0.9"}}"#)));
        out.extend_from_slice(after.as_bytes());
    }

    /// Leaves the object open.
    fn write_flat(&self, out: &mut Vec<u8>) {
        put(out, format_args!(r#"{{"segments":["#));
        self.each(out, |out, id| put(out, format_args!(r#""{id}""#)));
        put(out, format_args!("]"));
    }

    /// Closes the object.
    fn write_ttl(&self, out: &mut Vec<u8>) {
        match self.profile.ttl_s {
            Some(ttl_s) => put(out, format_args!(r#","ttl":{ttl_s}}}"#)),
            None => put(out, format_args!("}}")),
        }
    }

    fn each(&self, out: &mut Vec<u8>, mut write: impl FnMut(&mut Vec<u8>, std::fmt::Arguments<'_>)) {
        let prefix = self.profile.prefix();
        for (place, number) in self.known.numbers().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            write(out, format_args!("{prefix}{number}"));
        }
    }
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a vector takes everything");
}

/// As RFC 3339 has it. The date by Howard Hinnant's `civil_from_days`, for times since 1970.
fn write_time(wall_s: u64, out: &mut Vec<u8>) {
    let (days, second) = (wall_s / 86_400 + 719_468, wall_s % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    put(out, format_args!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"));
}

#[cfg(test)]
mod tests {
    use pinion::partner::answer::{Answer, AnswerKind};
    use pinion::partner::format::{Format as ServerFormat, FormatName, FormatSettings};
    use pinion::partner::reader::{AnswerHead, AnswerReader};

    use super::super::draw::hash;
    use super::super::profile::Range;
    use super::*;

    const WALL_S: u64 = 1_790_000_000;

    /// What the simulator writes, the server reads: every format, known and unknown visitors.
    #[test]
    fn the_server_reads_what_the_simulator_writes() {
        let names: Vec<&str> = FormatName::names().collect();
        assert_eq!(names.len(), 9, "the simulator writes nine");
        for name in names {
            let text = format!("format = '{name}'\nhit_share = 0.5\nttl_s = 600\nsegments = {{ min = 0, max = 40 }}");
            check_format(&Profile::from_toml(&text).unwrap(), name);
        }
    }

    fn check_format(profile: &Profile, name: &str) {
        let settings = FormatSettings { name: FormatName::from_name(name).unwrap(), ..FormatSettings::default() };
        let format = ServerFormat::compile(&settings).unwrap();
        let (mut reader, mut answer) = (AnswerReader::new(), Answer::new());
        let (mut known, mut unknown) = (0, 0);
        for visitor in 0..200 {
            let id = format!("visitor-{visitor}");
            let mut body = Vec::new();
            let status = write_body(profile, hash(id.as_bytes()), WALL_S, &mut body);
            let head = AnswerHead { status, content_encoding: None };
            let read = reader.read(&format, head, &body, WALL_S * 1_000, &mut answer);
            assert_eq!(read, Ok(()), "{name}: {}", String::from_utf8_lossy(&body));
            let expected = profile.segments_of(id.as_bytes());
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let mut found: Vec<String> = answer.segments().map(|segment| text(segment.text)).collect();
            found.extend(answer.signals().map(|(key, value)| {
                assert_eq!(key, b"segment");
                text(value)
            }));
            assert_eq!(found, expected, "{name}");
            if expected.is_empty() {
                assert_eq!(answer.kind, AnswerKind::NothingKnown, "{name}");
                unknown += 1;
            } else {
                let says_ttl = matches!(name, "pinion" | "flat" | "scored" | "targeting" | "stale");
                assert_eq!(answer.fresh_s(7, 8), if says_ttl { 600 } else { 7 }, "{name}");
                known += 1;
            }
        }
        assert!(known > 50 && unknown > 50, "{name}: {known} known, {unknown} unknown");
    }

    #[test]
    fn many_segments_fit() {
        let profile = Profile { segments: Range { min: 1_000, max: 1_000 }, ..Profile::default() };
        let mut body = Vec::new();
        assert_eq!(write_body(&profile, 1, WALL_S, &mut body), 200);
        assert!(body.len() < 64 * 1024, "{} bytes", body.len());
    }

    #[test]
    fn times() {
        for (wall_s, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (1_790_000_000, "2026-09-21T14:13:20Z"),
        ] {
            let mut out = Vec::new();
            write_time(wall_s, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
