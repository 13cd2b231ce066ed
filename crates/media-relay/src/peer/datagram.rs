//! What a datagram is (RFC 7983), who deals with it, and why it is refused.

use std::net::SocketAddr;
use std::time::Instant;

use super::{State, WhatsAppPeer};
use crate::rtp::header::is_rtcp;
use crate::srtp::{SrtpError, SrtpSession};

/// What a datagram was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// STUN or DTLS: dealt with.
    Handled,
    /// The RTP packet is the first so many octets.
    Rtp(usize),
    /// The RTCP packet is the first so many octets.
    Rtcp(usize),
    Refused(Discard),
}

/// Why a datagram was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Discard {
    /// Neither STUN nor DTLS nor RTP, or a broken one.
    Malformed,
    /// Not from the address that ICE has verified.
    Stranger,
    /// Before its time: no remote description, or no keys.
    Early,
    /// Wrong password or SRTP tag.
    Unauthenticated,
    /// An SRTP index used before.
    Replay,
}

impl From<SrtpError> for Discard {
    fn from(error: SrtpError) -> Self {
        match error {
            SrtpError::Malformed | SrtpError::NoRoom => Self::Malformed,
            SrtpError::Replay | SrtpError::Exhausted => Self::Replay,
            SrtpError::Authentication | SrtpError::Crypto => Self::Unauthenticated,
        }
    }
}

/// The kinds of RFC 7983 7.
enum Kind {
    Stun,
    Dtls,
    Rtp,
    Rtcp,
}

impl Kind {
    fn of(datagram: &[u8]) -> Option<Self> {
        match *datagram {
            [0..=3, ..] => Some(Self::Stun),
            [20..=63, ..] => Some(Self::Dtls),
            [128..=191, ..] if is_rtcp(datagram) => Some(Self::Rtcp),
            [128..=191, ..] => Some(Self::Rtp),
            _ => None,
        }
    }
}

impl WhatsAppPeer {
    /// Sorts a datagram out and deals with it. SRTP is opened in place.
    pub(crate) fn handle_datagram(
        &mut self,
        now: Instant,
        source: SocketAddr,
        datagram: &mut [u8],
    ) -> Received {
        let outcome = match Kind::of(datagram) {
            Some(Kind::Rtp) => {
                self.open_media(source, datagram, SrtpSession::unprotect_rtp).map(Received::Rtp)
            }
            Some(Kind::Rtcp) => {
                self.open_media(source, datagram, SrtpSession::unprotect_rtcp).map(Received::Rtcp)
            }
            Some(Kind::Stun) => {
                let handled = self.handle_stun(now, source, datagram);
                self.rearm();
                handled.map(|()| Received::Handled)
            }
            Some(Kind::Dtls) => {
                let handled = self.handle_dtls(now, source, datagram);
                self.rearm();
                handled.map(|()| Received::Handled)
            }
            None => Err(Discard::Malformed),
        };
        outcome.unwrap_or_else(Received::Refused)
    }

    fn open_media(
        &mut self,
        source: SocketAddr,
        packet: &mut [u8],
        open: fn(&mut SrtpSession, &mut [u8]) -> Result<usize, SrtpError>,
    ) -> Result<usize, Discard> {
        match &mut self.state {
            State::Connected { address, srtp, .. } if *address == source => {
                open(srtp, packet).map_err(Discard::from)
            }
            State::Connected { .. } => Err(Discard::Stranger),
            State::Keyed(keyed) => keyed.open(source, packet, open),
            State::Waiting | State::Checking { .. } | State::Securing { .. } | State::Over => {
                Err(Discard::Early)
            }
        }
    }

    fn handle_stun(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) -> Result<(), Discard> {
        let ice = match &mut self.state {
            State::Waiting | State::Over => return Err(Discard::Early),
            // Nobody there knows a password of ours.
            State::Keyed(_) => return Err(Discard::Unauthenticated),
            State::Checking { ice, .. } | State::Securing { ice, .. } | State::Connected { ice, .. } => ice,
        };
        ice.handle_datagram(now, source, datagram)?;
        self.send_checks();
        self.secure(now);
        Ok(())
    }
}
