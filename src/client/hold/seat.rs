//! Whether the program may run: what the client knows of its own rank, and whether a
//! former holder may still believe in the same one. Pure: time is an argument.
//!
//! The broker promotes the next in line at once when a member leaves on purpose and, on
//! a `safe` channel, when a lost member's lease has run out. A successor in one of
//! these cases starts at once. After anything else (a `promote`, a `kick`, a broker
//! that has forgotten everything) the former holder may not even know yet: then the
//! successor waits for one lease, in which the former holder hears of it or stops
//! believing.

use super::ranks::Ranks;
use crate::client::event::Frame;
use crate::moment::Moment;
use std::time::Duration;

/// A rank, as the broker gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The rank.
    pub rank: u64,
    /// The seq at which the member got it.
    pub term: u64,
    /// The view of the roster that says so.
    pub view: u64,
}

/// Whether the program may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Not with this rank.
    No,
    /// The rank is right, but a former holder may believe in it until then.
    NotBefore(Moment, Doubt),
    /// Now.
    Now(Claim),
}

/// Why somebody may still believe in the same rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// How this rank came about is not known yet.
    NotTold,
    /// The broker may have just replaced another one, with other ranks.
    YoungBroker,
    /// The former holder was not lost, and did not leave: it may not know yet.
    OneBefore,
}

impl Doubt {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Doubt::NotTold => "how it came about is not known yet",
            Doubt::YoungBroker => "the broker has just begun, and others may not know yet",
            Doubt::OneBefore => "the one before may not know yet",
        }
    }
}

/// What is known of this client's seat in the channel.
#[derive(Clone, Debug)]
pub struct Seat {
    ranks: Ranks,
    safe: bool,
    claim: Option<Claim>,
    claimed_at: Moment,
    /// Why there is no claim, if this client was removed.
    removed: Option<String>,
    /// The channel's entries up to here are known.
    seen: u64,
    /// When something last happened that a former holder may not know of.
    unsettled_at: Option<(Moment, Doubt)>,
}

impl Seat {
    /// Nothing is known yet.
    pub fn new(ranks: Ranks) -> Self {
        Seat {
            ranks,
            safe: false,
            claim: None,
            claimed_at: Moment::default(),
            removed: None,
            seen: 0,
            unsettled_at: None,
        }
    }

    /// The rank that the broker gave.
    pub fn claim(&self) -> Option<Claim> {
        self.claim
    }

    /// For how long this rank has been known.
    pub fn age(&self, now: Moment) -> Duration {
        now.since(self.claimed_at)
    }

    /// Why this client is no longer a member: `kicked`, `dropped`, …
    pub fn removed(&self) -> Option<&str> {
        self.removed.as_deref()
    }

    /// Sets whether a lost member keeps its rank for as long as it may believe in it.
    pub fn set_safe(&mut self, safe: bool) {
        self.safe = safe;
    }

    /// Entries up to here are known, or of no interest.
    pub fn begins(&mut self, seq: u64) {
        self.seen = self.seen.max(seq);
    }

    /// This client has joined, with this rank. Nobody tells it what happened before.
    pub fn joined(&mut self, claim: Claim, seq: u64, now: Moment) {
        self.begins(seq);
        self.claimed(claim, now);
        // A former holder of one of the ranks may just have been kicked, or have risen.
        // Not so for rank 0 in an empty roster: its holder left, or was lost.
        let is_behind_others = claim.rank > 0 && self.ranks.contains(claim.rank);
        if is_behind_others || !self.safe {
            self.unsettle(now, Doubt::OneBefore);
        }
    }

    /// Something has happened that others may not know of.
    pub fn unsettle(&mut self, at: Moment, doubt: Doubt) {
        self.unsettled_at = self.unsettled_at.max(Some((at, doubt)));
    }

    /// The session is gone and with it the seat: nothing is known any more.
    pub fn reset(&mut self, now: Moment) {
        *self = Seat { safe: self.safe, ..Seat::new(self.ranks) };
        self.unsettle(now, Doubt::YoungBroker);
    }

    /// The broker says that this is the rank. Answers and frames may come out of
    /// order; the newer roster counts.
    pub fn claimed(&mut self, claim: Claim, now: Moment) {
        if self.claim.is_some_and(|known| known.view > claim.view) {
            return;
        }
        if self.claim.is_none_or(|known| known.term != claim.term) {
            self.claimed_at = now;
        }
        self.claim = Some(claim);
        self.removed = None;
    }

    /// The broker says that there is no rank.
    pub fn vacated(&mut self) {
        self.claim = None;
    }

    /// Takes notice of a frame about this channel, for a client of this name.
    pub fn heard(&mut self, frame: &Frame, name: &str, now: Moment) {
        match frame {
            Frame::Rank { rank, term, view, .. } => {
                self.claimed(Claim { rank: *rank, term: *term, view: *view }, now);
            }
            Frame::Joined { seq, member, rank, .. } => {
                self.begins(*seq);
                if member == name {
                    self.claimed(Claim { rank: *rank, term: *seq, view: *seq }, now);
                }
            }
            Frame::Left { seq, member, rank, reason, .. } => {
                self.begins(*seq);
                if member == name && self.claim.is_none_or(|known| known.view <= *seq) {
                    self.claim = None;
                    self.removed = Some(reason.clone());
                } else if let Some(rank) = rank {
                    self.departed(*rank, reason, now);
                }
            }
            Frame::Moved { seq, old, new, .. } => {
                self.begins(*seq);
                if *old.min(new) <= self.ranks.last() {
                    self.unsettle(now, Doubt::OneBefore);
                }
            }
            Frame::Message { seq, .. } => self.begins(*seq),
            Frame::Command(command) => self.begins(command.seq),
            Frame::Gap { to, .. } => {
                self.begins(*to);
                self.unsettle(now, Doubt::OneBefore);
            }
            _ => {}
        }
    }

    /// A member that had this rank has left.
    fn departed(&mut self, rank: u64, reason: &str, now: Moment) {
        let has_ended = match reason {
            "quit" => true,
            "lost" | "timeout" => self.safe,
            _ => false,
        };
        // Those below it that had one of the ranks have moved up, and may not
        // know it yet.
        let moved_others = rank < self.ranks.last();
        if moved_others || (rank == self.ranks.last() && !has_ended) {
            self.unsettle(now, Doubt::OneBefore);
        }
    }

    /// Whether the program may start, given how long a lease is.
    pub fn may_start(&self, now: Moment, lease: Duration) -> Start {
        let Some(claim) = self.claim.filter(|claim| self.ranks.contains(claim.rank)) else {
            return Start::No;
        };
        // The entry whose seq is the term tells how this rank came about; it may come
        // after the news of the rank itself.
        let unknown = (self.seen < claim.term).then_some((self.claimed_at, Doubt::NotTold));
        match unknown.max(self.unsettled_at).map(|(at, doubt)| (at.after(lease), doubt)) {
            Some((settled_at, doubt)) if settled_at > now => Start::NotBefore(settled_at, doubt),
            _ => Start::Now(claim),
        }
    }

    /// Why a program that runs by this claim must end, if it must.
    pub fn lost(&self, running: Claim) -> Option<String> {
        match self.claim {
            Some(now) if (now.rank, now.term) == (running.rank, running.term) => None,
            Some(now) => Some(format!("the rank is now {} (term {})", now.rank, now.term)),
            None => Some(match &self.removed {
                Some(reason) => format!("this client is no longer a member: {reason}"),
                None => "the broker no longer has this seat".to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(8);

    fn at(secs: u64) -> Moment {
        Moment::default().after(Duration::from_secs(secs))
    }

    /// A member of rank 2 that has seen everything up to 10.
    fn third(ranks: &str) -> Seat {
        let mut seat = Seat::new(ranks.parse().unwrap());
        seat.set_safe(true);
        seat.begins(10);
        seat.claimed(Claim { rank: 2, term: 10, view: 10 }, at(0));
        seat
    }

    fn hear(seat: &mut Seat, now: u64, lines: &[&str]) {
        for line in lines {
            seat.heard(&Frame::parse(line), "me", at(now));
        }
    }

    fn start(seat: &Seat, now: u64) -> Start {
        seat.may_start(at(now), LEASE)
    }

    #[test]
    fn it_starts_at_once_when_the_one_before_has_certainly_ended() {
        for reason in ["quit", "lost", "timeout"] {
            let mut seat = third("0");
            hear(&mut seat, 5, &["left n 11 b 1 reason=quit", "rank n 1 11 11"]);
            assert_eq!(start(&seat, 5), Start::No);
            hear(&mut seat, 6, &["rank n 0 12 12"]);
            assert_eq!(start(&seat, 6), Start::NotBefore(at(14), Doubt::NotTold));
            hear(&mut seat, 6, &[&format!("left n 12 a 0 reason={reason}")]);
            assert_eq!(start(&seat, 6), Start::Now(Claim { rank: 0, term: 12, view: 12 }));
        }
    }

    #[test]
    fn it_waits_for_a_lease_when_the_one_before_may_not_know() {
        for line in ["left n 12 a 0 reason=kicked", "move n 12 a 0 2", "gap n 11 12"] {
            let mut seat = third("0");
            hear(&mut seat, 6, &[line, "rank n 0 12 12"]);
            assert_eq!(start(&seat, 13), Start::NotBefore(at(14), Doubt::OneBefore), "{line}");
            assert!(matches!(start(&seat, 14), Start::Now(_)), "{line}");
        }
        let mut fast = third("0");
        fast.set_safe(false);
        hear(&mut fast, 6, &["left n 12 a 0 reason=lost", "rank n 0 12 12"]);
        assert_eq!(start(&fast, 6), Start::NotBefore(at(14), Doubt::OneBefore));
    }

    #[test]
    fn whoever_is_moved_up_out_of_its_rank_is_waited_for() {
        // The member of rank 1 becomes rank 0: its program ends, but not yet.
        let mut seat = third("1");
        hear(&mut seat, 6, &["left n 11 a 0 reason=quit", "rank n 1 11 11"]);
        assert_eq!(start(&seat, 6), Start::NotBefore(at(14), Doubt::OneBefore));
        let mut seat = third("1");
        hear(&mut seat, 6, &["left n 11 b 1 reason=quit", "rank n 1 11 11"]);
        assert!(matches!(start(&seat, 6), Start::Now(_)));
        let mut seat = third("0-1");
        hear(&mut seat, 6, &["left n 11 z 5 reason=kicked"]);
        assert_eq!((start(&seat, 6), seat.unsettled_at), (Start::No, None));
    }

    #[test]
    fn who_joins_behind_others_does_not_know_what_was_before() {
        let joined = |ranks: &str, rank: u64, is_safe: bool| {
            let mut seat = Seat::new(ranks.parse().unwrap());
            seat.set_safe(is_safe);
            seat.joined(Claim { rank, term: 10, view: 10 }, 10, at(6));
            start(&seat, 6)
        };
        let later = Start::NotBefore(at(14), Doubt::OneBefore);
        assert_eq!((joined("1", 1, true), joined("0-2", 2, true)), (later, later));
        assert_eq!((joined("0", 0, false), joined("0", 1, true)), (later, Start::No));
        for ranks in ["0", "0-2"] {
            assert!(matches!(joined(ranks, 0, true), Start::Now(_)), "{ranks}");
        }
        // While it waits in line it learns all it has to know.
        let mut seat = Seat::new("0".parse().unwrap());
        seat.set_safe(true);
        seat.joined(Claim { rank: 1, term: 10, view: 10 }, 10, at(6));
        hear(&mut seat, 6, &["rank n 0 11 11", "left n 11 a 0 reason=quit"]);
        assert!(matches!(start(&seat, 6), Start::Now(_)));
    }

    #[test]
    fn messages_and_news_that_are_late_change_nothing() {
        let mut seat = third("0-2");
        let running = seat.claim().unwrap();
        hear(&mut seat, 6, &["msg n 11 x hi", "join n 12 z 3", "rank n 9 3 3"]);
        assert_eq!(seat.lost(running), None);
        assert!(matches!(start(&seat, 6), Start::Now(_)));
    }

    #[test]
    fn a_program_ends_with_its_rank_its_term_its_membership_or_its_session() {
        let running = third("0-2").claim().unwrap();
        let after = |lines: &[&str]| {
            let mut seat = third("0-2");
            hear(&mut seat, 6, lines);
            seat.lost(running).unwrap_or_default()
        };
        assert_eq!(after(&["rank n 1 11 11"]), "the rank is now 1 (term 11)");
        assert!(after(&["left n 11 me 2 reason=kicked"]).ends_with("kicked"));
        assert_eq!(
            after(&["left n 11 me 2 reason=lost", "join n 12 me 2"]),
            "the rank is now 2 (term 12)"
        );
        let mut gone = third("0-2");
        gone.reset(at(7));
        assert!(gone.lost(running).is_some());
        gone.claimed(Claim { rank: 0, term: 1, view: 1 }, at(7));
        gone.begins(1);
        assert_eq!(start(&gone, 8), Start::NotBefore(at(15), Doubt::YoungBroker));
    }

    #[test]
    fn what_is_said_of_an_earlier_seat_does_not_end_this_one() {
        let mut seat = third("2");
        hear(&mut seat, 6, &["left n 9 me 0 reason=lost"]);
        assert_eq!(seat.claim().map(|claim| claim.term), Some(10));
    }
}
