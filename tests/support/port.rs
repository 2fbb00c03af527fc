//! A port that nobody listens at.

use socket2::{Domain, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr};

/// A port of this machine that the system gives nobody else for as long as this is kept.
/// Nobody listens there but a broker that is told to.
pub struct Port(Socket);

impl Port {
    pub fn reserve() -> Port {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        // As brokers do: only then can one listen where this one is.
        socket.set_reuse_address(true).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        Port(socket)
    }

    pub fn addr(&self) -> SocketAddr {
        self.0.local_addr().unwrap().as_socket().unwrap()
    }

    pub fn number(&self) -> u16 {
        self.addr().port()
    }
}
