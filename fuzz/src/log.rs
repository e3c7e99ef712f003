//! The log of opt-outs: whatever a crash or a bad disk left, what is whole is found, and what is appended later is too.

use pinion::control::opt_outs::log::{NAME, RECORD_BYTES, record, recover};
use pinion::identity::{OptOut, Uuid};

const NOW_S: u64 = 1_795_289_301;

/// The bytes behind the log's name, in which each piece of up to three bytes that begins with 0xff stands for a whole
/// record: no fuzzer guesses a checksum.
pub fn records(data: &[u8]) {
    let mut bytes = NAME.to_vec();
    let mut written = Vec::new();
    let mut rest = data;
    while let Some((&first, after)) = rest.split_first() {
        match after {
            [high, low, after @ ..] if first == 0xff => {
                let one = OptOut::Device(Uuid { high: (*high).into(), low: (*low).into() });
                // Those that are not at the place of one are lost with what is around them.
                if bytes.len().is_multiple_of(RECORD_BYTES) {
                    written.push(one);
                }
                bytes.extend(record(one, NOW_S));
                rest = after;
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    let found = recover(&bytes, NOW_S).expect("it has the name");
    assert!(written.iter().all(|one| found.opt_outs.contains(one)), "a whole record is lost");
    assert!(found.opt_outs.len() + found.damaged <= bytes.len() / RECORD_BYTES);

    // Cut as at a start, and gone on with.
    let whole = bytes.len() - usize::try_from(found.torn_bytes).expect("it is part of the bytes");
    assert!(whole.is_multiple_of(RECORD_BYTES) && whole >= RECORD_BYTES);
    bytes.truncate(whole);
    let one = OptOut::Device(Uuid { high: u64::MAX >> 1, low: 7 });
    bytes.extend(record(one, NOW_S));
    let again = recover(&bytes, NOW_S).expect("it has the name");
    let (last, before) = again.opt_outs.split_last().expect("one was appended");
    assert_eq!((*last, before, again.damaged, again.torn_bytes), (one, &found.opt_outs[..], found.damaged, 0));

    // Any other file is refused or empty, whatever it holds.
    if let Ok(other) = recover(data, NOW_S) {
        assert!(other.opt_outs.is_empty() || data.starts_with(NAME));
    }
}
