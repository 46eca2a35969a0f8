//! The preparation of a session: model, modes with their prompt caches, and the recording of the whole session.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::inference::{Recordings, SessionRecording, find_mode, modes_in_real_time};
use super::meters::Meters;
use crate::audio::wav_file::WavFileWriter;
use crate::config::{ComputeDevice, Settings};
use crate::error::{Error, Result};
use crate::hub;
use crate::model::Model;
use crate::protocol::{ModelChoice, Severity};
use crate::session::prompt::PromptCache;
use crate::session::{Session, SessionConfig};
use crate::supervise;

/// The treatment of an error in the preparation of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnError {
    /// The session does not start.
    Refuse,
    /// The session starts without what failed, with the starter in place of a model that failed, and reports the error. Its recording
    /// waits for `Command::RecordSession`.
    Report,
}

/// The prepared parts of a session.
pub(super) struct Prepared {
    /// The settings, with the model, the precision and the device that are in use.
    pub(super) settings: Settings,
    pub(super) model: Arc<Model>,
    /// The session, with the modes switched on whose prompt caches could be made.
    pub(super) session: Session,
    /// Prompt caches of these modes, by the name of the mode.
    pub(super) prompts: BTreeMap<String, Arc<PromptCache>>,
    pub(super) recordings: Recordings,
    pub(super) reports: StartReports,
    /// Meters of the session that computes first; None for a session that gives way to none.
    pub(super) gives_way_to: Option<Arc<Meters>>,
}

/// The reports on what went wrong before the session, for its first events.
#[derive(Debug, Default)]
pub(super) struct StartReports {
    /// The chosen model that could not be loaded, with the reason.
    pub(super) failed_model: Option<(ModelChoice, Error)>,
    pub(super) problems: Vec<(Severity, Error)>,
}

/// Prepares the session that `settings` describe.
///
/// # Errors
/// With [`OnError::Refuse`] when anything fails; with [`OnError::Report`] only when the starter cannot be loaded.
pub(super) fn prepare(mut settings: Settings, on_error: OnError) -> Result<Prepared> {
    if let Some(threads) = settings.threads {
        crate::model::use_threads(threads);
    }
    let mut reports = StartReports::default();
    let loaded = match load(&settings) {
        Err(error) if on_error == OnError::Report => {
            let failed = fall_back_to_starter(&mut settings);
            let what = format!("the model {} cannot be loaded, and the starter listens instead", String::from(failed.clone()));
            reports.failed_model = Some((failed, error.while_doing(what)));
            load(&settings)?
        }
        loaded => loaded?,
    };
    prepare_loaded(settings, loaded, reports, on_error)
}

/// Prepares the session that `settings` describe on a model that is loaded. A mode or a recording that fails is left out and reported.
///
/// # Errors
/// When the model cannot listen.
pub(super) fn prepare_on(settings: Settings, model: Arc<Model>) -> Result<Prepared> {
    let loaded = supervise::catch(|| LoadedModel::of(model, None, &settings))?;
    prepare_loaded(settings, loaded, StartReports::default(), OnError::Report)
}

/// Switches the modes of `settings` on and opens the recording; for a window, it waits until the window is there.
fn prepare_loaded(mut settings: Settings, loaded: LoadedModel, mut reports: StartReports, on_error: OnError) -> Result<Prepared> {
    let LoadedModel { model, mut session, modes_on, gpu_problem } = loaded;
    settings.modes_on = modes_on;
    reports.problems.extend(gpu_problem.map(|error| (Severity::Warning, error)));
    let mut prompts = BTreeMap::new();
    for name in &settings.modes_on {
        let switched = find_mode(&settings.modes, name).and_then(|mode| {
            let prompt = PromptCache::of(&model, mode, &settings.paths)?;
            session.switch_on(mode, &prompt).map(|()| prompt)
        });
        match switched {
            Ok(prompt) => drop(prompts.insert(name.clone(), prompt)),
            Err(error) if on_error == OnError::Report => reports.problems.push((Severity::Warning, error)),
            Err(error) => return Err(error),
        }
    }
    // Last of all: a start that fails leaves no file behind.
    let recording = match &settings.save_audio {
        None => SessionRecording::Off,
        Some(path) if on_error == OnError::Report => SessionRecording::waiting(path.clone(), settings.existing_audio),
        Some(path) => SessionRecording::On(WavFileWriter::create(path, settings.existing_audio)?),
    };
    Ok(Prepared { settings, model, session, prompts, recordings: Recordings::new(recording), reports, gives_way_to: None })
}

/// A model that can listen.
struct LoadedModel {
    model: Arc<Model>,
    session: Session,
    /// Names of the modes that are on at the start.
    modes_on: Vec<String>,
    /// The failure of a GPU that was replaced by the processor.
    gpu_problem: Option<Error>,
}

impl LoadedModel {
    /// Returns the model with a session for the modes of `settings`.
    ///
    /// # Errors
    /// When the model cannot listen.
    fn of(model: Arc<Model>, gpu_problem: Option<Error>, settings: &Settings) -> Result<Self> {
        let config = SessionConfig::product(settings.sampling, settings.long_running.context);
        let session = Session::new(Arc::clone(&model), config)?;
        let modes_on = if settings.modes_on.is_empty() { modes_in_real_time(&model)? } else { settings.modes_on.clone() };
        Ok(Self { model, session, modes_on, gpu_problem })
    }
}

/// Loads the model that `settings` choose and checks that it can listen.
fn load(settings: &Settings) -> Result<LoadedModel> {
    supervise::catch(|| {
        let found = hub::find(&settings.model, &settings.paths)?;
        let (model, gpu_problem) = Model::load_or_fall_back(&found.folder, &found.name, settings.precision, settings.device)?;
        LoadedModel::of(Arc::new(model), gpu_problem, settings)
    })
}

/// Chooses the starter, on the processor and in its own precision, and returns the choice that it replaces.
fn fall_back_to_starter(settings: &mut Settings) -> ModelChoice {
    (settings.precision, settings.device) = (None, ComputeDevice::Cpu);
    std::mem::replace(&mut settings.model, ModelChoice::Starter)
}
