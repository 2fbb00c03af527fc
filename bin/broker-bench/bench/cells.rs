//! The cells of a table: medians over rounds, in Markdown that can be read as it
//! is.

use super::units::figure;
use std::fmt::Write;

/// The least spread that is worth telling.
const SPREAD_MIN: f64 = 0.1;
/// What was not measured.
pub const NOTHING: &str = "–";

/// Returns the median, and the spread: half the distance from the least to the most,
/// divided by the median. `None` if there are no values.
pub fn median(values: &[f64]) -> Option<(f64, f64)> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (least, most) = (*sorted.first()?, *sorted.last()?);
    let middle = sorted.len() / 2;
    let median = if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    } else {
        sorted[middle]
    };
    let spread = if median > 0.0 { (most - least) / 2.0 / median } else { 0.0 };
    Some((median, spread))
}

/// The median of all rounds, with the spread where it is worth telling.
pub fn cell(values: &[f64]) -> String {
    let Some((median, spread)) = median(values) else { return NOTHING.to_string() };
    let shown = figure(median);
    if spread < SPREAD_MIN { shown } else { format!("{shown} ±{:.0} %", spread * 100.0) }
}

/// Makes all cells of a column as wide as its widest, text to the left and figures to
/// the right.
pub fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0).max(3)).collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            // Writing to a string cannot fail.
            let _ = match column {
                0 => write!(text, "| {cell:<width$} |"),
                _ => write!(text, " {cell:>width$} |"),
            };
        }
        text.push('\n');
        if index == 0 {
            for (column, width) in widths.iter().enumerate() {
                let line = "-".repeat(width - usize::from(column > 0));
                let _ = match column {
                    0 => write!(text, "| {line} |"),
                    _ => write!(text, " {line}: |"),
                };
            }
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_spreads() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some((3.0, 0.0)));
        assert_eq!(median(&[4.0, 1.0, 2.0]), Some((2.0, 0.75)));
        assert_eq!(median(&[1.0, 3.0]), Some((2.0, 0.5)));
    }

    #[test]
    fn columns_are_aligned() {
        let row = |cells: [&str; 3]| cells.map(String::from).to_vec();
        let text = aligned(&[row(["what", "a", "bcd"]), row(["→", "1,000", "2"])]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            ["| what |     a | bcd |", "| ---- | ----: | --: |", "| →    | 1,000 |   2 |"]
        );
    }

    #[test]
    fn a_cell_tells_its_spread_only_if_there_is_some() {
        let cells = [&[10.0, 14.0][..], &[10.0, 10.1], &[]].map(cell);
        assert_eq!(cells, ["12.0 ±17 %", "10.1", NOTHING]);
    }
}
