//! How the program ends: it drains, then both ends of every call that is left are ended, and what was said last is said
//! again until it was heard.
//!
//! Draining disturbs no other instance: nothing is told to WhatsApp but of calls that live here, and by setting calls
//! that come meanwhile are left to whoever else gets their webhooks.

use std::time::Duration;

use tokio::time::timeout;
use tracing::{error, info, warn};

use crate::app::Running;
use crate::call::task::Input;

/// How long the farewell may take: ending all calls on both sides, taking the registrations back, and repeating the last
/// BYE of a call whose PBX has not heard it.
pub const FAREWELL: Duration = Duration::from_secs(8);
/// The same for somebody who does not want to wait.
pub const SHORT_FAREWELL: Duration = Duration::from_secs(3);
/// How soon calls are told again: one that had just begun was not there before.
const AGAIN: Duration = Duration::from_millis(500);

impl Running {
    /// Takes no calls from now on; those that live are not touched.
    pub async fn drain(&self) {
        self.shared.metrics.set_draining();
        self.shared.trunks.drain().await;
        let limit_s = self.drain_limit().as_secs();
        info!(calls = self.calls(), limit_s, "draining: no calls are taken, those that live may live on");
    }

    /// How long running calls may live on.
    #[must_use]
    pub fn drain_limit(&self) -> Duration {
        self.shared.config().life.drain_limit
    }

    /// Waits until the last call has ended, but not longer than the limit. To be asked after [`Self::drain`].
    pub async fn drained(&self) {
        self.shared.tasks.close();
        let limit = self.drain_limit();
        if timeout(limit, self.shared.tasks.wait()).await.is_err() && !limit.is_zero() {
            warn!(calls = self.calls(), limit_s = limit.as_secs(), "the limit on draining is reached");
        }
    }

    /// Ends every call on both sides and takes the registrations back, within the limit.
    pub async fn farewell(&self, limit: Duration) {
        let shared = &self.shared;
        shared.metrics.set_draining();
        if !shared.directory.is_empty() {
            info!(calls = self.calls(), "calls are ended on both sides");
        }
        let calls = async {
            shared.trunks.drain().await;
            shared.tasks.close();
            loop {
                shared.directory.all(|| Input::Shutdown);
                if timeout(AGAIN, shared.tasks.wait()).await.is_ok() {
                    return;
                }
            }
        };
        let all = async {
            tokio::join!(calls, shared.trunks.farewell(), shared.pass_on.emptied());
            // The first fails only where the driver has ended: then there is nobody to wait for.
            let _ = tokio::join!(shared.sip.settled(), shared.records.flushed());
        };
        if timeout(limit, all).await.is_err() {
            warn!(calls = self.calls(), "stopped before everybody had answered the farewell");
        }
        shared.journal.close().await;
        let records = shared.records.waiting();
        if records > 0 {
            error!(records, "records of calls could not be written and are lost");
        }
    }

    /// Ends every call on both sides and stops. New calls are refused from now on.
    pub async fn shutdown(self) {
        self.farewell(FAREWELL).await;
    }
}
