//! The voices of the system, each a program that is given text and gives samples: a fresh machine speaks without a download.
//!
//! Text goes in through stdin and never through a shell or an argument. A program that hangs is killed after a bounded time,
//! and one that is cut is killed at once. Run: espeak-ng on Linux. Written to its documentation and never run: `say` on
//! macOS, SAPI on Windows.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::wav::{read_header, take_samples};
use super::{Language, SpeechText, Utterance, UtteranceEvent, Voice};
use crate::error::{Error, ErrorKind, Remedy, Result};

/// Blocks that may wait: the program waits when the loudspeaker has enough, so a long sentence costs little memory.
const BLOCKS: usize = 16;
/// Bytes of a block: 93 ms at espeak's 22,050 Hz.
const BLOCK_BYTES: usize = 4_096;
/// How long `next` waits at most.
const WAIT: Duration = Duration::from_millis(100);
/// A program that gives nothing for so long hangs. espeak-ng needs 24 ms on an idle machine (CRATES.md section 6); PowerShell and
/// a machine that is swapping need seconds.
const HANGS: Duration = Duration::from_secs(5);
/// Words a minute at which espeak-ng and `say` speak unasked.
const WORDS_A_MINUTE: f32 = 175.0;

/// A program that speaks.
#[derive(Clone, Debug)]
pub struct SystemVoice {
    program: OsString,
    dialect: Dialect,
    hangs: Duration,
}

/// How a program is spoken to, and where its sound comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Espeak,
    Say,
    Sapi,
}

/// The voices that this kind of system may have, the best first. Whether they are there shows when they are to speak.
#[must_use]
pub fn system_voices() -> Vec<Box<dyn Voice>> {
    let voices = if !cfg!(feature = "voice") {
        Vec::new()
    } else if cfg!(target_os = "macos") {
        vec![SystemVoice::new("say", Dialect::Say), SystemVoice::espeak("espeak-ng")]
    } else if cfg!(windows) {
        vec![SystemVoice::new("powershell.exe", Dialect::Sapi), SystemVoice::espeak("espeak-ng.exe")]
    } else {
        vec![SystemVoice::espeak("espeak-ng"), SystemVoice::espeak("espeak")]
    };
    voices.into_iter().map(|voice| Box::new(voice) as Box<dyn Voice>).collect()
}

impl SystemVoice {
    /// The program `program`, which is espeak-ng or takes the same options.
    #[must_use]
    pub fn espeak(program: impl Into<OsString>) -> Self {
        Self::new(program, Dialect::Espeak)
    }

    fn new(program: impl Into<OsString>, dialect: Dialect) -> Self {
        Self { program: program.into(), dialect, hangs: HANGS }
    }

    /// The same, taken for dead after `hangs` without a sample.
    #[must_use]
    pub const fn patient_for(mut self, hangs: Duration) -> Self {
        self.hangs = hangs;
        self
    }

    fn failed(&self, why: impl std::fmt::Display) -> Error {
        Error::new(ErrorKind::Voice, format!("the voice program {} {why}", self.name()))
    }
}

impl Voice for SystemVoice {
    fn name(&self) -> String {
        self.program.to_string_lossy().into_owned()
    }

    fn say(&mut self, words: &SpeechText) -> Result<Box<dyn Utterance>> {
        let file = (self.dialect == Dialect::Say).then(temporary_file);
        let mut command = Command::new(&self.program);
        command.args(arguments(self.dialect, words, file.as_ref()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child =
            command.spawn().map_err(|e| self.failed(format_args!("cannot be started: {e}")).with_remedy(Remedy::InstallEspeak))?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (blocks_tx, blocks) = bounded(BLOCKS);
        let text = words.text.clone() + "\n";
        // The program may read late or not at all, and its pipe may be small: neither holds this thread up.
        let write = move || {
            if let Some(mut stdin) = stdin {
                // One that does not want all of it says so by what it speaks.
                let _ = stdin.write_all(text.as_bytes());
            }
        };
        let read = move || {
            if let Some(stdout) = stdout {
                let done = read_sound(stdout, file, &blocks_tx);
                // Nobody waits for the end of what was cut.
                let _ = blocks_tx.send(Block::End(done.map_err(|e| e.to_string())));
            }
        };
        let running = Running { child, blocks, voice: self.clone(), rate_hz: 0, given: false, waited_since: None, ended: false };
        for (name, work) in [("hearken-words", Box::new(write) as Box<dyn FnOnce() + Send>), ("hearken-sound", Box::new(read))] {
            std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(work)
                .map_err(|e| self.failed(format_args!("gets no thread to speak through: {e}")))?;
        }
        Ok(Box::new(running))
    }
}

/// What the program is told besides the text.
fn arguments(dialect: Dialect, words: &SpeechText, file: Option<&PathBuf>) -> Vec<OsString> {
    let (rate, pitch) = (words.prosody.rate, words.prosody.pitch);
    let wpm = format!("{:.0}", WORDS_A_MINUTE * rate);
    let arguments: Vec<String> = match dialect {
        // Pitch is 0 to 99 and 50 the voice's own; 25 steps are about a third.
        Dialect::Espeak => {
            let voice = if words.language == Language::Chinese { "cmn" } else { "en" };
            let pitch = format!("{:.0}", (50.0 + 75.0 * (pitch - 1.0)).clamp(0.0, 99.0));
            ["--stdin", "--stdout", "-b", "1", "-v", voice, "-s", &wpm, "-p", &pitch].map(str::to_owned).to_vec()
        }
        Dialect::Say => {
            let file = file.map(|file| file.to_string_lossy().into_owned()).unwrap_or_default();
            let mut all: Vec<String> =
                ["-r", &wpm, "--file-format=WAVE", "--data-format=LEI16@22050", "-o", &file].map(str::to_owned).to_vec();
            if words.language == Language::Chinese {
                all.extend(["-v", "Tingting"].map(str::to_owned));
            }
            all
        }
        Dialect::Sapi => {
            let culture = if words.language == Language::Chinese { "zh-CN" } else { "en-US" };
            // SAPI's rate goes from -10 to 10, each step about a tenth.
            let rate = format!("{:.0}", (10.0 * (rate - 1.0)).clamp(-10.0, 10.0));
            let script = SAPI.replace("CULTURE", culture).replace("RATE", &rate);
            ["-NoProfile", "-NonInteractive", "-Command", &script].map(str::to_owned).to_vec()
        }
    };
    arguments.into_iter().map(OsString::from).collect()
}

/// Reads the text from stdin and writes a WAV to stdout; the two words in capitals are filled in with constants.
const SAPI: &str = "Add-Type -AssemblyName System.Speech; \
    $in = New-Object IO.StreamReader([Console]::OpenStandardInput(), [Text.Encoding]::UTF8); $text = $in.ReadToEnd(); \
    $voice = New-Object System.Speech.Synthesis.SpeechSynthesizer; $voice.Rate = RATE; \
    try { $voice.SelectVoiceByHints('NotSet', 'NotSet', 0, [Globalization.CultureInfo]'CULTURE') } catch {}; \
    $wav = New-Object IO.MemoryStream; $voice.SetOutputToWaveStream($wav); $voice.Speak($text); \
    $out = [Console]::OpenStandardOutput(); $wav.WriteTo($out); $out.Flush()";

/// A place for what `say` writes, which it cannot write to a pipe.
fn temporary_file() -> PathBuf {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    std::env::temp_dir().join(format!("hearken-{}-{}.wav", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)))
}

enum Block {
    Samples { rate_hz: u32, samples: Vec<f32> },
    End(std::result::Result<(), String>),
}

/// Hands on what the program says until it ends, or nobody listens any more.
fn read_sound(mut stdout: impl Read, file: Option<PathBuf>, blocks: &Sender<Block>) -> std::io::Result<()> {
    let Some(file) = file else { return read_wav(&mut stdout, blocks) };
    // It has written its file when it closes its stdout.
    std::io::copy(&mut stdout, &mut std::io::sink())?;
    let sound = std::fs::read(&file);
    // It may not have been written.
    let _ = std::fs::remove_file(&file);
    read_wav(&mut &sound?[..], blocks)
}

fn read_wav(reader: &mut impl Read, blocks: &Sender<Block>) -> std::io::Result<()> {
    let form = read_header(reader)?;
    let (mut bytes, mut filled) = (vec![0; BLOCK_BYTES], 0);
    loop {
        let count = reader.read(&mut bytes[filled..])?;
        if count == 0 {
            return Ok(());
        }
        filled += count;
        let mut samples = Vec::with_capacity(filled / 2);
        let used = take_samples(&bytes[..filled], form.channels, &mut samples);
        bytes.copy_within(used..filled, 0);
        filled -= used;
        if !samples.is_empty() && blocks.send(Block::Samples { rate_hz: form.rate_hz, samples }).is_err() {
            return Ok(());
        }
    }
}

/// A program that is speaking.
struct Running {
    child: Child,
    blocks: Receiver<Block>,
    voice: SystemVoice,
    rate_hz: u32,
    given: bool,
    /// Since when nothing came although something was waited for.
    waited_since: Option<Instant>,
    ended: bool,
}

impl Utterance for Running {
    fn next(&mut self, out: &mut Vec<f32>) -> Result<UtteranceEvent> {
        if self.ended {
            return Ok(UtteranceEvent::End);
        }
        match self.blocks.recv_timeout(WAIT) {
            Ok(Block::Samples { rate_hz, samples }) => {
                self.waited_since = None;
                self.rate_hz = rate_hz;
                self.given = true;
                out.extend_from_slice(&samples);
                Ok(UtteranceEvent::Samples(samples.len()))
            }
            Ok(Block::End(done)) => {
                self.ended = true;
                match done {
                    Ok(()) if self.given => self.how_it_ended(),
                    Ok(()) => Err(self.voice.failed("said nothing")),
                    Err(_) if !self.given => Err(self.voice.failed("gave no sound; it may be damaged or too old")),
                    Err(why) => Err(self.voice.failed(format_args!("broke off: {why}"))),
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                if self.waited_since.get_or_insert_with(Instant::now).elapsed() < self.voice.hangs {
                    return Ok(UtteranceEvent::Nothing);
                }
                self.ended = true;
                Err(self.voice.failed("hangs and was ended"))
            }
            Err(RecvTimeoutError::Disconnected) => {
                self.ended = true;
                Err(self.voice.failed("was lost"))
            }
        }
    }

    fn rate_hz(&self) -> u32 {
        self.rate_hz
    }
}

impl Running {
    /// Its sound has ended; one that crashed did not say all of it.
    fn how_it_ended(&mut self) -> Result<UtteranceEvent> {
        let begun = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(UtteranceEvent::End),
                Ok(Some(status)) => return Err(self.voice.failed(format_args!("broke off: {status}"))),
                // What it said is complete; the rest of it is killed.
                Ok(None) if begun.elapsed() > WAIT => return Ok(UtteranceEvent::End),
                Ok(None) => std::thread::sleep(Duration::from_millis(2)),
                Err(_) => return Ok(UtteranceEvent::End),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests;
