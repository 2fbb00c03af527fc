//! The table: medians over the rounds, and ratios.

use super::program::{Kind, Program};
use super::work::{Figure, Work};
use crate::bench::error::Result;
use crate::bench::report::Report;
use crate::bench::units::figure;
use std::fmt::Write;

/// The columns that the others are compared with, where they are there.
const REFERENCES: [Kind; 2] = [Kind::Raw, Kind::Nats];
/// A spread that is worth telling: half of what lies between the least and the
/// most, by the median.
const SPREAD_MIN: f64 = 0.1;

/// One run.
pub struct Run {
    /// The name of the workload.
    pub work: &'static str,
    /// The label of the broker.
    pub label: String,
    /// Which round, from 1.
    pub round: u32,
    /// What it found.
    pub outcome: Result<Report>,
}

/// A table in Markdown that can be read as it is, and below it what failed.
pub fn table(works: &[&Work], programs: &[Program], runs: &[Run]) -> String {
    let mut rows = vec![vec![String::from("medians")]];
    rows[0].extend(programs.iter().map(Program::title));
    for work in works {
        rows.push(
            [vec![format!("**{}**", work.title)], vec![String::new(); programs.len()]].concat(),
        );
        for (index, wanted) in work.figures.iter().enumerate() {
            let values: Vec<Vec<f64>> =
                programs.iter().map(|program| values(runs, work, program, wanted)).collect();
            if values.iter().all(Vec::is_empty) {
                continue;
            }
            let cells = values.iter().map(|values| cell(values, wanted));
            rows.push(std::iter::once(wanted.title.to_string()).chain(cells).collect());
            if index == 0 {
                rows.extend(ratios(programs, &values));
            }
        }
    }
    let mut text = aligned(&rows);
    for run in runs {
        match &run.outcome {
            Err(error) => {
                let _ = writeln!(text, "{}, {}, round {}: {error}", run.work, run.label, run.round);
            }
            Ok(report) if !report.is_clean() => {
                let found = report.text_for_people();
                let wrong = found.lines().find(|line| line.contains("WRONG")).unwrap_or_default();
                let _ = writeln!(text, "{}, {}, round {}:{wrong}", run.work, run.label, run.round);
            }
            Ok(_) => {}
        }
    }
    text
}

/// What a figure was in each round.
fn values(runs: &[Run], work: &Work, program: &Program, wanted: &Figure) -> Vec<f64> {
    let of_it = |run: &&Run| run.work == work.name && run.label == program.label;
    let reports = runs.iter().filter(of_it).filter_map(|run| run.outcome.as_ref().ok());
    reports.filter_map(|report| report.get(wanted.key)).map(|value| value / wanted.unit).collect()
}

fn cell(values: &[f64], wanted: &Figure) -> String {
    let Some((median, spread)) = median(values) else { return "–".to_string() };
    if wanted.is_flag {
        return if median > 0.5 { "yes" } else { "no" }.to_string();
    }
    let shown = figure(median);
    if spread < SPREAD_MIN { shown } else { format!("{shown} ±{:.0} %", spread * 100.0) }
}

/// How many times as much as each reference column.
fn ratios(programs: &[Program], values: &[Vec<f64>]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for kind in REFERENCES {
        let Some(column) = programs.iter().position(|program| program.kind == kind) else {
            continue;
        };
        let Some((base, _)) = median(&values[column]).filter(|(base, _)| *base > 0.0) else {
            continue;
        };
        let ratio = |values: &Vec<f64>| {
            median(values).map_or("–".to_string(), |(median, _)| format!("{:.2}", median / base))
        };
        let title = format!("… as a multiple of {}", programs[column].label);
        rows.push(std::iter::once(title).chain(values.iter().map(ratio)).collect());
    }
    rows
}

/// The median, and the spread by it.
fn median(values: &[f64]) -> Option<(f64, f64)> {
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

/// All cells of a column as wide as its widest, text to the left and figures to
/// the right.
fn aligned(rows: &[Vec<String>]) -> String {
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
    fn yes_and_no_are_no_numbers() {
        let flag = Figure { key: "", title: "", unit: 1.0, is_flag: true };
        assert_eq!([cell(&[1.0, 1.0, 0.0], &flag), cell(&[0.0], &flag)], ["yes", "no"]);
        let number = Figure { is_flag: false, ..flag };
        assert_eq!([cell(&[10.0, 14.0], &number), cell(&[], &number)], ["12.0 ±17 %", "–"]);
    }
}
