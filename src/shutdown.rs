//! Stopping, step by step: unready, no new connections, idle connections closed, what has not ended in time cut.

use tokio_util::sync::CancellationToken;

/// Shared by everything that has to stop. Each step implies those before it.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    leave: CancellationToken,
    drain: CancellationToken,
    hang_up: CancellationToken,
    stop: CancellationToken,
}

impl Shutdown {
    /// Nothing is to stop yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// New connections should go elsewhere: whoever asks is told so, and each answer is the last on its connection.
    pub fn leave(&self) {
        self.leave.cancel();
    }

    /// Whether each answer is the last on its connection.
    pub fn is_leaving(&self) -> bool {
        self.leave.is_cancelled()
    }

    /// No new connections from now on. Those that are open may still ask.
    pub fn drain(&self) {
        self.leave();
        self.drain.cancel();
    }

    /// Returns once no new connections are to be accepted.
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// Closes connections on which nothing is under way.
    pub fn hang_up(&self) {
        self.drain();
        self.hang_up.cancel();
    }

    /// Returns once idle connections are to be closed.
    pub async fn hanging_up(&self) {
        self.hang_up.cancelled().await;
    }

    /// Cuts what is still under way.
    pub fn stop(&self) {
        self.hang_up();
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
