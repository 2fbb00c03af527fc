//! Requests with a key that had no reply when the connection was lost. Where the
//! session goes on they are sent again, and the broker carries each out once; else
//! nobody knows whether they took effect.

use super::line::{Asked, is_keyed};
use super::memory::Resumption;
use super::outbox::Outbox;

/// Requests that are sent again when the session goes on.
#[derive(Debug, Default)]
pub(super) struct Unanswered<T>(Vec<Asked<T>>);

impl<T: Default> Unanswered<T> {
    /// Takes such requests out of `left`, all that the connection left without a reply.
    pub(super) fn keep(&mut self, left: &mut Vec<Asked<T>>, is_awaited: impl Fn(&T) -> bool) {
        let may_go_twice = |asked: &mut Asked<T>| is_keyed(&asked.line) && is_awaited(&asked.tag);
        self.0.extend(left.extract_if(.., may_go_twice));
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Once the broker has accepted the introduction: sends them again if the session
    /// was resumed, else returns them, as they will get no reply.
    pub(super) fn settle(
        &mut self,
        became: Option<Resumption>,
        outbox: &Outbox<T>,
    ) -> Vec<Asked<T>> {
        let all = std::mem::take(&mut self.0);
        if !matches!(became, Some(Resumption::Resumed { .. })) {
            return all;
        }
        for Asked { line, tag, .. } in all {
            outbox.say(&line, tag);
        }
        Vec::new()
    }
}
