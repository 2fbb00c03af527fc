//! A worker process, from the broker's side: started, told, listened to, killed.

use super::link::{self, Messages, Order, Report};
use super::worker;
use crate::sync::lock;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{self, Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes that are read at once.
const READ_BYTES: usize = 16 * 1024;
/// Bytes of its standard error that are kept, the last ones: for whoever asks
/// why it ended.
const COMPLAINT_BYTES_MAX: usize = 512;
/// How long a worker whose output has ended has to end itself: by then it is
/// about to, and how it does tells why.
const EXIT_TIME: Duration = Duration::from_millis(500);

/// How worker processes are started.
#[derive(Clone, Debug)]
pub struct Program {
    pub(super) path: OsString,
    pub(super) arguments: Vec<OsString>,
    /// Bytes of memory that each may have.
    pub(super) memory: u64,
}

impl Program {
    /// This very program, also when its file has been replaced since it began.
    /// Only for one that hands [`worker::ARGUMENT`] to [`worker::run`].
    ///
    /// # Errors
    /// If nobody knows what this program is.
    pub fn own(memory: u64) -> io::Result<Self> {
        let own = Path::new("/proc/self/exe");
        let path = if own.exists() { own.into() } else { std::env::current_exe()? };
        Ok(Program { path: path.into(), arguments: vec![worker::ARGUMENT.into()], memory })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command
            .args(&self.arguments)
            .arg(process::id().to_string())
            .arg(self.memory.to_string())
            .arg0("broker-worker")
            // A worker's own threads are few, and it is told the addresses
            // that they reserve as memory: one pool of it, and two of them.
            .env("MALLOC_ARENA_MAX", "1")
            // The last line that it writes is to say why it ended.
            .env("RUST_BACKTRACE", "0")
            // What a terminal sends to the broker is not meant for it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

/// Lets anybody end a worker process, at any time.
#[derive(Clone, Debug)]
pub struct Killer(Arc<Mutex<Child>>);

impl Killer {
    /// Ends it, if it has not ended.
    pub fn kill(&self) {
        // It fails only for one that has ended: its number may be another's by
        // then, and std knows that.
        let _ = lock(&self.0).kill();
    }
}

/// What comes of listening to a worker.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// It has said this.
    Report(Report),
    /// It has ended, or does not speak as it should.
    Lost,
    /// Nothing came in time.
    Silence,
}

/// A worker process. It is killed when this is dropped, and when the thread that
/// started it ends.
#[derive(Debug)]
pub struct Process {
    child: Arc<Mutex<Child>>,
    id: u32,
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: Option<ChildStderr>,
    messages: Messages,
    /// What it said last on its standard error.
    complaint: Vec<u8>,
    /// What it said on its standard output was nonsense.
    is_mad: bool,
}

impl Process {
    /// Starts one.
    ///
    /// # Errors
    /// As the system has them.
    pub fn start(program: &Program) -> io::Result<Self> {
        let mut child = program.command().spawn()?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), stderr) = pipes else {
            return Err(io::Error::other("the worker has no pipes"));
        };
        Ok(Process {
            id: child.id(),
            child: Arc::new(Mutex::new(child)),
            stdin,
            stdout,
            stderr,
            messages: Messages::default(),
            complaint: Vec::new(),
            is_mad: false,
        })
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// What ends it.
    pub fn killer(&self) -> Killer {
        Killer(self.child.clone())
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        matches!(lock(&self.child).try_wait(), Ok(None))
    }

    /// Tells it to do something.
    ///
    /// # Errors
    /// If it has ended.
    pub fn tell(&mut self, order: &Order) -> io::Result<()> {
        // A task is small enough for the pipe to take it whether or not anybody
        // reads it.
        link::write(order, &mut self.stdin)
    }

    /// Listens until it says something, or for so long.
    pub fn hear(&mut self, deadline: Instant) -> Heard {
        loop {
            match self.messages.take() {
                Ok(Some(report)) => return Heard::Report(report),
                Ok(None) => {}
                Err(_) => {
                    self.is_mad = true;
                    return Heard::Lost;
                }
            }
            match self.wait(deadline) {
                Ok(Some(Came { out, err })) => {
                    if err {
                        self.note_complaint();
                    }
                    if out && !self.take_in() {
                        return Heard::Lost;
                    }
                }
                Ok(None) => return Heard::Silence,
                Err(_) => return Heard::Lost,
            }
        }
    }

    /// Waits until there is something to read; `None` if the time is over first.
    fn wait(&self, deadline: Instant) -> io::Result<Option<Came>> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
            let mut fds = vec![PollFd::new(&self.stdout, PollFlags::IN)];
            fds.extend(self.stderr.iter().map(|stderr| PollFd::new(stderr, PollFlags::IN)));
            match poll(&mut fds, Some(&timeout)) {
                Ok(0) => return Ok(None),
                Ok(_) => {
                    let came: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
                    let [out, err] = [0, 1].map(|at| came.get(at).copied().unwrap_or(false));
                    return Ok(Some(Came { out, err }));
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Reads what is there; not so if nothing will ever be again.
    fn take_in(&mut self) -> bool {
        let mut buffer = [0; READ_BYTES];
        match self.stdout.read(&mut buffer) {
            Ok(0) => false,
            Ok(read) => {
                self.messages.push(&buffer[..read]);
                true
            }
            Err(e) => e.kind() == io::ErrorKind::Interrupted,
        }
    }

    /// Keeps the last of what it complains of.
    fn note_complaint(&mut self) {
        let mut buffer = [0; COMPLAINT_BYTES_MAX];
        match self.stderr.as_mut().map(|stderr| stderr.read(&mut buffer)) {
            Some(Ok(read @ 1..)) => {
                self.complaint.extend_from_slice(&buffer[..read]);
                let too_many = self.complaint.len().saturating_sub(COMPLAINT_BYTES_MAX);
                self.complaint.drain(..too_many);
            }
            _ => self.stderr = None,
        }
    }

    /// Ends it; says how it ended. One that was lost may have ended by itself,
    /// and has a moment for that.
    pub fn end(mut self, was_lost: bool) -> String {
        let deadline = Instant::now() + if was_lost { EXIT_TIME } else { Duration::ZERO };
        while self.is_alive() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        let was_killed = self.is_alive();
        self.killer().kill();
        let status = lock(&self.child).wait();
        // What it said last comes with its end.
        while let Ok(Some(Came { err: true, .. })) = self.wait(Instant::now()) {
            self.note_complaint();
        }
        let how = match status {
            _ if self.is_mad => "its worker wrote nonsense".to_owned(),
            _ if was_killed => "its worker was killed".to_owned(),
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("its worker ended with exit code {code}"),
                (None, Some(signal)) => format!("its worker was ended by signal {signal}"),
                (None, None) => "its worker ended".to_owned(),
            },
            Err(e) => format!("its worker cannot be waited for: {e}"),
        };
        let complaint = String::from_utf8_lossy(&self.complaint);
        // A panic is followed by advice for whoever can run it again.
        let tells = |line: &&str| !line.trim().is_empty() && !line.starts_with("note: ");
        match complaint.lines().rfind(tells) {
            Some(last) => format!("{how}: {last}"),
            None => how,
        }
    }
}

/// Where something came.
struct Came {
    out: bool,
    err: bool,
}

impl Drop for Process {
    fn drop(&mut self) {
        let mut child = lock(&self.child);
        let _ = child.kill();
        let _ = child.wait();
    }
}
