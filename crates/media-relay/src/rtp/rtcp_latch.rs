//! Where the PBX's RTCP comes from and ours goes to, when it has a port of its own (RFC 3550 11,
//! RFC 3605). As for RTP only the host of the SDP counts; its port is learned (RFC 4961), but the one
//! that the SDP names goes before. After a transfer the leg before may go on reporting from the same
//! host: its source is not learned for the new one's.

use std::net::{Ipv4Addr, SocketAddr};

/// The source of one PBX's RTCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RtcpLatch {
    /// Where the SDP has it; `None` while the PBX receives nowhere.
    said: Option<SocketAddr>,
    /// The host of RTP.
    rtp: SocketAddr,
    heard: Option<SocketAddr>,
    /// Where the leg before was.
    former: Option<SocketAddr>,
}

impl RtcpLatch {
    /// For the addresses of the PBX's SDP. Where it names another host for RTCP, nobody says that this
    /// host wants packets: the port above RTP's stands in.
    pub(crate) fn new(rtp: SocketAddr, rtcp: Option<SocketAddr>) -> Self {
        let above = || rtp.port().checked_add(1).map(|port| SocketAddr::new(rtp.ip(), port));
        let said = rtcp.filter(|rtcp| rtcp.ip() == rtp.ip() && rtcp.port() != 0).or_else(above);
        Self { said: said.filter(|said| !said.ip().is_unspecified()), rtp, heard: None, former: None }
    }

    /// An SDP has come again: what was learned of the same addresses stays, others are another leg's.
    pub(crate) fn renew(&mut self, rtp: SocketAddr, rtcp: Option<SocketAddr>) {
        let fresh = Self::new(rtp, rtcp);
        if (fresh.rtp, fresh.said) != (self.rtp, self.said) {
            let former = self.destination().or(self.former);
            *self = Self { former: former.filter(|former| Some(*former) != fresh.said), ..fresh };
        }
    }

    /// There is no leg until an SDP comes.
    pub(crate) fn leave(&mut self) {
        let former = self.destination().or(self.former);
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        *self = Self { said: None, rtp: nowhere, heard: None, former };
    }

    /// Whether a datagram may be the PBX's; the caller counts those that are not.
    pub(crate) fn accepts(&self, source: SocketAddr) -> bool {
        let learned = match self.heard {
            Some(heard) => source == heard,
            None => source.ip() == self.rtp.ip() && Some(source) != self.former,
        };
        learned || Some(source) == self.said
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
        assert!(!latch.accepts(address("192.0.2.1:4003")), "another port");
        latch.renew(rtp, None);
        assert_eq!(latch.destination(), Some(behind_nat), "a refreshed session");
        latch.renew(address("192.0.2.3:4000"), None);
        assert_eq!(latch.destination(), Some(address("192.0.2.3:4001")), "a transfer");
    }

    /// A PBX has one host for all its legs, and the one before reports until its BYE.
    #[test]
    fn after_a_transfer_the_leg_before_is_not_learned_for_the_new_one() {
        for leaves in [false, true] {
            let (old, new) = (address("192.0.2.1:4000"), address("192.0.2.1:4010"));
            let (old_rtcp, new_rtcp) = (address("192.0.2.1:4001"), address("192.0.2.1:4011"));
            let mut latch = RtcpLatch::new(old, None);
            latch.learn(old_rtcp);
            if leaves {
                latch.leave();
                assert_eq!((latch.destination(), latch.accepts(old_rtcp)), (None, false));
            }
            latch.renew(new, None);
            assert!(!latch.accepts(old_rtcp));
            assert_eq!(latch.destination(), Some(new_rtcp));
            assert!(latch.accepts(address("192.0.2.1:61000")), "the new one behind a NAT");
            // The transfer failed.
            latch.renew(old, None);
            assert!(latch.accepts(old_rtcp) && !latch.accepts(new_rtcp));
        }
    }

    #[test]
    fn the_port_of_the_sdp_goes_before_one_that_was_learned() {
        let mut latch = RtcpLatch::new(address("192.0.2.1:4000"), None);
        latch.learn(address("192.0.2.1:61000"));
        let said = address("192.0.2.1:4001");
        assert!(latch.accepts(said));
        latch.learn(said);
        assert_eq!(latch.destination(), Some(said));
        assert!(!latch.accepts(address("192.0.2.1:61000")));
    }
}
