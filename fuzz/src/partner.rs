//! Partners' answers: reading one leaves nothing behind that shows in the next.

use std::cell::RefCell;

use pinion::limits::{PARTNER_SEGMENT_BYTES_MAX, PARTNER_SEGMENTS_MAX};
use pinion::partner::answer::{Answer, AnswerError};
use pinion::partner::format::{Format, FormatName, FormatSettings};
use pinion::partner::reader::{AnswerHead, AnswerReader};

const FORMATS: [&str; 9] = ["pinion", "openrtb", "flat", "scored", "lotame", "bluekai", "targeting", "stale", "dcs"];

/// The first byte chooses the format, the rest is the body.
pub fn answer(data: &[u8]) {
    let Some((&chosen, body)) = data.split_first() else { return };
    let name = FormatName::from_name(FORMATS[usize::from(chosen) % FORMATS.len()]).expect("it is one of them");
    let wrapped = (chosen >= 128).then_some(true);
    let settings = FormatSettings { name, wrapped, empty_statuses: vec![404], ..FormatSettings::default() };
    let format = Format::compile(&settings).expect("named formats compile");
    MEMORY.with_borrow_mut(|(reader, answer)| {
        let first = read(reader, &format, body, answer);
        let _ = read(reader, &format, br#"{"segments":["other"],"ttl":1}"#, answer);
        assert_eq!(first, read(reader, &format, body, answer));
        assert!(answer.segments().len() <= PARTNER_SEGMENTS_MAX);
        assert!(answer.segments().all(|segment| segment.text.len() <= PARTNER_SEGMENT_BYTES_MAX));
    });
}

thread_local! {
    /// Large, so made once, as the server does.
    static MEMORY: RefCell<(AnswerReader, Answer)> = RefCell::new((AnswerReader::new(), Answer::new()));
}

fn read(reader: &mut AnswerReader, format: &Format, body: &[u8], answer: &mut Answer) -> Result<String, AnswerError> {
    let head = AnswerHead { status: 200, content_encoding: None };
    reader.read(format, head, body, 1_795_289_301_558, answer)?;
    let segments: Vec<_> = answer.segments().collect();
    let signals: Vec<_> = answer.signals().collect();
    let known = (answer.kind, answer.partner_id(), answer.fresh_s(3_600, 60), answer.dropped);
    Ok(format!("{:?}", (known, segments, signals)))
}
