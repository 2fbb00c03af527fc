//! Very many channels with one member each, on few connections; then messages to
//! channels at random.

use super::{Bench, closed_loop, put_memory, put_outcome};
use crate::bench::error::Result;
use crate::bench::plan::Plan;
use crate::bench::protocol::{Protocol, Role};
use crate::bench::report::Report;
use crate::bench::traffic::{BATCH_BYTES, Traffic};
use crate::bench::units::{each, figure, grouped, rate};
use std::time::Duration;

const CHANNELS: usize = 100_000;
const CONNECTIONS: usize = 100;
const BYTES: usize = 128;
const WINDOW: u64 = 4096;
/// The time for what a broker still has to do for what came last.
const SETTLING: Duration = Duration::from_millis(300);

/// `channels`.
#[derive(Clone, Debug, clap::Args)]
pub struct Channels {
    /// Channels
    #[arg(long, default_value_t = CHANNELS)]
    pub channels: usize,
    /// Connections that share them
    #[arg(long, default_value_t = CONNECTIONS)]
    pub connections: usize,
}

impl Default for Channels {
    fn default() -> Self {
        Channels { channels: CHANNELS, connections: CONNECTIONS }
    }
}

pub(super) fn run<P: Protocol>(bench: &Bench, options: &Channels) -> Result<Report> {
    let Channels { channels, connections } = *options;
    let (bytes, prefix) = (bench.bytes.unwrap_or(BYTES), bench.prefix.clone());
    let shared = Some(connections.max(1));
    let plan = Plan { channels, shared, bytes, prefix, ..Plan::default() };
    plan.check::<P>()?;
    let mut fleet = bench.fleet::<P>(connections + 1)?;
    fleet.establish(connections, |_| Role::Subscriber)?;
    fleet.rest(SETTLING)?;
    let before = bench.process.memory();
    let start = bench.usage();
    let mut traffic = Traffic::new(fleet, plan, BATCH_BYTES)?;
    let setup = bench.usage().since(start);
    traffic.fleet.rest(SETTLING)?;
    let after = bench.process.memory();
    let bytes_each = bench.bytes_each(before, channels);
    traffic.roll_dice(bench.seed);
    let measured = closed_loop(bench, &mut traffic, WINDOW)?;

    let number = grouped(channels as u64);
    let what = format!("{number} channels on {connections} connections, {bytes} bytes");
    let mut report = Report::new("channels", &what);
    let per_second = rate(measured.delivered, measured.used.at);
    report
        .count("channels", channels as u64)
        .count("connections", connections as u64)
        .count("bytes", bytes as u64)
        .put("delivered_per_s", per_second);
    if let (Some(before), Some(after)) = (before, after) {
        report.count("memory_without_channels", before).count("memory_with_channels", after);
    }
    let setup = setup.broker.and_then(|cpu| each(cpu, channels as u64));
    if let (Some(bytes), Some(setup)) = (bytes_each, setup) {
        report.count("bytes_per_channel", bytes).put("setup_us_per_channel", setup / 1e3).say(
            format!(
                "{} bytes of the broker's memory for each, {} µs of its CPU to make",
                grouped(bytes),
                figure(setup / 1e3)
            ),
        );
    }
    report.say(format!("{} messages a second to channels at random", figure(per_second)));
    report.usage(measured.used, measured.delivered, "message");
    report.say_usage(measured.used, measured.delivered, "message delivered");
    put_memory(&mut report, bench);
    put_outcome(&mut report, &traffic, measured.is_flowing);
    traffic.finish()?;
    Ok(report)
}
