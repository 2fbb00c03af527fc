//! Makes one member's deliveries: one at a time, in order, each repeated until the
//! receiver takes it.
//!
//! # The lease
//! A call that is taken renews the member's lease. When the last renewal was a
//! third of a lease ago, a `ping` is delivered, even between two attempts at
//! something else. So a receiver need not renew anything; one that has died is
//! noticed; and one that fails at a single message is still known to be there.
//! While a call is under way the receiver has the benefit of the doubt, unless the
//! call before it failed: the lease is renewed when the call begins, and a call is
//! shorter than a lease.
//!
//! What the receiver may believe is another matter. It does not know whether its
//! answer has arrived, nor do we know when a call arrived that was never answered,
//! be it that the line was cut or that the receiver stood still. So every delivery
//! names the one that was answered last, and the receiver counts its lease from
//! when that one arrived, which was before we began to count. Three pings in a
//! lease leave it time to hear of the first by the second, and to miss that.
//!
//! # What is kept
//! One delivery, and what is on the control lane. Everything else is read from the
//! log in its turn.

use super::delivery::{Addressee, Delivery, Lease};
use super::desk::Desk;
use super::pause;
use super::verdict::{Outcome, Verdict};
use crate::error::Close;
use crate::outbound::{Limits, Outbound};
use crate::runtime;
use futures::future::{Either, select};
use jiff::Timestamp;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a delivery without a deadline of its own is tried. After that the
/// receiver is told of a gap, like any slow member.
const TRY_TIME: Duration = Duration::from_secs(60);
/// How long to try to tell a member that it has left.
const PARTING: Duration = Duration::from_secs(5);
/// The longest call, however long the lease is.
const CALL_TIME_MAX: Duration = Duration::from_secs(30);
/// How long to wait before the next log line about the same member's failures.
const COMPLAINT_PAUSE: Duration = Duration::from_secs(60);
/// How long a call with a command may go on after the command is over: a receiver
/// that has answered the command by other means has yet to answer the call.
const LAST_WORD: Duration = Duration::from_secs(1);
/// How many bytes of a result are read.
const RESULT_BYTES_MAX: usize = 16 * 1024;

/// Makes one member's deliveries.
pub(super) struct Courier {
    outbound: Arc<Outbound>,
    desk: Desk,
    to: Addressee,
    limits: Limits,
    lease: Lease,
    /// When the lease was renewed last.
    renewed: Instant,
    /// Whether the last call failed.
    in_doubt: bool,
    /// When to log failed calls, and deliveries that the receiver refused.
    failures: Complaint,
    refusals: Complaint,
    /// Whether the receiver has said that it wants no more.
    is_unwanted: bool,
    /// The number of the last `ping`, and how many have failed in a row.
    pings: u64,
    pings_failed: u32,
    /// The range of entries that were given up, from the first to the last.
    lost: Option<(u64, u64)>,
}

impl Courier {
    /// The courier of a member that joined just now.
    pub(super) fn new(
        outbound: Arc<Outbound>,
        desk: Desk,
        to: Addressee,
        lease: Duration,
    ) -> Courier {
        let limits = Limits {
            // Shorter than a lease, so that there is time for a ping after it.
            time: (lease * 3 / 4).min(CALL_TIME_MAX),
            body_bytes_max: RESULT_BYTES_MAX as u64,
            kept_bytes_max: RESULT_BYTES_MAX,
            ..Limits::default()
        };
        Courier {
            outbound,
            desk,
            to,
            limits,
            lease: Lease { time: lease, renewed_by: None },
            renewed: Instant::now(),
            in_doubt: false,
            failures: Complaint::default(),
            refusals: Complaint::default(),
            is_unwanted: false,
            pings: 0,
            pings_failed: 0,
            lost: None,
        }
    }

    /// Makes deliveries until the member has left, and then tells it so.
    pub(super) async fn run(mut self) {
        let desk = self.desk.clone();
        // A delivery under way when the member leaves is of no use any more.
        let left = match select(pin!(self.carry()), pin!(desk.gone())).await {
            Either::Left((never, _)) => match never {},
            Either::Right((reason, _)) => reason,
        };
        // A member that goes on from a connection has not left.
        let has_left = left != Close::TakenOver.as_str();
        if has_left && !self.is_unwanted && !desk.is_closing() {
            let farewell = desk.farewell(left);
            runtime::timeout(PARTING, self.call(&farewell, 1)).await;
        }
    }

    async fn carry(&mut self) -> Infallible {
        loop {
            let delivery = self.next().await;
            self.deliver(&delivery).await;
        }
    }

    /// Waits for the next delivery.
    async fn next(&mut self) -> Delivery {
        if let Some((from, to)) = self.lost {
            return self.desk.gap(from, to);
        }
        loop {
            let until_ping = self.until_ping();
            // A ping goes first, however much is due: refused deliveries renew
            // nothing.
            if !until_ping.is_zero()
                && let Some(next) = runtime::timeout(until_ping, self.desk.next()).await
            {
                return next;
            }
            self.ping().await;
        }
    }

    /// Makes one delivery, in as many attempts as it takes.
    async fn deliver(&mut self, delivery: &Delivery) {
        let begun = Instant::now();
        for attempt in 1.. {
            // The broker ends a command at its deadline, or when the recipient
            // has answered by other means.
            let awaited = self.awaited(delivery);
            if awaited.is_some_and(|seq| !self.desk.is_due(seq)) {
                break;
            }
            match self.attempt(delivery, attempt, awaited).await {
                Verdict::Done(outcome) => return self.taken(delivery, Some(outcome)).await,
                Verdict::Accepted => return self.taken(delivery, None).await,
                Verdict::Unwanted => return self.unwanted().await,
                Verdict::Refused(status) => {
                    let text = format!("it answered {status}");
                    self.note_refusal(delivery.event, &text);
                    let code = i32::from(status.as_u16());
                    return self.answered(delivery, Some(Outcome { code, text })).await;
                }
                Verdict::Failed(why) => self.note_trouble(delivery.event, &why),
            }
            if awaited.is_none() && begun.elapsed() > TRY_TIME {
                break;
            }
            self.pause(pause::after(attempt), awaited).await;
        }
        self.give_up(delivery);
    }

    /// Makes one attempt. It ends with the command that it delivers, if it is one,
    /// because the deliveries behind it have deadlines of their own.
    async fn attempt(
        &mut self,
        delivery: &Delivery,
        attempt: u32,
        command: Option<u64>,
    ) -> Verdict {
        let Some(seq) = command else { return self.call(delivery, attempt).await };
        let desk = self.desk.clone();
        let over = async {
            desk.over(seq).await;
            runtime::sleep(LAST_WORD).await;
        };
        let verdict = match select(pin!(self.call(delivery, attempt)), pin!(over)).await {
            Either::Left((verdict, _)) => return verdict,
            Either::Right(_) => {
                Verdict::Failed("it had said nothing when the command was over".into())
            }
        };
        self.desk.count(&verdict);
        self.in_doubt = true;
        verdict
    }

    /// The seq of the command that this is, if somebody waits for its answer until
    /// a deadline.
    fn awaited(&self, delivery: &Delivery) -> Option<u64> {
        delivery.seq.filter(|seq| delivery.is_command() && !self.desk.is_of_before(*seq))
    }

    /// Waits before the next attempt, and meanwhile keeps up the lease. The wait
    /// ends with the command, because the deliveries behind it have deadlines of
    /// their own.
    async fn pause(&mut self, time: Duration, command: Option<u64>) {
        let desk = self.desk.clone();
        let mut over = pin!(async move {
            match command {
                Some(seq) => desk.over(seq).await,
                None => std::future::pending().await,
            }
        });
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let until_ping = self.until_ping();
            let is_over = runtime::timeout(left.min(until_ping), &mut over).await.is_some();
            if is_over || left <= until_ping {
                return;
            }
            self.ping().await;
        }
    }

    /// How long until a `ping` is due.
    fn until_ping(&self) -> Duration {
        match self.pings_failed {
            0 => (self.lease.time / 3).saturating_sub(self.renewed.elapsed()),
            failed => pause::after(failed),
        }
    }

    async fn ping(&mut self) {
        self.pings += 1;
        match self.call(&Delivery::ping(self.pings), 1).await {
            Verdict::Done(_) | Verdict::Accepted => {
                self.pings_failed = 0;
                return;
            }
            Verdict::Unwanted => return self.unwanted().await,
            Verdict::Refused(status) => self.note_trouble("ping", &format!("it answered {status}")),
            Verdict::Failed(why) => self.note_trouble("ping", &why),
        }
        self.pings_failed = self.pings_failed.saturating_add(1);
    }

    async fn call(&mut self, delivery: &Delivery, attempt: u32) -> Verdict {
        if !self.in_doubt {
            self.renew();
        }
        let call = delivery.call(&self.to, attempt, self.lease, Timestamp::now());
        let verdict = Verdict::of(self.outbound.send(&call, &self.limits).await);
        self.desk.count(&verdict);
        self.in_doubt = !matches!(verdict, Verdict::Done(_) | Verdict::Accepted);
        if !self.in_doubt {
            self.lease.renewed_by = Some(delivery.id);
            self.renew();
        }
        verdict
    }

    fn renew(&mut self) {
        self.renewed = Instant::now();
        self.desk.renew();
    }

    /// Notes that the receiver has it, with its result, unless the receiver will
    /// give that by itself.
    async fn taken(&mut self, delivery: &Delivery, outcome: Option<Outcome>) {
        self.pings_failed = 0;
        self.answered(delivery, outcome).await;
    }

    async fn answered(&mut self, delivery: &Delivery, outcome: Option<Outcome>) {
        if let Some((seq, outcome)) = self.awaited(delivery).zip(outcome) {
            self.desk.answer(seq, outcome).await;
        }
        if delivery.covers == self.lost {
            self.lost = None;
        }
        if let Some((_, last)) = delivery.covers {
            self.desk.has_seen(last).await;
        }
    }

    /// Ends the member, and this courier with it, because the receiver wants no
    /// more.
    async fn unwanted(&mut self) {
        log::info!("event=callback-unwanted {}", self.to);
        self.is_unwanted = true;
        self.desk.leave();
        std::future::pending::<()>().await;
    }

    /// Gives a delivery up. If it is an entry, the receiver will be told of the
    /// gap.
    fn give_up(&mut self, delivery: &Delivery) {
        let Some((from, to)) = delivery.covers else { return };
        let (first, last) = self.lost.unwrap_or((from, to));
        self.lost = Some((first.min(from), last.max(to)));
    }

    /// Logs that a call failed which will be repeated: the first time, and then now
    /// and then.
    fn note_trouble(&mut self, event: &str, why: &str) {
        let Some(failures) = self.failures.once_more() else { return };
        log::warn!(
            "event=callback-failed {} failures={failures} delivering={event} reason={why:?}",
            self.to
        );
    }

    /// Logs, likewise, that the receiver refused a delivery, which is not repeated.
    fn note_refusal(&mut self, event: &str, why: &str) {
        let Some(refusals) = self.refusals.once_more() else { return };
        log::info!(
            "event=callback-refused {} refusals={refusals} delivering={event} reason={why:?}",
            self.to
        );
    }
}

/// How often something has happened since it was logged, and when that was.
#[derive(Default)]
struct Complaint {
    times: u64,
    told: Option<Instant>,
}

impl Complaint {
    /// Counts once more; returns how often it has happened since the last log line,
    /// if a new one is due.
    fn once_more(&mut self) -> Option<u64> {
        self.times += 1;
        if self.told.is_some_and(|told| told.elapsed() < COMPLAINT_PAUSE) {
            return None;
        }
        self.told = Some(Instant::now());
        Some(std::mem::take(&mut self.times))
    }
}
