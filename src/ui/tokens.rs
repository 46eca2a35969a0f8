//! Design tokens: the colours of both themes, and the sizes, spacing and radii of the window. Tests compute the contrast of every
//! pair of colours that is used together.

use egui::{Color32, Visuals};

/// The type sizes, in points: small print, text, emphasis, spoken words and titles, and the state of the session.
pub(super) const SMALL: f32 = 12.0;
pub(super) const BODY: f32 = 14.0;
pub(super) const MEDIUM: f32 = 16.0;
pub(super) const LARGE: f32 = 20.0;
pub(super) const DISPLAY: f32 = 28.0;

/// Radius of the corners of buttons and of outlines around lists, of small parts, and of windows and cards, in points.
pub(super) const RADIUS: u8 = 8;
pub(super) const RADIUS_SMALL: u8 = 5;
pub(super) const RADIUS_WINDOW: u8 = 12;
/// Radius of the corners of bars, in points.
pub(super) const RADIUS_BAR: f32 = 1.5;

/// Space between parts: within a line, between groups, and between sections, in points.
pub(super) const EDGE: f32 = 4.0;
pub(super) const GAP: f32 = 6.0;
pub(super) const GROUP_GAP: f32 = 8.0;
/// Margin at the left and right of the main parts of the window, in points.
pub(super) const SIDE_MARGIN: i8 = 16;
/// Margin between neighbouring panels, in points.
pub(super) const PANEL_MARGIN: i8 = 8;
/// Margin inside a window that opens above the main one, in points.
pub(super) const WINDOW_MARGIN: i8 = 16;

/// Width of the edge of a control, and of the ring around the control with the keyboard focus, in points.
pub(super) const EDGE_WIDTH: f32 = 1.0;
pub(super) const FOCUS_WIDTH: f32 = 2.0;

/// Seconds in which a new line appears, and a hovered control changes.
pub(super) const FADE_SECS: f32 = 0.12;

/// The colours of a theme.
#[derive(Clone, Copy, Debug)]
pub(super) struct Palette {
    /// Background of the window, of cards and windows above it, of fields and tracks, of buttons, and of a hovered button.
    pub(super) ground: Color32,
    pub(super) raised: Color32,
    pub(super) sunken: Color32,
    pub(super) button: Color32,
    pub(super) hover: Color32,
    /// Text, and text of less importance.
    pub(super) text: Color32,
    pub(super) weak: Color32,
    /// Edge of a control, and a line that only divides.
    pub(super) edge: Color32,
    pub(super) line: Color32,
    /// Something that is on: lines and text, the fill of a control, and the text on that fill.
    pub(super) accent: Color32,
    pub(super) accent_fill: Color32,
    pub(super) on_accent: Color32,
    /// States of session and replies.
    pub(super) listening: Color32,
    pub(super) quiet: Color32,
    pub(super) replying: Color32,
    pub(super) urgent: Color32,
    pub(super) fault: Color32,
    /// Fill of the banner of an urgent reply, and the text on the fill.
    pub(super) urgent_fill: Color32,
    pub(super) on_urgent: Color32,
    /// Share of a state's colour in the band of the header.
    band: f32,
    /// Share of the colour of replies in the card behind a reply.
    card: f32,
}

const fn rgb(code: u32) -> Color32 {
    Color32::from_rgb((code >> 16) as u8, (code >> 8) as u8, code as u8)
}

/// The colours of the dark theme.
pub(super) const DARK: Palette = Palette {
    ground: rgb(0x0015_181c),
    raised: rgb(0x001e_2227),
    sunken: rgb(0x000f_1215),
    button: rgb(0x0026_2b31),
    hover: rgb(0x0030_363d),
    text: rgb(0x00ec_eff2),
    weak: rgb(0x00aa_b3bc),
    edge: rgb(0x0080_8b95),
    line: rgb(0x002c_3238),
    accent: rgb(0x004c_cbaa),
    accent_fill: rgb(0x001c_7d68),
    on_accent: Color32::WHITE,
    listening: rgb(0x004c_cbaa),
    quiet: rgb(0x00aa_b3bc),
    replying: rgb(0x008f_b0ff),
    urgent: rgb(0x00ff_b85c),
    fault: rgb(0x00ff_8a84),
    urgent_fill: rgb(0x00ff_b347),
    on_urgent: rgb(0x0023_1400),
    band: 0.2,
    card: 0.1,
};

/// The colours of the light theme.
pub(super) const LIGHT: Palette = Palette {
    ground: rgb(0x00fa_faf8),
    raised: Color32::WHITE,
    sunken: rgb(0x00f0_f1f0),
    button: rgb(0x00f1_f3f2),
    hover: rgb(0x00e4_e8e7),
    text: rgb(0x0015_191d),
    weak: rgb(0x0052_5b64),
    edge: rgb(0x0073_7c84),
    line: rgb(0x00dc_e0e1),
    accent: rgb(0x0007_6b55),
    accent_fill: rgb(0x0007_6b55),
    on_accent: Color32::WHITE,
    listening: rgb(0x0007_6b55),
    quiet: rgb(0x0052_5b64),
    replying: rgb(0x0028_54c2),
    urgent: rgb(0x008a_4700),
    fault: rgb(0x00b0_1e28),
    urgent_fill: rgb(0x00ff_b347),
    on_urgent: rgb(0x0023_1400),
    band: 0.14,
    card: 0.08,
};

impl Palette {
    /// Returns the colours of the theme of `visuals`.
    pub(super) const fn of(visuals: &Visuals) -> &'static Self {
        if visuals.dark_mode { &DARK } else { &LIGHT }
    }

    /// Returns the background of the header in a state of the colour `state`.
    pub(super) fn band(&self, state: Color32) -> Color32 {
        self.ground.lerp_to_gamma(state, self.band)
    }

    /// Returns the background of an entry that is chosen among others, and of a control that is pressed.
    pub(super) fn selected(&self) -> Color32 {
        self.raised.lerp_to_gamma(self.accent, self.band)
    }

    /// Returns the background behind a reply.
    pub(super) fn reply_card(&self) -> Color32 {
        self.ground.lerp_to_gamma(self.replying, self.card)
    }

    /// Returns the background behind an urgent reply.
    pub(super) fn urgent_card(&self) -> Color32 {
        self.ground.lerp_to_gamma(self.urgent, self.card)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Least contrast of text, and of the edge of a control, to what lies beside it (WCAG 2.2, 1.4.3 and 1.4.11).
    const TEXT: f32 = 4.5;
    const CONTROL: f32 = 3.0;

    fn contrast(a: Color32, b: Color32) -> f32 {
        let [a, b] = [a, b].map(|c| {
            let [r, g, b] = [c.r(), c.g(), c.b()].map(|v| {
                let v = f32::from(v) / 255.0;
                if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
            });
            0.2126 * r + 0.7152 * g + 0.0722 * b
        });
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    fn states(p: &Palette) -> [(&'static str, Color32); 5] {
        [("listening", p.listening), ("quiet", p.quiet), ("replying", p.replying), ("urgent", p.urgent), ("fault", p.fault)]
    }

    fn assert_least(least: f32, pairs: &[(&str, Color32, Color32)]) {
        let low: Vec<String> = pairs
            .iter()
            .map(|(name, a, b)| (name, contrast(*a, *b)))
            .filter(|(_, contrast)| *contrast < least)
            .map(|(name, contrast)| format!("{name} {contrast:.2}"))
            .collect();
        assert!(low.is_empty(), "less than {least} : 1: {low:?}");
    }

    #[test]
    fn contrast_of_black_and_white_is_21() {
        assert!((contrast(Color32::BLACK, Color32::WHITE) - 21.0).abs() < 0.01);
    }

    #[test]
    fn text_has_a_contrast_of_four_and_a_half_in_both_themes() {
        for p in [&DARK, &LIGHT] {
            let grounds = [p.ground, p.raised, p.sunken, p.button, p.hover, p.reply_card(), p.urgent_card()];
            let bands = states(p).map(|(_, state)| p.band(state));
            let texts = [("text", p.text), ("weak", p.weak), ("accent", p.accent)].into_iter().chain(states(p));
            let mut pairs = vec![
                ("chosen", p.accent, p.selected()),
                ("text on chosen", p.text, p.selected()),
                ("on accent", p.on_accent, p.accent_fill),
                ("on urgent", p.on_urgent, p.urgent_fill),
            ];
            for (name, text) in texts {
                pairs.extend(grounds.map(|ground| (name, text, ground)));
            }
            for (name, text) in [("text in header", p.text), ("weak text in header", p.weak)] {
                pairs.extend(bands.map(|band| (name, text, band)));
            }
            pairs.extend(states(p).map(|(name, state)| (name, state, p.band(state))));
            assert_least(TEXT, &pairs);
        }
    }

    #[test]
    fn edges_of_controls_have_a_contrast_of_three_in_both_themes() {
        for p in [&DARK, &LIGHT] {
            let grounds = [p.ground, p.raised, p.sunken, p.button, p.hover, p.reply_card(), p.urgent_card()];
            let bands = states(p).map(|(_, state)| p.band(state));
            let mut pairs = Vec::new();
            for (name, edge) in [("edge", p.edge), ("accent", p.accent)] {
                pairs.extend(grounds.iter().chain(&bands).map(|ground| (name, edge, *ground)));
            }
            pairs.extend([p.ground, p.raised, p.sunken].map(|ground| ("fill of what is on", p.accent_fill, ground)));
            pairs.push(("banner of an urgent reply", p.urgent_fill, DARK.ground));
            assert_least(CONTROL, &pairs);
        }
    }
}
