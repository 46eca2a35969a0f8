//! The inference thread's handle on the speech thread: commands, reports, and the replacement of a thread that stalls.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, never};

use super::turn_taking::TurnTaking;
use super::{COMMANDS, REPORTS, SpeechCommand, SpeechReport, SpeechThread};
use crate::audio::playback::{FarEndSlot, Player};
use crate::engine::SpeechBackend;
use crate::engine::watchdog::{Heartbeat, watch};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::{DeviceChoice, Emotion, ReplyId, VoiceSettings};
use crate::supervise::spawn;

/// Number of stalls of the speech thread in a row after which it is not replaced. A reply that is spoken to its end starts the count again.
const MAX_STALLS: u32 = 3;
/// Capacity of the channel of commands while there is no speech thread to receive them.
const CLOSED: usize = 1;
/// Longest time that the end of a session waits for the speech thread: longer than a fade.
const FINISH_TIMEOUT: Duration = Duration::from_secs(1);

/// The parts that every speech thread of a session is made of.
pub(in crate::engine) struct SpeechConfig {
    pub(in crate::engine) backend: SpeechBackend,
    /// Handover of the samples that are being played to the echo canceller.
    pub(in crate::engine) far: FarEndSlot,
    /// Time of the last speech in the room.
    pub(in crate::engine) turn_taking: Arc<TurnTaking>,
}

/// The result of replacing a speech thread that stalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Replacement {
    /// Another thread has started; the stall is to be reported.
    Started,
    /// Another thread has started; an earlier stall has been reported, and no reply was spoken to its end since.
    StartedAgain,
    /// Too many stalls: there is no thread any more.
    GivenUp,
}

/// The inference thread's handle on the speech thread.
pub(in crate::engine) struct SpeechHandle {
    /// Backend and shared parts that another speech thread is started with.
    config: SpeechConfig,
    /// Commands to the speech thread.
    commands: Sender<SpeechCommand>,
    /// Reports of the speech thread.
    pub(in crate::engine) reports: Receiver<SpeechReport>,
    /// Replies that were handed on and are not over: being spoken, or waiting.
    open: BTreeSet<ReplyId>,
    /// The reply that is being spoken, if any.
    speaking: Option<ReplyId>,
    /// The speech thread; None after it was abandoned.
    thread: Option<JoinHandle<()>>,
    /// Number of stalls since a reply was last spoken to its end.
    stalls: u32,
}

/// A running speech thread with its channels.
struct RunningThread {
    commands: Sender<SpeechCommand>,
    reports: Receiver<SpeechReport>,
    thread: JoinHandle<()>,
}

impl SpeechHandle {
    /// Starts a speech thread with the voice settings `conduct` on the output `output`.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(in crate::engine) fn start(config: SpeechConfig, conduct: VoiceSettings, output: DeviceChoice) -> Result<Self> {
        let RunningThread { commands, reports, thread } = start_thread(&config, conduct, output)?;
        Ok(Self { config, commands, reports, open: BTreeSet::new(), speaking: None, thread: Some(thread), stalls: 0 })
    }

    /// Hands the reply `reply` to the speech thread; its text follows. Does nothing if the thread takes no commands.
    pub(in crate::engine) fn begin(&mut self, reply: ReplyId, emotion: Option<Emotion>) {
        if self.command(SpeechCommand::Begin { reply, emotion }).is_ok() {
            self.open.insert(reply);
        }
    }

    /// Hands the next piece of text of the reply `reply` to the speech thread; ignores a reply that was not begun or is over, and an empty
    /// piece.
    pub(in crate::engine) fn text(&self, reply: ReplyId, text: &str) {
        if self.open.contains(&reply) && !text.is_empty() {
            // A stalled thread loses a piece of speech; the text is in the window.
            let _ = self.command(SpeechCommand::Text { reply, text: text.to_owned() });
        }
    }

    /// Tells the speech thread that the text of `reply` is complete; ignores a reply that was not begun or is over.
    pub(in crate::engine) fn end(&self, reply: ReplyId) {
        if self.open.contains(&reply) {
            let _ = self.command(SpeechCommand::End { reply });
        }
    }

    /// Sends `command` to the speech thread.
    ///
    /// # Errors
    /// When the thread is gone or its queue is full.
    pub(in crate::engine) fn command(&self, command: SpeechCommand) -> Result<()> {
        self.commands.try_send(command).map_err(|_| Error::new(ErrorKind::Voice, "the voice does not react; replies are shown as text"))
    }

    /// Notes that `reply` is being spoken.
    pub(in crate::engine) const fn note_started(&mut self, reply: ReplyId) {
        self.speaking = Some(reply);
    }

    /// Notes that `reply` was spoken to its end.
    pub(in crate::engine) fn note_spoken(&mut self, reply: ReplyId) {
        self.stalls = 0;
        self.note_ended(reply);
    }

    /// Notes that `reply` is over, spoken or not.
    pub(in crate::engine) fn note_ended(&mut self, reply: ReplyId) {
        self.open.remove(&reply);
        self.speaking = self.speaking.filter(|speaking| *speaking != reply);
    }

    /// Lets go of a speech thread that has ended or stalled: drops its replies and its channels. Returns the reply that the thread was
    /// speaking.
    pub(in crate::engine) fn abandon(&mut self) -> Option<ReplyId> {
        self.open.clear();
        // A blocked call cannot be cancelled. When the call returns, the thread sees closed channels and exits.
        (self.commands, self.reports, self.thread) = (closed(), never(), None);
        self.speaking.take()
    }

    /// Starts another speech thread in place of one that stalled and was abandoned, unless this is the third stall since a reply was spoken
    /// to its end.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(in crate::engine) fn replace(&mut self, conduct: VoiceSettings, output: DeviceChoice) -> Result<Replacement> {
        self.stalls += 1;
        if self.stalls >= MAX_STALLS {
            return Ok(Replacement::GivenUp);
        }
        self.restart(conduct, output)?;
        Ok(if self.stalls == 1 { Replacement::Started } else { Replacement::StartedAgain })
    }

    /// Starts a speech thread if there is none, because the user has changed the voice or the output.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(in crate::engine) fn revive(&mut self, conduct: VoiceSettings, output: DeviceChoice) -> Result<()> {
        if self.thread.is_some() {
            return Ok(());
        }
        self.stalls = 0;
        self.restart(conduct, output)
    }

    fn restart(&mut self, conduct: VoiceSettings, output: DeviceChoice) -> Result<()> {
        let RunningThread { commands, reports, thread } = start_thread(&self.config, conduct, output)?;
        (self.commands, self.reports, self.thread) = (commands, reports, Some(thread));
        Ok(())
    }

    /// Returns true while a reply that was handed on is being spoken or waits to be spoken.
    pub(in crate::engine) fn is_busy(&self) -> bool {
        !self.open.is_empty()
    }

    /// Ends the speech thread, and waits up to 1 s for its end.
    pub(in crate::engine) fn finish(mut self) {
        self.commands = closed();
        let Some(thread) = self.thread.take() else { return };
        let begun = Instant::now();
        while !thread.is_finished() && begun.elapsed() < FINISH_TIMEOUT {
            // A full report channel would keep the thread from ending.
            let _ = self.reports.recv_timeout(Duration::from_millis(5));
        }
        if thread.is_finished() {
            // A panic has become a report already.
            let _ = thread.join();
        }
    }
}

/// Returns a sender of commands without a receiver.
fn closed() -> Sender<SpeechCommand> {
    bounded(CLOSED).0
}

/// Starts a speech thread and its watchdog, which reports a stall on the thread's channel of reports.
fn start_thread(config: &SpeechConfig, conduct: VoiceSettings, output: DeviceChoice) -> Result<RunningThread> {
    let (commands, command_rx) = bounded(COMMANDS);
    let (report_tx, reports) = bounded(REPORTS);
    let (heartbeat, monitor) = Heartbeat::new();
    let player = Player::new((config.backend.output)(), output, config.far.successor());
    let voices = (config.backend.voices)(conduct.voice);
    let stalls = report_tx.clone();
    let channels = super::SpeechChannels { commands: command_rx, reports: report_tx };
    let speech = SpeechThread::new(channels, player, Arc::clone(&config.turn_taking), conduct, voices, heartbeat);
    let limit = config.backend.stall_limit;
    // Ends with the speech thread. A report about a thread that was abandoned reaches nobody.
    spawn("hearken-speech-watchdog", move || watch(&monitor, limit, |busy, _| drop(stalls.send(SpeechReport::Stalled(busy)))))?;
    let thread = spawn("hearken-speech", move || speech.run())?;
    Ok(RunningThread { commands, reports, thread })
}
