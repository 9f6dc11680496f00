//! Listening sockets that whoever started the process opened for it, as `sd_listen_fds(3)` has it.
//!
//! Such a socket outlives the process. What waits in its queue is accepted by the next process, or by another that was
//! handed the same socket: with two of them no connection is lost while one restarts. `SO_REUSEPORT` gives no such
//! promise, and is absent for it: each listener then has a queue of its own, and what waits there when it closes is
//! reset, unless the system was told otherwise (`net.ipv4.tcp_migrate_req`).

use std::{env, io, net::SocketAddr};

use listenfd::ListenFd;
use rustix::net::sockopt::{set_socket_send_buffer_size, socket_acceptconn};
use tokio::net::TcpListener;

use super::listener::{SEND_BUFFER, bind};

/// Why there is no socket to listen on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It could not be opened.
    #[error("{name}: cannot listen on {address} ({})", .source.kind())]
    Bind {
        /// Which listener.
        name: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// Sockets, and not as many names.
    #[error(
        "{sockets} socket(s) were handed over with {names} name(s); give each socket unit its FileDescriptorName"
    )]
    Names {
        /// How many sockets.
        sockets: usize,
        /// How many names.
        names: usize,
    },
    /// A socket that is none, or on which nobody listens.
    #[error(
        "the socket {name} that was handed over is no listening TCP socket; a socket unit has ListenStream and Accept=no"
    )]
    NoListener {
        /// Which listener.
        name: &'static str,
    },
    /// A socket elsewhere than the configuration says.
    #[error(
        "the socket {name} that was handed over listens on {handed}, the configuration says {configured}; make them the same"
    )]
    Elsewhere {
        /// Which listener.
        name: &'static str,
        /// Where the socket is.
        handed: SocketAddr,
        /// Where it is to be.
        configured: SocketAddr,
    },
    /// A socket that nobody asked for.
    #[error(
        "the socket {0:?} that was handed over is for no listener of the configuration; call it gateway, review or operations, and configure that"
    )]
    Unasked(String),
}

/// The sockets that were handed over, until each is taken.
pub struct Handed {
    sockets: ListenFd,
    names: Vec<String>,
}

impl Handed {
    /// What the environment tells. It is cleared of that, so this comes before any thread is started.
    ///
    /// # Errors
    ///
    /// [`Error::Names`].
    pub fn from_env() -> Result<Self, Error> {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let sockets = ListenFd::from_env();
        let names: Vec<String> = match sockets.len() {
            0 => Vec::new(),
            _ => names.split(':').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        };
        if names.len() != sockets.len() {
            return Err(Error::Names { sockets: sockets.len(), names: names.len() });
        }
        Ok(Self { sockets, names })
    }

    /// Refuses a socket that is none of these.
    ///
    /// # Errors
    ///
    /// [`Error::Unasked`].
    pub fn only(&self, names: &[&str]) -> Result<(), Error> {
        let mut seen = Vec::new();
        for name in &self.names {
            if !names.contains(&name.as_str()) || seen.contains(&name) {
                return Err(Error::Unasked(name.clone()));
            }
            seen.push(name);
        }
        Ok(())
    }

    /// The listener of this name: the socket that was handed over for it, or one of its own.
    ///
    /// # Errors
    ///
    /// When the socket is another than the configuration says, or none can be had.
    pub fn listener(&mut self, name: &'static str, configured: SocketAddr) -> Result<TcpListener, Error> {
        let failed = |source| Error::Bind { name, address: configured, source };
        let Some(index) = self.names.iter().position(|own| own == name) else {
            return bind(configured).map_err(failed);
        };
        let taken = self.sockets.take_tcp_listener(index).ok().flatten();
        let socket = taken.filter(|socket| socket_acceptconn(socket).unwrap_or(false));
        let socket = socket.ok_or(Error::NoListener { name })?;
        let handed = socket.local_addr().map_err(|_| Error::NoListener { name })?;
        // Port 0 leaves it to whoever opens the socket.
        let same =
            configured.ip() == handed.ip() && (configured.port() == handed.port() || configured.port() == 0);
        if !same {
            return Err(Error::Elsewhere { name, handed, configured });
        }
        socket.set_nonblocking(true).map_err(failed)?;
        // As for one of our own: connections have it from their listener.
        set_socket_send_buffer_size(&socket, SEND_BUFFER as usize).map_err(|error| failed(error.into()))?;
        TcpListener::from_std(socket).map_err(failed)
    }
}
