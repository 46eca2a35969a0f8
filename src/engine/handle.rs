//! The face's end of the engine.

use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TrySendError};

use super::meters::Meters;
use crate::protocol::{Command, Event};

/// Commands down, events up, meters to look at. Dropping it ends the session.
#[derive(Debug)]
pub struct EngineHandle {
    commands: Sender<Command>,
    events: Receiver<Event>,
    meters: Arc<Meters>,
    threads: Vec<JoinHandle<()>>,
}

impl EngineHandle {
    /// A handle over these channels; `threads` are joined when it is dropped. Also the way in which a test drives a face by hand.
    #[must_use]
    pub const fn new(commands: Sender<Command>, events: Receiver<Event>, meters: Arc<Meters>, threads: Vec<JoinHandle<()>>) -> Self {
        Self { commands, events, meters, threads }
    }

    /// Asks for `command`; false when the engine has ended or is not keeping up with commands.
    pub fn send(&self, command: Command) -> bool {
        match self.commands.try_send(command) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }

    /// Something that ends the session from anywhere, such as a signal handler.
    pub fn stopper(&self) -> impl Fn() + Send + 'static {
        let commands = self.commands.clone();
        // A session that takes no more commands has ended or is about to.
        move || drop(commands.try_send(Command::Shutdown))
    }

    /// A way to send commands from another thread; it says what [`EngineHandle::send`] does.
    pub fn sender(&self) -> impl Fn(Command) -> bool + Send + 'static {
        let commands = self.commands.clone();
        move |command| commands.try_send(command).is_ok()
    }

    /// Whether the engine's threads run.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.threads.iter().any(|thread| !thread.is_finished())
    }

    /// What the engine reports; the channel closes after `session_finished`.
    #[must_use]
    pub const fn events(&self) -> &Receiver<Event> {
        &self.events
    }

    /// The numbers that move.
    #[must_use]
    pub fn meters(&self) -> &Arc<Meters> {
        &self.meters
    }
}

impl Drop for EngineHandle {
    fn drop(&mut self) {
        // The engine may be blocked on a full event channel: shutting down means taking what is left out of it.
        while self.commands.try_send(Command::Shutdown).is_err_and(|e| matches!(e, TrySendError::Full(_))) {
            let _ = self.events.recv_timeout(std::time::Duration::from_millis(20));
        }
        while self.threads.iter().any(|thread| !thread.is_finished()) {
            let _ = self.events.recv_timeout(std::time::Duration::from_millis(20));
        }
        for thread in self.threads.drain(..) {
            // A panic of a worker has already become a `problem` event; there is nothing left to say about it here.
            let _ = thread.join();
        }
    }
}
