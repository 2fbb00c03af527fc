//! Requests that only ask.

use super::{PROTOCOL_VERSION, Session};
use crate::broker::channel::Summary;
use crate::broker::{Before, Client};
use crate::error::{Code, Fault, quoted};
use crate::jobs;
use crate::moment::millis;
use crate::process;
use crate::reply::{Line, Reply, Value};
use crate::request::Usage;
use crate::store::Store;
use ecow::EcoString;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The most channels that a row of `who` names; the others are only counted.
const CHANNELS_SHOWN_MAX: usize = 20;

impl Session {
    pub(super) fn rank(&self, channel: Option<String>) -> Result<Reply, Fault> {
        let name = self.named(channel)?;
        let (channel, member) = self.membership(&name)?;
        let standing = channel.standing(&member)?;
        let line = Line::new("rank").at("channel", name).at("rank", standing.rank);
        let line = line.with("term", standing.term).with("view", standing.view);
        Ok(line.with("members", standing.members).into())
    }

    pub(super) fn ranks(&self, channel: Option<String>) -> Result<Reply, Fault> {
        let name = self.named(channel)?;
        let (ranks, view) = self.broker.channel(&name)?.ranks();
        let row = |(rank, member): (u64, &crate::broker::channel::Ranked)| {
            let line = Line::new("member").at("channel", name.clone()).at("rank", rank);
            let line = line.at("member", member.name.clone()).with("term", member.term);
            let line = line.with("away", member.away).with("since", member.since);
            line.with("behind", member.behind)
        };
        let rows = (0..).zip(&ranks).map(row).collect();
        let last = Line::new("ranks").at("channel", name.clone()).at("count", ranks.len());
        Ok(Reply::List(rows, last.with("view", view)))
    }

    pub(super) fn check(&self, channel: &str, term: u64) -> Result<Reply, Fault> {
        let (top, view) = self.broker.channel(channel)?.top();
        let line =
            Line::new("check").at("channel", channel).with("current", top != 0 && top == term);
        Ok(line.with("term", top).with("view", view).into())
    }

    pub(super) fn channels(&self) -> Reply {
        let channels = self.broker.channels();
        let rows: Vec<Line> = channels.iter().map(|channel| summary(&channel.summary())).collect();
        let last = Line::new("channels").at("count", rows.len());
        Reply::List(rows, last)
    }

    pub(super) fn info(&self, channel: &str, now_ms: u64) -> Result<Reply, Fault> {
        let channel = self.broker.channel(channel)?;
        // The last seq, visible or not: the reply waits until it is visible.
        let figures = Summary { seq: channel.last_seq(), ..channel.summary() };
        let max =
            figures.settings.members_max.map_or(self.broker.config.max_members, |m| m as usize);
        let row = summary(&figures)
            .with("max", max)
            .with("history-age", figures.settings.history_age.map_or("all".into(), Value::from))
            .with("history-bytes", figures.settings.history_bytes.map_or("all".into(), Value::from))
            .with("hold", figures.settings.hold)
            .with("on-close", figures.settings.on_close.as_str())
            .with("observers", figures.observers)
            .with("view", figures.view)
            .with("first", channel.first_offered(now_ms))
            .with("bytes", figures.stored.unwrap_or(figures.bytes as u64))
            .with("commands", figures.commands)
            .with("created", figures.created);
        let last = Line::new("info").at("channel", figures.name);
        Ok(Reply::List(vec![row], last))
    }

    pub(super) fn who(&self, channel: Option<&str>, now_ms: u64) -> Result<Reply, Fault> {
        let clients = match channel {
            Some(channel) => {
                let present = self.broker.channel(channel)?.clients().into_iter();
                present.filter(|client| !client.is_away()).collect()
            }
            None => self.broker.everyone(),
        };
        let rows: Vec<Line> = clients.iter().map(|client| present(client, now_ms)).collect();
        let last = Line::new("who").at("count", rows.len());
        Ok(Reply::List(rows, last))
    }

    pub(super) fn past_clients(&self, last: Option<u64>) -> Reply {
        let last = last.map_or(usize::MAX, |last| usize::try_from(last).unwrap_or(usize::MAX));
        let past = self.broker.past(last);
        let row = |past: &crate::broker::Past| {
            Line::new("client")
                .at("name", past.name.clone())
                .at("addr", past.addr.to_string())
                .with("since", past.since)
                .with("until", past.until)
                .with("secs", past.here.as_secs())
                .with("reason", past.reason.as_str())
        };
        let rows: Vec<Line> = past.iter().map(row).collect();
        let last = Line::new("clients").at("count", rows.len());
        Reply::List(rows, last)
    }

    pub(super) fn stats(&self, now_ms: u64) -> Reply {
        let stats = &self.broker.stats;
        let (waiting, running, workers) = self.broker.jobs().figures();
        let line = Line::new("stats")
            .with("uptime", now_ms / 1_000)
            .with("clients", self.broker.client_count())
            .with("channels", self.broker.channel_count())
            .with("sessions-kept", self.broker.parked_sessions())
            .with("connections", stats.connections.get())
            .with("refused", stats.refused.get())
            .with("published", stats.published.get())
            .with("delivered", stats.delivered.get())
            .with("commands", stats.commands.get())
            .with("gaps", stats.gaps.get())
            .with("faults", stats.faults.get())
            .with("jobs-waiting", waiting)
            .with("jobs-running", running)
            .with("workers", workers);
        let line = match process::memory_bytes() {
            Some(bytes) => line.with("memory-bytes", bytes),
            None => line,
        };
        match self.broker.store() {
            Some(store) => with_store(line, store, self.broker.before()).into(),
            None => line.into(),
        }
    }
}

fn with_store(line: Line, store: &Store, before: &Before) -> Line {
    let figures = store.figures();
    let get = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
    line.with("store", store.state())
        .with("commits", get(&figures.commits))
        .with("stored-entries", get(&figures.entries))
        .with("stored-bytes", get(&figures.bytes))
        .with("fetches", get(&figures.fetches))
        .with("disk-bytes", store.bytes())
        .with("recovery-ms", millis(before.took))
        .with("recovered-channels", before.channels)
        .with("recovered-entries", before.entries)
        .with("recovered-sessions", before.sessions)
}

fn summary(channel: &Summary) -> Line {
    let settings = &channel.settings;
    let kept = match settings.entries_kept() {
        u64::MAX => Value::from("all"),
        entries => entries.into(),
    };
    Line::new("channel")
        .at("channel", channel.name.clone())
        .with("members", channel.members)
        .with("seq", channel.seq)
        .with("history", kept)
        .with("durable", settings.durable)
}

fn present(client: &Arc<Client>, now_ms: u64) -> Line {
    let mut names: Vec<EcoString> = {
        let subscriptions = crate::sync::lock(&client.subscriptions);
        let present = subscriptions.iter().filter(|(_, member)| !member.has_left());
        present.map(|(channel, _)| channel.name().clone()).collect()
    };
    names.sort_unstable();
    if names.len() > CHANNELS_SHOWN_MAX {
        let others = names.len() - CHANNELS_SHOWN_MAX;
        names.truncate(CHANNELS_SHOWN_MAX);
        names.push(format!("+{others}").into());
    }
    let origin = client.origin();
    let mut line = Line::new("client")
        .at("name", client.name())
        .at("addr", origin.addr.to_string())
        .with("dialect", origin.dialect)
        .with("since", origin.since())
        .with("secs", now_ms.saturating_sub(origin.since_ms) / 1_000);
    line.fields.push(crate::reply::Field {
        key: "channels",
        value: Value::Names(names),
        positional: false,
    });
    line
}

pub(super) fn version() -> Reply {
    let line = Line::new("version").with("broker", env!("CARGO_PKG_VERSION"));
    line.with("protocol", PROTOCOL_VERSION).into()
}

pub(super) fn help(verb: Option<&str>) -> Result<Reply, Fault> {
    let asked = |usage: &Usage| verb.is_none_or(|verb| usage.verb == verb);
    let row = |usage: Usage| {
        let words = if usage.words.is_empty() { "-" } else { usage.words };
        let text = format!("{} {words} : {}", usage.verb, usage.told()).replace(" - :", " :");
        Line::new("help").at("text", text)
    };
    let rows: Vec<Line> = jobs::verbs().filter(asked).map(row).collect();
    if rows.is_empty() {
        let text = format!("{} is no verb; see: help", quoted(verb.unwrap_or_default()));
        return Err(Fault::new(Code::UnknownCommand, text));
    }
    let last = Line::new("help").at("count", rows.len());
    Ok(Reply::List(rows, last))
}
