//! What the workers count. Each worker has its own set and is its only writer,
//! so that counting needs no locked instruction; readers sum the sets up.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::event::MediaFailure;
use crate::peer::Discard;

/// A counter with one writer.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn increment(&self) {
        self.0.store(self.0.load(Relaxed).wrapping_add(1), Relaxed);
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Totals over all workers since the relay started.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct RelayCounters {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl RelayCounters {
            /// Each counter with its name, for metrics.
            pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }

        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)*
        }

        impl Counters {
            pub(crate) fn add_to(&self, totals: &mut RelayCounters) {
                $(totals.$name += self.$name.0.load(Relaxed);)*
            }
        }
    };
}

counters! {
    /// Audio paths opened.
    opened,
    /// Audio paths closed.
    closed,
    /// Datagrams that came from PBXs.
    pbx_received,
    /// Packets sent to PBXs.
    pbx_sent,
    /// Datagrams that came to the WhatsApp side.
    whatsapp_received,
    /// Packets sent to WhatsApp, STUN and DTLS included.
    whatsapp_sent,
    /// Refused: broken, or of no known protocol.
    malformed,
    /// Refused: not from the address agreed, latched or verified.
    stranger,
    /// Refused: before its side was connected.
    early,
    /// Refused: wrong STUN password or SRTP tag.
    unauthenticated,
    /// Refused: SRTP index used before.
    replay,
    /// Reports (RTCP) from PBXs.
    pbx_rtcp,
    /// Reports from WhatsApp.
    whatsapp_rtcp,
    /// Reports of ours, to both sides.
    reports_sent,
    /// Sending failed: no room in the socket, or no route.
    unsent,
    /// Paths whose ICE checks nobody answered, or could not be sent.
    ice_failures,
    /// Paths whose DTLS handshake failed, fingerprint mismatches included.
    dtls_failures,
    /// Paths that lost consent.
    consent_lost,
    /// Paths that ended by a panic.
    panics,
}

impl Counters {
    pub(super) fn refused(&self, why: Discard) {
        match why {
            Discard::Malformed => self.malformed.increment(),
            Discard::Stranger => self.stranger.increment(),
            Discard::Early => self.early.increment(),
            Discard::Unauthenticated => self.unauthenticated.increment(),
            Discard::Replay => self.replay.increment(),
        }
    }

    pub(super) fn failed(&self, why: &MediaFailure) {
        match why {
            MediaFailure::Unusable(_) | MediaFailure::IceTimeout => self.ice_failures.increment(),
            MediaFailure::DtlsFailed(_) | MediaFailure::FingerprintMismatch => {
                self.dtls_failures.increment();
            }
            MediaFailure::ConsentLost => self.consent_lost.increment(),
            MediaFailure::Panic => self.panics.increment(),
        }
    }
}
