//! The log of opt-outs: records of 32 bytes that are only ever appended.
//!
//! | bytes | what                                                       |
//! |-------|------------------------------------------------------------|
//! | 0-7   | checksum of the rest, SipHash-1-3 without a key            |
//! | 8     | kind: 1 a device's uuid, 2 the keyed hash of a declared id |
//! | 9     | version of the record, 1                                   |
//! | 10-15 | when, in Unix seconds                                      |
//! | 16-31 | the uuid's two halves, or the hash                         |
//!
//! Numbers are little-endian. The first record names the file. What a crash left behind the last whole record is cut
//! off at start; a damaged record before whole ones is passed over and told, since those after it were acknowledged.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::Hasher as _;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use siphasher::sip::SipHasher13;

use super::Keep;
use crate::identity::{KeyedHash, OptOut, Uuid};

const FILE_NAME: &str = "opt-outs";
pub const RECORD_BYTES: usize = 32;
const VERSION: u8 = 1;
/// The first record: which file this is.
pub const NAME: &[u8; RECORD_BYTES] = b"pinion: opt-outs, version 1.\n\0\0\0";
/// Opt-outs hold for ten years.
const KEPT_S: u64 = 3_650 * 86_400;

/// The open log. One process at a time has it.
#[derive(Debug)]
pub struct Log {
    file: File,
    len: u64,
    bytes: Vec<u8>,
    /// After a sync that failed nobody knows what the disk holds: nothing is acknowledged until the next start.
    is_broken: bool,
}

/// What the log held.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Those still in force, in the order of the log; one may occur twice.
    pub opt_outs: Vec<OptOut>,
    /// Records in the middle that can't be read.
    pub damaged: usize,
    /// Bytes at the end that a crash left unfinished.
    pub torn_bytes: u64,
}

impl Log {
    /// Opens the log of a data folder, or makes both.
    ///
    /// # Errors
    /// When it can't be read or written, is no such log, or another process has it.
    pub fn open(folder: &Path, wall_ms: u64) -> io::Result<(Log, Recovered)> {
        let path = folder.join(FILE_NAME);
        let told = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        fs::create_dir_all(folder).map_err(told)?;
        let mut options = OpenOptions::new();
        let mut file = options.read(true).append(true).create(true).mode(0o600).open(&path).map_err(told)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(told(io::Error::other("another server uses this folder"))),
            Err(TryLockError::Error(error)) => return Err(told(error)),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(told)?;
        let mut recovered = recover(&bytes, wall_ms / 1_000).map_err(told)?;
        let mut len = bytes.len() as u64 - recovered.torn_bytes;
        file.set_len(len).map_err(told)?;
        if len == 0 {
            file.write_all(NAME).map_err(told)?;
            len = RECORD_BYTES as u64;
            // A name that was torn is no loss.
            recovered.torn_bytes = 0;
        }
        file.sync_all().map_err(told)?;
        // The file's name must last as well.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(told)?;
        Ok((Log { file, len, bytes: Vec::new(), is_broken: false }, recovered))
    }

    fn write(&mut self) -> io::Result<()> {
        if let Err(error) = self.file.write_all(&self.bytes) {
            // A full disk leaves half a record behind. Without it the log is as it was.
            self.is_broken = self.file.set_len(self.len).is_err();
            return Err(error);
        }
        if let Err(error) = self.file.sync_data() {
            self.is_broken = true;
            return Err(error);
        }
        self.len += self.bytes.len() as u64;
        Ok(())
    }
}

impl Keep for Log {
    fn append(&mut self, opt_outs: &[OptOut], wall_ms: u64) -> io::Result<()> {
        if self.is_broken {
            return Err(io::Error::other("the log failed before, and is read anew by the next start"));
        }
        self.bytes.clear();
        opt_outs.iter().for_each(|one| self.bytes.extend(record(*one, wall_ms / 1_000)));
        self.write()
    }
}

/// The record of an opt-out.
pub fn record(one: OptOut, unix_s: u64) -> [u8; RECORD_BYTES] {
    let (kind, value) = match one {
        OptOut::Device(uuid) => (1, u128::from(uuid.high) | u128::from(uuid.low) << 64),
        OptOut::Declared(hash) => (2, hash.bits()),
    };
    let mut bytes = [0; RECORD_BYTES];
    bytes[8] = kind;
    bytes[9] = VERSION;
    bytes[10..16].copy_from_slice(&unix_s.to_le_bytes()[..6]);
    bytes[16..].copy_from_slice(&value.to_le_bytes());
    let sum = checksum(&bytes[8..]);
    bytes[..8].copy_from_slice(&sum);
    bytes
}

fn checksum(bytes: &[u8]) -> [u8; 8] {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes);
    hasher.finish().to_le_bytes()
}

/// An opt-out and when it was, or `None` for bytes that are no whole record.
fn read(bytes: &[u8]) -> Option<(OptOut, u64)> {
    if bytes.len() != RECORD_BYTES || bytes[..8] != checksum(&bytes[8..]) || bytes[9] != VERSION {
        return None;
    }
    let mut unix_s = [0; 8];
    unix_s[..6].copy_from_slice(&bytes[10..16]);
    let value = u128::from_le_bytes(bytes[16..].try_into().ok()?);
    let one = match bytes[8] {
        1 => OptOut::Device(Uuid::from_bits(value as u64, (value >> 64) as u64)),
        2 => OptOut::Declared(KeyedHash::from_bits(value)),
        _ => return None,
    };
    Some((one, u64::from_le_bytes(unix_s)))
}

/// Reads a whole log.
///
/// # Errors
/// When the bytes are another file's.
pub fn recover(bytes: &[u8], now_s: u64) -> io::Result<Recovered> {
    let (name, records) = bytes.split_at(bytes.len().min(RECORD_BYTES));
    if name != NAME {
        if NAME.starts_with(name) {
            // Its maker did not get further.
            return Ok(Recovered { torn_bytes: bytes.len() as u64, ..Recovered::default() });
        }
        return Err(io::Error::new(io::ErrorKind::InvalidData, "this is no log of opt-outs"));
    }
    let read: Vec<Option<(OptOut, u64)>> = records.chunks(RECORD_BYTES).map(read).collect();
    let whole = read.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    let kept = read.iter().take(whole).flatten().filter(|(_, at_s)| at_s.saturating_add(KEPT_S) > now_s);
    Ok(Recovered {
        opt_outs: kept.map(|(one, _)| *one).collect(),
        damaged: read[..whole].iter().filter(|record| record.is_none()).count(),
        torn_bytes: (records.len() - (whole * RECORD_BYTES).min(records.len())) as u64,
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const NOW_MS: u64 = 1_795_289_301_558;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let folder = std::env::temp_dir().join(format!("pinion-opt-outs-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&folder);
            Folder(folder)
        }

        fn open(&self) -> (Log, Recovered) {
            Log::open(&self.0, NOW_MS).unwrap()
        }

        fn path(&self) -> PathBuf {
            self.0.join(FILE_NAME)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn some() -> [OptOut; 3] {
        let hash = KeyedHash::from_bits(u128::MAX / 3);
        [OptOut::Device(Uuid { high: 1, low: 2 }), OptOut::Declared(hash), OptOut::Device(Uuid { high: 3, low: 4 })]
    }

    #[test]
    fn what_was_appended_is_read_again() {
        let folder = Folder::new("again");
        let (mut log, recovered) = folder.open();
        assert_eq!(recovered, Recovered::default());
        log.append(&some()[..2], NOW_MS).unwrap();
        log.append(&some()[2..], NOW_MS).unwrap();
        let fault = Log::open(&folder.0, NOW_MS).unwrap_err().to_string();
        assert!(fault.ends_with("opt-outs: another server uses this folder"), "{fault}");
        drop(log);
        assert_eq!(folder.open().1, Recovered { opt_outs: some().into(), ..Recovered::default() });
        let later_ms = NOW_MS + KEPT_S * 1_000;
        assert_eq!(Log::open(&folder.0, later_ms).unwrap().1.opt_outs, [], "after ten years they are over");
    }

    /// Wherever a crash cuts the log off, all whole records before are there, and the next one is found behind them.
    #[test]
    fn a_torn_tail_is_cut_off() {
        let folder = Folder::new("torn");
        folder.open().0.append(&some(), NOW_MS).unwrap();
        let whole = fs::read(folder.path()).unwrap();
        for len in 0..whole.len() {
            fs::write(folder.path(), &whole[..len]).unwrap();
            let (mut log, recovered) = folder.open();
            let records = len.saturating_sub(RECORD_BYTES) / RECORD_BYTES;
            assert_eq!((recovered.opt_outs.as_slice(), recovered.damaged), (&some()[..records], 0), "cut at {len}");
            log.append(&some()[2..], NOW_MS).unwrap();
            drop(log);
            let (last, before) = folder.open().1.opt_outs.split_last().map(|(l, b)| (*l, b.to_vec())).unwrap();
            assert_eq!((last, before.as_slice()), (some()[2], &some()[..records]));
        }
        // What the file system promised and never wrote reads as zeros.
        fs::write(folder.path(), [&whole[..], &[0; 100]].concat()).unwrap();
        let recovered = folder.open().1;
        assert_eq!((recovered.opt_outs.as_slice(), recovered.torn_bytes), (&some()[..], 100));
        assert_eq!(fs::read(folder.path()).unwrap(), whole);
    }

    #[test]
    fn a_damaged_record_costs_itself_alone() {
        let folder = Folder::new("damaged");
        folder.open().0.append(&some(), NOW_MS).unwrap();
        let whole = fs::read(folder.path()).unwrap();
        for at in RECORD_BYTES..2 * RECORD_BYTES {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            fs::write(folder.path(), &bytes).unwrap();
            let expected = Recovered { opt_outs: some()[1..].into(), damaged: 1, torn_bytes: 0 };
            assert_eq!(folder.open().1, expected, "byte {at}");
        }
    }

    #[test]
    fn another_file_is_left_alone() {
        let folder = Folder::new("other");
        fs::create_dir_all(&folder.0).unwrap();
        fs::write(folder.path(), "a shopping list, and nothing that would be an opt-out").unwrap();
        let fault = Log::open(&folder.0, NOW_MS).unwrap_err().to_string();
        assert!(fault.ends_with("opt-outs: this is no log of opt-outs"), "{fault}");
        assert!(fs::read(folder.path()).unwrap().starts_with(b"a shopping list"));
    }
}
