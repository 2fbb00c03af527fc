//! The guard: a process of its own that starts the program, is told how long it
//! may run, and ends it by itself when that time is over or nobody is left to
//! tell it: when the client is killed, stopped, or hangs. It knows nothing of
//! the broker.

use super::keeper::{self, carry_out, signal};
use super::launch;
use super::leash::{Action, Leash};
use super::link::{Order, Report, take_file};
use super::status;
use crate::client::signals;
use crate::moment::Moment;
use crate::runtime;
use async_signal::Signal as Heard;
use futures::StreamExt;
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, test_kill_process_group, waitid,
};
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// The longest time between two looks at the clock. Timers do not count the time that a
/// machine is asleep, but the lease does: after it has woken up, the end of a lease may
/// be noticed this much later.
const LOOK: Duration = Duration::from_millis(100);

/// How many times to check that all killed processes are gone, before the rank is given
/// up. Where nothing reaps zombies, they never are.
const GONE_LOOKS: u32 = 3;

/// The signals that are handed on to the program.
pub(super) const HANDED_ON: [(Heard, Signal); 5] = [
    (Heard::Term, Signal::TERM),
    (Heard::Int, Signal::INT),
    (Heard::Hup, Signal::HUP),
    (Heard::Usr1, Signal::USR1),
    (Heard::Usr2, Signal::USR2),
];

/// What the guard is started with.
#[derive(Clone, Debug)]
pub struct Task {
    /// When the program must have ended.
    pub until: Moment,
    /// How long it has to end itself.
    pub kill_after: Duration,
    /// The program and its arguments.
    pub program: Vec<OsString>,
}

/// What happens.
enum Event {
    Order(Order),
    /// The client is gone.
    Alone,
    Ended,
}

/// Runs the program to its end; gives the exit code.
///
/// # Errors
/// When it could not be guarded, and was not started.
pub fn run(task: &Task) -> io::Result<u8> {
    launch::be_called("hold-guard");
    // The threads that hear signals.
    runtime::start()?;
    let stdin = io::stdin();
    let stdin_of_program = take_file(&stdin)?;
    // Not inherited by the program: whatever it leaves behind would keep the line open.
    let mut client = UnixStream::from(rustix::io::fcntl_dupfd_cloexec(&stdin, 3)?);
    let (tx, events) = channel();
    hear_signals(tx.clone())?;
    let mut leash = Leash::new(task.until, task.kill_after);
    if leash.is_over(Moment::now()) {
        tell(&mut client, Report::Ended { code: 0, told_to: true, is_gone: true });
        return Ok(0);
    }
    // Started by the thread that lives as long as this process: the program is killed
    // when its parent *thread* ends.
    let started = keeper::start(&task.program, stdin_of_program.as_fd(), |_| {});
    drop(stdin_of_program);
    let mut program = match started {
        Ok(program) => program,
        Err(e) => return Ok(not_started(task, &e, &mut client)),
    };
    let group = group(&program.child)?;
    tell(&mut client, Report::Started(group));
    hear_client(client.try_clone()?, tx.clone());
    let waiting = thread::Builder::new().name("wait".into()).spawn(move || {
        // Not reaped yet, so no other process can get its pid.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(waitid(WaitId::Pid(group), options), Err(rustix::io::Errno::INTR)) {}
        let _ = tx.send(Event::Ended);
    });
    if let Err(e) = waiting {
        program.kill();
        return Err(e);
    }
    let told_to = watch(&mut leash, group, &events);
    // What the program leaves behind must not outlive its rank either.
    signal(group, Signal::KILL);
    let code = program.child.wait().map_or(1, exit_code);
    program.dismiss();
    let is_gone = is_gone(|| test_kill_process_group(group));
    tell(&mut client, Report::Ended { code, told_to, is_gone });
    Ok(code)
}

/// Waits for the killed processes to be gone; returns whether they are. One of another
/// user (`sudo`) cannot be killed and runs on. All others are dead by then, though
/// perhaps not reaped yet.
fn is_gone(test: impl Fn() -> Result<(), Errno>) -> bool {
    for _ in 0..GONE_LOOKS {
        if test() == Err(Errno::SRCH) {
            return true;
        }
        thread::sleep(LOOK / 10);
    }
    test() != Err(Errno::PERM)
}

/// Says that the program cannot be run; gives the exit code.
fn not_started(task: &Task, error: &io::Error, client: &mut UnixStream) -> u8 {
    if let Some(name) = task.program.first() {
        launch::cannot_run(name, error);
    }
    let code = launch::exit_code(error);
    tell(client, Report::Ended { code, told_to: false, is_gone: true });
    code
}

/// Waits for the program's end, or ends it when due; whether it was told to end.
fn watch(leash: &mut Leash, group: Pid, events: &Receiver<Event>) -> bool {
    let mut told_to = false;
    loop {
        let now = Moment::now();
        let action = leash.act(now);
        told_to |= action != Action::Nothing;
        carry_out(action, group);
        let pause = leash.look_at().since(now).clamp(LOOK / 10, LOOK);
        match events.recv_timeout(pause) {
            Ok(Event::Order(Order::Until(until))) => leash.extend(until),
            Ok(Event::Order(Order::Signal(which))) => hand_on(group, which),
            Ok(Event::Order(Order::End)) => {
                told_to = true;
                carry_out(leash.end(Moment::now()), group);
            }
            Ok(Event::Alone) => {
                if !told_to {
                    status::lost("the client is gone: its program is ended");
                }
                told_to = true;
                carry_out(leash.end(Moment::now()), group);
            }
            Ok(Event::Ended) => return told_to,
            Err(RecvTimeoutError::Timeout) => {}
            // Never: the thread that waits for the end holds the other end.
            Err(RecvTimeoutError::Disconnected) => thread::sleep(pause),
        }
    }
}

/// Hands a signal on: one that ends programs to the whole group, as a terminal would,
/// others to the program alone, which knows what they mean.
fn hand_on(group: Pid, which: Signal) {
    if [Signal::USR1, Signal::USR2].contains(&which) {
        // The program's pid is also its group's.
        let _ = kill_process(group, which);
    } else {
        signal(group, which);
    }
}

fn group(child: &Child) -> io::Result<Pid> {
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    id.ok_or_else(|| io::Error::other("the program has no process id"))
}

/// The exit code; 128 and the signal's number if a signal ended it, as in a shell.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    u8::try_from(code).unwrap_or(u8::MAX)
}

/// Sends a report; if the client is gone, it need not get it.
fn tell(client: &mut UnixStream, report: Report) {
    let _ = client.write_all(report.to_string().as_bytes());
}

fn hear_client(client: UnixStream, tx: Sender<Event>) {
    let alone = tx.clone();
    let hearing = thread::Builder::new().name("client".into()).spawn(move || {
        for line in BufReader::new(client).lines().map_while(Result::ok) {
            if let Some(order) = Order::parse(&line)
                && tx.send(Event::Order(order)).is_err()
            {
                return;
            }
        }
        let _ = tx.send(Event::Alone);
    });
    if hearing.is_err() {
        let _ = alone.send(Event::Alone);
    }
}

/// Hands on the signals that come to the guard itself, as when all processes of a
/// service get them.
fn hear_signals(tx: Sender<Event>) -> io::Result<()> {
    let mut signals = signals::listen(HANDED_ON.map(|(heard, _)| heard))?;
    runtime::spawn(async move {
        while let Some(Ok(heard)) = signals.next().await {
            let handed_on = HANDED_ON.iter().find(|(known, _)| *known == heard);
            if let Some((_, which)) = handed_on
                && tx.send(Event::Order(Order::Signal(*which))).is_err()
            {
                return;
            }
        }
    });
    Ok(())
}

/// Returns the command that starts the guard: this same program, in a group of its own,
/// so that an interrupt from the terminal reaches it through the client only.
///
/// # Errors
/// When this program cannot be found.
pub(super) fn command(task: &Task) -> io::Result<Command> {
    let mut command = launch::this_program()?;
    command
        .arg("hold-guard")
        .args(["--until", &task.until.to_string()])
        .args(["--kill-after-ms", &task.kill_after.as_millis().to_string()])
        .arg("--")
        .args(&task.program)
        .process_group(0);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_signalled_is_not_gone() {
        assert!(is_gone(|| Err(Errno::SRCH)));
        assert!(is_gone(|| Ok(())), "dead, and still in the system");
        assert!(!is_gone(|| Err(Errno::PERM)));
    }
}
