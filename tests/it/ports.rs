//! Ports that are a test's own.

use std::net::SocketAddr;

use tokio::net::TcpSocket;

/// A port of 127.0.0.1 that the system gives to nobody else while this lives. Connections to it are refused until a
/// process that is told its number listens there, which may end and start again. (Linux: a socket that is bound and does
/// not listen keeps the port, and lets those have it who ask for it and allow reuse, as servers do.)
pub(crate) struct Port(TcpSocket);

impl Port {
    pub(crate) fn reserve() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("an option");
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
        Self(socket)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("an address")
    }

    pub(crate) fn number(&self) -> u16 {
        self.address().port()
    }
}
