//! What the broker does later, and the thread that does it.

use super::Broker;
use super::channel::Channel;
use super::clock::{Deadline, Timer};
use super::directory::Client;
use crate::error::Close;
use crate::frame::Frame;
use crate::moment::millis;
use std::sync::Arc;
use std::time::Duration;

/// How long the clock's thread sleeps at most: how late it notices that the
/// broker is gone.
const CLOCK_SLEEP_MAX: Duration = Duration::from_secs(1);
/// How often channels drop what nobody needs, even if nothing is appended.
const SWEEP_MS: u64 = 30_000;

impl Broker {
    /// Sees to it that the publishers that wait for a channel's members do not wait
    /// for stalled ones. One timer serves all of them.
    pub fn watch_stall(&self, channel: &Arc<Channel>, now_ms: u64) {
        if channel.watch_stall() {
            self.look_for_stalled(channel, now_ms + millis(self.config.stall) + 1);
        }
    }

    fn look_for_stalled(&self, channel: &Arc<Channel>, at_ms: u64) {
        self.clock.set(at_ms, Timer::Stall(Arc::downgrade(channel)));
    }

    /// Wakes a client at this time, to look whether what it waits for is late.
    pub fn wake_at(&self, client: &Arc<Client>, at_ms: u64) {
        self.clock.set(at_ms, Timer::Wake(Arc::downgrade(client)));
    }

    /// Sees to it that a command ends when its time is up.
    pub fn watch_command(&self, channel: &Arc<Channel>, seq: u64, timeout: Duration, now_ms: u64) {
        let command = channel.command_alive(seq);
        let deadline = Deadline { channel: Arc::downgrade(channel), seq, command };
        self.clock.set(now_ms + millis(timeout), Timer::Deadline(Box::new(deadline)));
    }

    /// Does what is due. [`Broker::run_clock`] calls it, or a test.
    pub fn tick(&self, now_ms: u64) {
        self.end_graces(now_ms);
        while let Some(timer) = self.clock.next_due(now_ms) {
            match timer {
                Timer::Deadline(deadline) => {
                    if let Some(channel) = deadline.channel.upgrade() {
                        channel.expire(deadline.seq);
                    }
                }
                Timer::Stall(channel) => {
                    if let Some(channel) = channel.upgrade()
                        && channel.pass_stalled(now_ms)
                    {
                        // Some members have begun to lag meanwhile: nobody waits
                        // for one of them for more than half as long again.
                        let half_ms = millis(self.config.stall) / 2;
                        self.look_for_stalled(&channel, now_ms + half_ms + 1);
                    }
                }
                Timer::Lease(client) => {
                    if let Some(client) = client.upgrade() {
                        self.watch_lease(&client, now_ms);
                    }
                }
                Timer::Seat(seat) => Self::end_hold(&seat, now_ms),
                Timer::Sweep => self.sweep(now_ms),
                Timer::Promise => self.note_promise(),
                Timer::Sequence(id) => self.purge_sequence(*id, now_ms),
                Timer::Wake(client) => {
                    if let Some(client) = client.upgrade() {
                        client.mailbox.wake();
                    }
                }
                Timer::Silence(client) => {
                    if let Some(client) = client.upgrade() {
                        self.watch_silence(&client, now_ms);
                    }
                }
            }
        }
    }

    /// Drops what channels hold that nobody needs any more. That happens after each
    /// append, too; this is for channels to which nothing is appended.
    fn sweep(&self, now_ms: u64) {
        self.registry.snapshot().iter().for_each(|channel| channel.sweep(now_ms));
        self.sweep_later(now_ms);
    }

    pub(super) fn sweep_later(&self, now_ms: u64) {
        // There is no next sweep at the end of all time, which tests go to.
        if let Some(at_ms) = now_ms.checked_add(SWEEP_MS) {
            self.clock.set(at_ms, Timer::Sweep);
        }
    }

    /// Does what is due when it is due, until the broker is gone, and calls
    /// `on_tick` with the time whenever it has looked. For a thread of its own.
    pub fn run_clock(broker: &std::sync::Weak<Self>, mut on_tick: impl FnMut(u64)) {
        while let Some(broker) = broker.upgrade() {
            broker.clock.sleep(CLOCK_SLEEP_MAX);
            let now_ms = broker.now_ms();
            broker.tick(now_ms);
            on_tick(now_ms);
        }
    }

    /// Begins to look whether a client is silent, unless that is done already.
    pub(super) fn watch_out(&self, client: &Arc<Client>, now_ms: u64) {
        if client.start_silence_watch() {
            self.watch_silence(client, now_ms);
        }
    }

    /// Whether a client that was to be closed for its silence is not silent after all:
    /// by now it was heard of, or what it has said `lies_unread`, because the broker
    /// had no time to read it. Then it is as if it had said that now.
    pub fn spares(&self, client: &Client, lies_unread: bool, now_ms: u64) -> bool {
        if lies_unread {
            client.heard(now_ms);
        }
        // It was to be closed at one of these.
        let lease_ms = self.guarded_lease_ms();
        let idle_ms = Some(millis(self.config.idle_timeout)).filter(|ms| *ms > 0);
        now_ms.saturating_sub(client.heard_ms()) < idle_ms.map_or(lease_ms, |ms| ms.min(lease_ms))
    }

    /// Pings a client that has been silent for half the idle timeout, and gives
    /// it up after all of it.
    fn watch_silence(&self, client: &Arc<Client>, now_ms: u64) {
        let idle_ms = millis(self.config.idle_timeout);
        if idle_ms == 0 {
            return;
        }
        if client.is_away() || client.is_throttled() || client.is_unwaited() {
            // It cannot answer, its answer is not read, or it has nothing but a
            // lease to renew. When that is over, it is asked again.
            self.clock.set(now_ms + idle_ms.div_ceil(2), Timer::Silence(Arc::downgrade(client)));
            return;
        }
        let heard_ms = client.heard_ms();
        let silent_ms = now_ms.saturating_sub(heard_ms);
        if silent_ms >= idle_ms {
            client.mailbox.close(Close::Timeout);
        }
        let next_ms = if silent_ms >= idle_ms {
            // It may be back on another connection by then, or have been spared.
            now_ms + idle_ms.div_ceil(2)
        } else if silent_ms >= idle_ms / 2 {
            client.mailbox.post(Frame::Ping { number: now_ms });
            heard_ms + idle_ms
        } else {
            heard_ms + idle_ms.div_ceil(2)
        };
        self.clock.set(next_ms.max(now_ms + 1), Timer::Silence(Arc::downgrade(client)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::payload::Payload;
    use crate::request::{Settings, Subscribe};
    use crate::session::Session;
    use crate::wire::text::TextEncoder;

    /// However many publishers wait, and however often.
    #[test]
    fn one_timer_looks_for_members_that_have_stalled() {
        let config = Config { log_bytes: 10_000, ..Config::default() };
        let stall_ms = millis(config.stall);
        let broker = Broker::open(config, Box::new(TextEncoder)).unwrap();
        let enter = || broker.enter(([127, 0, 0, 1], 0).into(), "text");
        broker.create("ops", Settings::default(), 0).unwrap();
        let (slow, channel) = (enter(), broker.channel("ops").unwrap());
        let sub = Subscribe { observe: true, ..Subscribe::to("ops") };
        let _sub = broker.subscribe(&slow, &sub, 0).unwrap();
        let mut waiting: Vec<_> = (0..10).map(|_| Session::new(broker.clone(), enter())).collect();
        let now_ms = broker.now_ms();
        for session in &mut waiting {
            let text = "x".repeat(20_000);
            session.publish("ops", None, &[Payload::Text(text.into())], now_ms).unwrap();
            assert!(!session.may_read());
        }
        let is_stall = |timer: &Timer| matches!(timer, Timer::Stall(_));
        let set = || std::iter::from_fn(|| broker.clock.next_due(u64::MAX)).filter(is_stall);
        assert_eq!(set().count(), 1);
        // Its time has come, and it is not set again.
        assert!(!channel.pass_stalled(now_ms + 2 * stall_ms));
        assert!(waiting.iter_mut().all(Session::may_read));
        assert_eq!(set().count(), 0);
        assert!(channel.watch_stall());
    }

    #[test]
    fn what_nobody_reads_any_more_goes_though_nothing_is_appended() {
        let broker = Broker::open(Config::default(), Box::new(TextEncoder)).unwrap();
        let come = || broker.enter(([127, 0, 0, 1], 0).into(), "text");
        let (alice, olga) = (come(), come());
        broker.create("ops", Settings::default(), 0).unwrap();
        let sub = Subscribe { observe: true, ..Subscribe::to("ops") };
        let observe = |who| broker.subscribe(who, &sub, 0);
        let (stays, here, reads) = (observe(&come()), observe(&come()), observe(&olga));
        let channel = broker.channel("ops").unwrap();
        for member in [&stays, &here] {
            member.as_ref().unwrap().adopted.member.advance(u64::MAX, true, 0);
        }
        let text = "x".repeat(100_000);
        channel.publish(&alice, "alice", None, &[Payload::Text(text.into())], |_| {}, 0).unwrap();
        broker.leave(&olga, None, Close::Lost, 0);
        drop(reads);
        assert!(channel.bytes() > 100_000);
        broker.tick(SWEEP_MS);
        assert_eq!(channel.bytes(), 0);
    }
}
