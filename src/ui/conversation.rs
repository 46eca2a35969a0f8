//! The conversation: words, translations, replies and sounds as one stream, in the order of time.

use egui::{Align, Align2, FontId, Label, Layout, Rect, Response, RichText, Role, Sense, Stroke, StrokeKind, Ui, WidgetInfo, pos2, vec2};

use super::actions::Actions;
use super::conversation_rule::rule_ui;
use super::frame::FrameData;
use super::icons::{self, Icon, Visibility};
use super::panel_lines::{copy_menu, is_ongoing, reply_menu_ui, reply_text_ui, toggle_marked};
use super::panels::is_hidden;
use super::strings::fill;
use super::theme::{self, Palette};
use super::virtual_list::VirtualList;
use crate::config::WindowPrefs;
use crate::protocol::{Emotion, Panel, ReplyId};
use crate::time::StreamTime;
use crate::transcript::{DecisionTick, Reply, ReplyTrigger, SoundLine, Transcript};

/// Largest width of the lines, in points: longer ones are hard to read.
const MAX_WIDTH: f32 = 860.0;
/// Width of the times at the left, in points.
const TIMES: f32 = 64.0;
/// Font size of what was said, in points, by the width of the window: at least the first, the second, else the last.
const WORD_SIZES: [(f32, f32); 3] = [(1_500.0, 24.0), (1_000.0, 22.0), (560.0, theme::LARGE)];
const LEAST_WORD_SIZE: f32 = theme::MEDIUM;
/// Size of a translation, as a share of the size of the words.
const TRANSLATION_SHARE: f32 = 0.85;
/// Margins of the card of a reply, in points, and side of the icon in it.
const CARD_MARGIN: egui::Margin = egui::Margin::symmetric(12, 8);
const CARD_ICON: f32 = 18.0;
/// Height of the chip of a sound, space at its ends, side of its icon, and side of its bell, in points.
const CHIP_HEIGHT: f32 = 30.0;
const CHIP_PADDING: f32 = 10.0;
const CHIP_ICON: f32 = 16.0;
const CHIP_BELL: f32 = 24.0;
/// Width kept for the button of a reply's menu, in points.
const MENU_WIDTH: f32 = 26.0;

/// A line of the stream, by its index in the transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    /// A row of [`Transcript::rows`].
    Speech(usize),
    /// A reply.
    Reply(usize),
    /// Sounds that followed each other: from the first, up to the second, which is not among them.
    Sounds(usize, usize),
}

/// The stream between frames.
#[derive(Debug, Default)]
pub(super) struct Stream {
    list: VirtualList,
    items: Vec<Item>,
    /// The lengths and newest times from which `items` was made.
    made_of: Option<StreamKey>,
}

/// The state of a transcript as far as the order of its lines depends on it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct StreamKey {
    lengths: [usize; 4],
    newest: [StreamTime; 3],
    shows: [bool; 3],
}

impl Stream {
    /// Scrolls to the line of a decision of a mode that writes to `panel`.
    pub(super) fn scroll_to(&mut self, t: &Transcript, panel: Panel, tick: &DecisionTick) {
        let found = match panel {
            Panel::Conversation => {
                let reply = t.replies.iter().position(|reply| Some(reply.id) == tick.reply);
                self.items.iter().position(|item| matches!(item, Item::Reply(n) if Some(*n) == reply))
            }
            Panel::Transcript | Panel::Translation => {
                let row = t.rows.partition_point(|row| row.from < tick.at).saturating_sub(1);
                self.items.iter().position(|item| *item == Item::Speech(row))
            }
            Panel::Sounds => {
                let sound = t.sounds.partition_point(|sound| sound.first <= tick.at).saturating_sub(1);
                self.items.iter().position(|item| matches!(item, Item::Sounds(from, to) if (*from..*to).contains(&sound)))
            }
        };
        if let Some(n) = found {
            self.list.scroll_to(n);
        }
    }

    /// Paints the stream; returns the reply under the pointer. `hovered` is the reply that was under the pointer before. Hiding or
    /// marking a sound changes `prefs`.
    pub(super) fn show(
        &mut self,
        ui: &mut Ui,
        prefs: &mut WindowPrefs,
        hovered: Option<ReplyId>,
        data: &FrameData<'_>,
        actions: &mut Actions,
    ) -> Option<ReplyId> {
        self.arrange(data.transcript, prefs);
        let Self { list, items, .. } = self;
        let mut pointed = None;
        list.show(ui, data.s, data.s.conversation, items.len(), |ui, n| {
            let (Some(item), before) = (items.get(n), n.checked_sub(1).and_then(|n| items.get(n))) else { return };
            rule_ui(ui, data, before.map(|before| end(data.transcript, *before)), Some(end(data.transcript, *item)));
            let time = data.time(begin(data.transcript, *item));
            let same_minute = before.is_some_and(|before| minute(&data.time(begin(data.transcript, *before))).0 == minute(&time).0);
            let shown = if same_minute { TimeShown::OnHover } else { TimeShown::Always };
            let mut line = LineUi { prefs, data, actions, hovered };
            let (response, reply) = line.show(ui, *item);
            paint_time(ui, &response, &time, shown);
            if response.contains_pointer() {
                pointed = pointed.or(reply);
            }
            if n + 1 == items.len() {
                rule_ui(ui, data, Some(end(data.transcript, *item)), None);
            }
        });
        pointed
    }

    /// Returns true if there is no line to show.
    pub(super) fn is_empty(&mut self, t: &Transcript, prefs: &WindowPrefs) -> bool {
        self.arrange(t, prefs);
        self.items.is_empty()
    }

    /// Puts the lines in the order of time, if the transcript or what is hidden has changed.
    fn arrange(&mut self, t: &Transcript, prefs: &WindowPrefs) {
        let hidden = |panel| is_hidden(prefs, panel);
        let key = StreamKey {
            lengths: [t.rows.len(), t.replies.len(), t.sounds.len(), prefs.muted_sounds.len()],
            newest: [
                t.rows.last().map_or(StreamTime::ZERO, |row| row.from),
                t.replies.last().map_or(StreamTime::ZERO, |reply| reply.at),
                t.sounds.last().map_or(StreamTime::ZERO, |sound| sound.first),
            ],
            shows: [!hidden(Panel::Transcript) || !hidden(Panel::Translation), !hidden(Panel::Conversation), !hidden(Panel::Sounds)],
        };
        if self.made_of != Some(key) {
            self.made_of = Some(key);
            arrange(&mut self.items, t, key.shows, &prefs.muted_sounds);
        }
    }
}

/// Fills `items` with the lines of `t` in the order of time: speech, replies and sounds as far as `shows` says.
fn arrange(items: &mut Vec<Item>, t: &Transcript, shows: [bool; 3], muted: &[String]) {
    items.clear();
    let [mut row, mut reply, mut sound] = [0, 0, 0];
    let count = |length: usize, shown: bool| if shown { length } else { 0 };
    let (rows, replies, sounds) = (count(t.rows.len(), shows[0]), count(t.replies.len(), shows[1]), count(t.sounds.len(), shows[2]));
    loop {
        let heads = [
            (row < rows).then(|| t.rows[row].from),
            (sound < sounds).then(|| t.sounds[sound].first),
            (reply < replies).then(|| t.replies[reply].at),
        ];
        let Some(first) = heads.iter().flatten().min() else { return };
        if heads[0].as_ref() == Some(first) {
            items.push(Item::Speech(row));
            row += 1;
        } else if heads[1].as_ref() == Some(first) {
            match items.last_mut() {
                _ if muted.contains(&t.sounds[sound].name) => {}
                Some(Item::Sounds(_, to)) => *to = sound + 1,
                _ => items.push(Item::Sounds(sound, sound + 1)),
            }
            sound += 1;
        } else {
            items.push(Item::Reply(reply));
            reply += 1;
        }
    }
}

/// Returns the time at which a line begins.
fn begin(t: &Transcript, item: Item) -> StreamTime {
    match item {
        Item::Speech(n) => t.rows.get(n).map(|row| row.from),
        Item::Reply(n) => t.replies.get(n).map(|reply| reply.at),
        Item::Sounds(n, _) => t.sounds.get(n).map(|sound| sound.first),
    }
    .unwrap_or(StreamTime::ZERO)
}

/// Returns the time at which a line ends.
fn end(t: &Transcript, item: Item) -> StreamTime {
    let Item::Speech(n) = item else { return begin(t, item) };
    let row = t.rows.get(n);
    let said = row.and_then(|row| t.utterances.get(row.utterance?)).map(|line| line.to);
    let meant = row.and_then(|row| t.translations.get(row.translation?)).map(|line| line.to);
    said.max(meant).unwrap_or_else(|| begin(t, item))
}

/// Returns the minute of a time, and the time as it is shown: `14:02:16` as 14:02, `0:05.0` since the start of a file as 0:05.
fn minute(time: &str) -> (&str, &str) {
    match time.rsplit_once(':') {
        Some((before, _)) if before.contains(':') => (before, before),
        Some((before, _)) => (before, time.split('.').next().unwrap_or(time)),
        None => (time, time),
    }
}

/// The moments at which the time of a line is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TimeShown {
    Always,
    /// While the pointer is over the line, which follows another of the same minute.
    OnHover,
}

/// Paints the time of a line in the margin at its left: at the first line of a minute, and while the pointer is over the line.
fn paint_time(ui: &Ui, line: &Response, time: &str, shown: TimeShown) {
    let room = ui.max_rect();
    let hovered = line.contains_pointer();
    if theme::is_compact(ui.ctx()) || shown == TimeShown::OnHover && !hovered {
        return;
    }
    let text = if hovered { time.split('.').next().unwrap_or(time) } else { minute(time).1 };
    let at = pos2(room.left() + side_space(room.width()), line.rect.top() + CARD_MARGIN.topf());
    ui.painter().text(at, Align2::LEFT_TOP, text, FontId::proportional(theme::SMALL), Palette::of(ui.visuals()).weak);
}

/// Returns the space at the left of the lines in a list of the width `room`, which stand in its middle.
fn side_space(room: f32) -> f32 {
    ((room - MAX_WIDTH) / 2.0).max(0.0)
}

/// Returns the font size of what was said.
fn word_size(ui: &Ui) -> f32 {
    let width = ui.ctx().content_rect().width();
    if theme::is_low(ui.ctx()) {
        return LEAST_WORD_SIZE;
    }
    WORD_SIZES.into_iter().find(|(least, _)| width >= *least).map_or(LEAST_WORD_SIZE, |(_, size)| size)
}

/// The inputs of a line.
struct LineUi<'a, 'd> {
    prefs: &'a mut WindowPrefs,
    data: &'a FrameData<'d>,
    actions: &'a mut Actions,
    hovered: Option<ReplyId>,
}

impl LineUi<'_, '_> {
    /// Paints a line; returns its area and the reply that it holds.
    fn show(&mut self, ui: &mut Ui, item: Item) -> (Response, Option<ReplyId>) {
        let room = ui.available_width();
        let times = if theme::is_compact(ui.ctx()) { 0.0 } else { TIMES };
        let side = side_space(room);
        let mut reply = None;
        let response = ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = 0.0;
            ui.add_space(side + times);
            let width = (room - 2.0 * side - times).max(0.0);
            ui.allocate_ui_with_layout(vec2(width, 0.0), Layout::top_down(Align::Min), |ui| {
                ui.set_width(width);
                let t = self.data.transcript;
                match item {
                    Item::Speech(n) => self.speech_ui(ui, n),
                    Item::Reply(n) => {
                        reply = t.replies.get(n).map(|reply| reply.id);
                        self.reply_ui(ui, n);
                    }
                    Item::Sounds(from, to) => self.sounds_ui(ui, t.sounds.get(from..to).unwrap_or_default()),
                }
            });
        });
        (response.response, reply)
    }

    fn speech_ui(&self, ui: &mut Ui, n: usize) {
        let t = self.data.transcript;
        let Some(row) = t.rows.get(n) else { return };
        let size = word_size(ui);
        ui.spacing_mut().item_spacing.y = theme::EDGE / 2.0;
        let said = row.utterance.filter(|_| !is_hidden(self.prefs, Panel::Transcript)).and_then(|n| t.utterances.get(n));
        let meant = row.translation.filter(|_| !is_hidden(self.prefs, Panel::Translation)).and_then(|n| t.translations.get(n));
        if let Some(line) = said {
            let label = ui.add(Label::new(RichText::new(&line.text).size(size)).wrap());
            copy_menu(&label, self.data.s, &line.text);
        }
        if let Some(line) = meant {
            let size = if said.is_some() { size * TRANSLATION_SHARE } else { size };
            let label = ui.add(Label::new(RichText::new(&line.text).size(size).weak()).wrap());
            copy_menu(&label, self.data.s, &line.text);
        }
    }

    fn reply_ui(&mut self, ui: &mut Ui, n: usize) {
        let (data, p) = (self.data, Palette::of(ui.visuals()));
        let Some(reply) = data.transcript.replies.get(n) else { return };
        let urgent = reply.emotion == Some(Emotion::Urgent);
        let (fill, colour) = if urgent { (p.urgent_card(), p.urgent) } else { (p.reply_card(), p.replying) };
        let stands_out = self.hovered == Some(reply.id) || urgent || reply.stop.is_none();
        let edge = if stands_out { Stroke::new(theme::EDGE_WIDTH, colour) } else { Stroke::new(theme::EDGE_WIDTH, fill) };
        let frame = egui::Frame::new().fill(fill).stroke(edge).corner_radius(theme::RADIUS_WINDOW).inner_margin(CARD_MARGIN);
        frame.show(ui, |ui| {
            ui.horizontal_top(|ui| {
                ui.spacing_mut().item_spacing.x = theme::GROUP_GAP;
                let emotion = reply.emotion.filter(|emotion| *emotion != Emotion::Normal);
                // In the middle of the first line.
                let font = FontId::proportional(word_size(ui));
                let line = vec2(CARD_ICON, ui.fonts_mut(|fonts| fonts.row_height(&font)));
                ui.allocate_ui_with_layout(line, Layout::left_to_right(Align::Center), |ui| match emotion {
                    Some(emotion) => icons::emotion(ui, emotion, data.s.emotion(emotion), colour),
                    None => icons::mark(ui, Icon::Reply, CARD_ICON, colour),
                });
                let width = (ui.available_width() - MENU_WIDTH - theme::GROUP_GAP).max(0.0);
                ui.allocate_ui_with_layout(vec2(width, 0.0), Layout::top_down(Align::Min), |ui| {
                    ui.set_width(width);
                    self.reply_text_ui(ui, reply);
                });
                self.menu_ui(ui, n, reply);
            });
        });
    }

    fn reply_text_ui(&self, ui: &mut Ui, reply: &Reply) {
        let s = self.data.s;
        let size = word_size(ui);
        let text = if reply.text.is_empty() { "…" } else { &reply.text };
        let text = if reply.emotion == Some(Emotion::Urgent) { theme::bold(text, size) } else { RichText::new(text).size(size) };
        reply_text_ui(ui, s, reply, text);
    }

    /// Paints the button of a reply's menu, which can be seen while the pointer is over the reply or the button has the focus.
    fn menu_ui(&mut self, ui: &mut Ui, n: usize, reply: &Reply) {
        let s = self.data.s;
        let visibility = if self.hovered == Some(reply.id) { Visibility::Shown } else { Visibility::OnFocus };
        let more = icons::in_line(ui, Icon::More, s.less, visibility);
        egui::Popup::menu(&more).show(|ui| {
            if reply_menu_ui(ui, reply, self.data, self.actions) {
                ui.close();
            }
            if let ReplyTrigger::Sound(sound) = self.data.transcript.trigger_of(n)
                && ui.button(fill(s.mute_sound, &sound.name)).clicked()
            {
                self.prefs.muted_sounds.push(sound.name.clone());
                ui.close();
            }
        });
    }

    fn sounds_ui(&mut self, ui: &mut Ui, sounds: &[SoundLine]) {
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing = [theme::GAP; 2].into();
            for sound in sounds {
                if !self.prefs.muted_sounds.contains(&sound.name) {
                    self.chip_ui(ui, sound);
                }
            }
        });
    }

    /// Paints the chip of a sound: its name, how often it was heard, and a bell that switches its alert.
    fn chip_ui(&mut self, ui: &mut Ui, sound: &SoundLine) {
        let (s, p) = (self.data.s, Palette::of(ui.visuals()));
        let ongoing = is_ongoing(self.data, sound);
        let count = if sound.count > 1 { format!(" ×{}", sound.count) } else { String::new() };
        let still = if ongoing { format!(" · {}", s.still) } else { String::new() };
        let text = format!("{}{count}{still}", sound.name);
        let room = (ui.max_rect().width() - 2.0 * CHIP_PADDING - CHIP_ICON - theme::GAP - CHIP_BELL).max(0.0);
        let galley = egui::WidgetText::from(RichText::new(&text).size(theme::BODY + 1.0)).into_galley(
            ui,
            Some(egui::TextWrapMode::Truncate),
            room,
            egui::TextStyle::Body,
        );
        let size = vec2(CHIP_PADDING + CHIP_ICON + theme::GAP + galley.size().x + CHIP_BELL + theme::EDGE, CHIP_HEIGHT);
        let (rect, chip) = ui.allocate_exact_size(size, Sense::click());
        chip.widget_info(|| WidgetInfo::labeled(Role::Label, true, &text));
        let colour = if ongoing { p.listening } else { p.text };
        let edge = if ongoing { p.listening } else { p.edge };
        let painter = ui.painter();
        painter.rect(rect, CHIP_HEIGHT / 2.0, p.raised, Stroke::new(theme::EDGE_WIDTH, edge), StrokeKind::Inside);
        let middle = rect.center().y;
        icons::paint(painter, Icon::Sound, pos2(rect.left() + CHIP_PADDING + CHIP_ICON / 2.0, middle), CHIP_ICON, colour);
        let at = pos2(rect.left() + CHIP_PADDING + CHIP_ICON + theme::GAP, middle - galley.size().y / 2.0);
        painter.galley_with_override_text_color(at, galley, colour);
        copy_menu(&chip, s, &sound.name);
        let bell = Rect::from_center_size(pos2(rect.right() - CHIP_BELL / 2.0 - theme::EDGE / 2.0, middle), vec2(CHIP_BELL, CHIP_BELL));
        let marked = self.prefs.marked_sounds.contains(&sound.name);
        let label = fill(s.mark_sound, &sound.name);
        let hint = if marked { s.marked } else { &label };
        let icon = if marked { Icon::BellOn } else { Icon::Bell };
        if icons::placed(ui, &chip, bell, icon, &label, if marked { p.accent } else { p.weak }).on_hover_text(hint).clicked() {
            toggle_marked(self.prefs, &sound.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::protocol::{Event, StopReason};
    use crate::time::ChunkIdx;

    fn at(secs: u64) -> StreamTime {
        StreamTime::from_samples(secs * 16_000)
    }

    fn transcript() -> Transcript {
        let modes = [("transcribe", Panel::Transcript), ("dialog", Panel::Conversation), ("sounds", Panel::Sounds)];
        let mut t = Transcript::new(modes.into_iter().map(|(m, s)| (m.to_owned(), s)).collect::<BTreeMap<_, _>>());
        let mut said = |from: u64, to: u64, mode: &str, text: &str| {
            let reply = ReplyId(to);
            if mode == "dialog" {
                t.apply(&Event::ReplyStarted { at: at(to), reply, chunk: ChunkIdx(0), mode: mode.into(), emotion: None });
            }
            let (from_secs, to_secs, stop) = (at(from), at(to), StopReason::End);
            t.apply(&Event::ReplyFinished { at: at(to), reply, mode: mode.into(), text: text.into(), from_secs, to_secs, stop });
        };
        said(1, 2, "transcribe", "what is your name");
        said(2, 3, "dialog", "I am Hearken.");
        said(20, 21, "transcribe", "thank you");
        for (secs, name) in [(10, "dog bark"), (12, "cough"), (30, "rain")] {
            t.apply(&Event::Sound { at: at(secs), reply: ReplyId(secs), name: name.into(), count: 1 });
        }
        t
    }

    #[test]
    fn lines_are_in_the_order_of_time_and_sounds_in_a_row_are_one_line() {
        let (t, mut items) = (transcript(), Vec::new());
        arrange(&mut items, &t, [true; 3], &[]);
        assert_eq!(items, [Item::Speech(0), Item::Reply(0), Item::Sounds(0, 2), Item::Speech(1), Item::Sounds(2, 3)]);
        arrange(&mut items, &t, [true, false, true], &["rain".into()]);
        assert_eq!(items, [Item::Speech(0), Item::Sounds(0, 2), Item::Speech(1)], "hidden replies and a muted sound");
    }

    #[test]
    fn a_time_is_shown_once_a_minute() {
        assert_eq!(minute("14:02:16"), ("14:02", "14:02"));
        assert_eq!(minute("0:05.0"), ("0", "0:05"));
        assert_ne!(minute("14:02:59").0, minute("14:03:00").0);
    }
}
