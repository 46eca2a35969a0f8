//! The recall / false-alarm curve as an SVG picture.

use std::fmt::Write;

use super::stats::Point;

/// Edge of the square that the curve lies in, in pixels.
const EDGE: f64 = 400.0;
/// Room around it for the labels.
const ROOM: f64 = 60.0;

/// The curve through `points`, with the point at bias 0 and the best one marked.
#[must_use]
pub fn curve(points: &[Point], own: Option<Point>, best: Option<Point>, title: &str) -> String {
    let size = EDGE + 2.0 * ROOM;
    let place = |p: &Point| (ROOM + EDGE * p.false_alarms, ROOM + EDGE * (1.0 - p.recall));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{size}\" height=\"{size}\" viewBox=\"0 0 {size} {size}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    for step in 0..=5 {
        let share = f64::from(step) / 5.0;
        let (x, y) = (ROOM + EDGE * share, ROOM + EDGE * (1.0 - share));
        let (far, percent) = (ROOM + EDGE, 20 * step);
        let _ = write!(
            out,
            "<path d=\"M{x:.1} {ROOM}V{far}M{ROOM} {y:.1}H{far}\" stroke=\"#ddd\"/>\n\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{percent} %</text>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{percent} %</text>\n",
            far + 18.0,
            ROOM - 6.0,
            y + 4.0
        );
    }
    let path: String = points.iter().map(place).map(|(x, y)| format!("{x:.2},{y:.2} ")).collect();
    let (near, far, middle) = (ROOM, ROOM + EDGE, size / 2.0);
    let _ = write!(
        out,
        "<path d=\"M{near} {far}L{far} {near}\" stroke=\"#999\" stroke-dasharray=\"4\"/>\n\
         <polyline points=\"{}\" fill=\"none\" stroke=\"#1565c0\" stroke-width=\"2\"/>\n",
        path.trim_end()
    );
    for (point, colour, name) in [(own, "#c62828", "as it is"), (best, "#2e7d32", "best")] {
        let Some(point) = point else { continue };
        let (x, y) = place(&point);
        let _ = write!(
            out,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\" fill=\"{colour}\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{name} (bias {:.2})</text>\n",
            x + 9.0,
            y + 4.0,
            point.bias
        );
    }
    let _ = write!(
        out,
        "<text x=\"{middle}\" y=\"30\" text-anchor=\"middle\" font-size=\"15\">{}</text>\n\
         <text x=\"{middle}\" y=\"{:.1}\" text-anchor=\"middle\">false-alarm rate</text>\n\
         <text transform=\"translate(16 {middle}) rotate(-90)\" text-anchor=\"middle\">recall</text>\n</svg>\n",
        escaped(title),
        size - 12.0
    );
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_holds_every_point_and_no_raw_name() {
        let points = [0.0, 0.5, 1.0].map(|x| Point { bias: x, recall: x, false_alarms: x * x });
        let svg = curve(&points, Some(points[1]), None, "a <model>");
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && svg.contains("a &lt;model&gt;"));
        assert!(svg.contains("60.00,460.00 160.00,260.00 460.00,60.00"), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 1);
    }
}
