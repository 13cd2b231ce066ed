//! The reports (RTCP) of a call: which are taken, and how ours leave.

use std::net::SocketAddr;
use std::time::Instant;

use super::super::reports::{CallReports, WallClock};
use super::{Call, LARGEST_DATAGRAM, Tools, count, datagram};
use crate::path::Party;
use crate::peer::Discard;
use crate::rtp::rtcp::LONGEST_REPORT;
use crate::rtp::rtcp_latch::RtcpLatch;

const _: () = assert!(LONGEST_REPORT <= LARGEST_DATAGRAM, "a report fits in the buffer");

/// Which report is written: the one that is due, or the last.
type WriteReport = fn(&mut CallReports, Instant, WallClock, Party, &mut [u8]) -> Option<usize>;

impl Call {
    /// What comes to the port of RTCP alone. A BYE there, forged or not, ends nothing.
    pub(super) fn hear_pbx_rtcp(
        &mut self,
        now: Instant,
        source: SocketAddr,
        len: usize,
        tools: &mut Tools,
    ) -> Result<(), Discard> {
        let Tools { incoming, counters, .. } = tools;
        counters.pbx_received.increment();
        let packet = datagram(incoming, len)?;
        let latch = self.rtcp.as_ref().ok_or(Discard::Early)?;
        if !latch.accepts(source) {
            return Err(Discard::Stranger);
        }
        let len = self.leg.open_rtcp(packet)?;
        self.take_pbx_rtcp(now, len, tools)?;
        if let Some(latch) = &mut self.rtcp {
            latch.learn(source);
        }
        Ok(())
    }

    /// The report in the buffer is the PBX's, by its source.
    pub(super) fn take_pbx_rtcp(
        &mut self,
        now: Instant,
        len: usize,
        tools: &mut Tools,
    ) -> Result<(), Discard> {
        let Tools { incoming, counters, .. } = tools;
        let packet = datagram(incoming, len)?;
        self.reports.handle_rtcp(now, Party::Pbx, packet).map_err(|_| Discard::Malformed)?;
        counters.pbx_rtcp.increment();
        self.path.heard_from(now, Party::Pbx);
        Ok(())
    }

    /// The report in the buffer is WhatsApp's: it is authenticated.
    pub(super) fn take_whatsapp_rtcp(
        &mut self,
        now: Instant,
        len: usize,
        tools: &mut Tools,
    ) -> Result<(), Discard> {
        let Tools { incoming, counters, .. } = tools;
        let packet = datagram(incoming, len)?;
        let lost = self.reports.handle_rtcp(now, Party::WhatsApp, packet);
        if let Some(percent) = lost.map_err(|_| Discard::Malformed)? {
            self.path.set_reported_loss(percent);
        }
        counters.whatsapp_rtcp.increment();
        self.path.heard_from(now, Party::WhatsApp);
        Ok(())
    }

    /// Sends the reports that `write` gives.
    pub(super) fn report(&mut self, now: Instant, tools: &mut Tools, write: WriteReport) {
        let Tools { outgoing, counters, wall, .. } = tools;
        let Self { leg, peer, sockets, reports, .. } = self;
        let (socket, destination) = if self.rtcp_mux {
            (&sockets.pbx, leg.destination())
        } else {
            (&sockets.pbx_rtcp, self.rtcp.as_ref().and_then(RtcpLatch::destination))
        };
        if let Some(len) = write(reports, now, *wall, Party::Pbx, outgoing)
            && let Some(destination) = destination
        {
            let protected = leg.protect_rtcp(outgoing, len).ok();
            let report = protected.and_then(|len| outgoing.get(..len));
            let sent = report.is_some_and(|report| socket.send(report, destination));
            count(sent, &counters.reports_sent, counters);
        }
        if let Some(len) = write(reports, now, *wall, Party::WhatsApp, outgoing)
            && let Some(protected) = peer.protect_rtcp(outgoing, len)
        {
            let sent = protected.is_ok_and(|(destination, len)| {
                let report = outgoing.get(..len);
                report.is_some_and(|report| sockets.whatsapp.send(report, destination))
            });
            count(sent, &counters.reports_sent, counters);
        }
    }
}
