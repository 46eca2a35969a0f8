//! Synthesis of a typed instruction into an audio clip by espeak-ng, on a thread of its own. Recording a clip is the engine's.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::supervise::{self, lock};

/// Program name of the speech synthesiser: free, small and packaged everywhere.
const PROGRAM: &str = "espeak-ng";
/// Time after which the synthesiser is killed; a sentence takes 0.1 s.
const LIMIT: Duration = Duration::from_secs(10);
/// Interval at which the synthesiser is checked for its end.
const POLL: Duration = Duration::from_millis(20);
/// Size up to which a WAV file from the synthesiser counts as a clip without speech, in bytes.
const MIN_CLIP_BYTES: u64 = 1_000;

/// The state of the synthesis of a spoken instruction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Synthesis {
    #[default]
    Idle,
    Running,
    /// Finished; the clip is in this WAV file.
    Done(PathBuf),
    /// Failed, with the technical reason.
    Failed(String),
}

/// The state of a synthesis, shared between the synthesis thread, which writes, and the window, which reads.
pub(super) type SharedSynthesis = Arc<Mutex<Synthesis>>;

/// Returns a copy of the current state of a synthesis.
pub(super) fn read(shared: &SharedSynthesis) -> Synthesis {
    lock(shared).clone()
}

fn set(shared: &SharedSynthesis, state: Synthesis) {
    *lock(shared) = state;
}

/// Starts the synthesis of `text` into the WAV file `to` on a thread of its own, which sets `shared` to the result and then calls
/// `done`. If the thread cannot be started, sets `shared` to [`Synthesis::Failed`] before returning and never calls `done`.
pub(super) fn start(text: String, to: PathBuf, shared: &SharedSynthesis, done: impl FnOnce() + Send + 'static) {
    set(shared, Synthesis::Running);
    let state = Arc::clone(shared);
    let run = move || {
        set(&state, synthesise(&text, &to).map_or_else(Synthesis::Failed, |()| Synthesis::Done(to)));
        done();
    };
    if let Err(e) = supervise::spawn("hearken-synthesis", run) {
        set(shared, Synthesis::Failed(e.message().to_owned()));
    }
}

fn synthesise(text: &str, to: &Path) -> Result<(), String> {
    if let Some(folder) = to.parent() {
        crate::files::make_private_folder(folder).map_err(|e| e.message().to_owned())?;
    }
    let mut child = command(text, to).spawn().map_err(|e| format!("{PROGRAM}: {e}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // The text goes to stdin and is never a command; a program that has ended already reports that below.
        let _ = stdin.write_all(text.as_bytes());
    }
    let succeeded = wait(&mut child).map_err(|e| format!("{PROGRAM}: {e}"))?;
    let has_speech = std::fs::metadata(to).is_ok_and(|about| about.len() > MIN_CLIP_BYTES);
    if succeeded && has_speech { Ok(()) } else { Err(format!("{PROGRAM} produced no speech")) }
}

/// Returns the command that speaks the text on its stdin clearly and slowly into `to`, with the options of
/// `assets/instructions/make.sh`; in Mandarin if `text` has a Chinese character, else in English.
fn command(text: &str, to: &Path) -> Command {
    let chinese = text.chars().any(|c| matches!(c, '\u{4e00}'..='\u{9fff}'));
    let mut command = Command::new(PROGRAM);
    command.args(["-v", if chinese { "cmn" } else { "en-us" }, "-s", "150", "-g", "2", "-b", "1", "--stdin", "-w"]).arg(to);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Waits for the synthesiser process to end and returns true if it succeeded. Kills a process that runs longer than [`LIMIT`] and
/// returns false.
fn wait(child: &mut Child) -> std::io::Result<bool> {
    let begun = Instant::now();
    while begun.elapsed() < LIMIT {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        std::thread::sleep(POLL);
    }
    child.kill()?;
    child.wait().map(|_| false)
}

/// Returns true if the speech synthesiser espeak-ng is in a folder of `PATH`. Reads the disk.
pub(super) fn is_installed() -> bool {
    let names = [PROGRAM.to_owned(), format!("{PROGRAM}{}", std::env::consts::EXE_SUFFIX)];
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| names.iter().any(|name| dir.join(name).is_file())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_voice_has_the_language_of_the_text_and_the_text_is_no_option() {
        let args = |text: &str| command(text, Path::new("x.wav")).get_args().map(|a| a.to_string_lossy().into_owned()).collect::<Vec<_>>();
        assert_eq!(args("--help; rm -rf /")[1], "en-us");
        assert_eq!(args("水开了告诉我")[1], "cmn");
        assert!(!args("--help").contains(&"--help".to_owned()));
    }

    #[test]
    fn synthesis_makes_a_clip_or_gives_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let (shared, to) = (SharedSynthesis::default(), folder.path().join("new/clip.wav"));
        let (done, over) = crossbeam_channel::bounded(1);
        start("Tell me when the kettle boils.".into(), to.clone(), &shared, move || done.send(()).unwrap());
        over.recv_timeout(LIMIT + Duration::from_secs(5)).unwrap();
        match read(&shared) {
            Synthesis::Done(path) => {
                assert!(is_installed() && path == to);
                assert!(std::fs::metadata(&to).unwrap().len() > 20_000);
            }
            Synthesis::Failed(reason) => assert!(!is_installed() && reason.contains(PROGRAM), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
}
