//! The worker of the models page: reads, changes and deletes model files on a thread of its own, so that painting never waits for the
//! disk.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::config::Originals;
use crate::error::Result;
use crate::hub::ModelManager;
use crate::protocol::models::ModelCard;
use crate::supervise;

/// Number of requests, and of replies, that may wait: more than a user clicks while one is carried out.
const CAPACITY: usize = 16;

/// A request to the worker, which carries out one after the other.
#[derive(Debug)]
pub(super) enum ModelsRequest {
    /// Read the catalogue and the state of each model on the disk.
    Read,
    Download {
        name: String,
        originals: Originals,
    },
    Remove {
        name: String,
    },
}

/// The worker's reply to a request.
#[derive(Debug)]
pub(super) enum ModelsReply {
    Cards(Result<Vec<ModelCard>>),
    /// The download has started and goes on in the background, or could not start.
    Started(Result<()>),
    /// The model's files are deleted: the number of bytes freed.
    Removed(Result<u64>),
}

/// The handle of the worker thread. Dropping it ends the thread after the current request; those that wait are lost.
#[derive(Debug)]
pub(super) struct ModelsWorker {
    requests: Sender<ModelsRequest>,
    replies: Receiver<ModelsReply>,
}

impl ModelsWorker {
    /// Starts the worker thread, which requests a repaint after each reply. If the system refuses the thread, no request is ever
    /// answered.
    pub(super) fn start(manager: Arc<ModelManager>, ctx: &egui::Context) -> Self {
        let (requests, request_rx) = bounded(CAPACITY);
        let (reply_tx, replies) = bounded(CAPACITY);
        let ctx = ctx.clone();
        let run = move || {
            for request in request_rx {
                let reply = match request {
                    ModelsRequest::Read => ModelsReply::Cards(manager.cards()),
                    ModelsRequest::Download { name, originals } => ModelsReply::Started(manager.download(&name, originals)),
                    ModelsRequest::Remove { name } => ModelsReply::Removed(manager.remove(&name)),
                };
                if reply_tx.send(reply).is_err() {
                    return;
                }
                ctx.request_repaint();
            }
        };
        let _ = supervise::spawn("hearken-models", run);
        Self { requests, replies }
    }

    /// Sends a request without waiting; drops it if [`CAPACITY`] requests wait already.
    pub(super) fn request(&self, request: ModelsRequest) {
        let _ = self.requests.try_send(request);
    }

    /// Returns the next reply; `None` if there is none yet.
    pub(super) fn reply(&self) -> Option<ModelsReply> {
        self.replies.try_recv().ok()
    }
}
