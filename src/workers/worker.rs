//! The worker process: runs one job after the other, and ends with the broker,
//! however that ends.

use super::link::{self, Messages, News, Order, Report};
use crate::jobs;
use crate::runtime;
use rustix::process::{Resource, Rlimit, getppid, setrlimit};
use std::io::{self, Read, stdin, stdout};
use std::process::exit;
use std::sync::mpsc::{Sender, channel};
use std::thread;

/// The argument by which the broker starts itself as a worker. It is no setting:
/// typed by hand, it starts a process that works for nobody.
pub const ARGUMENT: &str = "--worker";

/// How many bytes are read at once.
const READ_BYTES: usize = 16 * 1024;

/// Runs a worker. Its arguments after [`ARGUMENT`] are the number of the process
/// that started it, and the bytes of memory that it may have. Returns the exit code
/// if it cannot work, and does not return otherwise.
pub fn run(arguments: &[String]) -> u8 {
    let [parent, memory] = arguments else { return usage() };
    let (Ok(parent), Ok(memory)) = (parent.parse(), memory.parse()) else { return usage() };
    if let Err(e) = confine(memory) {
        eprintln!("cannot limit its memory: {e}");
        return 1;
    }
    if !die_with_parent(parent) {
        return 1;
    }
    runtime::use_threads(1);
    let (tx, orders) = channel();
    // In a thread of its own, so that the end of the broker is noticed while a job
    // runs.
    let hearing = thread::Builder::new().name("orders".into()).spawn(move || {
        exit(i32::from(hear(&tx).is_err()));
    });
    if let Err(e) = hearing {
        eprintln!("cannot hear the broker: {e}");
        return 1;
    }
    for order in orders {
        if let Err(e) = carry_out(&order) {
            eprintln!("cannot tell the broker: {e}");
            return 1;
        }
    }
    1
}

fn usage() -> u8 {
    eprintln!("broker {ARGUMENT} is how the broker starts its workers; there is nothing to type");
    2
}

/// Limits the process, so that one that takes too much memory fails alone, before
/// the machine runs short; and it leaves no core dump behind.
fn confine(memory: u64) -> io::Result<()> {
    let at_most = |most| Rlimit { current: Some(most), maximum: Some(most) };
    setrlimit(Resource::As, at_most(memory))?;
    setrlimit(Resource::Core, at_most(0))?;
    Ok(())
}

/// Whether the broker is still there, so that this process will end with it: also
/// if it is stopped (SIGSTOP) and could not notice that its standard input has
/// ended.
#[cfg(target_os = "linux")]
fn die_with_parent(parent: u32) -> bool {
    let kill = Some(rustix::process::Signal::KILL);
    if let Err(e) = rustix::process::set_parent_process_death_signal(kill) {
        eprintln!("cannot be ended with the broker: {e}");
        return false;
    }
    // The broker may have ended before this process could ask.
    is_parent(parent)
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent(parent: u32) -> bool {
    // On this system it notices only the end of its standard input.
    is_parent(parent)
}

fn is_parent(parent: u32) -> bool {
    getppid().and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok()) == Some(parent)
}

/// Hands on orders until the broker closes the pipe.
fn hear(tx: &Sender<Order>) -> io::Result<()> {
    let (mut messages, mut buffer) = (Messages::default(), [0; READ_BYTES]);
    loop {
        let read = stdin().read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        messages.push(&buffer[..read]);
        while let Some(order) = messages.take().map_err(io::Error::other)? {
            tx.send(order).map_err(io::Error::other)?;
        }
    }
}

fn carry_out(order: &Order) -> io::Result<()> {
    let tell = |news| link::write(&Report { job: order.job, news }, &mut stdout().lock());
    tell(News::Begun)?;
    let Some(job) = jobs::find(&order.verb) else {
        return tell(News::Failed(format!("{} is no job", order.verb)));
    };
    let mut say = |text| {
        // If the broker cannot be told, it has ended, and this process ends with
        // it.
        if tell(News::Progress(text)).is_err() {
            exit(1);
        }
    };
    match job.carry_out(&order.task, &mut say) {
        Ok(result) => tell(News::Done(result)),
        Err(reason) => tell(News::Failed(reason)),
    }
}
