//! One connection of the number-sequence dialect, from the client's side.

use super::journal::{Journal, Wanted};
use crate::client::cli::words::harmless;
use crate::tls::Stream;
use crate::wire::numseq::{Heard, Message, Messages};
use futures::{AsyncReadExt, AsyncWriteExt};
use std::collections::VecDeque;
use std::io;

/// Batches requested ahead: enough to wait for the broker rather than for the round
/// trip.
const ASKED_MAX: usize = 32;
/// Bytes of an answer at most: a whole sequence in one batch has some 260,000.
const ANSWER_BYTES_MAX: usize = 512 * 1024;
const READ_BYTES: usize = 16 * 1024;

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The sequence is complete, and has this checksum.
    Finished(String),
    /// There is more to fetch.
    Lost,
    /// The sequence cannot be had, and why.
    Refused(String),
}

/// The request that the next answer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Init,
    Cont,
    Recv(u64),
    Fin,
}

/// One connection.
pub(super) struct Fetch {
    stream: Stream,
    messages: Messages,
    asked: VecDeque<Asked>,
    /// The first batch that has not been asked for here.
    next: u64,
    is_open: bool,
}

impl Fetch {
    pub(super) fn new(stream: Stream) -> Self {
        let messages = Messages::new(ANSWER_BYTES_MAX);
        Fetch { stream, messages, asked: VecDeque::new(), next: 0, is_open: false }
    }

    /// Requests as many batches as there is room for, and takes the answers that come;
    /// returns the end, if it has come.
    pub(super) async fn step(&mut self, journal: &mut Journal) -> io::Result<Option<Ended>> {
        self.ask(journal).await?;
        let mut buffer = vec![0; READ_BYTES];
        let read = self.stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(Some(Ended::Lost));
        }
        let mut bytes = &buffer[..read];
        while let Some(answer) = self.messages.next(&mut bytes) {
            let nonsense = || io::Error::other("it does not speak the number-sequence dialect");
            let answer = answer.map_err(|_| nonsense())?;
            let heard = Heard::decode(&answer).ok_or_else(nonsense)?;
            let asked = self.asked.pop_front().ok_or_else(nonsense)?;
            if let Some(ended) = self.take(asked, heard, journal)? {
                return Ok(Some(ended));
            }
        }
        Ok(None)
    }

    async fn ask(&mut self, journal: &mut Journal) -> io::Result<()> {
        let Wanted { id, count, batch, is_made } = journal.wanted;
        let mut text = String::new();
        let mut say = |asked: &mut VecDeque<Asked>, what, message: &Message| {
            asked.push_back(what);
            text.push_str(&message.to_string());
        };
        if !self.is_open && self.asked.is_empty() {
            if is_made {
                say(&mut self.asked, Asked::Cont, &Message::Cont { id });
            } else {
                // Noted before: even if no answer comes, the broker may have it.
                journal.note_made()?;
                say(&mut self.asked, Asked::Init, &Message::Init { id, count, batch });
            }
        }
        while self.is_open && self.asked.len() < ASKED_MAX {
            let Some(index) = journal.next_missing(self.next) else { break };
            self.next = index + 1;
            let message = Message::Recv { index: index.to_string() };
            say(&mut self.asked, Asked::Recv(index), &message);
        }
        if self.is_open && self.asked.is_empty() {
            say(&mut self.asked, Asked::Fin, &Message::Fin);
        }
        if text.is_empty() {
            return Ok(());
        }
        self.stream.write_all(text.as_bytes()).await?;
        self.stream.flush().await
    }

    fn take(
        &mut self,
        asked: Asked,
        heard: Heard,
        journal: &mut Journal,
    ) -> io::Result<Option<Ended>> {
        match (asked, heard) {
            (Asked::Init | Asked::Cont, Heard::Ack) => {
                self.is_open = true;
                journal.is_acknowledged = true;
            }
            // The broker had never received the INIT.
            (Asked::Cont, Heard::Err(_)) if !journal.is_acknowledged => {
                journal.wanted.is_made = false;
            }
            (Asked::Cont, Heard::Err(text)) => {
                let text = format!("{}: it came too late, begin anew", harmless(&text));
                return Ok(Some(Ended::Refused(text)));
            }
            (Asked::Init, Heard::Err(text)) => {
                return Ok(Some(Ended::Refused(harmless(&text))));
            }
            (Asked::Recv(index), Heard::Numbers(numbers)) => {
                if !journal.put(index, &numbers)? {
                    return Err(io::Error::other("a batch has not the length that it should"));
                }
            }
            (Asked::Fin, Heard::Checksum(checksum)) => {
                return Ok(Some(Ended::Finished(checksum)));
            }
            // For example: the connection timed out in the middle of a message.
            (_, Heard::Err(_)) => return Ok(Some(Ended::Lost)),
            _ => return Err(io::Error::other("it answers what was not asked")),
        }
        Ok(None)
    }
}
