//! The jobs that wait or run, and the last that have ended.

use super::process::Killer;
use super::queue::{ClientId, JobId, Queue};
use crate::frame::JobState;
use jiff::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use uuid::Uuid;

/// How many results are kept for those who ask for them later.
const ENDED_MAX: usize = 256;
/// The most bytes of their texts.
const ENDED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Hears the news of a job. Called under the pool's lock: it must be quick, and
/// call nobody who might call the pool.
pub trait Audience: Send + Sync {
    /// Hears how far a job is; returns whether there was room for that.
    fn hears_progress(&self, job: JobId, text: &Arc<str>) -> bool;
    /// Hears that the job waits, runs, or has ended.
    fn hears(&self, job: JobId, state: JobState, text: &Arc<str>);
}

/// Who may look at a job, and cancel it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The client that asked for it.
    Client(ClientId),
    /// Whoever has its key.
    Key(Uuid),
}

/// A request to run a job.
pub struct Submission {
    /// The client that asks.
    pub client: ClientId,
    /// Its verb.
    pub verb: &'static str,
    /// The input for the worker.
    pub task: Vec<u8>,
    /// Who hears of it.
    pub audience: Arc<dyn Audience>,
    /// Lets whoever has it look at the job, and cancel it: for a client that does
    /// not stay.
    pub key: Option<Uuid>,
    /// Whether it is of use only while its client is there.
    pub for_client_only: bool,
}

/// A job, as `jobs` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its number.
    pub job: JobId,
    /// The client that asked for it.
    pub client: ClientId,
    /// Its verb.
    pub verb: &'static str,
    /// Its state.
    pub state: JobState,
    /// How far it is, or its result.
    pub text: Arc<str>,
    /// When it was submitted.
    pub since: Timestamp,
    pub(super) key: Option<Uuid>,
}

impl Shown {
    /// Whether this owner owns it.
    pub(super) fn is_of(&self, owner: Owner) -> bool {
        match owner {
            Owner::Client(client) => self.client == client,
            Owner::Key(key) => self.key == Some(key),
        }
    }
}

pub(super) struct Entry {
    pub(super) task: Vec<u8>,
    pub(super) audience: Arc<dyn Audience>,
    pub(super) for_client_only: bool,
    pub(super) shown: Shown,
    /// Whether it has been given to a worker before.
    pub(super) was_tried: bool,
    pub(super) is_cancelled: bool,
    /// Ends its worker.
    pub(super) killer: Option<Killer>,
}

/// All jobs. Whoever has a reference holds the pool's lock.
#[derive(Default)]
pub(super) struct Table {
    pub(super) queue: Queue,
    pub(super) jobs: BTreeMap<JobId, Entry>,
    pub(super) by_client: BTreeMap<ClientId, usize>,
    pub(super) ended: VecDeque<Shown>,
    pub(super) ended_bytes: usize,
    pub(super) last: JobId,
    /// The supervisors, and how many of them are idle.
    pub(super) threads: usize,
    pub(super) idle: usize,
    pub(super) is_stopping: bool,
}

impl Table {
    /// Cancels a job. Returns the handle that ends its worker, if it has one: its
    /// supervisor will notice. A job that is about to get a worker is looked at
    /// again before it does.
    pub(super) fn cancel(&mut self, job: JobId) -> Option<Killer> {
        let entry = self.jobs.get_mut(&job)?;
        let client = entry.shown.client;
        if self.queue.remove(client, job) {
            self.end(job, JobState::Cancelled, String::new());
            return None;
        }
        entry.is_cancelled = true;
        // Whoever looks at it need not wait until the worker has ended.
        (entry.shown.state, entry.shown.text) = (JobState::Cancelled, "".into());
        entry.killer.clone()
    }

    /// Ends a job: tells its audience, and no longer counts it.
    pub(super) fn end(&mut self, job: JobId, state: JobState, text: String) {
        let Some(entry) = self.jobs.remove(&job) else { return };
        let Entry { audience, mut shown, is_cancelled, .. } = entry;
        self.queue.remove(shown.client, job);
        self.one_less(shown.client);
        // A cancelled job stays cancelled, whatever its outcome was.
        let (state, text) =
            if is_cancelled { (JobState::Cancelled, String::new()) } else { (state, text) };
        shown.text = text.into();
        shown.state = state;
        audience.hears(job, state, &shown.text);
        self.ended_bytes += shown.text.len();
        self.ended.push_back(shown);
        while self.ended.len() > ENDED_MAX || self.ended_bytes > ENDED_BYTES_MAX {
            let Some(oldest) = self.ended.pop_front() else { break };
            self.ended_bytes -= oldest.text.len();
        }
    }

    pub(super) fn one_less(&mut self, client: ClientId) {
        if let Some(jobs) = self.by_client.get_mut(&client) {
            *jobs -= 1;
            if *jobs == 0 {
                self.by_client.remove(&client);
            }
        }
    }
}
