//! The handle on a running session, as the window and the command line use it.

use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TrySendError};

use super::SharedModel;
use super::meters::Meters;
use crate::config::Settings;
use crate::error::Result;
use crate::protocol::{Command, Event};

/// A running session: commands down, events up, meters. Dropping the handle ends the session and waits for its threads.
#[derive(Debug)]
pub struct EngineHandle {
    commands: Sender<Command>,
    events: Receiver<Event>,
    meters: Arc<Meters>,
    threads: Vec<JoinHandle<()>>,
    /// Model that the session uses.
    model: SharedModel,
}

impl EngineHandle {
    /// Returns a handle over these channels; `threads` are joined when the handle is dropped. Public for the tests of the window.
    #[must_use]
    pub fn new(commands: Sender<Command>, events: Receiver<Event>, meters: Arc<Meters>, threads: Vec<JoinHandle<()>>) -> Self {
        Self { commands, events, meters, threads, model: SharedModel::default() }
    }

    /// Returns the handle of a session that uses `model`.
    pub(super) fn with_model(mut self, model: SharedModel) -> Self {
        self.model = model;
        self
    }

    /// Returns a function for another thread that starts a session beside this one, on the source that its settings name: with the
    /// model of this session (that of its settings where this session has none), without a voice, and without a recording. The other
    /// session computes only while this one has nothing to compute.
    pub fn starter_beside(&self) -> impl Fn(Settings) -> Result<Self> + Send + Sync + 'static {
        let (model, meters) = (Arc::clone(&self.model), Arc::clone(&self.meters));
        move |settings| super::start_beside(settings, &model, &meters)
    }

    /// Sends `command`. Returns false, without sending, when the engine has ended or too many commands wait.
    pub fn send(&self, command: Command) -> bool {
        match self.commands.try_send(command) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }

    /// Returns a function that ends the session, for a signal handler; it does nothing while too many commands wait.
    pub fn stopper(&self) -> impl Fn() + Send + 'static {
        let commands = self.commands.clone();
        // A closed channel means that the session has ended.
        move || drop(commands.try_send(Command::Shutdown))
    }

    /// Returns a function for another thread that sends a command; it returns false, without sending, when the engine has ended or too many
    /// commands wait.
    pub fn sender(&self) -> impl Fn(Command) -> bool + Send + 'static {
        let commands = self.commands.clone();
        move |command| commands.try_send(command).is_ok()
    }

    /// Returns true while any of the engine's threads runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.threads.iter().any(|thread| !thread.is_finished())
    }

    /// Returns the events; the channel closes after `session_finished`.
    #[must_use]
    pub const fn events(&self) -> &Receiver<Event> {
        &self.events
    }

    /// Returns the meters: level, lag and states, which may be read at any time.
    #[must_use]
    pub fn meters(&self) -> &Arc<Meters> {
        &self.meters
    }
}

impl Drop for EngineHandle {
    fn drop(&mut self) {
        // The engine may be blocked on a full event channel, so its events are drained while it shuts down.
        while self.commands.try_send(Command::Shutdown).is_err_and(|e| matches!(e, TrySendError::Full(_))) {
            let _ = self.events.recv_timeout(std::time::Duration::from_millis(20));
        }
        while self.threads.iter().any(|thread| !thread.is_finished()) {
            let _ = self.events.recv_timeout(std::time::Duration::from_millis(20));
        }
        for thread in self.threads.drain(..) {
            // A worker's panic has become a `problem` event already.
            let _ = thread.join();
        }
    }
}
