//! What idle connections cost that are subscribed.

use super::{Bench, put_memory};
use crate::bench::error::Result;
use crate::bench::plan::Plan;
use crate::bench::protocol::Protocol;
use crate::bench::report::Report;
use crate::bench::units::{each, figure, float, grouped};
use std::time::Duration;

const CONNECTIONS: usize = 10_000;
const CHANNELS: usize = 100;
/// The time for what a broker still has to do for those that came last.
const SETTLING: Duration = Duration::from_secs(1);

/// `idle`.
#[derive(Clone, Debug, clap::Args)]
pub struct Idle {
    /// Connections
    #[arg(long, default_value_t = CONNECTIONS)]
    pub connections: usize,
    /// Channels that they share
    #[arg(long, default_value_t = CHANNELS)]
    pub channels: usize,
}

impl Default for Idle {
    fn default() -> Self {
        Idle { connections: CONNECTIONS, channels: CHANNELS }
    }
}

pub(super) fn run<P: Protocol>(bench: &Bench, options: &Idle) -> Result<Report> {
    let Idle { connections, channels } = *options;
    let plan = Plan { channels, prefix: bench.prefix.clone(), ..Plan::default() };
    let names = plan.names();
    let mut fleet = bench.fleet::<P>(connections)?;
    let before = bench.process.memory();
    let start = bench.usage();
    fleet.establish_members(connections, |id| &names[id % channels])?;
    let setup = bench.usage().since(start);
    fleet.rest(SETTLING)?;
    let start = bench.usage();
    fleet.rest(Duration::from_nanos(bench.time))?;
    let used = bench.usage().since(start);
    let bytes = bench.bytes_each(before, connections);

    let what = format!("{} connections in {channels} channels", grouped(connections as u64));
    let mut report = Report::new("idle", &what);
    report.count("connections", connections as u64).count("channels", channels as u64);
    report.usage(used, 0, "message");
    report.put("setup_s", float(setup.at) / 1e9);
    if let (Some(bytes), Some(idle), Some(setup)) = (bytes, used.broker, setup.broker) {
        let per_second = float(idle) / 1e6 / (float(used.at) / 1e9);
        let setup_each = each(setup, connections as u64).unwrap_or(0.0) / 1e3;
        report
            .count("bytes_per_connection", bytes)
            .put("idle_cpu_ms_per_s", per_second)
            .put("setup_us_per_connection", setup_each)
            .say(format!(
                "{} bytes of the broker's memory each, {} µs of its CPU to come in, \
                 {} ms of CPU a second for all of them to stay",
                grouped(bytes),
                figure(setup_each),
                figure(per_second)
            ));
    } else {
        report.say_usage(used, 0, "connection");
    }
    put_memory(&mut report, bench);
    let ended = fleet.tally.ended;
    report.count("ended", ended as u64).verdict(ended == 0, &format!("{ended} were closed"));
    fleet.finish(|id| std::iter::once(names[id % channels].as_str()))?;
    Ok(report)
}
