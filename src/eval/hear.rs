//! Hears items: each sitting is a session of its own, and several advance in one batched pass.
//!
//! It drives the very [`Session`] and [`FrontEnd`] of the product, as `hearken listen FILE --gate off` does: a file waits for the
//! model, silence follows each sound. Not responsible for judging what comes of it.

mod seat;

use std::sync::Arc;

use rayon::iter::{IntoParallelRefMutIterator, ParallelIterator};

use super::items::{Item, Prediction};
use crate::config::{ContextChoice, Mode};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::session::front_end::{Analysis, encode_batch};
use crate::session::prompt::PromptCache;
use crate::session::{SessionConfig, pass_batch};
use seat::Seat;

/// What is heard in one session, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Sitting {
    /// Under which condition, where a run has several.
    pub condition: String,
    /// What the session keeps in mind.
    pub context: ContextChoice,
    /// What is heard.
    pub items: Vec<Item>,
}

/// Whether a second lane hears everything and never responds, so that its margins are those of the whole sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Margins {
    /// Yes.
    OfTheWhole,
    /// No.
    None,
}

/// Whether the time to the first text is taken by the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Yes: the predictions are then not the same on every run.
    Read,
    /// No.
    Unread,
}

/// What all sittings have in common.
#[derive(Clone, Debug)]
pub struct Hearer {
    /// The model.
    pub model: Arc<Model>,
    /// How its sessions behave; what they keep in mind is the sitting's.
    pub conduct: SessionConfig,
    /// The mode whose replies are looked at.
    pub mode: Mode,
    /// What its lane starts from.
    pub opening: Arc<PromptCache>,
    /// Whether margins are taken.
    pub margins: Margins,
    /// Whether the clock is read.
    pub clock: Clock,
    /// Silence after each sound, in seconds.
    pub gap_secs: f64,
    /// Whether the quiet gate keeps silence from the model.
    pub gate: bool,
    /// Sittings that advance together at most.
    pub lanes: usize,
}

impl Hearer {
    /// Hears `sittings`; `done` is given the predictions of each as it ends. Sittings that run together end in the order of
    /// their length, always the same.
    ///
    /// # Errors
    /// When computing fails, or `done` does: what was done before is done. A sound that cannot be heard is no error: its
    /// prediction says so.
    pub fn hear(&self, sittings: impl IntoIterator<Item = Sitting>, mut done: impl FnMut(Vec<Prediction>) -> Result<()>) -> Result<()> {
        let mut waiting = sittings.into_iter();
        let mut seats: Vec<Seat> = Vec::new();
        loop {
            while seats.len() < self.lanes.max(1)
                && let Some(sitting) = waiting.next()
            {
                seats.push(Seat::new(self, sitting)?);
            }
            if seats.is_empty() {
                return Ok(());
            }
            let fed = self.feed(&mut seats)?;
            let mut sessions: Vec<_> = seats.iter_mut().map(Seat::session).collect();
            let worked = pass_batch(&self.model, &mut sessions)?;
            seats.iter_mut().for_each(Seat::learn);
            let before = seats.len();
            let mut at = 0;
            while at < seats.len() {
                if seats[at].is_done() {
                    done(seats.remove(at).finish())?;
                } else {
                    at += 1;
                }
            }
            if !worked && fed == 0 && seats.len() == before {
                return Err(Error::internal("a lane has something to hear and cannot take it"));
            }
        }
    }

    /// Every seat that has nothing to do hears its next chunk; how many did.
    fn feed(&self, seats: &mut [Seat]) -> Result<usize> {
        let listened = seats.par_iter_mut().filter(|seat| seat.is_idle()).filter_map(|seat| {
            let sifted = seat.listen()?;
            Some((seat, sifted))
        });
        let (listening, sifted): (Vec<&mut Seat>, Vec<Analysis>) = listened.collect::<Vec<_>>().into_iter().unzip();
        let fed = listening.len();
        for (seat, heard) in listening.into_iter().zip(encode_batch(sifted, &self.model)?) {
            seat.take_in(heard);
        }
        Ok(fed)
    }
}
