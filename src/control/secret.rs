//! The server's secret: from the config, else from a file in the data folder that is made at the first start.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::opt_outs::log;
use crate::config::file::Server;
use crate::identity::Secret;
use crate::reactor::clocks;

const FILE_NAME: &str = "secret";

/// The secret of this server.
///
/// # Errors
/// When the file can't be read or made, or holds something else; or when it is gone, and there are opt-outs that hang
/// on it.
pub fn of(server: &Server) -> io::Result<Secret> {
    match &server.secret {
        Some(secret) => Ok(Secret::from_bytes(secret.0)),
        None => kept_in(&server.data_dir),
    }
}

fn kept_in(folder: &Path) -> io::Result<Secret> {
    let path = folder.join(FILE_NAME);
    let told = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    match fs::read_to_string(&path) {
        Ok(text) => Secret::from_hex(text.trim_end())
            .ok_or_else(|| told(io::Error::new(io::ErrorKind::InvalidData, "this is no secret of 64 hex digits"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let opt_outs = log::count(folder, clocks::read().wall_ms)?;
            if opt_outs > 0 {
                return Err(told(io::Error::new(error.kind(), gone(opt_outs))));
            }
            let secret = Secret::from_bytes(entropy()?);
            keep(&secret, folder, &path).map_err(told)?;
            Ok(secret)
        }
        Err(error) => Err(told(error)),
    }
}

fn gone(opt_outs: usize) -> String {
    format!(
        "this file is gone, and with another secret the {opt_outs} opt-outs beside it would not hold any more. Put it \
         back from a backup, or give the former secret as `secret` in the config. To give the opt-outs up, move the \
         file `opt-outs` away"
    )
}

/// A crash on the way leaves no half a secret: the file gets its name when it is whole.
fn keep(secret: &Secret, folder: &Path, path: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let unnamed = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unnamed)?;
    writeln!(file, "{}", secret.to_hex())?;
    file.sync_all()?;
    fs::rename(&unnamed, path)?;
    File::open(folder)?.sync_all()
}

/// Fresh random bytes of the system.
///
/// # Errors
/// When there is no random device.
pub fn entropy() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    use super::*;
    use crate::control::opt_outs::Keep as _;
    use crate::identity::OptOut;
    use crate::ids::DataSourceId;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let folder = std::env::temp_dir().join(format!("pinion-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&folder);
            Folder(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_first_start_makes_a_secret_that_stays() {
        let folder = Folder::new("secret-made");
        let first = kept_in(&folder.0).unwrap();
        assert!(first == kept_in(&folder.0).unwrap());
        let mode = fs::metadata(folder.0.join(FILE_NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "nothing else is left behind");
        let other = Folder::new("secret-other");
        assert!(first != kept_in(&other.0).unwrap());
    }

    #[test]
    fn a_lost_secret_on_which_opt_outs_hang_is_not_replaced() {
        let folder = Folder::new("secret-lost");
        let secret = kept_in(&folder.0).unwrap();
        let wall_ms = clocks::read().wall_ms;
        let mut log = log::Log::open(&folder.0, &secret, wall_ms).unwrap().0;
        fs::remove_file(folder.0.join(FILE_NAME)).unwrap();
        let other = kept_in(&folder.0).unwrap();
        assert!(other != secret, "nobody has opted out yet");
        fs::remove_file(folder.0.join(FILE_NAME)).unwrap();
        let one = OptOut::Declared(secret.id_hash().declared(DataSourceId(1), b"x"));
        log.append(&[one], wall_ms).unwrap();
        let fault = kept_in(&folder.0).unwrap_err().to_string();
        assert!(fault.contains("secret: this file is gone, and with another secret the 1 opt-outs"), "{fault}");
        assert!(!folder.0.join(FILE_NAME).exists());
    }

    #[test]
    fn a_damaged_secret_is_told_and_left_alone() {
        let folder = Folder::new("secret-damaged");
        fs::create_dir_all(&folder.0).unwrap();
        fs::write(folder.0.join(FILE_NAME), "0f0f").unwrap();
        let fault = kept_in(&folder.0).unwrap_err().to_string();
        assert!(fault.ends_with("secret: this is no secret of 64 hex digits"), "{fault}");
        assert_eq!(fs::read_to_string(folder.0.join(FILE_NAME)).unwrap(), "0f0f");
    }
}
