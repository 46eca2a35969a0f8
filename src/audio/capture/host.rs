//! The connection to the sound system.
//!
//! PipeWire's PulseAudio server rejects clients whose authentication cookie is not 256 bytes long; the bytes do not matter.
//! Every program that uses libpulse creates the cookie file if it is missing, so a desktop nearly always has one. Without the
//! file cpal falls back to ALSA's PipeWire plugin, which polls at a third of a core and does not report a lost device. So the
//! file is created here, as libpulse does.

use super::alsa_stderr::silence_alsa_stderr;

/// Connects to the default sound system of this machine, after creating PulseAudio's cookie file if that is missing.
pub(in crate::audio) fn host() -> cpal::Host {
    silence_alsa_stderr();
    #[cfg(target_os = "linux")]
    cookie::ensure();
    cpal::default_host()
}

#[cfg(target_os = "linux")]
mod cookie {
    use std::ffi::OsString;
    use std::fs::{DirBuilder, File, OpenOptions};
    use std::io::{Read, Write};
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    use std::path::{Path, PathBuf};
    use std::sync::Once;

    /// Length of PulseAudio's authentication cookie (`PA_NATIVE_COOKIE_LENGTH` in its protocol), in bytes.
    const BYTES: usize = 256;

    /// Creates PulseAudio's cookie file, once in this process, if a PulseAudio server runs and neither the user nor `PULSE_COOKIE` has one.
    pub(super) fn ensure() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let var = |name| std::env::var_os(name).filter(|value: &OsString| !value.is_empty()).map(PathBuf::from);
            let served = ["PULSE_RUNTIME_PATH", "XDG_RUNTIME_DIR"].into_iter().filter_map(var).any(|at| at.join("pulse/native").exists());
            if let (true, Some(home), None) = (served, var("HOME"), var("PULSE_COOKIE")) {
                // On failure cpal uses ALSA.
                let _ = create_in(&home);
            }
        });
    }

    /// Creates PulseAudio's cookie file in the home folder `home`. Does nothing if the file or the older `.pulse-cookie` exists, or if the
    /// folder is missing.
    fn create_in(home: &Path) -> std::io::Result<()> {
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
        fn cookie_is_created_once_readable_by_the_user_alone_and_an_existing_one_is_kept() {
            let home = tempfile::tempdir().unwrap();
            let path = home.path().join(".config/pulse/cookie");
            create_in(home.path()).unwrap();
            let created = std::fs::read(&path).unwrap();
            assert_eq!((created.len(), std::fs::metadata(&path).unwrap().permissions().mode() & 0o777), (BYTES, 0o600));
            create_in(home.path()).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), created);
            let home = tempfile::tempdir().unwrap();
            std::fs::write(home.path().join(".pulse-cookie"), "mine").unwrap();
            create_in(home.path()).unwrap();
            assert!(!home.path().join(".config").exists());
            create_in(&home.path().join("nobody")).unwrap();
            assert!(!home.path().join("nobody").exists());
        }
    }
}
