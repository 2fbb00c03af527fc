//! The client of `hold`: waits for the rank, starts the program, renews its
//! lease, and ends it when the rank is lost.

use super::lease::Lease;
use super::link::{Order, Report};
use super::news::News;
use super::program::{Program, Told};
use super::round::{self, Entered, Round};
use super::seat::{Claim, Doubt, Seat, Start};
use super::start::{ends, exit_code};
use super::{EXIT_LOST, Settings, status};
use crate::client::store::Store;
use crate::client::{Client, Error, Frame, Frames};
use crate::moment::Moment;
use crate::runtime;
use futures::channel::mpsc::{self, UnboundedReceiver, UnboundedSender};
use futures::{FutureExt, StreamExt, select_biased};
use rustix::process::Signal;
use std::time::Duration;

/// How often this client looks at the clock: timers do not count the time that a
/// machine is asleep. The guard does the same by itself.
const LOOK: Duration = Duration::from_millis(100);

/// How long an answer may take before the connection is given up, at least.
const ANSWER_LONGEST: Duration = Duration::from_secs(1);

/// The longest pause between two attempts to connect again: a lease does not
/// last long.
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long to wait for the broker's goodbye, or for killed processes to be gone.
const FAREWELL: Duration = Duration::from_secs(1);

/// What happens beside the frames.
#[derive(Debug)]
pub(super) enum Event {
    Signal(Signal),
    Round(Round),
    Entered(Result<Entered, Error>),
    Guard(Told),
}

/// How this client leaves the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parting {
    /// The rank is given up.
    Quit,
    /// The rank is held for a lease: something of the program could not be killed.
    Silent,
}

impl Parting {
    fn after(is_gone: bool) -> Self {
        if is_gone { Parting::Quit } else { Parting::Silent }
    }
}

/// The state of the client.
pub(super) struct Supervisor {
    settings: Settings,
    client: Client,
    store: Option<Store>,
    tx: UnboundedSender<Event>,
    seat: Seat,
    lease: Option<Lease>,
    program: Option<Program>,
    /// Whether an earlier process of this session may have left a program running.
    is_second_life: bool,
    entered: bool,
    parting: Parting,
    /// Whether there will be no connection any more.
    is_over: bool,
    next_round: Moment,
    /// When the broker last answered.
    heard_at: Moment,
    news: News,
}

impl Supervisor {
    pub(super) fn new(
        settings: Settings,
        client: Client,
        store: Option<Store>,
        tx: UnboundedSender<Event>,
    ) -> Self {
        let (seat, now) = (Seat::new(settings.ranks), Moment::now());
        Supervisor {
            settings,
            client,
            store,
            tx,
            seat,
            lease: None,
            program: None,
            is_second_life: false,
            entered: false,
            parting: Parting::Quit,
            is_over: false,
            next_round: now,
            heard_at: now,
            news: News::default(),
        }
    }

    /// Runs to the end; gives the exit code.
    pub(super) async fn run(mut self, frames: Frames, mut events: UnboundedReceiver<Event>) -> u8 {
        let mut frames = frames.fuse();
        self.remember();
        self.enter();
        let code = loop {
            if let Some(code) = self.advance(Moment::now()) {
                break code;
            }
            let pause = runtime::sleep(LOOK).fuse();
            futures::pin_mut!(pause);
            let over = select_biased! {
                event = events.select_next_some() => self.take(event, Moment::now()),
                frame = frames.next() => match frame {
                    Some(frame) => self.hear(&frame, Moment::now()),
                    None => self.give_up(3, "the broker does not want this client any more"),
                },
                () = pause => None,
            };
            if let Some(code) = over {
                break code;
            }
        };
        match self.parting {
            Parting::Quit => self.client.quit(),
            Parting::Silent => {
                status::note("something of the program runs on: its rank is held for a lease");
                self.client.vanish();
            }
        }
        let left = runtime::timeout(FAREWELL, async {
            while let Some(frame) = frames.next().await {
                if matches!(&frame, Frame::Bye { reason } if reason == "quit") {
                    return true;
                }
            }
            false
        });
        if let (Some(true), Some(store)) = (left.await, &self.store) {
            store.forget();
        }
        code
    }

    /// Does what is due; the exit code when all is over.
    fn advance(&mut self, now: Moment) -> Option<u8> {
        if now >= self.next_round && self.entered {
            self.ask(now);
        }
        if let Some(program) = &mut self.program {
            if let Some(why) = self.seat.lost(program.claim) {
                program.lose(why);
            }
            if program.is_overdue(now) {
                // Its guard should have done that.
                program.kill();
            }
            if let Some(lease) = &self.lease {
                self.news.silent(lease, now.since(self.heard_at), now);
            }
            return None;
        }
        self.consider(now)
    }

    /// Starts the program if its time has come.
    fn consider(&mut self, now: Moment) -> Option<u8> {
        if let Some(reason) =
            self.seat.removed().filter(|reason| !matches!(*reason, "lost" | "timeout"))
        {
            status::lost(&format!("this client is no longer a member: {reason}"));
            return Some(EXIT_LOST);
        }
        let (Some(lease), Some(claim)) = (self.lease, self.seat.claim()) else { return None };
        if now >= lease.end_at() {
            // The claim is too old to act on or to report.
            return None;
        }
        let doubt = match self.seat.may_start(now, lease.length()) {
            Start::Now(claim) => return self.start(claim, &lease),
            // The entry that tells is about to come.
            Start::NotBefore(_, Doubt::NotTold) if self.seat.age(now) < LOOK * 2 => return None,
            Start::NotBefore(at, doubt) => Some((doubt, at.since(now))),
            Start::No => None,
        };
        self.news.waiting(&self.settings, claim, doubt);
        None
    }

    fn start(&mut self, claim: Claim, lease: &Lease) -> Option<u8> {
        let (tx, mut told) = mpsc::unbounded();
        match Program::start(&self.settings, claim, lease, tx) {
            Ok(program) => {
                let events = self.tx.clone();
                runtime::spawn(async move {
                    while let Some(told) = told.next().await {
                        let is_end = matches!(told, Some(Report::Ended { .. }));
                        let _ = events.unbounded_send(Event::Guard(told));
                        if is_end {
                            // The end of this guard must not be taken for that of the
                            // next.
                            break;
                        }
                    }
                });
                self.program = Some(program);
                None
            }
            Err(e) => {
                status::note(&format!("cannot start the program's guard: {e}"));
                Some(126)
            }
        }
    }

    /// Asks for a new lease.
    fn ask(&mut self, now: Moment) {
        let interval = self.lease.map_or(ANSWER_LONGEST / 2, |lease| lease.interval());
        self.next_round = now.after(interval);
        let limit = (interval * 2).max(ANSWER_LONGEST);
        let (client, channel) = (self.client.clone(), self.settings.channel.clone());
        let tx = self.tx.clone();
        runtime::spawn(async move {
            let _ = tx.unbounded_send(Event::Round(round::ask(client, channel, limit).await));
        });
    }

    /// Makes the channel and joins it.
    fn enter(&self) {
        let (client, channel) = (self.client.clone(), self.settings.channel.clone());
        let tx = self.tx.clone();
        runtime::spawn(async move {
            let entered = round::enter(&client, &channel).await;
            let _ = tx.unbounded_send(Event::Entered(entered));
        });
    }

    fn take(&mut self, event: Event, now: Moment) -> Option<u8> {
        match event {
            Event::Signal(signal) => match &mut self.program {
                Some(program) => program.tell(Order::Signal(signal)),
                None => return ends(signal),
            },
            Event::Round(round) => return self.answered(&round, now),
            Event::Entered(Ok(entered)) => self.has_entered(&entered, now),
            // Joining waits for the next connection.
            Event::Entered(Err(Error::Lost)) if !self.is_over => self.enter(),
            Event::Entered(Err(e)) => return self.give_up(exit_code(&e), &e.to_string()),
            Event::Guard(Some(Report::Started(group))) => {
                let program = self.program.as_mut()?;
                program.started(group);
                let Claim { rank, term, .. } = program.claim;
                let pid = group.as_raw_nonzero();
                status::running(&format!("rank={rank} term={term} pid={pid}"));
            }
            Event::Guard(Some(Report::Ended { code, told_to, is_gone })) => {
                self.parting = Parting::after(is_gone);
                return self.ended(code, told_to);
            }
            Event::Guard(None) => {
                let mut program = self.program.take()?;
                status::lost("the guard of the program has ended: the program is ended");
                program.kill();
                let deadline = now.after(FAREWELL);
                while program.is_alive() && Moment::now() < deadline {
                    std::thread::sleep(LOOK / 10);
                }
                self.parting = Parting::after(!program.is_alive());
                return Some(EXIT_LOST);
            }
        }
        None
    }

    /// The program has ended; gives the exit code, unless there is to be another.
    fn ended(&mut self, code: u8, told_to: bool) -> Option<u8> {
        let mut program = self.program.take()?;
        program.bury();
        let Claim { rank, term, .. } = program.claim;
        let (exit, why) = program.verdict(code, told_to);
        let Some(why) = why else {
            status::ended(&format!("rank={rank} term={term} code={code}"));
            return Some(exit);
        };
        status::lost(&format!("rank={rank} term={term}: {why}"));
        if self.settings.stay && !self.is_over && self.parting == Parting::Quit {
            self.news = News::default();
            return None;
        }
        Some(exit)
    }

    fn has_entered(&mut self, entered: &Entered, now: Moment) {
        self.entered = true;
        self.seat.set_safe(entered.is_safe);
        if !entered.is_safe {
            let channel = &self.settings.channel;
            status::note(&format!(
                "{channel} was not made with --on-close safe: after a lost member one lease is waited for"
            ));
        }
        // A broker that has forgotten everything does not know who still believes what
        // the former one said.
        self.seat.unsettle(now.before(entered.uptime), Doubt::YoungBroker);
        match entered.seat {
            Some((claim, seq)) => self.seat.joined(claim, seq, now),
            None if self.is_second_life => self.seat.unsettle(now, Doubt::OneBefore),
            None => {}
        }
        self.next_round = now;
    }

    fn answered(&mut self, round: &Round, now: Moment) -> Option<u8> {
        if round.is_late && now.since(self.heard_at) >= ANSWER_LONGEST {
            // Not again before another connection has had the time to answer.
            self.heard_at = now;
            self.client.hang_up();
        }
        let length = round.lease?;
        self.heard_at = now;
        self.news.answered();
        let Some(claim) = round.claim else {
            self.seat.vacated();
            return None;
        };
        self.seat.claimed(claim, now);
        let granted = match &mut self.lease {
            Some(lease) => lease.renew(round.sent, length),
            None => Lease::new(round.sent, length, self.settings.kill_after)
                .map(|lease| self.lease = Some(lease)),
        };
        if let Err(e) = granted {
            return self.give_up(2, &e.to_string());
        }
        if let (Some(program), Some(lease)) = (&mut self.program, &self.lease)
            && self.seat.lost(program.claim).is_none()
        {
            program.extend(lease.until());
        }
        None
    }

    fn hear(&mut self, frame: &Frame, now: Moment) -> Option<u8> {
        match frame {
            Frame::Resumed { missed, rank } => {
                // Resumed before anything was asked: the session of an earlier process.
                self.is_second_life |= !self.entered;
                let id = self.client.ticket().map(|ticket| ticket.id().to_string());
                let rank = rank.map(|rank| format!(" rank={rank}")).unwrap_or_default();
                let id = id.unwrap_or_default();
                status::note(&format!("resumed session={id} missed={missed}{rank}"));
                self.next_round = now;
            }
            Frame::SessionGone => {
                status::note("the session is no longer kept; starting anew");
                self.seat.reset(now);
                self.news = News::default();
                self.remember();
                if self.entered {
                    self.enter();
                }
            }
            Frame::Bye { reason } if reason == "taken-over" => {
                return self.give_up(3, &Error::TakenOver.to_string());
            }
            frame if frame.channel() == Some(&self.settings.channel) => {
                let name = self.client.name().unwrap_or_default();
                self.seat.heard(frame, &name, now);
            }
            _ => {}
        }
        None
    }

    /// Gives this broker up: ends the program; returns the exit code if there is none.
    fn give_up(&mut self, code: u8, why: &str) -> Option<u8> {
        self.is_over = true;
        if let Some(program) = &mut self.program {
            program.lose(why.to_owned());
            return None;
        }
        status::note(why);
        Some(code)
    }

    fn remember(&self) {
        if let (Some(store), Some(ticket)) = (&self.store, self.client.ticket())
            && let Err(e) = store.save(&ticket)
        {
            status::note(&e.to_string());
        }
    }
}
