//! A chunked body (RFC 9112, 7.1), without extensions and without trailers.

use super::Refusal;

/// Hexadecimal digits of the size of a chunk at most. More could overflow in some reader.
const DIGITS: u8 = 15;

/// Where in it a reader stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In the size of a chunk.
    Size {
        digits: u8,
        size: u64,
    },
    /// After its CR.
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    /// After the last chunk, where trailers would begin.
    LastCr,
    LastLf,
    Over,
}

/// A chunked body as it comes.
pub(super) struct Chunks(At);

impl Chunks {
    pub(super) fn new() -> Self {
        Self(At::Size { digits: 0, size: 0 })
    }

    pub(super) fn is_over(&self) -> bool {
        self.0 == At::Over
    }

    /// Reads on, until the body or the bytes end: how many of these belong to it. Data is passed over unseen.
    ///
    /// # Errors
    ///
    /// [`Refusal::Ambiguous`] for whatever is no size, no CRLF or no end.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let mut at = 0;
        while let (false, Some(&byte)) = (self.is_over(), bytes.get(at)) {
            if let At::Data(left) = self.0 {
                let length = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - at);
                at += length;
                self.0 = match left - length as u64 {
                    0 => At::DataCr,
                    left => At::Data(left),
                };
                continue;
            }
            self.0 = match (self.0, byte) {
                (At::Size { digits: 1.., size }, b'\r') => At::SizeLf(size),
                (At::Size { digits: digits @ 0..DIGITS, size }, _) => {
                    let digit = char::from(byte).to_digit(16).ok_or(Refusal::Ambiguous)?;
                    At::Size { digits: digits + 1, size: size << 4 | u64::from(digit) }
                }
                (At::SizeLf(0), b'\n') => At::LastCr,
                (At::SizeLf(size), b'\n') => At::Data(size),
                (At::DataCr, b'\r') => At::DataLf,
                (At::DataLf, b'\n') => At::Size { digits: 0, size: 0 },
                (At::LastCr, b'\r') => At::LastLf,
                (At::LastLf, b'\n') => At::Over,
                _ => return Err(Refusal::Ambiguous),
            };
            at += 1;
        }
        Ok(at)
    }
}
