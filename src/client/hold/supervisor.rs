//! The client of `hold`: waits for the rank, starts the program, renews its
//! lease, and ends it when the rank is lost.

use super::clock::Moment;
use super::guard::HANDED_ON;
use super::lease::Lease;
use super::link::{Order, Report};
use super::program::{Program, Told};
use super::round::{self, Entered, Round};
use super::seat::{Claim, Doubt, Seat, Start};
use super::{EXIT_LOST, Settings, status};
use crate::client::store::Store;
use crate::client::{Client, Error, Frame, Frames, Options, Ticket};
use crate::error::Code;
use crate::runtime;
use async_signal::Signals;
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
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long the broker may take to hear that this client leaves.
const FAREWELL: Duration = Duration::from_secs(1);

/// What happens beside the frames.
#[derive(Debug)]
enum Event {
    Signal(Signal),
    Round(Round),
    Entered(Result<Entered, Error>),
    Guard(Told),
}

/// Connects, holds, leaves; gives the exit code.
pub(super) async fn run(settings: Settings) -> u8 {
    let (tx, mut events) = mpsc::unbounded();
    hear_signals(tx.clone());
    let store = match &settings.session {
        Some(name) => match Store::open(&settings.host, settings.port, name) {
            Ok(store) => Some(store),
            Err(e) => {
                status::note(&e.to_string());
                return 1;
            }
        },
        None => None,
    };
    let ticket = match store.as_ref().map(Store::load) {
        Some(Ok(Some(ticket))) => ticket,
        Some(Err(e)) => {
            status::note(&e.to_string());
            Ticket::fresh()
        }
        _ => Ticket::fresh(),
    };
    let connected = {
        let connect = connect(&settings, &ticket).fuse();
        futures::pin_mut!(connect);
        loop {
            select_biased! {
                connected = connect => break connected,
                event = events.select_next_some() => {
                    if let Event::Signal(signal) = event && let Some(code) = ends(signal) {
                        return code;
                    }
                }
            }
        }
    };
    match connected {
        Ok((client, frames)) => {
            let supervisor = Supervisor::new(settings, client, store, tx);
            supervisor.run(frames, events).await
        }
        Err(code) => code,
    }
}

/// Tries until the broker is there and the name is free.
async fn connect(settings: &Settings, ticket: &Ticket) -> Result<(Client, Frames), u8> {
    let mut said = String::new();
    loop {
        let mut options = Options::new().session(ticket.clone()).pause_max(PAUSE_MAX);
        if let Some(name) = &settings.name {
            options = options.name(name);
        }
        let error = match options.connect(&settings.host, settings.port).await {
            Ok(connected) => return Ok(connected),
            Err(error) => error,
        };
        // The former self of this client may still be there.
        let passes =
            matches!(error, Error::Connect { .. }) || error.code() == Some(Code::NameTaken);
        if !passes {
            status::note(&error.to_string());
            return Err(exit_code(&error));
        }
        let text = format!("{error}; trying until it succeeds");
        if text != said {
            status::waiting(&text);
            said = text;
        }
        runtime::sleep(PAUSE_MAX).await;
    }
}

/// The exit code of a signal that ends a client without a program.
fn ends(signal: Signal) -> Option<u8> {
    let ends = [Signal::TERM, Signal::INT, Signal::HUP].contains(&signal);
    ends.then(|| 128 + u8::try_from(signal.as_raw()).unwrap_or(0))
}

fn exit_code(error: &Error) -> u8 {
    match error {
        Error::Lost | Error::TakenOver | Error::Connect { .. } => 3,
        error => match error.code() {
            Some(Code::Rank | Code::Fenced) => 5,
            Some(Code::Full) => 10,
            _ => 1,
        },
    }
}

fn hear_signals(tx: UnboundedSender<Event>) {
    let mut signals = match Signals::new(HANDED_ON.map(|(heard, _)| heard)) {
        Ok(signals) => signals,
        Err(e) => return log::warn!("signals end this program at once: {e}"),
    };
    runtime::spawn(async move {
        while let Some(Ok(heard)) = signals.next().await {
            if let Some((_, signal)) = HANDED_ON.iter().find(|(known, _)| *known == heard) {
                let _ = tx.unbounded_send(Event::Signal(*signal));
            }
        }
    });
}

/// The state of the client.
struct Supervisor {
    settings: Settings,
    client: Client,
    store: Option<Store>,
    tx: UnboundedSender<Event>,
    seat: Seat,
    lease: Option<Lease>,
    program: Option<Program>,
    /// Whether an earlier life of this session may have left a program running.
    is_second_life: bool,
    entered: bool,
    /// Whether there will be no connection any more.
    is_over: bool,
    next_round: Moment,
    /// When the broker last answered.
    heard_at: Moment,
    /// What was last said about waiting.
    said: Option<(Claim, bool)>,
}

impl Supervisor {
    fn new(
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
            is_over: false,
            next_round: now,
            heard_at: now,
            said: None,
        }
    }

    async fn run(mut self, frames: Frames, mut events: UnboundedReceiver<Event>) -> u8 {
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
        self.client.quit();
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
                // Its guard should have, and has not.
                program.kill();
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
        match self.seat.may_start(now, lease.length()) {
            Start::Now(claim) if now < lease.end_at() => self.start(claim, &lease),
            // That is told in a moment.
            Start::NotBefore(_, Doubt::NotTold) if self.seat.age(now) < LOOK * 2 => None,
            Start::NotBefore(at, doubt) => {
                let left = at.since(now).as_secs_f64();
                self.say_waiting(claim, Some(&format!("{}: {left:.1} s more", doubt.as_str())))
            }
            _ => self.say_waiting(claim, None),
        }
    }

    fn say_waiting(&mut self, claim: Claim, why: Option<&str>) -> Option<u8> {
        let said = Some((claim, why.is_some()));
        let news = self.said.map(|(known, why)| (known.rank, known.term, why))
            != said.map(|(known, why)| (known.rank, known.term, why));
        if news {
            self.said = said;
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            let Settings { channel, ranks, .. } = &self.settings;
            let Claim { rank, term, .. } = claim;
            status::waiting(&format!("rank={rank} term={term} channel={channel} for={ranks}{why}"));
        }
        None
    }

    fn start(&mut self, claim: Claim, lease: &Lease) -> Option<u8> {
        let (tx, mut told) = mpsc::unbounded();
        match Program::start(&self.settings, claim, lease, tx) {
            Ok(program) => {
                let events = self.tx.clone();
                runtime::spawn(async move {
                    while let Some(told) = told.next().await {
                        let _ = events.unbounded_send(Event::Guard(told));
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
            // It waits for the next connection.
            Event::Entered(Err(Error::Lost)) if !self.is_over => self.enter(),
            Event::Entered(Err(e)) => return self.give_up(exit_code(&e), &e.to_string()),
            Event::Guard(Some(Report::Started(group))) => {
                let program = self.program.as_mut()?;
                program.started(group);
                let Claim { rank, term, .. } = program.claim;
                let pid = group.as_raw_nonzero();
                status::running(&format!("rank={rank} term={term} pid={pid}"));
            }
            Event::Guard(Some(Report::Ended { code, told_to })) => {
                let program = self.program.as_ref()?;
                let Claim { rank, term, .. } = program.claim;
                let (exit, why) = program.verdict(code, told_to);
                match why {
                    Some(why) => status::lost(&format!("rank={rank} term={term}: {why}")),
                    None => status::ended(&format!("rank={rank} term={term} code={code}")),
                }
                return Some(exit);
            }
            Event::Guard(None) => {
                let mut program = self.program.take()?;
                status::lost("the guard of the program has ended: the program is ended");
                program.kill();
                let deadline = now.after(FAREWELL);
                while program.is_alive() && Moment::now() < deadline {
                    std::thread::sleep(LOOK / 10);
                }
                return Some(EXIT_LOST);
            }
        }
        None
    }

    fn has_entered(&mut self, entered: &Entered, now: Moment) {
        self.entered = true;
        self.seat.is_safe(entered.is_safe);
        if !entered.is_safe {
            let channel = &self.settings.channel;
            status::note(&format!(
                "{channel} was not made with --on-close safe: after a lost member one lease is waited for"
            ));
        }
        // A broker that has forgotten everything knows of nobody who believes
        // what it said before.
        self.seat.unsettle(now.before(entered.uptime), Doubt::YoungBroker);
        match entered.seat {
            Some((claim, seq)) => {
                self.seat.begins(seq);
                self.seat.claimed(claim, now);
                if !entered.is_safe {
                    self.seat.unsettle(now, Doubt::OneBefore);
                }
            }
            None if self.is_second_life => self.seat.unsettle(now, Doubt::OneBefore),
            None => {}
        }
        self.next_round = now;
    }

    fn answered(&mut self, round: &Round, now: Moment) -> Option<u8> {
        if round.is_late && now.since(self.heard_at) >= ANSWER_LONGEST {
            // Again only when there was time for another connection to answer.
            self.heard_at = now;
            self.client.hang_up();
        }
        let length = round.lease?;
        self.heard_at = now;
        match round.claim {
            Some(claim) => self.seat.claimed(claim, now),
            None => {
                self.seat.vacated();
                return None;
            }
        }
        match &mut self.lease {
            Some(lease) => lease.renew(round.sent, length),
            None => match Lease::new(round.sent, length, self.settings.kill_after) {
                Ok(lease) => self.lease = Some(lease),
                Err(e) => {
                    status::note(&e.to_string());
                    return Some(2);
                }
            },
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
                // Told before anything was asked: the session of an earlier life.
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
                self.said = None;
                self.remember();
                if self.entered {
                    self.enter();
                }
            }
            Frame::Bye { reason } if reason == "taken-over" => {
                return self.give_up(3, &Error::TakenOver.to_string());
            }
            frame if concerns(frame, &self.settings.channel) => {
                let name = self.client.name().unwrap_or_default();
                self.seat.heard(frame, &name, now);
            }
            _ => {}
        }
        None
    }

    /// There is no going on with this broker: ends the program, if there is one.
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

/// Whether a frame is about this channel.
fn concerns(frame: &Frame, channel: &str) -> bool {
    match frame {
        Frame::Message { channel: of, .. }
        | Frame::Joined { channel: of, .. }
        | Frame::Left { channel: of, .. }
        | Frame::Moved { channel: of, .. }
        | Frame::Rank { channel: of, .. }
        | Frame::Gap { channel: of, .. } => of == channel,
        Frame::Command(command) => command.channel == channel,
        _ => false,
    }
}
