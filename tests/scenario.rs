//! One scenario, every dialect: create, join, publish, command, promotion,
//! leave, resume. It is written once and knows nothing of dialects
//! (`tests/drivers` does), and is played by teams of one dialect and of several.

// Clippy takes only what is marked #[test] for a test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod drivers;
mod support;

use drivers::{CHANNEL, Dialect, Entry, Member};
use serde_json::json;
use std::collections::HashMap;
use support::{Broker, DEADLINE, Events, eventually};

const NAMES: [&str; 7] = ["alice", "bob", "carol", "dave", "eve", "frank", "grace"];
/// How many messages each publishes while all the others do.
const AT_ONCE: usize = 20;

/// What is being played.
struct Play<'b> {
    broker: &'b Broker,
    /// Those who are there, by rank.
    team: Vec<Member<'b>>,
    /// Those who have left.
    gone: Vec<Member<'b>>,
    /// An observer from the beginning, which sees everything.
    witness: Events,
    /// The recipients of each command, by its seq.
    recipients: HashMap<u64, Vec<String>>,
}

/// The scenario, with such a team, from the top.
fn play(dialects: &[Dialect]) {
    println!("{dialects:?}");
    let broker = Broker::with(|config| {
        config.allow_callback = vec!["127.0.0.1/32".parse().unwrap()];
        // Nobody has to renew anything while it is played.
        config.lease = 3 * DEADLINE;
    });
    let team = NAMES.iter().zip(dialects).map(|(name, dialect)| dialect.enter(&broker, name));
    let mut play = Play::begin(&broker, team.collect());
    play.all_join();
    play.all_publish();
    play.those_above_command();
    play.those_below_may_not();
    play.the_lowest_is_promoted_and_yields();
    play.the_highest_leaves();
    play.each_is_lost_and_resumes();
    play.all_were_told_the_same();
}

impl<'b> Play<'b> {
    fn begin(broker: &'b Broker, mut team: Vec<Member<'b>>) -> Play<'b> {
        // The history is for those who come back without a session.
        let settings = json!({"hold": 60, "history": 1000});
        team[0].does("create", settings.clone());
        team[1].may_not("create", settings, "exists");
        let witness = broker.events(&format!("/v1/channels/{CHANNEL}/events"), None);
        Play { broker, team, gone: Vec::new(), witness, recipients: HashMap::new() }
    }

    fn all_join(&mut self) {
        for rank in 0..self.team.len() {
            let (above, newcomers) = self.team.split_at_mut(rank);
            newcomers[0].joins_with_rank(rank as u64);
            for member in above {
                member.hears(&format!("join {} {rank}", newcomers[0].name));
            }
        }
    }

    /// One after the other, and all at once.
    fn all_publish(&mut self) {
        for rank in 0..self.team.len() {
            self.publish(rank, json!(format!(r#"{rank} it's "ä" \ --to 🦀 #1"#)));
            self.publish(rank, json!({"a": [rank, "b"]}));
        }
        std::thread::scope(|scope| {
            for member in &mut self.team {
                scope.spawn(|| {
                    for n in 0..AT_ONCE {
                        let text = format!("{} {n}", member.name);
                        member.publishes(text);
                    }
                });
            }
        });
        self.publish(0, json!("all at once"));
        for member in &mut self.team {
            member.may_not("pub", json!({"channel": "nowhere", "data": "hi"}), "no-channel");
        }
    }

    /// Somebody publishes, and everybody hears it; its seq.
    fn publish(&mut self, rank: usize, data: serde_json::Value) -> u64 {
        let what = match &data {
            serde_json::Value::String(text) => format!("msg {text}"),
            other => format!("msg {other}"),
        };
        let seq = self.team[rank].publishes(data);
        self.team.iter_mut().for_each(|member| member.hears(&what));
        seq
    }

    /// A command goes to all below, or to one of them, and comes back.
    fn those_above_command(&mut self) {
        let lowest = self.team.len() - 1;
        for rank in 0..lowest {
            self.command(rank, rank + 1..lowest + 1, json!({"name": "reload"}));
        }
        let name = self.team[lowest].name.clone();
        self.command(0, lowest..lowest + 1, json!({"name": "reload", "to": name}));
    }

    fn command(&mut self, rank: usize, below: std::ops::Range<usize>, fields: serde_json::Value) {
        let command = self.team[rank].commands(fields, below.len() as u64);
        let mut results = Vec::new();
        for rank in below {
            let (member, code) = (&mut self.team[rank], rank as u64 % 2);
            member.obeys(command, code, &format!("code {code}"));
            self.recipients.entry(command).or_default().push(member.name.clone());
            results.push(format!("{rank} {:?} {code} code {code}", member.name));
        }
        assert_eq!(self.team[rank].gets_results(command), results);
    }

    /// Upwards there is no command and no promotion, in no dialect.
    fn those_below_may_not(&mut self) {
        let top = self.team[0].name.clone();
        let lowest = self.team.len() - 1;
        self.team[lowest].may_not("cmd", json!({"name": "reload"}), "rank");
        for member in &mut self.team[1..] {
            member.may_not("cmd", json!({"name": "reload", "to": top}), "rank");
            let name = member.name.clone();
            member.may_not("promote", json!({"member": name}), "rank");
        }
    }

    fn the_lowest_is_promoted_and_yields(&mut self) {
        let lowest = self.team.len() - 1;
        let name = self.team[lowest].name.clone();
        let first = self.team[0].does("rank", json!({}))["term"].clone();
        let promoted = self.team[0].does("promote", json!({"member": name}));
        assert_eq!(promoted["rank"], 0);
        self.team.rotate_right(1);
        let term = self.have_their_ranks(&promoted["view"]);
        // The term tells the member in command from the one that was.
        self.team[1].may_not("pub", json!({"data": "late", "term": first}), "fenced");
        self.team[0].does("pub", json!({"data": "in time", "term": term}));
        let yielded = self.team[0].does("yield", json!({}));
        assert_eq!(yielded["rank"], lowest);
        self.team.rotate_left(1);
        self.have_their_ranks(&yielded["view"]);
        self.publish(lowest, json!("as before"));
    }

    /// Everybody knows its rank in this view.
    fn have_their_ranks(&mut self, view: &serde_json::Value) -> u64 {
        let view = view.as_u64().expect("a view");
        for (rank, member) in self.team.iter_mut().enumerate() {
            member.has_rank(rank as u64, view);
        }
        view
    }

    fn the_highest_leaves(&mut self) {
        let last = self.publish(0, json!("I go"));
        let mut highest = self.team.remove(0);
        highest.leaves(last);
        // Without a connection, to leave its channel is to quit.
        let reason = if highest.ways().has_connection { "unsub" } else { "quit" };
        let left = format!("left {} 0 {reason}", highest.name);
        self.team.iter_mut().for_each(|member| member.hears(&left));
        self.have_their_ranks(&json!(last + 1));
        self.gone.push(highest);
    }

    /// A member that loses its connection keeps its seat, and hears what it has missed.
    fn each_is_lost_and_resumes(&mut self) {
        for lost in 0..self.team.len() {
            let other = usize::from(lost == 0);
            let before = format!("before {lost}");
            let seen = self.publish(other, json!(before));
            self.team[lost].loses_connection();
            if self.team[lost].ways().has_connection {
                let path = format!("/v1/channels/{CHANNEL}/members/{}", self.team[lost].name);
                let web = self.broker.web();
                eventually("it is away", || web.get(&path).json()["away"] == true);
            } else {
                // Its seat depends on its lease alone.
                println!("{}: no connection to lose, only what it hears by", self.team[lost].name);
            }
            for n in 0..3 {
                self.team[other].publishes(format!("without {lost}: {n}"));
            }
            self.team[lost].resumes(seen);
            self.publish(lost, json!(format!("with {lost}")));
            self.command(0, 1..self.team.len(), json!({"name": "again"}));
        }
    }

    /// What each was told, from its joining to its leaving, is what the witness
    /// saw, in the same order, without a hole and without a repetition.
    fn all_were_told_the_same(mut self) {
        self.publish(0, json!("the end"));
        let mut truth: Vec<Entry> = Vec::new();
        while truth.last().is_none_or(|entry| entry.what != "msg the end") {
            let (_, _, data) = self.witness.next().expect("the stream goes on");
            truth.extend(Entry::of(&serde_json::from_str(&data).unwrap()));
        }
        for (at, entry) in truth.iter().enumerate() {
            assert_eq!(entry.seq, Some(at as u64 + 1), "no holes: {entry:?}");
        }
        for member in self.gone.iter().chain(&self.team) {
            let due: Vec<&Entry> =
                truth.iter().filter(|entry| self.is_due(entry, member)).collect();
            for (due, told) in due.iter().zip(&member.record) {
                assert!(due.agrees(told), "{} was told {told:?} for {due:?}", member.name);
            }
            assert_eq!(due.len(), member.record.len(), "{}", member.name);
        }
    }

    fn is_due(&self, entry: &Entry, member: &Member<'_>) -> bool {
        let (seq, ways) = (entry.seq.expect("a seq"), member.ways());
        let is_for_others = || {
            let recipients = self.recipients.get(&seq);
            recipients.is_some_and(|names| !names.contains(&member.name))
        };
        member.here.contains(&seq) && (ways.hears_all || !is_for_others())
    }
}

/// A member of this dialect above, between and below others of it.
#[test]
fn every_dialect_among_its_own() {
    for dialect in Dialect::ALL {
        play(&[dialect; 3]);
    }
}

/// Each dialect in command of all others.
#[test]
fn every_dialect_above_all_others() {
    let mut team = Dialect::ALL;
    for _ in 0..team.len() {
        play(&team);
        team.rotate_left(1);
    }
}

/// "An HTTP member with a call-back above a text member above a browser."
#[test]
fn a_call_back_above_text_above_a_browser() {
    play(&[Dialect::CallBack, Dialect::Text, Dialect::WebSocket]);
}
