//! The program `broker-client`: two halves that never wait for each other. One
//! sends what is typed or piped in ([`input`]), the other shows and executes
//! what comes ([`session`]).

pub mod advice;
mod again;
pub mod complete;
pub mod duty;
pub mod editor;
pub mod exec;
pub mod exit;
pub mod input;
mod inquiry;
mod introduction;
mod leaving;
pub mod options;
mod receive;
mod resume;
pub mod screen;
pub mod session;
pub mod stage;
pub mod terminal;
pub mod usage;
pub mod value;
pub mod words;

use crate::client::outbox::Outbox;
use crate::client::signals;
use crate::runtime;
use crate::tls::Connector;
use async_signal::Signal;
use futures::StreamExt;
use futures::channel::mpsc;
use input::Input;
use screen::{Screen, Style};
use session::Session;
use stage::Event;
use std::collections::HashMap;
use std::io::{IsTerminal, stdin, stdout};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use terminal::Terminal;

/// What the program is started with.
// Each flag is an option of the command line; they do not exclude each other.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the broker is.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What to encrypt the connection with, if it is to be encrypted.
    pub tls: Option<Connector>,
    /// Lines to send instead of standard input.
    pub lines: Vec<String>,
    /// The name to bear.
    pub name: Option<String>,
    /// Channels to subscribe to.
    pub subscribe: Vec<String>,
    /// Whether to make those that are missing.
    pub create: bool,
    /// Whether to be an observer there.
    pub observe: bool,
    /// Whether `pub` and `ack` get no `ok`.
    pub quiet: bool,
    /// Whether to go on after the end of input.
    pub follow: bool,
    /// The number of messages after which to end.
    pub count: Option<u64>,
    /// Plain words (true) or lines as they come (false); by default whatever
    /// suits standard output.
    pub pretty: Option<bool>,
    /// Whether commands are executed and acknowledged.
    pub execute: bool,
    /// The programs that are run for commands of these names.
    pub programs: HashMap<String, PathBuf>,
    /// How long a program may run.
    pub program_timeout: Duration,
    /// How long everything may take.
    pub timeout: Option<Duration>,
    /// Whether to connect again when the connection is lost.
    pub reconnect: bool,
    /// The session to remember, of this name.
    pub session: Option<String>,
}

/// Runs the program; gives its exit code.
pub fn run(settings: Settings) -> u8 {
    runtime::block_on(start(settings))
}

async fn start(mut settings: Settings) -> u8 {
    // A client that counts messages waits for them.
    settings.follow |= settings.count.is_some();
    let outbox = Arc::new(Outbox::default());
    let (tx, events) = mpsc::unbounded();
    let on_terminal = stdout().is_terminal();
    let style = if settings.pretty.unwrap_or(on_terminal) {
        let choice = anstream::AutoStream::choice(&stdout());
        Style::Pretty { colour: choice != anstream::ColorChoice::Never && !is_dumb() }
    } else {
        Style::Plain { on_terminal }
    };
    let typed_in = settings.lines.is_empty() && stdin().is_terminal();
    let input = Input { outbox: outbox.clone(), events: tx.clone() };
    hear_signals(tx.clone());
    if let Some(timeout) = settings.timeout {
        let tx = tx.clone();
        runtime::spawn(async move {
            runtime::sleep(timeout).await;
            let _ = tx.unbounded_send(Event::Deadline);
        });
    }
    let mut terminal = None;
    // A terminal that can only print has no line to edit: lines are read as from a pipe.
    let edits = typed_in && on_terminal && !is_dumb();
    if edits && matches!(style, Style::Pretty { .. }) {
        match Terminal::open() {
            Ok((opened, typed)) => {
                input.keyboard(typed);
                terminal = Some(opened);
            }
            Err(e) => {
                eprintln!("broker-client: no line editing on this terminal: {e}");
                input.stdin();
            }
        }
    } else if settings.lines.is_empty() {
        input.stdin();
    } else {
        input.lines(std::mem::take(&mut settings.lines));
    }
    let _restore = Restore(terminal.clone());
    let screen = Screen::new(style, terminal);
    Session::new(settings, screen, outbox, (tx, events)).run().await
}

/// Whether the terminal knows nothing of cursors and colours.
pub(in crate::client) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Gives the terminal back, however the program ends.
struct Restore(Option<Terminal>);

impl Drop for Restore {
    fn drop(&mut self) {
        if let Some(terminal) = &self.0 {
            terminal.close();
        }
    }
}

/// Turns each signal that asks the program to end into an interrupt.
fn hear_signals(tx: mpsc::UnboundedSender<Event>) {
    match signals::listen([Signal::Int, Signal::Term, Signal::Hup]) {
        Ok(mut signals) => {
            runtime::spawn(async move {
                while signals.next().await.is_some() {
                    let _ = tx.unbounded_send(Event::Interrupt);
                }
            });
        }
        Err(e) => log::warn!("signals end this program at once: {e}"),
    }
}
