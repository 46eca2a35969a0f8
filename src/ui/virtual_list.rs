//! A virtual list: lines of different heights, of which only those on the screen are laid out. The cost of painting does not depend on
//! the number of lines. A growing list follows its end until the user scrolls up.

use egui::{Key, Rect, ScrollArea, Ui, UiBuilder, pos2, vec2};

use super::controls::Control;
use super::icons::Icon;
use super::strings::{Strings, fill};
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
/// Distance of the middle of the button that scrolls a list to its end from the list's bottom, in points.
const JUMP_BOTTOM: f32 = 24.0;
/// Height of the shade behind the button that scrolls a list to its end, in points.
const SHADE: f32 = 56.0;
/// Largest number of lines that fade in at once: more of them are no news, but a history.
const MAX_FADES: usize = 4;

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
    /// Number of lines in the previous frame.
    count: usize,
    /// Number of lines when the list was last at its end.
    seen: usize,
    /// Lines that fade in: index, and time of egui at which the line came, in seconds.
    fades: Vec<(usize, f64)>,
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
        Self {
            tops: vec![0.0],
            follows_end: true,
            target: None,
            offset: 0.0,
            end: 0.0,
            growth: ListGrowth::Growing,
            count: 0,
            seen: 0,
            fades: Vec::new(),
        }
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
        self.note_new_lines(ui, count);
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
        if self.follows_end {
            self.seen = count;
        } else if self.growth == ListGrowth::Growing {
            self.jump_button_ui(ui, s, output.inner_rect);
        }
    }

    /// Notes the lines that have come since the previous frame, to let them fade in.
    fn note_new_lines(&mut self, ui: &Ui, count: usize) {
        let now = ui.input(|i| i.time);
        self.fades.retain(|(_, since)| now - since < f64::from(theme::FADE_SECS));
        let new = self.count..count;
        if theme::moves(ui) && self.growth == ListGrowth::Growing && (1..=MAX_FADES).contains(&new.len()) {
            self.fades.extend(new.map(|n| (n, now)));
        }
        self.count = count;
        self.seen = self.seen.min(count);
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
            if let Some((_, since)) = self.fades.iter().find(|(line, _)| *line == n) {
                row.multiply_opacity(((ui.input(|i| i.time) - since) as f32 / theme::FADE_SECS).clamp(0.0, 1.0));
                ui.ctx().request_repaint();
            }
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
        let new = self.count.saturating_sub(self.seen);
        let text = if new == 0 { s.jump.to_owned() } else { fill(s.new_lines, new) };
        let control = Control::new(Icon::ArrowDown, &text);
        let ground = ui.visuals().panel_fill;
        let shade = inside.with_min_y(inside.bottom() - SHADE);
        ui.painter().add(fading(shade, ground));
        let size = vec2(control.width(ui), ui.spacing().interact_size.y);
        let rect = Rect::from_center_size(pos2(inside.center().x, inside.bottom() - JUMP_BOTTOM), size);
        let clicked = ui.scope_builder(UiBuilder::new().max_rect(rect), |ui| control.show(ui).clicked()).inner;
        if clicked {
            self.target = Some(usize::MAX);
            ui.ctx().request_repaint();
        }
    }
}

/// Returns an area that is transparent at its top and has the colour `ground` at its bottom.
fn fading(area: Rect, ground: egui::Color32) -> egui::Shape {
    let mut mesh = egui::Mesh::default();
    let clear = egui::Color32::TRANSPARENT;
    for (corner, colour) in
        [(area.left_top(), clear), (area.right_top(), clear), (area.right_bottom(), ground), (area.left_bottom(), ground)]
    {
        mesh.colored_vertex(corner, colour);
    }
    mesh.add_triangle(0, 1, 2);
    mesh.add_triangle(0, 2, 3);
    egui::Shape::mesh(mesh)
}
