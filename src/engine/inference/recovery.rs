//! Failed computations, and a machine that cannot keep up.

use super::load::Load;
use super::overload::LoadChange;
use super::{InferenceThread, Phase};
use crate::config::ComputeDevice;
use crate::engine::SourceTiming;
use crate::engine::retry_policy::{FailureAction, Notify};
use crate::error::{Error, ErrorKind, Remedy};
use crate::protocol::{Command, Severity};
use crate::session::Session;

impl InferenceThread {
    /// Answers a failed pass. On the GPU loads the model for the processor. On the processor retries from before the pass, then skips the
    /// chunk, then restarts the lanes, then ends the session.
    pub(super) fn pass_failed(&mut self, error: &Error) {
        if !self.model.is_on_cpu() {
            return self.leave_gpu(error);
        }
        let (mut action, mut notify) = self.retry_policy.failed(self.now);
        let repaired = match action {
            FailureAction::Retry => self.session.roll_back(),
            FailureAction::Skip => self.session.roll_back().map(|()| self.with_session(Session::skip)),
            FailureAction::Restart => self.with_session(Session::restart_all),
            FailureAction::End => Ok(()),
        };
        if repaired.is_err() {
            (action, notify) = (FailureAction::End, Notify::Report);
        }
        let error = match action {
            FailureAction::Skip => error.clone().while_doing("computing failed twice and 0.4 s of sound are skipped"),
            FailureAction::Restart => error.clone().while_doing("computing failed again and every mode starts afresh, without its context"),
            FailureAction::Retry | FailureAction::End => error.clone(),
        };
        if notify == Notify::Report {
            self.problem(if action == FailureAction::End { Severity::Error } else { Severity::Warning }, &error);
        }
        if action == FailureAction::End {
            self.phase = Phase::Ended;
        }
    }

    /// Loads the model again, for the processor, after the GPU failed with `error`; does nothing while that is in progress.
    fn leave_gpu(&mut self, error: &Error) {
        if self.settings.device == ComputeDevice::Cpu {
            // The processor's model is being loaded.
            return;
        }
        self.settings.device = ComputeDevice::Cpu;
        self.settings.precision = None;
        let why = format!("the GPU failed ({}); Hearken goes on with the processor", error.message());
        self.problem(Severity::Warning, &Error::new(ErrorKind::Device, why).with_remedy(Remedy::UpdateGraphicsDriver));
        self.obey(Command::ChooseModel(self.settings.model.clone()));
    }

    /// Rests or wakes modes as the lag requires, or tells the user what helps. Does nothing for a source that waits for the model.
    pub(super) fn shed_load(&mut self) {
        if self.timing == SourceTiming::Waits {
            return;
        }
        let (lag_secs, on) = (self.lag_secs(), self.session.modes_on());
        let Some(change) = self.overload.step(Load { lag_secs, cause: self.costs.lag_cause() }, self.now, &on) else { return };
        match &change {
            LoadChange::Report => self.problem(Severity::Warning, &self.costs.lag_problem(lag_secs, &on, None)),
            LoadChange::Rest(name) => {
                self.problem(Severity::Warning, &self.costs.lag_problem(lag_secs, &on, Some(name)));
                self.rest(name);
            }
            LoadChange::Wake(name) => {
                if let Err(error) = self.switch_on(name) {
                    self.problem(Severity::Warning, &error);
                }
            }
        }
    }

    /// Reports and leaves out a chunk that the front end could not encode; ends the session if that happens again and again.
    pub(super) fn skip_chunk(&mut self, error: Error) {
        let ends = self.retry_policy.failed(self.now).0 == FailureAction::End;
        let severity = if ends { Severity::Error } else { Severity::Warning };
        self.problem(severity, &error.while_doing("0.4 s of sound are skipped"));
        if ends {
            self.phase = Phase::Ended;
        }
    }
}
