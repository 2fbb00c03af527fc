//! The program that is held, as the client sees it: through its guard.

use super::guard::{self, Task};
use super::lease::Lease;
use super::link::{Order, Report, send_file};
use super::seat::Claim;
use super::{EXIT_LOST, Settings};
use crate::moment::Moment;
use futures::channel::mpsc::UnboundedSender;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

/// How long the guard may hold up this client by not reading: it never does,
/// unless it is stopped.
const TELL_LONGEST: Duration = Duration::from_millis(20);

/// A report of the guard; `None` once the guard has gone.
pub(super) type Told = Option<Report>;

/// A program that runs, or is being ended.
#[derive(Debug)]
pub(super) struct Program {
    /// The claim by which it runs.
    pub(super) claim: Claim,
    /// Why it is being ended.
    pub(super) lost: Option<String>,
    group: Option<Pid>,
    link: UnixStream,
    guard: Child,
    until: Moment,
}

impl Program {
    /// Starts the guard, and with it the program.
    ///
    /// # Errors
    /// When no guard can be started.
    pub(super) fn start(
        settings: &Settings,
        claim: Claim,
        lease: &Lease,
        tx: UnboundedSender<Told>,
    ) -> io::Result<Program> {
        let (link, its_end) = UnixStream::pair()?;
        link.set_write_timeout(Some(TELL_LONGEST))?;
        send_file(&link, io::stdin().as_fd())?;
        let task = Task {
            until: lease.until(),
            kill_after: lease.kill_after(),
            program: settings.program.clone(),
        };
        let Settings { host, port, tls, channel, .. } = settings;
        let scheme = if tls.is_some() { "tls" } else { "tcp" };
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let guard = guard::command(&task)?
            .env("BROKER_CHANNEL", channel)
            .env("BROKER_RANK", claim.rank.to_string())
            .env("BROKER_TERM", claim.term.to_string())
            .env("BROKER_VIEW", claim.view.to_string())
            .env("BROKER_URL", format!("{scheme}://{host}:{port}"))
            .stdin(Stdio::from(OwnedFd::from(its_end)))
            .spawn()?;
        let reading = link.try_clone()?;
        thread::Builder::new().name("guard".into()).spawn(move || {
            for line in BufReader::new(reading).lines().map_while(Result::ok) {
                if let Some(report) = Report::parse(&line) {
                    let _ = tx.unbounded_send(Some(report));
                }
            }
            let _ = tx.unbounded_send(None);
        })?;
        Ok(Program { claim, lost: None, group: None, link, guard, until: lease.until() })
    }

    /// It runs, as this process group.
    pub(super) fn started(&mut self, group: Pid) {
        self.group = Some(group);
    }

    /// Sends the guard an order. [`Program::is_overdue`] covers a guard that does not
    /// listen.
    pub(super) fn tell(&mut self, order: Order) {
        let _ = self.link.write_all(order.to_string().as_bytes());
    }

    /// Lets it run longer.
    pub(super) fn extend(&mut self, until: Moment) {
        if self.lost.is_none() && until > self.until {
            self.until = until;
            self.tell(Order::Until(until));
        }
    }

    /// Tells the guard to end it, and keeps the reason.
    pub(super) fn lose(&mut self, why: String) {
        if self.lost.is_none() {
            self.lost = Some(why);
            self.tell(Order::End);
        }
    }

    /// Whether its time is over: by now its guard, if there is one, has not ended it.
    pub(super) fn is_overdue(&self, now: Moment) -> bool {
        now >= self.until
    }

    /// Kills all that can be killed, guard included: it is stopped, or gone.
    pub(super) fn kill(&mut self) {
        let _ = self.guard.kill();
        if let Some(group) = self.group {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    /// Waits for its guard, which has reported the program's end and so is about to end
    /// itself.
    pub(super) fn bury(&mut self) {
        let _ = self.guard.wait();
    }

    /// Whether anything of it is left, as far as this can be seen.
    pub(super) fn is_alive(&self) -> bool {
        // Another user's process counts as well, though it cannot be signalled.
        self.group.is_some_and(|group| test_kill_process_group(group) != Err(Errno::SRCH))
    }

    /// The exit code of its end, and what there is to say.
    pub(super) fn verdict(&self, code: u8, told_to: bool) -> (u8, Option<String>) {
        match &self.lost {
            Some(why) => (EXIT_LOST, Some(why.clone())),
            None if told_to => {
                (EXIT_LOST, Some("the broker has not renewed the lease in time".to_owned()))
            }
            None => (code, None),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.guard.try_wait();
    }
}
