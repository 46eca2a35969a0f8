//! The deletion of the running conversation, and the time in which it can be undone.
//!
//! The lines leave the screen and the model's context at once, and the history when the time is over or the session ends. Undo
//! brings back the lines and keeps the history; the model's context cannot be brought back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::running_session::RunningSession;
use crate::protocol::{Command, Event};
use crate::supervise::{self, lock};
use crate::time::StreamTime;
use crate::transcript::Transcript;

/// Time in which a deletion can be undone.
pub(super) const UNDO_TIME: Duration = Duration::from_secs(10);

/// A conversation that is deleted from screen and context, and not yet from the history.
#[derive(Debug)]
pub(super) struct PendingDeletion {
    lines: Transcript,
    events: Vec<Event>,
    /// Stream time up to which the history is to be deleted.
    until: StreamTime,
    due: Instant,
}

impl RunningSession {
    /// Deletes the running conversation from the screen and from the model's context, and from the history after [`UNDO_TIME`]. A
    /// deletion that is still pending is carried out first.
    pub(super) fn delete_conversation(self: &Arc<Self>) {
        self.carry_out_deletion();
        self.engine.send(Command::Forget);
        let (lines, events, until) = self.data.take_conversation(self.engine.meters().read().lag_secs);
        *lock(&self.deletion) = Some(PendingDeletion { lines, events, until, due: Instant::now() + UNDO_TIME });
        // Without a thread, the next frame or the end of the session carries the deletion out.
        let session = Arc::downgrade(self);
        let _ = supervise::spawn("hearken-undo", move || {
            std::thread::sleep(UNDO_TIME);
            if let Some(session) = session.upgrade() {
                session.carry_out_due_deletion();
            }
        });
    }

    /// Brings the deleted lines back to the screen; returns false if there is nothing to undo.
    pub(super) fn undo_deletion(&self) -> bool {
        let Some(PendingDeletion { lines, events, .. }) = lock(&self.deletion).take() else { return false };
        self.data.restore_conversation(lines, events);
        true
    }

    /// Carries out the pending deletion if its time is over.
    pub(super) fn carry_out_due_deletion(&self) {
        if lock(&self.deletion).as_ref().is_some_and(|pending| pending.due <= Instant::now()) {
            self.carry_out_deletion();
        }
    }

    /// Deletes the conversation whose deletion is pending from the history, if there is one.
    pub(super) fn carry_out_deletion(&self) {
        let pending = lock(&self.deletion).take();
        if let Some(PendingDeletion { until, .. }) = pending {
            self.history.delete_running_session(until);
            self.data.repaint();
        }
    }

    /// Returns the time in which the deletion can still be undone; `None` if there is nothing to undo.
    pub(super) fn undo_left(&self) -> Option<Duration> {
        lock(&self.deletion).as_ref().map(|pending| pending.due.saturating_duration_since(Instant::now()))
    }
}
