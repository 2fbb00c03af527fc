//! One thread for each worker: it starts the process, gives it one job after the
//! other, listens, and replaces it when it is lost.

use super::link::{News, Order, Report};
use super::pool::{Nothing, Shared, Taken};
use super::process::{Heard, Process};
use crate::frame::JobState;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How long a worker may take to begin a job: longer than a process takes to start
/// on a busy machine.
const BEGIN_TIME: Duration = Duration::from_secs(5);
/// How long an idle worker is kept.
const IDLE_TIME: Duration = Duration::from_secs(60);
/// How often an idle worker is checked, as it may have ended.
const LOOK: Duration = Duration::from_millis(250);
/// The first pause after workers died twice in a row, and the longest pauses: after
/// deaths before a job began, and during one, which may be the job's fault.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);
const PAUSE_AT_WORK_MAX: Duration = Duration::from_millis(500);
/// How often to retry telling progress to a client that does not read.
const ROOM_LOOK: Duration = Duration::from_millis(5);

/// Runs one worker until there is nothing to do for it.
pub(super) fn run(shared: &Shared) {
    let mut supervisor = Supervisor { shared, process: None, deaths: 0 };
    let mut idle_since = Instant::now();
    loop {
        match shared.take(LOOK) {
            Ok(taken) => {
                let is_on = supervisor.see_to(&taken);
                idle_since = Instant::now();
                if !is_on {
                    break;
                }
            }
            Err(Nothing::Yet) => {
                supervisor.look_after_idle();
                if idle_since.elapsed() > IDLE_TIME && shared.may_end() {
                    return;
                }
            }
            Err(Nothing::More) => break,
        }
    }
    shared.may_end();
}

struct Supervisor<'s> {
    shared: &'s Shared,
    process: Option<Process>,
    /// How many workers have died in a row.
    deaths: u32,
}

/// The outcome of giving a worker a job.
enum After {
    /// It is ready for the next one.
    Ready,
    /// It had not begun the job.
    Unbegun,
    /// It was lost during the job.
    Lost,
    /// It was killed on purpose.
    Killed,
}

impl Supervisor<'_> {
    /// Replaces a worker that has ended while it was idle.
    fn look_after_idle(&mut self) {
        if self.process.as_ref().is_some_and(|process| !process.is_alive()) {
            self.bury(true);
            // If that fails, the next job tries it again.
            let _ = self.start();
        }
    }

    /// Ends the worker, and returns how it ended.
    fn bury(&mut self, was_lost: bool) -> String {
        let Some(process) = self.process.take() else { return String::new() };
        let pid = process.id();
        let how = process.end(was_lost);
        log::info!("event=worker-ended pid={pid} reason={how:?}");
        how
    }

    fn start(&mut self) -> Result<(), String> {
        if self.process.as_ref().is_some_and(Process::is_alive) {
            return Ok(());
        }
        self.bury(true);
        let program = self.shared.program().ok_or("there is no worker to start")?;
        let process = Process::start(program).map_err(|e| format!("no worker can start: {e}"))?;
        log::debug!("event=worker-started pid={}", process.id());
        self.process = Some(process);
        Ok(())
    }

    /// Runs a job; returns false if the broker stops.
    fn see_to(&mut self, taken: &Taken) -> bool {
        let after = match self.start() {
            Ok(()) => self.hand_over(taken),
            Err(reason) => {
                log::error!("event=worker-failed reason={reason:?}");
                self.shared.lost_before(taken.job, &reason);
                After::Unbegun
            }
        };
        let pause_max = match after {
            After::Ready => {
                self.deaths = 0;
                return true;
            }
            After::Killed => return true,
            After::Unbegun => PAUSE_MAX,
            After::Lost => PAUSE_AT_WORK_MAX,
        };
        self.deaths += 1;
        let is_on = self.shared.pause(pause(self.deaths, pause_max));
        if is_on {
            // At once, so that it is ready when the next job comes.
            let _ = self.start();
        }
        is_on
    }

    fn hand_over(&mut self, taken: &Taken) -> After {
        let Some(process) = &mut self.process else { return After::Unbegun };
        let job = taken.job;
        if !self.shared.assign(job, process.killer()) {
            return After::Ready;
        }
        let order = Order { job, verb: taken.verb.to_owned(), task: taken.task.clone() };
        let is_told = process.tell(&order).is_ok();
        let begun = Report { job, news: News::Begun };
        match process.hear(Instant::now() + BEGIN_TIME) {
            Heard::Report(report) if is_told && report == begun => {
                self.shared.begun(job);
                self.attend(job)
            }
            heard => {
                let mut how = self.bury(heard != Heard::Silence);
                if heard == Heard::Silence {
                    how = format!("its worker did not begin within {BEGIN_TIME:?}");
                }
                let was_unwanted = self.shared.is_unwanted(job);
                self.shared.lost_before(job, &how);
                if was_unwanted { After::Killed } else { After::Unbegun }
            }
        }
    }

    /// Listens to a worker that has begun a job.
    fn attend(&mut self, job: u64) -> After {
        let time = self.shared.limits.time;
        let deadline = Instant::now() + time;
        let too_long = || format!("it ran for longer than {time:?} (see broker --job-timeout)");
        loop {
            let Some(process) = &mut self.process else { return After::Lost };
            match process.hear(deadline) {
                Heard::Report(report) if report.job == job => match report.news {
                    News::Progress(text) => {
                        if !self.tell_progress(job, &text.into(), deadline) {
                            self.bury(false);
                            self.shared.end(job, JobState::Failed, too_long());
                            return After::Killed;
                        }
                    }
                    News::Done(result) => {
                        self.shared.end(job, JobState::Done, result);
                        return After::Ready;
                    }
                    News::Failed(reason) => {
                        self.shared.end(job, JobState::Failed, reason);
                        return After::Ready;
                    }
                    News::Begun => return self.give_up(job, "its worker wrote nonsense".into()),
                },
                Heard::Report(_) => return self.give_up(job, "its worker wrote nonsense".into()),
                Heard::Lost => {
                    let how = self.bury(true);
                    return self.give_up(job, how);
                }
                Heard::Silence => {
                    self.bury(false);
                    self.shared.end(job, JobState::Failed, too_long());
                    return After::Killed;
                }
            }
        }
    }

    fn give_up(&mut self, job: u64, how: String) -> After {
        self.bury(false);
        let was_cancelled = self.shared.is_unwanted(job);
        self.shared.end(job, JobState::Failed, how);
        if was_cancelled { After::Killed } else { After::Lost }
    }

    /// Tells the audience of progress as soon as it has room: until then nothing is
    /// read from the worker, which waits. Returns false if the job's time is over
    /// first.
    fn tell_progress(&self, job: u64, text: &Arc<str>, deadline: Instant) -> bool {
        while Instant::now() < deadline {
            if self.shared.progress(job, text) {
                return true;
            }
            thread::sleep(ROOM_LOOK);
        }
        false
    }
}

/// How long to wait before starting the next worker, after this many have died in a
/// row: not at all after the first.
fn pause(deaths: u32, most: Duration) -> Duration {
    match deaths {
        0 | 1 => Duration::ZERO,
        deaths => PAUSE.saturating_mul(1 << (deaths - 2).min(16)).min(most),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound() {
        let ms = |deaths| pause(deaths, PAUSE_MAX).as_millis();
        assert_eq!([0, 1, 2, 3, 4].map(ms), [0, 0, 100, 200, 400]);
        assert_eq!((ms(9), ms(u32::MAX)), (10_000, 10_000));
        assert_eq!(pause(u32::MAX, PAUSE_AT_WORK_MAX), PAUSE_AT_WORK_MAX);
    }
}
