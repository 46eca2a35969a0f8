//! Background work that takes longer than a chunk: making prompt caches, loading another model.

use std::sync::Arc;

use crossbeam_channel::Sender;

use crate::config::{Mode, Settings};
use crate::error::Result;
use crate::hub;
use crate::model::Model;
use crate::protocol::ModelChoice;
use crate::session::prompt::PromptCache;
use crate::supervise::{self, spawn};

/// Number of results of background threads that may wait for the inference thread: a prompt cache for each mode that a person is likely to
/// have, and a model.
pub(super) const RESULTS: usize = 16;

/// The result of a background thread.
#[derive(Debug)]
pub(super) enum WorkerResult {
    /// The prompt cache of `mode`, for the model with this fingerprint.
    Prompt { mode: Mode, fingerprint: [u8; 32], prompt: Result<Arc<PromptCache>> },
    /// The model of the choice `choice`, or the error that prevented loading.
    Model { choice: ModelChoice, loaded: Result<OtherModel> },
}

/// Another model, with the prompt caches of the modes that were on when the model was asked for; a cache that could not be made is
/// missing.
#[derive(Debug)]
pub(super) struct OtherModel {
    pub(super) model: Arc<Model>,
    pub(super) prompts: Vec<(String, Arc<PromptCache>)>,
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
        let loaded = supervise::catch(|| {
            let found = hub::find(&choice, &settings.paths)?;
            let model = Arc::new(Model::load(&found.folder, &found.name, settings.precision, settings.device)?);
            // A cache that fails is tried again when its mode is switched on, and the failure is reported then.
            let prompt = |mode: &Mode| Some((mode.name.clone(), PromptCache::of(&model, mode, &settings.paths).ok()?));
            let prompts = modes.iter().filter_map(prompt).collect();
            Ok(OtherModel { model, prompts })
        });
        // A failed send means that the session has ended.
        let _ = results.send(WorkerResult::Model { choice, loaded });
    })
    .map(drop)
}
