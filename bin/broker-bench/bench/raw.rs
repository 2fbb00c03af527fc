//! The lower bound: a program that copies whatever comes from a channel's
//! publisher to all its subscribers, without looking at it. What it costs is
//! what the kernel costs.
//!
//! One thread; it waits for what can be read and writes as long as it takes, so
//! a subscriber that does not read stops it. `protocol::raw` has its few words.

use super::error::{Error, Result};
use super::net::{Interest, Poller};
use super::protocol::raw::{ACCEPTED, PUBLISHER, SUBSCRIBER};
use slab::Slab;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// Bytes of one read: as many as a broker would take.
const CHUNK: usize = 256 * 1024;
/// Bytes of the line that says what a connection is for.
const LINE_MAX: usize = 256;
/// The listener's number in the poller.
const DOOR: usize = usize::MAX;

enum Part {
    /// It has sent this so far.
    New(Vec<u8>),
    /// Of this channel.
    Publisher(usize),
    Subscriber(usize),
}

struct Connection {
    socket: TcpStream,
    part: Part,
}

struct Fan {
    poller: Poller,
    connections: Slab<Connection>,
    channels: HashMap<Vec<u8>, usize>,
    /// The subscribers of each channel.
    subscribers: Vec<Vec<usize>>,
    chunk: Vec<u8>,
}

/// Serves for ever, and says where first.
///
/// # Errors
/// If it cannot listen there, or wait.
pub fn serve(address: SocketAddr) -> Result<()> {
    let system = |e| Error::System("listening", e);
    let listener = TcpListener::bind(address).map_err(system)?;
    ranked_broker::open_files::raise();
    println!("raw listening on {}", listener.local_addr().map_err(system)?);
    let mut fan = Fan {
        poller: Poller::new()?,
        connections: Slab::new(),
        channels: HashMap::new(),
        subscribers: Vec::new(),
        chunk: vec![0; CHUNK],
    };
    fan.poller.add(&listener, DOOR, Interest { read: true, write: false })?;
    loop {
        let happenings = fan.poller.wait(Duration::from_secs(3600))?;
        for index in 0..happenings {
            match fan.poller.happening(index).id {
                DOOR => fan.accept(&listener)?,
                id => fan.read(id),
            }
        }
    }
}

impl Fan {
    fn accept(&mut self, listener: &TcpListener) -> Result<()> {
        // A connection that has gone again in the meantime is no loss.
        let Ok((socket, _)) = listener.accept() else { return Ok(()) };
        let _ = socket.set_nodelay(true);
        let connection = Connection { socket, part: Part::New(Vec::new()) };
        let id = self.connections.insert(connection);
        let interest = Interest { read: true, write: false };
        self.poller.add(&self.connections[id].socket, id, interest)
    }

    fn read(&mut self, id: usize) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let bytes = match connection.socket.read(&mut self.chunk) {
            Ok(0) | Err(_) => return self.forget(id),
            Ok(bytes) => bytes,
        };
        match &mut connection.part {
            Part::Subscriber(_) => {}
            Part::Publisher(channel) => {
                for &subscriber in &self.subscribers[*channel] {
                    if let Some(to) = self.connections.get(subscriber) {
                        // If it is gone, reading it will tell.
                        let _ = (&to.socket).write_all(&self.chunk[..bytes]);
                    }
                }
            }
            Part::New(said) => {
                said.extend_from_slice(&self.chunk[..bytes]);
                match said.iter().position(|byte| *byte == b'\n') {
                    Some(end) => {
                        let line = said[..end].to_vec();
                        self.assign(id, &line);
                    }
                    None if said.len() > LINE_MAX => self.forget(id),
                    None => {}
                }
            }
        }
    }

    /// Gives a connection the part that this line names.
    fn assign(&mut self, id: usize, line: &[u8]) {
        let Some((&part, name)) = line.split_first() else { return self.forget(id) };
        let fresh = self.channels.len();
        let channel = *self.channels.entry(name.to_vec()).or_insert(fresh);
        self.subscribers.resize_with(self.channels.len(), Vec::new);
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.part = match part {
            PUBLISHER => Part::Publisher(channel),
            SUBSCRIBER => {
                self.subscribers[channel].push(id);
                Part::Subscriber(channel)
            }
            _ => return self.forget(id),
        };
        let _ = connection.socket.write_all(&[ACCEPTED]);
    }

    fn forget(&mut self, id: usize) {
        if let Part::Subscriber(channel) = self.connections.remove(id).part {
            self.subscribers[channel].retain(|subscriber| *subscriber != id);
        }
    }
}
