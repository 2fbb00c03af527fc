//! A seeded model test: random joins, leaves, kicks, yields, promotions,
//! messages, commands and answers, against a model of the roster that fits on
//! a page. After every step the broker must say what the model says; in the end
//! every client must have received exactly what the model says it is due, in
//! order, although the "socket" took random bits at a time.
//!
//! A failure prints its seed: `MODEL_SEED=7 cargo test --test model`.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use ranked_broker::broker::Broker;
use ranked_broker::config::Config;
use ranked_broker::error::{Close, Code};
use ranked_broker::request::Request;
use ranked_broker::session::{Batch, Session};
use ranked_broker::wire::text;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use support::Dice;

/// A roster as one would explain it, and every line that its channel ever had.
#[derive(Default)]
struct Channel {
    /// The members by rank, each with the seq since which it has that rank.
    roster: Vec<(String, u64)>,
    view: u64,
    /// Every entry: its line, and who may see it if not everybody.
    entries: Vec<(String, Option<HashSet<String>>)>,
    top_terms: Vec<u64>,
    /// Commands under way: who is yet to answer.
    open: BTreeMap<u64, HashSet<String>>,
}

impl Channel {
    fn rank(&self, name: &str) -> Option<usize> {
        self.roster.iter().position(|(member, _)| member == name)
    }

    fn append(&mut self, line: impl FnOnce(u64) -> String, only: Option<HashSet<String>>) -> u64 {
        let seq = self.entries.len() as u64 + 1;
        self.entries.push((line(seq), only));
        seq
    }

    fn change(&mut self, line: impl FnOnce(u64) -> String, change: impl FnOnce(&mut Self, u64)) {
        let seq = self.append(line, None);
        change(self, seq);
        self.view = seq;
        if let Some((_, term)) = self.roster.first() {
            assert!(self.top_terms.last().is_none_or(|last| last <= term), "the model is wrong");
            self.top_terms.push(*term);
        }
    }

    fn join(&mut self, name: &str) {
        let rank = self.roster.len();
        let line = |seq| format!("join CH {seq} {name} {rank}");
        self.change(line, |c, seq| c.roster.push((name.into(), seq)));
    }

    fn leave(&mut self, name: &str, why: &str) {
        let rank = self.rank(name).unwrap();
        let line = |seq| format!("left CH {seq} {name} {rank} reason={why}");
        self.change(line, |c, seq| {
            c.roster.remove(rank);
            c.roster[rank..].iter_mut().for_each(|member| member.1 = seq);
        });
        for awaited in self.open.values_mut() {
            awaited.remove(name);
        }
        self.open.retain(|_, awaited| !awaited.is_empty());
    }

    fn place(&mut self, name: &str, new: usize) {
        let old = self.rank(name).unwrap();
        if old == new {
            return;
        }
        let line = |seq| format!("move CH {seq} {name} {old} {new}");
        self.change(line, |c, seq| {
            let member = c.roster.remove(old);
            c.roster.insert(new, member);
            c.roster[old.min(new)..=old.max(new)].iter_mut().for_each(|m| m.1 = seq);
        });
    }
}

/// One client: the real session, what it was sent, and what it is due.
struct Client {
    name: String,
    session: Session,
    batch: Batch,
    received: Vec<u8>,
    /// The lines it is due, by channel: indices into the model's entries.
    due: HashMap<usize, Vec<usize>>,
    /// Where each present membership began.
    since: HashMap<usize, usize>,
    /// Commands it gave: channel and seq, and how many recipients.
    gave: Vec<(usize, u64, usize)>,
}

struct World {
    dice: Dice,
    broker: Arc<Broker>,
    channels: Vec<Channel>,
    clients: Vec<Client>,
    born: usize,
    gaps: usize,
    pump_every: usize,
    now_ms: u64,
}

const CHANNELS: usize = 3;
const CLIENTS: usize = 8;

fn channel_name(at: usize) -> String {
    format!("ch{at}")
}

impl World {
    fn new(seed: u64, log_bytes: usize) -> Self {
        let config = Config {
            log_bytes,
            stall: std::time::Duration::from_millis(20),
            idle_timeout: std::time::Duration::ZERO,
            ..Config::default()
        };
        let broker = Broker::open(config, Box::new(text::TextEncoder)).unwrap();
        let channels = (0..CHANNELS).map(|_| Channel::default()).collect();
        let mut world = World {
            dice: Dice(seed),
            broker,
            channels,
            clients: vec![],
            born: 0,
            gaps: 0,
            pump_every: if log_bytes < 10_000 { 40 } else { 3 },
            now_ms: 1,
        };
        for _ in 0..CLIENTS {
            world.arrive();
        }
        for at in 0..CHANNELS {
            world.ask(0, &format!("create {}", channel_name(at))).unwrap();
        }
        world
    }

    fn arrive(&mut self) {
        let client = self.broker.enter("127.0.0.1:1".parse().unwrap(), "text");
        let name = format!("m{}", self.born);
        self.born += 1;
        self.clients.push(Client {
            session: Session::new(self.broker.clone(), client),
            name: name.clone(),
            batch: Batch::default(),
            received: Vec::new(),
            due: HashMap::new(),
            since: HashMap::new(),
            gave: Vec::new(),
        });
        self.ask(self.clients.len() - 1, &format!("hello --name {name}")).unwrap();
    }

    /// Sends one line as a client; its reply, or the code of its fault.
    fn ask(&mut self, at: usize, line: &str) -> Result<String, Code> {
        let session = &mut self.clients[at].session;
        let request: Request<'_> = text::decode(line.as_bytes()).unwrap().unwrap();
        let answer = session.handle(request, self.now_ms);
        session.flush();
        let mut reply = Vec::new();
        match answer {
            Ok(answer) => text::reply(&answer.unwrap(), &mut reply),
            Err(fault) => return Err(fault.code),
        }
        Ok(String::from_utf8(reply).unwrap())
    }

    /// Lets a client's socket take everything, or a random part.
    fn pump(&mut self, at: usize, everything: bool) {
        let Client { session, batch, received, .. } = &mut self.clients[at];
        loop {
            let closed = session.take_mail(&mut batch.frames, true);
            assert_eq!(closed, None);
            session.gather(batch);
            for frame in batch.frames.drain(..) {
                text::frame(&frame, received);
            }
            let bytes: Vec<u8> = batch.pieces.iter().flat_map(|p| p.bytes().to_vec()).collect();
            let taken = if everything { bytes.len() } else { self.dice.roll(bytes.len() + 1) };
            received.extend_from_slice(&bytes[..taken]);
            let rest = session.settle(batch, taken, taken > 0, self.now_ms);
            received.extend_from_slice(&rest);
            if !everything || !session.has_news() {
                return;
            }
        }
    }

    fn step(&mut self) {
        self.now_ms += self.dice.roll(3) as u64;
        let (who, at) = (self.dice.roll(self.clients.len()), self.dice.roll(CHANNELS));
        let other = self.dice.roll(self.clients.len());
        match self.dice.roll(20) {
            0..=4 => self.sub(who, at),
            5 => self.unsub(who, at),
            6 => self.kick(who, other, at),
            7 => self.yield_rank(who, at),
            8 => self.promote(who, other, at),
            9..=12 => self.publish(who, at),
            13..=14 => self.command(who, None, at),
            15 => self.command(who, Some(other), at),
            16..=18 => self.answer(who, at),
            _ => self.depart(who),
        }
        for at in 0..self.clients.len() {
            if self.dice.roll(self.pump_every) == 0 {
                self.pump(at, false);
            }
        }
        self.compare_rosters();
    }

    fn name(&self, who: usize) -> String {
        self.clients[who].name.clone()
    }

    fn sub(&mut self, who: usize, at: usize) {
        let name = self.name(who);
        let reply = self.ask(who, &format!("sub {}", channel_name(at)));
        if self.channels[at].rank(&name).is_some() {
            assert_eq!(reply, Err(Code::AlreadyMember));
            return;
        }
        self.channels[at].join(&name);
        let channel = &self.channels[at];
        let (seq, members) = (channel.entries.len(), channel.roster.len());
        let expected = format!(
            "ok sub {} rank={} term={seq} view={seq} seq={seq} members={members}\n",
            channel_name(at),
            members - 1
        );
        assert_eq!(reply, Ok(expected));
        self.clients[who].since.insert(at, seq);
    }

    /// A membership has ended: what it was due is what came since it began.
    fn ended(&mut self, who: usize, at: usize, sees_own_left: bool) {
        let client = &mut self.clients[who];
        let since = client.since.remove(&at).unwrap();
        let until = self.channels[at].entries.len() - usize::from(!sees_own_left);
        client.due.entry(at).or_default().extend(since..until);
    }

    fn unsub(&mut self, who: usize, at: usize) {
        let name = self.name(who);
        let reply = self.ask(who, &format!("unsub {}", channel_name(at)));
        if self.channels[at].rank(&name).is_none() {
            assert_eq!(reply, Err(Code::NotMember));
            return;
        }
        assert!(reply.is_ok());
        self.channels[at].leave(&name, "unsub");
        self.ended(who, at, false);
    }

    fn kick(&mut self, who: usize, other: usize, at: usize) {
        let (name, target) = (self.name(who), self.name(other));
        let reply = self.ask(who, &format!("kick {} {target} because", channel_name(at)));
        let expected = match (self.channels[at].rank(&name), self.channels[at].rank(&target)) {
            (None, _) => Err(Code::NotMember),
            (_, None) => Err(Code::NoMember),
            (Some(own), Some(theirs)) if own >= theirs => Err(Code::Rank),
            _ => Ok(()),
        };
        assert_eq!(reply.map(drop), expected);
        if expected.is_ok() {
            self.channels[at].leave(&target, "kicked");
            self.ended(other, at, true);
        }
    }

    fn yield_rank(&mut self, who: usize, at: usize) {
        let name = self.name(who);
        let reply = self.ask(who, &format!("yield {}", channel_name(at)));
        let channel = &mut self.channels[at];
        if channel.rank(&name).is_none() {
            assert_eq!(reply, Err(Code::NotMember));
            return;
        }
        let bottom = channel.roster.len() - 1;
        channel.place(&name, bottom);
        let view = channel.view;
        assert_eq!(reply, Ok(format!("ok yield {} rank={bottom} view={view}\n", channel_name(at))));
    }

    fn promote(&mut self, who: usize, other: usize, at: usize) {
        let rank = self.dice.roll(CLIENTS);
        let (name, target) = (self.name(who), self.name(other));
        let reply = self.ask(who, &format!("promote {} {target} {rank}", channel_name(at)));
        let channel = &mut self.channels[at];
        let expected = match (channel.rank(&name), channel.rank(&target)) {
            (None, _) => Err(Code::NotMember),
            (_, None) => Err(Code::NoMember),
            (Some(1..), _) => Err(Code::Rank),
            _ if rank >= channel.roster.len() => Err(Code::BadRequest),
            _ => Ok(()),
        };
        // Whether the target is a member at all is asked before who may promote it.
        assert_eq!(reply.map(drop), expected);
        if expected.is_ok() {
            channel.place(&target, rank);
        }
    }

    fn publish(&mut self, who: usize, at: usize) {
        let name = self.name(who);
        let stale = self.dice.roll(4) == 0;
        let top = self.channels[at].roster.first().map(|member| member.1);
        let term = match self.dice.roll(3) {
            0 => top.map(|top| top - u64::from(stale)),
            _ => None,
        };
        let option = term.map_or(String::new(), |term| format!("--term {term} "));
        let text = format!("text-{}", self.dice.roll(1_000_000));
        let reply = self.ask(who, &format!("pub {option}{} {text}", channel_name(at)));
        if term.is_some() && term != top {
            assert_eq!(reply, Err(Code::Fenced));
            return;
        }
        let seq = self.channels[at].append(|seq| format!("msg CH {seq} {name} {text}"), None);
        assert_eq!(reply, Ok(format!("ok pub {} {seq}\n", channel_name(at))));
    }

    fn command(&mut self, who: usize, to: Option<usize>, at: usize) {
        let name = self.name(who);
        let to = to.map(|to| self.name(to));
        let option = to.as_ref().map_or(String::new(), |to| format!("--to {to} "));
        let reply =
            self.ask(who, &format!("cmd {option}--timeout 3600 {} go 'a b'", channel_name(at)));
        let channel = &mut self.channels[at];
        let rank = channel.rank(&name);
        let below: HashSet<String> = match (&to, rank) {
            (None, Some(rank)) => channel.roster[rank + 1..].iter().map(|m| m.0.clone()).collect(),
            (Some(to), Some(rank)) if channel.rank(to).is_some_and(|to| to > rank) => {
                HashSet::from([to.clone()])
            }
            _ => HashSet::new(),
        };
        let expected = match (rank, &to) {
            (None, _) => Err(Code::NotMember),
            (_, Some(to)) if channel.rank(to).is_none() => Err(Code::NoMember),
            _ if below.is_empty() => Err(Code::Rank),
            _ => Ok(()),
        };
        if let Err(code) = expected {
            assert_eq!(reply, Err(code));
            return;
        }
        let (rank, term) = (rank.unwrap(), channel.roster[rank.unwrap()].1);
        let line = |seq| format!("cmd CH {seq} {name} {rank} {term} go 'a b'");
        let seq = channel.append(line, Some(below.clone()));
        let sent = below.len();
        channel.open.insert(seq, below);
        assert_eq!(reply, Ok(format!("ok cmd {} {seq} to={sent}\n", channel_name(at))));
        self.clients[who].gave.push((at, seq, sent));
    }

    fn answer(&mut self, who: usize, at: usize) {
        let name = self.name(who);
        let seqs: Vec<u64> = self.channels[at].open.keys().copied().collect();
        if seqs.is_empty() {
            return;
        }
        let seq = seqs[self.dice.roll(seqs.len())];
        let reply = self.ask(who, &format!("ack {} {seq} --code 0 done", channel_name(at)));
        let channel = &mut self.channels[at];
        let awaited = channel.open.get_mut(&seq).unwrap();
        if channel.roster.iter().all(|(member, _)| *member != name) {
            assert_eq!(reply, Err(Code::NotMember));
        } else if awaited.remove(&name) {
            assert!(reply.is_ok());
            channel.open.retain(|_, awaited| !awaited.is_empty());
        } else {
            assert_eq!(reply, Err(Code::Denied));
        }
    }

    /// A client's connection ends; it is checked, and another one comes.
    fn depart(&mut self, who: usize) {
        let name = self.name(who);
        self.clients[who].session.leave_channels(ranked_broker::log::Departure::Lost, self.now_ms);
        for at in 0..CHANNELS {
            if self.channels[at].rank(&name).is_some() {
                self.channels[at].leave(&name, "lost");
                self.ended(who, at, false);
            }
        }
        self.pump(who, true);
        let mut client = self.clients.swap_remove(who);
        self.gaps += self.check_received(&mut client, false);
        client.session.end(Close::Lost, self.now_ms);
        self.arrive();
    }

    fn compare_rosters(&self) {
        for (at, model) in self.channels.iter().enumerate() {
            let (ranks, view) = self.broker.channel(&channel_name(at)).unwrap().ranks();
            let real: Vec<_> = ranks.iter().map(|r| (r.name.to_string(), r.term)).collect();
            assert_eq!((&real, view), (&model.roster, model.view));
        }
    }

    /// Checks that a client got exactly what it was due, and that every command that it
    /// gave has ended once. Returns how many gaps it was told of.
    fn check_received(&self, client: &mut Client, all_ended: bool) -> usize {
        let lines = String::from_utf8(std::mem::take(&mut client.received)).unwrap();
        let of_kind = |kinds: &[&str], channel: &str| -> Vec<&str> {
            let wanted = |line: &&str| {
                let mut words = line.split(' ');
                kinds.contains(&words.next().unwrap()) && words.next() == Some(channel)
            };
            lines.lines().filter(wanted).collect()
        };
        let mut gone = 0;
        for (at, model) in self.channels.iter().enumerate() {
            let name = channel_name(at);
            let mut due = client.due.remove(&at).unwrap_or_default();
            if let Some(since) = client.since.get(&at) {
                due.extend(*since..model.entries.len());
            }
            let may_see = |only: &Option<HashSet<String>>| {
                only.as_ref().is_none_or(|only| only.contains(&client.name))
            };
            // What a `gap` told of is not due; nothing else may be missing.
            let gaps = of_kind(&["gap"], &name);
            gone += gaps.len();
            let is_gone = |entry: &usize| {
                let seq = *entry as u64 + 1;
                gaps.iter().any(|gap| {
                    let mut ends = gap.split(' ').skip(2).map(|end| end.parse::<u64>().unwrap());
                    (ends.next().unwrap()..=ends.next().unwrap()).contains(&seq)
                })
            };
            let due = due.into_iter().filter(|entry| !is_gone(entry));
            let due = due.map(|entry| &model.entries[entry]).filter(|(_, only)| may_see(only));
            let due: Vec<String> = due.map(|(line, _)| line.replace("CH", &name)).collect();
            assert_eq!(of_kind(&["msg", "cmd", "join", "left", "move"], &name), due);
            if let Some(rank) = model.rank(&client.name) {
                let since = *client.since.get(&at).unwrap() as u64;
                let view = |line: &str| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
                let mut told = of_kind(&["rank"], &name);
                told.retain(|line| view(line) > since);
                let (term, start) = (model.roster[rank].1, format!("rank {name} "));
                // A member that never moved since it came was told its rank by its `sub`.
                let moved = term != since;
                let is_right = |line: &&str| line.starts_with(&format!("{start}{rank} {term} "));
                assert!(told.last().map_or(!moved, is_right), "{told:?} {rank} {term}");
            }
            for (_, seq, sent) in client.gave.iter().filter(|(ch, ..)| *ch == at) {
                let about = |line: &&&str| line.split(' ').nth(2) == Some(&seq.to_string());
                let (acks, dones) = (of_kind(&["ack"], &name), of_kind(&["done"], &name));
                let (acks, dones) =
                    (acks.iter().filter(about).count(), dones.iter().filter(about).count());
                assert!(acks <= *sent && dones == usize::from(acks == *sent), "{acks} of {sent}");
                assert!(dones == 1 || !all_ended, "command {seq} has not ended");
            }
        }
        gone
    }

    fn finish(mut self) -> usize {
        self.broker.tick(u64::MAX - 1);
        self.channels.iter_mut().for_each(|channel| channel.open.clear());
        for at in 0..self.clients.len() {
            self.pump(at, true);
        }
        for mut client in std::mem::take(&mut self.clients) {
            self.gaps += self.check_received(&mut client, true);
        }
        self.gaps
    }
}

/// Runs worlds of this kind. Returns how many gaps there were in all.
fn run(log_bytes: usize, seeds: std::ops::Range<u64>) -> usize {
    let chosen: Option<u64> = std::env::var("MODEL_SEED").ok().map(|seed| seed.parse().unwrap());
    let seeds = chosen.map_or(seeds, |seed| seed..seed + 1);
    let mut gaps = 0;
    for seed in seeds {
        let run = std::panic::catch_unwind(|| {
            let mut world = World::new(seed, log_bytes);
            for _ in 0..2_000 {
                world.step();
            }
            world.finish()
        });
        match run {
            Ok(told) => gaps += told,
            Err(panic) => {
                eprintln!("again with: MODEL_SEED={seed} cargo test --test model");
                std::panic::resume_unwind(panic);
            }
        }
    }
    gaps
}

#[test]
fn the_broker_does_what_the_model_does() {
    assert_eq!(run(64 << 20, 0..100), 0, "nothing is lost while there is room");
}

#[test]
fn it_does_so_with_a_log_too_small_for_the_slow() {
    assert!(run(2_000, 1_000..1_100) > 100, "the log was meant to be too small");
}
