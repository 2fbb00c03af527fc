//! What a client knows about itself from its requests and what came back: its name, its
//! channels and ranks, and how to restore its place after a reconnect.

mod resume;

pub use resume::Resumption;

use super::event::Frame;
use super::line::{Reply, verb_of};
use crate::error::Code;
use resume::Resume;
use std::collections::BTreeMap;

/// A channel that the client is subscribed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The rank there; `None` for an observer.
    pub rank: Option<u64>,
    /// The seq at which it got this rank.
    pub term: u64,
    /// The view of the roster that says so.
    view: u64,
    /// The options of its subscription that hold for a new one too.
    options: Vec<&'static str>,
}

/// A subscription that the client wants and does not have.
#[derive(Clone, Debug)]
struct Wish {
    /// The request for it.
    line: String,
    /// Whether it was refused on this connection.
    refused: bool,
    /// Why; `None` for a code that this version does not know.
    code: Option<Code>,
}

impl Wish {
    fn new(line: String) -> Self {
        Wish { line, refused: false, code: None }
    }
}

/// What became of a refused subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Another try may succeed.
    Temporary {
        /// Whether this is the first refusal on this connection, which is worth saying.
        first: bool,
    },
    /// Another try would be refused as well.
    Final,
    /// There is nothing to try again.
    Settled,
}

/// What a client knows about itself.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    name: Option<String>,
    wanted_name: Option<String>,
    quiet: bool,
    current: Option<String>,
    seats: BTreeMap<String, Seat>,
    patterns: Vec<String>,
    disconnected: bool,
    /// By channel or pattern.
    wishes: BTreeMap<String, Wish>,
    /// Which of the wishes is to be the current channel.
    wanted_current: Option<String>,
    /// The session, if there is to be one that outlives the connection.
    resume: Option<Resume>,
}

impl Memory {
    /// A client that wants this name, and wants no `ok` to `pub` and `ack`.
    pub fn new(wanted_name: Option<String>, quiet: bool) -> Self {
        Memory { wanted_name, quiet, ..Memory::default() }
    }

    /// The name it has.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Its seat in a channel.
    pub fn seat(&self, channel: &str) -> Option<&Seat> {
        self.seats.get(channel)
    }

    /// Whether it has a rank in any channel.
    pub fn has_rank(&self) -> bool {
        self.seats.values().any(|seat| seat.rank.is_some())
    }

    /// What the broker would say of its rank in a channel, if it has one.
    pub fn rank_frame(&self, channel: &str) -> Option<Frame> {
        let Seat { rank, term, view, .. } = self.seats.get(channel)?;
        let (rank, term, view) = ((*rank)?, *term, *view);
        Some(Frame::Rank { channel: channel.to_owned(), rank, term, view })
    }

    /// The same of all channels.
    pub fn rank_frames(&self) -> impl Iterator<Item = Frame> {
        self.seats.keys().filter_map(|channel| self.rank_frame(channel))
    }

    /// The requests for the ranks that are not known: of seats that another process had.
    pub fn unknown_ranks(&self) -> impl Iterator<Item = String> {
        let unknown = |seat: &Seat| seat.term == 0 && !seat.options.contains(&"--observe");
        let seats = self.seats.iter().filter(move |(_, seat)| unknown(seat));
        seats.map(|(channel, _)| format!("rank {}", quote(channel)))
    }

    /// Records the reply to this request.
    pub fn replied(&mut self, request: &str, reply: &Reply) {
        if verb_of(request) == "unsub"
            && let Some(named) = shlex::split(request).and_then(|words| words.into_iter().nth(1))
        {
            // Whatever the broker says, it is not wanted any more.
            self.wishes.remove(&named);
        }
        let Reply::Ok { verb, .. } = reply else { return };
        let has = |option: &str| {
            request.split([' ', '\t']).any(|word| {
                word.strip_prefix(option)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
            })
        };
        let named = reply.word(0).unwrap_or_default().to_owned();
        match verb.as_str() {
            "hello" => {
                // A later `hello` on the same connection does not touch the session.
                if self.name.is_none() || self.disconnected {
                    self.greeted(reply);
                }
                self.name = reply.field("name").map(str::to_owned);
                self.disconnected = false;
                if has("--name") {
                    self.wanted_name.clone_from(&self.name);
                }
                self.quiet |= has("--quiet");
            }
            "sub" if has("--pattern") => {
                self.wishes.remove(&named);
                self.patterns.retain(|pattern| *pattern != named);
                self.patterns.push(named);
            }
            "sub" => {
                let options = ["--create", "--no-echo", "--observe"];
                let observes = has("--observe");
                let seat = Seat {
                    rank: reply.number_field("rank").filter(|_| !observes),
                    term: reply.number_field("term").unwrap_or(0),
                    view: reply.number_field("view").unwrap_or(0),
                    options: options.into_iter().filter(|option| has(option)).collect(),
                };
                let from_now = !has("--from") && !has("--last");
                self.subscribed(&named, reply.number_field("seq").filter(|_| from_now), observes);
                self.wishes.remove(&named);
                self.seats.insert(named.clone(), seat);
                self.current = Some(named);
            }
            "use" => self.current = Some(named),
            "unsub" | "drop" => self.forget(&named),
            "rank" => self.learnt(&named, reply),
            _ => {}
        }
    }

    /// Records what a frame says about this client.
    pub fn heard(&mut self, frame: &Frame) {
        match frame {
            Frame::Rank { channel, rank, term, view } => {
                if let Some(seat) = self.seats.get_mut(channel) {
                    seat.rank = Some(*rank);
                    seat.term = *term;
                    seat.view = *view;
                }
            }
            Frame::Left { channel, seq, member, reason, .. }
                if Some(member) == self.name.as_ref() =>
            {
                self.departed(channel, *seq, reason);
            }
            Frame::Joined { channel, seq, member, rank } if Some(member) == self.name.as_ref() => {
                self.rejoined(channel, *seq, *rank);
            }
            _ => {}
        }
    }

    fn forget(&mut self, channel: &str) {
        self.seats.remove(channel);
        self.patterns.retain(|pattern| pattern != channel);
        self.unsubscribed(channel);
        if self.current.as_deref() == Some(channel) {
            self.current = None;
        }
    }

    /// The request that introduces the client.
    pub fn hello(&self) -> String {
        let mut line = "hello".to_owned();
        if let Some(name) = &self.wanted_name {
            line.push_str(" --name ");
            line.push_str(&quote(name));
        }
        if self.quiet {
            line.push_str(" --quiet");
        }
        line.push_str(&self.resuming());
        line
    }

    /// Whether the client has anything to say in its introduction.
    pub fn has_wishes(&self) -> bool {
        self.wanted_name.is_some() || self.quiet || self.resume.is_some()
    }

    /// The connection is gone, and with it every seat: what is known of ranks
    /// is true no longer. All subscriptions become wishes.
    pub fn lost(&mut self) {
        self.disconnected = true;
        self.keep();
        let current = self.current.take().filter(|channel| self.seats.contains_key(channel));
        self.wanted_current = current.or(self.wanted_current.take());
        for glob in std::mem::take(&mut self.patterns) {
            let line = format!("sub --pattern {}", quote(&glob));
            self.wishes.insert(glob, Wish::new(line));
        }
        for (channel, seat) in std::mem::take(&mut self.seats) {
            let options = seat.options.iter().flat_map(|option| [" ", option]).collect::<String>();
            let line = format!("sub {channel}{options}");
            self.wishes.insert(channel, Wish::new(line));
        }
        // A refusal is reported once per connection.
        self.wishes.values_mut().for_each(|wish| wish.refused = false);
    }

    /// There is a connection again; a client that does not introduce itself has no
    /// reply to `hello` that says so, and no name that it knows of.
    pub fn connected(&mut self) {
        self.disconnected = false;
    }

    /// Wants to be subscribed to this channel; the last one is to be the
    /// current one.
    pub fn wish(&mut self, channel: &str, line: String) {
        self.wishes.insert(channel.to_owned(), Wish::new(line));
        self.wanted_current = Some(channel.to_owned());
    }

    /// The user has chosen another current channel.
    pub fn chosen(&mut self) {
        self.wanted_current = None;
    }

    /// Returns the requests for every wish; after a resume, only for what the broker
    /// has not kept. A `sub` changes the current channel behind the back of a user who
    /// types `/…`: so a channel that really is current is made current again with
    /// `use`, and the one that was current before is asked for last.
    pub fn subscriptions(&self) -> Vec<String> {
        let lines = |wanted: bool| {
            let wishes = self.wishes.iter();
            wishes
                .filter(move |(channel, _)| {
                    (self.wanted_current.as_ref() == Some(channel)) == wanted
                })
                .map(|(_, wish)| wish.line.clone())
        };
        let mut all: Vec<_> = lines(false).collect();
        if let Some(current) = self.current.as_ref().filter(|_| !all.is_empty()) {
            all.push(format!("use {current}"));
        }
        all.extend(lines(true));
        all
    }

    /// Records that the broker refused the request of a wish.
    pub fn refused(&mut self, request: &str, code: Option<Code>) -> Refusal {
        let Some((channel, wish)) = self.wishes.iter_mut().find(|(_, wish)| wish.line == request)
        else {
            return Refusal::Settled;
        };
        match code {
            Some(Code::BadRequest | Code::UnknownCommand | Code::TooLong) => {
                let channel = channel.clone();
                self.wishes.remove(&channel);
                Refusal::Final
            }
            // A resumed session has this subscription already.
            Some(Code::AlreadyMember) if self.resume.is_some() => {
                let channel = channel.clone();
                self.wishes.remove(&channel);
                Refusal::Settled
            }
            code => {
                wish.code = code;
                Refusal::Temporary { first: !std::mem::replace(&mut wish.refused, true) }
            }
        }
    }

    /// Why the wishes that are left were refused.
    pub fn refusals(&self) -> impl Iterator<Item = Option<Code>> {
        self.wishes.values().filter(|wish| wish.refused).map(|wish| wish.code)
    }

    /// `alice@ops#0> `: name, current channel, rank. Without a connection nobody
    /// knows who is in charge, so it shows no rank.
    pub fn prompt(&self) -> String {
        let mut prompt = self.name.clone().unwrap_or_default();
        if self.disconnected {
            prompt.push_str(if prompt.is_empty() { "(disconnected)" } else { " (disconnected)" });
        }
        if let Some(channel) = &self.current {
            prompt.push('@');
            prompt.push_str(channel);
            if let Some(rank) = self.seats.get(channel).and_then(|seat| seat.rank) {
                prompt.push('#');
                prompt.push_str(&rank.to_string());
            }
        }
        prompt.push_str("> ");
        prompt
    }
}

/// Quotes a word for a POSIX shell. One with a NUL stays as it is: no line of the
/// protocol holds it, and whoever sends the line must refuse it.
pub fn quote(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replied(memory: &mut Memory, request: &str, reply: &str) {
        memory.replied(request, &Reply::parse(reply).unwrap());
    }

    #[test]
    fn the_prompt_follows_name_channel_and_rank() {
        let mut memory = Memory::new(None, false);
        assert_eq!(memory.prompt(), "> ");
        replied(&mut memory, "hello", "ok hello name=guest-1 session=x");
        assert_eq!(memory.prompt(), "guest-1> ");
        replied(&mut memory, "sub ops", "ok sub ops rank=2 term=18 view=18 seq=18 members=3");
        assert_eq!(memory.prompt(), "guest-1@ops#2> ");
        memory.heard(&Frame::parse("rank ops 0 19 19"));
        assert_eq!(memory.prompt(), "guest-1@ops#0> ");
        replied(&mut memory, "sub --observe news", "ok sub news rank=0 seq=1");
        assert_eq!(memory.prompt(), "guest-1@news> ");
        replied(&mut memory, "use ops", "ok use ops");
        memory.heard(&Frame::parse("left ops 20 guest-1 0 reason=kicked"));
        assert_eq!(memory.prompt(), "guest-1> ");
    }

    #[test]
    fn it_takes_up_its_place_again() {
        let mut memory = Memory::new(Some("al".into()), true);
        assert_eq!(memory.hello(), "hello --name al --quiet");
        replied(&mut memory, "sub --observe b --last 5", "ok sub b seq=1");
        replied(&mut memory, "sub a --create", "ok sub a rank=0 term=1 seq=1");
        replied(&mut memory, "sub --pattern 'x*'", "ok sub x* matched=0");
        replied(&mut memory, "sub c", "err no-channel c");
        assert!(memory.subscriptions().is_empty(), "nothing is lost yet");
        memory.lost();
        assert_eq!(
            memory.subscriptions(),
            ["sub b --observe", "sub --pattern 'x*'", "sub a --create"],
            "what was current comes last, without a use"
        );
    }

    #[test]
    fn without_a_connection_the_prompt_says_nothing_of_ranks() {
        // The prompt kept bob@ops#0 after its broker was gone, and with the next one.
        let mut memory = Memory::new(None, false);
        replied(&mut memory, "hello", "ok hello name=bob");
        replied(&mut memory, "sub ops", "ok sub ops rank=0 term=1 seq=1");
        memory.lost();
        assert_eq!(memory.prompt(), "bob (disconnected)> ");
        replied(&mut memory, "hello", "ok hello name=bob");
        assert_eq!(memory.prompt(), "bob> ");
        replied(&mut memory, "sub ops", "ok sub ops rank=3 term=9 seq=9");
        assert_eq!(memory.prompt(), "bob@ops#3> ");
    }

    #[test]
    fn a_refused_wish_stays_until_it_is_fulfilled_or_given_up() {
        let mut memory = Memory::new(None, false);
        for channel in ["a", "b", "c", "d"] {
            memory.wish(channel, format!("sub {channel}"));
        }
        let full = Some(Code::Full);
        assert_eq!(memory.refused("sub b", full), Refusal::Temporary { first: true });
        assert_eq!(memory.refused("sub b", full), Refusal::Temporary { first: false });
        assert_eq!(memory.refused("sub c", Some(Code::BadRequest)), Refusal::Final);
        assert_eq!(memory.refused("sub c", full), Refusal::Settled);
        replied(&mut memory, "sub a", "ok sub a rank=0 term=1 seq=1");
        // a is current until d can be.
        assert_eq!(memory.subscriptions(), ["sub b", "use a", "sub d"]);
        memory.chosen();
        assert_eq!(memory.subscriptions(), ["sub b", "sub d", "use a"]);
        assert_eq!(memory.refusals().collect::<Vec<_>>(), [full]);
        replied(&mut memory, "unsub 'b'", "err not-member b");
        replied(&mut memory, "unsub d", "err not-member d");
        assert!(memory.subscriptions().is_empty());
    }
}
