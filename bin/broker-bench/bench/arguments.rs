//! The command line of `broker-bench`, and what it starts.

use super::dialects::{self, Dialects};
use super::error::{Error, Result};
use super::growth::{self, Growth};
use super::peers::{self, Peers};
use super::process::Process;
use super::protocol::text::Text;
use super::ranks::{self, Ranks};
use super::raw;
use super::report::Report;
use super::screen::Screen;
use super::workload::{Bench, Workload, churn, latency, publish, seconds};
use anstyle::{AnsiColor, Style};
use clap::{Args, Parser, Subcommand};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

/// How long one of several addresses is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Measures a broker under load: how much it does, what a message costs it, how
/// late messages arrive. Checks that all messages arrive, each once, in order.
///
/// Without a workload it makes a tour of some. `peers` compares this broker with
/// others that are installed.
///
/// The broker's CPU time and memory are told if its process is on this machine
/// and belongs to the same user.
#[derive(Debug, Parser)]
#[command(
    name = "broker-bench",
    version,
    disable_help_subcommand = true,
    subcommand_help_heading = "Workloads and more"
)]
pub struct Arguments {
    /// Where the broker is
    #[arg(default_value = "127.0.0.1")]
    host: String,
    /// Its port
    #[arg(default_value_t = 7700, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    task: Option<Task>,
}

/// What all workloads take.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// How long is measured
    #[arg(long, global = true, default_value_t = 5.0, value_parser = some_time)]
    pub seconds: f64,
    /// How long it runs before that
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 1.0, value_parser = time)]
    pub warm_up: f64,
    /// What a message carries [default: 128; slow: 1024]
    #[arg(long, global = true, value_name = "BYTES")]
    pub size: Option<usize>,
    /// One JSON object for each measurement, a line each
    #[arg(long, global = true)]
    pub json: bool,
    /// The broker's process, if it is not found
    #[arg(long, global = true)]
    pid: Option<u32>,
    /// Begins all that is left to chance
    #[arg(long, global = true, default_value_t = 1)]
    pub seed: u64,
    /// The beginning of the names of all channels [default: one of its own]
    #[arg(long, global = true, value_name = "TEXT")]
    pub prefix: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Task {
    #[command(flatten)]
    Workload(Workload),
    /// Ranks at size: joins, promotions, a command to all, many leaving at once
    Ranks(Ranks),
    /// What it costs when members, channels, bytes or messages are doubled
    Growth(Growth),
    /// What a delivered message costs in each dialect, and a table
    Dialects(Dialects),
    /// The same work for all brokers that are installed, in turn, and a table
    Peers(Peers),
    /// No broker, only a program that copies bytes: the lower bound
    #[command(hide = true)]
    Raw {
        /// Where to listen
        address: SocketAddr,
    },
}

fn time(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("seconds, from 0 to 86400".to_string()),
    }
}

/// A time in which something can be measured.
fn some_time(text: &str) -> std::result::Result<f64, String> {
    time(text)
        .ok()
        .filter(|seconds| *seconds > 0.0)
        .ok_or("seconds, above 0 and up to 86400".into())
}

/// Does what the arguments say; returns the exit code: 0 all arrived, 1 something did
/// not, or the broker refused, 2 wrong usage, 3 no broker there.
pub fn run(arguments: Arguments) -> ExitCode {
    match carry_out(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("broker-bench: {error}");
            error.exit_code().into()
        }
    }
}

/// Carries them out; returns whether everything was as it must be.
fn carry_out(arguments: Arguments) -> Result<bool> {
    let Arguments { host, port, common, task } = arguments;
    let bench = |label: &str| common.bench(&host, port, label);
    match task {
        None => tour(&common, bench),
        Some(Task::Workload(workload)) => {
            let report = bench("")?.run::<Text>(&workload)?;
            Ok(tell(&report, common.json))
        }
        Some(Task::Ranks(ranks)) => {
            let report = ranks::run(&bench("ranks")?, &ranks)?;
            Ok(tell(&report, common.json))
        }
        Some(Task::Growth(growth)) => growth::run(&mut bench("growth")?, &growth, common.json),
        Some(Task::Dialects(dialects)) => {
            dialects::run(&mut bench("dialects")?, &dialects, common.json)
        }
        Some(Task::Peers(peers)) => peers::run(&common, &peers),
        Some(Task::Raw { address }) => raw::serve(address).map(|()| true),
    }
}

/// Runs one measurement of each kind that is over soon.
fn tour(common: &Common, bench: impl Fn(&str) -> Result<Bench>) -> Result<bool> {
    let fanout = publish::Publish { members: 100, ..publish::Publish::default() };
    let workloads = [
        ("publish", Workload::Publish(publish::Publish::default())),
        ("fanout", Workload::Publish(fanout)),
        ("latency", Workload::Latency(latency::Latency::default())),
        ("churn", Workload::Churn(churn::Churn::default())),
    ];
    let mut is_clean = true;
    for (name, workload) in workloads {
        let report = bench(name)?.run::<Text>(&workload)?;
        is_clean &= tell(&report, common.json);
    }
    let ranks = Ranks { members: 1000, ..Ranks::default() };
    let report = ranks::run(&bench("ranks")?, &ranks)?;
    Ok(tell(&report, common.json) && is_clean)
}

/// Prints, without colour where it is not wanted. An error is ignored: a reader may
/// stop early, as `head` does.
pub fn out(text: &str) {
    let _ = anstream::stdout().write_all(text.as_bytes());
}

/// Prints a report; returns whether it is clean.
fn tell(report: &Report, json: bool) -> bool {
    if json {
        out(&format!("{}\n", report.figures()));
        return report.is_clean();
    }
    let painted = |colour: AnsiColor, word: &str| {
        let style = Style::new().fg_color(Some(colour.into())).bold();
        format!("{style}{word}{style:#}")
    };
    let text = report.text_for_people();
    let text =
        text.replace("  verified:", &format!("  {}:", painted(AnsiColor::Green, "verified")));
    let text = text.replace("  WRONG:", &format!("  {}:", painted(AnsiColor::Red, "WRONG")));
    out(&text);
    report.is_clean()
}

/// Returns the first address, of several as `localhost` has, where somebody listens.
fn reached(addresses: &[SocketAddr]) -> io::Result<SocketAddr> {
    let listens = |to: &&SocketAddr| TcpStream::connect_timeout(to, CONNECT_TIMEOUT).is_ok();
    let several = addresses.len() > 1;
    let found = several.then(|| addresses.iter().find(listens)).flatten();
    let found = found.or(addresses.first()).copied();
    found.ok_or_else(|| io::Error::other("it has no address"))
}

impl Common {
    fn bench(&self, host: &str, port: u16, label: &str) -> Result<Bench> {
        let addresses = (host, port).to_socket_addrs();
        let to = addresses.and_then(|all| reached(&all.collect::<Vec<_>>()));
        let to = to.map_err(|e| Error::Host(host.to_string(), e))?;
        let process = match self.pid {
            Some(pid) => Process::of(pid)?,
            None => Process::listening(to),
        };
        Ok(self.against(to, process, label))
    }

    /// Measurements of this broker.
    pub fn against(&self, to: SocketAddr, process: Process, label: &str) -> Bench {
        // Every message carries the name: it is short, but no other run has it.
        let own = || format!("b{:x}-", std::process::id());
        Bench {
            to,
            process,
            prefix: self.prefix.clone().unwrap_or_else(own),
            time: seconds(self.seconds),
            warm_up: seconds(self.warm_up),
            bytes: self.size,
            seed: self.seed,
            screen: Screen::of(label),
        }
    }
}
