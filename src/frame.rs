//! Frames that the broker sends unasked to one client alone, free of any wire
//! format.
//!
//! What all members of a channel see (`msg`, `cmd`, `join`, `left`, `move`) is
//! in the channel's log instead.

use crate::error::Close;
use crate::log::Departure;
use ecow::EcoString;
use std::sync::Arc;

/// How a command ended at one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It answered with this code; 0 is success.
    Code(i32),
    /// It did not answer in time.
    Timeout,
    /// It left.
    Left,
}

impl Outcome {
    /// The code that it answered with.
    ///
    /// # Errors
    /// The word for why it did not answer.
    pub const fn code(self) -> Result<i32, &'static str> {
        match self {
            Outcome::Code(code) => Ok(code),
            Outcome::Timeout => Err("timeout"),
            Outcome::Left => Err("left"),
        }
    }

    /// The outcome that a code or such a word stands for.
    pub fn parse(word: &str) -> Option<Self> {
        let unanswered = [Outcome::Timeout, Outcome::Left];
        let known = unanswered.into_iter().find(|outcome| outcome.code() == Err(word));
        known.or_else(|| Some(Outcome::Code(word.parse().ok()?)))
    }
}

/// The state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It waits for a worker.
    Queued,
    /// A worker has it.
    Running,
    /// It has ended with a result.
    Done,
    /// It has ended without one.
    Failed,
    /// Its client has cancelled it, or has gone for good.
    Cancelled,
}

impl JobState {
    /// The word for it on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            JobState::Queued => "queued",
            JobState::Running => "running",
            JobState::Done => "done",
            JobState::Failed => "failed",
            JobState::Cancelled => "cancelled",
        }
    }
}

/// A frame on a connection's control lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// One recipient's result of a command.
    Ack {
        /// The channel.
        channel: EcoString,
        /// The command's seq.
        seq: u64,
        /// The recipient.
        member: EcoString,
        /// Its rank when the command was given.
        rank: u32,
        /// The result.
        outcome: Outcome,
        /// More about the result.
        text: String,
    },
    /// Every result of a command is in.
    Done {
        /// The channel.
        channel: EcoString,
        /// The command's seq.
        seq: u64,
        /// How many recipients answered with code 0.
        ok: u32,
        /// How many recipients there were.
        sent: u32,
    },
    /// Your rank has changed to this one.
    Rank {
        /// The channel.
        channel: EcoString,
        /// The rank.
        rank: u32,
        /// The seq since which you have it.
        term: u64,
        /// The view in which you have it.
        view: u64,
    },
    /// You were too slow, and these entries are gone.
    Gap {
        /// The channel.
        channel: EcoString,
        /// The first seq that is gone.
        from: u64,
        /// The last one.
        to: u64,
    },
    /// You are no longer in this channel, because there is no such channel.
    Left {
        /// The channel.
        channel: EcoString,
        /// The seq at which it ended.
        seq: u64,
        /// Your name.
        member: EcoString,
        /// The rank you had; observers had none.
        rank: Option<u32>,
        /// The reason.
        reason: Departure,
    },
    /// A private message.
    Tell {
        /// The sender.
        from: EcoString,
        /// The message.
        text: Arc<str>,
    },
    /// A message to everyone.
    Broadcast {
        /// The sender.
        from: EcoString,
        /// The message.
        text: Arc<str>,
    },
    /// The state of a job, its progress, or its result.
    Job {
        /// Its number.
        job: u64,
        /// Its state.
        state: JobState,
        /// The progress, or the result.
        text: Arc<str>,
        /// The client that asked for it, if it was another one.
        from: Option<EcoString>,
    },
    /// Asks whether you are there.
    Ping {
        /// To be answered with the same number.
        number: u64,
    },
    /// The connection is about to be closed.
    Bye {
        /// The reason.
        reason: Close,
    },
}

impl Frame {
    /// Its name in every dialect.
    pub const fn kind(&self) -> &'static str {
        match self {
            Frame::Ack { .. } => "ack",
            Frame::Done { .. } => "done",
            Frame::Rank { .. } => "rank",
            Frame::Gap { .. } => "gap",
            Frame::Left { .. } => "left",
            Frame::Tell { .. } => "tell",
            Frame::Broadcast { .. } => "broadcast",
            Frame::Job { .. } => "job",
            Frame::Ping { .. } => "ping",
            Frame::Bye { .. } => "bye",
        }
    }

    /// Whether it says that a command has got its last result.
    pub const fn is_done(&self) -> bool {
        matches!(self, Frame::Done { .. })
    }

    /// How many bytes of a control lane's bounded memory it takes.
    pub fn weight(&self) -> usize {
        let text = match self {
            Frame::Ack { text, .. } => text.len(),
            Frame::Tell { text, .. } | Frame::Broadcast { text, .. } | Frame::Job { text, .. } => {
                text.len()
            }
            _ => 0,
        };
        size_of::<Self>() + text
    }
}
