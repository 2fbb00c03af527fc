//! What `hold` says while it waits, and while the broker is silent: each thing
//! once, not at every look at the clock.

use super::lease::Lease;
use super::seat::{Claim, Doubt};
use super::{Settings, status};
use crate::moment::Moment;
use std::time::Duration;

/// What was said last.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Rank, term, and why the program does not start with it.
    waiting: Option<(u64, u64, Option<Doubt>)>,
    silent: bool,
}

impl News {
    /// Says that the program does not run: the rank is not the right one, or somebody
    /// else may still believe in it for some time.
    pub(super) fn waiting(
        &mut self,
        settings: &Settings,
        claim: Claim,
        doubt: Option<(Doubt, Duration)>,
    ) {
        let Claim { rank, term, .. } = claim;
        let now = Some((rank, term, doubt.map(|(doubt, _)| doubt)));
        if self.waiting == now {
            return;
        }
        self.waiting = now;
        let Settings { channel, ranks, .. } = settings;
        let why = doubt
            .map(|(doubt, left)| format!(": {}: {:.1} s more", doubt.as_str(), left.as_secs_f64()));
        let why = why.unwrap_or_default();
        status::waiting(&format!("rank={rank} term={term} channel={channel} for={ranks}{why}"));
    }

    /// Warns, before the program has to end, that the broker has not answered for so
    /// long.
    pub(super) fn silent(&mut self, lease: &Lease, silent: Duration, now: Moment) {
        if self.silent || silent <= lease.interval() * 2 || now >= lease.end_at() {
            return;
        }
        self.silent = true;
        let left = lease.end_at().since(now);
        status::note(&format!(
            "the broker has not answered for {:.1} s: \
             the program is ended in {:.1} s unless it does",
            silent.as_secs_f64(),
            left.as_secs_f64()
        ));
    }

    /// The broker has answered.
    pub(super) fn answered(&mut self) {
        self.silent = false;
    }
}
