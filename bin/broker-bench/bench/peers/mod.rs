//! `broker-bench peers`: several brokers on the same machine do the same work.
//!
//! Each run has a broker of its own, begun afresh on a port of its own, and all
//! brokers take turns (A, B, C, A, B, C, …), so that whatever else the machine
//! does hits all of them. What is told are medians over the rounds.

pub mod program;
pub mod running;
pub mod table;
pub mod work;

use super::arguments::{Common, out};
use super::error::{Error, Result};
use super::process::Process;
use super::protocol::{mqtt::Mqtt, nats::Nats, raw::Raw, resp::Resp, text::Text};
use super::report::Report;
use super::units::float;
use program::{Kind, Program};
use ranked_broker::open_files;
use running::Running;
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use table::Run;
use work::{WORKS, Work};

/// Seconds that a run takes besides what is measured: starting, connecting.
const SECONDS_BESIDES: f64 = 1.5;

/// `peers`.
#[derive(Clone, Debug, clap::Args)]
pub struct Peers {
    /// Runs of each workload with each broker; what is told are medians
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Only these workloads, or those whose names begin so [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub workloads: Vec<String>,
    /// Only these brokers: raw, nats, valkey, redis, mosquitto, broker [default: all there are]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub brokers: Vec<String>,
    /// A program that is not in PATH, or one more build of one: nats=PATH, or
    /// broker/before=PATH to have it in the table as "before" (may be repeated)
    #[arg(long = "program", value_name = "BROKER[/LABEL]=PATH")]
    pub programs: Vec<String>,
    /// Add each run to this file, a JSON object a line
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// Show brokers and workloads, and measure nothing
    #[arg(long)]
    pub list: bool,
}

/// Runs everything and prints the table; returns whether all messages arrived at this
/// project's own broker. What others lose is only shown in the table.
///
/// # Errors
/// If there is nothing to run.
pub fn run(common: &Common, options: &Peers) -> Result<bool> {
    let (programs, missing) = program::find(&options.programs, &options.brokers)?;
    let works = work::chosen(&options.workloads)?;
    // The brokers that are started here inherit the limit.
    open_files::raise();
    for program in &programs {
        eprintln!("{:16} {}", program.label, program.describe());
    }
    if !missing.is_empty() {
        eprintln!("not installed here: {}", missing.join(", "));
    }
    if options.list {
        for work in WORKS {
            out(&format!("{:12} {}\n", work.name, work.title));
        }
        return Ok(true);
    }
    let mut save = options.save.as_ref().map(open).transpose()?;
    let seconds = common.seconds + common.warm_up + SECONDS_BESIDES;
    let runs = works.len() * programs.len() * options.rounds as usize;
    eprintln!("{runs} runs, about {:.0} min", (seconds * float(runs as u64) / 60.0).ceil());

    let mut all = Vec::new();
    for work in &works {
        for round in 1..=options.rounds {
            for program in &programs {
                if !work.fits(program.kind) {
                    continue;
                }
                let outcome = one_run(common, work, program, round);
                let run = Run { work: work.name, label: program.label.clone(), round, outcome };
                let line = line(&run, program);
                if let Some(file) = &mut save {
                    writeln!(file, "{line}").map_err(|e| Error::System("--save", e))?;
                }
                if common.json {
                    out(&format!("{line}\n"));
                }
                all.push(run);
            }
        }
    }
    if !common.json {
        out(&table::table(&works, &programs, &all));
    }
    let own = |run: &&Run| programs.iter().any(|p| p.label == run.label && p.kind == Kind::Broker);
    Ok(all.iter().filter(own).all(|run| run.outcome.as_ref().is_ok_and(Report::is_clean)))
}

fn open(path: &PathBuf) -> Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.map_err(|e| Error::Usage(format!("--save {}: {e}", path.display())))
}

/// One workload on a broker that has just been started.
fn one_run(common: &Common, work: &Work, program: &Program, round: u32) -> Result<Report> {
    let mut running = Running::start(program, work)?;
    let mut common = common.clone();
    common.size = common.size.or(work.bytes);
    // The run has the broker to itself, and all brokers get the same names.
    common.prefix.get_or_insert_with(|| "c".to_string());
    let label = format!("{} {round} {}", work.name, program.label);
    let process = Process::of(running.pid())?;
    let bench = common.against(running.address, process, &label);
    let workload = (work.workload)();
    let report = match program.kind {
        Kind::Raw => bench.run::<Raw>(&workload),
        Kind::Nats => bench.run::<Nats>(&workload),
        Kind::Valkey | Kind::Redis => bench.run::<Resp>(&workload),
        Kind::Broker if work.as_redis => bench.run::<Resp>(&workload),
        Kind::Mosquitto => bench.run::<Mqtt>(&workload),
        Kind::Broker => bench.run::<Text>(&workload),
    };
    match running.has_ended() {
        None => report,
        Some(why) => Err(Error::Program { program: program.label.clone(), why }),
    }
}

/// A run as one line of JSON.
fn line(run: &Run, program: &Program) -> String {
    let mut object = match &run.outcome {
        Ok(report) => report.figures(),
        Err(error) => json!({ "error": error.to_string() }),
    };
    if let Value::Object(fields) = &mut object {
        fields.insert("run".into(), run.work.into());
        fields.insert("round".into(), run.round.into());
        fields.insert("broker".into(), run.label.clone().into());
        fields.insert("version".into(), program.version.clone().into());
    }
    object.to_string()
}
