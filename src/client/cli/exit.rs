//! How the program ends: its exit codes.

use crate::client::Error;
use crate::error::Code;

/// The exit codes, as `--help` shows them.
pub const EXIT_CODES: &str = "\
Exit codes:
    0  all replies were ok
    1  a request was answered err, or this program could not go on: input that
       cannot be read, output that cannot be written, no threads
    2  wrong usage
    3  cannot connect, or the connection was lost
    5  a request was refused by rank, or its term is over (fenced)
   10  the broker or the channel is full
  124  the deadline (--timeout) passed
  130  interrupted while replies or results were awaited: the first time it
       takes its leave, the second time it ends at once
If several kinds of err came, the first refusal by rank or fullness wins over 1.";

/// The exit code of an interrupt that leaves something undone.
pub const INTERRUPTED: u8 = 130;

/// What the run has come to so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    refused: Option<u8>,
    lost: bool,
    late: bool,
}

impl Verdict {
    /// A request was answered `err` with this code.
    pub fn refused(&mut self, code: Option<Code>) {
        let exit = match code {
            Some(Code::Rank | Code::Fenced) => 5,
            Some(Code::Full) => 10,
            _ => 1,
        };
        if matches!(self.refused, None | Some(1)) {
            self.refused = Some(exit);
        }
    }

    /// The input cannot be read, or the output not be written.
    pub fn failed(&mut self) {
        self.refused(None);
    }

    /// The broker cannot be reached, or is gone.
    pub fn lost(&mut self) {
        self.lost = true;
    }

    /// The deadline has passed.
    pub fn late(&mut self) {
        self.late = true;
    }

    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Verdict { late: true, .. } => 124,
            // A broker that is full closes the connection, and says so before.
            Verdict { refused: Some(10), .. } => 10,
            Verdict { lost: true, .. } => 3,
            Verdict { refused, .. } => refused.unwrap_or(0),
        }
    }
}

impl From<&Error> for Verdict {
    fn from(error: &Error) -> Self {
        let mut verdict = Verdict::default();
        match error {
            Error::Connect { .. } | Error::Lost | Error::TakenOver => verdict.lost(),
            error => verdict.refused(error.code()),
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(codes: &[Code]) -> u8 {
        let mut verdict = Verdict::default();
        for code in codes {
            verdict.refused(Some(*code));
        }
        verdict.code()
    }

    #[test]
    fn the_most_specific_comes_out_and_the_first_of_those() {
        assert_eq!(after(&[]), 0);
        assert_eq!(after(&[Code::NoChannel]), 1);
        assert_eq!(after(&[Code::NoChannel, Code::Rank, Code::Exists]), 5);
        assert_eq!(after(&[Code::Fenced, Code::Full]), 5);
        assert_eq!(after(&[Code::Full, Code::Rank]), 10);
    }

    #[test]
    fn a_lost_connection_is_3_unless_the_broker_was_full() {
        let mut verdict = Verdict::default();
        verdict.refused(Some(Code::Exists));
        verdict.lost();
        assert_eq!(verdict.code(), 3);
        let mut verdict = Verdict::default();
        verdict.refused(Some(Code::Full));
        verdict.lost();
        assert_eq!(verdict.code(), 10);
        verdict.late();
        assert_eq!(verdict.code(), 124);
    }
}
