//! Output of a program: what it was asked for on standard output, errors on
//! standard error. Without `println!` and `eprintln!`, which panic if nobody reads
//! or nothing more can be written.

use std::fmt::Display;
use std::io::{self, Write};

/// Reports an error on standard error.
pub fn complain(program: &str, what: impl Display) {
    line(format_args!("{program}: {what}"));
}

/// Writes a line on standard error, in one piece, so that lines of other programs
/// on the same terminal come before it or after it.
pub fn line(text: impl Display) {
    // If this fails, nobody can be told.
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// Characters that are invisible and change how others are shown: direction
/// marks, embeddings, overrides and isolates; line and paragraph separators;
/// zero-width characters except the joiners that many scripts and emoji need;
/// tags.
pub fn steers(c: char) -> bool {
    matches!(c,
        '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Prints what was asked for; returns the exit code: 1 if it cannot be written. The
/// reader may stop early, as `head` does.
pub fn print(program: &str, text: &[u8]) -> u8 {
    let mut out = io::stdout().lock();
    judge(program, out.write_all(text).and_then(|()| out.flush()), 0)
}

/// Prints the help that was asked for, or what is wrong with the arguments; returns
/// the exit code.
pub fn usage(program: &str, said: &clap::Error) -> u8 {
    judge(program, said.print(), u8::try_from(said.exit_code()).unwrap_or(2))
}

fn judge(program: &str, printed: io::Result<()>, code: u8) -> u8 {
    match printed {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe && code == 0 => {
            complain(program, format_args!("cannot write to standard output: {e}"));
            1
        }
        _ => code,
    }
}
