//! What a program says of itself, and never panics over: `eprintln!` does where
//! nobody reads, or nothing more can be written.

use std::fmt::Display;
use std::io::{self, Write};

/// Says on standard error what went wrong.
pub fn complain(program: &str, what: impl Display) {
    // There is nobody left to tell if this fails.
    let _ = writeln!(io::stderr(), "{program}: {what}");
}
