//! What can be measured, and what all measurements share.

pub mod channels;
pub mod churn;
pub mod idle;
pub mod latency;
pub mod publish;
pub mod slow;

use super::error::{Error, Result};
use super::fleet::Fleet;
use super::process::Process;
use super::protocol::Protocol;
use super::report::Report;
use super::screen::Screen;
use super::traffic::{PATIENCE, Traffic};
use super::units::{count, nanoseconds, now, whole};
use crate::bench::process::Usage;
use ranked_broker::open_files;
use std::net::SocketAddr;
use std::time::Duration;

/// Files that this program has open besides its connections.
const OTHER_FILES: u64 = 32;

/// How long a line of a broker may be, unless it was told otherwise.
const LINE_BYTES: usize = 64 * 1024;

/// What can be measured of any broker.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Workload {
    /// As fast as it goes: one publisher, one member, or as many as you say
    Publish(publish::Publish),
    /// As fast as it goes: one publisher, 100 members
    Fanout(publish::Fanout),
    /// How late messages arrive that are published at a fixed rate
    Latency(latency::Latency),
    /// What connections cost that do nothing
    Idle(idle::Idle),
    /// Connect, subscribe, leave, again
    Churn(churn::Churn),
    /// Very many channels on few connections
    Channels(channels::Channels),
    /// What a member that stops reading does to the others
    Slow(slow::Slow),
}

/// Which broker is measured, and for how long.
pub struct Bench {
    /// The broker.
    pub to: SocketAddr,
    /// Its process.
    pub process: Process,
    /// The beginning of the names of all channels.
    pub prefix: String,
    /// How long is measured, in nanoseconds.
    pub time: u64,
    /// How long everything runs before that.
    pub warm_up: u64,
    /// What a message carries, in bytes, if it is not the workload's choice.
    pub bytes: Option<usize>,
    /// The seed of all that is left to chance.
    pub seed: u64,
    /// Shows how far it is.
    pub screen: Screen,
}

impl Bench {
    /// Makes one measurement.
    ///
    /// # Errors
    /// Whatever prevents it.
    pub fn run<P: Protocol>(&self, workload: &Workload) -> Result<Report> {
        match workload {
            Workload::Publish(options) => publish::run::<P>(self, options),
            Workload::Fanout(options) => publish::run::<P>(self, &options.as_publish()),
            Workload::Latency(options) => latency::run::<P>(self, options),
            Workload::Idle(options) => idle::run::<P>(self, options),
            Workload::Churn(options) => churn::run::<P>(self, options),
            Workload::Channels(options) => channels::run::<P>(self, options),
            Workload::Slow(options) => slow::run::<P>(self, options),
        }
    }

    fn fleet<P: Protocol>(&self, connections: usize) -> Result<Fleet<P>> {
        enough_files(connections)?;
        self.process.forget_peak();
        Fleet::new(self.to)
    }

    fn usage(&self) -> Usage {
        self.process.usage()
    }

    /// Returns the bytes that each of so many things has added to the memory.
    fn bytes_each(&self, before: Option<u64>, number: usize) -> Option<u64> {
        let added = self.process.memory()?.saturating_sub(before?);
        Some(added / count(number).max(1))
    }
}

/// Raises the limit on open files, and complains if it is too low.
///
/// # Errors
/// What to do about it.
pub fn enough_files(connections: usize) -> Result<()> {
    match open_files::raise() {
        Some(limit) if count(connections) + OTHER_FILES > limit => Err(Error::Usage(format!(
            "{connections} connections need as many open files, but only {limit} are allowed \
             here: raise the hard limit (ulimit -Hn) or ask for fewer"
        ))),
        _ => Ok(()),
    }
}

/// A time that was given in seconds.
pub fn seconds(seconds: f64) -> u64 {
    whole(seconds * 1e9)
}

/// What was measured between two moments.
struct Measured {
    used: Usage,
    delivered: u64,
    /// Whether messages came all the time, and all that were sent in the end.
    is_flowing: bool,
}

/// Has all publishers keep their windows full, for the warm-up and the time that
/// is measured, and waits for the rest.
fn closed_loop<P: Protocol>(
    bench: &Bench,
    traffic: &mut Traffic<P>,
    window: u64,
) -> Result<Measured> {
    let start = now();
    let (from, end) = (start + bench.warm_up, start + bench.warm_up + bench.time);
    let mut begun = None;
    let (mut last, mut is_flowing) = ((0, start), true);
    loop {
        let now = now();
        if begun.is_none() && now >= from {
            begun = Some((bench.usage(), traffic.book.delivered));
        }
        if now >= end {
            break;
        }
        traffic.fill(window)?;
        traffic.poll(Duration::from_millis(100))?;
        if traffic.book.delivered != last.0 {
            last = (traffic.book.delivered, now);
        }
        is_flowing = now - last.1 < nanoseconds(PATIENCE) && traffic.fleet.tally.ended == 0;
        if !is_flowing {
            break;
        }
        bench.screen.show("", now - start, end - start);
    }
    let (usage, delivered) = begun.unwrap_or_else(|| (bench.usage(), traffic.book.delivered));
    let used = bench.usage().since(usage);
    let delivered = traffic.book.delivered - delivered;
    let is_flowing = traffic.drain()? && is_flowing;
    Ok(Measured { used, delivered, is_flowing })
}

/// The memory of the broker at the end, and at its peak.
fn put_memory(report: &mut Report, bench: &Bench) {
    if let (Some(now), Some(peak)) = (bench.process.memory(), bench.process.memory_peak()) {
        report.count("broker_memory_bytes", now).count("broker_memory_peak_bytes", peak);
    }
}

/// What came, what went wrong, and what the broker complained of.
fn put_outcome<P: Protocol>(report: &mut Report, traffic: &Traffic<P>, is_flowing: bool) {
    let tally = &traffic.fleet.tally;
    report.count("published", traffic.published);
    report.faults(traffic.faults(), traffic.book.delivered, tally.complaint.as_deref());
    if !is_flowing {
        report.verdict(false, "messages stopped coming, or connections were closed");
        // It may have closed the connection before its reason was read.
        if traffic.plan.bytes > LINE_BYTES {
            report.say(format!(
                "a broker refuses messages beyond its --max-line, which is {LINE_BYTES} bytes unless told otherwise"
            ));
        }
    }
}
