//! The resources of the process, as far as Linux reports them; elsewhere only those
//! that every system knows.

use super::page::{Page, float, named};
use crate::process;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};
use std::fmt::Error;
use std::fs;

#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut page = Page(encoder);
        let name = named("process_cpu", "Time that processors have worked for this process.");
        page.counter_secs(name.of(&Unit::Seconds), cpu_secs())?;
        if let Some(bytes) = process::memory_bytes() {
            let name = named("process_resident_memory", "Memory that the process takes.");
            page.gauge(name.of(&Unit::Bytes), bytes)?;
        }
        if let Some(threads) = status("Threads:") {
            page.gauge(named("process_threads", "Threads of the process."), threads)?;
        }
        if let Ok(files) = fs::read_dir("/proc/self/fd") {
            let files = u64::try_from(files.count()).unwrap_or(u64::MAX);
            page.gauge(named("process_open_fds", "Files that are open."), files)?;
        }
        if let Some(most) = getrlimit(Resource::Nofile).current {
            page.gauge(named("process_max_fds", "Files that may be open."), most)?;
        }
        Ok(())
    }
}

fn cpu_secs() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let part = |part: i64| float(u64::try_from(part).unwrap_or(0));
    part(time.tv_sec) + part(time.tv_nsec) / 1e9
}

/// The number of a line of `/proc/self/status`.
fn status(key: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}
