//! The two sockets of a server.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 4_096;
/// Bytes that the system keeps of a connection, of what is sent and not read by either side. Its own bounds are several MiB,
/// for distances that no cluster has.
const BUFFERED: usize = 128 << 10;
/// The two sockets of a server.
pub struct Listeners {
    /// TLS.
    pub reviews: TcpListener,
    /// Plain HTTP.
    pub admin: TcpListener,
}

impl Listeners {
    /// Binds the TLS port beside an admin port.
    ///
    /// # Errors
    /// As [`listen`].
    pub fn bind(reviews: SocketAddr, admin: TcpListener) -> io::Result<Self> {
        Ok(Self { reviews: listen(reviews)?, admin })
    }
}

/// Binds an address. `[::]` takes IPv4 as well, and is 0.0.0.0 where the system has no IPv6.
///
/// # Errors
/// When the address is taken or not ours.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    with_fallback(address, bind)
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{address}: {error}"));
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(named)?;
    let options = socket2::SockRef::from(&socket);
    // Connections inherit both.
    options.set_send_buffer_size(BUFFERED)?;
    options.set_recv_buffer_size(BUFFERED)?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        // The system's default (net.ipv6.bindv6only) may be another.
        options.set_only_v6(false).map_err(named)?;
    }
    socket.set_reuseaddr(true)?;
    socket.bind(address).map_err(named)?;
    socket.listen(BACKLOG)
}

/// Opens `address`; where that is every IPv6 address and there is none, every IPv4 address instead.
fn with_fallback<T>(address: SocketAddr, open: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    open(address).or_else(|error| {
        let is_missed = !matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied);
        if address.is_ipv6() && address.ip().is_unspecified() && is_missed {
            open((Ipv4Addr::UNSPECIFIED, address.port()).into())
        } else {
            Err(error)
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};
    use std::net::SocketAddr;

    use super::with_fallback;

    #[test]
    fn every_ipv4_address_stands_in_where_there_is_no_ipv6() {
        let without_ipv6 = |address: SocketAddr| {
            // EAFNOSUPPORT, as a kernel with ipv6.disable=1 answers.
            if address.is_ipv6() { Err(Error::from_raw_os_error(97)) } else { Ok(address) }
        };
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        assert_eq!(with_fallback(address("[::]:8443"), without_ipv6).ok(), Some(address("0.0.0.0:8443")));
        assert!(with_fallback(address("[::1]:8443"), without_ipv6).is_err(), "another address than was asked for");
        let taken = |_| Err::<SocketAddr, _>(Error::from(ErrorKind::AddrInUse));
        assert!(with_fallback(address("[::]:8443"), taken).is_err_and(|error| error.kind() == ErrorKind::AddrInUse));
    }

    #[tokio::test]
    async fn the_ipv6_socket_of_every_address_takes_ipv4() {
        let listener = with_fallback("[::]:0".parse().expect("an address"), super::bind).expect("a socket");
        let port = listener.local_addr().expect("its address").port();
        let (met, accepted) = tokio::join!(tokio::net::TcpStream::connect(("127.0.0.1", port)), listener.accept());
        assert!(met.is_ok() && accepted.is_ok());
    }
}
