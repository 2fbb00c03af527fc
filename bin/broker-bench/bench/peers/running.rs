//! A broker that was started for one run, and is stopped after it.

use super::program::Program;
use super::work::Work;
use crate::bench::error::{Error, Result};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Child;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a program may take to listen, and to stop.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(10);
/// The time for what a program still does once it listens.
const SETTLING: Duration = Duration::from_millis(300);
/// How many bytes of what it said are shown.
const COMPLAINT_MAX: usize = 300;

/// A broker that was started for one run.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
    folder: TempDir,
}

impl Running {
    /// Starts a program and waits until it listens.
    ///
    /// # Errors
    /// If it does not.
    pub fn start(program: &Program, work: &Work) -> Result<Self> {
        let failed = |why: String| Error::Program { program: program.label.clone(), why };
        let system = |e| Error::System("a folder for it", e);
        let folder = TempDir::with_prefix("broker-bench-").map_err(system)?;
        // No other process takes a port that was just given back.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr());
        let address = port.map_err(|e| Error::System("a free port", e))?;
        let mut command = program.command(address, work.setting, folder.path())?;
        let log = File::create(folder.path().join("log")).map_err(system)?;
        command.stdout(log.try_clone().map_err(system)?).stderr(log);
        let child = command.spawn().map_err(|e| failed(format!("does not start: {e}")))?;
        let mut running = Running { address, child, folder };
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            if let Some(why) = running.has_ended() {
                return Err(failed(why));
            }
            if Instant::now() > end {
                return Err(failed(format!("does not listen; it said: {}", running.said())));
            }
            std::thread::sleep(PAUSE);
        }
        std::thread::sleep(SETTLING);
        Ok(running)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Why it has ended, if it has.
    pub fn has_ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        Some(format!("it has ended ({status}); it said: {}", self.said()))
    }

    /// The end of what it said.
    fn said(&self) -> String {
        let bytes = std::fs::read(self.folder.path().join("log")).unwrap_or_default();
        let end = &bytes[bytes.len().saturating_sub(COMPLAINT_MAX)..];
        String::from_utf8_lossy(end).escape_debug().to_string()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // If it has ended there is nobody to tell.
            let _ = kill_process(pid, Signal::TERM);
        }
        let end = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(PAUSE);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
