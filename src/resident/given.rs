//! The commands that a resident has given, and their results, until somebody
//! has asked for them often enough, or too many others have come.

use crate::error::{Code, Fault};
use crate::frame::{Frame, Outcome};
use ecow::EcoString;
use std::collections::BTreeMap;

/// Commands of one resident that are remembered, over or not.
const GIVEN_MAX: usize = 256;
/// Results that are remembered for one resident: of all its commands together
/// as many as a full channel gives to one. Those beyond are counted.
const RESULTS_MAX: usize = 1 << 17;
/// Bytes of the texts in them; beyond, a result comes without its text.
const TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// One recipient's result.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Whose it is.
    pub member: EcoString,
    /// Its rank when the command was given.
    pub rank: u32,
    /// The result.
    pub outcome: Outcome,
    /// More about it.
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
}

/// The commands that are remembered, by seq.
#[derive(Debug, Default)]
pub struct AllGiven {
    by_seq: BTreeMap<u64, Given>,
    results: usize,
    text_bytes: usize,
}

impl AllGiven {
    /// Whether one more can be remembered.
    ///
    /// # Errors
    /// [`Code::Busy`] while too many are not over.
    pub fn reserve(&mut self) -> Result<(), Fault> {
        if self.by_seq.len() < GIVEN_MAX {
            return Ok(());
        }
        let over = self.by_seq.iter().find(|(_, given)| given.ok.is_some()).map(|(seq, _)| *seq);
        let Some(over) = over else {
            let text = format!("{GIVEN_MAX} commands of yours still wait for results");
            return Err(Fault::new(Code::Busy, text));
        };
        self.forget(over);
        Ok(())
    }

    /// A command was given, unless that is known already: a key was repeated.
    pub fn add(&mut self, seq: u64, to: u64) {
        self.by_seq.entry(seq).or_insert(Given { to, ..Given::default() });
    }

    /// A command that is remembered.
    pub fn get(&self, seq: u64) -> Option<&Given> {
        self.by_seq.get(&seq)
    }

    /// A result, or that all are in.
    pub fn note(&mut self, frame: Frame) {
        match frame {
            Frame::Ack { seq, member, rank, outcome, mut text, .. } => {
                if self.results >= RESULTS_MAX {
                    return;
                }
                if self.text_bytes + text.len() > TEXT_BYTES_MAX {
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

    fn forget(&mut self, seq: u64) {
        if let Some(given) = self.by_seq.remove(&seq) {
            self.results -= given.results.len();
            self.text_bytes -= given.text_bytes;
        }
    }
}
