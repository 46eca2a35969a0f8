//! The messages above the window: news that goes by itself, warnings and errors, each with a title, a reason and the buttons that
//! mend it.
//!
//! Messages lie above the other parts and move nothing. A message is dismissed by the user, except while its fault lasts.

use std::time::{Duration, Instant};

use egui::{Align, Align2, Area, Color32, Frame, Id, Label, Layout, Order, RichText, Sense, Ui, Vec2, pos2, vec2};

use super::actions::{Action, Actions, Dialog};
use super::announce;
use super::file_actions::FileAction;
use super::icons::{self, Icon};
use super::strings::{Strings, fill};
use super::theme;
use crate::error::{Error, ErrorKind, Remedy};

/// Time for which news is shown.
const NEWS_TIME: Duration = Duration::from_secs(4);
/// Time for which a hint is shown, which has more words and a button.
pub(super) const HINT_TIME: Duration = Duration::from_secs(15);
/// Largest width of a message, and space that it leaves free at both sides of the window together, in points.
const WIDTH: f32 = 560.0;
const SIDE_SPACE: f32 = 16.0;
/// Largest share of the window's height that messages take; more of them scroll.
const HEIGHT_SHARE: f32 = 0.4;
/// Space between the bottom of the window and the news, in points: the footer is below.
const ABOVE_FOOTER: f32 = 44.0;
/// Side of the mark before a title, in points.
const MARK: f32 = 14.0;
/// Width kept for the button that dismisses a message, in points.
const CLOSE_SPACE: f32 = 30.0;
/// Largest number of messages; the oldest that can be dismissed gives way to a new one.
const MAX_MESSAGES: usize = 6;

/// The importance of a message, which decides on its place, its mark and its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// Something has worked; goes by itself.
    News,
    /// Listening goes on, with something missing.
    Warning,
    /// Something that the user relies on does not work.
    Error,
}

/// The subject of a message; a new message on a subject replaces the old one, except for [`Topic::News`] and [`Topic::File`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    News,
    /// A line of the settings file that cannot be understood.
    File,
    /// Settings that could not be saved.
    Saving,
    /// The model that was chosen.
    Model,
    /// The history as a whole: whether conversations are saved.
    History,
    /// The microphone: missing, lost, or not to be opened.
    Input,
    /// A microphone that delivers nothing but silence.
    Silence,
    /// The modes, none of which is on.
    Modes,
    /// Speech that was heard and not understood.
    NotUnderstood,
    /// The conversation that was just deleted.
    Deletion,
    /// A display that was lost for a while.
    Display,
    /// The audio file of this number, which was to be heard; 0 for audio files as such.
    AudioFile(usize),
    /// Another problem of this kind.
    Problem(ErrorKind),
}

/// The end of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lasts {
    UntilDismissed,
    /// While the fault lasts, until [`Messages::clear`].
    UntilMended,
    Until(Instant),
}

/// An action that mends the fault of a message, offered as a button.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fix {
    ChooseMicrophone,
    ChooseSpeaker,
    TryMicrophone,
    Models,
    Settings,
    History,
    Undo,
    /// Switches the mode of this name on.
    Mode(&'static str),
    /// Opens the models, for one that understands free speech.
    FullModel,
    /// Shows the file of the last export in its folder.
    ShowExport,
    /// Uses the model whose download has ended last.
    UseDownloaded,
    /// Shows the transcript of the audio file of this number.
    OpenFile(usize),
    /// Reads the audio file of this number with ffmpeg.
    ReadWithFfmpeg(usize),
}

impl Fix {
    pub(super) fn label(self, s: &Strings) -> String {
        let label = match self {
            Self::Mode(name) => return fill(s.switch_on, s.mode(name)),
            Self::FullModel => s.full_model,
            Self::ChooseMicrophone => s.choose_microphone,
            Self::ChooseSpeaker => s.choose_speaker,
            Self::TryMicrophone => s.try_again,
            Self::Models => s.models,
            Self::Settings => s.open_settings,
            Self::History => s.open_history,
            Self::Undo => s.undo,
            Self::ShowExport => s.show_in_folder,
            Self::UseDownloaded => s.models_page.use_now,
            Self::OpenFile(_) => s.files.open,
            Self::ReadWithFfmpeg(_) => s.files.use_ffmpeg,
        };
        label.to_owned()
    }

    pub(super) fn action(self) -> Action {
        match self {
            Self::ChooseMicrophone => Action::Open(Dialog::Microphone),
            Self::ChooseSpeaker => Action::Open(Dialog::Speaker),
            Self::TryMicrophone => Action::RetryInput,
            Self::Models | Self::FullModel => Action::Open(Dialog::Models),
            Self::Mode(name) => Action::ToggleMode(name.to_owned()),
            Self::Settings => Action::Open(Dialog::Settings),
            Self::History => Action::Open(Dialog::History),
            Self::Undo => Action::UndoDeletion,
            Self::ShowExport => Action::ShowExport,
            Self::UseDownloaded => Action::UseDownloaded,
            Self::OpenFile(number) => Action::Files(FileAction::Open(number)),
            Self::ReadWithFfmpeg(number) => Action::Files(FileAction::ReadWithFfmpeg(number)),
        }
    }

    /// Returns the fixes for a problem of `kind` with `remedy`, the most helpful first; none where the user has to act elsewhere.
    pub(super) const fn of(kind: ErrorKind, remedy: Option<Remedy>) -> &'static [Self] {
        match (kind, remedy) {
            (ErrorKind::InputDevice | ErrorKind::NoMicrophone, _) => &[Self::ChooseMicrophone, Self::TryMicrophone],
            (ErrorKind::SilentInput, _) => &[Self::ChooseMicrophone],
            (ErrorKind::OutputDevice, _) => &[Self::ChooseSpeaker],
            (
                _,
                Some(
                    Remedy::DownloadModel
                    | Remedy::ReplaceModel
                    | Remedy::ChooseOtherModel
                    | Remedy::QuantiseAgain
                    | Remedy::ReduceMemory
                    | Remedy::ReduceLoad
                    | Remedy::UseFloatPrecision,
                ),
            )
            | (ErrorKind::Model | ErrorKind::UnsupportedModel | ErrorKind::Network | ErrorKind::Access, _) => &[Self::Models],
            (ErrorKind::Settings | ErrorKind::Voice | ErrorKind::Device, _) => &[Self::Settings],
            (ErrorKind::History, _) => &[Self::History],
            _ => &[],
        }
    }
}

/// A message to the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) topic: Topic,
    pub(super) level: Level,
    /// The fault or the news, in a few words.
    pub(super) title: String,
    /// The reason, and what to do; empty where the title says all.
    pub(super) reason: String,
    pub(super) fixes: Vec<Fix>,
    pub(super) lasts: Lasts,
}

impl Message {
    /// Returns a piece of news, which goes after [`NEWS_TIME`].
    pub(super) fn news(title: impl Into<String>) -> Self {
        let lasts = Lasts::Until(Instant::now() + NEWS_TIME);
        Self { topic: Topic::News, level: Level::News, title: title.into(), reason: String::new(), fixes: Vec::new(), lasts }
    }

    /// Returns a warning with a title and a reason and no button, until it is dismissed.
    pub(super) fn warning(topic: Topic, title: impl Into<String>, reason: impl Into<String>) -> Self {
        let (title, reason) = (title.into(), reason.into());
        Self { topic, level: Level::Warning, title, reason, fixes: Vec::new(), lasts: Lasts::UntilDismissed }
    }

    /// Returns a warning about a problem: the sentence for its kind, the reason with its remedy, and the buttons that mend it.
    pub(super) fn problem(s: &Strings, topic: Topic, kind: ErrorKind, message: &str, remedy: Option<Remedy>) -> Self {
        Self::warning(topic, s.title(kind), s.reason(message, remedy)).with_fixes(Fix::of(kind, remedy))
    }

    /// Returns the message about `error`, as [`Message::problem`] does.
    pub(super) fn of(s: &Strings, topic: Topic, error: &Error) -> Self {
        Self::problem(s, topic, error.kind(), error.message(), error.remedy())
    }

    pub(super) fn with_fixes(mut self, fixes: &[Fix]) -> Self {
        self.fixes = fixes.to_vec();
        self
    }

    pub(super) const fn lasting(mut self, lasts: Lasts) -> Self {
        self.lasts = lasts;
        self
    }

    pub(super) const fn at_level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    fn is_over(&self, now: Instant) -> bool {
        matches!(self.lasts, Lasts::Until(end) if end <= now)
    }
}

/// The messages that are shown.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// Messages, oldest first.
    shown: Vec<Message>,
    /// Topics of the messages that the user has dismissed.
    dismissed: Vec<Topic>,
}

impl Messages {
    /// Shows a message, in place of an older one on the same topic; nothing changes if it is shown already.
    pub(super) fn show(&mut self, message: Message) {
        let same = |shown: &Message| shown.topic == message.topic && shown.title == message.title && shown.reason == message.reason;
        if let Some(shown) = self.shown.iter_mut().find(|shown| same(shown)) {
            shown.lasts = message.lasts;
            return;
        }
        if !matches!(message.topic, Topic::News | Topic::File) {
            self.clear(message.topic);
        }
        if self.shown.len() >= MAX_MESSAGES
            && let Some(oldest) = self.shown.iter().position(|shown| shown.lasts != Lasts::UntilMended)
        {
            self.shown.remove(oldest);
        }
        self.shown.push(message);
    }

    /// Removes the messages on `topic`, because the fault is mended or the news is old.
    pub(super) fn clear(&mut self, topic: Topic) {
        self.shown.retain(|message| message.topic != topic);
    }

    /// Returns true if the user has dismissed a message on `topic` in this session.
    pub(super) fn was_dismissed(&self, topic: Topic) -> bool {
        self.dismissed.contains(&topic)
    }

    /// Keeps the message on `topic`, because its fault lasts.
    pub(super) fn keep(&mut self, topic: Topic) {
        for message in self.shown.iter_mut().filter(|message| message.topic == topic) {
            (message.lasts, message.level) = (Lasts::UntilMended, Level::Error);
        }
    }

    /// Paints the messages above everything but dialogs: faults below `top` (the lower edge of the bar), news above the footer.
    /// Leaves out those on the topic `said`, which the window says elsewhere.
    pub(super) fn ui(&mut self, ui: &Ui, s: &Strings, top: f32, said: Option<Topic>, actions: &mut Actions) {
        let now = Instant::now();
        self.shown.retain(|message| !message.is_over(now));
        if self.shown.is_empty() {
            return;
        }
        let room = ui.ctx().content_rect();
        let place = |name: &str, pivot: Align2, y: f32| {
            let area = Area::new(Id::unique(("messages", name))).order(Order::Foreground).pivot(pivot);
            area.fixed_pos(pos2(room.center().x, y)).constrain_to(room)
        };
        let mut dismissed = None;
        for (name, is_news, pivot, y) in [
            ("faults", false, Align2::CENTER_TOP, top + theme::EDGE),
            ("news", true, Align2::CENTER_BOTTOM, room.bottom() - ABOVE_FOOTER.min(room.height() / 4.0)),
        ] {
            let here: Vec<usize> = (0..self.shown.len())
                .filter(|n| (self.shown[*n].level == Level::News) == is_news && Some(self.shown[*n].topic) != said)
                .collect();
            if here.is_empty() {
                continue;
            }
            let width = WIDTH.min(room.width() - SIDE_SPACE).max(0.0);
            let shown = place(name, pivot, y).show(ui.ctx(), |ui| {
                ui.set_width(width);
                egui::ScrollArea::vertical().max_height(room.height() * HEIGHT_SHARE).id_salt(name).show(ui, |ui| {
                    for n in &here {
                        if message_ui(ui, s, &self.shown[*n], actions) {
                            dismissed = Some(*n);
                        }
                    }
                });
            });
            if is_news && shown.response.contains_pointer() {
                self.hold(now);
            }
        }
        if let Some(at) = dismissed {
            let topic = self.shown.remove(at).topic;
            if !self.dismissed.contains(&topic) {
                self.dismissed.push(topic);
            }
            ui.ctx().request_repaint();
        }
        let ends = self.shown.iter().filter_map(|message| match message.lasts {
            Lasts::Until(end) => Some(end.saturating_duration_since(now)),
            Lasts::UntilDismissed | Lasts::UntilMended => None,
        });
        if let Some(next) = ends.min() {
            ui.ctx().request_repaint_after(next);
        }
    }

    /// Keeps news while the pointer is on it; an offer to undo ends when it has to.
    fn hold(&mut self, now: Instant) {
        for message in self.shown.iter_mut().filter(|message| message.topic == Topic::News) {
            message.lasts = Lasts::Until(now + NEWS_TIME);
        }
    }
}

/// Paints a message; returns true if the user dismisses it.
fn message_ui(ui: &mut Ui, s: &Strings, message: &Message, actions: &mut Actions) -> bool {
    let colours = theme::Palette::of(ui.visuals());
    let colour = match message.level {
        Level::News => ui.visuals().strong_text_color(),
        Level::Warning => colours.urgent,
        Level::Error => colours.fault,
    };
    let mut dismissed = false;
    let frame = Frame::popup(ui.style()).fill(ui.visuals().window_fill).stroke((1.0, colour)).corner_radius(theme::RADIUS);
    frame.inner_margin(egui::Margin::symmetric(theme::SIDE_MARGIN, theme::PANEL_MARGIN)).show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.horizontal_top(|ui| {
            mark_ui(ui, message.level, colour);
            let closes = message.lasts != Lasts::UntilMended;
            let width = (ui.available_width() - if closes { CLOSE_SPACE } else { 0.0 }).max(0.0);
            ui.allocate_ui_with_layout(vec2(width, 0.0), Layout::top_down(Align::Min), |ui| {
                ui.set_width(width);
                text_ui(ui, s, message, actions);
            });
            if closes {
                let label = fill(s.dismiss_message, &message.title);
                dismissed = icons::small(ui, Icon::Close, &label, s.dismiss).clicked();
            }
        });
    });
    dismissed
}

/// Paints title, reason and buttons of a message.
fn text_ui(ui: &mut Ui, s: &Strings, message: &Message, actions: &mut Actions) {
    announce::politely(&ui.add(Label::new(RichText::new(&message.title).strong()).wrap()));
    if !message.reason.is_empty() {
        announce::politely(&ui.add(Label::new(RichText::new(&message.reason).weak()).wrap()));
    }
    if message.fixes.is_empty() {
        return;
    }
    ui.horizontal_wrapped(|ui| {
        for fix in &message.fixes {
            if ui.button(fix.label(s)).clicked() {
                actions.push(fix.action());
            }
        }
    });
}

/// Paints the mark of a level: a dot for news, a triangle for a warning, a square for an error, so that the colour is not needed.
fn mark_ui(ui: &mut Ui, level: Level, colour: Color32) {
    let (rect, _) = ui.allocate_exact_size(Vec2::splat(MARK), Sense::hover());
    let (p, r) = (ui.painter(), rect.shrink(1.0));
    match level {
        Level::News => drop(p.circle_filled(r.center(), r.width() / 3.0, colour)),
        Level::Warning => {
            let corners = vec![r.center_top(), r.right_bottom(), r.left_bottom()];
            p.add(egui::Shape::convex_polygon(corners, colour, egui::Stroke::NONE));
        }
        Level::Error => drop(p.rect_filled(r, 2.0, colour)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(topic: Topic, title: &str) -> Message {
        Message::warning(topic, title, "")
    }

    #[test]
    fn a_topic_has_one_message_and_news_has_several() {
        let mut messages = Messages::default();
        for title in ["one", "two", "two"] {
            messages.show(warning(Topic::Model, title));
            messages.show(warning(Topic::News, title));
        }
        let titles = |messages: &Messages| messages.shown.iter().map(|m| m.title.clone()).collect::<Vec<_>>();
        assert_eq!(titles(&messages), ["one", "two", "two"]);
        messages.clear(Topic::News);
        assert_eq!(titles(&messages), ["two"]);
    }

    #[test]
    fn a_fault_that_lasts_gives_way_to_no_other_message() {
        let mut messages = Messages::default();
        messages.show(warning(Topic::History, "history").lasting(Lasts::UntilMended));
        (0..20).for_each(|n| messages.show(warning(Topic::File, &format!("line {n}"))));
        assert_eq!(messages.shown.len(), MAX_MESSAGES);
        assert_eq!(messages.shown[0].title, "history");
        assert_eq!(messages.shown[MAX_MESSAGES - 1].title, "line 19");
    }

    #[test]
    fn news_is_over_after_its_time_and_a_warning_is_not() {
        let later = Instant::now() + NEWS_TIME + Duration::from_secs(1);
        assert!(Message::news("saved").is_over(later) && !Message::news("saved").is_over(Instant::now()));
        assert!(!warning(Topic::Model, "broken").is_over(later));
    }

    #[test]
    fn each_kind_of_fault_has_the_button_that_mends_it() {
        for (kind, remedy, fix) in [
            (ErrorKind::InputDevice, Some(Remedy::CloseThatProgram), Some(Fix::ChooseMicrophone)),
            (ErrorKind::OutputDevice, None, Some(Fix::ChooseSpeaker)),
            (ErrorKind::Memory, Some(Remedy::ReduceMemory), Some(Fix::Models)),
            (ErrorKind::Settings, Some(Remedy::CorrectFile), Some(Fix::Settings)),
            (ErrorKind::Output, Some(Remedy::FreeDisk), None),
        ] {
            assert_eq!(Fix::of(kind, remedy).first().copied(), fix, "{kind:?}");
        }
    }
}
