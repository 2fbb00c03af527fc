//! The curves of growth as a picture: how many times as many, how many times the
//! cost, both on a scale of doublings. What lies on the dashed line is linear, what
//! lies below it is better.

use super::Curve;
use crate::bench::units::float;
use std::fmt::Write;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 460.0;
/// Around the field, for what is written there.
const MARGIN: f64 = 50.0;
/// One doubling, on both scales.
const STEP: f64 = 72.0;
const DOUBLINGS: u32 = 4;
/// Colours that are told apart by everybody (Okabe and Ito).
const COLOURS: [&str; 5] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"];

fn x(doublings: f64) -> f64 {
    MARGIN + doublings * STEP
}

fn y(doublings: f64) -> f64 {
    HEIGHT - MARGIN - doublings * STEP
}

/// An SVG picture.
pub fn svg(curves: &[Curve]) -> String {
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
    );
    // Writing to a string cannot fail.
    for doubling in 0..=DOUBLINGS {
        let (at, many) = (f64::from(doubling), 1 << doubling);
        let (left, right, bottom) = (x(0.0), x(f64::from(DOUBLINGS)), y(0.0));
        let top = y(f64::from(DOUBLINGS));
        let _ = writeln!(
            text,
            "<path d=\"M{left} {y}H{right}M{x} {bottom}V{top}\" stroke=\"#ddd\"/>\
             <text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">×{many}</text>\
             <text x=\"{}\" y=\"{}\" text-anchor=\"end\">×{many}</text>",
            bottom + 18.0,
            left - 8.0,
            y(at) + 4.0,
            x = x(at),
            y = y(at),
        );
    }
    let end = f64::from(DOUBLINGS);
    let _ = writeln!(
        text,
        "<path d=\"M{} {}L{} {}\" stroke=\"#888\" stroke-dasharray=\"6 4\"/>\
         <text x=\"{}\" y=\"{}\">cost</text><text x=\"{}\" y=\"{}\">how many</text>",
        x(0.0),
        y(0.0),
        x(end),
        y(end),
        MARGIN - 20.0,
        y(end) - 14.0,
        x(end) + 10.0,
        y(0.0) + 18.0,
    );
    for (curve, colour) in curves.iter().zip(COLOURS.iter().cycle()) {
        draw(&mut text, curve, colour);
    }
    legend(&mut text, curves);
    text.push_str("</svg>\n");
    text
}

fn draw(text: &mut String, curve: &Curve, colour: &str) {
    let Some(&(first, least)) = curve.points.first() else { return };
    let places: Vec<String> = curve
        .points
        .iter()
        .map(|(number, cost)| {
            let (more, dearer) = (float(*number) / float(first), cost / least);
            // What became cheaper lies on the ground.
            format!("{:.1},{:.1}", x(more.log2()), y(dearer.log2().max(0.0)))
        })
        .collect();
    let points = places.join(" ");
    let _ = writeln!(
        text,
        "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"
    );
}

fn legend(text: &mut String, curves: &[Curve]) {
    for (row, (curve, colour)) in (0_u32..).zip(curves.iter().zip(COLOURS.iter().cycle())) {
        let top = MARGIN + 18.0 * f64::from(row) - 30.0;
        let left = x(0.0) + 12.0;
        let _ = writeln!(
            text,
            "<rect x=\"{left}\" y=\"{}\" width=\"12\" height=\"3\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"{top}\">{}</text>",
            top - 5.0,
            left + 18.0,
            curve.title
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_curve_is_in_the_picture() {
        let linear = Curve { title: "members", points: vec![(10, 1.0), (160, 16.0)] };
        let flat = Curve { title: "channels", points: vec![(5, 3.0), (80, 2.0)] };
        let picture = svg(&[linear, flat, Curve { title: "none", points: Vec::new() }]);
        assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
        assert!(picture.contains("points=\"50.0,410.0 338.0,122.0\""), "{picture}");
        assert!(picture.contains("points=\"50.0,410.0 338.0,410.0\""), "{picture}");
        assert!(["members", "channels", "none"].iter().all(|title| picture.contains(title)));
        assert_eq!(picture.matches('<').count(), picture.matches('>').count());
    }
}
