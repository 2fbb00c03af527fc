//! Somebody in a scenario: does what members do, and keeps what it was told.

use super::{Driver, Entry, Ways};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::ops::RangeInclusive;

/// The channel of every scenario.
pub const CHANNEL: &str = "ops";

pub struct Member<'b> {
    pub name: String,
    driver: Box<dyn Driver + 'b>,
    /// The rank that it has, as far as it knows.
    rank: u64,
    /// The seqs of the entries that came while it was there.
    pub here: RangeInclusive<u64>,
    /// The entries that it was told, in the order in which it was.
    pub record: Vec<Entry>,
    /// Other frames that it was told and has not looked at.
    told: VecDeque<Value>,
}

impl<'b> Member<'b> {
    pub fn new(name: &str, driver: Box<dyn Driver + 'b>) -> Member<'b> {
        let (record, told) = (Vec::new(), VecDeque::new());
        Member { name: name.into(), driver, rank: 0, here: 1..=u64::MAX, record, told }
    }

    pub fn ways(&self) -> Ways {
        self.driver.ways()
    }

    /// Asks for something in the channel: the reply's fields, or the error's code.
    pub fn ask(&mut self, op: &str, fields: Value) -> Result<Value, String> {
        let mut fields = fields;
        if fields["channel"].is_null() {
            fields["channel"] = CHANNEL.into();
        }
        self.driver.ask(op, fields)
    }

    /// The same, which must be granted.
    #[track_caller]
    pub fn does(&mut self, op: &str, fields: Value) -> Value {
        let shown = format!("{} asks for {op} {fields}", self.name);
        self.ask(op, fields).unwrap_or_else(|code| panic!("{shown} and hears {code}"))
    }

    /// The same, which must be refused with this code.
    #[track_caller]
    pub fn may_not(&mut self, op: &str, fields: Value, code: &str) {
        let shown = format!("{} asks for {op} {fields}", self.name);
        assert_eq!(self.ask(op, fields), Err(code.into()), "{shown}");
    }

    /// Joins at the bottom, which is this rank. Returns the view.
    #[track_caller]
    pub fn joins_with_rank(&mut self, rank: u64) -> u64 {
        let joined = self.does("sub", json!({}));
        let view = joined["view"].as_u64().expect("a view");
        assert_eq!([&joined["rank"], &joined["term"]], [rank, view], "{joined}");
        self.here = view + 1..=u64::MAX;
        self.rank = rank;
        view
    }

    /// Publishes. Returns the entry's seq.
    #[track_caller]
    pub fn publishes(&mut self, data: impl Into<Value>) -> u64 {
        seq(&self.does("pub", json!({"data": data.into()})))
    }

    /// Gives a command to this many members below it. Returns the command's seq.
    #[track_caller]
    pub fn commands(&mut self, mut fields: Value, to: u64) -> u64 {
        fields["args"] = json!(["all of it", "it's \"now\""]);
        let given = self.does("cmd", fields);
        assert_eq!(given["to"], to, "{given}");
        seq(&given)
    }

    /// Carries out the command with this seq.
    #[track_caller]
    pub fn obeys(&mut self, command: u64, code: u64, text: &str) {
        while self.record.last().is_none_or(|entry| entry.seq != Some(command)) {
            self.hears_next();
        }
        self.does("ack", json!({"seq": command, "code": code, "text": text}));
    }

    /// Waits for all results of its command. Returns `MEMBER RANK RESULT TEXT` of each.
    pub fn gets_results(&mut self, command: u64) -> Vec<String> {
        let (results, ok) = if let Some(results) = self.driver.results(CHANNEL, command) {
            (results["results"].as_array().expect("rows").clone(), results["ok"].clone())
        } else {
            let done = self.is_told("done", "seq", command);
            let is_of = |frame: &Value| frame["frame"] == "ack" && frame["seq"] == command;
            let results = self.told.iter().filter(|frame| is_of(frame)).cloned();
            let results: Vec<Value> = results.collect();
            assert_eq!(done["sent"], results.len());
            (results, done["ok"].clone())
        };
        assert_eq!(ok, results.iter().filter(|result| result["result"] == 0).count());
        let mut rows: Vec<String> = results
            .iter()
            .map(|result| {
                let text = result["text"].as_str().expect("a text");
                format!("{} {} {} {text}", result["rank"], result["member"], result["result"])
            })
            .collect();
        rows.sort();
        rows
    }

    /// Asserts that it has this rank in this view, and was told so if it had another.
    #[track_caller]
    pub fn has_rank(&mut self, rank: u64, view: u64) {
        if self.rank != rank && self.ways().is_told_its_rank {
            let told = self.is_told("rank", "view", view);
            assert_eq!([&told["rank"], &told["term"]], [rank, view], "{} {told}", self.name);
        }
        let shown = self.does("rank", json!({}));
        assert_eq!([&shown["rank"], &shown["view"]], [rank, view], "{} {shown}", self.name);
        if self.rank != rank {
            assert_eq!(shown["term"], view, "{} {shown}", self.name);
        }
        self.rank = rank;
    }

    /// Hears everything up to this entry.
    #[track_caller]
    pub fn hears(&mut self, what: &str) {
        while self.record.iter().all(|entry| entry.what != what) {
            self.hears_next();
        }
    }

    /// Leaves; `last` is the seq of the last entry that it heard.
    #[track_caller]
    pub fn leaves(&mut self, last: u64) {
        self.here = *self.here.start()..=last;
        self.does("unsub", json!({}));
    }

    pub fn loses_connection(&mut self) {
        self.driver.lose();
    }

    pub fn resumes(&mut self, seen: u64) {
        self.driver.resume(CHANNEL, seen);
    }

    /// The next frame of this kind, where the key has this value.
    fn is_told(&mut self, kind: &str, key: &str, value: u64) -> Value {
        let is_it = |frame: &Value| frame["frame"] == kind && frame[key] == value;
        loop {
            if let Some(found) = self.told.iter().find(|frame| is_it(frame)) {
                return found.clone();
            }
            self.hears_next();
        }
    }

    fn hears_next(&mut self) {
        let frame = self.driver.frame();
        assert_ne!(frame["frame"], "gap", "{} has lost something: {frame}", self.name);
        match Entry::of(&frame) {
            Some(entry) => self.record.push(entry),
            None => self.told.push_back(frame),
        }
    }
}

fn seq(reply: &Value) -> u64 {
    reply["seq"].as_u64().expect("a seq")
}
