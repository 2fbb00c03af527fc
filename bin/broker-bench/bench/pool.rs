//! All connections of the generator, on one thread.
//!
//! The pool moves bytes; what they mean is the [`Reader`]'s business.

use super::error::{Error, Result};
use super::net::{Interest, Poller, dial};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// Bytes of one read, at most: enough that the cost of a read does not matter.
const READ_MAX: usize = 256 * 1024;
/// Bytes of an unfinished unit that are kept: more than any line or message of any
/// broker here, so that a peer that sends more is not understood.
const UNIT_MAX: usize = 64 * 1024 * 1024;

/// Handles what comes in. `C` is the state of one connection.
pub trait Reader<C> {
    /// A connection is established; what is put into `out` is sent.
    fn connected(&mut self, id: usize, client: &mut C, out: &mut Vec<u8>);

    /// Bytes came. Takes whole units from their front and says how many bytes
    /// that were; the rest is given again with more behind it. What is put into
    /// `out` is sent.
    fn read(&mut self, id: usize, client: &mut C, bytes: &[u8], out: &mut Vec<u8>) -> usize;

    /// A connection has ended, and not because we closed it.
    fn ended(&mut self, id: usize, client: &mut C, why: &str);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connecting,
    Open,
    Closed,
}

/// One connection.
pub struct Connection<C> {
    socket: Option<TcpStream>,
    state: State,
    /// What the reader keeps for it.
    pub client: C,
    /// An unfinished unit of the last read.
    rest: Vec<u8>,
    /// What is to be sent, and how much of it has been.
    pub out: Vec<u8>,
    sent: usize,
    waited_for: Interest,
    is_read: bool,
}

impl<C> Connection<C> {
    /// Whether all that was to be sent has been.
    pub fn has_sent_all(&self) -> bool {
        self.out.is_empty()
    }

    /// Whether it is established.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    fn interest(&self) -> Interest {
        let write = self.state == State::Connecting || !self.out.is_empty();
        Interest { read: self.is_read, write }
    }
}

/// All connections of the generator, each with a number from 0 up.
pub struct Pool<C> {
    to: SocketAddr,
    poller: Poller,
    buffer: Vec<u8>,
    dialled: u32,
    connections: Vec<Connection<C>>,
}

impl<C> Pool<C> {
    /// A pool of no connections yet.
    ///
    /// # Errors
    /// The system's.
    pub fn new(to: SocketAddr) -> Result<Self> {
        let (poller, buffer) = (Poller::new()?, vec![0; READ_MAX]);
        Ok(Pool { to, poller, buffer, dialled: 0, connections: Vec::new() })
    }

    /// How many there were so far; the number of the next one.
    pub fn len(&self) -> usize {
        self.connections.len()
    }

    /// A connection, by its number.
    pub fn get(&mut self, id: usize) -> &mut Connection<C> {
        &mut self.connections[id]
    }

    /// Whether a connection is established.
    pub fn is_open(&self, id: usize) -> bool {
        self.connections[id].is_open()
    }

    /// Begins one more connection; returns its number. `receive_bytes` as in [`dial`].
    ///
    /// # Errors
    /// The system's.
    pub fn open(&mut self, client: C, receive_bytes: Option<usize>) -> Result<usize> {
        let id = self.connections.len();
        let waited_for = Interest { read: false, write: true };
        let socket = self.dial(id, waited_for, receive_bytes)?;
        self.connections.push(Connection {
            socket: Some(socket),
            state: State::Connecting,
            client,
            rest: Vec::new(),
            out: Vec::new(),
            sent: 0,
            waited_for,
            is_read: true,
        });
        Ok(id)
    }

    /// Connects a closed one anew, under its number.
    ///
    /// # Errors
    /// The system's.
    pub fn reopen(&mut self, id: usize, client: C) -> Result<()> {
        let waited_for = Interest { read: false, write: true };
        let socket = self.dial(id, waited_for, None)?;
        let connection = &mut self.connections[id];
        (connection.socket, connection.client) = (Some(socket), client);
        (connection.state, connection.waited_for) = (State::Connecting, waited_for);
        connection.is_read = true;
        Ok(())
    }

    fn dial(&mut self, id: usize, interest: Interest, bytes: Option<usize>) -> Result<TcpStream> {
        let socket = dial(self.to, self.dialled, bytes)?;
        self.dialled = self.dialled.wrapping_add(1);
        self.poller.add(&socket, id, interest)?;
        Ok(socket)
    }

    /// Closes one, after sending what can be sent at once.
    ///
    /// # Errors
    /// The system's.
    pub fn close<R: Reader<C>>(&mut self, id: usize, reader: &mut R) -> Result<()> {
        self.send(id, reader)?;
        self.forget(id);
        Ok(())
    }

    /// Says that nothing more will be sent, and goes on reading.
    pub fn half_close(&mut self, id: usize) {
        if let Some(socket) = &self.connections[id].socket {
            // If it has ended, reading it will tell.
            let _ = socket.shutdown(Shutdown::Write);
        }
    }

    fn forget(&mut self, id: usize) {
        let connection = &mut self.connections[id];
        connection.socket = None;
        connection.state = State::Closed;
        connection.rest = Vec::new();
        connection.out = Vec::new();
        connection.sent = 0;
    }

    /// Stops reading from a connection, or begins again.
    ///
    /// # Errors
    /// The system's.
    pub fn listen(&mut self, id: usize, is_read: bool) -> Result<()> {
        let connection = &mut self.connections[id];
        connection.is_read = is_read;
        let Some(socket) = &connection.socket else { return Ok(()) };
        if is_read {
            connection.waited_for = connection.interest();
            self.poller.add(socket, id, connection.waited_for)
        } else {
            // If it were only not read, epoll would tell its end over and over.
            self.poller.remove(socket)
        }
    }

    /// Sends what is to be sent; what finds no room yet is sent later.
    ///
    /// # Errors
    /// The system's.
    pub fn send<R: Reader<C>>(&mut self, id: usize, reader: &mut R) -> Result<()> {
        let connection = &mut self.connections[id];
        let Some(mut socket) = connection.socket.as_ref() else { return Ok(()) };
        if connection.state != State::Open {
            return Ok(());
        }
        while connection.sent < connection.out.len() {
            match socket.write(&connection.out[connection.sent..]) {
                Ok(bytes) => connection.sent += bytes,
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => {
                    self.lose(id, reader, &format!("sending: {e}"));
                    return Ok(());
                }
            }
        }
        if connection.sent == connection.out.len() {
            connection.out.clear();
            connection.sent = 0;
        }
        self.wait_for_what_matters(id)
    }

    fn wait_for_what_matters(&mut self, id: usize) -> Result<()> {
        let connection = &mut self.connections[id];
        let interest = connection.interest();
        if connection.waited_for == interest || !connection.is_read {
            return Ok(());
        }
        connection.waited_for = interest;
        match &connection.socket {
            Some(socket) => self.poller.change(socket, id, interest),
            None => Ok(()),
        }
    }

    fn lose<R: Reader<C>>(&mut self, id: usize, reader: &mut R, why: &str) {
        self.forget(id);
        reader.ended(id, &mut self.connections[id].client, why);
    }

    /// Waits for at most this long and handles what happened; returns how much did.
    ///
    /// # Errors
    /// The system's.
    pub fn poll<R: Reader<C>>(&mut self, timeout: Duration, reader: &mut R) -> Result<usize> {
        let happenings = self.poller.wait(timeout)?;
        for index in 0..happenings {
            let happening = self.poller.happening(index);
            let connection = &mut self.connections[happening.id];
            match connection.state {
                State::Closed => {}
                State::Connecting => self.connected(happening.id, reader)?,
                State::Open => {
                    if happening.readable {
                        self.read(happening.id, reader)?;
                    }
                    if happening.writable && !self.connections[happening.id].out.is_empty() {
                        self.send(happening.id, reader)?;
                    }
                }
            }
        }
        Ok(happenings)
    }

    fn connected<R: Reader<C>>(&mut self, id: usize, reader: &mut R) -> Result<()> {
        let connection = &mut self.connections[id];
        let Some(socket) = &connection.socket else { return Ok(()) };
        match socket.take_error() {
            Ok(None) => {}
            Ok(Some(e)) | Err(e) => return Err(Error::Connect(self.to, e)),
        }
        connection.state = State::Open;
        reader.connected(id, &mut connection.client, &mut connection.out);
        self.send(id, reader)
    }

    /// Reads once.
    fn read<R: Reader<C>>(&mut self, id: usize, reader: &mut R) -> Result<()> {
        let connection = &mut self.connections[id];
        let Some(mut socket) = connection.socket.as_ref() else { return Ok(()) };
        let held = connection.rest.len();
        if self.buffer.len() < held + READ_MAX {
            self.buffer.resize(held + READ_MAX, 0);
        }
        let bytes = match socket.read(&mut self.buffer[held..held + READ_MAX]) {
            Ok(0) => {
                self.lose(id, reader, "closed by the broker");
                return Ok(());
            }
            Ok(bytes) => held + bytes,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(());
            }
            Err(e) => {
                self.lose(id, reader, &format!("receiving: {e}"));
                return Ok(());
            }
        };
        self.buffer[..held].copy_from_slice(&connection.rest);
        let taken =
            reader.read(id, &mut connection.client, &self.buffer[..bytes], &mut connection.out);
        if bytes - taken > UNIT_MAX {
            self.lose(id, reader, "it sends a unit without an end");
            return Ok(());
        }
        connection.rest.clear();
        connection.rest.extend_from_slice(&self.buffer[taken..bytes]);
        if connection.out.is_empty() { Ok(()) } else { self.send(id, reader) }
    }
}
