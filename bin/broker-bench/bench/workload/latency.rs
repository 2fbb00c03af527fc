//! How late messages arrive: an open loop. Messages are published at a fixed rate
//! whatever the broker does, and latency counts from the moment at which a message was
//! due: a broker that falls behind is charged for all that had to wait (no coordinated
//! omission).

use super::{Bench, Measured, put_memory, put_outcome};
use crate::bench::book::Schedule;
use crate::bench::error::Result;
use crate::bench::plan::Plan;
use crate::bench::protocol::Protocol;
use crate::bench::report::{Report, micros};
use crate::bench::traffic::{BATCH_BYTES, Traffic};
use crate::bench::units::{figure, float, now, rate};
use std::time::Duration;

const BYTES: usize = 128;
const RATE: u64 = 10_000;
/// The longest sleep of a generator that sleeps.
const NAP_NS: u64 = 50_000_000;
/// Lag of the generator, in nanoseconds, beyond which the figures are its own.
const LAG_MAX: u64 = 1_000_000;

/// `latency`.
#[derive(Clone, Debug, clap::Args)]
pub struct Latency {
    /// Messages a second
    #[arg(long, default_value_t = RATE, value_parser = clap::value_parser!(u64).range(1..))]
    pub rate: u64,
    /// Members of the channel
    #[arg(long, default_value_t = 1)]
    pub members: usize,
    /// Sleep between messages. By default the generator looks without end, which
    /// takes a core, so that its own waking up is no part of the latency
    #[arg(long)]
    pub sleep: bool,
}

impl Default for Latency {
    fn default() -> Self {
        Latency { rate: RATE, members: 1, sleep: false }
    }
}

pub(super) fn run<P: Protocol>(bench: &Bench, options: &Latency) -> Result<Report> {
    let Latency { rate: wanted, members, sleep } = *options;
    let (bytes, prefix) = (bench.bytes.unwrap_or(BYTES), bench.prefix.clone());
    let plan = Plan { members, bytes, prefix, ..Plan::default() };
    plan.check::<P>()?;
    let fleet = bench.fleet(members + 1)?;
    let mut traffic = Traffic::<P>::new(fleet, plan, BATCH_BYTES)?;
    let mut measured = open_loop(bench, &mut traffic, wanted, sleep, bench.warm_up)?;
    measured.is_flowing &= traffic.drain()?;

    let (latency, lag) = (traffic.book.latency.clone(), traffic.worst_lag);
    let what = format!("{wanted} messages of {bytes} bytes a second to {members} member(s)");
    let mut report = Report::new("latency", &what);
    report
        .count("rate", wanted)
        .count("members", members as u64)
        .count("bytes", bytes as u64)
        .flag("sleep", sleep)
        .generator_spins(!sleep)
        .put("delivered_per_s", rate(measured.delivered, measured.used.at))
        .latency("", &latency)
        .put("generator_worst_lag_us", float(lag) / 1e3)
        .say(format!(
            "p50 {} µs, p90 {}, p99 {}, p99.9 {}, longest {}",
            figure(micros(&latency, 0.5)),
            figure(micros(&latency, 0.9)),
            figure(micros(&latency, 0.99)),
            figure(micros(&latency, 0.999)),
            figure(float(latency.max()) / 1e3)
        ));
    if lag > LAG_MAX {
        report.say(format!(
            "the generator itself was up to {} µs late (a busy machine?): that is in the figures",
            figure(float(lag) / 1e3)
        ));
    }
    report.usage(measured.used, measured.delivered, "message");
    report.say_usage(measured.used, measured.delivered, "message delivered");
    put_memory(&mut report, bench);
    put_outcome(&mut report, &traffic, measured.is_flowing);
    traffic.finish()?;
    Ok(report)
}

/// Publishes at a rate, for the warm-up and then the measured time; does not wait for
/// what is still on its way at the end.
pub(super) fn open_loop<P: Protocol>(
    bench: &Bench,
    traffic: &mut Traffic<P>,
    rate: u64,
    sleep: bool,
    warm_up: u64,
) -> Result<Measured> {
    let start = now();
    let (from, end) = (start + warm_up, start + warm_up + bench.time);
    let schedule = Schedule { start, rate };
    traffic.book.expect(schedule, from);
    let mut begun = None;
    let mut is_flowing = true;
    loop {
        let at = now();
        if begun.is_none() && at >= from {
            begun = Some((bench.usage(), traffic.book.delivered));
            traffic.worst_lag = 0;
        }
        if at >= end || !is_flowing {
            // What was due before the end is owed, however late it is.
            traffic.keep_rate(schedule, end)?;
            break;
        }
        let next = traffic.keep_rate(schedule, at)?;
        let nap = if sleep { next.saturating_sub(now()).min(NAP_NS) } else { 0 };
        traffic.poll(Duration::from_nanos(nap))?;
        is_flowing = traffic.fleet.tally.ended == 0;
        bench.screen.show("", at - start, end - start);
    }
    let (usage, delivered) = begun.unwrap_or_else(|| (bench.usage(), traffic.book.delivered));
    let (used, delivered) = (bench.usage().since(usage), traffic.book.delivered - delivered);
    Ok(Measured { used, delivered, is_flowing })
}
