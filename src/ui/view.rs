//! What the user did with the view: which tab, which dialog, what is being typed. Nothing of it is about what was heard.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::list::List;
use crate::audio::DeviceInfo;
use crate::config::{ExportForm, Mode};
use crate::protocol::{Panel, ReplyId};

/// Side of the window's icon, in pixels.
pub(super) const ICON: u32 = 64;

#[derive(Debug)]
pub(super) struct View {
    /// The panel that a narrow window shows.
    pub(super) tab: Panel,
    pub(super) speech: List,
    pub(super) talk: List,
    pub(super) sounds: List,
    /// The reply that is pointed at, in the strip or in its line.
    pub(super) pointed: Option<ReplyId>,
    /// What should be read once.
    pub(super) messages: Vec<String>,
    pub(super) settings_open: bool,
    pub(super) captions_open: bool,
    pub(super) forgetting: bool,
    /// Nothing is spoken or notified until it is switched off.
    pub(super) do_not_disturb: bool,
    pub(super) export: Option<Export>,
    pub(super) new_mode: Draft,
    pub(super) model_folder: String,
    /// The inputs, once they were looked for.
    pub(super) devices: Devices,
    /// The loudest that was heard lately, and when it was last at all loud enough.
    pub(super) loudness: Loudness,
    /// What that calls for, in words; empty where it is as it should be.
    pub(super) advice: &'static str,
    pub(super) captions: Arc<Mutex<super::captions::Shared>>,
    pub(super) browser: super::history_ui::Browser,
    pub(super) past: super::past::Past,
}

impl Default for View {
    fn default() -> Self {
        Self {
            tab: Panel::Conversation,
            speech: List::default(),
            talk: List::default(),
            sounds: List::default(),
            pointed: None,
            messages: Vec::new(),
            settings_open: false,
            captions_open: false,
            forgetting: false,
            do_not_disturb: false,
            export: None,
            new_mode: Draft::default(),
            model_folder: String::new(),
            devices: Devices::default(),
            loudness: Loudness::default(),
            advice: "",
            captions: Arc::default(),
            browser: super::history_ui::Browser::default(),
            past: super::past::Past::default(),
        }
    }
}

/// Devices that were found; None until then. They are looked for on a thread, because a sound server may take its time.
pub(super) type Devices = Arc<Mutex<Option<Vec<DeviceInfo>>>>;

/// An export that is being prepared.
#[derive(Debug)]
pub(super) struct Export {
    pub(super) path: String,
    pub(super) form: ExportForm,
    /// Whether it was just opened: the name is to be typed.
    pub(super) fresh: bool,
    /// The file that the user was warned of.
    pub(super) exists: Option<PathBuf>,
    /// How the last attempt went.
    pub(super) outcome: Option<Result<String, String>>,
}

/// A mode that is being written.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) instruction: String,
    pub(super) clip: String,
    pub(super) panel: Panel,
    /// The mode that is being changed; None while a new one is written.
    pub(super) editing: Option<Mode>,
    /// Since when its clip is being recorded.
    pub(super) recorder: Option<Instant>,
    /// What became of the instruction that is being spoken.
    pub(super) speaking: super::spoken::Shared,
    /// Whether the system can speak; None until that was looked for.
    pub(super) speaks: Option<bool>,
    pub(super) outcome: Option<Result<String, String>>,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            name: String::new(),
            instruction: String::new(),
            clip: String::new(),
            panel: Panel::Conversation,
            editing: None,
            recorder: None,
            speaking: super::spoken::Shared::default(),
            speaks: None,
            outcome: None,
        }
    }
}

/// What the level of the input calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Advice {
    None,
    TooLoud,
    TooQuiet,
}

/// How loud the input was lately.
#[derive(Debug, Default)]
pub(super) struct Loudness {
    clipped: Option<Instant>,
    /// Since when the gate is open and nothing reached a level that speech has.
    faint_since: Option<Instant>,
}

/// Below this, in dB below full scale, speech is too quiet for the model.
const FAINT_DBFS: f32 = -48.0;
/// A hint stays for so long after its cause, in seconds.
const HINT_SECS: f32 = 3.0;
/// The gate must have been open for so long without anything loud before it is called too quiet, in seconds.
const FAINT_SECS: f32 = 8.0;

impl Loudness {
    /// Takes a reading: level in dBFS, largest sample, and whether the gate is open.
    pub(super) fn take(&mut self, readings: &crate::engine::Readings, now: Instant) -> Advice {
        if readings.peak >= 0.99 {
            self.clipped = Some(now);
        }
        if !readings.gate_open || readings.level_dbfs > FAINT_DBFS || !readings.level_dbfs.is_finite() {
            self.faint_since = None;
        } else if self.faint_since.is_none() {
            self.faint_since = Some(now);
        }
        let secs = |since: Instant| now.duration_since(since).as_secs_f32();
        if self.clipped.is_some_and(|at| secs(at) < HINT_SECS) {
            Advice::TooLoud
        } else if self.faint_since.is_some_and(|since| secs(since) > FAINT_SECS) {
            Advice::TooQuiet
        } else {
            Advice::None
        }
    }
}

impl View {
    /// Closes what is open above the window; false when nothing was.
    pub(super) fn close_dialog(&mut self) -> bool {
        if self.export.take().is_some() || std::mem::take(&mut self.forgetting) || std::mem::take(&mut self.browser.open) {
            return true;
        }
        std::mem::take(&mut self.settings_open)
    }
}

/// The icon: three bars that listen, on a rounded dark ground.
pub(super) fn icon_rgba() -> Vec<u8> {
    let side = ICON as f32;
    let mut rgba = Vec::with_capacity((ICON * ICON * 4) as usize);
    for at in 0..ICON * ICON {
        let (x, y) = ((at % ICON) as f32 + 0.5, (at / ICON) as f32 + 0.5);
        let corner = ((x - side / 2.0).abs() - 18.0).max(0.0).hypot(((y - side / 2.0).abs() - 18.0).max(0.0));
        let bar = [(14.0, 9.0), (27.0, 19.0), (40.0, 13.0)].iter().any(|(left, half)| {
            let from_middle = ((y - side / 2.0).abs() - (half - 5.0)).max(0.0);
            (x - (left + 5.0)).hypot(from_middle) < 5.0
        });
        let ground = corner < 14.0;
        rgba.extend(if bar {
            [70, 196, 164, 255]
        } else if ground {
            [22, 25, 29, 255]
        } else {
            [0, 0, 0, 0]
        });
    }
    rgba
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::Readings;

    #[test]
    fn advice_comes_with_its_cause_and_goes_after_it() {
        let (mut loudness, begin) = (Loudness::default(), Instant::now());
        let after = |secs: u64| begin + Duration::from_secs(secs);
        let reading = |level_dbfs, peak| Readings { level_dbfs, peak, gate_open: true, ..Readings::default() };
        assert_eq!(loudness.take(&reading(-3.0, 1.0), after(0)), Advice::TooLoud);
        assert_eq!(loudness.take(&reading(-20.0, 0.2), after(2)), Advice::TooLoud);
        assert_eq!(loudness.take(&reading(-60.0, 0.01), after(4)), Advice::None);
        assert_eq!(loudness.take(&reading(-60.0, 0.01), after(13)), Advice::TooQuiet);
        assert_eq!(loudness.take(&reading(-30.0, 0.1), after(14)), Advice::None);
        assert_eq!(icon_rgba().len(), 64 * 64 * 4);
    }
}
