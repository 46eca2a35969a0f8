//! The icon of the window, one for each kind of state: level bars while Hearken listens, the pause sign, and grey bars that are
//! struck out.

use super::session_state::SessionState;

/// Width and height of the icon, in pixels.
const SIDE: u32 = 64;
/// Left edge and half the height of each of the three level bars of the icon, in pixels.
const BARS: [(f32, f32); 3] = [(14.0, 9.0), (27.0, 19.0), (40.0, 13.0)];
/// Left edge and half the height of the two bars of the pause sign, in pixels.
const PAUSE_BARS: [(f32, f32); 2] = [(18.0, 18.0), (36.0, 18.0)];
/// Half the width of a level bar, and the radius of its round ends, in pixels.
const BAR_RADIUS: f32 = 5.0;
/// Half the width of the line that strikes the bars out, and half its length from the middle in each direction, in pixels.
const STRIKE: [f32; 2] = [3.0, 20.0];
/// Radius of the corners of the icon's ground, in pixels.
const CORNER_RADIUS: f32 = 14.0;
/// Colour of the level bars while Hearken listens.
const LISTENING_RGBA: [u8; 4] = [76, 203, 170, 255];
/// Colour of the bars while Hearken does not listen.
const DEAF_RGBA: [u8; 4] = [170, 179, 188, 255];
/// Colour of the line that strikes the bars out.
const STRIKE_RGBA: [u8; 4] = [255, 138, 132, 255];
/// Colour of the icon's ground.
const GROUND_RGBA: [u8; 4] = [21, 24, 28, 255];
/// Colour of the pixels outside the rounded ground.
const TRANSPARENT: [u8; 4] = [0; 4];

/// The kinds of icons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Listening,
    Paused,
    Deaf,
}

/// Returns the icon of a window that listens, as an RGBA picture of 64 × 64 pixels.
pub(super) fn icon() -> egui::IconData {
    draw(Sign::Listening)
}

/// Returns the icon for a state of the session, as an RGBA picture of 64 × 64 pixels.
pub(super) fn icon_of(state: SessionState) -> egui::IconData {
    draw(match state {
        SessionState::Paused => Sign::Paused,
        SessionState::Ended | SessionState::NoMicrophone | SessionState::NothingOn => Sign::Deaf,
        _ => Sign::Listening,
    })
}

fn draw(sign: Sign) -> egui::IconData {
    let (bars, colour) = match sign {
        Sign::Listening => (&BARS[..], LISTENING_RGBA),
        Sign::Paused => (&PAUSE_BARS[..], DEAF_RGBA),
        Sign::Deaf => (&BARS[..], DEAF_RGBA),
    };
    let middle = SIDE as f32 / 2.0;
    let mut rgba = Vec::with_capacity((SIDE * SIDE * 4) as usize);
    for at in 0..SIDE * SIDE {
        let (x, y) = ((at % SIDE) as f32 + 0.5, (at / SIDE) as f32 + 0.5);
        let past_corner = |v: f32| ((v - middle).abs() - (middle - CORNER_RADIUS)).max(0.0);
        let in_bar = bars.iter().any(|(left, half)| {
            let past_end = ((y - middle).abs() - (half - BAR_RADIUS)).max(0.0);
            (x - (left + BAR_RADIUS)).hypot(past_end) < BAR_RADIUS
        });
        let in_strike = sign == Sign::Deaf && (x - y).abs() < STRIKE[0] * std::f32::consts::SQRT_2 && (x - middle).abs() < STRIKE[1];
        rgba.extend(if in_strike {
            STRIKE_RGBA
        } else if in_bar {
            colour
        } else if past_corner(x).hypot(past_corner(y)) < CORNER_RADIUS {
            GROUND_RGBA
        } else {
            TRANSPARENT
        });
    }
    egui::IconData { rgba, width: SIDE, height: SIDE }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixel(icon: &egui::IconData, x: usize, y: usize) -> &[u8] {
        &icon.rgba[(y * 64 + x) * 4..][..4]
    }

    #[test]
    fn the_icon_has_bars_on_a_ground_with_transparent_corners() {
        let icon = icon();
        assert_eq!(icon.rgba.len(), 64 * 64 * 4);
        let pixels = (pixel(&icon, 0, 0), pixel(&icon, 32, 32), pixel(&icon, 8, 32));
        assert_eq!(pixels, (&TRANSPARENT[..], &LISTENING_RGBA[..], &GROUND_RGBA[..]));
    }

    #[test]
    fn the_icon_tells_paused_from_listening_without_colour() {
        let (listening, paused, deaf) =
            (icon_of(SessionState::Listening), icon_of(SessionState::Paused), icon_of(SessionState::NoMicrophone));
        assert_eq!((pixel(&paused, 23, 32), pixel(&paused, 32, 32)), (&DEAF_RGBA[..], &GROUND_RGBA[..]), "two bars with a gap");
        assert_eq!(pixel(&listening, 32, 32), LISTENING_RGBA);
        assert_eq!(pixel(&deaf, 32, 32), STRIKE_RGBA);
    }
}
