//! What a request says about the time that is left. It is written when the call is made, and written anew when the call
//! gets a connection, which it may have waited for, and when it is sent a second time.
//!
//! The number only falls: so the request never grows, and the digits it doesn't need any more are closed up.

use crate::limits::PARTNER_TIMES_MAX;
use crate::writer::{Writer, digits_of};

/// Where in a request the time stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeLeft {
    ms: u64,
    /// In rising order: first those in the head.
    places: [u32; PARTNER_TIMES_MAX],
    in_head: u8,
    in_body: u8,
    /// Where the body's length stands, behind all times in the head.
    length_at: u32,
    body_bytes: u32,
}

impl TimeLeft {
    pub fn new(ms: u64) -> TimeLeft {
        TimeLeft { ms, ..TimeLeft::default() }
    }

    pub fn ms(&self) -> u64 {
        self.ms
    }

    /// The request is about to be written, perhaps not for the first time.
    pub(super) fn begin(&mut self) {
        *self = TimeLeft::new(self.ms);
    }

    pub(super) fn note_in_head(&mut self, at: usize) {
        self.note(at);
        self.in_head += 1;
    }

    pub(super) fn note_in_body(&mut self, at: usize) {
        self.note(at);
        self.in_body += 1;
    }

    /// The body's length was written, with fewer digits than there was room for.
    pub(super) fn note_length(&mut self, at: usize, room: usize, body_bytes: usize) {
        (self.length_at, self.body_bytes) = (at as u32, body_bytes as u32);
        self.move_body((room - digits_of(body_bytes as u64)) as u32);
    }

    /// Writes into a whole request, which `out` has just written, how much time is left now.
    pub fn tell(&mut self, ms: u64, out: &mut Writer<'_>) {
        let count = usize::from(self.in_head + self.in_body);
        if count == 0 || ms >= self.ms {
            return;
        }
        let (digits, gap) = (digits_of(self.ms), digits_of(self.ms) - digits_of(ms));
        self.ms = ms;
        // From the last on, so that none has moved when its turn comes.
        for place in self.places[..count].iter().rev() {
            out.replace_with_decimal(*place as usize, digits, ms);
        }
        for (place, before) in self.places[..count].iter_mut().zip(0..) {
            *place -= before * gap as u32;
        }
        if self.length_at > 0 {
            self.length_at -= u32::from(self.in_head) * gap as u32;
            let length_digits = digits_of(self.body_bytes.into());
            self.body_bytes -= u32::from(self.in_body) * gap as u32;
            out.replace_with_decimal(self.length_at as usize, length_digits, self.body_bytes.into());
            self.move_body((length_digits - digits_of(self.body_bytes.into())) as u32);
        }
    }

    fn note(&mut self, at: usize) {
        let count = usize::from(self.in_head + self.in_body);
        self.places[count] = at as u32;
    }

    /// The body begins so much earlier now.
    fn move_body(&mut self, by: u32) {
        let count = usize::from(self.in_body);
        self.places.iter_mut().skip(self.in_head.into()).take(count).for_each(|place| *place -= by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partner::request::write_request;
    use crate::partner::settings::{Method, Partner, PartnerSettings};
    use crate::template::Rendered;
    use crate::template::sample::Sample;
    use proptest::prelude::*;

    /// With the time in the URL, in a header, in the body and nowhere.
    fn partners() -> Vec<Partner> {
        let url = "http://a.example/s?t=%timeout_ms%&u=%did%".to_owned();
        let plain = PartnerSettings { name: "acme".to_owned(), url, ..PartnerSettings::default() };
        let header = |text: &str| vec![("X-Time".to_owned(), text.to_owned())];
        let body = |text: &str| Some(text.to_owned());
        let silent = PartnerSettings { url: "http://a.example/".to_owned(), ..plain.clone() };
        let all = [
            PartnerSettings { method: Method::Get, headers: header("%timeout_ms%"), ..plain.clone() },
            PartnerSettings { headers: header("%timeout_ms%, not more than %timeout_ms%"), ..plain.clone() },
            // A body whose length has a digit less when the time has.
            PartnerSettings {
                body: body(&format!("{{\"{}\":%timeout_ms%,\"b\":%timeout_ms%}}", "x".repeat(85))),
                ..plain.clone()
            },
            PartnerSettings { body: body("{}"), ..silent.clone() },
            PartnerSettings { method: Method::Get, ..silent.clone() },
            silent,
        ];
        all.into_iter().map(|settings| Partner::compile(settings).unwrap()).collect()
    }

    fn write(partner: &Partner, left: &mut TimeLeft, room: &mut [u8], timeout_ms: u64) -> usize {
        let values = Sample { visitor_id: b"17".to_vec(), timeout_ms, ..Sample::default() };
        match write_request(partner, &values, left, &mut Writer::new(room)) {
            Rendered::Ok(len) => len,
            rendered => panic!("{rendered:?}"),
        }
    }

    fn milliseconds() -> impl Strategy<Value = u64> {
        (0..u32::MAX, 0..32).prop_map(|(number, shift)| u64::from(number >> shift))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_told_anew_is_what_would_have_been_written(
            first in milliseconds(),
            later in [milliseconds(), milliseconds()],
        ) {
            for partner in partners() {
                let (mut room, mut expected) = ([0; 1_024], [0; 1_024]);
                let mut left = TimeLeft::new(first);
                let mut len = write(&partner, &mut left, &mut room, first);
                let mut least = first;
                for ms in later {
                    // What was said once is not taken back.
                    least = least.min(ms);
                    let mut out = Writer::resume(&mut room, len);
                    left.tell(ms, &mut out);
                    len = out.len();
                    let expected_len = write(&partner, &mut TimeLeft::new(least), &mut expected, least);
                    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                    prop_assert_eq!(text(&room[..len]), text(&expected[..expected_len]));
                }
            }
        }
    }
}
