//! What the inference thread does when computing fails and when the machine cannot keep up.

use super::{Conductor, Phase};
use crate::config::ComputeDevice;
use crate::engine::Tempo;
use crate::engine::failures::{Remedy, Telling};
use crate::engine::overload::{Change, Load};
use crate::error::{Error, ErrorKind};
use crate::protocol::{Command, Event, Severity};

impl Conductor {
    /// Computing failed: it is tried again from where the lanes stood, then without what it failed on, then afresh; when
    /// nothing helps the session ends.
    pub(super) fn failed(&mut self, error: &Error) {
        if !self.parts.model.is_on_processor() {
            return self.leave_device(error);
        }
        let (mut remedy, mut telling) = self.failures.failed(self.now);
        let put_right = match remedy {
            Remedy::Retry => self.session.roll_back(),
            Remedy::Skip => self.session.roll_back().map(|()| self.session.skip(&mut self.out)),
            Remedy::Restart => self.session.restart_all(&mut self.out),
            Remedy::End => Ok(()),
        };
        if put_right.is_err() {
            (remedy, telling) = (Remedy::End, Telling::Tell);
        }
        let error = match remedy {
            Remedy::Skip => error.clone().while_doing("it failed again and 0.4 s of sound are passed over"),
            Remedy::Restart => error.clone().while_doing("every mode starts afresh and has forgotten what it heard"),
            Remedy::Retry | Remedy::End => error.clone(),
        };
        if telling == Telling::Tell {
            self.problem(if remedy == Remedy::End { Severity::Error } else { Severity::Warning }, &error);
        }
        if remedy == Remedy::End {
            self.phase = Phase::Ended;
        }
    }

    /// The GPU failed: the same model is loaded for the processor, which takes over when it is ready.
    fn leave_device(&mut self, error: &Error) {
        if self.parts.settings.device == ComputeDevice::Cpu {
            // That model is on its way.
            return;
        }
        self.parts.settings.device = ComputeDevice::Cpu;
        self.parts.settings.precision = None;
        let why = format!("the GPU failed ({}): Hearken goes over to the processor", error.message());
        self.problem(Severity::Warning, &Error::new(ErrorKind::Device, why));
        self.obey(Command::ChooseModel(self.parts.settings.model.clone()));
    }

    /// Lets modes rest while the machine cannot keep up, or says what helps.
    pub(super) fn lighten(&mut self) {
        if self.parts.tempo == Tempo::Waits {
            return;
        }
        let (lag_secs, on) = (self.lag_secs(), self.session.modes_on());
        let Some(change) = self.overload.step(Load { lag_secs, why: self.pace.why() }, self.now, &on) else { return };
        match &change {
            Change::Tell => self.problem(Severity::Warning, &self.pace.behind(lag_secs, &on, None)),
            Change::Rest(name) => {
                self.problem(Severity::Warning, &self.pace.behind(lag_secs, &on, Some(name)));
                self.session.switch_off(name, self.now, &mut self.out);
                self.out.push(Event::ModesChanged { at: self.now, modes: self.session.modes_on() });
            }
            Change::Wake(name) => {
                if let Err(error) = self.switch_on(name) {
                    self.problem(Severity::Warning, &error);
                }
            }
        }
    }

    /// A chunk could not be made into what lanes take; those that follow may be.
    pub(super) fn passed_over(&mut self, error: Error) {
        let ends = self.failures.failed(self.now).0 == Remedy::End;
        self.problem(if ends { Severity::Error } else { Severity::Warning }, &error.while_doing("0.4 s of sound are passed over"));
        if ends {
            self.phase = Phase::Ended;
        }
    }
}
