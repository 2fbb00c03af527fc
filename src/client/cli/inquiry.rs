//! Jobs do not outlive their broker, though a session may, and what the broker
//! has written to a connection that is lost it does not tell again: where a
//! session goes on, this client asks which of the jobs it waits for are still there,
//! and waits for the results of commands no longer than they can take.

use super::session::Session;
use super::stage::{Due, Event, Origin};
use crate::client::awaited;
use crate::{jobs, runtime};
use std::collections::HashSet;
use std::time::Instant;

/// How often it asks. What has become of a job may be told after the answer that
/// has it no more, and also after the next: its broker answers what it has read
/// before it passes on what came in meanwhile. It never comes after the third.
const QUESTIONS: u8 = 3;

/// What has come of asking.
#[derive(Debug, Default)]
pub(super) struct Inquiry {
    /// The jobs from before of which no answer has told.
    missing: HashSet<String>,
    asked: u8,
    /// When the broker ends the last of the commands that were given.
    commands_end: Option<Instant>,
    /// Commands from before, and when nobody waits for their results any more.
    overdue: Option<(HashSet<Due>, Instant)>,
}

impl Inquiry {
    /// A job is there.
    pub(super) fn found(&mut self, job: &str) {
        self.missing.remove(job);
    }

    /// The broker has taken a command.
    pub(super) fn commanded(&mut self, line: &str) {
        self.commands_end = self.commands_end.max(Some(awaited::ends(line)));
    }
}

impl Session {
    /// The session goes on: asks for the jobs whose results are due.
    pub(super) fn ask_for_jobs(&mut self) {
        let jobs = self.due.iter().filter_map(|due| match due {
            Due::Job(job) => Some(job.clone()),
            Due::Command(..) => None,
        });
        let inquiry = &mut self.remembered.inquiry;
        (inquiry.missing, inquiry.asked) = (jobs.collect(), 0);
        self.jobs_told();
    }

    /// The session goes on: the results of commands come soon, or not at all.
    pub(super) fn wait_for_commands(&mut self) {
        let is_command = |due: &&Due| matches!(due, Due::Command(..));
        let commands: HashSet<Due> = self.due.iter().filter(is_command).cloned().collect();
        let inquiry = &mut self.remembered.inquiry;
        inquiry.overdue = None;
        let Some(end) = inquiry.commands_end.filter(|_| !commands.is_empty()) else { return };
        let at = awaited::given_up(end);
        inquiry.overdue = Some((commands, at));
        let tx = self.tx.clone();
        runtime::spawn(async move {
            runtime::sleep(at.saturating_duration_since(Instant::now())).await;
            // If the client is gone there is nobody to tell.
            let _ = tx.unbounded_send(Event::Overdue);
        });
    }

    /// Waits no longer for the results of commands from before, if it is time.
    pub(super) fn give_up_overdue(&mut self) {
        let is_time = |(_, at): &mut (HashSet<Due>, Instant)| *at <= Instant::now();
        let Some((commands, _)) = self.remembered.inquiry.overdue.take_if(is_time) else { return };
        let missing = commands.iter().filter(|command| self.due.remove(command)).count();
        if missing > 0 {
            self.screen.notice(&format!(
                "{missing} commands have no result: they ended with their broker, or while the \
                 connection was lost"
            ));
            self.verdict.refused(None);
        }
    }

    /// The session does not go on: nothing that is due will come.
    pub(super) fn give_up_results(&mut self) {
        let due = std::mem::take(&mut self.due).len();
        if due > 0 {
            self.screen.notice(&format!("{due} commands or jobs have no result"));
            self.verdict.refused(None);
        }
    }

    /// All rows of an answer are in: asks once more, or knows enough.
    pub(super) fn jobs_told(&mut self) {
        let Inquiry { missing, asked, .. } = &mut self.remembered.inquiry;
        missing.retain(|job| self.due.contains(&Due::Job(job.clone())));
        if missing.is_empty() {
            return;
        }
        if *asked < QUESTIONS {
            *asked += 1;
            return self.outbox.say("jobs", Origin::Own);
        }
        let text = format!(
            "{} jobs have no result: they ended with their broker, or while the connection was lost",
            missing.len()
        );
        for job in missing.drain() {
            self.due.remove(&Due::Job(job));
        }
        self.screen.notice(&text);
        self.verdict.refused(None);
    }

    /// Whether this is a row of an answer that the user has not asked for; then
    /// takes notice of it.
    pub(super) fn takes_job_row(&mut self, text: &str) -> bool {
        let words: Vec<&str> = text.split(' ').collect();
        // What is told of a job may come at the same time, and looks otherwise.
        let ["job", job, _, verb, since] = words[..] else { return false };
        let is_row = since.starts_with("since=") && jobs::find(verb).is_some();
        let is_own = self
            .outbox
            .waiting(|waiting| waiting.first("jobs").is_some_and(|asked| asked.tag == Origin::Own));
        if is_row && is_own {
            self.remembered.inquiry.found(job);
        }
        is_row && is_own
    }
}
