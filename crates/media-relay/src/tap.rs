//! A tap on one call's audio: each packet of RTP in the clear, for who looks for trouble.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::path::Party;

/// A packet of RTP as it would have gone over the wire without SRTP.
#[derive(Debug, Clone, Copy)]
pub struct TappedPacket<'a> {
    /// When it came, or left.
    pub at: Instant,
    /// Who sent it.
    pub from: SocketAddr,
    /// Whom to; one of both is ours.
    pub to: SocketAddr,
    /// The packet.
    pub rtp: &'a [u8],
}

/// Who gets the packets. It is called on the worker for each: it must be quick and must not block.
#[derive(Clone)]
pub struct Tap(Arc<dyn Fn(TappedPacket<'_>) + Send + Sync>);

impl Tap {
    /// Each packet of the call is given to this.
    pub fn new(take: impl Fn(TappedPacket<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(take))
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tap")
    }
}

/// A call's tap, with the addresses of its sides.
pub(crate) struct Wire {
    tap: Tap,
    pbx: Ends,
    whatsapp: Ends,
}

#[derive(Clone, Copy)]
struct Ends {
    ours: SocketAddr,
    theirs: SocketAddr,
}

impl Wire {
    /// With our addresses as the SDP tells them.
    pub(crate) fn new(tap: Tap, pbx: SocketAddr, whatsapp: SocketAddr) -> Self {
        let [pbx, whatsapp] = [pbx, whatsapp].map(|ours| Ends { ours, theirs: ours });
        Self { tap, pbx, whatsapp }
    }

    /// Where a side is.
    pub(crate) fn found(&mut self, party: Party, theirs: SocketAddr) {
        self.ends(party).theirs = theirs;
    }

    /// A packet has come from a side.
    pub(crate) fn received(&mut self, at: Instant, party: Party, from: SocketAddr, rtp: &[u8]) {
        self.found(party, from);
        let to = self.ends(party).ours;
        (self.tap.0)(TappedPacket { at, from, to, rtp });
    }

    /// A packet goes to a side.
    pub(crate) fn sent(&mut self, at: Instant, party: Party, rtp: &[u8]) {
        let Ends { ours: from, theirs: to } = *self.ends(party);
        (self.tap.0)(TappedPacket { at, from, to, rtp });
    }

    fn ends(&mut self, party: Party) -> &mut Ends {
        match party {
            Party::Pbx => &mut self.pbx,
            Party::WhatsApp => &mut self.whatsapp,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::rtp::testing::epoch;

    #[test]
    fn what_goes_to_a_side_goes_where_it_was_heard_from_last() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&seen);
        let tap = Tap::new(move |packet| {
            kept.lock().expect("whole").push((packet.from.port(), packet.to.port(), packet.rtp.to_vec()));
        });
        let at = |port| SocketAddr::from(([192, 0, 2, 1], port));
        let mut wire = Wire::new(tap, at(1), at(2));
        wire.found(Party::Pbx, at(10));
        wire.sent(epoch(), Party::Pbx, &[1]);
        wire.received(epoch(), Party::Pbx, at(11), &[2]);
        wire.sent(epoch(), Party::Pbx, &[3]);
        wire.received(epoch(), Party::WhatsApp, at(20), &[4]);
        wire.sent(epoch(), Party::WhatsApp, &[5]);
        let seen = seen.lock().expect("whole").clone();
        assert_eq!(
            seen.iter().map(|(from, to, _)| (*from, *to)).collect::<Vec<_>>(),
            [(1, 10), (11, 1), (1, 11), (20, 2), (2, 20)]
        );
        assert!(seen.iter().zip(1_u8..).all(|(packet, number)| packet.2 == [number]));
    }
}
