//! The broker's figures: what has been counted, and the current state.

use super::page::{Page, float, named};
use crate::broker::Broker;
use crate::store::Store;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;
use std::collections::BTreeMap;
use std::fmt::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug)]
pub(super) struct Scrape(pub(super) Arc<Broker>);

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let (mut page, broker) = (Page(encoder), &*self.0);
        connections(&mut page, broker)?;
        messages(&mut page, broker)?;
        channels(&mut page, broker)?;
        rosters(&mut page, broker)?;
        commands(&mut page, broker)?;
        sessions(&mut page, broker)?;
        work(&mut page, broker)?;
        if let Some(store) = broker.store() {
            storage(&mut page, store)?;
        }
        let name = named("broker_uptime", "Time since the broker began.");
        page.gauge(name.of(&Unit::Seconds), float(broker.now_ms()) / 1e3)?;
        let draining = u64::from(broker.is_draining());
        page.gauge(named("broker_draining", "Whether everybody is sent away (SIGUSR2)."), draining)
    }
}

fn connections(page: &mut Page<'_>, broker: &Broker) -> Result<(), Error> {
    let mut here = BTreeMap::new();
    let mut residents = 0_u64;
    for client in broker.everyone() {
        if client.is_unwaited() {
            residents += 1;
        } else {
            *here.entry(client.origin().dialect).or_insert(0) += 1;
        }
    }
    let here: Vec<(&'static str, u64)> = here.into_iter().collect();
    let stats = &broker.stats;
    page.gauges(named("broker_connections", "Connections by dialect."), "dialect", &here)?;
    let help = "Members without a connection (over HTTP).";
    page.gauge(named("broker_residents", help), residents)?;
    let opened = named("broker_connections_opened", "Connections taken, by dialect.");
    page.counters(opened, "dialect", &stats.opened.get())?;
    let closed = named("broker_connections_closed", "Connections that have ended, by reason.");
    page.counters(closed, "reason", &stats.closed.get())?;
    let refused = named("broker_connections_refused", "Connections beyond --max-clients.");
    page.counter(refused, stats.refused.get())?;
    let help = "Bytes of requests, as far as they were read.";
    page.counter(named("broker_received", help).of(&Unit::Bytes), stats.traffic.read.get())?;
    let help = "Bytes of replies, frames and entries, as far as they were written.";
    page.counter(named("broker_sent", help).of(&Unit::Bytes), stats.traffic.written.get())
}

fn messages(page: &mut Page<'_>, broker: &Broker) -> Result<(), Error> {
    let stats = &broker.stats;
    let received = named("broker_messages_received", "Messages taken into a log.");
    page.counter(received, stats.published.get())?;
    let delivered = named("broker_messages_delivered", "Messages written to members.");
    page.counter(delivered, stats.delivered_messages.get())?;
    let help = "Entries written to members: messages, commands and changes of rosters.";
    page.counter(named("broker_entries_delivered", help), stats.delivered.get())?;
    page.counter(named("broker_gaps", "Gaps that members were told of."), stats.gaps.get())?;
    let faults = named("broker_faults", "Requests answered err.");
    page.counter(faults, stats.faults.get())
}

fn channels(page: &mut Page<'_>, broker: &Broker) -> Result<(), Error> {
    let (mut members, mut observers, mut bytes, mut open, mut worst) = (0, 0, 0, 0, 0);
    let channels = broker.channels();
    for channel in &channels {
        let summary = channel.summary();
        members += u64::from(summary.members);
        observers += number(summary.observers);
        bytes += number(summary.bytes);
        open += number(summary.commands);
        channel.lags(|entries| {
            worst = worst.max(entries);
            broker.stats.lag.note(entries);
        });
    }
    page.gauge(named("broker_channels", "Channels."), number(channels.len()))?;
    page.gauge(named("broker_members", "Members with a rank, of all channels."), members)?;
    page.gauge(named("broker_observers", "Observers, of all channels."), observers)?;
    let name = named("broker_logs", "What the channels' logs take in memory.");
    page.gauge(name.of(&Unit::Bytes), bytes)?;
    page.gauge(named("broker_commands_open", "Commands that wait for results."), open)?;
    let help = "By how many entries members were behind; all who are here, at each scrape.";
    page.spread(named("broker_lag_entries", help), &broker.stats.lag)?;
    let help = "By how many entries the slowest member is behind.";
    page.gauge(named("broker_lag_entries_max", help), worst)
}

fn rosters(page: &mut Page<'_>, broker: &Broker) -> Result<(), Error> {
    let stats = &broker.stats.channels;
    let changes = named("broker_roster_changes", "Changes of rosters, by what brought them about.");
    page.counters(changes, "cause", &stats.changes.get())?;
    let promotions =
        named("broker_promotions", "How often rank 0 went from one member to another.");
    page.counter(promotions, stats.promotions.get())?;
    let help = "How long rank 0 had no member that was here, until it had.";
    page.durations(named("broker_vacancy", help), &stats.vacancy.0)?;
    let help = "Channels whose rank 0 is not here.";
    page.gauge(named("broker_vacancies", help), number(stats.vacancies()))
}

fn commands(page: &mut Page<'_>, broker: &Broker) -> Result<(), Error> {
    let stats = &broker.stats;
    page.counter(named("broker_commands", "Commands accepted."), stats.commands.get())?;
    let help = "Commands that are over, by whether every result was code 0.";
    page.counters(named("broker_commands_ended", help), "outcome", &stats.channels.ended.get())?;
    let results = named("broker_command_results", "Results of commands.");
    page.counters(results, "result", &stats.channels.results.get())?;
    let help = "How long commands took, to their last result.";
    page.durations(named("broker_command_duration", help), &stats.channels.command_time.0)
}

fn sessions(page: &mut Page<'_>, broker: &Broker) -> Result<(), Error> {
    let help = "Sessions that wait for their clients.";
    page.gauge(named("broker_sessions_away", help), number(broker.parked_sessions()))?;
    let help = "What became of clients that wanted their session back.";
    page.counters(named("broker_resumes", help), "result", &broker.stats.resumes.get())
}

fn work(page: &mut Page<'_>, broker: &Broker) -> Result<(), Error> {
    let help = "Attempts to deliver something by a call-back, by what came of them.";
    page.counters(named("broker_deliveries", help), "result", &broker.stats.deliveries.get())?;
    let (waiting, running, workers) = broker.jobs().figures();
    page.gauge(named("broker_jobs_waiting", "Jobs that wait for a worker."), number(waiting))?;
    page.gauge(named("broker_jobs_running", "Jobs that run."), number(running))?;
    page.gauge(named("broker_workers", "Worker processes, about."), number(workers))
}

fn storage(page: &mut Page<'_>, store: &Store) -> Result<(), Error> {
    let figures = store.figures();
    let get = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
    let up = u64::from(store.check().is_ok());
    page.gauge(named("broker_store_up", "Whether durable channels take entries."), up)?;
    let name = named("broker_store_disk", "What the data directory takes.");
    page.gauge(name.of(&Unit::Bytes), store.bytes())?;
    let name = named("broker_store_commits", "Batches that are on disk.");
    page.counter(name, get(&figures.commits))?;
    page.counter(named("broker_store_entries", "Entries in them."), get(&figures.entries))?;
    let name = named("broker_store_written", "Bytes in them.");
    page.counter(name.of(&Unit::Bytes), get(&figures.bytes))?;
    let name = named("broker_store_fetches", "Reads for those who are behind.");
    page.counter(name, get(&figures.fetches))?;
    let help = "How long commits took, the wait for the disk (fsync) included.";
    page.durations(named("broker_store_commit_duration", help), &figures.commit_time.0)
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
