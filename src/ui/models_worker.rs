//! The worker of the models page: reads, changes and deletes model files on a thread of its own, so that painting never waits for the
//! disk.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::config::Originals;
use crate::error::Result;
use crate::hub::ModelManager;
use crate::protocol::models::{InstallEnd, MachineFacts, ModelCard};
use crate::supervise;

/// Number of requests, and of replies, that may wait: more than a user clicks while one is carried out.
const CAPACITY: usize = 16;

/// A request to the worker thread, which carries out one request after the other.
#[derive(Debug)]
pub(super) enum ModelsRequest {
    /// Read the catalogue, the presence of each model on the disk, and the free disk.
    Read,
    /// Measure how many modes of the released model keep up on this machine.
    Measure,
    /// Start the download of a model, or go on with one that was stopped.
    Download {
        /// Name of the model in the catalogue.
        name: String,
        /// Choice to keep or remove the original weights.
        originals: Originals,
    },
    /// Delete the files of a model.
    Remove {
        /// Name of the model in the catalogue.
        name: String,
    },
}

/// A reply of the worker thread to a request, or the news that a download has ended.
#[derive(Debug)]
pub(super) enum ModelsReply {
    /// Card of each model of the catalogue, and the facts about this machine without the measurement.
    Cards(Result<Vec<ModelCard>>, MachineFacts),
    /// Number of built-in modes of the released model that keep up on this machine.
    Measured(usize),
    /// The download has started and goes on in the background, or could not start.
    Started(Result<()>),
    /// The download of the model of this name has ended.
    Ended(String, InstallEnd),
    /// The files are deleted: the number of bytes freed.
    Removed(Result<u64>),
}

/// The handle of the worker thread. Dropping the handle ends the thread after the current request; requests that wait are lost.
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
                if reply_tx.send(answer(&manager, request, &reply_tx, &ctx)).is_err() {
                    return;
                }
                ctx.request_repaint();
            }
        };
        let _ = supervise::spawn("hearken-models", run);
        Self { requests, replies }
    }

    /// Sends a request to the worker thread without waiting. Drops the request if [`CAPACITY`] requests are waiting.
    pub(super) fn request(&self, request: ModelsRequest) {
        let _ = self.requests.try_send(request);
    }

    /// Returns the next reply of the worker thread; `None` if there is none yet.
    pub(super) fn reply(&self) -> Option<ModelsReply> {
        self.replies.try_recv().ok()
    }
}

/// Carries out a request and returns the reply. The end of a download is sent to `replies` later.
fn answer(manager: &ModelManager, request: ModelsRequest, replies: &Sender<ModelsReply>, ctx: &egui::Context) -> ModelsReply {
    match request {
        ModelsRequest::Read => ModelsReply::Cards(manager.cards(), manager.machine()),
        ModelsRequest::Measure => ModelsReply::Measured(manager.measure_release()),
        ModelsRequest::Download { name, originals } => {
            let (ended, replies, ctx) = (name.clone(), replies.clone(), ctx.clone());
            let on_end = move |end| {
                // Without room the page still shows the end on the model's card.
                let _ = replies.try_send(ModelsReply::Ended(ended, end));
                ctx.request_repaint();
            };
            ModelsReply::Started(manager.download_then(&name, originals, on_end))
        }
        ModelsRequest::Remove { name } => ModelsReply::Removed(manager.remove(&name)),
    }
}
