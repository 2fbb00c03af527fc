//! The commands that a resident has given, with their results. They are remembered
//! until too many newer ones have come.

use crate::error::{Code, Fault};
use crate::frame::{Frame, Outcome};
use ecow::EcoString;
use std::collections::BTreeMap;

/// How many commands of one resident are remembered, over or not.
const GIVEN_MAX: usize = 256;
/// How many results are remembered for one resident: for all its commands together,
/// as many as a full channel gives to one. Commands that are over make room for new
/// ones; if none is over, further results are counted but not kept.
const RESULTS_MAX: usize = 1 << 17;
/// How many bytes of their texts are remembered, likewise; beyond, a result is kept
/// without its text.
const TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// One recipient's result.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The recipient.
    pub member: EcoString,
    /// Its rank when the command was given.
    pub rank: u32,
    /// The result.
    pub outcome: Outcome,
    /// Its text.
    pub text: String,
}

/// A command that was given.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// How many recipients it has.
    pub to: u64,
    /// How many of them answered with code 0; known when all results are in.
    pub ok: Option<u32>,
    /// The results that are in.
    pub results: Vec<Answered>,
    text_bytes: usize,
    /// How many tasks are about to read the results.
    readers: u32,
}

impl Given {
    /// Whether it may be forgotten: it is over, and nobody is about to read its
    /// results.
    fn may_go(&self) -> bool {
        self.ok.is_some() && self.readers == 0
    }
}

/// The commands that are remembered, by seq.
#[derive(Debug, Default)]
pub struct AllGiven {
    by_seq: BTreeMap<u64, Given>,
    results: usize,
    text_bytes: usize,
}

impl AllGiven {
    /// Checks that one more command can be remembered. Nothing is forgotten for it
    /// yet: the request may be refused, or repeat a command that is remembered.
    ///
    /// # Errors
    /// [`Code::Busy`] while too many are not over.
    pub fn check_room(&self) -> Result<(), Fault> {
        if self.by_seq.len() < GIVEN_MAX || self.by_seq.values().any(Given::may_go) {
            return Ok(());
        }
        let text = format!("{GIVEN_MAX} commands of yours still wait for results");
        Err(Fault::new(Code::Busy, text))
    }

    /// Remembers a command that was given.
    pub fn add(&mut self, seq: u64, to: u64) {
        if self.by_seq.len() >= GIVEN_MAX {
            self.forget_first(|_| true);
        }
        self.by_seq.insert(seq, Given { to, ..Given::default() });
    }

    /// Notes that somebody is about to read the results of a command.
    pub fn begin_reading(&mut self, seq: u64) {
        if let Some(given) = self.by_seq.get_mut(&seq) {
            given.readers += 1;
        }
    }

    /// Takes `begin_reading` back.
    pub fn end_reading(&mut self, seq: u64) {
        if let Some(given) = self.by_seq.get_mut(&seq) {
            given.readers = given.readers.saturating_sub(1);
        }
    }

    /// A command, if it is remembered.
    pub fn get(&self, seq: u64) -> Option<&Given> {
        self.by_seq.get(&seq)
    }

    /// Notes a result, or that all are in.
    pub fn note(&mut self, frame: Frame) {
        match frame {
            Frame::Ack { seq, member, rank, outcome, mut text, .. } => {
                if !self.by_seq.contains_key(&seq) || !self.make_room() {
                    return;
                }
                if !self.make_room_for(text.len()) {
                    text = String::new();
                }
                let Some(given) = self.by_seq.get_mut(&seq) else { return };
                self.results += 1;
                self.text_bytes += text.len();
                given.text_bytes += text.len();
                given.results.push(Answered { member, rank, outcome, text });
            }
            Frame::Done { seq, ok, .. } => {
                if let Some(given) = self.by_seq.get_mut(&seq) {
                    given.ok = Some(ok);
                }
            }
            _ => {}
        }
    }

    /// Makes room for one more result, if need be by forgetting; returns whether
    /// there is any.
    fn make_room(&mut self) -> bool {
        while self.results >= RESULTS_MAX {
            if !self.forget_first(|given| !given.results.is_empty()) {
                return false;
            }
        }
        true
    }

    /// The same for this many bytes of text.
    fn make_room_for(&mut self, bytes: usize) -> bool {
        while self.text_bytes + bytes > TEXT_BYTES_MAX {
            // A text that can never fit must not make others go.
            if bytes > TEXT_BYTES_MAX || !self.forget_first(|given| given.text_bytes > 0) {
                return false;
            }
        }
        true
    }

    /// Forgets the first command that may go and for which `is_meant` holds;
    /// returns whether there was one.
    fn forget_first(&mut self, is_meant: impl Fn(&Given) -> bool) -> bool {
        let mut may_go = self.by_seq.iter().filter(|(_, given)| given.may_go() && is_meant(given));
        let Some(seq) = may_go.next().map(|(seq, _)| *seq) else { return false };
        if let Some(given) = self.by_seq.remove(&seq) {
            self.results -= given.results.len();
            self.text_bytes -= given.text_bytes;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(all: &mut AllGiven, seq: u64, text: &str) {
        let (channel, member) = ("ops".into(), "bob".into());
        let (rank, outcome, text) = (1, Outcome::Code(0), text.to_owned());
        all.note(Frame::Ack { channel, seq, member, rank, outcome, text });
    }

    fn end(all: &mut AllGiven, seq: u64) {
        all.note(Frame::Done { channel: "ops".into(), seq, ok: 1, sent: 1 });
    }

    /// Old commands were kept whole, while new ones lost their texts, and then
    /// their results.
    #[test]
    fn what_is_over_goes_before_what_comes() {
        let mut all = AllGiven::default();
        let text = "x".repeat(TEXT_BYTES_MAX / 4);
        for seq in 1..=6 {
            all.add(seq, 1);
            answer(&mut all, seq, &text);
            end(&mut all, seq);
            assert_eq!(all.get(seq).unwrap().results[0].text.len(), text.len(), "{seq}");
        }
        assert!(all.get(2).is_none() && all.get(3).is_some(), "the first ones have gone");
        all.add(7, RESULTS_MAX as u64);
        for _ in 0..RESULTS_MAX {
            answer(&mut all, 7, "");
        }
        assert_eq!(all.get(7).unwrap().results.len(), RESULTS_MAX);
        // If no command is over, the limit holds.
        answer(&mut all, 7, "");
        assert_eq!((all.get(7).unwrap().results.len(), all.results), (RESULTS_MAX, RESULTS_MAX));
        end(&mut all, 7);
        all.add(8, 1);
        answer(&mut all, 8, "y");
        assert_eq!((all.results, all.text_bytes), (1, 1));
    }

    /// A client that waits for the results will read them once they are in.
    #[test]
    fn what_somebody_waits_for_stays() {
        let mut all = AllGiven::default();
        let text = "x".repeat(TEXT_BYTES_MAX);
        all.add(1, 1);
        all.begin_reading(1);
        answer(&mut all, 1, &text);
        end(&mut all, 1);
        all.add(2, 1);
        answer(&mut all, 2, "y");
        assert!(all.get(1).is_some() && all.get(2).unwrap().results[0].text.is_empty());
        all.end_reading(1);
        answer(&mut all, 2, "y");
        assert!(all.get(1).is_none() && all.get(2).unwrap().results[1].text == "y");
    }

    /// A request that is refused, and one that is repeated, cost nothing.
    #[test]
    fn only_a_new_command_makes_another_one_go() {
        let mut all = AllGiven::default();
        for seq in 1..=GIVEN_MAX as u64 {
            all.check_room().unwrap();
            all.add(seq, 1);
        }
        assert_eq!(all.check_room().unwrap_err().code, Code::Busy);
        end(&mut all, 3);
        all.check_room().unwrap();
        assert!(all.get(3).is_some());
        all.add(1_000, 1);
        assert!(all.get(3).is_none() && all.get(1).is_some());
    }
}
