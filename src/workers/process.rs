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

/// How many bytes are read at once.
const READ_BYTES: usize = 16 * 1024;
/// How many bytes of its standard error are kept, the last ones: they say why it
/// ended.
const COMPLAINT_BYTES_MAX: usize = 512;
/// How long a worker whose output has ended gets to end by itself: it is about to,
/// and its exit status says why.
const EXIT_TIME: Duration = Duration::from_millis(500);

/// How worker processes are started.
#[derive(Clone, Debug)]
pub struct Program {
    pub(super) path: OsString,
    pub(super) arguments: Vec<OsString>,
    /// The most bytes of memory for each.
    pub(super) memory: u64,
}

impl Program {
    /// This very program, even if its file has been replaced since it started. Only
    /// for a program that hands [`worker::ARGUMENT`] to [`worker::run`].
    ///
    /// # Errors
    /// If the path of this program is unknown.
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
            // The memory limit counts reserved addresses, and malloc reserves many
            // for each arena. A worker has few threads: one arena is enough for
            // them.
            .env("MALLOC_ARENA_MAX", "1")
            // The last line that it writes should say why it ended.
            .env("RUST_BACKTRACE", "0")
            // Signals from a terminal, such as Ctrl-C, are meant for the broker
            // alone.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

/// A handle that ends a worker process, from any thread and at any time.
#[derive(Clone, Debug)]
pub struct Killer(Arc<Mutex<Child>>);

impl Killer {
    /// Ends the process, if it still runs.
    pub fn kill(&self) {
        // It fails only for a process that has ended: its number may be another's
        // by then, and std knows that.
        let _ = lock(&self.0).kill();
    }
}

/// The outcome of listening to a worker.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// It has sent this report.
    Report(Report),
    /// It has ended, or has sent nonsense.
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
    /// The last bytes of its standard error.
    complaint: Vec<u8>,
    /// Whether it wrote nonsense to its standard output.
    is_mad: bool,
}

impl Process {
    /// Starts a process.
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

    /// The process id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// A handle that ends it.
    pub fn killer(&self) -> Killer {
        Killer(self.child.clone())
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        matches!(lock(&self.child).try_wait(), Ok(None))
    }

    /// Gives it a job.
    ///
    /// # Errors
    /// If it has ended.
    pub fn tell(&mut self, order: &Order) -> io::Result<()> {
        // A task is small enough to fit into the pipe, whether or not anybody reads
        // it.
        link::write(order, &mut self.stdin)
    }

    /// Listens until it reports something, at most until `deadline`.
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

    /// Waits until there is something to read; `None` if the deadline passes first.
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

    /// Reads what is there; returns false at the end of the output.
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

    /// Reads its standard error, and keeps the last bytes.
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

    /// Ends the process; returns how it ended. One that was lost may be about to
    /// end by itself, and gets a moment for that.
    pub fn end(mut self, was_lost: bool) -> String {
        let deadline = Instant::now() + if was_lost { EXIT_TIME } else { Duration::ZERO };
        while self.is_alive() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        let was_killed = self.is_alive();
        self.killer().kill();
        let status = lock(&self.child).wait();
        // The last of its standard error comes with its end.
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
        // A panic message ends with advice for whoever can run the program again.
        let tells = |line: &&str| !line.trim().is_empty() && !line.starts_with("note: ");
        match complaint.lines().rfind(tells) {
            Some(last) => format!("{how}: {last}"),
            None => how,
        }
    }
}

/// On which of its outputs something came.
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
