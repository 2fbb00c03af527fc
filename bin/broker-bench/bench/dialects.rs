//! `dialects`: what a delivered message costs this broker in each dialect that a
//! member can speak, beside text.
//!
//! One publisher, who always speaks text, and many members who all speak the same
//! dialect. The dialects take turns (A, B, C, A, B, C, …), so that whatever else
//! the machine does hits all of them. What is told are medians over the rounds.

use super::arguments::out;
use super::cells::{NOTHING, aligned, cell, median};
use super::error::Result;
use super::protocol::Listener;
use super::protocol::events::Events;
use super::protocol::json::Json;
use super::protocol::mixed::Mixed;
use super::protocol::resp::{Resp, Resp3};
use super::protocol::text::Text;
use super::protocol::websocket::WebSocket;
use super::report::Report;
use super::screen::Screen;
use super::workload::Bench;
use super::workload::publish::{self, Publish, WINDOW};
use std::fmt::Write;

/// `dialects`.
#[derive(Clone, Debug, clap::Args)]
pub struct Dialects {
    /// Members of the channel
    #[arg(long, default_value_t = 100)]
    pub members: usize,
    /// Runs of each dialect; what is told are medians
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Messages that the slowest member may lack
    #[arg(long, default_value_t = WINDOW, value_parser = clap::value_parser!(u64).range(1..))]
    pub window: u64,
}

/// A dialect that members can speak.
struct Dialect {
    /// What it is called in the figures.
    name: &'static str,
    /// What it is called in the table.
    title: &'static str,
    run: fn(&Bench, &Publish) -> Result<Report>,
}

/// All of them. The others are compared with the first.
const DIALECTS: [Dialect; 6] = [
    Dialect { name: "text", title: "text", run: one_run::<Text> },
    Dialect { name: "json", title: "JSON lines", run: one_run::<Json> },
    Dialect { name: "websocket", title: "WebSocket", run: one_run::<WebSocket> },
    Dialect { name: "events", title: "Server-Sent Events", run: one_run::<Events> },
    Dialect { name: "resp2", title: "RESP2", run: one_run::<Resp> },
    Dialect { name: "resp3", title: "RESP3", run: one_run::<Resp3> },
];

/// The columns: title and key in the report; the first two also as multiples of text's.
const COLUMNS: [(&str, &str); 4] = [
    ("ns of CPU a message", "broker_ns_per_message"),
    ("messages/s", "delivered_per_s"),
    ("generator, ns", "generator_ns_per_message"),
    ("lost", "lost"),
];
/// How many of the columns are compared with text's.
const COMPARED: usize = 2;

/// One run.
struct Run {
    dialect: &'static str,
    round: u32,
    report: Report,
}

/// Runs all of it and prints the table; returns whether all messages arrived.
///
/// # Errors
/// Whatever prevents it.
pub fn run(bench: &mut Bench, options: &Dialects, json: bool) -> Result<bool> {
    let Dialects { members, rounds, window } = *options;
    let work = Publish { members, window, ..Publish::default() };
    let mut runs = Vec::new();
    for round in 1..=rounds {
        for dialect in &DIALECTS {
            bench.screen = Screen::of(&format!("dialects {round} {}", dialect.name));
            let mut report = (dialect.run)(bench, &work)?;
            report.text("dialect", dialect.name).count("round", round.into());
            bench.screen.clear();
            if json {
                out(&format!("{}\n", report.figures()));
            }
            runs.push(Run { dialect: dialect.name, round, report });
        }
    }
    if !json {
        out(&table(&runs));
    }
    Ok(runs.iter().all(|run| run.report.is_clean()))
}

fn one_run<L: Listener>(bench: &Bench, work: &Publish) -> Result<Report> {
    let (report, mut traffic) = publish::measure::<Mixed<L>>(bench, work)?;
    traffic.finish_members_first()?;
    Ok(report)
}

/// A row for each dialect, and below them what went wrong.
fn table(runs: &[Run]) -> String {
    let mut rows = vec![vec!["medians".to_string()]];
    for (index, (title, _)) in COLUMNS.iter().enumerate() {
        rows[0].push((*title).to_string());
        rows[0].extend((index < COMPARED).then(|| "÷ text".to_string()));
    }
    for dialect in &DIALECTS {
        let mut row = vec![dialect.title.to_string()];
        for (index, (_, key)) in COLUMNS.iter().enumerate() {
            let values = values(runs, dialect, key);
            row.push(cell(&values));
            if index < COMPARED {
                row.push(ratio(&values, &self::values(runs, &DIALECTS[0], key)));
            }
        }
        rows.push(row);
    }
    let mut text = aligned(&rows);
    for Run { dialect, round, report } in runs {
        // Writing to a string cannot fail.
        let _ = match report.wrong() {
            Some(wrong) => writeln!(text, "{dialect}, round {round}: {wrong}"),
            None => Ok(()),
        };
    }
    text
}

/// What a figure was in each round.
fn values(runs: &[Run], dialect: &Dialect, key: &str) -> Vec<f64> {
    let runs = runs.iter().filter(|run| run.dialect == dialect.name);
    runs.filter_map(|run| run.report.get(key)).collect()
}

fn ratio(values: &[f64], base: &[f64]) -> String {
    match (median(values), median(base)) {
        (Some((value, _)), Some((base, _))) if base > 0.0 => format!("{:.2}", value / base),
        _ => NOTHING.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::book::Faults;

    #[test]
    fn a_row_for_each_dialect_and_what_went_wrong() {
        let run = |dialect, round, cost: f64| {
            let mut report = Report::new("fanout", "");
            report.put("broker_ns_per_message", cost).put("delivered_per_s", 1e9 / cost);
            report.faults(Faults { lost: u64::from(round == 2), ..Faults::default() }, 9, None);
            Run { dialect, round, report }
        };
        let text = table(&[run("text", 1, 40.0), run("json", 1, 60.0), run("json", 2, 60.0)]);
        let rows: Vec<Vec<&str>> =
            text.lines().map(|line| line.split('|').map(str::trim).collect()).collect();
        assert_eq!(rows[0][1..6], ["medians", COLUMNS[0].0, "÷ text", COLUMNS[1].0, "÷ text"]);
        assert_eq!(rows[2][1..4], ["text", "40.0", "1.00"]);
        assert_eq!(rows[3][1..4], ["JSON lines", "60.0", "1.50"]);
        assert_eq!(rows[3][4..6], ["16,666,700", "0.67"]);
        assert_eq!(rows[4][1..4], ["WebSocket", NOTHING, NOTHING]);
        assert_eq!(rows.len(), 2 + DIALECTS.len() + 1);
        let wrong = text.lines().last().unwrap();
        assert!(wrong.starts_with("json, round 2: WRONG: of 10 messages 1 lost"), "{wrong}");
    }
}
