//! Supervision of workers that misbehave: shell scripts in their place. Workers
//! that behave are in `tests/jobs.rs`.

use super::process::Program;
use super::{Audience, JobId, Limits, Owner, Pool, Submission};
use crate::error::Code;
use crate::frame::JobState::{self, Cancelled, Done, Failed, Queued, Running};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

const DEADLINE: Duration = Duration::from_secs(20);
const KEY: Uuid = Uuid::from_u128(7);

/// What a worker writes when it begins job 1, when it is done with result `x`, and
/// for progress `p`; for `printf`.
const BEGUN: &str = r"\002\000\000\000\001\000";
const DONE: &str = r"\004\000\000\000\001\002\001x";
const PROGRESS: &str = r"\004\000\000\000\001\001\001p";

/// An audience that notes all that it hears. It refuses the first so many words of
/// progress, and takes a while for each.
struct Notes {
    tx: Mutex<Sender<(JobId, JobState, String)>>,
    refusals: Mutex<u32>,
    pause: Mutex<Duration>,
}

impl Audience for Notes {
    fn hears_progress(&self, job: JobId, text: &Arc<str>) -> bool {
        let mut refusals = self.refusals.lock().unwrap();
        if *refusals > 0 {
            *refusals -= 1;
            return false;
        }
        std::thread::sleep(*self.pause.lock().unwrap());
        self.hears(job, Running, text);
        true
    }

    fn hears(&self, job: JobId, state: JobState, text: &Arc<str>) {
        // The test may be over, and the receiver gone.
        let _ = self.tx.lock().unwrap().send((job, state, text.to_string()));
    }
}

struct Scene {
    pool: Pool,
    notes: Arc<Notes>,
    heard: Receiver<(JobId, JobState, String)>,
    folder: tempfile::TempDir,
}

impl Scene {
    /// One worker that runs this script. `$LOG` is a file of the test's own, in
    /// which each start leaves a line.
    fn new(script: &str) -> Scene {
        Scene::with(script, 100, DEADLINE)
    }

    fn with(script: &str, queue: usize, time: Duration) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let script = format!("LOG={}; echo start >>$LOG; {script}", log.display());
        let pool = Pool::new(Limits { workers: 1, queue, time });
        pool.employ(Program {
            path: "sh".into(),
            arguments: vec!["-c".into(), script.into()],
            memory: 1 << 30,
        });
        let (tx, heard) = channel();
        let notes = Arc::new(Notes {
            tx: Mutex::new(tx),
            refusals: Mutex::default(),
            pause: Mutex::default(),
        });
        Scene { pool, notes, heard, folder }
    }

    fn try_submit(&self, client: u64, for_client_only: bool) -> Result<JobId, Code> {
        let (verb, task, audience) = ("fib", Vec::new(), self.notes.clone());
        let submission =
            Submission { client, verb, task, audience, key: Some(KEY), for_client_only };
        self.pool.submit(submission).map_err(|fault| fault.code)
    }

    fn submit(&self) -> JobId {
        self.try_submit(1, true).unwrap()
    }

    #[track_caller]
    fn hear(&self, job: JobId, state: JobState) -> String {
        let (heard, what, text) = self.heard.recv_timeout(DEADLINE).expect("news of a job");
        assert_eq!((heard, what), (job, state), "{text}");
        text
    }

    /// The outcome of a job that its worker never begins.
    #[track_caller]
    fn fails_unbegun(&self) -> String {
        let job = self.submit();
        self.hear(job, Queued);
        self.hear(job, Failed)
    }

    /// The outcome of a job that its worker begins.
    #[track_caller]
    fn fails_at_work(&self) -> String {
        let job = self.submit();
        self.hear(job, Queued);
        self.hear(job, Running);
        self.hear(job, Failed)
    }

    fn starts(&self) -> usize {
        let log = std::fs::read_to_string(self.folder.path().join("log"));
        log.unwrap_or_default().lines().count()
    }

    /// Waits until the script has been started this often.
    fn wait_for_starts(&self, starts: usize) {
        let deadline = std::time::Instant::now() + DEADLINE;
        while self.starts() < starts {
            assert!(std::time::Instant::now() < deadline, "only {} starts", self.starts());
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.pool.stop();
    }
}

#[test]
fn a_worker_that_ends_before_it_begins_is_replaced_once() {
    for (script, how) in [
        ("exit 3", "its worker ended with exit code 3 (tried twice)"),
        ("kill -9 $$", "its worker was ended by signal 9 (tried twice)"),
        ("echo no luck >&2; exit 1", "its worker ended with exit code 1: no luck (tried twice)"),
        ("echo I like nonsense; sleep 60", "its worker wrote nonsense (tried twice)"),
        // A message about another job; and a result before the beginning.
        (r"printf '\002\000\000\000\002\000'; sleep 60", "its worker was killed (tried twice)"),
        (&format!("printf '{DONE}'; sleep 60"), "its worker was killed (tried twice)"),
    ] {
        let scene = Scene::new(script);
        assert_eq!(scene.fails_unbegun(), how, "{script}");
        assert!(scene.starts() >= 2, "{script}");
    }
}

#[test]
fn one_that_is_lost_at_work_costs_its_job_and_no_second_try() {
    for (script, how) in [
        ("exit 5", "its worker ended with exit code 5"),
        ("kill -SEGV $$", "its worker was ended by signal 11"),
        ("echo memory is short >&2; exit 2", "its worker ended with exit code 2: memory is short"),
        ("echo I like nonsense; sleep 60", "its worker wrote nonsense"),
        (&format!("printf '{BEGUN}'; sleep 60"), "its worker wrote nonsense"),
        (r"printf '\002\000\000\000\001\002'", "its worker wrote nonsense"),
        (r"printf '\004\000\000\000\002\002\001x'; sleep 60", "its worker wrote nonsense"),
        // Half a message.
        (r"printf '\004\000\000\000\001'", "its worker ended with exit code 0"),
    ] {
        // The worker has the job before it says so: one that ends earlier has not
        // begun.
        let scene = Scene::new(&format!("head -c 1 >/dev/null; printf '{BEGUN}'; {script}"));
        assert_eq!(scene.fails_at_work(), how, "{script}");
        // The next worker is started at once, whether or not there is a job for it.
        scene.wait_for_starts(2);
    }
}

#[test]
fn a_worker_is_kept_for_the_next_job() {
    let scene = Scene::new(&format!("printf '{BEGUN}{DONE}'; exec sleep 60"));
    let job = scene.submit();
    let news = [Queued, Running, Done].map(|state| scene.hear(job, state));
    assert_eq!(news, ["0 before it", "", "x"]);
    assert_eq!(scene.starts(), 1);
    assert_eq!(scene.pool.list(1), []);
    for owner in [Owner::Client(1), Owner::Key(KEY)] {
        let found = scene.pool.find(owner, job).unwrap();
        assert_eq!((found.state, &*found.text), (Done, "x"));
    }
    let code = |owner, job| scene.pool.find(owner, job).unwrap_err().code;
    assert_eq!(code(Owner::Client(2), job), Code::Denied);
    assert_eq!(code(Owner::Key(Uuid::from_u128(1)), job), Code::Denied);
    assert_eq!(code(Owner::Client(1), job + 1), Code::Gone);
    assert_eq!(scene.pool.figures(), (0, 0, 1));
}

#[test]
fn one_that_hangs_is_killed_when_its_time_is_over() {
    let script = format!("printf '{BEGUN}'; exec sleep 60");
    let scene = Scene::with(&script, 100, Duration::from_millis(50));
    assert_eq!(scene.fails_at_work(), "it ran for longer than 50ms (see broker --job-timeout)");
}

/// An audience that hears its news slowly always has more of them to hear.
#[test]
fn one_that_never_falls_silent_is_killed_when_its_time_is_over() {
    let words = PROGRESS.repeat(200);
    let script = format!("printf '{BEGUN}{words}{DONE}'; exec sleep 60");
    let scene = Scene::with(&script, 100, Duration::from_millis(50));
    *scene.notes.pause.lock().unwrap() = Duration::from_millis(5);
    let job = scene.submit();
    scene.hear(job, Queued);
    let news = || scene.heard.recv_timeout(DEADLINE).unwrap();
    let mut times = 0;
    let (_, state, text) = loop {
        match news() {
            (_, Running, _) => times += 1,
            end => break end,
        }
    };
    assert_eq!(state, Failed, "after {times} times: {text}");
    assert!(text.starts_with("it ran for longer than 50ms"), "{text}");
}

#[test]
fn a_program_that_is_not_there_fails_its_jobs_and_no_more() {
    let scene = Scene::new("");
    let pool = Pool::new(Limits { workers: 1, queue: 5, time: DEADLINE });
    let (verb, task, audience) = ("fib", Vec::new(), scene.notes.clone());
    let submission = || Submission {
        client: 1,
        verb,
        task: task.clone(),
        audience: audience.clone(),
        key: None,
        for_client_only: true,
    };
    assert_eq!(pool.submit(submission()).unwrap_err().code, Code::Unavailable);
    pool.employ(Program { path: "/no/such/program".into(), arguments: vec![], memory: 0 });
    let job = pool.submit(submission()).unwrap();
    scene.hear(job, Queued);
    assert!(scene.hear(job, Failed).starts_with("no worker can start: "));
    pool.stop();
}

#[test]
fn progress_waits_for_room_and_none_is_lost() {
    let words = PROGRESS.repeat(3);
    let scene = Scene::new(&format!("printf '{BEGUN}{words}{DONE}'; exec sleep 60"));
    *scene.notes.refusals.lock().unwrap() = 20;
    let job = scene.submit();
    for (state, text) in [
        (Queued, "0 before it"),
        (Running, ""),
        (Running, "p"),
        (Running, "p"),
        (Running, "p"),
        (Done, "x"),
    ] {
        assert_eq!(scene.hear(job, state), text);
    }
    assert_eq!(*scene.notes.refusals.lock().unwrap(), 0);
}

#[test]
fn a_client_that_takes_no_news_has_its_job_ended() {
    let script = format!("printf '{BEGUN}{PROGRESS}'; exec sleep 60");
    let scene = Scene::with(&script, 100, Duration::from_millis(50));
    *scene.notes.refusals.lock().unwrap() = u32::MAX;
    assert!(scene.fails_at_work().starts_with("it ran for longer than 50ms"));
}

#[test]
fn the_queue_has_a_bound_and_so_has_each_client() {
    let scene = Scene::with("exec sleep 60", super::pool::CLIENT_JOBS_MAX, DEADLINE);
    let first = scene.submit();
    // Until it is with the worker, it waits.
    scene.wait_for_starts(1);
    for _ in 1..super::pool::CLIENT_JOBS_MAX {
        scene.submit();
    }
    assert_eq!(scene.try_submit(1, true), Err(Code::Busy), "a client's own bound");
    scene.try_submit(2, true).unwrap();
    assert_eq!(scene.try_submit(3, true), Err(Code::Busy), "that of all");
    assert_eq!(scene.pool.list(1).len(), super::pool::CLIENT_JOBS_MAX);
    assert_eq!(scene.pool.cancel(Owner::Client(1), first + 1), Ok(()));
    scene.try_submit(3, true).unwrap();
}

#[test]
fn jobs_are_cancelled_in_every_state() {
    let scene = Scene::new(&format!("read -r line; printf '{BEGUN}'; exec sleep 60"));
    let cancel =
        |client, job| scene.pool.cancel(Owner::Client(client), job).map_err(|fault| fault.code);
    assert_eq!(cancel(1, 1), Err(Code::Gone), "never there");
    let (given, waiting) = (scene.submit(), scene.submit());
    scene.hear(given, Queued);
    scene.hear(waiting, Queued);
    assert_eq!(cancel(2, waiting), Err(Code::Denied));
    assert_eq!(cancel(1, waiting), Ok(()));
    assert_eq!(scene.hear(waiting, Cancelled), "");
    assert_eq!(cancel(1, waiting), Err(Code::Gone), "ended");
    // The worker has it, and has not begun: it waits for a line that never
    // comes.
    scene.wait_for_starts(1);
    assert_eq!(cancel(1, given), Ok(()));
    scene.hear(given, Cancelled);

    let scene = Scene::new(&format!("printf '{BEGUN}'; exec sleep 60"));
    let running = scene.submit();
    scene.hear(running, Queued);
    scene.hear(running, Running);
    let other = Owner::Key(Uuid::from_u128(1));
    assert_eq!(scene.pool.cancel(other, running).unwrap_err().code, Code::Denied);
    scene.pool.cancel(Owner::Key(KEY), running).unwrap();
    // At once, whatever its worker is doing.
    let found = scene.pool.find(Owner::Key(KEY), running).unwrap();
    assert_eq!((found.state, &*found.text), (Cancelled, ""));
    let again = scene.pool.cancel(Owner::Key(KEY), running);
    assert_eq!(again.unwrap_err().code, Code::Gone);
    assert_eq!(scene.hear(running, Cancelled), "");
    assert_eq!(scene.pool.list(1), []);
}

#[test]
fn what_a_client_leaves_behind_is_cancelled_unless_another_waits_for_it() {
    let scene = Scene::new("exec sleep 60");
    let first = scene.try_submit(1, false).unwrap();
    let mine = scene.try_submit(1, true).unwrap();
    let others = scene.try_submit(2, true).unwrap();
    for job in [first, mine, others] {
        scene.hear(job, Queued);
    }
    scene.pool.abandon(1);
    scene.hear(mine, Cancelled);
    assert_eq!(scene.pool.list(1).len(), 1);
    assert_eq!(scene.pool.list(2).len(), 1);
}

#[test]
fn when_the_broker_stops_every_job_has_failed() {
    let scene = Scene::new(&format!("printf '{BEGUN}'; exec sleep 60"));
    let (running, waiting) = (scene.submit(), scene.submit());
    for (job, state) in [(running, Queued), (waiting, Queued), (running, Running)] {
        scene.hear(job, state);
    }
    scene.pool.stop();
    for job in [running, waiting] {
        assert_eq!(scene.hear(job, Failed), "the broker is stopping");
    }
    assert_eq!(scene.try_submit(1, true), Err(Code::Unavailable));
}
