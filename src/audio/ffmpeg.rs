//! Recordings that Hearken cannot decode, decoded by ffmpeg where it is installed and the user allows it: its output is read as WAV from
//! a pipe, and nothing is written to disk.

use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::error::{Error, ErrorKind, Remedy, Result};

const PROGRAM: &str = "ffmpeg";

/// Returns true if ffmpeg is installed.
pub(super) fn is_installed() -> bool {
    let asked = Command::new(PROGRAM).arg("-version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

/// The sound of a recording as WAV, while ffmpeg decodes it.
pub(super) struct FfmpegOutput {
    child: Child,
    stdout: ChildStdout,
}

impl FfmpegOutput {
    /// Starts ffmpeg on the first track with sound of `path`.
    ///
    /// # Errors
    /// [`ErrorKind::AudioFile`], naming the file, when ffmpeg is not installed or cannot be started.
    pub(super) fn start(path: &Path) -> Result<Self> {
        let failed = |why: String| Error::at(ErrorKind::AudioFile, path, why).with_remedy(Remedy::ConvertAudio);
        let whole = std::path::absolute(path).map_err(|e| failed(format!("its folder is not known ({e})")))?;
        let mut command = Command::new(PROGRAM);
        // A name is never taken for an option or an address, and a playlist opens no connection.
        let mut input = std::ffi::OsString::from("file:");
        input.push(whole);
        command.args(["-nostdin", "-v", "quiet", "-protocol_whitelist", "file,pipe", "-i"]).arg(input);
        command.args(["-map", "0:a:0", "-c:a", "pcm_s16le", "-f", "wav", "pipe:1"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => failed("ffmpeg, which was to read it, is not installed".to_owned()),
            _ => failed(format!("ffmpeg cannot be started ({e})")),
        })?;
        match child.stdout.take() {
            Some(stdout) => Ok(Self { child, stdout }),
            None => Err(failed("ffmpeg has no output".to_owned())),
        }
    }
}

impl Read for FfmpegOutput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stdout.read(buffer)?;
        if count == 0 && !buffer.is_empty() && !self.child.wait()?.success() {
            return Err(io::Error::other("ffmpeg could not read it to its end"));
        }
        Ok(count)
    }
}

impl Drop for FfmpegOutput {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
