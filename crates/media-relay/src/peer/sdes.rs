//! A peer whose keys stand in the descriptions (RFC 4568): neither ICE nor DTLS.

use std::net::SocketAddr;

use super::Discard;
use crate::sdp::crypto::{MasterKey, Suite};
use crate::srtp::{SrtpError, SrtpSession};

/// What both descriptions say.
pub(crate) struct SdesPeer {
    /// Where theirs says it is.
    pub(crate) address: SocketAddr,
    pub(crate) suite: Suite,
    pub(crate) ours: MasterKey,
    pub(crate) theirs: MasterKey,
}

/// A peer that can be talked to.
pub(super) struct Keyed {
    pub(super) address: SocketAddr,
    pub(super) srtp: SrtpSession,
}

impl Keyed {
    pub(super) fn new(remote: SdesPeer, locals: &[SocketAddr]) -> Result<Self, &'static str> {
        let SdesPeer { address, suite, ours, theirs } = remote;
        if !locals.iter().any(|local| local.is_ipv4() == address.is_ipv4()) {
            return Err("no address of our address family");
        }
        let srtp = SrtpSession::from_sdes(suite, &ours, &theirs).map_err(|_| "unusable key")?;
        Ok(Self { address, srtp })
    }

    /// Opens a packet. What authenticates proves its source: from then on ours go there. A replayed one
    /// does not authenticate twice, so nobody else can bend them away.
    pub(super) fn open(
        &mut self,
        source: SocketAddr,
        packet: &mut [u8],
        open: fn(&mut SrtpSession, &mut [u8]) -> Result<usize, SrtpError>,
    ) -> Result<usize, Discard> {
        let len = open(&mut self.srtp, packet)?;
        self.address = source;
        Ok(len)
    }
}
