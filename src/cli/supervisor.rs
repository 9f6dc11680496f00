//! What a service manager is told (`sd_notify(3)`): ready, reloading, stopping. Without one these do nothing.

use std::time::Duration;

use sd_notify::NotifyState;

/// All listeners are open.
pub(super) fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// The configuration is read anew; [`reloaded`] follows.
pub(super) fn reloading() {
    // A unit of `Type=notify-reload` wants both in one message.
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// It was taken into force, or not; either way the process serves on.
pub(super) fn reloaded(in_force: bool) {
    let status = if in_force {
        "serving"
    } else {
        "serving; the new configuration is not in order, the one before it stays in force"
    };
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// It takes so long at most from now until the process has ended, whatever the unit has for `TimeoutStopSec`.
pub(super) fn stopping(at_most: Duration) {
    let micros = u32::try_from(at_most.as_micros()).unwrap_or(u32::MAX);
    tell(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(micros), NotifyState::Status("draining")]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(kind = %error.kind(), "the service manager could not be told");
    }
}
