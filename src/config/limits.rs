//! `[limits]`: bounds on everything that comes from outside.

use std::{ops::Range, time::Duration};

use serde::Deserialize;
use toml::Spanned;

use crate::decode;

/// Bounds on everything that comes from outside, with what holds when nothing is said.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Elements inside one another: 32.
    pub depth: usize,
    /// Bytes of a name: 256.
    pub name_bytes: usize,
    /// Attributes of an element: 64.
    pub attributes: usize,
    /// Bytes of a value: 65,536.
    pub text_bytes: usize,
    /// Bytes of an answer or file: 16 GiB.
    pub total_bytes: u64,
    /// Bytes of a request, results included: 16 MiB.
    pub request_bytes: usize,
    /// Bytes of a request for data: 256 KiB.
    pub data_request_bytes: usize,
    /// Records in a document: 2,000,000.
    pub records: u64,
    /// Bytes of a record: 1 MiB.
    pub record_bytes: usize,
    /// Bytes of a delivery that wait in memory until it is judged beside the one before: 512 KiB.
    pub held_bytes: usize,
    /// Exchanges at once: 256.
    pub exchanges: usize,
    /// Requests that wait for one of these to end: 128.
    pub queue: usize,
    /// Of these, with one client certificate: 32, and never more than half of them.
    pub queue_per_certificate: usize,
    /// The longest they wait: 5 s.
    pub queued: Duration,
    /// Connections at once: 1,024.
    pub connections: usize,
    /// Of these, with one client certificate: 64.
    pub connections_per_certificate: usize,
    /// Requests a second with one client certificate, on however many connections: 500.
    pub requests_per_second: u64,
    /// Of these, at once after a pause: 5,000.
    pub requests_burst: u64,
    /// For a whole exchange: 30 min.
    pub exchange: Duration,
    /// To connect to a pupil administration: 5 s.
    pub las_connect: Duration,
    /// Until its answer begins: 60 s.
    pub las_response: Duration,
    /// Between two parts of its answer: 30 s.
    pub las_idle: Duration,
    /// Bytes a second of its answer at least, over each `las_idle`: 512.
    pub las_bytes_per_second: u64,
    /// For TLS and the head of a request: 10 s.
    pub header_read: Duration,
    /// For the body of a request: 30 s.
    pub request_read: Duration,
    /// Between two parts of it: 5 s.
    pub request_idle: Duration,
    /// Bytes a second of it at least, over each `request_idle`: 1,024.
    pub request_bytes_per_second: u64,
    /// Without a receiver taking anything: 30 s.
    pub send_idle: Duration,
    /// Bytes a second a receiver takes at least while it is waited for, over each `send_idle`: 1,024.
    pub send_bytes_per_second: u64,
    /// For exchanges under way when Sluis stops: 30 s.
    pub drain: Duration,
    /// Before that, with connections still accepted while `/ready` says no: 0.
    pub drain_delay: Duration,
}

impl Limits {
    /// What the decoder is to hold an answer or file to.
    pub fn decode(&self) -> decode::Limits {
        decode::Limits {
            depth: self.depth,
            name_bytes: self.name_bytes,
            attributes: self.attributes,
            text_bytes: self.text_bytes,
            total_bytes: self.total_bytes,
            records: self.records,
            record_bytes: self.record_bytes,
        }
    }
}

/// One row per limit: its key, what it is when nothing is said, and its range.
macro_rules! limits {
    ($($key:ident = $default:expr, $low:expr, $high:expr;)*) => {
        #[derive(Deserialize, Default)]
        #[serde(deny_unknown_fields)]
        pub(super) struct FileLimits { $($key: Option<Spanned<u64>>,)* }

        struct Checked { $($key: u64,)* }

        impl Limits {
            /// Each key of `[limits]`: what it is when nothing is said, the least and the most it can be.
            pub const KEYS: &[(&'static str, u64, u64, u64)] = &[$((stringify!($key), $default, $low, $high),)*];
        }

        impl FileLimits {
            /// What is out of range is said, and what it is when nothing is said counts.
            pub(super) fn check(&self, wrong: &mut dyn FnMut(Range<usize>, String, String)) -> Limits {
                let checked = Checked { $($key: match &self.$key {
                    None => $default,
                    Some(value) if ($low..=$high).contains(value.get_ref()) => *value.get_ref(),
                    Some(value) => {
                        let what = format!("limits.{} is out of range", stringify!($key));
                        wrong(value.span(), what, format!("choose from {} to {}", $low, $high));
                        $default
                    }
                },)* };
                checked.into_limits()
            }
        }
    };
}

limits! {
    depth = 32, 8, 256;
    name_bytes = 256, 32, 4096;
    attributes = 64, 8, 1024;
    text_bytes = 65_536, 1024, 16_777_216;
    total_bytes = 17_179_869_184, 65_536, 1_099_511_627_776_u64;
    request_bytes = 16_777_216, 65_536, 268_435_456;
    data_request_bytes = 262_144, 4096, 268_435_456;
    records = 2_000_000, 1, 100_000_000;
    record_bytes = 1_048_576, 16_384, 268_435_456;
    held_bytes = 524_288, 4096, 268_435_456;
    exchanges = 256, 1, 65_536;
    queue = 128, 0, 65_536;
    queue_per_certificate = 32, 1, 65_536;
    queue_ms = 5_000, 10, 600_000;
    connections = 1024, 1, 65_536;
    connections_per_certificate = 64, 1, 65_536;
    requests_per_second_per_certificate = 500, 1, 100_000;
    requests_burst_per_certificate = 5_000, 1, 1_000_000;
    exchange_ms = 1_800_000, 10, 86_400_000;
    las_connect_ms = 5_000, 10, 600_000;
    las_response_ms = 60_000, 10, 3_600_000;
    las_idle_ms = 30_000, 10, 3_600_000;
    las_bytes_per_second = 512, 1, 1_073_741_824;
    header_read_ms = 10_000, 10, 600_000;
    request_read_ms = 30_000, 10, 3_600_000;
    request_idle_ms = 5_000, 10, 3_600_000;
    request_bytes_per_second = 1024, 1, 1_073_741_824;
    send_idle_ms = 30_000, 10, 3_600_000;
    send_bytes_per_second = 1024, 1, 1_073_741_824;
    drain_ms = 30_000, 0, 3_600_000;
    drain_delay_ms = 0, 0, 600_000;
}

impl Checked {
    fn into_limits(self) -> Limits {
        let small = |value: u64| usize::try_from(value).expect("ranges fit the machine");
        let ms = Duration::from_millis;
        Limits {
            depth: small(self.depth),
            name_bytes: small(self.name_bytes),
            attributes: small(self.attributes),
            text_bytes: small(self.text_bytes),
            total_bytes: self.total_bytes,
            request_bytes: small(self.request_bytes),
            data_request_bytes: small(self.data_request_bytes),
            records: self.records,
            record_bytes: small(self.record_bytes),
            held_bytes: small(self.held_bytes),
            exchanges: small(self.exchanges),
            queue: small(self.queue),
            queue_per_certificate: small(self.queue_per_certificate),
            queued: ms(self.queue_ms),
            connections: small(self.connections),
            connections_per_certificate: small(self.connections_per_certificate),
            requests_per_second: self.requests_per_second_per_certificate,
            requests_burst: self.requests_burst_per_certificate,
            exchange: ms(self.exchange_ms),
            las_connect: ms(self.las_connect_ms),
            las_response: ms(self.las_response_ms),
            las_idle: ms(self.las_idle_ms),
            las_bytes_per_second: self.las_bytes_per_second,
            header_read: ms(self.header_read_ms),
            request_read: ms(self.request_read_ms),
            request_idle: ms(self.request_idle_ms),
            request_bytes_per_second: self.request_bytes_per_second,
            send_idle: ms(self.send_idle_ms),
            send_bytes_per_second: self.send_bytes_per_second,
            drain: ms(self.drain_ms),
            drain_delay: ms(self.drain_delay_ms),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        FileLimits::default().check(&mut |_, _, _| {})
    }
}
