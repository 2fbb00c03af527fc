//! Draws the curves of growth: how many times the cost against how many times as many,
//! both on a scale of doublings. What lies on the dashed line is linear, what lies
//! below it is better.

use super::Curve;
use crate::bench::units::{figure, float, grouped};
use std::fmt::Write;

const WIDTH: f64 = 740.0;
const HEIGHT: f64 = 420.0;
/// Around the field, for what is written there.
const MARGIN: f64 = 56.0;
/// One doubling, on both scales.
const STEP: f64 = 76.0;
const DOUBLINGS: u32 = 4;
/// The room that the name of a curve takes, beside its end.
const ROW: f64 = 38.0;
/// Colours that everybody can tell apart (Okabe and Ito), on white, too.
const COLOURS: [&str; 5] = ["#0072b2", "#d55e00", "#009e73", "#c0509a", "#a67300"];

fn x(doublings: f64) -> f64 {
    MARGIN + doublings * STEP
}

fn y(doublings: f64) -> f64 {
    HEIGHT - MARGIN - doublings * STEP
}

/// An SVG picture, on a ground of its own, so that any page can show it.
pub fn svg(curves: &[Curve]) -> String {
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"#333\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"8\" fill=\"#fff\"/>\n"
    );
    field(&mut text);
    let colours = COLOURS.iter().cycle();
    let measured = curves.iter().filter(|curve| curve.steepness().is_some());
    let mut drawn: Vec<_> = measured.zip(colours).map(|(one, colour)| (one, *colour)).collect();
    drawn.sort_by(|(one, _), (other, _)| other.end().total_cmp(&one.end()));
    for (curve, colour) in &drawn {
        draw(&mut text, curve, colour);
    }
    let ends: Vec<f64> = drawn.iter().map(|(curve, _)| y(curve.end())).collect();
    for ((curve, colour), top) in drawn.iter().zip(apart(&ends)) {
        name(&mut text, curve, colour, top);
    }
    text.push_str("</svg>\n");
    text
}

/// The scales, and what linear would be. Writing to a string cannot fail, here
/// and below.
fn field(text: &mut String) {
    let (end, left, bottom) = (f64::from(DOUBLINGS), x(0.0), y(0.0));
    let (right, top) = (x(end), y(end));
    for doubling in 0..=DOUBLINGS {
        let (across, up) = (x(f64::from(doubling)), y(f64::from(doubling)));
        let many = 1 << doubling;
        let (below, beside) = (bottom + 20.0, left - 8.0);
        let _ = writeln!(
            text,
            "<path d=\"M{left} {up}H{right}M{across} {bottom}V{top}\" stroke=\"#ddd\"/>\
             <text x=\"{across}\" y=\"{below}\" text-anchor=\"middle\">×{many}</text>\
             <text x=\"{beside}\" y=\"{}\" text-anchor=\"end\">×{many}</text>",
            up + 4.0,
        );
    }
    let (middle, along) = (x(end / 2.0), y(end / 2.0) - 6.0);
    let _ = writeln!(
        text,
        "<path d=\"M{left} {bottom}L{right} {top}\" stroke=\"#888\" stroke-dasharray=\"6 4\"/>\
         <text x=\"{middle}\" y=\"{along}\" text-anchor=\"middle\" fill=\"#777\" \
         transform=\"rotate(-45 {middle} {along})\">linear</text>\
         <text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">how many</text>\
         <text x=\"{}\" y=\"{}\" text-anchor=\"end\">cost</text>",
        bottom + 40.0,
        left - 8.0,
        top - 16.0,
    );
}

impl Curve {
    /// For each point, the doublings of the number and of the cost. A cost that fell
    /// counts as none.
    fn doublings(&self) -> impl Iterator<Item = (f64, f64)> {
        let (first, least) = self.points.first().copied().unwrap_or((1, 1.0));
        self.points.iter().map(move |(number, cost)| {
            let (more, dearer) = (float(*number) / float(first), cost / least);
            (more.log2(), dearer.log2().max(0.0))
        })
    }

    /// The doublings of the cost at the last point.
    fn end(&self) -> f64 {
        self.doublings().last().map_or(0.0, |(_, dearer)| dearer)
    }
}

fn draw(text: &mut String, curve: &Curve, colour: &str) {
    let places: Vec<_> = curve.doublings().map(|(more, dearer)| (x(more), y(dearer))).collect();
    let points: Vec<_> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let points = points.join(" ");
    let _ = writeln!(
        text,
        "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"
    );
    for (x, y) in places {
        let _ = writeln!(text, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
    }
}

/// Returns heights for names that belong at these, from the top down, moved so that
/// each has room.
fn apart(ends: &[f64]) -> Vec<f64> {
    let mut tops = ends.to_vec();
    for at in 1..tops.len() {
        tops[at] = tops[at].max(tops[at - 1] + ROW);
    }
    // What is too low now moves all of them up.
    let mut lowest = y(0.0);
    for top in tops.iter_mut().rev() {
        *top = top.min(lowest);
        lowest = *top - ROW;
    }
    tops
}

/// Writes a curve's name beside its end, with the first and the last of its figures.
fn name(text: &mut String, curve: &Curve, colour: &str, at: f64) {
    let (Some((few, least)), Some((many, most))) = (curve.points.first(), curve.points.last())
    else {
        return;
    };
    let (right, end, left) =
        (x(f64::from(DOUBLINGS)), y(curve.end()), x(f64::from(DOUBLINGS)) + 26.0);
    let (least, most, unit) = (figure(*least), figure(*most), curve.unit);
    let (few, many) = (grouped(*few), grouped(*many));
    let steepness = curve.steepness().unwrap_or_default();
    let _ = writeln!(
        text,
        "<path d=\"M{} {end:.1}L{} {at:.1}\" stroke=\"{colour}\" opacity=\"0.5\"/>\
         <text x=\"{left}\" y=\"{:.1}\" fill=\"{colour}\" font-weight=\"600\">{}</text>\
         <text x=\"{left}\" y=\"{:.1}\" font-size=\"12\">\
         {few} to {many}: {least} to {most} {unit}, {steepness:.2} of linear</text>",
        right + 5.0,
        left - 4.0,
        at + 1.0,
        curve.title,
        at + 16.0,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_curve_is_in_the_picture() {
        let curve =
            |title, points: &[(u64, f64)]| Curve { title, unit: "µs", points: points.to_vec() };
        let linear = curve("members", &[(10, 1.0), (160, 16.0)]);
        let flat = curve("channels", &[(5_000, 3.0), (80_000, 2.0)]);
        let used = curve("used", &[(10, 0.0), (160, 1.0)]);
        let picture = svg(&[linear, flat, curve("none", &[]), used]);
        assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
        assert!(picture.contains("points=\"56.0,364.0 360.0,60.0\""), "{picture}");
        assert!(picture.contains("points=\"56.0,364.0 360.0,364.0\""), "{picture}");
        assert!(picture.contains("5,000 to 80,000: 3.00 to 2.00 µs, 0.04 of linear"), "{picture}");
        assert!(picture.contains("members"), "{picture}");
        assert!(!picture.contains("none<") && !picture.contains("used<"), "{picture}");
        assert_eq!(picture.matches('<').count(), picture.matches('>').count());
    }

    #[test]
    fn names_do_not_stand_on_each_other() {
        let (top, bottom) = (y(f64::from(DOUBLINGS)), y(0.0));
        assert_eq!(apart(&[top, bottom]), [top, bottom]);
        for ends in [[top; 5], [bottom; 5], [top, 100.0, 110.0, 300.0, bottom]] {
            let tops = apart(&ends);
            assert!(tops.windows(2).all(|two| two[1] - two[0] >= ROW - 1e-9), "{tops:?}");
            assert!(tops.iter().all(|at| (top..=bottom).contains(at)), "{tops:?}");
        }
    }
}
