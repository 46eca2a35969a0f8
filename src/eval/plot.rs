//! The recall / false-alarm curve, and scores over a number, as SVG pictures.

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

/// A line of a picture of several.
pub struct Line {
    /// What it is of.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
}

/// Colours of the lines, one after the other.
const COLOURS: [&str; 4] = ["#1565c0", "#c62828", "#2e7d32", "#ef6c00"];

/// `lines` over a logarithmic axis named `across`; values are shown times `scale`, from 0 on.
#[must_use]
pub fn lines(lines: &[Line], scale: f64, title: &str, across: &str) -> String {
    let size = EDGE + 2.0 * ROOM;
    let all = || lines.iter().flat_map(|line| &line.points);
    let largest = |of: fn(&(f64, f64)) -> f64| all().map(of).fold(0.0, f64::max);
    let (right, top) = (largest(|p| p.0).max(2.0).ln(), rounded_up(scale * largest(|p| p.1)));
    let x = |value: f64| ROOM + EDGE * value.max(1.0).ln() / right;
    let y = |value: f64| ROOM + EDGE * (1.0 - scale * value / top);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{size}\" height=\"{size}\" viewBox=\"0 0 {size} {size}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    let far = ROOM + EDGE;
    for step in 0..=5 {
        let at = ROOM + EDGE * (1.0 - f64::from(step) / 5.0);
        let label = top * f64::from(step) / 5.0;
        let (left, below) = (ROOM - 6.0, at + 4.0);
        let _ = write!(
            out,
            "<path d=\"M{ROOM} {at:.1}H{far}\" stroke=\"#ddd\"/>\n<text x=\"{left:.1}\" y=\"{below:.1}\" text-anchor=\"end\">{label:.1}</text>\n"
        );
    }
    let mut marks: Vec<f64> = all().map(|p| p.0).collect();
    marks.sort_by(f64::total_cmp);
    marks.dedup();
    for mark in marks {
        let _ = writeln!(out, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{mark}</text>", x(mark), far + 18.0);
    }
    for (place, (line, colour)) in lines.iter().zip(COLOURS.iter().cycle()).enumerate() {
        let path: String = line.points.iter().map(|(a, b)| format!("{:.2},{:.2} ", x(*a), y(*b))).collect();
        let (below, near) = (ROOM + 16.0 * (place as f64 + 1.0), ROOM + 8.0);
        let _ = write!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n\
             <text x=\"{near:.1}\" y=\"{below:.1}\" fill=\"{colour}\">{}</text>\n",
            path.trim_end(),
            escaped(&line.name)
        );
        for (a, b) in &line.points {
            let _ = writeln!(out, "<circle cx=\"{:.2}\" cy=\"{:.2}\" r=\"3\" fill=\"{colour}\"/>", x(*a), y(*b));
        }
    }
    let middle = size / 2.0;
    let _ = write!(
        out,
        "<text x=\"{middle}\" y=\"30\" text-anchor=\"middle\" font-size=\"15\">{}</text>\n\
         <text x=\"{middle}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n</svg>\n",
        escaped(title),
        size - 12.0,
        escaped(across)
    );
    out
}

/// The next of 1, 2, 5, 10, 20 … that is not less than `value`.
fn rounded_up(value: f64) -> f64 {
    let mut top = 1.0;
    for factor in [2.0, 2.5, 2.0].iter().cycle().take(30) {
        if value <= top {
            break;
        }
        top *= factor;
    }
    top
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
    #[test]
    fn each_line_has_its_points_its_name_and_an_axis_that_reaches_them() {
        let line = |name: &str, points: &[(f64, f64)]| Line { name: name.into(), points: points.to_vec() };
        let svg = lines(&[line("a", &[(1.0, 0.1), (50.0, 0.4)]), line("<b>", &[(1.0, 0.2)])], 100.0, "score", "items");
        // 40 % lies below the top of 50, at the right edge.
        assert!(svg.contains("<polyline points=\"60.00,380.00 460.00,140.00\""), "{svg}");
        assert!(svg.contains("&lt;b&gt;") && svg.contains(">50.0<") && svg.ends_with("</svg>\n"));
        assert!(lines(&[], 1.0, "", "").ends_with("</svg>\n"));
        assert_eq!([0.0, 1.5, 3.0, 40.0, 100.0, 120.0].map(rounded_up), [1.0, 2.0, 5.0, 50.0, 100.0, 200.0]);
    }
}
