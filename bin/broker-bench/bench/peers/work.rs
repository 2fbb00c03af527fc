//! The lines of the table: what all brokers are made to do.

use super::program::{Kind, Setting};
use crate::bench::error::{Error, Result};
use crate::bench::workload::Workload;
use crate::bench::workload::channels::Channels;
use crate::bench::workload::churn::Churn;
use crate::bench::workload::idle::Idle;
use crate::bench::workload::latency::Latency;
use crate::bench::workload::publish::Publish;
use crate::bench::workload::slow::Slow;

/// One workload of the table.
pub struct Work {
    /// The name that selects it.
    pub name: &'static str,
    /// What it is called in the table.
    pub title: &'static str,
    /// What is done.
    pub workload: fn() -> Workload,
    /// What a message carries, if that is not the workload's choice.
    pub bytes: Option<usize>,
    /// What it asks of a broker.
    pub setting: Setting,
    /// Its figures in the table; the first is the one that is compared.
    pub figures: &'static [Figure],
    /// Whether all are spoken to as Redis is; brokers that cannot be stay out of it.
    pub as_redis: bool,
    /// Whether `raw` can do it.
    raw_can: bool,
}

/// A figure of the table.
pub struct Figure {
    /// Its key in the report.
    pub key: &'static str,
    /// What it is called.
    pub title: &'static str,
    /// The value is divided by this.
    pub unit: f64,
    /// Whether the value is yes or no.
    pub is_flag: bool,
}

const fn figure(key: &'static str, title: &'static str, unit: f64) -> Figure {
    Figure { key, title, unit, is_flag: false }
}

const LOST: Figure = figure("lost", "lost", 1.0);
const THROUGHPUT: &[Figure] = &[
    figure("broker_ns_per_message", "ns of CPU a message", 1.0),
    figure("delivered_per_s", "messages/s", 1.0),
    figure("broker_memory_peak_bytes", "peak memory, MiB", 1_048_576.0),
    LOST,
];
const LATENCY: &[Figure] = &[
    figure("p50_us", "p50, µs", 1.0),
    figure("p99_us", "p99, µs", 1.0),
    figure("broker_ns_per_message", "ns of CPU a message", 1.0),
    LOST,
];
const IDLE: &[Figure] = &[
    figure("bytes_per_connection", "bytes a connection", 1.0),
    figure("idle_cpu_ms_per_s", "ms of CPU a second", 1.0),
    figure("setup_us_per_connection", "µs of CPU to come in", 1.0),
];
const CHURN: &[Figure] = &[
    figure("broker_ns_per_cycle", "µs of CPU a cycle", 1e3),
    figure("cycles_per_s", "cycles/s", 1.0),
    figure("failed", "failed", 1.0),
];
const CHANNELS: &[Figure] = &[
    figure("bytes_per_channel", "bytes a channel", 1.0),
    figure("broker_ns_per_message", "ns of CPU a message", 1.0),
    figure("setup_us_per_channel", "µs of CPU to make one", 1.0),
    LOST,
];
const SLOW: &[Figure] = &[
    figure("with_p99_us", "p99 of the others, µs", 1.0),
    figure("without_p99_us", "p99 without it, µs", 1.0),
    figure("rate_kept", "rate the others keep", 1.0),
    figure("with_memory_added_bytes", "memory added, MiB", 1_048_576.0),
    Figure { key: "slow_cut_off", title: "is it cut off", unit: 1.0, is_flag: true },
    figure("slow_untold", "gone without a word", 1.0),
    figure("lost", "lost by the others", 1.0),
];

/// All of them.
pub const WORKS: &[Work] = &[
    Work {
        name: "fanout-100",
        title: "1 → 100, 128 B",
        workload: || publish(1, 1, 100),
        ..throughput()
    },
    Work {
        name: "ten",
        title: "10 channels, 10 publishers, 10 members each, 128 B",
        workload: || publish(10, 10, 10),
        ..throughput()
    },
    Work { name: "one-128", title: "1 → 1, 128 B", ..throughput() },
    Work { name: "one-16", title: "1 → 1, 16 B", bytes: Some(16), ..throughput() },
    Work {
        name: "fanout-10",
        title: "1 → 10, 1 KiB",
        workload: || publish(1, 1, 10),
        bytes: Some(1024),
        ..throughput()
    },
    Work {
        name: "single-1",
        title: "1 → 1, one write a message",
        workload: || single(1),
        ..throughput()
    },
    Work {
        name: "single-10",
        title: "1 → 10, one write a message",
        workload: || single(10),
        ..throughput()
    },
    Work {
        name: "latency-1",
        title: "latency 1 → 1 at 10,000/s",
        workload: || latency(10_000, 1),
        setting: Setting::Latency,
        figures: LATENCY,
        ..throughput()
    },
    Work {
        name: "latency-100",
        title: "latency 1 → 100 at 1,000/s",
        workload: || latency(1_000, 100),
        setting: Setting::Latency,
        figures: LATENCY,
        ..throughput()
    },
    Work {
        name: "idle",
        title: "10,000 idle connections",
        workload: || Workload::Idle(Idle::default()),
        figures: IDLE,
        ..throughput()
    },
    Work {
        name: "churn",
        title: "connect, subscribe, leave",
        workload: || Workload::Churn(Churn::default()),
        figures: CHURN,
        ..throughput()
    },
    Work {
        name: "redis-churn",
        title: "the same by Redis clients",
        workload: || Workload::Churn(Churn::default()),
        figures: CHURN,
        as_redis: true,
        ..throughput()
    },
    Work {
        name: "channels",
        title: "100,000 channels",
        workload: || Workload::Channels(Channels::default()),
        figures: CHANNELS,
        raw_can: false,
        ..throughput()
    },
    Work {
        name: "slow",
        title: "one member stops reading, 10,000/s, 1 KiB",
        workload: || Workload::Slow(Slow::default()),
        setting: Setting::OwnLimits,
        figures: SLOW,
        raw_can: false,
        ..throughput()
    },
];

const fn throughput() -> Work {
    Work {
        name: "",
        title: "",
        workload: || publish(1, 1, 1),
        bytes: None,
        setting: Setting::Throughput,
        figures: THROUGHPUT,
        as_redis: false,
        raw_can: true,
    }
}

fn publish(publishers: usize, channels: usize, members: usize) -> Workload {
    Workload::Publish(Publish { publishers, channels, members, ..Publish::default() })
}

/// Each message in a write of its own, and few on their way: nothing to batch.
fn single(members: usize) -> Workload {
    Workload::Publish(Publish { members, window: 64, batch: 1, ..Publish::default() })
}

fn latency(rate: u64, members: usize) -> Workload {
    Workload::Latency(Latency { rate, members, ..Latency::default() })
}

impl Work {
    /// Whether a program of this kind can do it.
    pub fn fits(&self, kind: Kind) -> bool {
        match kind {
            Kind::Raw => self.raw_can && !self.as_redis,
            Kind::Nats | Kind::Mosquitto => !self.as_redis,
            Kind::Valkey | Kind::Redis | Kind::Broker => true,
        }
    }
}

/// Returns those with these names, or whose names begin so; all, if no name is given.
///
/// # Errors
/// If there is none of a name.
pub fn chosen(names: &[String]) -> Result<Vec<&'static Work>> {
    let mut is_chosen = vec![names.is_empty(); WORKS.len()];
    for name in names {
        let exact = WORKS.iter().any(|work| work.name == name);
        let is_meant =
            |work: &Work| work.name == name || !exact && work.name.starts_with(name.as_str());
        if !WORKS.iter().any(is_meant) {
            let all: Vec<&str> = WORKS.iter().map(|work| work.name).collect();
            return Err(Error::Usage(format!(
                "no workload {name:?}; there are: {}",
                all.join(", ")
            )));
        }
        is_chosen.iter_mut().zip(WORKS).for_each(|(chosen, work)| *chosen |= is_meant(work));
    }
    Ok(WORKS.iter().zip(is_chosen).filter_map(|(work, chosen)| chosen.then_some(work)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_are_chosen_by_the_beginning_of_their_names() {
        let names = |words: &[&str]| -> Vec<&str> {
            let words: Vec<String> = words.iter().map(|word| (*word).to_string()).collect();
            chosen(&words).unwrap().iter().map(|work| work.name).collect()
        };
        assert_eq!(names(&["slow", "one"]), ["one-128", "one-16", "slow"]);
        assert_eq!(names(&["latency-1"]), ["latency-1"]);
        assert_eq!(names(&[]).len(), WORKS.len());
        assert!(chosen(&["two".to_string()]).is_err());
    }
}
