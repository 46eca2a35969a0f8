//! Background work that takes longer than a chunk: making prompt caches, loading another model.

use std::sync::Arc;

use crossbeam_channel::Sender;

use crate::config::{Mode, Settings};
use crate::error::{Error, Result};
use crate::hub;
use crate::model::Model;
use crate::protocol::ModelChoice;
use crate::session::prompt::PromptCache;
use crate::supervise::spawn;

/// Number of results of background threads that may wait for the inference thread: a prompt cache for each mode that a person is likely to
/// have, and a model.
pub(super) const RESULTS: usize = 16;

/// The result of a background thread.
#[derive(Debug)]
pub(super) enum WorkerResult {
    /// The prompt cache of `mode`, for the model with this fingerprint.
    Prompt { mode: Mode, fingerprint: [u8; 32], prompt: Result<Arc<PromptCache>> },
    /// Another model, with the prompt caches of the modes that were on when the model was asked for.
    Model { model: Arc<Model>, prompts: Vec<(String, Arc<PromptCache>)> },
    /// The error that prevented loading the model.
    ModelFailed(Error),
}

/// Makes the prompt caches of `modes`, one after the other, on a background thread, which sends each cache, or the error, to `results`.
///
/// # Errors
/// When the thread cannot be started.
pub(super) fn make_prompts(model: &Arc<Model>, modes: Vec<Mode>, settings: &Settings, results: Sender<WorkerResult>) -> Result<()> {
    let (model, paths) = (Arc::clone(model), settings.paths.clone());
    spawn("hearken-prompts", move || {
        for mode in modes {
            let prompt = PromptCache::of(&model, &mode, &paths);
            let made = WorkerResult::Prompt { mode, fingerprint: *model.fingerprint(), prompt };
            if results.send(made).is_err() {
                return;
            }
        }
    })
    .map(drop)
}

/// Loads the model `choice` and then makes the prompt caches of `modes`, on a background thread, which sends one result to `results`.
///
/// # Errors
/// When the thread cannot be started.
pub(super) fn load_model(choice: ModelChoice, modes: Vec<Mode>, settings: &Settings, results: Sender<WorkerResult>) -> Result<()> {
    let settings = settings.clone();
    spawn("hearken-load", move || {
        let load = || -> Result<WorkerResult> {
            let found = hub::find(&choice, &settings.paths)?;
            let model = Arc::new(Model::load(&found.folder, &found.name, settings.precision, settings.device)?);
            let prompts =
                modes.iter().map(|m| Ok((m.name.clone(), PromptCache::of(&model, m, &settings.paths)?))).collect::<Result<_>>()?;
            Ok(WorkerResult::Model { model, prompts })
        };
        // A failed send means that the session has ended.
        let _ = results.send(load().unwrap_or_else(WorkerResult::ModelFailed));
    })
    .map(drop)
}
