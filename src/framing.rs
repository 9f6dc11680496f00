//! Where messages begin and end: one strict reader under hyper, towards suppliers and towards pupil administrations.
//!
//! Between two parties stand others: a proxy, a load balancer, a scanner. Where one of them takes a message to end
//! elsewhere than Sluis does, the rest of it becomes a request or an answer that nobody made. Hyper reads leniently: it
//! takes lines that end in a bare LF, drops a Content-Length beside chunks, skips empty lines and leaves extensions of
//! chunks unread, and by the time a handler sees a head, what was lenient about it is gone.
//!
//! So the bytes pass a reader of our own first. It lets through the part of RFC 9112 that no two readers take
//! differently, and hyper, which is given nothing else, can come to no other conclusion. It has to follow bodies too: a head
//! begins where the body before it ended, and whoever guesses that reads a body as a request. That costs little. A body
//! with a length is passed over by subtraction, of a chunked one only the chunk lines are looked at, and all is read
//! straight into hyper's buffer. Only a head that comes in pieces is held back until it is whole, so that none is
//! passed on by half and refused after.
//!
//! Stricter than the standard has to be:
//! - no extensions of chunks and no trailers, which Sluis has no use for;
//! - `Transfer-Encoding` is `chunked` in lower case and nothing else; numbers have no leading zeros or signs;
//! - no content with GET, HEAD, DELETE and TRACE (RFC 9110, 9.3.1: refused by some because it smuggles);
//! - no CONNECT, no Upgrade, and a `Connection` that names nothing but `close`, `keep-alive` and `TE`; an answer may offer an
//!   Upgrade, which nobody takes up;
//! - one Content-Type, one Host, and no name that becomes one of a framing field when `_` is read as `-`.
//!
//! An ambiguous request is answered by the listener ([`Refusal::of`]) and its connection closed; an ambiguous answer is
//! an error to whoever asked. So is an answer that nobody asked for: its connection is closed and not used again.

mod chunks;
mod head;

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use hyper::{Request, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::{
    chunks::Chunks,
    head::{Ends, Head},
};
use crate::metrics::{ConnectionRefusal, Metrics};

/// Bytes of a head at most.
pub(crate) const MAX_HEAD: usize = 64 * 1024;
/// Headers of a head at most.
pub(crate) const MAX_HEADERS: usize = 64;
/// Interim answers before the one that counts: some servers send a 100 to whoever did not ask for it.
const MAX_INTERIM: u8 = 4;

/// Why a message is not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// Two readers could disagree where it ends or what it says.
    #[error("the message is ambiguous")]
    Ambiguous,
    /// A coding other than chunked.
    #[error("the transfer coding is unknown")]
    Coding,
    /// Something else is expected than `100-continue`.
    #[error("the expectation is unknown")]
    Expectation,
    /// A head of more than [`MAX_HEAD`] bytes or [`MAX_HEADERS`] headers.
    #[error("the head is too large")]
    HeadTooLarge,
    /// A method that RFC 9110 does not know.
    #[error("the method is unknown")]
    Method,
    /// A request line that fills a head by itself.
    #[error("the target is too long")]
    TargetTooLong,
    /// HTTP, but neither 1.0 nor 1.1.
    #[error("the version is unknown")]
    Version,
}

impl Refusal {
    const ALL: [Self; 7] = [
        Self::Ambiguous,
        Self::Coding,
        Self::Expectation,
        Self::HeadTooLarge,
        Self::Method,
        Self::TargetTooLong,
        Self::Version,
    ];

    /// The method of what hyper is given in place of a request that was refused. No request that passed has it.
    const METHOD: &'static str = "REFUSED";

    /// Its status.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Ambiguous => StatusCode::BAD_REQUEST,
            Self::Coding | Self::Method => StatusCode::NOT_IMPLEMENTED,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        }
    }

    /// Its code, which is part of the interface.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Ambiguous => "ambiguous-request",
            Self::Coding => "transfer-coding-unknown",
            Self::Expectation => "expectation-unknown",
            Self::HeadTooLarge => "head-too-large",
            Self::Method => "method-unknown",
            Self::TargetTooLong => "target-too-long",
            Self::Version => "version-unknown",
        }
    }

    /// What hyper is given instead, so that the answer comes after those to the requests before it.
    fn stand_in(self) -> Vec<u8> {
        format!("{} /{} HTTP/1.1\r\n\r\n", Self::METHOD, self.code()).into_bytes()
    }

    /// Why the request was refused that this one stands for; none for a request that passed.
    pub(crate) fn of<B>(request: &Request<B>) -> Option<Self> {
        if request.method().as_str() != Self::METHOD {
            return None;
        }
        let code = request.uri().path().trim_start_matches('/');
        Some(Self::ALL.into_iter().find(|refusal| refusal.code() == code).unwrap_or(Self::Ambiguous))
    }
}

/// Whose messages are read.
enum Side {
    /// Answers, each to a request of ours.
    Answers,
    /// Requests.
    Requests(Arc<Metrics>),
}

/// Where the reader stands.
enum At {
    Chunks(Chunks),
    Head(Head),
    /// All that was asked for has come.
    Idle,
    Length(u64),
    /// An answer that ends with its connection.
    UntilClosed,
}

/// A stream of which only unambiguous messages are read. What is written to it passes as it is.
pub(crate) struct Framed<S> {
    stream: S,
    side: Side,
    at: At,
    interim: u8,
    /// What was read and not handed on: the beginning of a head, after what may be handed on by now.
    held: Vec<u8>,
    /// Of `held`, the bytes that may be handed on.
    passed: usize,
    refused: Option<Refusal>,
    /// Hyper has been given what stands for the refused request.
    stood_in: bool,
}

impl<S> Framed<S> {
    /// Requests of a client.
    pub(crate) fn requests(stream: S, metrics: Arc<Metrics>) -> Self {
        Self::new(stream, Side::Requests(metrics), At::Head(Head::request()))
    }

    /// Answers to what is written to the stream.
    pub(crate) fn answers(stream: S) -> Self {
        Self::new(stream, Side::Answers, At::Idle)
    }

    fn new(stream: S, side: Side, at: At) -> Self {
        let held = Vec::new();
        Self { stream, side, at, interim: 0, held, passed: 0, refused: None, stood_in: false }
    }

    /// The next bytes of the stream, from the beginning of a head or from inside a body: how many may be handed on.
    /// The rest begins a head, or is refused.
    fn advance(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            match self.step(rest) {
                Ok(0) => break,
                Ok(length) => at += length,
                Err(refusal) => {
                    self.refused = Some(refusal);
                    if let Side::Requests(metrics) = &self.side {
                        metrics.connection_refused(ConnectionRefusal::Framing);
                    }
                    break;
                }
            }
        }
        at
    }

    fn step(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        match &mut self.at {
            At::Idle => Err(Refusal::Ambiguous),
            At::UntilClosed => Ok(bytes.len()),
            At::Length(left) => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= length as u64;
                if *left == 0 {
                    self.end();
                }
                Ok(length)
            }
            At::Chunks(chunks) => {
                let length = chunks.read(bytes)?;
                if chunks.is_over() {
                    self.end();
                }
                Ok(length)
            }
            At::Head(head) => {
                let Some((length, ends)) = head.read(bytes)? else { return Ok(0) };
                match ends {
                    Ends::AfterChunks => self.at = At::Chunks(Chunks::new()),
                    Ends::AfterLength(0) => self.end(),
                    Ends::AfterLength(left) => self.at = At::Length(left),
                    Ends::Interim if self.interim == MAX_INTERIM => return Err(Refusal::Ambiguous),
                    Ends::Interim => {
                        self.interim += 1;
                        self.at = At::Head(Head::answer());
                    }
                    Ends::WithConnection => self.at = At::UntilClosed,
                }
                Ok(length)
            }
        }
    }

    fn end(&mut self) {
        self.at = match self.side {
            Side::Answers => At::Idle,
            Side::Requests(_) => At::Head(Head::request()),
        };
    }

    /// Something is written: an answer may come.
    fn asks(&mut self) {
        if matches!((&self.side, &self.at), (Side::Answers, At::Idle)) {
            self.interim = 0;
            self.at = At::Head(Head::answer());
        }
    }

    /// Hands on what may be.
    fn hand_on(&mut self, buffer: &mut ReadBuf<'_>) {
        let length = self.passed.min(buffer.remaining());
        buffer.put_slice(&self.held[..length]);
        self.held.drain(..length);
        self.passed -= length;
        if self.held.is_empty() {
            // Given back, and wiped with it.
            self.held = Vec::new();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Framed<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.passed > 0 {
                this.hand_on(buffer);
                return Poll::Ready(Ok(()));
            }
            match (this.refused, &this.side, &this.at) {
                (None, ..) => {}
                // Of a request whose head was refused hyper knows nothing yet.
                (Some(refusal), Side::Requests(_), At::Head(_)) if !this.stood_in => {
                    this.stood_in = true;
                    this.held = refusal.stand_in();
                    this.passed = this.held.len();
                    continue;
                }
                // It is being answered. An end here would be taken for a client that has gone.
                (Some(_), Side::Requests(_), At::Head(_)) => return Poll::Pending,
                (Some(refusal), ..) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, refusal)));
                }
            }
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
            if buffer.filled().len() == before {
                return Poll::Ready(Ok(()));
            }
            if this.held.is_empty() {
                let passed = this.advance(&buffer.filled()[before..]);
                if this.refused.is_none() {
                    this.held.extend_from_slice(&buffer.filled()[before + passed..]);
                }
                buffer.set_filled(before + passed);
                if passed > 0 {
                    return Poll::Ready(Ok(()));
                }
            } else {
                let mut held = std::mem::take(&mut this.held);
                held.extend_from_slice(&buffer.filled()[before..]);
                buffer.set_filled(before);
                this.passed = this.advance(&held);
                if this.refused.is_some() {
                    held.truncate(this.passed);
                }
                this.held = held;
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Framed<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.asks();
        Pin::new(&mut this.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.asks();
        Pin::new(&mut this.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use prometheus::Registry;
    use tokio::io::AsyncReadExt;

    use super::*;

    /// A connection on which these pieces come in, one by one.
    struct Pieces(VecDeque<Vec<u8>>);

    impl AsyncRead for Pieces {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let this = self.get_mut();
            if let Some(mut piece) = this.0.pop_front() {
                let rest = piece.split_off(piece.len().min(buffer.remaining()));
                buffer.put_slice(&piece);
                if !rest.is_empty() {
                    this.0.push_front(rest);
                }
            }
            Poll::Ready(Ok(()))
        }
    }

    /// What is handed on of bytes that come in pieces of so many, to one who reads so many at a time; and the error that
    /// ends it. `Pending` is an end too: nothing more will come.
    fn handed_on(side: Side, bytes: &[u8], pieces: usize, reads: usize) -> (Vec<u8>, Option<Refusal>) {
        let stream = Pieces(bytes.chunks(pieces).map(<[u8]>::to_vec).collect());
        let at = At::Head(if matches!(side, Side::Answers) { Head::answer() } else { Head::request() });
        let mut framed = Framed::new(stream, side, at);
        let mut all = Vec::new();
        loop {
            let mut buffer = vec![0; reads];
            let mut read = std::pin::pin!(framed.read(&mut buffer));
            match read.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())) {
                Poll::Pending | Poll::Ready(Ok(0)) => return (all, None),
                Poll::Ready(Ok(length)) => all.extend_from_slice(&buffer[..length]),
                Poll::Ready(Err(error)) => {
                    let refusal = error.get_ref().and_then(|inner| inner.downcast_ref());
                    return (all, Some(*refusal.expect("no other error")));
                }
            }
        }
    }

    fn requests() -> Side {
        Side::Requests(Metrics::new(&Registry::new()).expect("a registry of its own").into())
    }

    const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    const POST: &str = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\nGET / HTTP/1\n";
    const CHUNKS: &str = "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
                          5\r\nGET /\r\n0c\r\n HTTP/1.1\r\n\n\r\n0\r\n\r\n";

    #[test]
    fn in_whatever_pieces_it_comes_the_same_is_handed_on() {
        let sound = [GET, POST, "\r\n", CHUNKS, GET, POST].concat();
        let ambiguous = [&sound, "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\n\r\n", GET].concat();
        let stands = [sound.as_bytes(), &Refusal::Ambiguous.stand_in()].concat();
        for pieces in (1..=80).chain([ambiguous.len()]) {
            for reads in [1, 2, 7, 64, 1024] {
                let taken = handed_on(requests(), sound.as_bytes(), pieces, reads);
                assert_eq!(taken, (sound.clone().into_bytes(), None), "{pieces} {reads}");
                let refused = handed_on(requests(), ambiguous.as_bytes(), pieces, reads);
                assert_eq!(refused, (stands.clone(), None), "{pieces} {reads}");
            }
        }
    }

    #[test]
    fn a_body_ends_in_an_error_where_its_chunks_are_none() {
        let broken = CHUNKS.replace("0c\r\n", "0c;\r\n");
        for pieces in 1..=broken.len() {
            let (taken, refusal) = handed_on(requests(), [&broken, GET].concat().as_bytes(), pieces, 64);
            assert_eq!(refusal, Some(Refusal::Ambiguous));
            assert!(broken.as_bytes().starts_with(&taken), "nothing after it, and nothing instead of it");
        }
    }

    #[test]
    fn an_answer_is_followed_by_nothing() {
        let interim = "HTTP/1.1 100 Continue\r\n\r\n";
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        let whole = [interim, answer].concat();
        let twice = [&whole, answer].concat();
        for pieces in 1..=twice.len() {
            let taken = handed_on(Side::Answers, twice.as_bytes(), pieces, 64);
            assert_eq!(taken, (whole.clone().into_bytes(), Some(Refusal::Ambiguous)), "{pieces}");
        }
    }

    #[test]
    fn what_stands_for_a_refused_request_tells_why() {
        for refusal in Refusal::ALL {
            let stand_in = String::from_utf8(refusal.stand_in()).expect("ASCII");
            let mut parts = stand_in.split(' ');
            let (method, uri) = (parts.next().expect("a method"), parts.next().expect("a target"));
            let request = Request::builder().method(method).uri(uri).body(()).expect("a request");
            assert_eq!(Refusal::of(&request), Some(refusal));
            // Nobody else can say it.
            let said = handed_on(requests(), stand_in.as_bytes(), 1024, 1024);
            assert_eq!(said, (Refusal::Method.stand_in(), None));
        }
        assert_eq!(Refusal::of(&Request::new(())), None);
    }
}
