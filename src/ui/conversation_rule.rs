//! The rule between two conversations: above it the model remembers nothing.

use egui::{RichText, Separator, Ui};

use super::frame::FrameData;
use super::strings::fill;
use super::theme;
use crate::time::StreamTime;

/// Length of the line before the words of a rule, in points.
const BEFORE: f32 = 24.0;
/// Height of a rule, in points.
const HEIGHT: f32 = 20.0;
/// Number of characters of a time of day with seconds, and without.
const TIME_OF_DAY: [usize; 2] = ["19:37:02".len(), "19:37".len()];

/// Paints a rule if a conversation began after `above` (the end of the line above; `None` for the first line) and before `below`
/// (the end of the line below; `None` below the last line).
pub(super) fn rule_ui(ui: &mut Ui, data: &FrameData<'_>, above: Option<StreamTime>, below: Option<StreamTime>) {
    let Some(start) = data.transcript.conversation_start_in(above, below) else { return };
    let time = data.time(start);
    let time = if time.len() == TIME_OF_DAY[0] { time.get(..TIME_OF_DAY[1]).unwrap_or(&time) } else { &time };
    ui.horizontal(|ui| {
        ui.set_height(HEIGHT);
        ui.add_sized([BEFORE, HEIGHT], Separator::default().horizontal());
        ui.label(RichText::new(fill(data.s.conversation_rule, time)).weak().size(theme::SMALL));
        ui.add(Separator::default().horizontal());
    });
}
