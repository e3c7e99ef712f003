//! Sockets that listen, for every runtime.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};

/// The kernel caps it at net.core.somaxconn.
const BACKLOG: i32 = 4_096;

/// A socket that listens. Each shard has its own on the same address, and the kernel spreads the clients over them.
///
/// # Errors
/// An address that can't be bound, named.
pub(super) fn listen(address: SocketAddr) -> io::Result<Socket> {
    let try_listen = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        // Accepted sockets inherit it.
        socket.set_tcp_nodelay(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket)
    };
    try_listen().map_err(|error: io::Error| io::Error::new(error.kind(), format!("can't listen on {address}: {error}")))
}

/// Where they are bound: port 0 has become what the kernel chose.
pub(super) fn addresses(listeners: &[Socket]) -> io::Result<Vec<SocketAddr>> {
    let address_of = |listener: &Socket| {
        listener.local_addr()?.as_socket().ok_or_else(|| io::Error::other("a listener without an IP address"))
    };
    listeners.iter().map(address_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_share_a_port() {
        let first = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = addresses(&[first.try_clone().unwrap()]).unwrap()[0];
        assert!(address.port() != 0 && listen(address).is_ok());
    }

    #[test]
    fn an_address_in_use_is_named() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let line = listen(address).unwrap_err().to_string();
        assert!(line.contains(&address.to_string()), "{line}");
    }
}
