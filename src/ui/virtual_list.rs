//! A list of lines of different heights of which only those on screen are laid out, and which follows its end until the
//! user scrolls up. What it costs to paint does not depend on how long it is.

use egui::{Key, Rect, ScrollArea, Ui, UiBuilder, pos2, vec2};

use super::strings::Strings;

/// Height that a line is thought to have before it was seen, in points.
const GUESS: f32 = 30.0;
/// Space between lines.
const GAP: f32 = 6.0;
/// Nearer to the end than this is the end.
const END: f32 = 2.0;

#[derive(Debug)]
pub(super) struct List {
    /// Where each line begins, and where the last one ends.
    tops: Vec<f32>,
    width: f32,
    /// Whether it stays at its end.
    follows: bool,
    /// The line to show next.
    goto: Option<usize>,
    offset: f32,
    /// The offset at which the end was seen in the frame before.
    end: f32,
    growth: Growth,
}

/// Whether there will be more lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Growth {
    /// New lines come at its end.
    Grows,
    /// It is complete, and read from its beginning.
    Whole,
}

impl Default for List {
    fn default() -> Self {
        Self { tops: vec![0.0], width: 0.0, follows: true, goto: None, offset: 0.0, end: 0.0, growth: Growth::Grows }
    }
}

impl List {
    /// A list to which nothing is added any more: it begins at its beginning.
    pub(super) fn whole() -> Self {
        Self { follows: false, growth: Growth::Whole, ..Self::default() }
    }

    /// Shows line `n` as soon as it is painted.
    pub(super) const fn go_to(&mut self, n: usize) {
        self.goto = Some(n);
    }

    /// Paints `count` lines; `line` paints one of them.
    pub(super) fn show(&mut self, ui: &mut Ui, s: &Strings, name: &str, count: usize, mut line: impl FnMut(&mut Ui, usize)) {
        let width = ui.available_width();
        if (width - self.width).abs() > 0.5 {
            // Lines break elsewhere now; those that are seen are measured again.
            self.width = width;
        }
        self.fit(count);
        let height = ui.available_height();
        self.turn_pages(ui, name, height);
        let mut area = ScrollArea::vertical().id_salt(name).auto_shrink(false);
        let wanted = match self.goto.take() {
            Some(n) if n < count => Some((self.tops[n] - height / 3.0).max(0.0)),
            Some(_) => Some((self.total() - height).max(0.0)),
            None => None,
        };
        // A list that sticks to its end would not go anywhere else.
        area = match wanted {
            Some(offset) => area.vertical_scroll_offset(offset),
            None => area.stick_to_bottom(self.growth == Growth::Grows),
        };
        let before = self.total();
        let output = area.show_viewport(ui, |ui, seen| self.lines_ui(ui, seen, &mut line));
        let end = (self.total() - output.inner_rect.height()).max(0.0);
        self.offset = output.state.clamped_offset().y;
        // Whoever scrolls up stops following; whoever comes back to the end follows again.
        // New lines lie below what is seen until the next frame: nobody has scrolled away from them.
        self.follows = self.offset >= self.end.min(end) - END;
        self.end = end;
        if (self.total() - before).abs() > 0.5 {
            ui.ctx().request_repaint();
        }
        if !self.follows && self.growth == Growth::Grows {
            self.jump_ui(ui, s, output.inner_rect);
        }
    }

    fn total(&self) -> f32 {
        self.tops.last().copied().unwrap_or(0.0)
    }

    fn fit(&mut self, count: usize) {
        self.tops.truncate(count + 1);
        while self.tops.len() <= count {
            self.tops.push(self.total() + GUESS + GAP);
        }
    }

    fn lines_ui(&mut self, ui: &mut Ui, seen: Rect, line: &mut impl FnMut(&mut Ui, usize)) {
        let (left, top, width) = (ui.max_rect().left(), ui.max_rect().top(), ui.max_rect().width());
        let count = self.tops.len() - 1;
        let first = self.tops.partition_point(|t| *t <= seen.min.y).saturating_sub(1);
        let mut n = first;
        while n < count && self.tops[n] < seen.max.y {
            let rect = Rect::from_min_size(pos2(left, top + self.tops[n]), vec2(width - 4.0, f32::INFINITY));
            let mut row = ui.new_child(UiBuilder::new().max_rect(rect).id_salt(n));
            line(&mut row, n);
            let moved = self.tops[n] + row.min_rect().height() + GAP - self.tops[n + 1];
            n += 1;
            if moved.abs() > 0.01 {
                self.tops[n..].iter_mut().for_each(|t| *t += moved);
            }
        }
        let all = Rect::from_min_size(pos2(left, top), vec2(width, self.total()));
        ui.expand_to_include_rect(all);
    }

    /// Page Up, Page Down, Home and End scroll the list that has the focus, or is under the pointer.
    fn turn_pages(&mut self, ui: &mut Ui, name: &str, height: f32) {
        let response =
            ui.interact(ui.available_rect_before_wrap(), ui.scope_id().with((name, "keys")), egui::Sense::focusable_noninteractive());
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Group, true, name));
        if response.has_focus() {
            ui.painter().rect_stroke(response.rect, 4.0, ui.visuals().selection.stroke, egui::StrokeKind::Inside);
        }
        if !response.has_focus() && !ui.rect_contains_pointer(response.rect) {
            return;
        }
        let by = ui.input(|i| {
            let pages = f32::from(i8::from(i.key_pressed(Key::PageDown)) - i8::from(i.key_pressed(Key::PageUp))) * height * 0.9;
            if i.key_pressed(Key::Home) {
                -self.total()
            } else if i.key_pressed(Key::End) {
                self.total()
            } else {
                pages
            }
        });
        if by != 0.0 {
            let target = (self.offset + by).clamp(0.0, (self.total() - height).max(0.0)) + height / 3.0;
            self.goto = Some(self.tops.partition_point(|t| *t < target).min(self.tops.len() - 1));
            if by > 0.0 && self.offset + by >= self.total() - height - END {
                self.goto = Some(usize::MAX);
            }
        }
    }

    fn jump_ui(&mut self, ui: &mut Ui, s: &Strings, inside: Rect) {
        let size = vec2(140.0, 28.0);
        let rect = Rect::from_center_size(pos2(inside.center().x, inside.bottom() - 22.0), size);
        let button = egui::Button::new(s.jump).fill(ui.visuals().window_fill).stroke(ui.visuals().widgets.noninteractive.bg_stroke);
        if ui.put(rect, button).clicked() {
            self.goto = Some(usize::MAX);
            ui.ctx().request_repaint();
        }
    }
}
