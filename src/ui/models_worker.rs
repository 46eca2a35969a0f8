//! The worker of the models page: reads, changes and deletes model files on a thread of its own, so that painting never waits for the
//! disk.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::config::Originals;
use crate::error::Result;
use crate::hub::ModelManager;
use crate::protocol::models::ModelCard;
use crate::supervise;

/// Number of requests to the worker thread, and of replies from it, that may wait in a queue: more than a user clicks while a
/// request is carried out.
const CAPACITY: usize = 16;

/// A request to the worker thread of the models page, which carries out the requests one after the other.
#[derive(Debug)]
pub(super) enum ModelsRequest {
    /// Read the catalogue and the state of each model on the disk.
    Read,
    /// Start the download of the model `name`, and keep or remove the original weights afterwards.
    Download { name: String, originals: Originals },
    /// Delete the files of the model `name`.
    Remove { name: String },
}

/// A reply of the worker thread of the models page to a [`ModelsRequest`].
#[derive(Debug)]
pub(super) enum ModelsReply {
    /// The catalogue's models as read from the disk, or the reason why the catalogue cannot be read.
    Cards(Result<Vec<ModelCard>>),
    /// The download has started and goes on in the background, or could not start.
    Started(Result<()>),
    /// The files of the model are deleted, with the number of bytes freed, or could not be deleted.
    Removed(Result<u64>),
}

/// The handle of the worker thread of the models page. Dropping the handle ends the thread after the current request; waiting
/// requests are lost.
#[derive(Debug)]
pub(super) struct ModelsWorker {
    requests: Sender<ModelsRequest>,
    replies: Receiver<ModelsReply>,
}

impl ModelsWorker {
    /// Starts the worker thread, which requests a repaint of `ctx` after each reply. If the system refuses the thread, no request is
    /// ever answered.
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

    /// Sends a request to the worker thread without waiting. Drops the request if [`CAPACITY`] requests wait already.
    pub(super) fn request(&self, request: ModelsRequest) {
        let _ = self.requests.try_send(request);
    }

    /// Returns the next reply of the worker thread without waiting; `None` if there is none yet.
    pub(super) fn reply(&self) -> Option<ModelsReply> {
        self.replies.try_recv().ok()
    }
}
