//! What a demonstration says on standard output: one line for each thing that
//! happens.

use anstyle::Style;
use ranked_broker::client::cli::words::harmless;
use std::io::{self, Write};

/// Says what has happened to whom. An error is ignored: there is nobody to tell.
pub(super) fn say(who: &str, what: &str) {
    let bold = Style::new().bold();
    let line = format!("{bold}{}{bold:#}: {}\n", harmless(who), harmless(what));
    let _ = anstream::AutoStream::auto(io::stdout()).write_all(line.as_bytes());
}
