//! The capture thread: pulls a source, cuts chunks and hands them on; loses nothing in silence.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError};

use super::failures::{Failures, Remedy, Telling};
use super::floor::Floor;
use super::intake::{Feeder, Handed};
use super::meters::Meters;
use super::{Tempo, panic_message};
use crate::audio::capture::CaptureSource;
use crate::audio::chunker::{Chunk, Chunker};
use crate::audio::echo::{EchoPath, Noticed};
use crate::audio::{Heard, Source};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::{DeviceChoice, GapCause, VoiceConduct};
use crate::time::StreamTime;

/// How long the thread sleeps at a time while it is paused or waits for room.
const NAP: Duration = Duration::from_millis(20);

/// What the capture thread hands to the inference thread, in order.
#[derive(Debug)]
pub(super) enum Captured {
    Chunk(Chunk),
    Gap {
        at: StreamTime,
        from: StreamTime,
        samples: u64,
        cause: GapCause,
    },
    InputChanged {
        at: StreamTime,
        device: String,
        rate_hz: u32,
        channels: u16,
    },
    Trouble {
        at: StreamTime,
        error: Error,
    },
    Paused {
        at: StreamTime,
    },
    Resumed {
        at: StreamTime,
    },
    /// Nothing will come again; an error if that was not meant.
    End {
        at: StreamTime,
        error: Option<Error>,
    },
}

/// Orders to the capture thread.
#[derive(Clone, Debug)]
pub(super) enum Control {
    Pause,
    Resume,
    Switch(DeviceChoice),
    Voice(VoiceConduct),
    Stop,
}

/// The capture thread's ends of its channels.
pub(super) struct Ends {
    pub(super) out: Feeder,
    pub(super) control: Receiver<Control>,
}

/// What a microphone needs beside a file: its own voice taken out, and a person noticed.
pub(super) struct Hearing {
    pub(super) echo: EchoPath,
    pub(super) floor: Arc<Floor>,
    /// Somebody spoke over a reply.
    pub(super) interruptions: Sender<()>,
}

impl Hearing {
    /// Leaves in `samples` what the model is to hear.
    fn clean(&mut self, samples: &mut Vec<f32>) {
        let noticed = self.echo.step(samples);
        if noticed != Noticed::Nothing {
            self.floor.speech();
        }
        if noticed == Noticed::Interruption {
            // One that waits says it already.
            let _ = self.interruptions.try_send(());
        }
    }
}

/// The capture thread.
pub(super) struct Capture {
    source: Box<dyn Source>,
    chunker: Chunker,
    gap_secs: f64,
    tempo: Tempo,
    /// Inputs that are never taken unasked.
    excluded: Vec<String>,
    ends: Ends,
    meters: Arc<Meters>,
    hearing: Hearing,
    running: Running,
    orders: VecDeque<Control>,
    samples: Vec<f32>,
    cut: Vec<Chunk>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Running {
    Yes,
    Paused,
    Ended,
}

impl Capture {
    pub(super) fn new(source: Box<dyn Source>, (gap_secs, tempo): (f64, Tempo), ends: Ends, hearing: Hearing, meters: Arc<Meters>) -> Self {
        let (excluded, orders, samples, cut) = (Vec::new(), VecDeque::new(), Vec::new(), Vec::new());
        Self {
            source,
            chunker: Chunker::new(),
            gap_secs,
            tempo,
            excluded,
            ends,
            meters,
            hearing,
            running: Running::Yes,
            orders,
            samples,
            cut,
        }
    }

    /// None of these inputs is taken unless it is chosen by name.
    pub(super) fn excluding(mut self, excluded: &[String]) -> Self {
        self.excluded = excluded.to_vec();
        self
    }

    pub(super) fn run(mut self) {
        let mut failures = Failures::default();
        while self.running != Running::Ended {
            self.obey();
            if self.running == Running::Ended {
                break;
            }
            if self.running == Running::Paused {
                std::thread::sleep(NAP);
                continue;
            }
            match catch_unwind(AssertUnwindSafe(|| self.listen())) {
                Ok(()) => failures.over(),
                Err(panic) => {
                    let error = Error::new(ErrorKind::Internal, format!("capture failed: {}", panic_message(panic.as_ref())));
                    match failures.failed(self.chunker.now()) {
                        (Remedy::End, _) => self.end(Some(error)),
                        (_, Telling::Tell) => self.hand_on(Captured::Trouble { at: self.chunker.now(), error }),
                        (_, Telling::Told) => {}
                    }
                }
            }
        }
    }

    /// Takes what the source has next.
    fn listen(&mut self) {
        self.samples.clear();
        let heard = self.source.next(&mut self.samples);
        let at = self.chunker.now();
        match heard {
            Ok(Heard::Samples(_)) => {
                self.show_level();
                // A file does not hear the room that Hearken speaks into.
                if self.tempo == Tempo::Live {
                    self.hearing.clean(&mut self.samples);
                }
                self.chunker.push(&self.samples, &mut self.cut);
                self.hand_on_chunks();
            }
            Ok(Heard::Nothing) => {}
            Ok(Heard::Gap { samples, cause }) => {
                self.hearing.echo.gap(samples);
                let from = self.chunker.gap(samples);
                self.hand_on(Captured::Gap { at: self.chunker.now(), from, samples, cause });
            }
            Ok(Heard::InputChanged { device, rate_hz, channels }) => self.hand_on(Captured::InputChanged { at, device, rate_hz, channels }),
            Ok(Heard::EndOfFile) => {
                self.chunker.end_of_file(&mut self.cut);
                self.chunker.silence(self.gap_secs, &mut self.cut);
                self.hand_on_chunks();
            }
            Ok(Heard::Trouble(error)) => self.hand_on(Captured::Trouble { at, error }),
            Ok(Heard::End) => self.end(None),
            Err(error) => self.end(Some(error)),
        }
    }

    /// Fetches what was ordered; an engine that has gone is an order to end.
    fn take_orders(&mut self) {
        loop {
            match self.ends.control.try_recv() {
                Ok(Control::Stop) | Err(TryRecvError::Disconnected) => self.running = Running::Ended,
                Ok(order) => self.orders.push_back(order),
                Err(TryRecvError::Empty) => return,
            }
            if self.running == Running::Ended {
                return;
            }
        }
    }

    fn obey(&mut self) {
        self.take_orders();
        while let Some(control) = self.orders.pop_front() {
            let done = match control {
                Control::Pause if self.running == Running::Yes => {
                    self.source.pause();
                    self.give_out_held();
                    self.running = Running::Paused;
                    self.meters.show_level(f32::NEG_INFINITY, 0.0);
                    self.hand_on(Captured::Paused { at: self.chunker.now() });
                    Ok(())
                }
                Control::Resume if self.running == Running::Paused => self.resume(),
                Control::Switch(device) => self.switch(&device),
                Control::Voice(conduct) => {
                    self.hearing.echo.follow(conduct);
                    Ok(())
                }
                Control::Pause | Control::Resume | Control::Stop => Ok(()),
            };
            if let Err(error) = done {
                self.hand_on(Captured::Trouble { at: self.chunker.now(), error });
            }
        }
    }

    fn resume(&mut self) -> Result<()> {
        self.source.resume()?;
        self.running = Running::Yes;
        self.hand_on(Captured::Resumed { at: self.chunker.now() });
        Ok(())
    }

    /// Captures from another device; the one before goes on when that cannot be opened.
    fn switch(&mut self, device: &DeviceChoice) -> Result<()> {
        let mut opened = CaptureSource::open(device, &self.excluded)?;
        let (name, rate_hz, channels) = (opened.name(), opened.rate_hz(), opened.channels());
        if self.running == Running::Paused {
            opened.pause();
        }
        self.give_out_held();
        self.source = Box::new(opened);
        self.tempo = Tempo::Live;
        self.hand_on(Captured::InputChanged { at: self.chunker.now(), device: name, rate_hz, channels });
        Ok(())
    }

    /// What the canceller still holds is heard.
    fn give_out_held(&mut self) {
        self.samples.clear();
        self.hearing.echo.reset(&mut self.samples);
        self.chunker.push(&self.samples, &mut self.cut);
        self.hand_on_chunks();
    }

    fn end(&mut self, error: Option<Error>) {
        self.give_out_held();
        // What was heard of an unfinished chunk is heard; the rest of it is silence.
        self.chunker.end_of_file(&mut self.cut);
        self.hand_on_chunks();
        self.hand_on(Captured::End { at: self.chunker.now(), error });
        self.running = Running::Ended;
    }

    fn hand_on_chunks(&mut self) {
        for chunk in std::mem::take(&mut self.cut) {
            self.hand_on(Captured::Chunk(chunk));
        }
    }

    /// Hands `item` on. A file waits for room; of a live source the oldest chunk becomes a gap instead.
    fn hand_on(&mut self, item: Captured) {
        let mut handed = if self.tempo == Tempo::Live { self.ends.out.push(item) } else { self.ends.out.offer(item) };
        while let Handed::Back(item) = handed {
            std::thread::sleep(Duration::from_millis(1));
            self.take_orders();
            if self.running == Running::Ended {
                return;
            }
            handed = self.ends.out.offer(*item);
        }
        if let Handed::Nobody = handed {
            self.running = Running::Ended;
        }
    }

    fn show_level(&self) {
        let power = self.samples.iter().map(|s| s * s).sum::<f32>() / self.samples.len().max(1) as f32;
        let peak = self.samples.iter().fold(0.0f32, |peak, s| peak.max(s.abs()));
        self.meters.show_level(10.0 * power.max(1e-12).log10(), peak);
    }
}
