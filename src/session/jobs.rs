//! Requests about jobs.

use super::Session;
use crate::error::Fault;
use crate::frame::Frame;
use crate::reply::{Line, Reply};
use crate::workers::{Owner, Shown};

impl Session {
    pub(super) fn job(
        &self,
        verb: &str,
        to: Option<&str>,
        arguments: &[(&'static str, String)],
    ) -> Result<Reply, Fault> {
        let job = self.broker.submit_job(&self.client, verb, to, arguments, None)?;
        Ok(Line::new("job").at("job", job).into())
    }

    /// Whether the client has jobs, or has yet to be told what came of one.
    pub(super) fn has_jobs(&self) -> bool {
        self.broker.jobs().has_any(self.client.id)
            || self.client.mailbox.holds(|frame| matches!(frame, Frame::Job { .. }))
    }

    pub(super) fn cancel(&self, job: u64) -> Result<Reply, Fault> {
        self.broker.jobs().cancel(Owner::Client(self.client.id), job)?;
        Ok(Line::new("cancel").at("job", job).into())
    }

    pub(super) fn jobs(&self) -> Reply {
        let row = |job: Shown| {
            let line = Line::new("job").at("job", job.job).at("state", job.state.as_str());
            line.at("verb", job.verb).with("since", job.since)
        };
        let jobs = self.broker.jobs().list(self.client.id);
        let rows: Vec<Line> = jobs.into_iter().map(row).collect();
        let last = Line::new("jobs").at("count", rows.len());
        Reply::List(rows, last)
    }
}
