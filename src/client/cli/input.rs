//! The half that sends: lines from standard input, from the arguments or from
//! the keyboard, each as it comes. It waits for room, never for what is shown.

use super::stage::{Event, Origin};
use super::terminal::Typed;
use crate::client::line::{Splitter, verb_of};
use crate::client::outbox::Outbox;
use crate::runtime;
use futures::StreamExt;
use futures::channel::mpsc;
use std::io::Read;
use std::sync::Arc;

/// Bytes read from standard input at once.
const READ_BYTES: usize = 64 * 1024;

const NO_JSON: &str = "hello --format json is not sent: this client speaks text, and could not \
                       read what came then; JSON goes over a connection that begins with {";

/// Whether the broker would answer in JSON after this line.
fn asks_for_json(line: &str) -> bool {
    if verb_of(line) != "hello" {
        return false;
    }
    let words = shlex::split(line).unwrap_or_default();
    words.iter().any(|word| word == "--format=json")
        || words.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json")
}

/// Sends lines, and tells the session when there are no more.
#[derive(Clone, Debug)]
pub struct Input {
    /// Where the lines go.
    pub outbox: Arc<Outbox<Origin>>,
    /// Tells the session.
    pub events: mpsc::UnboundedSender<Event>,
}

impl Input {
    /// Sends these lines.
    pub fn lines(self, lines: Vec<String>) {
        runtime::spawn(async move {
            for line in lines.iter().flat_map(|line| line.lines()) {
                if !self.send(line.as_bytes()).await {
                    return;
                }
            }
            self.ended();
        });
    }

    /// Sends the lines of standard input.
    pub fn stdin(self) {
        runtime::spawn(async move {
            let mut splitter = Splitter::default();
            let mut chunk = vec![0; READ_BYTES];
            loop {
                // Reading blocks, so a thread of its own does it.
                let (read, returned) = runtime::unblock(move || {
                    let read = std::io::stdin().lock().read(&mut chunk);
                    (read, chunk)
                })
                .await;
                chunk = returned;
                let count = match read {
                    Ok(count) => count,
                    Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                    Err(e) => {
                        // As when the input ends: if the session is gone there is
                        // nobody to tell.
                        let _ = self.events.unbounded_send(Event::InputFailed(e));
                        0
                    }
                };
                splitter.push(&chunk[..count]);
                while let Some(line) = splitter.advance() {
                    if !self.send(splitter.get(line)).await {
                        return;
                    }
                }
                if count == 0 {
                    break;
                }
            }
            // The last line may lack its end.
            if !splitter.rest().is_empty() && !self.send(splitter.rest()).await {
                return;
            }
            self.ended();
        });
    }

    /// Sends what is typed.
    pub fn keyboard(self, mut typed: mpsc::UnboundedReceiver<Typed>) {
        // An interrupt overtakes lines that wait for room.
        let (line_tx, mut line_rx) = mpsc::unbounded::<String>();
        let events = self.events.clone();
        runtime::spawn(async move {
            while let Some(typed) = typed.next().await {
                let told = match typed {
                    Typed::Line(line) => line_tx.unbounded_send(line).is_ok(),
                    Typed::Interrupt => events.unbounded_send(Event::Interrupt).is_ok(),
                    // Lines are still sent; interrupts are still heard.
                    Typed::End => {
                        line_tx.close_channel();
                        true
                    }
                };
                if !told && events.is_closed() {
                    return;
                }
            }
        });
        runtime::spawn(async move {
            while let Some(line) = line_rx.next().await {
                if !self.send(line.as_bytes()).await {
                    return;
                }
            }
            self.ended();
        });
    }

    fn ended(&self) {
        // If the session is gone there is nobody to tell.
        let _ = self.events.unbounded_send(Event::InputEnded);
    }

    /// Sends one line when there is room; false when there never will be.
    async fn send(&self, line: &[u8]) -> bool {
        let text = String::from_utf8_lossy(line);
        if asks_for_json(&text) {
            // If the session is gone there is nobody to tell.
            let _ = self.events.unbounded_send(Event::InputRefused(NO_JSON.into()));
            return true;
        }
        loop {
            if !self.outbox.room().await {
                return false;
            }
            if self.outbox.send(line, Origin::User).is_ok() {
                return true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_answered_in_json_is_known() {
        for line in
            ["hello --format json", " hello --name a --format=json", "hello --format 'json'"]
        {
            assert!(asks_for_json(line), "{line}");
        }
        for line in
            ["hello --format text", "hello", "pub n hello --format json", "# hello --format json"]
        {
            assert!(!asks_for_json(line), "{line}");
        }
    }
}
