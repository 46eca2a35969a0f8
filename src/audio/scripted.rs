//! A source that plays a script: what tests hear.

use std::collections::VecDeque;

use super::{Source, SourceEvent, tame};
use crate::error::Result;

/// One line of the script.
#[derive(Clone, Debug)]
pub enum ScriptStep {
    /// These samples, 16 kHz mono.
    Samples(Vec<f32>),
    /// This, which has no samples.
    Event(SourceEvent),
}

/// Yields the lines of a script, then its end.
#[derive(Debug)]
pub struct ScriptedSource {
    name: String,
    lines: VecDeque<ScriptStep>,
}

impl ScriptedSource {
    /// A source called `name` that plays `lines`.
    #[must_use]
    pub fn new(name: &str, lines: impl IntoIterator<Item = ScriptStep>) -> Self {
        Self { name: name.to_owned(), lines: lines.into_iter().collect() }
    }
}

impl Source for ScriptedSource {
    fn next(&mut self, out: &mut Vec<f32>) -> Result<SourceEvent> {
        Ok(match self.lines.pop_front() {
            None => SourceEvent::End,
            Some(ScriptStep::Event(heard)) => heard,
            Some(ScriptStep::Samples(samples)) => {
                out.extend(samples.iter().copied().map(tame));
                SourceEvent::Samples(samples.len())
            }
        })
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}
