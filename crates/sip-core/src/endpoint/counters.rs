//! What the endpoint and its driver count.

use std::sync::atomic::{AtomicU64, Ordering};

/// A snapshot of the counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SipCounters {
    /// Datagrams received, the dropped ones too.
    pub datagrams_in: u64,
    /// Datagrams sent.
    pub datagrams_out: u64,
    /// Datagrams that could not be sent.
    pub send_errors: u64,
    /// Dropped unread: from an address that is not allowed.
    pub not_allowed: u64,
    /// Dropped unread: from a banned source.
    pub banned: u64,
    /// Dropped unread: from a source that sends too fast.
    pub too_fast: u64,
    /// Connections that peers opened.
    pub connections_in: u64,
    /// Connections of peers that were closed at once: too many.
    pub connections_refused: u64,
    /// Streams that were closed because nobody could say where the next message begins.
    pub broken_streams: u64,
    /// Dropped: keep-alives.
    pub keep_alives: u64,
    /// Dropped: noise, unusable responses.
    pub unparsable: u64,
    /// Broken requests refused with 400 or 505.
    pub bad_requests: u64,
    /// Dropped: responses that match no transaction.
    pub stray_responses: u64,
    /// Dropped: ACKs that match nothing.
    pub stray_acks: u64,
    /// Requests refused with 503 and INVITEs not sent because a cap was reached.
    pub overload: u64,
    /// Requests that got 401: who sent them is asked for.
    pub challenged: u64,
    /// Calls that came in.
    pub incoming_calls: u64,
    /// Calls that went out.
    pub outgoing_calls: u64,
}

macro_rules! counters {
    ($($name:ident),* $(,)?) => {
        impl SipCounters {
            /// Each counter with its name, for metrics.
            pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }

        /// The living counters; relaxed, since nothing is ordered by them.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: AtomicU64,)*
        }

        impl Counters {
            pub(crate) fn snapshot(&self) -> SipCounters {
                SipCounters {
                    $($name: self.$name.load(Ordering::Relaxed),)*
                }
            }
        }
    };
}

counters!(
    datagrams_in,
    datagrams_out,
    send_errors,
    not_allowed,
    banned,
    too_fast,
    connections_in,
    connections_refused,
    broken_streams,
    keep_alives,
    unparsable,
    bad_requests,
    stray_responses,
    stray_acks,
    overload,
    challenged,
    incoming_calls,
    outgoing_calls,
);

/// Counts one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
