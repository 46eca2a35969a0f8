//! Work that takes longer than a chunk and must not hold up listening: making openings, loading another model.

use std::sync::Arc;

use crossbeam_channel::Sender;

use super::opening::Opening;
use super::spawn;
use crate::config::{Mode, Settings};
use crate::error::{Error, Result};
use crate::hub;
use crate::model::Model;
use crate::protocol::ModelChoice;

/// Results that may wait for the inference thread: one opening for each mode a person is likely to have, and a model.
pub(super) const READY: usize = 16;

/// What a worker has made.
#[derive(Debug)]
pub(super) enum Ready {
    /// The opening of this mode, for the model of this fingerprint.
    Opening { mode: Mode, fingerprint: [u8; 32], opening: Result<Arc<Opening>> },
    /// Another model, with the openings of the modes that were on when it was asked for.
    Model { model: Arc<Model>, openings: Vec<(String, Arc<Opening>)> },
    /// It could not be loaded.
    NoModel(Error),
}

/// Makes the openings of `modes` one after the other.
///
/// # Errors
/// When the thread cannot be started.
pub(super) fn make_openings(model: &Arc<Model>, modes: Vec<Mode>, settings: &Settings, ready: Sender<Ready>) -> Result<()> {
    let (model, paths) = (Arc::clone(model), settings.paths.clone());
    spawn("hearken-openings", move || {
        for mode in modes {
            let opening = Opening::of(&model, &mode, &paths);
            let made = Ready::Opening { mode, fingerprint: *model.fingerprint(), opening };
            if ready.send(made).is_err() {
                return;
            }
        }
    })
    .map(drop)
}

/// Loads the model `choice` with the openings of `modes`.
///
/// # Errors
/// When the thread cannot be started.
pub(super) fn load_model(choice: ModelChoice, modes: Vec<Mode>, settings: &Settings, ready: Sender<Ready>) -> Result<()> {
    let settings = settings.clone();
    spawn("hearken-load", move || {
        let load = || -> Result<Ready> {
            let found = hub::find(&choice, &settings.paths)?;
            let model = Arc::new(Model::load(&found.folder, &found.name, settings.precision, settings.device)?);
            let openings = modes.iter().map(|m| Ok((m.name.clone(), Opening::of(&model, m, &settings.paths)?))).collect::<Result<_>>()?;
            Ok(Ready::Model { model, openings })
        };
        // Nobody waits for a model any more when this fails: the session has ended.
        let _ = ready.send(load().unwrap_or_else(Ready::NoModel));
    })
    .map(drop)
}
