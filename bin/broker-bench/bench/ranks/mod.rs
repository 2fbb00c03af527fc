//! `ranks`: one channel of many members, who join, are moved, obey a command, and
//! leave many at once; and what each of them is told is checked.
//!
//! Each member with an open connection reads everything and folds it for itself. The
//! chief, which joined first, sees every entry; the roster is worked out from what it
//! sees. In the end all must agree: the roster, what each member has worked out from
//! the log, and what the broker has told it of its rank and term.

pub mod crowd;
pub mod hall;
pub mod member;
pub mod model;
pub mod words;

use super::error::{Error, Result};
use super::process::Usage;
use super::report::Report;
use super::units::{SECOND, each, figure, float, grouped, now};
use super::workload::{Bench, enough_files};
use crowd::{CHIEF, Crowd};
use hall::Hall;
use std::fmt::Write;
use std::time::Duration;

/// Members by default, and the most that have open connections by default.
const MEMBERS: u32 = 10_000;
/// Look-ups of one member's rank.
const LOOKUPS: u32 = 10_000;
/// Promotions: each is told to everybody.
const MOVES: u64 = 200;
/// How long the seat of a member without a connection is held.
const HOLD_SECONDS: u64 = 3600;
/// The time between two messages while many leave.
const MESSAGE_PAUSE_NS: u64 = SECOND / 200;

/// `ranks`.
#[derive(Clone, Debug, clap::Args)]
pub struct Ranks {
    /// Members of the channel
    #[arg(long, default_value_t = MEMBERS, value_parser = clap::value_parser!(u32).range(2..))]
    pub members: u32,
    /// Members whose connections stand; the seats of all others are held
    /// [default: all, 10000 at most]
    #[arg(long)]
    pub connected: Option<u32>,
    /// Members that leave at once [default: a tenth of those connected]
    #[arg(long)]
    pub leavers: Option<u32>,
    /// How long those without a connection are waited for by a command
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    pub patience: u64,
}

impl Default for Ranks {
    fn default() -> Self {
        Ranks { members: MEMBERS, connected: None, leavers: None, patience: 2 }
    }
}

/// A step: what was used, and how many lines were delivered in it.
struct Step {
    used: Usage,
    lines: u64,
}

/// Everything that a step needs.
struct Run<'b> {
    bench: &'b Bench,
    crowd: Crowd<'b>,
    channel: String,
    members: u32,
    connected: u32,
    leavers: u32,
    patience: u64,
    dice: u64,
    report: Report,
}

/// Runs all steps.
///
/// # Errors
/// Whatever prevents it.
pub fn run(bench: &Bench, options: &Ranks) -> Result<Report> {
    let members = options.members;
    let connected = options.connected.unwrap_or(members.min(MEMBERS)).clamp(2, members);
    let leavers = options.leavers.unwrap_or(connected / 10);
    if leavers >= connected {
        return Err(Error::Usage("the chief stays: fewer must leave than are connected".into()));
    }
    enough_files(connected as usize)?;
    bench.process.forget_peak();
    let is_held = connected < members;
    let settings = if is_held { format!(" --hold {HOLD_SECONDS}") } else { String::new() };
    let channel = format!("{}ranks", bench.prefix);
    let hall = Hall::new(&channel, &bench.prefix, &settings);
    let what = format!(
        "{} members in one channel, {} of them connected, {} leave at once",
        grouped(members.into()),
        grouped(connected.into()),
        grouped(leavers.into())
    );
    let mut report = Report::new("ranks", &what);
    report
        .count("members", members.into())
        .count("connected", connected.into())
        .count("leavers", leavers.into());
    let (crowd, patience, dice) =
        (Crowd::new(bench, bench.to, hall)?, options.patience, bench.seed | 1);
    let mut run =
        Run { bench, crowd, channel, members, connected, leavers, patience, dice, report };
    run.join()?;
    run.look_up()?;
    run.promote()?;
    run.command()?;
    run.leave()?;
    run.verdict();
    let Run { crowd, channel, report, .. } = run;
    crowd.finish(&channel)?;
    Ok(report)
}

impl Run<'_> {
    /// Does something and returns what was used by it.
    fn step(&mut self, work: impl FnOnce(&mut Self) -> Result<()>) -> Result<Step> {
        let (before, lines) = (self.bench.process.usage(), self.crowd.hall.lines);
        work(self)?;
        let used = self.bench.process.usage().since(before);
        Ok(Step { used, lines: self.crowd.hall.lines - lines })
    }

    fn roll(&mut self, below: u64) -> u64 {
        // xorshift64
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice >> 16) % below.max(1)
    }

    /// Has all members join, and checks what each knows of it.
    fn join(&mut self) -> Result<()> {
        let memory = self.bench.process.memory();
        let members = u64::from(self.members);
        // Those whose seats will be held come right after the chief: with nobody there
        // to be told, their coming costs nothing but itself.
        let away = self.members - self.connected;
        let stays = move |index: u32| index == 0 || index > away;
        let step = self.step(|run| {
            run.crowd.join(run.members, stays)?;
            run.crowd.catch_up(&run.channel)?;
            run.crowd.check();
            Ok(())
        })?;
        if let Some(bytes) = self.bench.process.memory().zip(memory) {
            let added = bytes.0.saturating_sub(bytes.1);
            self.report.put("bytes_per_member", float(added) / float(members));
        }
        self.put("join", &step, members, "joined");
        Ok(())
    }

    /// One of them asks for its rank, over and over.
    fn look_up(&mut self) -> Result<()> {
        let last = *self.crowd.here.last().unwrap_or(&CHIEF);
        let step = self.step(|run| {
            let all = run.crowd.hall.answers + u64::from(LOOKUPS);
            run.crowd.say(last, &format!("rank {}\n", run.channel).repeat(LOOKUPS as usize))?;
            run.crowd.wait("asking for a rank", all, |crowd| crowd.hall.answers)
        })?;
        self.put("lookup", &step, LOOKUPS.into(), "ranks looked up");
        Ok(())
    }

    /// The chief moves members, each to some rank below its own.
    fn promote(&mut self) -> Result<()> {
        let mut lines = String::new();
        for _ in 0..MOVES {
            let place = 1 + self.roll(u64::from(self.connected) - 1);
            let rank = 1 + self.roll(u64::from(self.members) - 1);
            let id = self.crowd.here[usize::try_from(place).unwrap_or(0)];
            let index = self.crowd.member(id).index;
            let name = self.crowd.hall.name(index);
            // Writing to a string cannot fail.
            let _ = writeln!(lines, "promote {} {name} {rank}", self.channel);
        }
        let step = self.step(|run| {
            let all = run.crowd.hall.answers + MOVES;
            run.crowd.say(CHIEF, &lines)?;
            run.crowd.wait("moving members", all, |crowd| crowd.hall.answers)?;
            run.crowd.catch_up(&run.channel)?;
            run.crowd.check();
            Ok(())
        })?;
        self.put("move", &step, MOVES, "moved by the chief");
        Ok(())
    }

    /// The chief commands everybody, and gets everybody's result.
    fn command(&mut self) -> Result<()> {
        let (members, away) = (u64::from(self.members), self.members - self.connected);
        let timeout = if away > 0 { self.patience.max(1) } else { 600 };
        let step = self.step(|run| {
            run.crowd.hall.expect_command(run.members as usize);
            run.crowd.say(CHIEF, &format!("cmd {} --timeout {timeout} now\n", run.channel))?;
            run.crowd.wait("a command to all", members, |crowd| {
                let command = &crowd.hall.command;
                command.done + command.failed + u64::from(command.summary.is_some())
            })
        })?;
        let command = &self.crowd.hall.command;
        let (done, failed, sent) = (command.done, command.failed, command.sent);
        let is_right = command.summary == Some((done, members - 1))
            && sent == members - 1
            && (done, failed) == (u64::from(self.connected) - 1, away.into());
        if !is_right {
            let command = format!("{command:?}");
            self.crowd
                .hall
                .wrong(|| format!("the results of the command do not add up: {command}"));
        }
        self.report.count("command_done", done).count("command_timeout", failed);
        self.put("command", &step, members - 1, "obeyed a command, or its time was over");
        Ok(())
    }

    /// Many leave at once while the chief goes on publishing.
    fn leave(&mut self) -> Result<()> {
        let mut leavers: Vec<usize> = Vec::new();
        let mut candidates: Vec<usize> = self.crowd.here[1..].to_vec();
        for _ in 0..self.leavers {
            let place = self.roll(candidates.len() as u64);
            leavers.push(candidates.swap_remove(usize::try_from(place).unwrap_or(0)));
        }
        // Where seats are held, a lost connection is not a departure.
        let is_held = self.connected < self.members;
        let memory = self.bench.process.memory();
        let mut worst = 0;
        let step = self.step(|run| {
            for id in leavers {
                if is_held {
                    run.crowd.say(id, &format!("unsub {}\n", run.channel))?;
                } else {
                    run.crowd.cut(id)?;
                }
            }
            worst = run.publish_until_all_left()?;
            run.crowd.count_again();
            run.crowd.catch_up(&run.channel)?;
            run.crowd.check();
            Ok(())
        })?;
        if let Some((now, before)) = self.bench.process.memory().zip(memory) {
            let added = now.saturating_sub(before);
            self.report.count("leave_memory_added_bytes", added);
        }
        self.report.put("leave_publish_worst_us", float(worst) / 1e3);
        let left = u64::from(self.leavers);
        self.put(
            "leave",
            &step,
            left,
            if is_held { "left at once" } else { "were cut off at once" },
        );
        self.report.say(format!(
            "meanwhile a message took {} µs at most to come back to who published it",
            figure(float(worst) / 1e3)
        ));
        Ok(())
    }

    /// Publishes until all have left; returns the longest that a message took, in ns.
    fn publish_until_all_left(&mut self) -> Result<u64> {
        let (wanted, line) =
            (u64::from(self.leavers), format!("pub {} still here\n", self.channel));
        let (mut worst, mut due) = (0, now());
        while self.crowd.hall.departures < wanted {
            let (before, sent) = (self.crowd.hall.echo.0, due);
            self.crowd.say(CHIEF, &line)?;
            self.crowd.wait("many leave", before + 1, |crowd| crowd.hall.echo.0)?;
            worst = worst.max(self.crowd.hall.echo.1.saturating_sub(sent));
            // Late or not, the next one is due then.
            due = sent + MESSAGE_PAUSE_NS;
            while now() < due {
                self.crowd.look(Duration::from_nanos(due.saturating_sub(now())))?;
            }
        }
        Ok(worst)
    }

    /// Reports what a step took.
    fn put(&mut self, name: &str, step: &Step, number: u64, what: &str) {
        let Step { used, lines } = step;
        let seconds = float(used.at) / 1e9;
        self.report.put(&format!("{name}_s"), seconds).count(&format!("{name}_lines"), *lines);
        let mut cpu = String::new();
        if let Some(broker) = used.broker {
            let (all, one) = (float(broker) / 1e9, each(broker, number).unwrap_or(0.0) / 1e3);
            self.report.put(&format!("{name}_cpu_s"), all).put(&format!("{name}_cpu_us_each"), one);
            cpu = format!("; {} s of the broker's CPU, {} µs each", figure(all), figure(one));
        }
        let told =
            if *lines > 0 { format!(", {} lines told", grouped(*lines)) } else { String::new() };
        let (number, seconds) = (grouped(number), figure(seconds));
        self.report.say(format!("{number} {what} in {seconds} s{cpu}{told}"));
    }

    fn verdict(&mut self) {
        let Hall { faults, fault, gaps, lines, model, .. } = &self.crowd.hall;
        self.report.count("faults", *faults).count("gaps", *gaps).count("lines", *lines);
        let left = self.members - self.leavers;
        let text = match fault {
            None if model.len() == left as usize => format!(
                "every member's rank and term, by the log and as told, in {} lines; {gaps} gaps told",
                grouped(*lines)
            ),
            None => format!("{} members are in the roster, not {left}", model.len()),
            Some(fault) => format!("{faults} times; first: {fault}"),
        };
        let is_clean = *faults == 0 && model.len() == left as usize;
        if let Some(bytes) = self.bench.process.memory_peak() {
            self.report.count("broker_memory_peak_bytes", bytes);
        }
        self.report.verdict(is_clean, &text);
    }
}
