//! As fast as it goes: a closed loop. A publisher has at most a window of
//! messages that its slowest member still lacks, so no broker has to drop any.

use super::{Bench, closed_loop, put_memory, put_outcome};
use crate::bench::error::Result;
use crate::bench::plan::Plan;
use crate::bench::protocol::Protocol;
use crate::bench::report::Report;
use crate::bench::traffic::{BATCH_BYTES, Traffic};
use crate::bench::units::{figure, float, rate};

const BYTES: usize = 128;
/// Messages on their way: enough that nobody ever waits, and few enough to fit
/// into any broker's queues.
pub const WINDOW: u64 = 4096;

/// `publish`.
#[derive(Clone, Debug, clap::Args)]
pub struct Publish {
    /// Connections that publish
    #[arg(long, default_value_t = 1)]
    pub publishers: usize,
    /// Channels; each publisher has its share of them
    #[arg(long, default_value_t = 1)]
    pub channels: usize,
    /// Members of each channel
    #[arg(long, default_value_t = 1)]
    pub members: usize,
    /// Messages of a publisher that its slowest member may lack
    #[arg(long, default_value_t = WINDOW, value_parser = clap::value_parser!(u64).range(1..))]
    pub window: u64,
    /// Bytes of one write of a publisher; 1 writes each message by itself
    #[arg(long, value_name = "BYTES", default_value_t = BATCH_BYTES)]
    pub batch: usize,
}

impl Default for Publish {
    fn default() -> Self {
        Publish { publishers: 1, channels: 1, members: 1, window: WINDOW, batch: BATCH_BYTES }
    }
}

/// `fanout`.
#[derive(Clone, Debug, clap::Args)]
pub struct Fanout {
    /// Members of the channel
    #[arg(long, default_value_t = 100)]
    pub members: usize,
    /// Messages that the slowest member may lack
    #[arg(long, default_value_t = WINDOW, value_parser = clap::value_parser!(u64).range(1..))]
    pub window: u64,
    /// Bytes of one write of the publisher; 1 writes each message by itself
    #[arg(long, value_name = "BYTES", default_value_t = BATCH_BYTES)]
    pub batch: usize,
}

impl Fanout {
    pub(super) fn as_publish(&self) -> Publish {
        let Fanout { members, window, batch } = *self;
        Publish { members, window, batch, ..Publish::default() }
    }
}

pub(super) fn run<P: Protocol>(bench: &Bench, options: &Publish) -> Result<Report> {
    let (report, mut traffic) = measure::<P>(bench, options)?;
    traffic.finish()?;
    Ok(report)
}

/// Measures, and leaves all clients connected.
///
/// # Errors
/// Whatever prevents it.
pub fn measure<P: Protocol>(bench: &Bench, options: &Publish) -> Result<(Report, Traffic<P>)> {
    let Publish { publishers, channels, members, window, batch } = *options;
    let (bytes, prefix) = (bench.bytes.unwrap_or(BYTES), bench.prefix.clone());
    let plan = Plan { publishers, channels, members, shared: None, bytes, prefix };
    plan.check::<P>()?;
    let fleet = bench.fleet(plan.listeners() + publishers)?;
    let mut traffic = Traffic::<P>::new(fleet, plan, batch)?;
    let measured = closed_loop(bench, &mut traffic, window)?;

    let name = if members > 1 { "fanout" } else { "publish" };
    let mut report = Report::new(name, &what(options, bytes));
    report
        .count("publishers", publishers as u64)
        .count("channels", channels as u64)
        .count("members", members as u64)
        .count("bytes", bytes as u64)
        .count("window", window)
        .count("batch_bytes", batch as u64);
    let per_second = rate(measured.delivered, measured.used.at);
    report.put("delivered_per_s", per_second).say(format!(
        "{} messages delivered a second ({} published), {} MB/s",
        figure(per_second),
        figure(per_second / float(members as u64)),
        figure(per_second * float(bytes as u64) / 1e6)
    ));
    report.usage(measured.used, measured.delivered, "message");
    report.say_usage(measured.used, measured.delivered, "message delivered");
    put_memory(&mut report, bench);
    put_outcome(&mut report, &traffic, measured.is_flowing);
    Ok((report, traffic))
}

fn what(options: &Publish, bytes: usize) -> String {
    let Publish { publishers, channels, members, batch, .. } = *options;
    let plural = |number: usize, one: &str| {
        if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
    };
    let single = if batch == 1 { ", each written by itself" } else { "" };
    format!(
        "{} to {} of {} each, messages of {bytes} bytes{single}",
        plural(publishers, "publisher"),
        plural(channels, "channel"),
        plural(members, "member"),
    )
}
