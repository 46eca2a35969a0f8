//! The reasons for the inference thread to act, and the one place where it waits for them.

use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Select, TryRecvError, never};

use super::{InferenceThread, Phase};
use crate::engine::capture::Captured;
use crate::engine::inference::workers::WorkerResult;
use crate::engine::speech::SpeechReport;
use crate::engine::{ENCODED_CHUNKS, SourceTiming};
use crate::protocol::Command;

/// Time after which a session that gives way looks at the other one again: a small part of a chunk.
const GIVE_WAY_NAP: Duration = Duration::from_millis(5);

/// A reason for the inference thread to act.
#[derive(Debug)]
pub(super) enum Wake {
    /// A command of the window or the command line.
    Command(Command),
    /// A background thread has made a prompt cache or a model.
    Worker(WorkerResult),
    /// The speech thread reports.
    Speech(SpeechReport),
    /// A person spoke over a reply.
    Interruption,
    /// The capture thread has captured sound, or has news about the source.
    Captured(Captured),
    /// The window or the command line dropped its handle.
    HandleDropped,
    /// The speech thread ended, which it does by itself only after too many panics.
    SpeechEnded,
    /// The capture thread ended without an end of the source.
    CaptureEnded,
}

/// The behaviour of [`InferenceThread::next`] when there is nothing to act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// Returns None at once: lanes have work to do.
    Poll,
    /// Blocks until something happens: lanes have nothing to do.
    Wait,
}

impl InferenceThread {
    /// Returns the next reason to act, in this order of urgency: commands, background threads, speech, barge-in, captured sound. `patience`
    /// decides if it waits for one.
    pub(super) fn next(&mut self, patience: Patience) -> Option<Wake> {
        loop {
            if let Some(wake) = self.poll(patience) {
                return Some(wake);
            }
            if patience == Patience::Poll {
                return None;
            }
            let mut select = Select::new();
            select.recv(&self.channels.commands);
            select.recv(&self.worker_results);
            select.recv(self.speech.reports());
            select.recv(&self.channels.interruptions);
            if self.takes_captured(patience) {
                select.recv(self.channels.captured.wakeup());
            }
            self.busy.take_away();
            select.ready();
            self.busy.set();
        }
    }

    /// Waits while the session that this one gives way to has something to compute, and obeys commands meanwhile.
    pub(super) fn give_way(&mut self) {
        while self.phase != Phase::Ended && self.gives_way_to.as_ref().is_some_and(|first| first.read().busy) {
            match self.channels.commands.recv_timeout(GIVE_WAY_NAP) {
                Ok(command) => self.obey(command),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.phase = Phase::Ended,
            }
        }
    }

    /// Returns true if captured sound may be taken now. A file waits for the model: its next chunk is taken once lanes and voice
    /// have nothing left to do. A live source does not wait, so its chunks are encoded while lanes reply, up to 10 s of them,
    /// because encoded chunks take more memory than samples.
    fn takes_captured(&self, patience: Patience) -> bool {
        self.phase == Phase::Listening
            && match (patience, self.timing) {
                (Patience::Wait, SourceTiming::Live) => true,
                (Patience::Wait, SourceTiming::Waits) => !self.speech.is_busy(),
                (Patience::Poll, SourceTiming::Live) => self.session.backlog() < ENCODED_CHUNKS,
                (Patience::Poll, SourceTiming::Waits) => false,
            }
    }

    /// Returns a reason to act without waiting, the most urgent first, as [`Self::next`] does; None if there is none.
    fn poll(&mut self, patience: Patience) -> Option<Wake> {
        match self.channels.commands.try_recv() {
            Ok(command) => return Some(Wake::Command(command)),
            Err(TryRecvError::Disconnected) => return Some(Wake::HandleDropped),
            Err(TryRecvError::Empty) => {}
        }
        if let Ok(result) = self.worker_results.try_recv() {
            return Some(Wake::Worker(result));
        }
        match self.speech.reports().try_recv() {
            Ok(report) => return Some(Wake::Speech(report)),
            Err(TryRecvError::Disconnected) => return Some(Wake::SpeechEnded),
            Err(TryRecvError::Empty) => {}
        }
        match self.channels.interruptions.try_recv() {
            Ok(()) => return Some(Wake::Interruption),
            // The capture thread has ended: nobody can interrupt any more.
            Err(TryRecvError::Disconnected) => self.channels.interruptions = never(),
            Err(TryRecvError::Empty) => {}
        }
        if !self.takes_captured(patience) {
            return None;
        }
        // Read before the queue: what the capture thread pushed before it ended is still taken.
        let ended = self.channels.captured.wakeup().try_recv() == Err(TryRecvError::Disconnected);
        let captured = self.channels.captured.take().map(Wake::Captured);
        captured.or_else(|| ended.then_some(Wake::CaptureEnded))
    }
}
