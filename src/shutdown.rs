//! Stopping in three steps: no new work, what is under way ends, what has not ended in time is cut.

use tokio_util::sync::CancellationToken;

/// Shared by everything that has to stop.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    drain: CancellationToken,
    stop: CancellationToken,
}

impl Shutdown {
    /// Nothing is to stop yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// No new work from now on.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Whether no new work is taken.
    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Returns once no new work is to be taken.
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// Cuts what is still under way.
    pub fn stop(&self) {
        self.drain.cancel();
        self.stop.cancel();
    }

    /// Cancelled once what is under way is to be cut.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Returns once what is under way is to be cut.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }
}
