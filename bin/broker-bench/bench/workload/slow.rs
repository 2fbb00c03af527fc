//! What a member that stops reading does to the others: the same open loop
//! twice, first without it and then with it.

use super::latency::open_loop;
use super::{Bench, Measured};
use crate::bench::book::Faults;
use crate::bench::error::{Error, Result};
use crate::bench::fleet::Receiver;
use crate::bench::plan::Plan;
use crate::bench::protocol::{Protocol, Role};
use crate::bench::report::{Report, micros};
use crate::bench::traffic::{BATCH_BYTES, Traffic};
use crate::bench::units::{SECOND, figure, float, now, rate};
use hdrhistogram::Histogram;
use std::time::Duration;

const RATE: u64 = 10_000;
const MEMBERS: usize = 4;
const BYTES: usize = 1024;
/// The receive buffer of the one that does not read: small, so that the broker
/// feels it soon.
const RECEIVE_BYTES: usize = 64 * 1024;
/// How long nothing may come before the slow member, which reads again, has got all:
/// TCP may take a second or two to find out that there is room again.
const QUIET_NS: u64 = 3 * SECOND;

/// `slow`.
#[derive(Clone, Debug, clap::Args)]
pub struct Slow {
    /// Messages a second
    #[arg(long, default_value_t = RATE, value_parser = clap::value_parser!(u64).range(1..))]
    pub rate: u64,
    /// Members that read
    #[arg(long, default_value_t = MEMBERS)]
    pub members: usize,
}

impl Default for Slow {
    fn default() -> Self {
        Slow { rate: RATE, members: MEMBERS }
    }
}

struct Phase {
    measured: Measured,
    latency: Histogram<u64>,
    published: u64,
    faults: Faults,
    memory_added: Option<u64>,
    /// What the slow member got when it read again.
    late: Late,
    complaint: Option<String>,
}

/// What a member got that did not read for a while.
#[derive(Default)]
struct Late {
    messages: u64,
    /// What the broker said was gone.
    told: u64,
    is_cut_off: bool,
}

impl Receiver for Late {
    fn message(&mut self, _: usize, _: &[u8]) {
        self.messages += 1;
    }

    fn gap(&mut self, _: usize, messages: u64) {
        self.told += messages;
    }
}

pub(super) fn run<P: Protocol>(bench: &Bench, options: &Slow) -> Result<Report> {
    if !P::IS_BROKER {
        return Err(Error::Usage("one that stops reading stops it altogether".to_string()));
    }
    let without = phase::<P>(bench, options, false)?;
    std::thread::sleep(Duration::from_millis(500));
    let with = phase::<P>(bench, options, true)?;

    let Slow { rate: wanted, members } = *options;
    let bytes = bench.bytes.unwrap_or(BYTES);
    let what = format!(
        "{wanted} messages of {bytes} bytes a second to {members} members; then one more that does not read"
    );
    let mut report = Report::new("slow", &what);
    report.count("rate", wanted).count("members", members as u64).count("bytes", bytes as u64);
    for (name, phase) in [("without", &without), ("with", &with)] {
        let per_second = rate(phase.measured.delivered, phase.measured.used.at);
        report.put(&format!("{name}_delivered_per_s"), per_second);
        report.latency(&format!("{name}_"), &phase.latency);
        if let Some(added) = phase.memory_added {
            report.count(&format!("{name}_memory_added_bytes"), added);
        }
    }
    let kept = float(with.measured.delivered) / float(without.measured.delivered.max(1));
    let added =
        with.memory_added.map_or("?".to_string(), |bytes| figure(float(bytes) / 1_048_576.0));
    report.put("rate_kept", kept).usage(with.measured.used, with.measured.delivered, "message").say(
        format!(
            "those that read keep {} % of their rate; p99 {} µs without it, {} with it; {added} MiB more memory",
            figure(kept * 100.0),
            figure(micros(&without.latency, 0.99)),
            figure(micros(&with.latency, 0.99)),
        ),
    );
    put_late(&mut report, &with);
    let faults = Faults { lost: without.faults.lost + with.faults.lost, ..with.faults };
    let delivered = without.measured.delivered + with.measured.delivered;
    report.faults(faults, delivered, with.complaint.as_deref().or(without.complaint.as_deref()));
    Ok(report)
}

fn put_late(report: &mut Report, with: &Phase) {
    let Late { messages, told, is_cut_off } = with.late;
    let untold = with.published.saturating_sub(messages + told);
    report
        .flag("slow_cut_off", is_cut_off)
        .count("slow_received", messages)
        .count("slow_told_gone", told)
        .count("slow_untold", untold);
    report.say(format!(
        "the one that did not read {}: of {} messages it then got {messages}, was told that {told} \
         are gone, and {untold} are gone without a word",
        if is_cut_off { "was cut off" } else { "was kept" },
        with.published
    ));
}

fn phase<P: Protocol>(bench: &Bench, options: &Slow, stalls: bool) -> Result<Phase> {
    let Slow { rate, members } = *options;
    let (bytes, prefix) = (bench.bytes.unwrap_or(BYTES), bench.prefix.clone());
    let plan = Plan { members, bytes, prefix, ..Plan::default() };
    plan.check::<P>()?;
    let fleet = bench.fleet::<P>(members + 2)?;
    let before = bench.process.memory();
    let mut traffic = Traffic::new(fleet, plan, BATCH_BYTES)?;
    let slow = if stalls { Some(stall(&mut traffic)?) } else { None };
    let mut measured = open_loop(bench, &mut traffic, rate, true, 0)?;
    measured.is_flowing &= traffic.drain()?;
    let memory_added =
        bench.process.memory_peak().zip(before).map(|(peak, before)| peak.saturating_sub(before));
    let (latency, faults, published) =
        (traffic.book.latency.clone(), traffic.faults(), traffic.published);
    let complaint = traffic.fleet.tally.complaint.clone();
    let late = match slow {
        Some(id) => read_again(&mut traffic, id)?,
        None => Late::default(),
    };
    traffic.finish()?;
    Ok(Phase { measured, latency, published, faults, memory_added, late, complaint })
}

/// One more member, which does not read.
fn stall<P: Protocol>(traffic: &mut Traffic<P>) -> Result<usize> {
    let fleet = &mut traffic.fleet;
    let target = fleet.tally.ready + 1;
    let id = fleet.open(Role::Subscriber, Some(RECEIVE_BYTES))?;
    fleet.settle("connecting", |tally| tally.ready == target)?;
    let channel = traffic.plan.names().swap_remove(0);
    traffic.fleet.subscribe(id, &channel)?;
    traffic.fleet.settle("subscribing", |tally| tally.unconfirmed == 0)?;
    traffic.fleet.pool.listen(id, false)?;
    Ok(id)
}

/// Has it read again, until nothing more comes.
fn read_again<P: Protocol>(traffic: &mut Traffic<P>, id: usize) -> Result<Late> {
    let mut late = Late::default();
    traffic.fleet.pool.listen(id, true)?;
    let mut last = now();
    while now() - last < QUIET_NS && traffic.fleet.pool.get(id).is_open() {
        if traffic.fleet.poll(Duration::from_millis(50), &mut late)? {
            last = now();
        }
    }
    late.is_cut_off = !traffic.fleet.pool.get(id).is_open();
    Ok(late)
}
