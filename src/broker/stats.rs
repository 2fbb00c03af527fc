//! The broker's figures. Counted once a batch, never once a message; what can be
//! counted when somebody asks is not here.

use crate::error::Close;
use crate::figures::{Counter, Durations, Labelled, Sharded, Spread, Traffic};
use crate::frame::Outcome;
use crate::log::Departure;
use crate::request::dialect;
use crate::roster::Change;
use crate::sync::lock;
use ecow::EcoString;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What has happened since the broker began.
#[derive(Debug)]
pub struct Stats {
    /// Messages taken into a log.
    pub published: Sharded,
    /// Entries written to members.
    pub delivered: Sharded,
    /// Messages among the entries written to members.
    pub delivered_messages: Sharded,
    /// Bytes of connections.
    pub traffic: Arc<Traffic>,
    /// Commands accepted.
    pub commands: Counter,
    /// Gaps that members were told of.
    pub gaps: Counter,
    /// Connections taken.
    pub connections: Counter,
    /// Connections refused because the broker was full.
    pub refused: Counter,
    /// Requests answered `err`.
    pub faults: Counter,
    /// Connections by dialect, once that is known.
    pub opened: Labelled,
    /// Connections that have ended, by [`Close`], or because they said nothing.
    pub closed: Labelled,
    /// Attempts to resume a session, by what came of them.
    pub resumes: Labelled,
    /// Attempts to deliver something by a call-back, by what came of them.
    pub deliveries: Labelled,
    /// How many entries members were behind, measured whenever somebody asked.
    pub lag: Spread,
    /// What has happened in channels.
    pub channels: Arc<ChannelStats>,
}

/// The reason of a connection that never said anything.
pub const SILENT: &str = "silent";

/// The reason of one that was to be encrypted, and could not be.
pub const HANDSHAKE: &str = "handshake";

/// Why connections of the number-sequence dialect end, besides `lost`: the
/// client has what it wanted, or its time was up.
const NUMSEQ: [&str; 2] = ["done", "time"];

const LAG_ENDS: &[u64] = &[0, 1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];

impl Default for Stats {
    fn default() -> Self {
        Stats {
            published: Sharded::default(),
            delivered: Sharded::default(),
            delivered_messages: Sharded::default(),
            traffic: Arc::default(),
            commands: Counter::default(),
            gaps: Counter::default(),
            connections: Counter::default(),
            refused: Counter::default(),
            faults: Counter::default(),
            opened: Labelled::new(dialect::OPENING.into_iter().chain(["other"])),
            closed: Labelled::new(
                Close::ALL.map(Close::as_str).into_iter().chain(NUMSEQ).chain([SILENT, HANDSHAKE]),
            ),
            resumes: Labelled::new(["resumed", "gone", "denied"]),
            deliveries: Labelled::new(["done", "accepted", "refused", "unwanted", "failed"]),
            lag: Spread::new(LAG_ENDS),
            channels: Arc::default(),
        }
    }
}

/// What has happened in all channels: rosters and commands.
#[derive(Debug)]
pub struct ChannelStats {
    /// Changes of rosters, by what brought them about.
    pub changes: Labelled,
    /// How often rank 0 went from one member to another.
    pub promotions: Counter,
    /// How long rank 0 was vacant: its member was away.
    pub vacancy: Durations,
    /// Commands that are over, by whether every result was code 0.
    pub ended: Labelled,
    /// Results of commands.
    pub results: Labelled,
    /// How long commands took, from their seq to their last result.
    pub command_time: Durations,
    /// Channels whose rank 0 is vacant, by name: since when, in milliseconds of the
    /// broker's clock.
    vacant: Mutex<HashMap<EcoString, u64>>,
}

const DEPARTURES: [Departure; 6] = [
    Departure::Quit,
    Departure::Lost,
    Departure::Timeout,
    Departure::Kicked,
    Departure::Unsub,
    Departure::Dropped,
];

impl Default for ChannelStats {
    fn default() -> Self {
        let departures = DEPARTURES.map(Departure::as_str);
        ChannelStats {
            changes: Labelled::new(["join", "move"].into_iter().chain(departures)),
            promotions: Counter::default(),
            vacancy: Durations::default(),
            ended: Labelled::new(["ok", "failed"]),
            results: Labelled::new(["ok", "failed", "timeout", "left"]),
            command_time: Durations::default(),
            vacant: Mutex::default(),
        }
    }
}

impl ChannelStats {
    /// Counts a change of a roster.
    pub fn changed(&self, change: Change, why: Option<Departure>) {
        let cause = match change {
            Change::Join { .. } => "join",
            Change::Move { .. } => "move",
            Change::Left { .. } => why.unwrap_or(Departure::Lost).as_str(),
        };
        self.changes.add(cause, 1);
    }

    /// Ends the vacancy of a channel: the member with rank 0 is back, or another
    /// one has the rank.
    pub fn filled(&self, channel: &str, now_ms: u64) {
        let since_ms = lock(&self.vacant).remove(channel);
        let vacant_ms = since_ms.map_or(0, |since_ms| now_ms.saturating_sub(since_ms));
        self.vacancy.note(Duration::from_millis(vacant_ms));
    }

    /// Begins the vacancy of a channel, unless it has begun: the member with rank 0
    /// is away.
    pub fn vacant(&self, channel: &EcoString, now_ms: u64) {
        lock(&self.vacant).entry(channel.clone()).or_insert(now_ms);
    }

    /// Forgets the vacancy of a channel that has no members any more, so that
    /// nobody misses rank 0.
    pub fn deserted(&self, channel: &str) {
        lock(&self.vacant).remove(channel);
    }

    /// How many channels have a vacant rank 0.
    pub fn vacancies(&self) -> usize {
        lock(&self.vacant).len()
    }

    /// Counts one recipient's result of a command.
    pub fn result(&self, outcome: Outcome) {
        let word = match outcome.code() {
            Ok(0) => "ok",
            Ok(_) => "failed",
            Err(word) => word,
        };
        self.results.add(word, 1);
    }

    /// Counts a command whose results are all in.
    pub fn ended(&self, all_ok: bool, took: Duration) {
        self.ended.add(if all_ok { "ok" } else { "failed" }, 1);
        self.command_time.note(took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vacancy_lasts_from_the_loss_to_the_successor() {
        let stats = ChannelStats::default();
        let name: EcoString = "ops".into();
        stats.vacant(&name, 1_000);
        // The next one in line is not here either.
        stats.vacant(&name, 2_000);
        assert_eq!(stats.vacancies(), 1);
        stats.filled(&name, 4_000);
        assert_eq!(stats.vacancies(), 0);
        // A successor that was there at once.
        stats.filled(&name, 9_000);
        let (sum_us, steps) = stats.vacancy.0.get();
        assert_eq!(sum_us, 3_000_000);
        assert_eq!(steps.iter().map(|(_, count)| count).sum::<u64>(), 2);
        stats.vacant(&name, 10_000);
        stats.deserted(&name);
        assert_eq!(stats.vacancies(), 0);
    }
}
