//! The icon of the window: three level bars on a rounded dark ground.

/// Width and height of the icon, in pixels.
const SIDE: u32 = 64;
/// Left edge and half the height of each of the three level bars of the icon, in pixels.
const BARS: [(f32, f32); 3] = [(14.0, 9.0), (27.0, 19.0), (40.0, 13.0)];
/// Half the width of a level bar, and the radius of its round ends, in pixels.
const BAR_RADIUS: f32 = 5.0;
/// Radius of the corners of the icon's ground, in pixels.
const CORNER_RADIUS: f32 = 14.0;
/// Colour of the level bars.
const BAR_RGBA: [u8; 4] = [70, 196, 164, 255];
/// Colour of the icon's ground.
const GROUND_RGBA: [u8; 4] = [22, 25, 29, 255];
/// Colour of the pixels outside the rounded ground.
const TRANSPARENT: [u8; 4] = [0; 4];

/// Returns the icon as an RGBA picture of 64 × 64 pixels.
pub(super) fn icon() -> egui::IconData {
    let middle = SIDE as f32 / 2.0;
    let mut rgba = Vec::with_capacity((SIDE * SIDE * 4) as usize);
    for at in 0..SIDE * SIDE {
        let (x, y) = ((at % SIDE) as f32 + 0.5, (at / SIDE) as f32 + 0.5);
        let past_corner = |v: f32| ((v - middle).abs() - (middle - CORNER_RADIUS)).max(0.0);
        let in_bar = BARS.iter().any(|(left, half)| {
            let past_end = ((y - middle).abs() - (half - BAR_RADIUS)).max(0.0);
            (x - (left + BAR_RADIUS)).hypot(past_end) < BAR_RADIUS
        });
        rgba.extend(if in_bar {
            BAR_RGBA
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

    #[test]
    fn the_icon_has_bars_on_a_ground_with_transparent_corners() {
        let icon = icon();
        assert_eq!(icon.rgba.len(), 64 * 64 * 4);
        let pixel = |x: usize, y: usize| &icon.rgba[(y * 64 + x) * 4..][..4];
        assert_eq!((pixel(0, 0), pixel(32, 32), pixel(8, 32)), (&TRANSPARENT[..], &BAR_RGBA[..], &GROUND_RGBA[..]));
    }
}
