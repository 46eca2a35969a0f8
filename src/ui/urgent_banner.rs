//! The banner of an urgent reply, above everything else until the user dismisses it. It is told by its form, not only by its colour,
//! and moves nothing.

use egui::{Align, Area, Frame, Id, Label, Layout, Margin, Order, RichText, Ui, pos2, vec2};

use super::announce;
use super::frame::FrameData;
use super::icons::{self, Icon};
use super::state_mark::hatch;
use super::theme::{self, Palette, bold};
use crate::protocol::{Emotion, ReplyId};
use crate::transcript::{Reply, Transcript};

/// Width of the hatched mark at the left of the banner, in points.
const HATCH_WIDTH: f32 = 20.0;
/// Side of the warning triangle, in points; in a compact window.
const TRIANGLE_SIDES: [f32; 2] = [32.0, 20.0];
/// Height of the banner without its margins, in points; in a compact window.
const HEIGHTS: [f32; 2] = [40.0, 34.0];
/// Space above and below the text, in points; in a compact window.
const MARGINS: [i8; 2] = [10, 4];

/// The banner between frames.
#[derive(Debug, Default)]
pub(super) struct UrgentBanner {
    /// Number of the newest urgent reply that the user has dismissed.
    dismissed: Option<ReplyId>,
    /// Number of the urgent reply for which the desktop was asked to call the user.
    called_for: Option<ReplyId>,
}

impl UrgentBanner {
    /// Returns the newest urgent reply that the user has not dismissed.
    pub(super) fn reply<'t>(&self, t: &'t Transcript) -> Option<&'t Reply> {
        let newest = t.replies.iter().rev().find(|reply| reply.emotion == Some(Emotion::Urgent))?;
        (self.dismissed != Some(newest.id)).then_some(newest)
    }

    /// Paints the banner below `top` over the whole width of the window while there is an urgent reply that the user has not dismissed.
    /// Returns the lower edge of the banner, which is `top` without one, in points.
    pub(super) fn show(&mut self, ui: &Ui, data: &FrameData<'_>, top: f32) -> f32 {
        let Some(reply) = self.reply(data.transcript) else { return top };
        if self.called_for != Some(reply.id) {
            self.called_for = Some(reply.id);
            let call = egui::UserAttentionType::Critical;
            ui.ctx().send_viewport_cmd(egui::ViewportCommand::RequestUserAttention(call));
        }
        let small = usize::from(theme::is_compact(ui.ctx()));
        let p = Palette::of(ui.visuals());
        let margin =
            Margin { left: theme::SIDE_MARGIN + HATCH_WIDTH as i8, right: theme::SIDE_MARGIN, top: MARGINS[small], bottom: MARGINS[small] };
        let frame = Frame::new().fill(p.urgent_fill).inner_margin(margin);
        let room = ui.max_rect();
        let area = Area::new(Id::unique("urgent")).order(Order::Foreground).fixed_pos(pos2(room.left(), top)).constrain_to(room);
        let banner_ui = |ui: &mut Ui| {
            ui.visuals_mut().widgets.noninteractive.fg_stroke.color = p.on_urgent;
            let row = vec2(room.width() - margin.sum().x, HEIGHTS[small]);
            ui.allocate_ui_with_layout(row, Layout::left_to_right(Align::Center), |ui| {
                ui.set_min_height(HEIGHTS[small]);
                icons::mark(ui, Icon::Warning, TRIANGLE_SIDES[small], p.on_urgent);
                // The text takes what the button leaves.
                let button = egui::WidgetText::from(data.s.dismiss).into_galley(ui, None, f32::INFINITY, egui::TextStyle::Button).size().x;
                let width = (ui.available_width() - button - 2.0 * ui.spacing().button_padding.x - ui.spacing().item_spacing.x).max(0.0);
                let layout = if theme::is_low(ui.ctx()) { Layout::left_to_right(Align::Center) } else { Layout::top_down(Align::Min) };
                ui.allocate_ui_with_layout(vec2(width, HEIGHTS[small]), layout, |ui| {
                    ui.set_width(width);
                    text_ui(ui, data, reply, small);
                });
                let dismiss = egui::Button::new(RichText::new(data.s.dismiss).color(p.urgent_fill)).fill(p.on_urgent);
                ui.add(dismiss).clicked()
            })
            .inner
        };
        let shown = area.show(ui.ctx(), |ui| {
            let shown = frame.show(ui, banner_ui);
            let rect = shown.response.rect;
            hatch(&ui.painter().with_clip_rect(rect), rect.with_max_x(rect.left() + HATCH_WIDTH), p.on_urgent);
            shown.inner
        });
        if shown.inner {
            self.dismissed = Some(reply.id);
            ui.ctx().request_repaint();
        }
        shown.response.rect.bottom()
    }
}

fn text_ui(ui: &mut Ui, data: &FrameData<'_>, reply: &Reply, small: usize) {
    let s = data.s;
    let text = if reply.text.is_empty() { "…" } else { &reply.text };
    let line = format!("{}: {text}", s.urgent_word);
    if theme::is_low(ui.ctx()) {
        let shown = ui.add(Label::new(bold(line, theme::BODY)).truncate());
        announce::at_once(&shown);
        shown.on_hover_text(s.no_alarm);
        return;
    }
    ui.spacing_mut().item_spacing.y = 0.0;
    announce::at_once(&ui.add(Label::new(bold(line, if small == 1 { theme::BODY } else { theme::LARGE })).wrap()));
    ui.label(RichText::new(format!("{} · {}", data.time(reply.at), s.no_alarm)).small());
}
