//! Where the PBX's RTCP comes from and ours goes to, when it has a port of its own (RFC 3550 11,
//! RFC 3605). As for RTP only the host of the SDP counts; its port is learned (RFC 4961).

use std::net::SocketAddr;

/// The source of one PBX's RTCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RtcpLatch {
    /// Where the SDP has it; `None` while the PBX receives nowhere.
    said: Option<SocketAddr>,
    /// The host of RTP.
    rtp: SocketAddr,
    heard: Option<SocketAddr>,
}

impl RtcpLatch {
    /// For the addresses of the PBX's SDP. Where it names another host for RTCP, nobody says that this
    /// host wants packets: the port above RTP's stands in.
    pub(crate) fn new(rtp: SocketAddr, rtcp: Option<SocketAddr>) -> Self {
        let above = || rtp.port().checked_add(1).map(|port| SocketAddr::new(rtp.ip(), port));
        let said = rtcp.filter(|rtcp| rtcp.ip() == rtp.ip() && rtcp.port() != 0).or_else(above);
        Self { said: said.filter(|said| !said.ip().is_unspecified()), rtp, heard: None }
    }

    /// The SDP has come again: what was learned of the same addresses stays.
    pub(crate) fn renew(&mut self, rtp: SocketAddr, rtcp: Option<SocketAddr>) {
        let fresh = Self::new(rtp, rtcp);
        if (fresh.rtp, fresh.said) != (self.rtp, self.said) {
            *self = fresh;
        }
    }

    /// Whether a datagram may be the PBX's; the caller counts those that are not.
    pub(crate) fn accepts(&self, source: SocketAddr) -> bool {
        match self.heard {
            Some(heard) => source == heard,
            None => source.ip() == self.rtp.ip(),
        }
    }

    /// A valid packet has come from there, which was accepted.
    pub(crate) fn learn(&mut self, source: SocketAddr) {
        self.heard = Some(source);
    }

    /// Where ours goes.
    pub(crate) fn destination(&self) -> Option<SocketAddr> {
        self.said.map(|said| self.heard.unwrap_or(said))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn reports_go_to_the_port_above_or_where_the_sdp_says() {
        let rtp = address("192.0.2.1:4000");
        let to = |rtcp: Option<&str>| RtcpLatch::new(rtp, rtcp.map(address)).destination();
        assert_eq!(to(None), Some(address("192.0.2.1:4001")));
        assert_eq!(to(Some("192.0.2.1:5005")), Some(address("192.0.2.1:5005")));
        assert_eq!(to(Some("198.51.100.1:5005")), Some(address("192.0.2.1:4001")), "a third party's host");
        assert_eq!(RtcpLatch::new(address("192.0.2.1:65535"), None).destination(), None);
        assert_eq!(RtcpLatch::new(address("0.0.0.0:4000"), None).destination(), None, "on hold");
    }

    #[test]
    fn the_port_is_learned_once_and_from_the_same_host_alone() {
        let rtp = address("192.0.2.1:4000");
        let mut latch = RtcpLatch::new(rtp, None);
        assert!(!latch.accepts(address("192.0.2.2:4001")));
        let behind_nat = address("192.0.2.1:61000");
        assert!(latch.accepts(behind_nat));
        latch.learn(behind_nat);
        assert_eq!(latch.destination(), Some(behind_nat));
        assert!(!latch.accepts(address("192.0.2.1:4001")), "another port");
        latch.renew(rtp, None);
        assert_eq!(latch.destination(), Some(behind_nat), "a refreshed session");
        latch.renew(address("192.0.2.3:4000"), None);
        assert_eq!(latch.destination(), Some(address("192.0.2.3:4001")), "a transfer");
    }
}
