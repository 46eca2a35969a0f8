//! How a typed instruction becomes a clip: spoken by espeak-ng where the system has it, on a thread of its own. Not
//! responsible for recording one (the engine does that), nor for what the clip is used for.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The program; it is free, small and packaged everywhere.
const PROGRAM: &str = "espeak-ng";
/// A sentence takes a tenth of a second; after this it hangs, and is ended.
const LIMIT: Duration = Duration::from_secs(10);

/// What became of a sentence that is being spoken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Speaking {
    /// Nothing was asked for.
    #[default]
    Idle,
    /// It is being spoken.
    Busy,
    /// It lies in this file.
    Done(PathBuf),
    /// It cannot be spoken, for this reason.
    Failed(String),
}

/// Where the thread leaves what became of it.
pub(super) type Shared = Arc<Mutex<Speaking>>;

pub(super) fn read(shared: &Shared) -> Speaking {
    shared.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn set(shared: &Shared, now: Speaking) {
    *shared.lock().unwrap_or_else(PoisonError::into_inner) = now;
}

/// Speaks `text` into the file `to`, and calls `done` when that is over.
pub(super) fn speak(text: String, to: PathBuf, shared: &Shared, done: impl FnOnce() + Send + 'static) {
    set(shared, Speaking::Busy);
    let kept = Arc::clone(shared);
    let work = move || {
        let spoken = spoken(&text, &to);
        set(&kept, spoken.map_or_else(Speaking::Failed, |()| Speaking::Done(to)));
        done();
    };
    if let Err(e) = std::thread::Builder::new().name("hearken-speak".into()).spawn(work) {
        set(shared, Speaking::Failed(e.to_string()));
    }
}

fn spoken(text: &str, to: &Path) -> Result<(), String> {
    if let Some(folder) = to.parent() {
        crate::files::make_private_folder(folder).map_err(|e| e.to_string())?;
    }
    let mut child = command(text, to).spawn().map_err(|e| format!("{PROGRAM}: {e}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // The text is read and never a command; a program that has ended already says so below.
        let _ = stdin.write_all(text.as_bytes());
    }
    let ended = ended(&mut child).map_err(|e| format!("{PROGRAM}: {e}"))?;
    let holds_sound = std::fs::metadata(to).is_ok_and(|about| about.len() > 1_000);
    if ended && holds_sound { Ok(()) } else { Err(format!("{PROGRAM} made no sound of it")) }
}

/// Clear and slow speech, as the built-in clips have it (assets/instructions/make.sh).
fn command(text: &str, to: &Path) -> Command {
    let chinese = text.chars().any(|c| matches!(c, '\u{4e00}'..='\u{9fff}'));
    let mut command = Command::new(PROGRAM);
    command.args(["-v", if chinese { "cmn" } else { "en-us" }, "-s", "150", "-g", "2", "-b", "1", "--stdin", "-w"]).arg(to);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Whether the program ended well and in time.
fn ended(child: &mut Child) -> std::io::Result<bool> {
    let begun = Instant::now();
    while begun.elapsed() < LIMIT {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill()?;
    child.wait().map(|_| false)
}

/// Whether the system has the program; looks at the disk.
pub(super) fn is_there() -> bool {
    let names = [PROGRAM.to_owned(), format!("{PROGRAM}{}", std::env::consts::EXE_SUFFIX)];
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| names.iter().any(|name| dir.join(name).is_file())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_of_the_voice_follows_the_text_and_the_text_is_no_option() {
        let args = |text: &str| command(text, Path::new("x.wav")).get_args().map(|a| a.to_string_lossy().into_owned()).collect::<Vec<_>>();
        assert_eq!(args("--help; rm -rf /")[1], "en-us");
        assert_eq!(args("水开了告诉我")[1], "cmn");
        assert!(!args("--help").contains(&"--help".to_owned()));
    }

    #[test]
    fn a_sentence_is_spoken_or_the_reason_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (shared, to) = (Shared::default(), folder.path().join("new/clip.wav"));
        let (done, over) = crossbeam_channel::bounded(1);
        speak("Tell me when the kettle boils.".into(), to.clone(), &shared, move || done.send(()).unwrap());
        over.recv_timeout(LIMIT + Duration::from_secs(5)).unwrap();
        match read(&shared) {
            Speaking::Done(path) => {
                assert!(is_there() && path == to);
                assert!(std::fs::metadata(&to).unwrap().len() > 20_000);
            }
            Speaking::Failed(why) => assert!(!is_there() && why.contains(PROGRAM), "{why}"),
            other => panic!("{other:?}"),
        }
    }
}
