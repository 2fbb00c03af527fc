//! What all clients of one test have said and heard, in the order in which the
//! test did it.

use std::fmt::Write;
use std::sync::{Arc, Mutex};

/// Lines that are kept from the beginning, and from the end; a test that moves
/// more than these moves them in bulk.
const KEPT: usize = 200;
/// The characters that are kept of each line.
const SHOWN: usize = 120;

#[derive(Clone, Default)]
pub struct Dialogue(Arc<Mutex<Vec<String>>>);

impl Dialogue {
    /// `sign` is `>` for what a client says, `<` for what it hears.
    pub fn note(&self, label: &str, sign: &str, line: &str) {
        let mut all = self.0.lock().unwrap();
        if all.len() == 2 * KEPT {
            all[KEPT] = "…".into();
            all.remove(KEPT + 1);
        }
        let cut: String = line.chars().take(SHOWN).collect();
        let more = if cut.len() < line.len() { "…" } else { "" };
        all.push(format!("{label:>8} {sign} {cut}{more}"));
    }

    pub fn print(&self) {
        let mut text = String::from("the dialogue:\n");
        for line in self.0.lock().unwrap().iter() {
            writeln!(text, "{line}").unwrap();
        }
        eprintln!("{text}");
    }
}
