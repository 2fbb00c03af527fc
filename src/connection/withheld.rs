//! Replies that wait: for what they tell of to be on disk, or for what they are
//! made of to be read from it. What comes after them waits behind them.
//!
//! They are kept as what they say, not as bytes, because a commit that fails
//! turns an `ok` into an `err`.

use crate::error::{Code, Fault};
use crate::frame::Frame;
use crate::reply::Reply;
use crate::session::{Held, Session, Step};
use crate::wire::text;
use std::collections::VecDeque;

/// What a reply that waits takes besides what it says, in bytes, about.
const ITEM_BYTES: usize = 128;
/// The same for each message that it answers.
const REQUEST_BYTES: usize = 32;
/// And for each row of a list.
const ROW_BYTES: usize = 512;

enum Due {
    Reply(Result<Option<Reply>, Fault>),
    Frame(Frame),
}

struct Item {
    held: Option<Held>,
    due: Due,
    /// The subscriptions that it tells of.
    fresh: Vec<u32>,
    weight: usize,
}

/// What waits, in order.
#[derive(Default)]
pub(super) struct Withheld {
    items: VecDeque<Item>,
    weight: usize,
    /// The number of the ticket that will wake us.
    watched: Option<u64>,
}

impl Withheld {
    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// What it takes, in bytes, about.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    /// A reply, what it waits for besides those before it, and the subscriptions
    /// that it tells of.
    pub(super) fn reply(
        &mut self,
        held: Option<Held>,
        reply: Result<Option<Reply>, Fault>,
        fresh: Vec<u32>,
    ) {
        let own = match &reply {
            Ok(Some(Reply::List(rows, _))) => rows.len() * ROW_BYTES,
            Ok(Some(Reply::Entries(excerpts, _))) => {
                excerpts.iter().map(|excerpt| excerpt.range.len()).sum()
            }
            Ok(_) => 0,
            Err(fault) => fault.message.len(),
        };
        let requests = held.as_ref().map_or(1, |held| held.requests);
        let requests = usize::try_from(requests).unwrap_or(usize::MAX);
        self.push(held, Due::Reply(reply), fresh, own + requests.saturating_mul(REQUEST_BYTES));
    }

    /// A frame that must not overtake the replies before it: a result of a
    /// command whose own reply waits.
    pub(super) fn frame(&mut self, frame: Frame) {
        let weight = frame.weight();
        self.push(None, Due::Frame(frame), Vec::new(), weight);
    }

    fn push(&mut self, held: Option<Held>, due: Due, fresh: Vec<u32>, own: usize) {
        let weight = ITEM_BYTES.saturating_add(own);
        self.weight = self.weight.saturating_add(weight);
        self.items.push_back(Item { held, due, fresh, weight });
    }

    /// The client's mail is in another box.
    pub(super) fn watch_anew(&mut self) {
        self.watched = None;
    }

    /// Writes what need not wait any more, until there are `most` bytes; whether
    /// more may follow at once.
    pub(super) fn release(
        &mut self,
        session: &mut Session,
        out: &mut Vec<u8>,
        most: usize,
    ) -> bool {
        while let Some(front) = self.items.front_mut() {
            if out.len() >= most {
                return true;
            }
            if let Some(held) = &front.held {
                match held.ticket.outcome() {
                    None => {
                        if self.watched != Some(held.ticket.number()) {
                            self.watched = Some(held.ticket.number());
                            held.ticket.wake_when_settled(&session.waiter());
                        }
                        return false;
                    }
                    // It tells of nothing but what is on disk.
                    Some(Err(_)) if matches!(front.due, Due::Reply(Ok(Some(Reply::Scroll)))) => {
                        front.held = None;
                    }
                    Some(Err(reason)) => {
                        let text = format!("it is not known to be on disk: {reason}");
                        let fault = Fault::new(Code::Unavailable, text);
                        for _ in 0..held.requests {
                            session.note_fault();
                            text::fault(&fault, out);
                        }
                        self.pop(session);
                        continue;
                    }
                    Some(Ok(())) => front.held = None,
                }
            }
            match &front.due {
                Due::Frame(frame) => text::frame(frame, out),
                Due::Reply(Ok(None)) => {}
                Due::Reply(Err(fault)) => {
                    session.note_fault();
                    text::fault(fault, out);
                }
                Due::Reply(Ok(Some(Reply::Scroll))) => match session.scroll() {
                    Step::Pending => return false,
                    Step::Rows(rows) => {
                        text::entries(&rows, out);
                        continue;
                    }
                    Step::Done(Ok(last)) => text::reply(&last.into(), out),
                    Step::Done(Err(fault)) => {
                        session.note_fault();
                        text::fault(&fault, out);
                    }
                },
                Due::Reply(Ok(Some(reply))) => text::reply(reply, out),
            }
            self.pop(session);
        }
        false
    }

    fn pop(&mut self, session: &mut Session) {
        if let Some(item) = self.items.pop_front() {
            self.weight -= item.weight;
            session.announce(&item.fresh, true);
        }
        if self.items.is_empty() {
            *self = Withheld::default();
        }
    }
}
