//! `growth`: what it costs when there is more of one thing: members, channels,
//! bytes, messages, each doubled four times with all else as it is.

pub mod plot;

use super::arguments::out;
use super::error::{Error, Result};
use super::protocol::text::Text;
use super::report::Report;
use super::units::{figure, float};
use super::workload::channels::Channels;
use super::workload::latency::Latency;
use super::workload::publish::Publish;
use super::workload::{Bench, Workload};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Each thing is doubled this often.
const DOUBLINGS: u32 = 4;

const NOTHING_AT_FIRST: &str = "the first of them cost nothing, so it cannot be said how steep \
     that is: the broker had memory left from before; start it anew";

/// `growth`.
#[derive(Clone, Debug, clap::Args)]
pub struct Growth {
    /// Draw it, as SVG
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

/// A thing of which there may be more.
struct Thing {
    name: &'static str,
    /// How many there are first.
    first: u64,
    /// The work with so many of them, and the size of a message.
    work: fn(u64) -> (Workload, usize),
    costs: &'static [Cost],
}

/// What a thing costs.
struct Cost {
    title: &'static str,
    unit: &'static str,
    /// The report's figure.
    key: &'static str,
    /// The figure is for one thing, and the cost is that of all.
    is_of_one: bool,
    /// A figure of the first run to be subtracted: what a run frees is used again by
    /// the next one.
    since: Option<&'static str>,
    divisor: f64,
}

const fn cost(title: &'static str, unit: &'static str, key: &'static str, divisor: f64) -> Cost {
    Cost { title, unit, key, is_of_one: true, since: None, divisor }
}

const CPU: &str = "broker_ns_per_message";
const BYTES: usize = 128;

/// Channels come first: in a broker that had much else to do before, they use memory
/// that it has left, and seem to add less.
const THINGS: [Thing; 4] = [
    Thing {
        name: "channels",
        first: 2_500,
        work: |channels| {
            let channels = usize::try_from(channels).unwrap_or(usize::MAX);
            (Workload::Channels(Channels { channels, ..Channels::default() }), BYTES)
        },
        costs: &[
            Cost {
                is_of_one: false,
                since: Some("memory_without_channels"),
                ..cost("channels: memory", "MiB", "memory_with_channels", 1_048_576.0)
            },
            Cost {
                is_of_one: false,
                ..cost("channels: CPU of a message to one of them", "ns", CPU, 1.0)
            },
        ],
    },
    Thing {
        name: "members",
        first: 10,
        work: |members| {
            let members = usize::try_from(members).unwrap_or(usize::MAX);
            (Workload::Publish(Publish { members, ..Publish::default() }), BYTES)
        },
        costs: &[cost("members: CPU of a published message", "µs", CPU, 1e3)],
    },
    Thing {
        name: "bytes",
        first: 128,
        work: |bytes| {
            let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
            (Workload::Publish(Publish { members: 10, ..Publish::default() }), bytes)
        },
        costs: &[Cost {
            is_of_one: false,
            ..cost("bytes: CPU of a delivered message", "ns", CPU, 1.0)
        }],
    },
    Thing {
        name: "messages a second",
        first: 5_000,
        work: |rate| {
            (Workload::Latency(Latency { rate, sleep: true, ..Latency::default() }), BYTES)
        },
        costs: &[cost("messages a second: CPU a second", "ms", CPU, 1e6)],
    },
];

/// What something cost with 1, 2, 4, 8 and 16 times as many.
pub struct Curve {
    /// What it is.
    pub title: &'static str,
    /// What its cost is measured in.
    pub unit: &'static str,
    /// How many there were, and what they cost.
    pub points: Vec<(u64, f64)>,
}

impl Curve {
    /// How much more it cost in the end than a straight line from nothing
    /// through the first point would have: 1 is linear, less is better.
    fn steepness(&self) -> Option<f64> {
        let (few, cost_of_few) = *self.points.first()?;
        let (many, cost_of_many) = *self.points.last()?;
        let dearer = cost_of_many / cost_of_few;
        (cost_of_few > 0.0).then(|| dearer / (float(many) / float(few)))
    }
}

/// Measures all of it and prints it; returns whether all messages arrived.
///
/// # Errors
/// Whatever prevents it.
pub fn run(bench: &mut Bench, options: &Growth, json: bool) -> Result<bool> {
    if !bench.process.is_known() {
        let why = "growth is about the broker's CPU time and memory: run it on the broker's \
                   machine, as its user, or say --pid";
        return Err(Error::Usage(why.to_string()));
    }
    // Opened first: that this fails should not be learnt minutes later.
    let failed = |file: &Path, e| Error::Usage(format!("--svg {}: {e}", file.display()));
    let picture = match &options.svg {
        Some(file) => Some((file, picture(file).map_err(|e| failed(file, e))?)),
        None => None,
    };
    let (mut curves, mut is_clean) = (Vec::new(), true);
    for thing in &THINGS {
        let mut points: Vec<Vec<(u64, f64)>> = vec![Vec::new(); thing.costs.len()];
        let mut first = None;
        for doubling in 0..=DOUBLINGS {
            let number = thing.first << doubling;
            let (workload, bytes) = (thing.work)(number);
            bench.bytes = Some(bytes);
            let mut report = bench.run::<Text>(&workload)?;
            is_clean &= report.is_clean();
            bench.screen.clear();
            for (cost, points) in thing.costs.iter().zip(&mut points) {
                let many = if cost.is_of_one { float(number) } else { 1.0 };
                let since = cost.since.and_then(|key| *first.get_or_insert(report.get(key)));
                let one = report.get(cost.key).map(|one| one - since.unwrap_or(0.0));
                points.extend(one.map(|one| (number, one * many / cost.divisor)));
            }
            if json {
                tell(&mut report, thing.name, number);
            }
        }
        for (cost, points) in thing.costs.iter().zip(points) {
            let curve = Curve { title: cost.title, unit: cost.unit, points };
            if !json {
                out(&line(&curve));
            }
            curves.push(curve);
        }
    }
    if let Some((file, picture)) = picture {
        draw(picture, &plot::svg(&curves)).map_err(|e| failed(file, e))?;
    }
    if !json && !is_clean {
        out("WRONG: not all messages arrived; --json says which\n");
    }
    Ok(is_clean)
}

/// Opens the file, and leaves what is in it until there is something new.
fn picture(file: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(file)
}

fn draw(mut file: File, svg: &str) -> io::Result<()> {
    // A pipe has no length.
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    file.write_all(svg.as_bytes())
}

fn tell(report: &mut Report, name: &str, number: u64) {
    report.text("growth_of", name).count("growth_number", number);
    out(&format!("{}\n", report.figures()));
}

fn line(curve: &Curve) -> String {
    let points = curve.points.iter().map(|(number, cost)| format!("{number}: {}", figure(*cost)));
    let points: Vec<String> = points.collect();
    let steepness = match curve.steepness() {
        Some(steepness) => format!("{steepness:.2} of linear"),
        None => NOTHING_AT_FIRST.to_string(),
    };
    let Curve { title, unit, .. } = curve;
    format!("{title}, {unit}\n  {}\n  {steepness}\n", points.join("   "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_straight_line_is_one() {
        let curve =
            |points: &[(u64, f64)]| Curve { title: "x", unit: "µs", points: points.to_vec() };
        let steepness = |points| curve(points).steepness().map(|value| format!("{value:.2}"));
        assert_eq!(steepness(&[(10, 2.0), (160, 32.0)]).as_deref(), Some("1.00"));
        assert_eq!(steepness(&[(10, 2.0), (160, 2.0)]).as_deref(), Some("0.06"));
        assert_eq!(steepness(&[(10, 1.0), (20, 4.0)]).as_deref(), Some("2.00"));
        assert_eq!(steepness(&[]), None);
    }

    #[test]
    fn people_get_the_points_and_how_steep_they_are() {
        let points = vec![(10, 2.0), (20, 5.0)];
        let curve = Curve { title: "members: CPU", unit: "µs", points };
        assert_eq!(line(&curve), "members: CPU, µs\n  10: 2.00   20: 5.00\n  1.25 of linear\n");
        let points = vec![(10, 0.0), (20, 5.0)];
        let used = line(&Curve { title: "channels: memory", unit: "MiB", points });
        assert!(used.contains("cost nothing") && used.contains("start it anew"), "{used}");
    }
}
