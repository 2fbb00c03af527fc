//! Timers.
//!
//! async-std rouses a thread of its own for each timer that is set, which often
//! takes longer than the work that is timed; and most timers are set for what does
//! not happen, such as a client that is silent for too long. So all timers stand in
//! one table here, and only the soonest is also set in async-std, besides those
//! that were the soonest until an earlier one came.

use super::{spawn, wait};
use crate::sync::lock;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// The time of a timer, and a number that tells those of the same instant apart.
type Key = (Instant, u64);

struct Timers {
    wakers: BTreeMap<Key, Waker>,
    last_number: u64,
    /// Wake-up times of the tasks that sleep until timers are due, latest first.
    asleep_until: Vec<Instant>,
}

static TIMERS: Mutex<Timers> =
    Mutex::new(Timers { wakers: BTreeMap::new(), last_number: 0, asleep_until: Vec::new() });

impl Timers {
    /// Whether a new task has to sleep until then, because all others sleep for
    /// longer.
    fn is_soonest(&self, at: Instant) -> bool {
        self.asleep_until.last().is_none_or(|until| at < *until)
    }
}

/// A future that is ready once its time has come.
#[derive(Debug)]
pub(super) struct Timer {
    /// `None` for a time that is too far away to be represented.
    at: Option<Instant>,
    /// Its number in the table, once it is in it.
    number: Option<u64>,
}

impl Timer {
    /// A timer that is ready after this long.
    pub(super) fn after(duration: Duration) -> Self {
        Timer { at: Instant::now().checked_add(duration), number: None }
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        if at <= Instant::now() {
            return Poll::Ready(());
        }
        let mut timers = lock(&TIMERS);
        let number = *self.number.get_or_insert_with(|| {
            timers.last_number += 1;
            timers.last_number
        });
        timers.wakers.insert((at, number), cx.waker().clone());
        // Most timers last as long as those before them, and so are not the
        // soonest.
        if timers.is_soonest(at) {
            timers.asleep_until.push(at);
            drop(timers);
            spawn(wake_at(at));
        }
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let (Some(at), Some(number)) = (self.at, self.number) {
            lock(&TIMERS).wakers.remove(&(at, number));
        }
    }
}

/// Wakes the tasks that wait for this instant, and then for the next one, until
/// none waits or another sleeping task wakes no later. A task is started only for a
/// timer that is earlier than all before it, so there are never more tasks than
/// such timers.
async fn wake_at(mut at: Instant) {
    loop {
        wait(at.saturating_duration_since(Instant::now())).await;
        let (due, next) = {
            let mut timers = lock(&TIMERS);
            timers.asleep_until.retain(|until| *until != at);
            let later = timers.wakers.split_off(&(Instant::now(), u64::MAX));
            let due = std::mem::replace(&mut timers.wakers, later);
            let next = timers.wakers.keys().next().map(|(at, _)| *at);
            let next = next.filter(|next| timers.is_soonest(*next));
            timers.asleep_until.extend(next);
            (due, next)
        };
        due.into_values().for_each(Waker::wake);
        let Some(next) = next else { return };
        at = next;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{block_on, sleep, timeout};
    use super::*;
    use futures::FutureExt;
    use std::future::pending;

    const MOMENT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn the_soonest_comes_first_whenever_it_was_set() {
        let mut long = Box::pin(sleep(LONG));
        assert_eq!(long.as_mut().now_or_never(), None);
        let began = Instant::now();
        block_on(sleep(2 * MOMENT));
        assert!(began.elapsed() >= 2 * MOMENT);
        // Both one after the other, by the task that has woken for the first.
        let two = async { futures::join!(sleep(MOMENT), sleep(2 * MOMENT)) };
        assert_eq!(block_on(timeout(LONG, two)), Some(((), ())));
        assert_eq!(long.as_mut().now_or_never(), None);
    }

    #[test]
    fn what_is_in_time_counts_and_what_is_not_does_not() {
        assert_eq!(block_on(timeout(Duration::ZERO, async { 7 })), Some(7));
        assert_eq!(block_on(timeout(Duration::MAX, sleep(MOMENT))), Some(()));
        assert_eq!(block_on(timeout(MOMENT, pending::<()>())), None);
    }

    /// Each of many timers, set one after the other, is earlier than the one that
    /// was there first.
    #[test]
    fn no_tasks_pile_up_behind_one_that_sleeps_for_long() {
        let mut long = Box::pin(sleep(LONG));
        assert_eq!(long.as_mut().now_or_never(), None);
        for _ in 0..100 {
            block_on(sleep(Duration::from_millis(1)));
        }
        let asleep = lock(&TIMERS).asleep_until.len();
        assert!(asleep < 20, "{asleep} tasks sleep for one timer");
    }

    #[test]
    fn who_waits_no_more_is_in_no_table() {
        let mut timer = Timer::after(LONG);
        assert_eq!((&mut timer).now_or_never(), None);
        let key = (timer.at.unwrap(), timer.number.unwrap());
        assert!(lock(&TIMERS).wakers.contains_key(&key));
        drop(timer);
        assert!(!lock(&TIMERS).wakers.contains_key(&key));
    }
}
