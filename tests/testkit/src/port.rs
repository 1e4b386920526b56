//! A port for a server that is started later, or again.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

use crate::error::{Context, Error};

/// A port of the loopback address, reserved while the value lives: the system gives it neither to a listener on port 0
/// nor to an outgoing connection.
///
/// A server that sets `SO_REUSEADDR`, as those in Go and Rust do, can listen on it, end, and listen on it again.
#[derive(Debug)]
pub struct ReservedPort {
    number: u16,
    // Bound, so that the port is in use, and never listening, so that a server may listen.
    _socket: TcpSocket,
}

impl ReservedPort {
    /// Reserves a port that is free.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn reserve() -> Result<Self, Error> {
        let bound = || -> Result<_, std::io::Error> {
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
            Ok((socket.local_addr()?.port(), socket))
        };
        let (number, socket) = bound().context(|| "reserve a port of the loopback address".to_owned())?;
        Ok(Self {
            number,
            _socket: socket,
        })
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::eventually::{GENEROUS, eventually};

    /// Whether a socket without `SO_REUSEADDR` cannot be bound to this port.
    pub(crate) fn is_reserved(port: u16) -> bool {
        let socket = TcpSocket::new_v4().unwrap();
        match socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))) {
            Ok(()) => false,
            Err(error) => error.kind() == ErrorKind::AddrInUse,
        }
    }

    /// Waits: a process that another test forks holds a closed socket until it executes its program.
    async fn listens(port: u16) -> TcpListener {
        let listen =
            async || TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| error.to_string());
        eventually("the port can be listened on", GENEROUS, listen)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_server_can_listen_on_a_reserved_port_again_and_again() {
        let port = ReservedPort::reserve().unwrap();
        for _ in 0..2 {
            let server = listens(port.number()).await;
            TcpStream::connect((Ipv4Addr::LOCALHOST, port.number())).unwrap();
            drop(server);
            assert!(is_reserved(port.number()));
        }
    }
}
