//! The conductor's end of the voice's thread: orders go down, reports come up, and a thread that stalls is replaced.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, never};

use super::{Mouth, ORDERS, Order, REPORTS, Report};
use crate::audio::playback::{FarSlot, Player};
use crate::engine::floor::Floor;
use crate::engine::watchdog::{Pulse, watch};
use crate::engine::{Stage, spawn};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::{DeviceChoice, Emotion, ReplyId, VoiceConduct};

/// Stalls, with no reply said to its end in between, after which the voice is not begun again.
const TOO_MANY: u32 = 3;
/// Orders that wait where nobody takes any.
const NONE: usize = 1;
/// How long the end of a session waits for the thread: longer than a fade.
const PATIENCE: Duration = Duration::from_secs(1);

/// What voices' threads are made of.
pub(in crate::engine) struct Cast {
    pub(in crate::engine) stage: Stage,
    pub(in crate::engine) far: FarSlot,
    pub(in crate::engine) floor: Arc<Floor>,
}

/// What became of a voice that stalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Stalled {
    /// Another takes its place, which is to be told.
    Replaced,
    /// Another takes its place; that it stalls was told a moment ago.
    ReplacedAgain,
    /// It stays down.
    Down,
}

/// The conductor's end of the voice's thread.
pub(in crate::engine) struct MouthHandle {
    cast: Cast,
    orders: Sender<Order>,
    pub(in crate::engine) reports: Receiver<Report>,
    /// Replies that are being said, or wait for it.
    open: BTreeSet<ReplyId>,
    /// The one that is being said.
    saying: Option<ReplyId>,
    /// None when it was lost.
    thread: Option<JoinHandle<()>>,
    /// Stalls since a reply was last said to its end.
    stalls: u32,
}

impl MouthHandle {
    /// Starts a voice's thread.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(in crate::engine) fn start(cast: Cast, conduct: VoiceConduct, output: DeviceChoice) -> Result<Self> {
        let (orders, reports, thread) = put_up(&cast, conduct, output)?;
        Ok(Self { cast, orders, reports, open: BTreeSet::new(), saying: None, thread: Some(thread), stalls: 0 })
    }

    /// Begins to say a reply.
    pub(in crate::engine) fn begin(&mut self, reply: ReplyId, emotion: Option<Emotion>) {
        if self.order(Order::Begin { reply, emotion }).is_ok() {
            self.open.insert(reply);
        }
    }

    /// Hands a piece of a reply on, if it is one that is said.
    pub(in crate::engine) fn text(&self, reply: ReplyId, text: &str) {
        if self.open.contains(&reply) && !text.is_empty() {
            // A voice that is stuck loses a piece; the text stands in the window.
            let _ = self.order(Order::Text { reply, text: text.to_owned() });
        }
    }

    pub(in crate::engine) fn end(&self, reply: ReplyId) {
        if self.open.contains(&reply) {
            let _ = self.order(Order::End { reply });
        }
    }

    pub(in crate::engine) fn order(&self, order: Order) -> Result<()> {
        self.orders.try_send(order).map_err(|_| Error::new(ErrorKind::Internal, "the voice's thread does not take orders"))
    }

    /// Learns that a reply is being said.
    pub(in crate::engine) const fn started(&mut self, reply: ReplyId) {
        self.saying = Some(reply);
    }

    /// Learns that a reply has been said to its end.
    pub(in crate::engine) fn said(&mut self, reply: ReplyId) {
        self.stalls = 0;
        self.ended(reply);
    }

    /// Learns that a reply has ended.
    pub(in crate::engine) fn ended(&mut self, reply: ReplyId) {
        self.open.remove(&reply);
        self.saying = self.saying.filter(|saying| *saying != reply);
    }

    /// Its thread has ended, or is no longer waited for: nothing is being said. Gives the reply that was.
    pub(in crate::engine) fn lost(&mut self) -> Option<ReplyId> {
        self.open.clear();
        // What it is at cannot be ended; when it is done it finds nobody at the other ends of its channels, and ends.
        (self.orders, self.reports, self.thread) = (nobody(), never(), None);
        self.saying.take()
    }

    /// Another voice takes the place of one that stalls and was [`Self::lost`], unless that happens again and again.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(in crate::engine) fn replace(&mut self, conduct: VoiceConduct, output: DeviceChoice) -> Result<Stalled> {
        self.stalls += 1;
        if self.stalls >= TOO_MANY {
            return Ok(Stalled::Down);
        }
        self.begin_again(conduct, output)?;
        Ok(if self.stalls == 1 { Stalled::Replaced } else { Stalled::ReplacedAgain })
    }

    /// Starts a thread where there is none: the user has changed something about it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(in crate::engine) fn revive(&mut self, conduct: VoiceConduct, output: DeviceChoice) -> Result<()> {
        if self.thread.is_some() {
            return Ok(());
        }
        self.stalls = 0;
        self.begin_again(conduct, output)
    }

    fn begin_again(&mut self, conduct: VoiceConduct, output: DeviceChoice) -> Result<()> {
        let (orders, reports, thread) = put_up(&self.cast, conduct, output)?;
        (self.orders, self.reports, self.thread) = (orders, reports, Some(thread));
        Ok(())
    }

    pub(in crate::engine) fn is_busy(&self) -> bool {
        !self.open.is_empty()
    }

    /// Ends the thread, and waits for that a moment.
    pub(in crate::engine) fn finish(mut self) {
        self.orders = nobody();
        let Some(thread) = self.thread.take() else { return };
        let begun = Instant::now();
        while !thread.is_finished() && begun.elapsed() < PATIENCE {
            // It may have something to report.
            let _ = self.reports.recv_timeout(Duration::from_millis(5));
        }
        if thread.is_finished() {
            // A panic of it has become a report already.
            let _ = thread.join();
        }
    }
}

/// Takes no orders.
fn nobody() -> Sender<Order> {
    bounded(NONE).0
}

/// A voice's thread and its watchdog, which reports a stall as the thread itself would.
fn put_up(cast: &Cast, conduct: VoiceConduct, output: DeviceChoice) -> Result<(Sender<Order>, Receiver<Report>, JoinHandle<()>)> {
    let (orders, order_rx) = bounded(ORDERS);
    let (report_tx, reports) = bounded(REPORTS);
    let (pulse, watched) = Pulse::new();
    let player = Player::new((cast.stage.output)(), output, cast.far.successor());
    let voices = (cast.stage.voices)(conduct.voice);
    let stalls = report_tx.clone();
    let mouth = Mouth::new((order_rx, report_tx), player, Arc::clone(&cast.floor), conduct, voices, pulse);
    let limit = cast.stage.stalled;
    // It ends when the voice's thread does; nobody takes what it says once that is given up.
    spawn("hearken-voice-watchdog", move || watch(&watched, limit, |busy, _| drop(stalls.send(Report::Stalled(busy))))).map(drop)?;
    let thread = spawn("hearken-voice", move || mouth.run())?;
    Ok((orders, reports, thread))
}
