//! The system's voices: programs that turn text into samples, so that Hearken speaks without a download.
//!
//! Text is passed through stdin, never through a shell or an argument. A program that does not respond is killed after a
//! timeout, and at once if its utterance is dropped. Tested: espeak-ng on Linux. Written from the documentation and never run:
//! `say` on macOS, SAPI on Windows.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::wav::{decode_samples, read_header};
use super::{Language, Prosody, SpeechText, Utterance, UtteranceEvent, Voice};
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::files::make_temporary_folder;
use crate::supervise;

/// Capacity of the channel of blocks of sound: when it is full the voice program waits, so a long sentence needs little memory.
const BLOCKS: usize = 16;
/// Size of a block of sound, in bytes: 93 ms at espeak's 22,050 Hz.
const BLOCK_BYTES: usize = 4_096;
/// Longest time that one call of [`Utterance::next`] waits for samples.
const WAIT: Duration = Duration::from_millis(100);
/// Time without output after which a voice program counts as hung. espeak-ng needs 24 ms on an idle machine; PowerShell, or a machine that
/// is swapping, needs seconds.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Interval between two checks for the exit of a voice program.
const EXIT_POLL: Duration = Duration::from_millis(2);
/// Default speaking rate of espeak-ng and `say`, in words per minute.
const WORDS_PER_MINUTE: f32 = 175.0;

/// A voice program, which is started for each sentence.
#[derive(Clone, Debug)]
pub struct SystemVoice {
    program: OsString,
    /// Interface of the program.
    dialect: Dialect,
    /// Time without output after which the program counts as hung.
    timeout: Duration,
}

/// The interface of a voice program: its options and the destination of its sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    /// espeak-ng, which writes WAV to stdout.
    Espeak,
    /// `say` of macOS, which writes a WAV file.
    Say,
    /// A PowerShell script with SAPI of Windows, which writes WAV to stdout.
    Sapi,
}

/// Returns the voices for this operating system, the best first; none in a build without feature `voice`. A missing program is an
/// error only when it is to speak.
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
    /// Creates the voice of `program`, which is espeak-ng or accepts the same options.
    #[must_use]
    pub fn espeak(program: impl Into<OsString>) -> Self {
        Self::new(program, Dialect::Espeak)
    }

    fn new(program: impl Into<OsString>, dialect: Dialect) -> Self {
        Self { program: program.into(), dialect, timeout: TIMEOUT }
    }

    /// Returns the voice with another timeout.
    #[cfg(all(test, unix))]
    const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
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

    fn say(&mut self, text: &SpeechText) -> Result<Box<dyn Utterance>> {
        let file = (self.dialect == Dialect::Say).then(temporary_file).transpose();
        let file = file.map_err(|e| self.failed(format_args!("cannot write its sound: {e}")).with_remedy(Remedy::for_write(&e)))?;
        let mut command = Command::new(&self.program);
        command.args(arguments(self.dialect, text, file.as_ref()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let remedy = (self.dialect == Dialect::Espeak).then_some(Remedy::InstallEspeak);
        let mut child = command.spawn().map_err(|e| self.failed(format_args!("cannot be started: {e}")).with_remedy(remedy))?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (blocks_tx, blocks) = bounded(BLOCKS);
        let line = text.text.clone() + "\n";
        // A program that reads late or not at all must not block this thread.
        let write = move || {
            if let Some(mut stdin) = stdin {
                // A program that stops reading produces less sound, which is reported.
                let _ = stdin.write_all(line.as_bytes());
            }
        };
        let read = move || {
            if let Some(stdout) = stdout {
                let done = read_sound(stdout, file, &blocks_tx);
                // The send fails if the utterance was dropped.
                let _ = blocks_tx.send(Block::End(done.map_err(|e| e.to_string())));
            }
        };
        let running = RunningProgram { child, blocks, voice: self.clone(), rate_hz: 0, spoke: false, waiting_since: None, ended: false };
        let failed = |e: Error| self.failed(format_args!("cannot be used: {}", e.message()));
        supervise::spawn("hearken-words", write).map_err(failed)?;
        supervise::spawn("hearken-sound", read).map_err(failed)?;
        Ok(Box::new(running))
    }
}

/// Returns the command line arguments of a voice program for `text`, which is itself not among them; `file` receives the sound of a program
/// that cannot write to a pipe.
fn arguments(dialect: Dialect, text: &SpeechText, file: Option<&PathBuf>) -> Vec<OsString> {
    let Prosody { rate, pitch } = text.prosody;
    let wpm = format!("{:.0}", WORDS_PER_MINUTE * rate);
    let arguments: Vec<String> = match dialect {
        // The pitch is 0 to 99, with 50 for the voice's own; 25 steps are about a third.
        Dialect::Espeak => {
            let voice = if text.language == Language::Chinese { "cmn" } else { "en" };
            let pitch = format!("{:.0}", (50.0 + 75.0 * (pitch - 1.0)).clamp(0.0, 99.0));
            ["--stdin", "--stdout", "-b", "1", "-v", voice, "-s", &wpm, "-p", &pitch].map(str::to_owned).to_vec()
        }
        Dialect::Say => {
            let file = file.map(|file| file.to_string_lossy().into_owned()).unwrap_or_default();
            let mut all: Vec<String> =
                ["-r", &wpm, "--file-format=WAVE", "--data-format=LEI16@22050", "-o", &file].map(str::to_owned).to_vec();
            if text.language == Language::Chinese {
                all.extend(["-v", "Tingting"].map(str::to_owned));
            }
            all
        }
        Dialect::Sapi => {
            let culture = if text.language == Language::Chinese { "zh-CN" } else { "en-US" };
            // The rate is -10 to 10; a step is about a tenth.
            let rate = format!("{:.0}", (10.0 * (rate - 1.0)).clamp(-10.0, 10.0));
            let script = SAPI.replace("CULTURE", culture).replace("RATE", &rate);
            ["-NoProfile", "-NonInteractive", "-Command", &script].map(str::to_owned).to_vec()
        }
    };
    arguments.into_iter().map(OsString::from).collect()
}

/// PowerShell script that reads text from stdin and writes WAV to stdout. CULTURE and RATE are placeholders.
const SAPI: &str = "Add-Type -AssemblyName System.Speech; \
    $in = New-Object IO.StreamReader([Console]::OpenStandardInput(), [Text.Encoding]::UTF8); $text = $in.ReadToEnd(); \
    $voice = New-Object System.Speech.Synthesis.SpeechSynthesizer; $voice.Rate = RATE; \
    try { $voice.SelectVoiceByHints('NotSet', 'NotSet', 0, [Globalization.CultureInfo]'CULTURE') } catch {}; \
    $wav = New-Object IO.MemoryStream; $voice.SetOutputToWaveStream($wav); $voice.Speak($text); \
    $out = [Console]::OpenStandardOutput(); $wav.WriteTo($out); $out.Flush()";

/// Returns a path in a new folder for the output of `say`, which cannot write to a pipe.
fn temporary_file() -> std::io::Result<PathBuf> {
    make_temporary_folder(&std::env::temp_dir(), "hearken-say-").map(|folder| folder.join("said.wav"))
}

/// A message from the thread that reads a voice program's sound.
enum Block {
    /// A block of mono samples at `rate_hz` Hz.
    Samples { rate_hz: u32, samples: Vec<f32> },
    /// The end of the sound; with the reason if the sound is not valid WAV or cannot be read.
    End(std::result::Result<(), String>),
}

/// Reads the sound of a voice program, from `stdout` or from the `file` that it wrote, and sends it to `blocks` until the sound ends or the
/// receiver is gone.
fn read_sound(mut stdout: impl Read, file: Option<PathBuf>, blocks: &Sender<Block>) -> std::io::Result<()> {
    let Some(file) = file else { return read_wav(&mut stdout, blocks) };
    // The file is complete when the program closes its stdout.
    std::io::copy(&mut stdout, &mut std::io::sink())?;
    let sound = std::fs::read(&file);
    if let Some(folder) = file.parent() {
        // A folder that cannot be removed does no harm.
        let _ = std::fs::remove_dir_all(folder);
    }
    read_wav(&mut &sound?[..], blocks)
}

/// Decodes WAV from `reader` and sends the samples to `blocks` until the sound ends or the receiver is gone.
fn read_wav(reader: &mut impl Read, blocks: &Sender<Block>) -> std::io::Result<()> {
    let format = read_header(reader)?;
    let (mut bytes, mut filled) = (vec![0; BLOCK_BYTES], 0);
    loop {
        let count = reader.read(&mut bytes[filled..])?;
        if count == 0 {
            return Ok(());
        }
        filled += count;
        let mut samples = Vec::with_capacity(filled / 2);
        let used = decode_samples(&bytes[..filled], format.channels, &mut samples);
        bytes.copy_within(used..filled, 0);
        filled -= used;
        if !samples.is_empty() && blocks.send(Block::Samples { rate_hz: format.rate_hz, samples }).is_err() {
            return Ok(());
        }
    }
}

/// A voice program that speaks a sentence.
struct RunningProgram {
    child: Child,
    /// Blocks of the program's sound.
    blocks: Receiver<Block>,
    /// Voice that started the program, for error messages.
    voice: SystemVoice,
    /// Sample rate of the newest samples, in Hz.
    rate_hz: u32,
    /// True once samples have arrived.
    spoke: bool,
    /// Start of the current wait for samples.
    waiting_since: Option<Instant>,
    /// True once the end or an error was returned.
    ended: bool,
}

impl Utterance for RunningProgram {
    fn next(&mut self, out: &mut Vec<f32>) -> Result<UtteranceEvent> {
        if self.ended {
            return Ok(UtteranceEvent::End);
        }
        match self.blocks.recv_timeout(WAIT) {
            Ok(Block::Samples { rate_hz, samples }) => {
                self.waiting_since = None;
                self.rate_hz = rate_hz;
                self.spoke = true;
                out.extend_from_slice(&samples);
                Ok(UtteranceEvent::Samples(samples.len()))
            }
            Ok(Block::End(done)) => {
                self.ended = true;
                match done {
                    Ok(()) if self.spoke => self.check_exit(),
                    Ok(()) => Err(self.voice.failed("produced no samples")),
                    Err(_) if !self.spoke => Err(self.voice.failed("produced no sound; the program may be damaged or too old")),
                    Err(why) => Err(self.voice.failed(format_args!("stopped early: {why}"))),
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                if self.waiting_since.get_or_insert_with(Instant::now).elapsed() < self.voice.timeout {
                    return Ok(UtteranceEvent::Nothing);
                }
                self.ended = true;
                Err(self.voice.failed("did not respond and was stopped"))
            }
            Err(RecvTimeoutError::Disconnected) => {
                self.ended = true;
                Err(self.voice.failed("can no longer be read"))
            }
        }
    }

    fn rate_hz(&self) -> u32 {
        self.rate_hz
    }
}

impl RunningProgram {
    /// Waits up to 100 ms for the program's exit after its last samples. Returns the end of the utterance, or an error if the
    /// program failed and so spoke only a part.
    fn check_exit(&mut self) -> Result<UtteranceEvent> {
        let begun = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(UtteranceEvent::End),
                Ok(Some(status)) => return Err(self.voice.failed(format_args!("stopped early: {status}"))),
                // The sound is complete; the program is killed on drop.
                Ok(None) if begun.elapsed() > WAIT => return Ok(UtteranceEvent::End),
                Ok(None) => std::thread::sleep(EXIT_POLL),
                Err(_) => return Ok(UtteranceEvent::End),
            }
        }
    }
}

impl Drop for RunningProgram {
    fn drop(&mut self) {
        // Fails if the program has exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests;
