//! The jobs that wait or run, and the threads that run them.
//!
//! Clients call [`Pool::submit`] and [`Pool::cancel`]; the threads of
//! `supervisor.rs` take waiting jobs and report on them. All of it happens under
//! one lock, held only while memory is touched. Mailboxes of clients are filled
//! under it too, so that news of a job arrives in order.

use super::process::{Killer, Program};
use super::queue::{ClientId, JobId};
use super::supervisor;
use super::table::{Entry, Owner, Shown, Submission, Table};
use crate::error::{Code, Fault};
use crate::frame::JobState;
use crate::sync::lock;
use jiff::Timestamp;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

/// The most jobs of one client that wait or run, so that no client fills the queue
/// alone.
pub const CLIENT_JOBS_MAX: usize = 64;
/// How many workers and jobs there may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Worker processes.
    pub workers: usize,
    /// Jobs that wait.
    pub queue: usize,
    /// How long a job may run.
    pub time: Duration,
}

/// The state that clients and supervisors share.
pub struct Shared {
    pub(super) limits: Limits,
    program: OnceLock<Program>,
    state: Mutex<Table>,
    changed: Condvar,
}

/// The jobs that wait or run.
#[derive(Clone)]
pub struct Pool(Arc<Shared>);

/// A job that a supervisor has taken.
pub(super) struct Taken {
    pub(super) job: JobId,
    pub(super) verb: &'static str,
    pub(super) task: Vec<u8>,
}

/// Why a supervisor gets no job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nothing {
    /// None has come in time.
    Yet,
    /// None will ever come.
    More,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (waiting, running, workers) = self.figures();
        f.debug_struct("Pool")
            .field("waiting", &waiting)
            .field("running", &running)
            .field("workers", &workers)
            .finish_non_exhaustive()
    }
}

impl Pool {
    /// A pool without workers, until [`Pool::employ`] says how to start them.
    pub fn new(limits: Limits) -> Self {
        Pool(Arc::new(Shared {
            limits,
            program: OnceLock::new(),
            state: Mutex::default(),
            changed: Condvar::new(),
        }))
    }

    /// Sets how workers are started. Only the first call counts.
    pub fn employ(&self, program: Program) {
        self.0.program.get_or_init(|| program);
    }

    /// Queues a job; returns its number.
    ///
    /// # Errors
    /// [`Code::Busy`] if too many wait, [`Code::Unavailable`] if this broker has
    /// no workers.
    pub fn submit(&self, submission: Submission) -> Result<JobId, Fault> {
        if self.0.program.get().is_none() {
            let text = "this broker was built into a program that runs no jobs";
            return Err(Fault::new(Code::Unavailable, text));
        }
        let Submission { client, verb, task, audience, key, for_client_only } = submission;
        let mut state = lock(&self.0.state);
        self.check_room(&state, client)?;
        state.last += 1;
        let job = state.last;
        let text: Arc<str> = format!("{} before it", state.queue.len()).into();
        let (queued, since) = (JobState::Queued, Timestamp::now());
        let shown = Shown { job, client, verb, state: queued, text: text.clone(), since, key };
        let entry = Entry {
            task,
            audience: audience.clone(),
            for_client_only,
            shown,
            was_tried: false,
            is_cancelled: false,
            killer: None,
        };
        state.jobs.insert(job, entry);
        *state.by_client.entry(client).or_default() += 1;
        state.queue.push(client, job);
        if state.idle < state.queue.len() && state.threads < self.0.limits.workers {
            self.start_thread(&mut state)?;
        }
        audience.hears(job, queued, &text);
        drop(state);
        self.0.changed.notify_all();
        Ok(job)
    }

    fn check_room(&self, state: &Table, client: ClientId) -> Result<(), Fault> {
        if state.is_stopping {
            return Err(Fault::new(Code::Unavailable, "the broker is stopping"));
        }
        if state.queue.len() >= self.0.limits.queue {
            let text = format!("{} jobs wait already: try again later", state.queue.len());
            return Err(Fault::new(Code::Busy, text));
        }
        if state.by_client.get(&client).is_some_and(|jobs| *jobs >= CLIENT_JOBS_MAX) {
            let text = format!("you have {CLIENT_JOBS_MAX} jobs: wait for one of them");
            return Err(Fault::new(Code::Busy, text));
        }
        Ok(())
    }

    /// Starts one more supervisor. If no thread can start, those that there are
    /// will do; if there is none at all, the last job is refused.
    fn start_thread(&self, state: &mut Table) -> Result<(), Fault> {
        let shared = self.0.clone();
        let started = thread::Builder::new()
            .name("worker".into())
            .spawn(move || supervisor::run(&shared))
            .map(drop);
        match started {
            Ok(()) => state.threads += 1,
            Err(e) if state.threads > 0 => {
                log::warn!("event=worker-failed reason={:?}", format!("no thread: {e}"));
            }
            Err(e) => {
                let job = state.last;
                if let Some(entry) = state.jobs.remove(&job) {
                    let client = entry.shown.client;
                    state.queue.remove(client, job);
                    state.one_less(client);
                }
                return Err(Fault::new(Code::Unavailable, format!("no worker can start: {e}")));
            }
        }
        Ok(())
    }

    /// Cancels a job.
    ///
    /// # Errors
    /// [`Code::Gone`] for a job that has ended or never was, [`Code::Denied`] for
    /// another owner's.
    pub fn cancel(&self, owner: Owner, job: JobId) -> Result<(), Fault> {
        let mut state = lock(&self.0.state);
        let Some(entry) = state.jobs.get_mut(&job) else {
            return Err(Fault::new(Code::Gone, format!("job {job} neither waits nor runs")));
        };
        if !entry.shown.is_of(owner) {
            return Err(Fault::new(Code::Denied, format!("job {job} is not yours")));
        }
        if entry.is_cancelled {
            return Err(Fault::new(Code::Gone, format!("job {job} has been cancelled")));
        }
        let killer = state.cancel(job);
        drop(state);
        kill(killer);
        Ok(())
    }

    /// Cancels the jobs that were of use only to a client that is gone for good.
    pub fn abandon(&self, client: ClientId) {
        let mut state = lock(&self.0.state);
        if !state.by_client.contains_key(&client) {
            return;
        }
        let of_it = state
            .jobs
            .values()
            .filter(|entry| entry.shown.client == client && entry.for_client_only);
        let jobs: Vec<JobId> = of_it.map(|entry| entry.shown.job).collect();
        let killers: Vec<Killer> = jobs.into_iter().filter_map(|job| state.cancel(job)).collect();
        drop(state);
        kill(killers);
    }

    /// Whether a client has jobs that wait or run.
    pub fn has_any(&self, client: ClientId) -> bool {
        lock(&self.0.state).by_client.contains_key(&client)
    }

    /// The jobs of a client that wait or run.
    pub fn list(&self, client: ClientId) -> Vec<Shown> {
        let state = lock(&self.0.state);
        let of_it = state.jobs.values().filter(|entry| entry.shown.client == client);
        let of_it = of_it.filter(|entry| !entry.is_cancelled);
        of_it.map(|entry| entry.shown.clone()).collect()
    }

    /// Finds a job, which may also be one of the last that have ended.
    ///
    /// # Errors
    /// [`Code::Gone`] for a job that is not remembered, [`Code::Denied`] for
    /// another owner's.
    pub fn find(&self, owner: Owner, job: JobId) -> Result<Shown, Fault> {
        let state = lock(&self.0.state);
        let present = state.jobs.get(&job).map(|entry| &entry.shown);
        let found = present.or_else(|| state.ended.iter().find(|ended| ended.job == job));
        let Some(found) = found else {
            return Err(Fault::new(Code::Gone, format!("job {job} is not remembered")));
        };
        if !found.is_of(owner) {
            return Err(Fault::new(Code::Denied, format!("job {job} is not yours")));
        }
        Ok(found.clone())
    }

    /// How many jobs wait, how many run, and how many workers there are.
    pub fn figures(&self) -> (usize, usize, usize) {
        let state = lock(&self.0.state);
        let waiting = state.queue.len();
        (waiting, state.jobs.len() - waiting, state.threads)
    }

    /// Fails every job, and takes no more.
    pub fn stop(&self) {
        let mut state = lock(&self.0.state);
        state.is_stopping = true;
        let jobs: Vec<JobId> = state.jobs.keys().copied().collect();
        let mut killers = Vec::new();
        for job in jobs {
            killers.extend(state.jobs.get(&job).and_then(|entry| entry.killer.clone()));
            state.end(job, JobState::Failed, "the broker is stopping".into());
        }
        drop(state);
        kill(killers);
        self.0.changed.notify_all();
    }
}

/// Not to be called under the lock: somebody may be waiting for that process.
fn kill(killers: impl IntoIterator<Item = Killer>) {
    killers.into_iter().for_each(|killer| killer.kill());
}

/// What the supervisors do.
impl Shared {
    pub(super) fn program(&self) -> Option<&Program> {
        self.program.get()
    }

    /// Takes the next job, or waits for one at most this long.
    pub(super) fn take(&self, wait: Duration) -> Result<Taken, Nothing> {
        let mut state = lock(&self.state);
        if state.queue.len() == 0 && !state.is_stopping {
            state.idle += 1;
            state = self.sleep(state, wait);
            state.idle -= 1;
        }
        if state.is_stopping {
            return Err(Nothing::More);
        }
        let job = state.queue.pop().ok_or(Nothing::Yet)?;
        let entry = state.jobs.get(&job).ok_or(Nothing::Yet)?;
        Ok(Taken { job, verb: entry.shown.verb, task: entry.task.clone() })
    }

    /// Waits at most this long for something to do.
    fn sleep<'s>(&self, state: MutexGuard<'s, Table>, wait: Duration) -> MutexGuard<'s, Table> {
        let idle = |state: &mut Table| state.queue.len() == 0 && !state.is_stopping;
        let slept = self.changed.wait_timeout_while(state, wait, idle);
        slept.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Waits this long, whatever there is to do; returns false if the broker stops.
    pub(super) fn pause(&self, wait: Duration) -> bool {
        let is_on = |state: &mut Table| !state.is_stopping;
        let slept = self.changed.wait_timeout_while(lock(&self.state), wait, is_on);
        !slept.unwrap_or_else(PoisonError::into_inner).0.is_stopping
    }

    /// Notes that a worker is about to be given this job; returns false if nobody
    /// wants it any more.
    pub(super) fn assign(&self, job: JobId, killer: Killer) -> bool {
        let mut state = lock(&self.state);
        let Some(entry) = state.jobs.get_mut(&job) else { return false };
        if entry.is_cancelled {
            state.end(job, JobState::Cancelled, String::new());
            return false;
        }
        entry.killer = Some(killer);
        true
    }

    /// Notes that a worker has begun the job.
    pub(super) fn begun(&self, job: JobId) {
        let mut state = lock(&self.state);
        let Some(entry) = state.jobs.get_mut(&job).filter(|entry| !entry.is_cancelled) else {
            return;
        };
        entry.shown.state = JobState::Running;
        entry.shown.text = "".into();
        entry.audience.hears(job, JobState::Running, &entry.shown.text);
    }

    /// Passes on how far the job is; returns false if the audience has no room for
    /// that.
    pub(super) fn progress(&self, job: JobId, text: &Arc<str>) -> bool {
        let mut state = lock(&self.state);
        let Some(entry) = state.jobs.get_mut(&job).filter(|entry| !entry.is_cancelled) else {
            return true;
        };
        let heard = entry.audience.hears_progress(job, text);
        if heard {
            entry.shown.text = text.clone();
        }
        heard
    }

    /// Whether nobody wants the job any more: it was cancelled, or has ended.
    pub(super) fn is_unwanted(&self, job: JobId) -> bool {
        lock(&self.state).jobs.get(&job).is_none_or(|entry| entry.is_cancelled)
    }

    /// Ends the job.
    pub(super) fn end(&self, job: JobId, state: JobState, text: String) {
        lock(&self.state).end(job, state, text);
    }

    /// Puts the job back into the queue, the first time that its worker was lost
    /// before it began.
    pub(super) fn lost_before(&self, job: JobId, reason: &str) {
        let mut state = lock(&self.state);
        let Some(entry) = state.jobs.get_mut(&job) else { return };
        entry.killer = None;
        if entry.was_tried || entry.is_cancelled {
            return state.end(job, JobState::Failed, format!("{reason} (tried twice)"));
        }
        entry.was_tried = true;
        let client = entry.shown.client;
        state.queue.push_again(client, job);
        drop(state);
        self.changed.notify_all();
    }

    /// Lets a supervisor that has had nothing to do end; returns false if there is
    /// something to do now.
    pub(super) fn may_end(&self) -> bool {
        let mut state = lock(&self.state);
        let may = state.is_stopping || state.queue.len() == 0;
        state.threads -= usize::from(may);
        may
    }
}
