//! Where the program shows things: plain lines in a pipe, plain words for
//! people, or words above the line being typed.

use super::terminal::Terminal;
use super::words::{Palette, harmless, say};
use crate::client::event::Frame;
use crate::client::line::Reply;
use crate::printed::complain;
use crate::runtime;
use crate::sync::lock;
use std::io::{self, Write};

/// Bytes waiting to be shown after which the reader stops to show them.
const BATCH_BYTES: usize = 256 * 1024;

/// How lines are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As they come: byte for byte in a pipe; on a terminal with those characters
    /// escaped that would change how the rest is shown.
    Plain {
        /// Whether standard output is a terminal.
        on_terminal: bool,
    },
    /// In plain words.
    Pretty {
        /// In colours.
        colour: bool,
    },
}

/// Gathers what is to be shown, and shows it when nothing more is pending.
#[derive(Debug)]
pub struct Screen {
    style: Style,
    terminal: Option<Terminal>,
    batch: Vec<u8>,
    prompt: String,
}

impl Screen {
    /// Shows lines on standard output, or on this terminal.
    pub fn new(style: Style, terminal: Option<Terminal>) -> Self {
        Screen { style, terminal, batch: Vec::new(), prompt: String::new() }
    }

    /// Whether somebody types here.
    pub fn is_terminal(&self) -> bool {
        self.terminal.is_some()
    }

    /// Shows a line that came.
    pub fn line(&mut self, line: &[u8]) {
        match self.style {
            Style::Plain { on_terminal: false } => self.batch.extend_from_slice(line),
            Style::Plain { on_terminal: true } => {
                let text = harmless(&String::from_utf8_lossy(line));
                self.batch.extend_from_slice(text.as_bytes());
            }
            Style::Pretty { colour } => {
                let text = String::from_utf8_lossy(line);
                self.batch.extend_from_slice(say(&text, Palette::new(colour)).as_bytes());
            }
        }
        self.batch.push(b'\n');
    }

    /// Says something of the program's own: above the line being typed, or on
    /// standard error.
    pub fn notice(&mut self, text: &str) {
        let text = harmless(text);
        if self.terminal.is_some() {
            self.batch.extend_from_slice(text.as_bytes());
            self.batch.push(b'\n');
        } else {
            complain("broker-client", text);
        }
    }

    /// Shows this prompt from now on.
    pub fn prompt(&mut self, prompt: String) {
        self.prompt = prompt;
    }

    /// Learns names for completion.
    pub fn learn(&mut self, frame: &Frame) {
        if let Some(terminal) = &self.terminal {
            lock(&terminal.vocabulary).hear(frame);
        }
    }

    /// Learns a channel for completion.
    pub fn replied(&mut self, reply: &Reply) {
        if let Some(terminal) = &self.terminal {
            lock(&terminal.vocabulary).replied(reply);
        }
    }

    /// Whether so much waits that it should be shown now.
    pub fn is_full(&self) -> bool {
        self.batch.len() >= BATCH_BYTES
    }

    /// Shows everything. Writing may block for as long as nobody reads, so a thread of
    /// its own does it, and the future borrows nothing from here.
    ///
    /// # Errors
    /// Those of standard output.
    pub fn flush(&mut self) -> impl Future<Output = io::Result<()>> + use<> {
        let batch = std::mem::take(&mut self.batch);
        let terminal = self.terminal.clone();
        let prompt = self.prompt.clone();
        async move {
            if terminal.is_none() && batch.is_empty() {
                return Ok(());
            }
            runtime::unblock(move || {
                if let Some(terminal) = terminal {
                    return terminal.print(&String::from_utf8_lossy(&batch), &prompt);
                }
                let mut stdout = io::stdout().lock();
                stdout.write_all(&batch)?;
                stdout.flush()
            })
            .await
        }
    }
}
