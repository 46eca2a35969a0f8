//! A source that plays a script, for tests.

use std::collections::VecDeque;

use super::{Source, SourceEvent, sanitize};
use crate::error::Result;

/// A step of the script.
#[derive(Clone, Debug)]
pub enum ScriptStep {
    /// Samples that one call of `next` delivers, 16 kHz mono.
    Samples(Vec<f32>),
    /// An event that one call of `next` returns, without samples.
    Event(SourceEvent),
}

/// A source that delivers the steps of a script, one per call of `next`, then ends.
#[derive(Debug)]
pub struct ScriptedSource {
    name: String,
    steps: VecDeque<ScriptStep>,
}

impl ScriptedSource {
    /// Creates a source called `name` that plays `steps`.
    #[must_use]
    pub fn new(name: &str, steps: impl IntoIterator<Item = ScriptStep>) -> Self {
        Self { name: name.to_owned(), steps: steps.into_iter().collect() }
    }
}

impl Source for ScriptedSource {
    fn next(&mut self, out: &mut Vec<f32>) -> Result<SourceEvent> {
        Ok(match self.steps.pop_front() {
            None => SourceEvent::End,
            Some(ScriptStep::Event(event)) => event,
            Some(ScriptStep::Samples(samples)) => {
                out.extend(samples.iter().copied().map(sanitize));
                SourceEvent::Samples(samples.len())
            }
        })
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}
