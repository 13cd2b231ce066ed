//! The PBX's side of a call: whose packets are taken, where ours go, and the keys of SRTP.

use std::net::SocketAddr;
use std::time::Instant;

use aws_lc_rs::error::Unspecified;

use crate::peer::Discard;
use crate::rtp::header::is_rtcp;
use crate::rtp::latch::Latch;
use crate::sdp::pbx::{Media, Secure};
use crate::srtp::{SrtpError, SrtpSession};

/// The leg that is heard, and the one before.
#[derive(Default)]
pub(crate) struct PbxLeg {
    /// `None` until the PBX is connected, and between two legs.
    current: Option<Leg>,
    /// The call may come back to it.
    former: Option<Leg>,
}

struct Leg {
    latch: Latch,
    srtp: Option<Keyed>,
}

/// A session and the keys it was made of.
struct Keyed {
    secure: Secure,
    session: SrtpSession,
}

/// A packet of the PBX, in the clear.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// RTP of so many octets.
    Rtp(usize),
    /// RTCP of so many octets.
    Rtcp(usize),
}

impl PbxLeg {
    /// What was negotiated, with the same leg or another. Where the address stays, so does the source
    /// that was learned; where a key stays, so do its counters.
    ///
    /// # Errors
    /// A key is not one of its suite. What was connected is not any more.
    pub(crate) fn connect(&mut self, now: Instant, media: &Media) -> Result<(), Unspecified> {
        let srtp = match &media.secure {
            Some(secure) => self.keyed(secure),
            None => Ok(None),
        };
        let srtp = match srtp {
            Ok(srtp) => srtp,
            Err(error) => {
                self.disconnect();
                return Err(error);
            }
        };
        if let Some(leg) = &mut self.current {
            // On hold by 0.0.0.0 the PBX may still play its music from where it was.
            if media.remote.ip().is_unspecified() || leg.latch.sdp() == media.remote {
                leg.srtp = srtp;
                return Ok(());
            }
        }
        let returns = self.former.take_if(|former| former.latch.sdp() == media.remote);
        let mut latch = returns.map_or_else(|| Latch::new(media.remote), |leg| leg.latch);
        let before = self.current.take().or(self.former.take());
        if let Some(before) = &before {
            latch.follow(now, &before.latch);
        }
        self.former = before;
        self.current = Some(Leg { latch, srtp });
        Ok(())
    }

    /// Nothing is taken and nothing sent until the next [`Self::connect`].
    pub(crate) fn disconnect(&mut self) {
        self.former = self.current.take().or(self.former.take());
    }

    /// Takes a datagram, decrypted in place. Only one that authenticates teaches where the PBX is.
    ///
    /// # Errors
    /// Why it is not the PBX's.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        source: SocketAddr,
        datagram: &mut [u8],
    ) -> Result<Heard, Discard> {
        let leg = self.current.as_mut().ok_or(Discard::Early)?;
        if !leg.latch.may_be(now, source) {
            return Err(Discard::Stranger);
        }
        if is_rtcp(datagram) {
            return Ok(Heard::Rtcp(leg.open_rtcp(datagram)?));
        }
        let len = match &mut leg.srtp {
            Some(keyed) => keyed.session.unprotect_rtp(datagram)?,
            None => datagram.len(),
        };
        let packet = datagram.get(..len).ok_or(Discard::Malformed)?;
        if !leg.latch.accepts(now, source, packet) {
            return Err(Discard::Stranger);
        }
        Ok(Heard::Rtp(len))
    }

    /// Where our packets go; `None` while the PBX receives nowhere.
    pub(crate) fn destination(&self) -> Option<SocketAddr> {
        self.current.as_ref()?.latch.destination()
    }

    /// Whether packets are protected: they need a buffer of their own for it.
    pub(crate) fn is_secure(&self) -> bool {
        self.current.as_ref().is_some_and(|leg| leg.srtp.is_some())
    }

    /// Protects the RTP packet `buffer[..len]`, where there are keys; what is to be sent is
    /// `buffer[..returned]`. The buffer needs room for [`TRAILER`](crate::srtp::TRAILER) more octets.
    ///
    /// # Errors
    /// It must not be sent.
    pub(crate) fn protect_rtp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        match self.session() {
            Some(session) => session.protect_rtp(buffer, len),
            None => Ok(len),
        }
    }

    /// Takes a datagram of the RTCP port, decrypted in place; its length is returned.
    ///
    /// # Errors
    /// There is no PBX, or it does not authenticate.
    pub(crate) fn open_rtcp(&mut self, datagram: &mut [u8]) -> Result<usize, Discard> {
        self.current.as_mut().ok_or(Discard::Early)?.open_rtcp(datagram)
    }

    /// As [`Self::protect_rtp`], of a compound RTCP packet.
    ///
    /// # Errors
    /// It must not be sent.
    pub(crate) fn protect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        match self.session() {
            Some(session) => session.protect_rtcp(buffer, len),
            None => Ok(len),
        }
    }

    fn session(&mut self) -> Option<&mut SrtpSession> {
        Some(&mut self.current.as_mut()?.srtp.as_mut()?.session)
    }

    /// A session with these keys. One that lives goes on in the directions whose key it has: from the
    /// start again, the same counters would pass under the same key.
    fn keyed(&mut self, secure: &Secure) -> Result<Option<Keyed>, Unspecified> {
        let Some(Keyed { secure: before, mut session }) = self.take_session(secure) else {
            let session = SrtpSession::from_sdes(secure.suite, &secure.ours, &secure.theirs)?;
            return Ok(Some(Keyed { secure: secure.clone(), session }));
        };
        if before.ours != secure.ours {
            session.send_with(secure.suite, &secure.ours)?;
        }
        if before.theirs != secure.theirs {
            session.receive_with(secure.suite, &secure.theirs)?;
        }
        Ok(Some(Keyed { secure: secure.clone(), session }))
    }

    /// The session that has one of these keys, ours above all.
    fn take_session(&mut self, secure: &Secure) -> Option<Keyed> {
        let has_ours = |keyed: &Secure| keyed.suite == secure.suite && keyed.ours == secure.ours;
        let has_theirs = |keyed: &Secure| keyed.suite == secure.suite && keyed.theirs == secure.theirs;
        self.take_where(has_ours).or_else(|| self.take_where(has_theirs))
    }

    fn take_where(&mut self, has: impl Fn(&Secure) -> bool) -> Option<Keyed> {
        let legs = [&mut self.current, &mut self.former];
        legs.into_iter().flatten().find_map(|leg| leg.srtp.take_if(|keyed| has(&keyed.secure)))
    }
}

impl Leg {
    fn open_rtcp(&mut self, datagram: &mut [u8]) -> Result<usize, Discard> {
        match &mut self.srtp {
            Some(keyed) => Ok(keyed.session.unprotect_rtcp(datagram)?),
            None => Ok(datagram.len()),
        }
    }
}

#[cfg(test)]
mod tests;
