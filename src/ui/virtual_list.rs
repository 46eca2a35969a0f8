//! A virtual list: lines of different heights, of which only those on the screen are laid out. The cost of painting does not depend on
//! the number of lines. A growing list follows its end until the user scrolls up.

use egui::{Key, Rect, ScrollArea, Ui, UiBuilder, pos2, vec2};

use super::strings::Strings;
use super::theme;

/// Height assumed for a line of a list that was never on the screen, in points.
const ESTIMATED_HEIGHT: f32 = 30.0;
/// Space between two lines of a list, in points.
const GAP: f32 = 6.0;
/// Largest distance from the end of a list at which the list counts as scrolled to its end, in points.
const END_TOLERANCE: f32 = 2.0;
/// Distance by which Page Up and Page Down scroll a list, as a share of its visible height.
const PAGE_SHARE: f32 = 0.9;
/// Distance from the top of a list at which a line appears after scrolling to that line, as a share of the visible height.
const TARGET_SHARE: f32 = 1.0 / 3.0;
/// Largest change of a line's height that is taken for a rounding error, in points.
const EPSILON: f32 = 0.01;
/// Largest change of a list's total height that needs no repaint, in points.
const REPAINT_CHANGE: f32 = 0.5;
/// Width and height of the button that scrolls a list to its end, in points.
const JUMP_SIZE: [f32; 2] = [140.0, 28.0];
/// Distance of the middle of the button that scrolls a list to its end from the list's bottom, in points.
const JUMP_BOTTOM: f32 = 22.0;

/// The state of a virtual list between frames: the heights of the lines, measured or assumed, and the scroll position.
#[derive(Debug)]
pub(super) struct VirtualList {
    /// Distance of the top of each line from the top of the list, and of the end of the last, in points.
    tops: Vec<f32>,
    /// True while the list is scrolled to its end.
    follows_end: bool,
    /// Index of the line to scroll to in the next frame; an index beyond the last line stands for the end.
    target: Option<usize>,
    /// Scroll offset in the previous frame, in points.
    offset: f32,
    /// Scroll offset of the list's end in the previous frame, in points.
    end: f32,
    growth: ListGrowth,
}

/// The kind of growth of a list, which decides whether the list scrolls by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ListGrowth {
    /// New lines are added at the end. The list scrolls along with its end.
    Growing,
    /// The list is complete and is read from its beginning. The list does not scroll by itself.
    Complete,
}

impl Default for VirtualList {
    fn default() -> Self {
        Self { tops: vec![0.0], follows_end: true, target: None, offset: 0.0, end: 0.0, growth: ListGrowth::Growing }
    }
}

impl VirtualList {
    /// Returns a list that is complete and is read from its beginning. For a list that grows use [`VirtualList::default`].
    pub(super) fn complete() -> Self {
        Self { follows_end: false, growth: ListGrowth::Complete, ..Self::default() }
    }

    /// Scrolls the list to the line of index `n` in the next frame, or to the end if there is no such line.
    pub(super) const fn scroll_to(&mut self, n: usize) {
        self.target = Some(n);
    }

    /// Paints those of the list's `count` lines that are on the screen. `line` paints the line of the index that it is given, and
    /// `name` is the list's name for screen readers.
    pub(super) fn show(&mut self, ui: &mut Ui, s: &Strings, name: &str, count: usize, mut line: impl FnMut(&mut Ui, usize)) {
        self.fit(count);
        let height = ui.available_height();
        self.handle_keys(ui, name, height);
        let area = ScrollArea::vertical().id_salt(name).auto_shrink(false);
        let wanted = self
            .target
            .take()
            .map(|n| if n < count { (self.tops[n] - height * TARGET_SHARE).max(0.0) } else { (self.total() - height).max(0.0) });
        // A scroll area that sticks to its end goes nowhere else.
        let area = match wanted {
            Some(offset) => area.vertical_scroll_offset(offset),
            None => area.stick_to_bottom(self.growth == ListGrowth::Growing),
        };
        let before = self.total();
        let output = area.show_viewport(ui, |ui, visible| self.lines_ui(ui, visible, &mut line));
        let end = (self.total() - output.inner_rect.height()).max(0.0);
        self.offset = output.state.clamped_offset().y;
        // New lines lie below the visible ones until the next frame, which is not the user scrolling away.
        self.follows_end = self.offset >= self.end.min(end) - END_TOLERANCE;
        self.end = end;
        if (self.total() - before).abs() > REPAINT_CHANGE {
            ui.ctx().request_repaint();
        }
        if !self.follows_end && self.growth == ListGrowth::Growing {
            self.jump_button_ui(ui, s, output.inner_rect);
        }
    }

    fn total(&self) -> f32 {
        self.tops.last().copied().unwrap_or(0.0)
    }

    fn fit(&mut self, count: usize) {
        self.tops.truncate(count + 1);
        while self.tops.len() <= count {
            self.tops.push(self.total() + ESTIMATED_HEIGHT + GAP);
        }
    }

    fn lines_ui(&mut self, ui: &mut Ui, visible: Rect, line: &mut impl FnMut(&mut Ui, usize)) {
        let (left, top, width) = (ui.max_rect().left(), ui.max_rect().top(), ui.max_rect().width());
        let count = self.tops.len() - 1;
        let mut n = self.tops.partition_point(|t| *t <= visible.min.y).saturating_sub(1);
        while n < count && self.tops[n] < visible.max.y {
            let rect = Rect::from_min_size(pos2(left, top + self.tops[n]), vec2(width - theme::EDGE, f32::INFINITY));
            let mut row = ui.new_child(UiBuilder::new().max_rect(rect).id_salt(n));
            line(&mut row, n);
            let change = self.tops[n] + row.min_rect().height() + GAP - self.tops[n + 1];
            n += 1;
            if change.abs() > EPSILON {
                self.tops[n..].iter_mut().for_each(|t| *t += change);
            }
        }
        let all = Rect::from_min_size(pos2(left, top), vec2(width, self.total()));
        ui.expand_to_include_rect(all);
    }

    /// Scrolls the list by the keys Page Up, Page Down, Home and End if the list has the keyboard focus or is under the pointer.
    /// `height` is the list's visible height in points, `name` its name for screen readers.
    fn handle_keys(&mut self, ui: &mut Ui, name: &str, height: f32) {
        let response =
            ui.interact(ui.available_rect_before_wrap(), ui.scope_id().with((name, "keys")), egui::Sense::focusable_noninteractive());
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Group, true, name));
        if response.has_focus() {
            ui.painter().rect_stroke(response.rect, theme::RADIUS_SMALL, ui.visuals().selection.stroke, egui::StrokeKind::Inside);
        }
        if !response.has_focus() && !ui.rect_contains_pointer(response.rect) {
            return;
        }
        let by = ui.input(|i| {
            let pages = f32::from(i8::from(i.key_pressed(Key::PageDown)) - i8::from(i.key_pressed(Key::PageUp)));
            if i.key_pressed(Key::Home) {
                -self.total()
            } else if i.key_pressed(Key::End) {
                self.total()
            } else {
                pages * height * PAGE_SHARE
            }
        });
        if by == 0.0 {
            return;
        }
        let top = (self.offset + by).clamp(0.0, (self.total() - height).max(0.0)) + height * TARGET_SHARE;
        self.target = Some(self.tops.partition_point(|t| *t < top).min(self.tops.len() - 1));
        if by > 0.0 && self.offset + by >= self.total() - height - END_TOLERANCE {
            self.target = Some(usize::MAX);
        }
    }

    fn jump_button_ui(&mut self, ui: &mut Ui, s: &Strings, inside: Rect) {
        let rect = Rect::from_center_size(pos2(inside.center().x, inside.bottom() - JUMP_BOTTOM), JUMP_SIZE.into());
        let button = egui::Button::new(s.jump).fill(ui.visuals().window_fill).stroke(ui.visuals().widgets.noninteractive.bg_stroke);
        if ui.put(rect, button).clicked() {
            self.target = Some(usize::MAX);
            ui.ctx().request_repaint();
        }
    }
}
