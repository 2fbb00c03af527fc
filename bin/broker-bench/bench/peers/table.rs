//! The table: medians over the rounds, and ratios.

use super::program::{Kind, Program};
use super::work::{Figure, Work};
use crate::bench::cells::{self, aligned, median};
use crate::bench::error::Result;
use crate::bench::report::Report;
use std::fmt::Write;

/// The columns that the others are compared with, if they are there.
const REFERENCES: [Kind; 2] = [Kind::Raw, Kind::Nats];

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
        let failed = match &run.outcome {
            Err(error) => Some(error.to_string()),
            Ok(report) => report.wrong().map(str::to_string),
        };
        if let Some(failed) = failed {
            let _ = writeln!(text, "{}, {}, round {}: {failed}", run.work, run.label, run.round);
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
    match median(values) {
        Some((median, _)) if wanted.is_flag => if median > 0.5 { "yes" } else { "no" }.to_string(),
        _ => cells::cell(values),
    }
}

/// The values as multiples of each reference column.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yes_and_no_are_no_numbers() {
        let flag = Figure { key: "", title: "", unit: 1.0, is_flag: true };
        assert_eq!([cell(&[1.0, 1.0, 0.0], &flag), cell(&[0.0], &flag)], ["yes", "no"]);
        let number = Figure { is_flag: false, ..flag };
        assert_eq!([cell(&[10.0, 14.0], &number), cell(&[], &number)], ["12.0 ±17 %", "–"]);
    }
}
