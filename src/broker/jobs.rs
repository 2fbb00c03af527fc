//! Jobs, as clients ask for them: who may, and who is told.

use super::mailbox::LANE_BYTES_OPTIONAL;
use super::{Broker, Client};
use crate::error::{Code, Fault, quoted};
use crate::frame::{Frame, JobState};
use crate::jobs::{self, Desk, Given};
use crate::sequence::Seed;
use crate::workers::{Audience, JobId, Pool, Submission};
use ipnet::IpNet;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How many bytes may wait for a client before its jobs hold back reports of their
/// progress: more than a minute's worth for a client that is away.
const PROGRESS_BYTES_MAX: usize = 1024 * 1024;

/// Who is told of a job.
struct Concerned {
    asker: Arc<Client>,
    /// Who gets the result, if it is not the asker.
    to: Option<Arc<Client>>,
}

impl Concerned {
    fn tell(&self, job: JobId, state: JobState, text: Arc<str>) {
        self.asker.mailbox.post(Frame::Job { job, state, text, from: None });
    }

    /// Gives the result to the member that is to have it.
    fn deliver(&self, to: &Client, job: JobId, text: &Arc<str>) {
        let from = Some(self.asker.name());
        let frame = Frame::Job { job, state: JobState::Done, text: text.clone(), from };
        let failed = if to.mailbox.is_abandoned() {
            Some("is gone")
        } else if to.mailbox.offer_behind(frame, LANE_BYTES_OPTIONAL) {
            None
        } else {
            Some("does not read what it is told")
        };
        match failed {
            None => self.tell(job, JobState::Done, "delivered".into()),
            Some(why) => self.tell(job, JobState::Failed, format!("{} {why}", to.name()).into()),
        }
    }
}

impl Audience for Concerned {
    fn hears_progress(&self, job: JobId, text: &Arc<str>) -> bool {
        let frame = Frame::Job { job, state: JobState::Running, text: text.clone(), from: None };
        self.asker.mailbox.offer_behind(frame, PROGRESS_BYTES_MAX)
    }

    fn hears(&self, job: JobId, state: JobState, text: &Arc<str>) {
        match &self.to {
            Some(to) if state == JobState::Done => self.deliver(to, job, text),
            _ => self.tell(job, state, text.clone()),
        }
    }
}

impl Desk for Broker {
    fn begin_sequence(&self, count: u16, batch: u64) -> Result<(Uuid, Seed), Fault> {
        let id = Uuid::new_v4();
        match Broker::begin_sequence(self, id, count, batch, self.now_ms()) {
            Ok(kept) => Ok((id, kept.seed())),
            Err(_) => Err(Fault::new(Code::Busy, "too many sequences are kept: try again later")),
        }
    }

    fn allowed_networks(&self) -> &[IpNet] {
        &self.config.allow_url
    }

    fn job_time(&self) -> Duration {
        self.config.job_timeout
    }
}

impl Broker {
    /// The jobs that wait or run.
    pub fn jobs(&self) -> &Pool {
        &self.jobs
    }

    /// Submits a client's job, whose result may go to another client. With a key,
    /// the job is there for whoever has the key, whether or not the client stays.
    ///
    /// # Errors
    /// [`Code::NoMember`], [`Code::Denied`] for a member that hears of no jobs,
    /// [`Code::BadRequest`], [`Code::Busy`]; then there is no job.
    pub fn submit_job(
        &self,
        client: &Arc<Client>,
        verb: &str,
        to: Option<&str>,
        arguments: &[(&'static str, String)],
        key: Option<Uuid>,
    ) -> Result<JobId, Fault> {
        let job = jobs::find(verb).ok_or_else(|| {
            Fault::new(Code::UnknownCommand, format!("{} is no job; see: help", quoted(verb)))
        })?;
        let to = to.map(|to| self.client_that_hears(to)).transpose()?;
        if to.is_some() && !job.goes_to_others() {
            let text = format!("the result of {verb} goes to nobody but you");
            return Err(Fault::new(Code::BadRequest, text));
        }
        let task = job.task(Given(arguments), self)?;
        let for_client_only = to.is_none() && key.is_none();
        let audience = Arc::new(Concerned { asker: client.clone(), to });
        let verb = job.usage().verb;
        let client = client.id;
        self.jobs.submit(Submission { client, verb, task, audience, key, for_client_only })
    }
}
