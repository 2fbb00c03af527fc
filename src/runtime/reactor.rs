//! Waits for sockets, and wakes the tasks that wait for them.
//!
//! mio has the kernel report a socket once, when something has come, and not again
//! until more has. So its readiness is remembered (`Source`) until an attempt finds
//! nothing. Then a socket costs one system call in its life, and a wait one call.
//! async-io, on which async-std's sockets stand, makes one for each time that a
//! socket is waited for and five for a wait: `docs/decisions/runtime.md`.

use super::watched::Source;
use crate::sync::{lock, try_lock};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use slab::Slab;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::os::fd::RawFd;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{self, Context, Wake};
use std::thread::{self, Thread};
use std::time::Duration;

/// What the kernel reports of a socket from the beginning. This includes urgent
/// data, at which a read stops.
#[cfg(any(target_os = "linux", target_os = "android"))]
const TO_READ: Interest = Interest::READABLE.add(Interest::PRIORITY);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const TO_READ: Interest = Interest::READABLE;
/// How many events are fetched at once.
const EVENTS: usize = 256;
/// The longest wait for sockets: a thread that could not be roused is late, but not
/// lost.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// How long to pause after a wait has failed.
const FAILED_PAUSE: Duration = Duration::from_millis(100);
/// The token of the waker that ends a wait.
const ROUSED: Token = Token(usize::MAX);
/// The lower half of a socket's token is its key among the sources.
const KEY_BITS: u32 = usize::BITS / 2;

/// All sockets, and the tasks that wait for them.
#[derive(Debug)]
pub(super) struct Reactor {
    registry: Registry,
    sources: Mutex<Slab<Arc<Source>>>,
    /// Makes a socket's token differ from those of earlier sockets with the same
    /// key.
    serial: AtomicUsize,
    /// Of several threads one waits for the sockets, and the others for work.
    polling: Mutex<Polling>,
    /// Ends the wait for the sockets.
    waker: Waker,
}

#[derive(Debug)]
struct Polling {
    poll: Poll,
    events: Events,
}

impl Reactor {
    /// The reactor of this process.
    ///
    /// # Errors
    /// The system's, if it gives no more descriptors.
    pub(super) fn get() -> io::Result<&'static Reactor> {
        static REACTOR: OnceLock<io::Result<Reactor>> = OnceLock::new();
        let reactor = REACTOR.get_or_init(Reactor::new);
        reactor.as_ref().map_err(|e| io::Error::new(e.kind(), e.to_string()))
    }

    fn new() -> io::Result<Reactor> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let waker = Waker::new(&registry, ROUSED)?;
        let polling = Mutex::new(Polling { poll, events: Events::with_capacity(EVENTS) });
        let (sources, serial) = (Mutex::default(), AtomicUsize::new(0));
        Ok(Reactor { registry, sources, serial, polling, waker })
    }

    /// Registers a socket, by its file descriptor.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn enter(&self, socket: RawFd) -> io::Result<Arc<Source>> {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let source = {
            let mut sources = lock(&self.sources);
            let entry = sources.vacant_entry();
            let token = Token(serial << KEY_BITS | entry.key());
            entry.insert(Arc::new(Source::new(token))).clone()
        };
        // Not for room to write: there is some at first, and the kernel would
        // report it together with everything else.
        let registered = self.registry.register(&mut SourceFd(&socket), source.token, TO_READ);
        if registered.is_err() {
            self.leave(&source);
        }
        registered.map(|()| source)
    }

    /// Has the kernel report room to write, too, from now on.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn watch_for_room(&self, socket: RawFd, source: &Source) -> io::Result<()> {
        let both = TO_READ | Interest::WRITABLE;
        self.registry.reregister(&mut SourceFd(&socket), source.token, both)
    }

    /// Forgets a socket that is about to be closed; the kernel forgets it then.
    pub(super) fn leave(&self, source: &Source) {
        lock(&self.sources).try_remove(key(source.token));
    }

    /// Polls a future on this thread, and waits for sockets whenever it is pending.
    /// The future must not end: another thread may rely on this one to wait for
    /// sockets.
    pub(super) fn drive(&'static self, future: impl Future<Output = Infallible>) -> Infallible {
        let driver = Arc::new(Driver::new(self));
        let waker = task::Waker::from(driver.clone());
        let mut cx = Context::from_waker(&waker);
        let mut future = pin!(future);
        let mut woken = Vec::new();
        loop {
            driver.is_roused.store(false, Ordering::SeqCst);
            if let task::Poll::Ready(never) = future.as_mut().poll(&mut cx) {
                return never;
            }
            match try_lock(&self.polling) {
                Some(mut polling) => self.wait(&mut polling, &driver, &mut woken),
                // Another thread waits for them, and rouses this one if there is
                // enough to do.
                None => driver.park(),
            }
            woken.drain(..).for_each(task::Waker::wake);
        }
    }

    /// Waits until a socket is ready, or the driver is roused.
    fn wait(&self, polling: &mut Polling, driver: &Driver, woken: &mut Vec<task::Waker>) {
        let result = driver.at_sockets(|time| polling.poll.poll(&mut polling.events, Some(time)));
        if let Err(e) = result
            && e.kind() != io::ErrorKind::Interrupted
        {
            log::error!("event=poll-failed error={:?}", e.to_string());
            thread::sleep(FAILED_PAUSE);
        }
        let sources = lock(&self.sources);
        for event in &polling.events {
            match sources.get(key(event.token())) {
                Some(source) if source.token == event.token() => source.note(event, woken),
                // That socket is closed by now.
                _ => {}
            }
        }
    }
}

fn key(token: Token) -> usize {
    token.0 & ((1 << KEY_BITS) - 1)
}

/// A thread that drives a future.
struct Driver {
    reactor: &'static Reactor,
    thread: Thread,
    /// Whether its future has been woken.
    is_roused: AtomicBool,
    /// Whether it waits for sockets, or is about to.
    at_sockets: AtomicBool,
}

impl Driver {
    fn new(reactor: &'static Reactor) -> Driver {
        let (is_roused, at_sockets) = (AtomicBool::new(false), AtomicBool::new(false));
        Driver { reactor, thread: thread::current(), is_roused, at_sockets }
    }

    /// Waits for sockets by `wait`, which is given the longest time.
    fn at_sockets<T>(&self, wait: impl FnOnce(Duration) -> T) -> T {
        // Set first, so that whoever rouses it from here on ends the wait.
        self.at_sockets.store(true, Ordering::SeqCst);
        let is_roused = self.is_roused.load(Ordering::SeqCst);
        let result = wait(if is_roused { Duration::ZERO } else { WAIT_MAX });
        self.at_sockets.store(false, Ordering::SeqCst);
        result
    }

    fn park(&self) {
        if !self.is_roused.load(Ordering::SeqCst) {
            thread::park();
        }
    }
}

impl Wake for Driver {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_roused.swap(true, Ordering::SeqCst) {
            return;
        }
        if !self.at_sockets.load(Ordering::SeqCst) {
            self.thread.unpark();
        } else if let Err(e) = self.reactor.waker.wake() {
            log::error!("event=rouse-failed error={:?}", e.to_string());
        }
    }
}
