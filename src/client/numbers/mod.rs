//! `broker-client numbers`: fetches a number sequence, over as many connections as it
//! takes, and verifies its checksum.

mod fetch;
mod journal;

use crate::client::cli::is_dumb;
use crate::client::connection::dial;
use crate::client::reconnect::{Backoff, CONNECT_LONGEST};
use crate::client::signals;
use crate::printed;
use crate::runtime;
use crate::sequence;
use crate::tls::Connector;
use async_signal::Signal;
use fetch::{Ended, Fetch};
use futures::{FutureExt, StreamExt, select_biased};
use journal::{Journal, Wanted};
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// The pauses before the next connection, after one that brought nothing.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How long nothing new may come before the broker is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one connection may last. The broker closes it long before, but a middlebox
/// might not pass that on.
const CONNECTION_TIME: Duration = Duration::from_secs(30);
/// How often the line on a terminal changes at most.
const SHOW: Duration = Duration::from_millis(50);

/// Which sequence to fetch, and from which broker.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the broker is.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What to encrypt the connection with, if it is to be encrypted.
    pub tls: Option<Connector>,
    /// A new sequence; otherwise the one that was not finished.
    pub new: Option<New>,
}

/// A new sequence.
#[derive(Clone, Copy, Debug)]
pub struct New {
    /// How many numbers.
    pub count: u16,
    /// How many in a batch; at least 1.
    pub batch: u64,
    /// Its id; a random one if `None`.
    pub id: Option<Uuid>,
}

/// The exit codes, as `numbers --help` shows them.
pub const EXIT_CODES: &str = "\
Exit codes:
    0  the checksum held
    1  it did not, or the broker refused
    2  wrong usage
    3  no broker, or nothing new from it for a minute
  130  interrupted (143: by TERM, 129: by HUP); --continue goes on there";

/// Exit codes, as for the rest of the program.
const VERIFIED: u8 = 0;
const FAILED: u8 = 1;
const LOST: u8 = 3;

/// Fetches the sequence; gives the exit code: 0 only if the checksum holds.
pub fn run(settings: &Settings) -> u8 {
    let opened = match settings.new {
        Some(New { count, batch, id }) => {
            let id = id.unwrap_or_else(Uuid::new_v4);
            let wanted = Wanted { id, count, batch, is_made: false };
            Journal::begin(&settings.host, settings.port, wanted)
        }
        None => Journal::resume(&settings.host, settings.port),
    };
    let journal = match opened {
        Ok(journal) => journal,
        Err(reason) => return complain(&reason, FAILED),
    };
    runtime::block_on(to_the_end(settings, Run::new(settings, journal)))
}

/// Fetches until it ends; if a signal ends it before, says how to go on.
async fn to_the_end(settings: &Settings, run: Run<'_>) -> u8 {
    let on_terminal = run.on_terminal;
    let finish = run.finish().fuse();
    let mut signals = match signals::listen([Signal::Int, Signal::Term, Signal::Hup]) {
        Ok(signals) => signals.fuse(),
        Err(_) => return finish.await,
    };
    futures::pin_mut!(finish);
    let heard = select_biased! {
        code = finish => return code,
        heard = signals.next() => heard,
    };
    if on_terminal {
        clear_line();
    }
    let Settings { host, port, .. } = settings;
    let text = format!(
        "interrupted; what has come is kept, and the broker keeps the rest for a while: \
         to go on, broker-client {host} {port} numbers --continue"
    );
    let signal = heard.and_then(Result::ok).unwrap_or(Signal::Int);
    complain(&text, 128 + u8::try_from(signal as i32).unwrap_or(0))
}

fn complain(text: &str, code: u8) -> u8 {
    printed::complain("broker-client", text);
    code
}

struct Run<'s> {
    settings: &'s Settings,
    journal: Journal,
    connections: u32,
    on_terminal: bool,
    shown: Option<Instant>,
}

impl<'s> Run<'s> {
    fn new(settings: &'s Settings, journal: Journal) -> Self {
        let on_terminal = io::stderr().is_terminal() && !is_dumb();
        Run { settings, journal, connections: 0, on_terminal, shown: None }
    }

    async fn finish(mut self) -> u8 {
        let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);
        let mut moved_at = Instant::now();
        loop {
            let missing = self.journal.missing();
            let reason = match self.connection().await {
                Ok(Ended::Finished(checksum)) => return self.judge(&checksum),
                Ok(Ended::Refused(reason)) => {
                    self.clear_line();
                    self.journal.forget();
                    return complain(&reason, FAILED);
                }
                Ok(Ended::Lost) => "the connection was closed".to_owned(),
                Err(e) if e.kind() == io::ErrorKind::StorageFull => {
                    self.clear_line();
                    return complain(&format!("cannot keep what came: {e}"), FAILED);
                }
                Err(e) => e.to_string(),
            };
            self.show(true);
            if self.journal.missing() < missing {
                (backoff, moved_at) = (Backoff::new(PAUSE_MIN, PAUSE_MAX), Instant::now());
                continue;
            }
            // A broker that was never reached probably has the wrong address here.
            if self.connections == 0 || moved_at.elapsed() > PATIENCE {
                self.clear_line();
                let Settings { host, port, .. } = self.settings;
                let text = format!("no sequence from {host}:{port}: {reason}");
                return complain(&text, LOST);
            }
            runtime::sleep(backoff.pause()).await;
        }
    }

    /// One connection, from its beginning to its end.
    async fn connection(&mut self) -> io::Result<Ended> {
        let Settings { host, port, tls, .. } = self.settings;
        let dialling = runtime::timeout(CONNECT_LONGEST, dial(host, *port, tls.as_ref()));
        let stream = dialling.await.ok_or(io::ErrorKind::TimedOut)??;
        self.connections += 1;
        let deadline = Instant::now() + CONNECTION_TIME;
        let mut fetch = Fetch::new(stream);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let step = runtime::timeout(left, fetch.step(&mut self.journal)).await;
            match step.ok_or(io::ErrorKind::TimedOut)?? {
                Some(ended) => return Ok(ended),
                None => self.show(false),
            }
        }
    }

    /// Compares the checksum with the broker's, prints the result; gives the exit code.
    fn judge(&mut self, told: &str) -> u8 {
        self.clear_line();
        let numbers = self.journal.numbers();
        let sum: u64 = numbers.iter().map(|number| u64::from(*number)).sum();
        let checksum = sequence::checksum(numbers);
        let Wanted { id, count, .. } = self.journal.wanted;
        self.journal.forget();
        if told != checksum {
            let text = format!(
                "the checksum does not hold: these numbers have {checksum}, the broker's {told}"
            );
            return complain(&text, FAILED);
        }
        let connections = self.connections;
        let line = format!(
            "sum={sum} checksum={checksum} count={count} client-id={id} connections={connections}"
        );
        match writeln!(io::stdout(), "{line}") {
            Ok(()) => VERIFIED,
            Err(e) => complain(&format!("cannot say what came of it: {e}"), FAILED),
        }
    }

    /// On a terminal: shows the progress.
    fn show(&mut self, at_once: bool) {
        let is_fresh = self.shown.is_some_and(|at| at.elapsed() < SHOW);
        if !self.on_terminal || is_fresh && !at_once {
            return;
        }
        self.shown = Some(Instant::now());
        let (missing, all) = (self.journal.missing(), self.journal.batches());
        let text =
            format!("\r\x1b[Kbatches {} of {all}, connection {}", all - missing, self.connections);
        let _ = io::stderr().write_all(text.as_bytes());
    }

    fn clear_line(&self) {
        if self.on_terminal && self.shown.is_some() {
            clear_line();
        }
    }
}

fn clear_line() {
    let _ = io::stderr().write_all(b"\r\x1b[K");
}
