//! Who may come in, and when: so many requests a second with one certificate, so many exchanges at once, and a queue with
//! an end for the others.

use std::{
    collections::HashMap,
    future::Future,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ring::digest;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep},
};

use crate::{
    config::Limits,
    metrics::{Metrics, NotAdmitted},
    shutdown::Shutdown,
};

/// Certificates whose requests are counted each by itself. Nobody has so many; with more, those that are new share a
/// count.
const CERTIFICATES: usize = 4096;
/// How often it is said that somebody asks too much. A line for each would be one more thing to drown in.
const SAID_EACH: Duration = Duration::from_secs(10);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Requests a second with one certificate, on however many connections.
///
/// Of each certificate one instant is kept: when all that it asked would have been asked at an even pace. How far that is
/// ahead of now is how much of the burst is used; once it is past, there is nothing to remember.
#[derive(Default)]
pub(super) struct Rates {
    even: Mutex<HashMap<[u8; 32], Instant>>,
    refused: Mutex<(Option<Instant>, u64)>,
}

impl Rates {
    /// Counts a request, or says after how long there is room for one.
    pub(super) fn take(&self, certificate: &[u8], limits: &Limits, now: Instant) -> Result<(), Duration> {
        let each = Duration::from_nanos(1_000_000_000 / limits.requests_per_second.max(1));
        let most = each.saturating_mul(u32::try_from(limits.requests_burst).unwrap_or(u32::MAX));
        let mut key = [0; 32];
        key.copy_from_slice(digest::digest(&digest::SHA256, certificate).as_ref());
        let mut even = lock(&self.even);
        if !even.contains_key(&key) && even.len() >= CERTIFICATES {
            even.retain(|_, at| *at > now);
            if even.len() >= CERTIFICATES {
                key = [0; 32];
            }
        }
        let after = even.get(&key).map_or(now, |at| (*at).max(now)) + each;
        let ahead = after - now;
        if ahead > most {
            return Err(ahead - most);
        }
        even.insert(key, after);
        Ok(())
    }

    /// How many were refused since this was last said; none while that is not long ago.
    pub(super) fn to_be_said(&self, now: Instant) -> Option<u64> {
        let mut refused = lock(&self.refused);
        refused.1 += 1;
        if refused.0.is_some_and(|last| now - last < SAID_EACH) {
            return None;
        }
        refused.0 = Some(now);
        Some(mem::take(&mut refused.1))
    }
}

/// Exchanges at once, and those that wait for one to end, first come first served.
pub(super) struct Places {
    free: Arc<Semaphore>,
    waiting: Arc<Mutex<HashMap<[u8; 32], usize>>>,
}

/// One that waits, for as long as it does.
struct Waiting {
    all: Arc<Mutex<HashMap<[u8; 32], usize>>>,
    certificate: [u8; 32],
    since: Instant,
    metrics: Arc<Metrics>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut all = lock(&self.all);
        if let Some(own) = all.get_mut(&self.certificate) {
            *own -= 1;
            if *own == 0 {
                all.remove(&self.certificate);
            }
        }
        self.metrics.queued.dec();
        self.metrics.queued_seconds.observe(self.since.elapsed().as_secs_f64());
    }
}

impl Places {
    pub(super) fn new(exchanges: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(exchanges)), waiting: Arc::default() }
    }

    /// A place, now or after some waiting; `gone` returns once nobody waits for it any more.
    pub(super) async fn take(
        &self,
        certificate: &[u8],
        limits: &Limits,
        gone: impl Future<Output = ()>,
        shutdown: &Shutdown,
        metrics: &Arc<Metrics>,
    ) -> Result<OwnedSemaphorePermit, NotAdmitted> {
        // What is given back goes to whoever waits first, so a place that is free is nobody's.
        if let Ok(place) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok(place);
        }
        let _waiting = self.queue_up(certificate, limits, metrics)?;
        tokio::select! {
            biased;
            () = shutdown.hanging_up() => Err(NotAdmitted::Stopping),
            () = gone => Err(NotAdmitted::Gone),
            place = Arc::clone(&self.free).acquire_owned() => Ok(place.expect("the semaphore is never closed")),
            () = sleep(limits.queued) => Err(NotAdmitted::Busy),
        }
    }

    fn queue_up(
        &self,
        certificate: &[u8],
        limits: &Limits,
        metrics: &Arc<Metrics>,
    ) -> Result<Waiting, NotAdmitted> {
        let mut key = [0; 32];
        key.copy_from_slice(digest::digest(&digest::SHA256, certificate).as_ref());
        // However it is set, two with different certificates can wait.
        let share = limits.queue_per_certificate.min((limits.queue / 2).max(1));
        let mut all = lock(&self.waiting);
        if all.values().sum::<usize>() >= limits.queue {
            return Err(NotAdmitted::QueueFull);
        }
        let own = all.entry(key).or_default();
        if *own >= share {
            return Err(NotAdmitted::CertificateQueueFull);
        }
        *own += 1;
        metrics.queued.inc();
        Ok(Waiting {
            all: Arc::clone(&self.waiting),
            certificate: key,
            since: Instant::now(),
            metrics: Arc::clone(metrics),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_certificate_has_its_burst_and_then_its_rate() {
        let limits = Limits { requests_per_second: 10, requests_burst: 3, ..Limits::default() };
        let (rates, start) = (Rates::default(), Instant::now());
        let take = |certificate: &[u8], ms: u64| {
            rates
                .take(certificate, &limits, start + Duration::from_millis(ms))
                .map_err(|wait| wait.as_millis())
        };
        for _ in 0..3 {
            assert_eq!(take(b"one", 0), Ok(()));
        }
        assert_eq!(take(b"one", 0), Err(100));
        assert_eq!(take(b"other", 0), Ok(()), "it has one of its own");
        assert_eq!(take(b"one", 60), Err(40), "to be refused costs nothing");
        assert_eq!(take(b"one", 100), Ok(()), "when it was told to come");
        assert_eq!(take(b"one", 100), Err(100));
        for _ in 0..3 {
            assert_eq!(
                take(b"one", 10_000),
                Ok(()),
                "after a pause the burst is whole, and no more than that"
            );
        }
        assert_eq!(take(b"one", 10_000), Err(100));
    }

    #[test]
    fn only_certificates_that_ask_are_remembered() {
        let limits = Limits { requests_per_second: 10, requests_burst: 1, ..Limits::default() };
        let (rates, start) = (Rates::default(), Instant::now());
        for number in 0..CERTIFICATES as u64 {
            rates.take(&number.to_le_bytes(), &limits, start).expect("its first");
        }
        rates.take(b"one more", &limits, start).expect("the first of those that share");
        assert!(rates.take(b"yet one more", &limits, start).is_err(), "those that are new share a count");
        assert_eq!(lock(&rates.even).len(), CERTIFICATES + 1);
        rates.take(b"yet one more", &limits, start + Duration::from_secs(1)).expect("there is room again");
        assert_eq!(lock(&rates.even).len(), 1, "who has not asked for a while is forgotten");
    }

    #[test]
    fn what_is_refused_is_said_now_and_then() {
        let (rates, start) = (Rates::default(), Instant::now());
        assert_eq!(rates.to_be_said(start), Some(1));
        for _ in 0..5 {
            assert_eq!(rates.to_be_said(start + Duration::from_secs(1)), None);
        }
        assert_eq!(rates.to_be_said(start + SAID_EACH), Some(6));
    }
}
