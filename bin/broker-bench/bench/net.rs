//! Sockets that do not block, and one place to wait for all of them.

use super::error::{Error, Result};
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// Addresses of this machine that connections to it come from, in turn: each has its
/// own ports, so that they do not run out.
const SOURCES: u32 = 64;
/// Events taken by one wait.
const EVENTS_MAX: usize = 1024;

/// What a socket is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    /// Something to read.
    pub read: bool,
    /// Room to write.
    pub write: bool,
}

impl Interest {
    fn flags(self) -> EventFlags {
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, self.read);
        flags.set(EventFlags::OUT, self.write);
        flags
    }
}

/// What happened to a socket.
#[derive(Clone, Copy, Debug)]
pub struct Happening {
    /// The number that it was added under.
    pub id: usize,
    /// There is something to read, or it has ended.
    pub readable: bool,
    /// There is room to write, or it has ended.
    pub writable: bool,
}

/// Waits for many sockets at once.
pub struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poller {
    /// Creates one that waits for nothing yet.
    ///
    /// # Errors
    /// The system's.
    pub fn new() -> Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(|e| system("epoll", e))?;
        Ok(Poller { epoll, events: Vec::with_capacity(EVENTS_MAX) })
    }

    /// Waits for this socket too, under this number, until it is closed.
    ///
    /// # Errors
    /// The system's.
    pub fn add(&self, socket: impl AsFd, id: usize, interest: Interest) -> Result<()> {
        let data = EventData::new_u64(id as u64);
        epoll::add(&self.epoll, socket, data, interest.flags()).map_err(|e| system("epoll", e))
    }

    /// Changes what this socket is waited for.
    ///
    /// # Errors
    /// The system's.
    pub fn change(&self, socket: &TcpStream, id: usize, interest: Interest) -> Result<()> {
        let data = EventData::new_u64(id as u64);
        epoll::modify(&self.epoll, socket, data, interest.flags()).map_err(|e| system("epoll", e))
    }

    /// Stops waiting for this socket, even for its end.
    ///
    /// # Errors
    /// The system's.
    pub fn remove(&self, socket: &TcpStream) -> Result<()> {
        epoll::delete(&self.epoll, socket).map_err(|e| system("epoll", e))
    }

    /// Waits for at most this long; returns how many happenings there are.
    ///
    /// # Errors
    /// The system's.
    pub fn wait(&mut self, timeout: Duration) -> Result<usize> {
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(self.events.len()),
            Err(e) => Err(system("epoll", e)),
        }
    }

    /// One of the happenings.
    pub fn happening(&self, index: usize) -> Happening {
        let event = self.events[index];
        let (data, flags) = (event.data, event.flags);
        let ended = EventFlags::HUP | EventFlags::ERR;
        Happening {
            // It was a usize when it was added.
            id: usize::try_from(data.u64()).unwrap_or(usize::MAX),
            readable: flags.intersects(EventFlags::IN | ended),
            writable: flags.intersects(EventFlags::OUT | ended),
        }
    }
}

fn system(what: &'static str, errno: Errno) -> Error {
    Error::System(what, errno.into())
}

/// Begins to connect. `number` is a running number, and `receive_bytes` the
/// size of the receive buffer, if it is not to be the system's choice.
///
/// # Errors
/// The system's. That nobody listens there may also show later.
pub fn dial(to: SocketAddr, number: u32, receive_bytes: Option<usize>) -> Result<TcpStream> {
    let failed = |e| Error::Connect(to, e);
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP));
    let socket = socket.map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    socket.set_tcp_nodelay(true).map_err(failed)?;
    if let Some(bytes) = receive_bytes {
        socket.set_recv_buffer_size(bytes).map_err(failed)?;
    }
    if let Some(source) = source(to, number) {
        socket.bind(&SocketAddr::new(source, 0).into()).map_err(failed)?;
    }
    match socket.connect(&to.into()) {
        Ok(()) => {}
        Err(e) if e.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
        Err(e) => return Err(failed(e)),
    }
    Ok(socket.into())
}

/// Where a connection to this machine's own 127.0.0.1 comes from. Everywhere
/// else the system chooses.
fn source(to: SocketAddr, number: u32) -> Option<IpAddr> {
    let first = u32::from(Ipv4Addr::LOCALHOST);
    (to.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST))
        .then(|| IpAddr::V4(Ipv4Addr::from(first + 1 + number % SOURCES)))
}
