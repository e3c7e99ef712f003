//! The log of opt-outs: records of 32 bytes that are only ever appended.
//!
//! | bytes | what                                                       |
//! |-------|------------------------------------------------------------|
//! | 0-7   | checksum of the rest, SipHash-1-3 without a key            |
//! | 8     | kind: 1 a device's uuid, 2 the keyed hash of a declared    |
//! |       | id, 3 the fingerprint of the secret that made the hashes   |
//! | 9     | version of the record, 1                                   |
//! | 10-15 | when, in Unix seconds                                      |
//! | 16-31 | the uuid's two halves, the hash, or the fingerprint        |
//!
//! Numbers are little-endian. The first record names the file. What a crash left behind the last whole record is cut
//! off at start; a damaged record before whole ones is passed over and told, since those after it were acknowledged.
//!
//! Under another secret declared ids have other hashes, and ECIDs stand for other devices: opt-outs would silently hold
//! no more. So the log says which secret it was kept under, and is refused with another. One without a fingerprint, as
//! they were at first, takes that of the secret it is opened with; the latest counts.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::Hasher as _;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use siphasher::sip::SipHasher13;

use ahash::AHashSet;

use super::Keep;
use crate::identity::{KeyedHash, OptOut, Secret, Uuid};

const FILE_NAME: &str = "opt-outs";
pub const RECORD_BYTES: usize = 32;
const VERSION: u8 = 1;
/// The first record: which file this is.
pub const NAME: &[u8; RECORD_BYTES] = b"pinion: opt-outs, version 1.\n\0\0\0";
/// Kinds of records.
const DEVICE: u8 = 1;
const DECLARED: u8 = 2;
const SECRET: u8 = 3;
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
    /// Those still in force, each once, in the order of the log.
    pub opt_outs: Vec<OptOut>,
    /// Of the secret under which they were kept.
    pub fingerprint: Option<u128>,
    /// Records in the middle that can't be read.
    pub damaged: usize,
    /// Bytes at the end that a crash left unfinished.
    pub torn_bytes: u64,
}

impl Log {
    /// Opens the log of a data folder, or makes both.
    ///
    /// # Errors
    /// When it can't be read or written, is no such log, was kept under another secret, or another process has it.
    pub fn open(folder: &Path, secret: &Secret, wall_ms: u64) -> io::Result<(Log, Recovered)> {
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
        let (fingerprint, held) = (secret.fingerprint(), recovered.opt_outs.len());
        if held > 0 && recovered.fingerprint.is_some_and(|kept_under| kept_under != fingerprint) {
            return Err(told(io::Error::new(io::ErrorKind::InvalidData, other_secret(held))));
        }
        let mut len = bytes.len() as u64 - recovered.torn_bytes;
        file.set_len(len).map_err(told)?;
        if len == 0 {
            file.write_all(NAME).map_err(told)?;
            len = RECORD_BYTES as u64;
            // A name that was torn is no loss.
            recovered.torn_bytes = 0;
        }
        let mut log = Log { file, len, bytes: Vec::new(), is_broken: false };
        if recovered.fingerprint != Some(fingerprint) {
            log.bytes.extend(record_of(SECRET, fingerprint, wall_ms / 1_000));
            log.write().map_err(told)?;
        }
        log.file.sync_all().map_err(told)?;
        // The file's name must last as well.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(told)?;
        Ok((log, recovered))
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

/// How many opt-outs a data folder holds; none without a log.
///
/// # Errors
/// When the log can't be read, or is none.
pub fn count(folder: &Path, wall_ms: u64) -> io::Result<usize> {
    let path = folder.join(FILE_NAME);
    let told = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    match fs::read(&path) {
        Ok(bytes) => Ok(recover(&bytes, wall_ms / 1_000).map_err(told)?.opt_outs.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(told(error)),
    }
}

fn other_secret(held: usize) -> String {
    format!(
        "the secret is not the one under which these {held} opt-outs were kept: they would not hold any more. Put the \
         former one back, as `secret` in the config or as the file `secret` beside this one. To give the opt-outs up, \
         move this file away"
    )
}

/// The record of an opt-out.
pub fn record(one: OptOut, unix_s: u64) -> [u8; RECORD_BYTES] {
    match one {
        OptOut::Device(uuid) => record_of(DEVICE, u128::from(uuid.high) | u128::from(uuid.low) << 64, unix_s),
        OptOut::Declared(hash) => record_of(DECLARED, hash.bits(), unix_s),
    }
}

fn record_of(kind: u8, value: u128, unix_s: u64) -> [u8; RECORD_BYTES] {
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

/// What one record says.
#[derive(Clone, Copy)]
enum Entry {
    OptOut { one: OptOut, at_s: u64 },
    Secret(u128),
}

/// `None` for bytes that are no whole record.
fn read(bytes: &[u8]) -> Option<Entry> {
    if bytes.len() != RECORD_BYTES || bytes[..8] != checksum(&bytes[8..]) || bytes[9] != VERSION {
        return None;
    }
    let mut unix_s = [0; 8];
    unix_s[..6].copy_from_slice(&bytes[10..16]);
    let value = u128::from_le_bytes(bytes[16..].try_into().ok()?);
    let one = match bytes[8] {
        DEVICE => OptOut::Device(Uuid::from_bits(value as u64, (value >> 64) as u64)),
        DECLARED => OptOut::Declared(KeyedHash::from_bits(value)),
        SECRET => return Some(Entry::Secret(value)),
        _ => return None,
    };
    Some(Entry::OptOut { one, at_s: u64::from_le_bytes(unix_s) })
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
    let read: Vec<Option<Entry>> = records.chunks(RECORD_BYTES).map(read).collect();
    let whole = read.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    let mut fingerprint = None;
    let mut opt_outs = Vec::new();
    let mut seen = AHashSet::new();
    for entry in read.iter().flatten() {
        match *entry {
            // Two calls that came at once may both have asked for it.
            Entry::OptOut { one, at_s } if at_s.saturating_add(KEPT_S) > now_s && seen.insert(one) => {
                opt_outs.push(one);
            }
            Entry::OptOut { .. } => {}
            Entry::Secret(kept_under) => fingerprint = Some(kept_under),
        }
    }
    Ok(Recovered {
        opt_outs,
        fingerprint,
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
            Log::open(&self.0, &secret(), NOW_MS).unwrap()
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

    fn secret() -> Secret {
        Secret::from_bytes([7; 32])
    }

    fn held(opt_outs: &[OptOut]) -> Recovered {
        Recovered { opt_outs: opt_outs.into(), fingerprint: Some(secret().fingerprint()), ..Recovered::default() }
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
        let fault = Log::open(&folder.0, &secret(), NOW_MS).unwrap_err().to_string();
        assert!(fault.ends_with("opt-outs: another server uses this folder"), "{fault}");
        drop(log);
        assert_eq!(folder.open().1, held(&some()));
        assert_eq!(count(&folder.0, NOW_MS).unwrap(), 3);
        let later_ms = NOW_MS + KEPT_S * 1_000;
        assert_eq!(Log::open(&folder.0, &secret(), later_ms).unwrap().1.opt_outs, [], "after ten years they are over");
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
            // The name and the secret's fingerprint come first.
            let records = len.saturating_sub(2 * RECORD_BYTES) / RECORD_BYTES;
            assert_eq!((recovered.opt_outs.as_slice(), recovered.damaged), (&some()[..records], 0), "cut at {len}");
            log.append(&some()[2..], NOW_MS).unwrap();
            drop(log);
            let expected: Vec<OptOut> = some()[..records.min(2)].iter().copied().chain([some()[2]]).collect();
            assert_eq!(folder.open().1, held(&expected));
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
        for at in 2 * RECORD_BYTES..3 * RECORD_BYTES {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            fs::write(folder.path(), &bytes).unwrap();
            let expected = Recovered { damaged: 1, ..held(&some()[1..]) };
            assert_eq!(folder.open().1, expected, "byte {at}");
        }
    }

    #[test]
    fn one_that_was_kept_twice_counts_once() {
        let folder = Folder::new("twice");
        let mut log = folder.open().0;
        log.append(&[some()[0], some()[1], some()[0]], NOW_MS).unwrap();
        log.append(&some(), NOW_MS).unwrap();
        drop(log);
        assert_eq!(folder.open().1, held(&some()));
    }

    #[test]
    fn a_log_kept_under_another_secret_is_refused() {
        let folder = Folder::new("other-secret");
        let other = Secret::from_bytes([8; 32]);
        folder.open();
        // Nothing hangs on the first secret yet.
        let mut log = Log::open(&folder.0, &other, NOW_MS).unwrap().0;
        log.append(&some()[1..2], NOW_MS).unwrap();
        drop(log);
        let whole = fs::read(folder.path()).unwrap();
        let fault = Log::open(&folder.0, &secret(), NOW_MS).unwrap_err().to_string();
        assert!(
            fault.contains("opt-outs: the secret is not the one under which these 1 opt-outs were kept"),
            "{fault}"
        );
        assert_eq!(fs::read(folder.path()).unwrap(), whole);
        assert_eq!(Log::open(&folder.0, &other, NOW_MS).unwrap().1.opt_outs, &some()[1..2]);
    }

    /// Logs of the first servers don't say under which secret they were kept.
    #[test]
    fn a_log_without_a_fingerprint_gets_one() {
        let folder = Folder::new("no-fingerprint");
        fs::create_dir_all(&folder.0).unwrap();
        let old = [&NAME[..], &record(some()[1], NOW_MS / 1_000)].concat();
        fs::write(folder.path(), &old).unwrap();
        assert_eq!(folder.open().1, Recovered { fingerprint: None, ..held(&some()[1..2]) });
        assert_eq!(folder.open().1, held(&some()[1..2]));
        assert!(fs::read(folder.path()).unwrap().starts_with(&old));
    }

    #[test]
    fn another_file_is_left_alone() {
        let folder = Folder::new("other");
        fs::create_dir_all(&folder.0).unwrap();
        fs::write(folder.path(), "a shopping list, and nothing that would be an opt-out").unwrap();
        let fault = Log::open(&folder.0, &secret(), NOW_MS).unwrap_err().to_string();
        assert!(count(&folder.0, NOW_MS).is_err());
        assert!(fault.ends_with("opt-outs: this is no log of opt-outs"), "{fault}");
        assert!(fs::read(folder.path()).unwrap().starts_with(b"a shopping list"));
    }
}
