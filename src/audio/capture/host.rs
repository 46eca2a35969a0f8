//! The sound system, asked for in one way.
//!
//! PipeWire's server for PulseAudio's clients lets nobody in whose key is not 256 bytes long, whatever bytes they are. Every
//! program that uses libpulse makes the file of that key where it is missing, so a desktop nearly always has it; where it has
//! not, cpal would go over to ALSA's plugin for PipeWire, whose polling takes a third of a core (measured) and which learns
//! of no lost device. So it is made here as libpulse does.

use super::hush::hush;

/// The system's usual host.
pub(in crate::audio) fn host() -> cpal::Host {
    hush();
    #[cfg(target_os = "linux")]
    key::ensure();
    cpal::default_host()
}

#[cfg(target_os = "linux")]
mod key {
    use std::ffi::OsString;
    use std::fs::{DirBuilder, File, OpenOptions};
    use std::io::{Read, Write};
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    use std::path::{Path, PathBuf};
    use std::sync::Once;

    /// Bytes of the key (PA_NATIVE_COOKIE_LENGTH of PulseAudio's protocol).
    const BYTES: usize = 256;

    pub(super) fn ensure() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let var = |name| std::env::var_os(name).filter(|value: &OsString| !value.is_empty()).map(PathBuf::from);
            let served = ["PULSE_RUNTIME_PATH", "XDG_RUNTIME_DIR"].into_iter().filter_map(var).any(|at| at.join("pulse/native").exists());
            if let (true, Some(home), None) = (served, var("HOME"), var("PULSE_COOKIE")) {
                // Without it sound comes by another way.
                let _ = make_in(&home);
            }
        });
    }

    /// Makes the key in this home where there is none.
    fn make_in(home: &Path) -> std::io::Result<()> {
        let (folder, old) = (home.join(".config/pulse"), home.join(".pulse-cookie"));
        let path = folder.join("cookie");
        if path.exists() || old.exists() || !home.is_dir() {
            return Ok(());
        }
        let mut bytes = [0; BYTES];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?.write_all(&bytes)
    }

    #[cfg(test)]
    mod tests {
        use std::os::unix::fs::PermissionsExt;

        use super::*;

        #[test]
        fn a_key_is_made_once_and_for_the_user_only_and_one_that_is_there_stays() {
            let home = tempfile::tempdir().unwrap();
            let path = home.path().join(".config/pulse/cookie");
            make_in(home.path()).unwrap();
            let made = std::fs::read(&path).unwrap();
            assert_eq!((made.len(), std::fs::metadata(&path).unwrap().permissions().mode() & 0o777), (BYTES, 0o600));
            make_in(home.path()).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), made);
            let home = tempfile::tempdir().unwrap();
            std::fs::write(home.path().join(".pulse-cookie"), "mine").unwrap();
            make_in(home.path()).unwrap();
            assert!(!home.path().join(".config").exists());
            make_in(&home.path().join("nobody")).unwrap();
            assert!(!home.path().join("nobody").exists());
        }
    }
}
