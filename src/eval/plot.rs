//! SVG pictures: the recall / false-alarm curve, and line charts.

use std::fmt::Write;

use super::stats::RocPoint;

/// Edge of the square plot area, in pixels.
const EDGE: f64 = 400.0;
/// Margin around the plot area for the labels, in pixels.
const MARGIN: f64 = 60.0;

/// Draws the recall / false-alarm curve through `points` as an SVG picture, with the run's own operating point (`own`) and the point of
/// largest Youden's J (`best`) marked where given.
#[must_use]
pub fn roc_chart(points: &[RocPoint], own: Option<RocPoint>, best: Option<RocPoint>, title: &str) -> String {
    let size = EDGE + 2.0 * MARGIN;
    let place = |p: &RocPoint| (MARGIN + EDGE * p.false_alarms, MARGIN + EDGE * (1.0 - p.recall));
    let mut out = svg_head(size);
    for step in 0..=5 {
        let share = f64::from(step) / 5.0;
        let (x, y) = (MARGIN + EDGE * share, MARGIN + EDGE * (1.0 - share));
        let (far, percent) = (MARGIN + EDGE, 20 * step);
        let _ = write!(
            out,
            "<path d=\"M{x:.1} {MARGIN}V{far}M{MARGIN} {y:.1}H{far}\" stroke=\"#ddd\"/>\n\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{percent} %</text>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{percent} %</text>\n",
            far + 18.0,
            MARGIN - 6.0,
            y + 4.0
        );
    }
    let path: String = points.iter().map(place).map(|(x, y)| format!("{x:.2},{y:.2} ")).collect();
    let (near, far, middle) = (MARGIN, MARGIN + EDGE, size / 2.0);
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

/// Returns the opening tag of a square SVG picture of `size` pixels, and its white background.
fn svg_head(size: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{size}\" height=\"{size}\" viewBox=\"0 0 {size} {size}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    )
}

/// One line of a line chart.
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// Points (x, y), from left to right.
    pub points: Vec<(f64, f64)>,
}

/// Colours of the series, in turn; the fifth has the first colour again.
const COLOURS: [&str; 4] = ["#1565c0", "#c62828", "#2e7d32", "#ef6c00"];

/// Draws `series` as an SVG picture, over a logarithmic x axis named `x_name` that starts at 1, where smaller values are put. The
/// y axis starts at 0 and shows values times `scale`.
#[must_use]
pub fn line_chart(series: &[Series], scale: f64, title: &str, x_name: &str) -> String {
    let size = EDGE + 2.0 * MARGIN;
    let all = || series.iter().flat_map(|series| &series.points);
    let largest = |of: fn(&(f64, f64)) -> f64| all().map(of).fold(0.0, f64::max);
    let (right, top) = (largest(|p| p.0).max(2.0).ln(), rounded_up(scale * largest(|p| p.1)));
    let x = |value: f64| MARGIN + EDGE * value.max(1.0).ln() / right;
    let y = |value: f64| MARGIN + EDGE * (1.0 - scale * value / top);
    let mut out = svg_head(size);
    let far = MARGIN + EDGE;
    for step in 0..=5 {
        let at = MARGIN + EDGE * (1.0 - f64::from(step) / 5.0);
        let label = top * f64::from(step) / 5.0;
        let (left, below) = (MARGIN - 6.0, at + 4.0);
        let _ = write!(
            out,
            "<path d=\"M{MARGIN} {at:.1}H{far}\" stroke=\"#ddd\"/>\n<text x=\"{left:.1}\" y=\"{below:.1}\" text-anchor=\"end\">{label:.1}</text>\n"
        );
    }
    let mut marks: Vec<f64> = all().map(|p| p.0).collect();
    marks.sort_by(f64::total_cmp);
    marks.dedup();
    for mark in marks {
        let _ = writeln!(out, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{mark}</text>", x(mark), far + 18.0);
    }
    for (index, (series, colour)) in series.iter().zip(COLOURS.iter().cycle()).enumerate() {
        let path: String = series.points.iter().map(|(a, b)| format!("{:.2},{:.2} ", x(*a), y(*b))).collect();
        let (below, near) = (MARGIN + 16.0 * (index as f64 + 1.0), MARGIN + 8.0);
        let _ = write!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n\
             <text x=\"{near:.1}\" y=\"{below:.1}\" fill=\"{colour}\">{}</text>\n",
            path.trim_end(),
            escaped(&series.name)
        );
        for (a, b) in &series.points {
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
        escaped(x_name)
    );
    out
}

/// Rounds `value` up to the next of 1, 2, 5, 10, 20 …, the numbers at the ends of axes; 1 is the least.
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

/// Escapes `&`, `<` and `>` in `text` for XML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roc_chart_has_every_point_and_escapes_its_title() {
        let points = [0.0, 0.5, 1.0].map(|x| RocPoint { bias: x, recall: x, false_alarms: x * x });
        let svg = roc_chart(&points, Some(points[1]), None, "a <model>");
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && svg.contains("a &lt;model&gt;"));
        assert!(svg.contains("60.00,460.00 160.00,260.00 460.00,60.00"), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 1);
    }

    #[test]
    fn line_chart_has_every_point_name_and_an_axis_that_reaches_them() {
        let line = |name: &str, points: &[(f64, f64)]| Series { name: name.into(), points: points.to_vec() };
        let svg = line_chart(&[line("a", &[(1.0, 0.1), (50.0, 0.4)]), line("<b>", &[(1.0, 0.2)])], 100.0, "score", "items");
        // 40 % on an axis up to 50 %, at the right edge.
        assert!(svg.contains("<polyline points=\"60.00,380.00 460.00,140.00\""), "{svg}");
        assert!(svg.contains("&lt;b&gt;") && svg.contains(">50.0<") && svg.ends_with("</svg>\n"));
        assert!(line_chart(&[], 1.0, "", "").ends_with("</svg>\n"));
        assert_eq!([0.0, 1.5, 3.0, 40.0, 100.0, 120.0].map(rounded_up), [1.0, 2.0, 5.0, 50.0, 100.0, 200.0]);
    }
}
