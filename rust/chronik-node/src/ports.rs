//! Listening sockets: bound before anything else starts, and kept reserved while a node is down.
//!
//! A killed node's port must refuse connections, as a dead process does, and still be there for the restart. A bound
//! socket that does not listen does both.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use crate::limits;

/// A bound address that does not answer yet.
pub(crate) struct BoundPort {
    socket: Socket,
    address: SocketAddr,
}

impl BoundPort {
    /// Binds `host:port`; port 0 lets the system choose.
    pub(crate) fn bind(host: &str, port: u16) -> io::Result<BoundPort> {
        let mut addresses = (host, port).to_socket_addrs()?;
        let address = addresses.next().ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))?;
        BoundPort::bind_address(address)
    }

    /// Binds exactly this address.
    pub(crate) fn bind_address(address: SocketAddr) -> io::Result<BoundPort> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // Connections of an earlier life may linger in TIME_WAIT; they must not keep a restart from its port.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        let bound = socket.local_addr()?.as_socket();
        let address = bound.ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))?;
        Ok(BoundPort { socket, address })
    }

    /// The address, with the port the system chose.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins to accept connections.
    pub(crate) fn listen(self) -> io::Result<TcpListener> {
        self.socket.listen(limits::ACCEPT_BACKLOG)?;
        self.socket.set_nonblocking(true)?;
        TcpListener::from_std(self.socket.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn a_reserved_port_refuses_and_then_listens_again() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let first = BoundPort::bind("127.0.0.1", 0).unwrap();
            let address = first.address();
            let refused = TcpStream::connect(address).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
            let listener = first.listen().unwrap();
            let client = TcpStream::connect(address).unwrap();
            let (accepted, _) = listener.accept().await.unwrap();
            drop(accepted);
            drop(listener);
            let again = BoundPort::bind_address(address).unwrap();
            assert!(TcpStream::connect(address).is_err());
            drop(client);
            drop(again.listen().unwrap());
        });
    }
}
