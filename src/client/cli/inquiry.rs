//! Jobs do not outlive their broker, though a session may, and the broker does not
//! repeat what it had written to a connection that was lost. So when a session is
//! resumed, this client asks which of the jobs it waits for are still there, and waits
//! for the results of commands no longer than they can take.

use super::session::Session;
use super::stage::{Due, Event, Origin};
use crate::client::awaited;
use crate::{jobs, runtime};
use std::collections::HashSet;
use std::time::Instant;

/// How many times it asks. What became of a job may be told after the first answer that
/// no longer lists it, and even after the next: the broker answers what it has read
/// before it passes on what came in meanwhile. It never comes after the third.
const QUESTIONS: u8 = 3;

/// What asking has brought so far.
#[derive(Debug, Default)]
pub(super) struct Inquiry {
    /// The jobs from before the resume that no answer has listed.
    missing: HashSet<String>,
    asked: u8,
    /// When the broker ends the last of the commands that were given.
    commands_end: Option<Instant>,
    /// Commands from before the resume, and when to give up their results.
    overdue: Option<(HashSet<Due>, Instant)>,
}

impl Inquiry {
    /// Notes that a job is still there.
    pub(super) fn found(&mut self, job: &str) {
        self.missing.remove(job);
    }

    /// The broker has taken a command.
    pub(super) fn commanded(&mut self, line: &str) {
        self.commands_end = self.commands_end.max(Some(awaited::ends(line)));
    }
}

impl Session {
    /// The session was resumed: asks for the jobs whose results are due.
    pub(super) fn ask_for_jobs(&mut self) {
        let jobs = self.due.iter().filter_map(|due| match due {
            Due::Job(job) => Some(job.clone()),
            Due::Command(..) => None,
        });
        let inquiry = &mut self.remembered.inquiry;
        (inquiry.missing, inquiry.asked) = (jobs.collect(), 0);
        self.jobs_told();
    }

    /// The session was resumed: the results of commands come soon, or not at all.
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

    /// Gives up the results of commands from before the resume, if it is time.
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

    /// The session was not resumed: nothing that is due will come.
    pub(super) fn give_up_results(&mut self) {
        let due = std::mem::take(&mut self.due).len();
        if due > 0 {
            self.screen.notice(&format!("{due} commands or jobs have no result"));
            self.verdict.refused(None);
        }
    }

    /// All rows of an answer are in: asks again, or gives up the jobs still missing.
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

    /// Whether this is a row of an answer to the client's own `jobs` request; if so,
    /// notes the job.
    pub(super) fn takes_job_row(&mut self, text: &str) -> bool {
        let words: Vec<&str> = text.split(' ').collect();
        // A frame about a job may come in between; it looks different.
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
