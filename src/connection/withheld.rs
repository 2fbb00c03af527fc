//! Replies that wait: for what they tell of to be on disk, or for what they are
//! made of to be read from it. What comes after them waits behind them.
//!
//! They are kept as values, not as bytes, because a commit that fails turns an
//! `ok` into an `err`.

use super::is_over;
use crate::error::{Code, Fault};
use crate::frame::Frame;
use crate::reply::Reply;
use crate::request::Format;
use crate::session::{AwaitsDisk, Caused, Session, Step};
use crate::wire::json;
use crate::wire::spoken::{self, OwnedTag, Rows, Tag};
use std::collections::VecDeque;

/// About how many bytes a reply that waits takes besides its content.
const ITEM_BYTES: usize = 128;
/// The same for each message that it answers.
const REQUEST_BYTES: usize = 32;
/// And for each row of a list.
const ROW_BYTES: usize = 512;

enum Due {
    Reply(Result<Option<Reply>, Fault>),
    Frame(Frame),
    /// It is encoded already.
    Ready(Box<[u8]>),
}

struct Item {
    awaited: Option<AwaitsDisk>,
    /// How many requests it answers, should it fail.
    answers: u64,
    due: Due,
    /// What its request has caused, and comes after it.
    caused: Option<Caused>,
    /// Its format; `None` for a frame, which has that of what came before it.
    format: Option<Format>,
    /// The tags of the requests that it answers.
    tags: Box<[OwnedTag]>,
    weight: usize,
}

/// What waits, in order.
#[derive(Default)]
pub(super) struct Withheld {
    items: VecDeque<Item>,
    weight: usize,
    /// The number of the ticket that will wake us.
    watched: Option<u64>,
    /// What has been read of the answer that comes next, if that has to be one
    /// line.
    rows: Rows,
}

impl Withheld {
    /// The frames among what waits, in order. A rank is not among them: whoever goes on
    /// with the session is told it anew.
    pub(super) fn into_frames(self) -> Vec<Frame> {
        let frame = |item: Item| match item.due {
            Due::Frame(Frame::Rank { .. }) | Due::Reply(_) | Due::Ready(_) => None,
            Due::Frame(frame) => Some(frame),
        };
        self.items.into_iter().filter_map(frame).collect()
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// What it takes, in bytes, about.
    pub(super) fn weight(&self) -> usize {
        self.weight + self.rows.weight()
    }

    /// Adds a reply, with what it waits for besides those before it, what comes
    /// after it, and its format.
    pub(super) fn reply(
        &mut self,
        awaited: Option<AwaitsDisk>,
        reply: Result<Option<Reply>, Fault>,
        caused: Option<Caused>,
        format: Format,
        tags: &[Tag<'_>],
    ) {
        let own = match &reply {
            Ok(Some(Reply::List(rows, _))) => rows.len() * ROW_BYTES,
            Ok(Some(Reply::Entries(excerpts, _))) => {
                excerpts.iter().map(|excerpt| excerpt.range.len()).sum()
            }
            Ok(_) => 0,
            Err(fault) => fault.message.len(),
        };
        let requests = awaited.as_ref().map_or(1, |awaited| awaited.requests);
        let requests = usize::try_from(requests).unwrap_or(usize::MAX);
        let tags: Box<[OwnedTag]> = match format {
            Format::Text => Box::default(),
            Format::Json | Format::WebSocket | Format::Resp { .. } => {
                tags.iter().copied().map(OwnedTag::from).collect()
            }
        };
        let weight = ITEM_BYTES
            .saturating_add(own + requests.saturating_mul(REQUEST_BYTES))
            .saturating_add(tags.iter().map(OwnedTag::weight).sum());
        let (due, format) = (Due::Reply(reply), Some(format));
        self.push(Item { awaited, answers: 1, due, caused, format, tags, weight });
    }

    /// Adds a frame that must not overtake the replies before it, such as a result
    /// of a command whose own reply waits.
    pub(super) fn frame(&mut self, frame: Frame) {
        let (weight, due) = (ITEM_BYTES + frame.weight(), Due::Frame(frame));
        let tags = Box::default();
        self.push(Item {
            awaited: None,
            answers: 1,
            due,
            caused: None,
            format: None,
            tags,
            weight,
        });
    }

    /// Adds what is encoded already, and must not overtake the replies before it.
    pub(super) fn ready(&mut self, bytes: &[u8], format: Format) {
        let (due, format) = (Due::Ready(bytes.into()), Some(format));
        let (tags, weight) = (Box::default(), ITEM_BYTES + bytes.len());
        self.push(Item { awaited: None, answers: 1, due, caused: None, format, tags, weight });
    }

    fn push(&mut self, item: Item) {
        self.weight = self.weight.saturating_add(item.weight);
        self.items.push_back(item);
    }

    /// Has the next ticket wake the client that the session has now.
    pub(super) fn watch_anew(&mut self) {
        self.watched = None;
    }

    /// Encodes what need not wait any more, until there are `most` bytes, or the turn
    /// that began at that time has lasted long enough. Returns whether more may
    /// follow at once. `format` becomes that of the last reply.
    pub(super) fn release(
        &mut self,
        session: &mut Session,
        out: &mut Vec<u8>,
        most: usize,
        format: &mut Format,
        began_ms: u64,
    ) -> bool {
        while let Some(front) = self.items.front_mut() {
            if out.len() >= most {
                return true;
            }
            if let Some(awaited) = &front.awaited {
                match awaited.ticket.outcome() {
                    None => {
                        if self.watched != Some(awaited.ticket.number()) {
                            self.watched = Some(awaited.ticket.number());
                            awaited.ticket.wake_when_settled(&session.waiter());
                        }
                        return false;
                    }
                    // Such an answer tells of nothing but what is on disk.
                    Some(Err(_)) if matches!(front.due, Due::Reply(Ok(Some(Reply::Scroll)))) => {}
                    // Its session is resumed, whatever becomes of the disk.
                    Some(Err(_)) if front.caused == Some(Caused::All) => {}
                    Some(Err(reason)) => {
                        let text = format!("it is not known to be on disk: {reason}");
                        let failed = Due::Reply(Err(Fault::new(Code::Unavailable, text)));
                        (front.due, front.answers) = (failed, awaited.requests);
                    }
                    Some(Ok(())) => {}
                }
                front.awaited = None;
            }
            *format = front.format.unwrap_or(*format);
            let tag = front.tags.first().map_or_else(Tag::default, OwnedTag::tag);
            match &front.due {
                Due::Frame(frame) => spoken::frame(*format, frame, out),
                Due::Ready(bytes) => out.extend_from_slice(bytes),
                Due::Reply(Ok(None)) => {}
                Due::Reply(Err(fault)) => {
                    for at in 0..front.answers {
                        let own = usize::try_from(at).ok().and_then(|at| front.tags.get(at));
                        session.note_fault();
                        spoken::fault(*format, fault, own.map_or(tag, OwnedTag::tag), out);
                    }
                }
                Due::Reply(Ok(Some(Reply::Scroll))) => {
                    match read_on(&mut self.rows, session, *format, tag, out) {
                        Read::Nothing => return false,
                        Read::Some => {}
                        Read::All => {
                            self.rows = Rows::default();
                            self.pop(session);
                        }
                    }
                    if is_over(began_ms, session) {
                        return true;
                    }
                    continue;
                }
                Due::Reply(Ok(Some(reply))) => {
                    let tags: Vec<Tag<'_>> = front.tags.iter().map(OwnedTag::tag).collect();
                    spoken::reply(*format, reply, &tags, out);
                }
            }
            self.pop(session);
        }
        false
    }

    fn pop(&mut self, session: &mut Session) {
        if let Some(item) = self.items.pop_front() {
            self.weight -= item.weight;
            if let Some(caused) = item.caused {
                session.replied(caused);
            }
        }
        if self.items.is_empty() {
            *self = Withheld::default();
        }
    }
}

/// How much of an answer was read.
enum Read {
    /// Nothing: a read is under way.
    Nothing,
    /// There is more.
    Some,
    /// It is written to its end.
    All,
}

/// Goes on with an answer that is read piece by piece.
fn read_on(
    rows: &mut Rows,
    session: &mut Session,
    format: Format,
    tag: Tag<'_>,
    out: &mut Vec<u8>,
) -> Read {
    match session.scroll() {
        Step::Pending => return Read::Nothing,
        Step::Rows(read) => {
            if rows.add(format, &read, out) {
                return Read::Some;
            }
            let channel = session.cut_scroll().unwrap_or_default();
            rows.last(format, json::cut(&channel), tag, out);
        }
        Step::Done(Ok(last)) => rows.last(format, last, tag, out),
        Step::Done(Err(fault)) => {
            session.note_fault();
            spoken::fault(format, &fault, tag, out);
        }
    }
    Read::All
}
