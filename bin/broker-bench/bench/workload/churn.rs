//! Connect, subscribe, be told so, leave, again.

use super::{Bench, put_memory};
use crate::bench::error::Result;
use crate::bench::plan::Plan;
use crate::bench::protocol::{Protocol, Role};
use crate::bench::report::Report;
use crate::bench::units::{figure, now, rate};
use std::time::Duration;

const CONCURRENCY: usize = 16;
const CHANNELS: usize = 100;
/// Cycles that may fail before it is not worth going on.
const FAILURES_MAX: u64 = 1000;

/// `churn`.
#[derive(Clone, Debug, clap::Args)]
pub struct Churn {
    /// Connections at a time
    #[arg(long, default_value_t = CONCURRENCY)]
    pub concurrency: usize,
    /// Channels that they share
    #[arg(long, default_value_t = CHANNELS)]
    pub channels: usize,
}

impl Default for Churn {
    fn default() -> Self {
        Churn { concurrency: CONCURRENCY, channels: CHANNELS }
    }
}

pub(super) fn run<P: Protocol>(bench: &Bench, options: &Churn) -> Result<Report> {
    let Churn { concurrency, channels } = *options;
    let plan = Plan { channels, prefix: bench.prefix.clone(), ..Plan::default() };
    let names = plan.names();
    let mut fleet = bench.fleet::<P>(concurrency)?;
    // One member in each channel, so that they are not made and dropped.
    fleet.establish_members(channels, |id| &names[id])?;
    let first = fleet.pool.len();
    for _ in 0..concurrency {
        fleet.open(Role::Subscriber, None)?;
    }
    let start = now();
    let (from, end) = (start + bench.warm_up, start + bench.warm_up + bench.time);
    let (mut cycles, mut failed) = (0_u64, 0_u64);
    let mut has_asked = vec![false; first + concurrency];
    let mut turn = 0;
    let mut begun = None;
    loop {
        let at = now();
        if begun.is_none() && at >= from {
            begun = Some((bench.usage(), cycles));
        }
        if at >= end || failed > FAILURES_MAX {
            break;
        }
        fleet.poll(Duration::from_millis(100), &mut ())?;
        for id in std::mem::take(&mut fleet.tally.changed) {
            let connection = fleet.pool.get(id);
            let (is_open, is_settled) = (connection.is_open(), connection.client.is_settled());
            if id < first {
                failed += u64::from(!is_open);
            } else if is_open && is_settled && !has_asked[id] {
                has_asked[id] = true;
                turn = (turn + 1) % channels;
                fleet.subscribe(id, &names[turn])?;
            } else if !is_open || is_settled {
                if is_open {
                    cycles += 1;
                } else {
                    failed += 1;
                }
                has_asked[id] = false;
                fleet.reopen(id, Role::Subscriber)?;
            }
        }
        bench.screen.show("", at - start, end - start);
    }
    let (usage, before) = begun.unwrap_or_else(|| (bench.usage(), cycles));
    let used = bench.usage().since(usage);
    let done = cycles - before;

    let what = format!("connect, subscribe, leave; {concurrency} at a time, {channels} channels");
    let mut report = Report::new("churn", &what);
    let per_second = rate(done, used.at);
    report
        .count("concurrency", concurrency as u64)
        .count("channels", channels as u64)
        .count("cycles", done)
        .count("failed", failed)
        .put("cycles_per_s", per_second)
        .usage(used, done, "cycle")
        .say(format!("{} cycles a second", figure(per_second)))
        .say_usage(used, done, "cycle");
    put_memory(&mut report, bench);
    report.verdict(failed == 0, &format!("{failed} cycles failed"));
    // The members that come and go leave first: they would make dropped channels again.
    fleet.dismiss(first..fleet.pool.len())?;
    fleet.finish(|id| names.get(id).map(String::as_str).into_iter())?;
    Ok(report)
}
