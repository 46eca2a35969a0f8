//! The list at the left of the history: sessions grouped by day, or the hits of a search with the found words marked.

use std::ops::Range;

use egui::text::{LayoutJob, TextWrapping};
use egui::{Color32, RichText, TextFormat, Ui, vec2};

use super::fonts::semibold;
use super::history_data::{HistoryData, SearchResult};
use super::history_session::SessionView;
use super::strings::dates::Calendar;
use super::strings::{Strings, fill};
use super::theme;
use super::virtual_list::VirtualList;
use crate::history::{MAX_HITS, SessionSummary, places_of};
use crate::text::{beginning, cluster_from};
use crate::time::wall::hour_and_minute;

/// Height of an entry, in points.
const ENTRY_HEIGHT: f32 = 44.0;
/// Longest second line of an entry, in characters.
const ENTRY_CHARS: usize = 120;
/// Characters of a hit that are shown before the first found word.
const BEFORE_WORD: usize = 14;
/// Margin at the left and at the right of an entry, in points.
const ENTRY_MARGIN: f32 = 8.0;
/// Distance of the first and of the second line of an entry from the entry's top, in points.
const ENTRY_LINES: [f32; 2] = [5.0, 24.0];

/// An entry of the list: a title, and a line of smaller text.
struct ListEntry<'a> {
    title: &'a str,
    /// Name for screen readers, in place of the title; it says the day as well.
    name: &'a str,
    /// Text of the line below the title.
    below: &'a str,
    /// Places of the found words in `below`.
    marks: &'a [Range<usize>],
    /// True if the entry's session is the open one; the entry is then highlighted.
    is_shown: bool,
}

/// A row of the list of sessions.
enum ListRow<'a> {
    Day(String),
    Session(&'a SessionSummary),
}

/// Paints the list of sessions, newest first, under their days. Returns a view of the session that was clicked in this frame, else
/// `None`.
pub(super) fn sessions_ui(
    ui: &mut Ui,
    s: &Strings,
    calendar: &Calendar,
    list: &mut VirtualList,
    data: &HistoryData,
    shown: Option<i64>,
) -> Option<SessionView> {
    let sessions = data.sessions.as_ref()?;
    if sessions.is_empty() {
        ui.label(RichText::new(s.no_history).weak());
    }
    let rows = rows(s, calendar, sessions);
    let mut chosen = None;
    list.show(ui, s, s.sessions, rows.len(), |ui, n| match &rows[n] {
        ListRow::Day(day) => drop(ui.label(theme::bold(day.as_str(), theme::BODY))),
        ListRow::Session(session) => {
            let time = hour_and_minute(session.started_ms, &calendar.zone);
            let about = about(s, session);
            let title = if session.name.is_empty() { format!("{time} · {about}") } else { format!("{} · {time}", session.name) };
            let name = format!("{}{} · {about}", prefix(&session.name), s.when(session.started_ms, calendar));
            let below = if session.first.is_empty() { s.no_words } else { &session.first };
            let entry = ListEntry { title: &title, name: &name, below, marks: &[], is_shown: shown == Some(session.id) };
            if entry_ui(ui, &entry) {
                chosen = Some(SessionView::new(session.id));
            }
        }
    });
    chosen
}

fn prefix(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!("{name} · ") }
}

/// Returns the length of a session, the number of its replies, and a mark if there are recordings.
pub(super) fn about(s: &Strings, session: &SessionSummary) -> String {
    let recorded = (session.recordings > 0).then(|| s.with_sound.to_owned());
    let parts = [Some(s.length(session.heard.secs())), s.replies(session.replies), recorded];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

/// Returns the sessions as rows, each day before its first session.
fn rows<'a>(s: &Strings, calendar: &Calendar, sessions: &'a [SessionSummary]) -> Vec<ListRow<'a>> {
    let mut rows: Vec<ListRow<'_>> = Vec::with_capacity(sessions.len());
    let mut last = String::new();
    for session in sessions {
        let day = s.day(session.started_ms, calendar);
        if day != last {
            rows.push(ListRow::Day(day.clone()));
            last = day;
        }
        rows.push(ListRow::Session(session));
    }
    rows
}

/// Paints the number of search hits, and the hits, each with its own time. If a hit was clicked in this frame, returns a view of the
/// hit's session that scrolls to the hit, else `None`.
pub(super) fn hits_ui(ui: &mut Ui, s: &Strings, calendar: &Calendar, list: &mut VirtualList, hits: &SearchResult) -> Option<SessionView> {
    let count = match hits.lines.len() {
        0 => s.nothing_found.to_owned(),
        1 => s.one_match.to_owned(),
        MAX_HITS => fill(s.many_matches, format_args!("{MAX_HITS}+")),
        count => fill(s.many_matches, count),
    };
    ui.label(RichText::new(count).weak());
    let mut chosen = None;
    list.show(ui, s, s.search, hits.lines.len(), |ui, n| {
        let hit = &hits.lines[n];
        let title = format!("{} · {}", s.when(hit.wall_ms, calendar), s.panel(hit.panel));
        let below = excerpt(&hits.text, &hit.text);
        let marks = places_of(&hits.text, &below);
        if entry_ui(ui, &ListEntry { title: &title, name: &title, below: &below, marks: &marks, is_shown: false }) {
            chosen = Some(SessionView::at(hit.session, hit.at, hit.panel));
        }
    });
    chosen
}

/// Returns the part of a line that a hit shows: it begins shortly before the first found word, at the start of a word.
fn excerpt(query: &str, text: &str) -> String {
    let first = places_of(query, text).first().map_or(0, |place| place.start);
    let before = text[..first].char_indices().rev().nth(BEFORE_WORD).map_or(0, |(at, _)| at);
    let from = match text[before..first].find(' ') {
        Some(space) if before > 0 => before + space + 1,
        _ => cluster_from(text, before),
    };
    let cut = beginning(&text[from..], ENTRY_CHARS);
    if from == 0 { cut.to_owned() } else { format!("…{cut}") }
}

/// Paints an entry, with its lines cut to the list's width. Returns true if the entry was clicked in this frame.
fn entry_ui(ui: &mut Ui, entry: &ListEntry<'_>) -> bool {
    let ListEntry { title, name, below, marks, is_shown } = *entry;
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ENTRY_HEIGHT), egui::Sense::click());
    let below: String = below.chars().map(|c| if c.is_control() && c.len_utf8() == 1 { ' ' } else { c }).collect();
    let label = format!("{name}\n{below}");
    response.widget_info(|| egui::WidgetInfo::selected(egui::Role::Button, ui.is_enabled(), is_shown, &label));
    if !ui.is_rect_visible(rect) {
        return response.clicked();
    }
    if is_shown || response.hovered() || response.has_focus() {
        let fill = if is_shown { ui.visuals().selection.bg_fill } else { ui.visuals().widgets.hovered.weak_bg_fill };
        ui.painter().rect_filled(rect, theme::RADIUS, fill);
    }
    if response.has_focus() {
        ui.painter().rect_stroke(rect, theme::RADIUS, ui.visuals().selection.stroke, egui::StrokeKind::Inside);
    }
    let (strong, weak) = (ui.visuals().strong_text_color(), ui.visuals().weak_text_color());
    let line = |ui: &Ui, text: &str, marks: &[Range<usize>], size: f32, colour: Color32, y: f32| {
        let mut job = marked(text, marks, size, [colour, strong], ui.visuals().selection.bg_fill);
        job.wrap = TextWrapping { max_width: rect.width() - 2.0 * ENTRY_MARGIN, max_rows: 1, ..TextWrapping::default() };
        let galley = ui.fonts_mut(|fonts| fonts.layout_job(job));
        ui.painter().galley(rect.left_top() + vec2(ENTRY_MARGIN, y), galley, colour);
    };
    line(ui, title, &[], theme::BODY, strong, ENTRY_LINES[0]);
    line(ui, &below, marks, theme::SMALL, weak, ENTRY_LINES[1]);
    response.clicked()
}

/// Returns `text` in `size` points ready for layout, with the bytes of `marks` on `ground` and in the second of `colours`, the others in the first. A
/// line that is too long breaks between words.
pub(super) fn marked(text: &str, marks: &[Range<usize>], size: f32, colours: [Color32; 2], ground: Color32) -> LayoutJob {
    let mut job = LayoutJob::default();
    let plain = TextFormat::simple(egui::FontId::proportional(size), colours[0]);
    let found = TextFormat { background: ground, ..TextFormat::simple(semibold(size), colours[1]) };
    let mut at = 0;
    for mark in marks {
        job.append(&text[at..mark.start], 0.0, plain.clone());
        job.append(&text[mark.clone()], 0.0, found.clone());
        at = mark.end;
    }
    job.append(&text[at..], 0.0, plain);
    job
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_begins_at_a_word_shortly_before_the_hit() {
        assert_eq!(excerpt("name", "what is your name"), "what is your name");
        let long = "yesterday we spoke for a long time about the name of the café";
        assert_eq!(excerpt("cafe", long), "…name of the café");
        assert_eq!(excerpt("天气", "今天我们在公园里谈了很久关于明天去哪里玩的天气").chars().next(), Some('…'));
        assert_eq!(excerpt("missing", long), long);
    }
}
