//! The capture thread: pulls samples from a source, cuts chunks and hands them to the inference thread; no loss goes unreported.

pub(super) mod chunk_queue;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError};

use super::SourceTiming;
use super::meters::Meters;
use super::retry_policy::{FailureAction, Notify, RetryPolicy};
use super::speech::turn_taking::TurnTaking;
use crate::audio::capture::CaptureSource;
use crate::audio::chunker::{Chunk, Chunker};
use crate::audio::echo::{EchoPath, VoiceActivity};
use crate::audio::{Source, SourceEvent};
use crate::config::StartState;
use crate::error::{Error, Result};
use crate::level::dbfs_of_sound;
use crate::protocol::{ChannelChoice, DeviceChoice, GapCause, VoiceSettings};
use crate::supervise::panic_text;
use crate::time::StreamTime;
use chunk_queue::{ChunkSender, PushOutcome};

/// Sleep of the capture thread between two looks for commands while capture is paused.
const PAUSED_NAP: Duration = Duration::from_millis(20);
/// Sleep between two attempts to hand a file's chunk to a full chunk queue.
const FULL_NAP: Duration = Duration::from_millis(1);

/// An item of the chunk queue, in stream order: a chunk, or an event at its place between chunks.
#[derive(Debug)]
pub(super) enum Captured {
    /// A chunk of 0.4 s of sound.
    Chunk(Chunk),
    /// Samples were lost.
    Gap {
        /// Audio time at the end of the gap.
        at: StreamTime,
        /// Audio time at the start of the gap.
        from: StreamTime,
        /// Number of lost samples (16 kHz).
        samples: u64,
        cause: GapCause,
    },
    /// Sound comes from another device from here on, or at another rate.
    InputChanged { at: StreamTime, device: String, rate_hz: u32, channels: u16 },
    /// An error that does not end the source.
    Problem { at: StreamTime, error: Error },
    /// No device delivers sound from here on, until `InputChanged`.
    InputLost { at: StreamTime, error: Error },
    /// The input has delivered only silence that no room has for 5 s.
    InputSilent { at: StreamTime, device: String },
    /// Sound arrives again after `InputSilent`.
    InputAudible { at: StreamTime },
    /// Capture was paused.
    Paused { at: StreamTime },
    /// Capture goes on after a pause.
    Resumed { at: StreamTime },
    /// The last item: the source has ended, with an error if it failed.
    End { at: StreamTime, error: Option<Error> },
}

/// A command to the capture thread.
#[derive(Clone, Debug)]
pub(super) enum CaptureCommand {
    /// Stop listening; close the device.
    Pause,
    /// Listen again after a pause.
    Resume,
    /// Listen to this input from now on.
    Switch(DeviceChoice),
    /// Hear this channel from now on.
    Channel(ChannelChoice),
    /// Use these settings of echo cancellation, interruption and enhancement from now on.
    Voice(VoiceSettings),
    /// End the thread.
    Stop,
}

/// The capture thread's ends of its channels: chunks and news out, commands in.
pub(super) struct CaptureChannels {
    /// Chunk queue to the inference thread.
    pub(super) out: ChunkSender,
    /// Commands from the inference thread.
    pub(super) commands: Receiver<CaptureCommand>,
}

/// The echo canceller of the microphone, and the receivers of its findings: speech and barge-in.
pub(super) struct EchoHandling {
    pub(super) echo: EchoPath,
    /// Time of the last speech, for the speech thread.
    pub(super) turn_taking: Arc<TurnTaking>,
    /// The channel that wakes the inference thread for a barge-in: a person spoke over a reply.
    pub(super) interruptions: Sender<()>,
}

impl EchoHandling {
    /// Removes the echo of Hearken's own voice from `samples` (16 kHz, in place); passes speech and barge-in on to the other threads.
    fn process(&mut self, samples: &mut Vec<f32>) {
        let noticed = self.echo.step(samples);
        if noticed != VoiceActivity::Inactive {
            self.turn_taking.note_speech();
        }
        if noticed == VoiceActivity::BargeIn {
            // A full channel means that an interruption is waiting already.
            let _ = self.interruptions.try_send(());
        }
    }
}

/// The source of a session, with the properties that the capture thread needs to know.
pub(super) struct CapturedSource {
    pub(super) source: Box<dyn Source>,
    /// Silence that is inserted after each file, in seconds.
    pub(super) gap_secs: f64,
    /// Behaviour of the source while the model is busy.
    pub(super) timing: SourceTiming,
    /// Inputs, by id or name, that are used only when chosen by name.
    pub(super) excluded_inputs: Vec<String>,
    /// Channels that are heard.
    pub(super) channel: ChannelChoice,
}

/// The capture thread: pulls events from the source and pushes what it captured to the chunk queue.
pub(super) struct CaptureThread {
    input: CapturedSource,
    start: StartState,
    chunker: Chunker,
    channels: CaptureChannels,
    meters: Arc<Meters>,
    echo_handling: EchoHandling,
    state: CaptureState,
    /// Commands that arrived while a chunk waited for room in the queue.
    commands: VecDeque<CaptureCommand>,
    /// Buffer of the samples that the source delivered last.
    samples: Vec<f32>,
    /// Complete chunks that are to be sent.
    cut: Vec<Chunk>,
}

/// The state of the capture thread.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CaptureState {
    /// The thread pulls sound from the source.
    Running,
    /// The source is paused; the thread waits for commands.
    Paused,
    /// The source has ended, or the thread was told to stop.
    Ended,
}

impl CaptureThread {
    pub(super) fn new(
        input: CapturedSource,
        start: StartState,
        channels: CaptureChannels,
        echo_handling: EchoHandling,
        meters: Arc<Meters>,
    ) -> Self {
        let (chunker, state, commands) = (Chunker::new(), CaptureState::Running, VecDeque::new());
        Self { input, start, chunker, channels, meters, echo_handling, state, commands, samples: Vec::new(), cut: Vec::new() }
    }

    pub(super) fn run(mut self) {
        if self.start == StartState::Paused {
            self.pause();
        }
        let mut retry_policy = RetryPolicy::default();
        while self.state != CaptureState::Ended {
            self.obey();
            match self.state {
                CaptureState::Running => self.step(&mut retry_policy),
                CaptureState::Paused => std::thread::sleep(PAUSED_NAP),
                CaptureState::Ended => {}
            }
        }
    }

    /// Takes the source's next event and sends its sound or news; a panic is reported, and repeated panics end the capture.
    fn step(&mut self, retry_policy: &mut RetryPolicy) {
        let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.listen())) else { return retry_policy.succeeded() };
        let error = Error::internal(format_args!("capture failed: {}", panic_text(panic.as_ref())));
        match retry_policy.failed(self.chunker.now()) {
            (FailureAction::End, _) => self.end(Some(error)),
            (_, Notify::Report) => self.send(Captured::Problem { at: self.chunker.now(), error }),
            (_, Notify::AlreadyReported) => {}
        }
    }

    fn listen(&mut self) {
        self.samples.clear();
        let heard = self.input.source.next(&mut self.samples);
        let at = self.chunker.now();
        match heard {
            Ok(SourceEvent::Samples(_)) => {
                self.show_level();
                // Only a live source hears the room that Hearken speaks into.
                if self.input.timing == SourceTiming::Live {
                    self.echo_handling.process(&mut self.samples);
                }
                self.chunker.push(&self.samples, &mut self.cut);
                self.send_chunks();
            }
            Ok(SourceEvent::Nothing) => {}
            Ok(SourceEvent::Gap { samples, cause }) => {
                self.echo_handling.echo.gap(samples);
                let from = self.chunker.gap(samples);
                self.send(Captured::Gap { at: self.chunker.now(), from, samples, cause });
            }
            Ok(SourceEvent::InputChanged { device, rate_hz, channels }) => {
                self.send(Captured::InputChanged { at, device, rate_hz, channels });
            }
            Ok(SourceEvent::EndOfFile) => {
                self.chunker.end_of_file(&mut self.cut);
                self.chunker.silence(self.input.gap_secs, &mut self.cut);
                self.send_chunks();
            }
            Ok(SourceEvent::Problem(error)) => self.send(Captured::Problem { at, error }),
            Ok(SourceEvent::InputLost(error)) => self.send(Captured::InputLost { at, error }),
            Ok(SourceEvent::InputSilent { device }) => self.send(Captured::InputSilent { at, device }),
            Ok(SourceEvent::InputAudible) => self.send(Captured::InputAudible { at }),
            Ok(SourceEvent::End) => self.end(None),
            Err(error) => self.end(Some(error)),
        }
    }

    /// Moves commands from the channel to the list `commands`. A command to stop, or a closed channel, ends the thread's loop at once.
    fn receive_commands(&mut self) {
        loop {
            match self.channels.commands.try_recv() {
                Ok(CaptureCommand::Stop) | Err(TryRecvError::Disconnected) => {
                    self.state = CaptureState::Ended;
                    return;
                }
                Ok(command) => self.commands.push_back(command),
                Err(TryRecvError::Empty) => return,
            }
        }
    }

    fn obey(&mut self) {
        self.receive_commands();
        while self.state != CaptureState::Ended
            && let Some(command) = self.commands.pop_front()
        {
            let done = match command {
                CaptureCommand::Pause if self.state == CaptureState::Running => {
                    self.pause();
                    Ok(())
                }
                CaptureCommand::Resume if self.state == CaptureState::Paused => self.resume(),
                CaptureCommand::Switch(device) => self.switch(&device),
                CaptureCommand::Channel(channel) => {
                    self.input.channel = channel;
                    self.input.source.choose_channel(channel);
                    Ok(())
                }
                CaptureCommand::Voice(conduct) => {
                    self.echo_handling.echo.configure(conduct);
                    Ok(())
                }
                CaptureCommand::Pause | CaptureCommand::Resume | CaptureCommand::Stop => Ok(()),
            };
            if let Err(error) = done {
                self.send(Captured::Problem { at: self.chunker.now(), error });
            }
        }
    }

    fn pause(&mut self) {
        self.input.source.pause();
        self.flush_echo_path();
        self.state = CaptureState::Paused;
        self.meters.show_level(f32::NEG_INFINITY, 0.0);
        self.send(Captured::Paused { at: self.chunker.now() });
    }

    fn resume(&mut self) -> Result<()> {
        self.input.source.resume()?;
        self.state = CaptureState::Running;
        self.send(Captured::Resumed { at: self.chunker.now() });
        Ok(())
    }

    /// Captures from the input `device` in place of the present source, even if that is a file. If the input cannot be opened, the present
    /// source goes on. While capture is paused no device is opened.
    fn switch(&mut self, device: &DeviceChoice) -> Result<()> {
        let excluded = &self.input.excluded_inputs;
        let paused = self.state == CaptureState::Paused;
        let mut opened = if paused { CaptureSource::paused(device, excluded) } else { CaptureSource::open(device, excluded) }?;
        opened.choose_channel(self.input.channel);
        let (name, rate_hz, channels) = (opened.name(), opened.rate_hz(), opened.channels());
        self.flush_echo_path();
        self.input.source = Box::new(opened);
        self.input.timing = SourceTiming::Live;
        self.send(Captured::InputChanged { at: self.chunker.now(), device: name, rate_hz, channels });
        Ok(())
    }

    /// Ends the processing of the microphone so far: takes the samples still held by the echo canceller and sends the chunks that they
    /// complete.
    fn flush_echo_path(&mut self) {
        self.samples.clear();
        self.echo_handling.echo.reset(&mut self.samples);
        self.chunker.push(&self.samples, &mut self.cut);
        self.send_chunks();
    }

    /// Sends the sound that is left, padded to a whole chunk with silence, and then the end, with `error` if the source failed.
    fn end(&mut self, error: Option<Error>) {
        self.flush_echo_path();
        self.chunker.end_of_file(&mut self.cut);
        self.send_chunks();
        self.send(Captured::End { at: self.chunker.now(), error });
        self.state = CaptureState::Ended;
    }

    fn send_chunks(&mut self) {
        for chunk in std::mem::take(&mut self.cut) {
            self.send(Captured::Chunk(chunk));
        }
    }

    /// Sends `item` to the inference thread. A file waits for room in the queue, and receives commands meanwhile; a live source makes room
    /// by giving up the oldest chunk.
    fn send(&mut self, item: Captured) {
        let queue = &self.channels.out;
        let mut outcome = if self.input.timing == SourceTiming::Live { queue.push(item) } else { queue.try_push(item) };
        while let PushOutcome::Full(item) = outcome {
            std::thread::sleep(FULL_NAP);
            self.receive_commands();
            if self.state == CaptureState::Ended {
                return;
            }
            outcome = self.channels.out.try_push(*item);
        }
        if let PushOutcome::Closed = outcome {
            self.state = CaptureState::Ended;
        }
    }

    /// Stores the level and the peak of the newest samples in the [`Meters`] that the window reads.
    fn show_level(&self) {
        let peak = self.samples.iter().fold(0.0f32, |peak, s| peak.max(s.abs()));
        self.meters.show_level(dbfs_of_sound(&self.samples), peak);
    }
}
