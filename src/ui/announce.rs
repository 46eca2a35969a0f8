//! Texts that a screen reader says when they change, without being asked.

use egui::Response;
use egui::accesskit::Live;

/// Has screen readers say the text of the label `response` when it appears or changes: after what they are saying.
pub(super) fn politely(response: &Response) {
    live(response, Live::Polite);
}

/// Has screen readers say the text of the label `response` when it appears or changes: at once.
pub(super) fn at_once(response: &Response) {
    live(response, Live::Assertive);
}

fn live(response: &Response, how: Live) {
    response.ctx.accesskit_node_builder(response.id, |node| node.set_live(how));
}
