//! How `hold` begins: signals, the session, the first connection.

use super::guard::HANDED_ON;
use super::launch;
use super::supervisor::{Event, PAUSE_MAX, Supervisor};
use super::{Settings, status};
use crate::client::cli::advice::explained;
use crate::client::cli::exit::Verdict;
use crate::client::store::Store;
use crate::client::{Client, Error, Frames, Options, Ticket, signals};
use crate::error::Code;
use crate::runtime;
use futures::channel::mpsc::{self, UnboundedSender};
use futures::{FutureExt, StreamExt, select_biased};
use rustix::process::Signal;

/// Connects, holds, leaves; gives the exit code.
pub(super) async fn run(settings: Settings) -> u8 {
    // Checked first: without a program it would take a seat for nothing.
    if let Some(name) = settings.program.first()
        && let Err(e) = launch::check(name)
    {
        launch::cannot_run(name, &e);
        return launch::exit_code(&e);
    }
    let (tx, mut events) = mpsc::unbounded();
    hear_signals(tx.clone());
    let store = match &settings.session {
        Some(name) => match Store::open(&settings.host, settings.port, name) {
            Ok(store) => Some(store),
            Err(e) => {
                status::note(&e.to_string());
                return 1;
            }
        },
        None => None,
    };
    let ticket = match store.as_ref().map(Store::load) {
        Some(Ok(Some(ticket))) => ticket,
        Some(Err(e)) => {
            status::note(&e.to_string());
            Ticket::fresh()
        }
        _ => Ticket::fresh(),
    };
    let connected = {
        let connect = connect(&settings, &ticket).fuse();
        futures::pin_mut!(connect);
        loop {
            select_biased! {
                connected = connect => break connected,
                event = events.select_next_some() => {
                    if let Event::Signal(signal) = event && let Some(code) = ends(signal) {
                        return code;
                    }
                }
            }
        }
    };
    match connected {
        Ok((client, frames)) => {
            let supervisor = Supervisor::new(settings, client, store, tx);
            supervisor.run(frames, events).await
        }
        Err(code) => code,
    }
}

/// Tries until the broker is there and the name is free.
async fn connect(settings: &Settings, ticket: &Ticket) -> Result<(Client, Frames), u8> {
    let mut said = String::new();
    loop {
        let mut options = Options::new().session(ticket.clone()).pause_max(PAUSE_MAX);
        if let Some(name) = &settings.name {
            options = options.name(name);
        }
        if let Some(tls) = &settings.tls {
            options = options.tls(tls.clone());
        }
        let error = match options.connect(&settings.host, settings.port).await {
            Ok(connected) => return Ok(connected),
            Err(error) => error,
        };
        // An earlier process of this client may still be connected.
        let passes =
            matches!(error, Error::Connect { .. }) || error.code() == Some(Code::NameTaken);
        if !passes {
            status::note(&explained(&error));
            return Err(exit_code(&error));
        }
        let text = format!("{}; trying until it succeeds", explained(&error));
        if text != said {
            status::waiting(&text);
            said = text;
        }
        runtime::sleep(PAUSE_MAX).await;
    }
}

/// The exit code of a signal that ends a client without a program.
pub(super) fn ends(signal: Signal) -> Option<u8> {
    let ends = [Signal::TERM, Signal::INT, Signal::HUP].contains(&signal);
    ends.then(|| 128 + u8::try_from(signal.as_raw()).unwrap_or(0))
}

/// The exit code when an error ends the client before a program could run.
pub(super) fn exit_code(error: &Error) -> u8 {
    Verdict::from(error).code()
}

fn hear_signals(tx: UnboundedSender<Event>) {
    let mut signals = match signals::listen(HANDED_ON.map(|(heard, _)| heard)) {
        Ok(signals) => signals,
        Err(e) => return log::warn!("signals end this program at once: {e}"),
    };
    runtime::spawn(async move {
        while let Some(Ok(heard)) = signals.next().await {
            if let Some((_, signal)) = HANDED_ON.iter().find(|(known, _)| *known == heard) {
                let _ = tx.unbounded_send(Event::Signal(*signal));
            }
        }
    });
}
