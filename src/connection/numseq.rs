//! A connection of the number-sequence dialect: its client expects to be cut off
//! soon, and to go on with another connection.

use crate::broker::{Broker, Kept, Refused};
use crate::error::Close;
use crate::farewell::{LINGER, linger};
use crate::runtime;
use crate::sequence;
use crate::tls::Stream;
use crate::wire::numseq::{Answer, MESSAGE_BYTES_MAX, Message, Messages, TooLong};
use futures::{AsyncReadExt, AsyncWriteExt};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use uuid::Uuid;

/// Bytes that are read at once: many messages, none of which is long.
const READ_BYTES: usize = 1024;
/// Bytes of answers after which they are written before the next message is
/// looked at: one batch may be a whole sequence.
const ANSWERS_BYTES: usize = 16 * 1024;

/// Serves a connection that has begun with these bytes, for as long as the
/// configuration lets it live.
pub(super) async fn serve(
    broker: Arc<Broker>,
    mut stream: Stream,
    first: Vec<u8>,
    addr: SocketAddr,
) {
    let mut talk = Talk {
        broker: &broker,
        messages: Messages::new(MESSAGE_BYTES_MAX),
        sequence: None,
        answers: String::new(),
        is_writing: false,
    };
    let time = broker.config.numseq_timeout;
    let reason = match Box::pin(runtime::timeout(time, talk.run(&mut stream, &first))).await {
        Some(Ok(())) => "done",
        Some(Err(_)) => "lost",
        None => "time",
    };
    broker.stats.closed.add(reason, 1);
    log::info!("event=closed addr={addr} dialect=numseq reason={reason}");
    let last = talk.last_words();
    let parting = async {
        stream.write_all(last.as_bytes()).await?;
        linger(&mut stream).await
    };
    // A client that is gone need not hear it.
    let _ = Box::pin(runtime::timeout(LINGER, parting)).await;
}

/// The answer to a client that comes while the broker sends everybody away.
pub(super) fn farewell(reason: Close) -> String {
    let text = match reason.retry_secs() {
        Some(secs) => format!("{reason} the broker sends everybody away: come back in {secs} s"),
        None => format!("{reason} the broker is stopping"),
    };
    let mut message = String::new();
    Answer::Fault(&text).encode(&mut message);
    message
}

struct Talk<'b> {
    broker: &'b Broker,
    messages: Messages,
    /// The sequence that the client has begun or resumed.
    sequence: Option<Arc<Kept>>,
    /// What is to be written.
    answers: String,
    /// Whether that is being written: some of it may be out.
    is_writing: bool,
}

/// Whether the client has said that it is done.
type Finished = bool;

impl Talk<'_> {
    /// Answers until the client is done, or sends no more.
    async fn run(&mut self, stream: &mut Stream, first: &[u8]) -> io::Result<()> {
        let mut buffer = [0; READ_BYTES];
        let mut bytes = first;
        loop {
            if self.answer(&mut bytes).await {
                return self.write(stream).await;
            }
            self.write(stream).await?;
            if bytes.is_empty() {
                let read = stream.read(&mut buffer).await?;
                if read == 0 {
                    return Ok(());
                }
                bytes = &buffer[..read];
            }
        }
    }

    /// Answers the messages in these bytes, until there is much to write.
    async fn answer(&mut self, bytes: &mut &[u8]) -> Finished {
        while self.answers.len() < ANSWERS_BYTES {
            let Some(message) = self.messages.next(bytes) else { return false };
            match message.map(|message| Message::decode(&message)) {
                Ok(Ok(Message::Init { id, count, batch })) => self.init(id, count, batch).await,
                Ok(Ok(Message::Cont { id })) => self.cont(id).await,
                Ok(Ok(Message::Recv { index })) => self.recv(&index),
                Ok(Ok(Message::Fin)) => {
                    if self.fin() {
                        return true;
                    }
                }
                Ok(Err(malformed)) => self.say(&Answer::Fault(&malformed.to_string())),
                Err(TooLong) => {
                    let text = format!("a message has at most {MESSAGE_BYTES_MAX} bytes");
                    self.say(&Answer::Fault(&text));
                }
            }
        }
        false
    }

    async fn init(&mut self, id: Uuid, count: u16, batch: u64) {
        match self.broker.begin_sequence(id, count, batch, self.broker.now_ms()) {
            Ok(kept) => self.take_up(id, kept).await,
            Err(Refused::Exists) => self.say(&Answer::Exists(id)),
            Err(Refused::Full) => {
                self.say(&Answer::Fault("too many sequences are kept: try again later"));
            }
        }
    }

    async fn cont(&mut self, id: Uuid) {
        match self.broker.sequence(id, self.broker.now_ms()) {
            Some(kept) => self.take_up(id, kept).await,
            None => self.say(&Answer::Unknown(id)),
        }
    }

    /// Takes up a sequence, of which the client is told only once it is on disk.
    async fn take_up(&mut self, id: Uuid, kept: Arc<Kept>) {
        match kept.on_disk().await {
            Ok(()) => {
                self.sequence = Some(kept);
                self.say(&Answer::Ack);
            }
            Err(reason) => {
                self.broker.forget_sequence(id, &kept);
                self.say(&Answer::Fault(&format!("the sequence cannot be kept: {reason}")));
            }
        }
    }

    fn recv(&mut self, index: &str) {
        let Some(kept) = self.sequence.clone() else { return self.refuse() };
        let at = index.parse().ok();
        match at.and_then(|at| sequence::batch(kept.numbers(), kept.batch, at)) {
            Some(numbers) => self.say(&Answer::Numbers(numbers)),
            None => self.say(&Answer::NoBatch(index)),
        }
    }

    fn fin(&mut self) -> Finished {
        let Some(kept) = &self.sequence else {
            self.refuse();
            return false;
        };
        let checksum = sequence::checksum(kept.numbers());
        self.say(&Answer::Checksum(&checksum));
        true
    }

    fn refuse(&mut self) {
        self.say(&Answer::Fault("which sequence? send INIT or CONT first"));
    }

    fn say(&mut self, answer: &Answer<'_>) {
        answer.encode(&mut self.answers);
    }

    async fn write(&mut self, stream: &mut Stream) -> io::Result<()> {
        if self.answers.is_empty() {
            return Ok(());
        }
        self.is_writing = true;
        stream.write_all(self.answers.as_bytes()).await?;
        stream.flush().await?;
        self.is_writing = false;
        self.answers.clear();
        Ok(())
    }

    /// What is still to be said when the time is over, or the client sends no
    /// more: nothing after an answer of which only a part may be out.
    fn last_words(mut self) -> String {
        if self.is_writing {
            return String::new();
        }
        if self.messages.is_unfinished() {
            self.say(&Answer::Fault("the message did not end"));
        }
        self.answers
    }
}
