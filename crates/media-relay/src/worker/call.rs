//! One call on a worker: its sockets, the WhatsApp peer and the audio path.

mod rtcp;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Port;
use super::counters::{Counter, Counters};
use super::pbx_leg::{Heard, PbxLeg};
use super::reports::{CallReports, WallClock};
use super::socket::MediaSocket;
use crate::announcement::Announcement;
use crate::event::{MediaEvent, Summary};
use crate::hold::HoldSound;
use crate::path::{AudioPath, Party, PathEvent, WhatsAppFormats};
use crate::peer::{Discard, Far, PeerOutput, Received, WhatsAppPeer};
use crate::rtp::rtcp_latch::RtcpLatch;
use crate::sdp::pbx;
use crate::srtp::TRAILER;
use crate::tap::Wire;
use crate::tone::Tone;

/// Larger datagrams than this are neither audio nor a handshake.
const LARGEST_DATAGRAM: usize = 2048;

/// Datagrams taken from one socket per turn. What is left waits until every
/// other call has had its turn.
const BURST: usize = 32;

/// The owner's callback.
pub(crate) type Events = Box<dyn FnMut(MediaEvent) + Send>;

/// What all calls of a worker share: buffers and counters.
pub(super) struct Tools {
    incoming: [u8; LARGEST_DATAGRAM],
    outgoing: [u8; LARGEST_DATAGRAM + TRAILER],
    pub(super) counters: std::sync::Arc<Counters>,
    wall: WallClock,
}

impl Tools {
    pub(super) fn new(counters: std::sync::Arc<Counters>) -> Self {
        Self {
            incoming: [0; LARGEST_DATAGRAM],
            outgoing: [0; LARGEST_DATAGRAM + TRAILER],
            counters,
            wall: WallClock::read(),
        }
    }
}

/// The remote description, as far as this side of the crate needs it.
pub(crate) struct WhatsAppRemote {
    pub(crate) peer: Far,
    pub(crate) formats: WhatsAppFormats,
}

/// The sockets of a call.
pub(crate) struct Sockets {
    pub(crate) pbx: MediaSocket,
    /// The odd port above (RFC 3550 11).
    pub(crate) pbx_rtcp: MediaSocket,
    pub(crate) whatsapp: MediaSocket,
}

/// One call.
pub(crate) struct Call {
    sockets: Sockets,
    pub(crate) peer: WhatsAppPeer,
    pub(crate) path: AudioPath,
    pub(crate) events: Events,
    /// Where the packets go in the clear as well.
    pub(crate) wire: Option<Box<Wire>>,
    leg: PbxLeg,
    /// Whose reports are taken on the port of their own.
    rtcp: Option<RtcpLatch>,
    /// Whether the PBX's reports go to the port of RTP (RFC 5761).
    rtcp_mux: bool,
    reports: CallReports,
    refused: u64,
    setup: Option<Duration>,
}

impl Call {
    pub(crate) fn new(
        sockets: Sockets,
        peer: WhatsAppPeer,
        path: AudioPath,
        reports: CallReports,
        events: Events,
    ) -> Self {
        Self {
            sockets,
            peer,
            path,
            events,
            wire: None,
            leg: PbxLeg::default(),
            rtcp: None,
            rtcp_mux: false,
            reports,
            refused: 0,
            setup: None,
        }
    }

    pub(super) fn socket(&mut self, port: Port) -> &mut MediaSocket {
        match port {
            Port::Pbx => &mut self.sockets.pbx,
            Port::PbxRtcp => &mut self.sockets.pbx_rtcp,
            Port::WhatsApp => &mut self.sockets.whatsapp,
        }
    }

    pub(super) fn connect_whatsapp(&mut self, now: Instant, remote: WhatsAppRemote) {
        self.path.set_whatsapp(remote.formats);
        if let (Some(wire), Far::Ice(peer)) = (&mut self.wire, &remote.peer)
            && let Some(theirs) = peer.candidates.first()
        {
            wire.found(Party::WhatsApp, *theirs);
        }
        self.reports.set_whatsapp(remote.formats);
        self.peer.connect(now, remote.peer);
    }

    pub(super) fn connect_pbx(&mut self, now: Instant, media: &pbx::Media) {
        if let Err(error) = self.path.set_pbx(media) {
            tracing::warn!(%error, "the audio path refuses what was negotiated");
            return;
        }
        if let Some(wire) = &mut self.wire {
            wire.found(Party::Pbx, media.remote);
        }
        if self.leg.connect(now, media).is_err() {
            tracing::warn!("the keys that were negotiated with the PBX cannot be used");
            self.path.leave_pbx(now);
            return;
        }
        self.reports.set_pbx(now, media);
        self.rtcp_mux = media.rtcp_mux;
        // On hold by 0.0.0.0 reports go where they went.
        if !media.remote.ip().is_unspecified() {
            let fresh = RtcpLatch::new(media.remote, media.rtcp);
            self.rtcp.get_or_insert(fresh).renew(media.remote, media.rtcp);
        }
    }

    /// Nothing is heard from the PBX, nor sent to it, until the next `connect_pbx`.
    pub(super) fn disconnect_pbx(&mut self, now: Instant) {
        self.path.leave_pbx(now);
        self.reports.leave_pbx();
        if let Some(latch) = &mut self.rtcp {
            latch.leave();
        }
        self.leg.disconnect();
    }

    pub(super) fn play_to_pbx(&mut self, now: Instant, tone: Tone) {
        if let Err(error) = self.path.play_to_pbx(now, tone) {
            tracing::warn!(%error, "a tone cannot be played to the PBX");
        }
    }

    pub(super) fn play_to_whatsapp(&mut self, now: Instant, sound: HoldSound) {
        if let Err(error) = self.path.play_to_whatsapp(now, sound) {
            tracing::warn!(%error, "a sound cannot be played to WhatsApp");
        }
    }

    pub(super) fn announce(&mut self, now: Instant, announcement: Announcement) {
        if let Err(error) = self.path.announce(now, announcement) {
            tracing::warn!(%error, "an announcement cannot be played");
        }
    }

    /// The call is answered: sound and reports may pass to WhatsApp.
    pub(super) fn open(&mut self, now: Instant, tools: &mut Tools) {
        self.path.open(now);
        self.reports.start(now, Party::WhatsApp);
        // The first packet is ours, and at once.
        self.handle_timeout(now, tools);
    }

    /// Takes what has come to one socket. Whether there may be more.
    pub(super) fn receive(&mut self, now: Instant, port: Port, tools: &mut Tools) -> bool {
        for _ in 0..BURST {
            let Some((len, source)) = self.socket(port).receive(&mut tools.incoming) else {
                return false;
            };
            let outcome = match port {
                Port::Pbx => self.hear_pbx(now, source, len, tools),
                Port::PbxRtcp => self.hear_pbx_rtcp(now, source, len, tools),
                Port::WhatsApp => self.hear_whatsapp(now, source, len, tools),
            };
            if let Err(why) = outcome {
                self.refused += 1;
                tools.counters.refused(why);
            }
        }
        true
    }

    fn hear_pbx(
        &mut self,
        now: Instant,
        source: SocketAddr,
        len: usize,
        tools: &mut Tools,
    ) -> Result<(), Discard> {
        let Tools { incoming, outgoing, counters, .. } = tools;
        counters.pbx_received.increment();
        let packet = datagram(incoming, len)?;
        let len = match self.leg.receive(now, source, packet)? {
            Heard::Rtp(len) => len,
            // With rtcp-mux, or from a PBX that does so unasked.
            Heard::Rtcp(len) => return self.take_pbx_rtcp(now, len, tools),
        };
        let packet = packet.get(..len).ok_or(Discard::Malformed)?;
        let Self { peer, sockets, reports, path, wire, .. } = self;
        if let Some(wire) = wire {
            wire.received(now, Party::Pbx, source, packet);
        }
        reports.heard(now, Party::Pbx, packet);
        path.from_pbx(now, packet, &mut |rtp: &[u8]| {
            tap(wire, now, Party::WhatsApp, rtp);
            reports.sent(now, Party::WhatsApp, rtp);
            send_protected(peer, &sockets.whatsapp, outgoing, counters, rtp);
        });
        Ok(())
    }

    fn hear_whatsapp(
        &mut self,
        now: Instant,
        source: SocketAddr,
        len: usize,
        tools: &mut Tools,
    ) -> Result<(), Discard> {
        let Tools { incoming, outgoing, counters, .. } = tools;
        counters.whatsapp_received.increment();
        let packet = datagram(incoming, len)?;
        match self.peer.handle_datagram(now, source, packet) {
            Received::Handled => Ok(()),
            Received::Refused(why) => Err(why),
            Received::Rtcp(len) => self.take_whatsapp_rtcp(now, len, tools),
            Received::Rtp(len) => {
                let packet = packet.get(..len).ok_or(Discard::Malformed)?;
                let Self { leg, sockets, reports, path, wire, .. } = self;
                if let Some(wire) = wire {
                    wire.received(now, Party::WhatsApp, source, packet);
                }
                reports.heard(now, Party::WhatsApp, packet);
                path.from_whatsapp(now, packet, &mut |rtp: &[u8]| {
                    tap(wire, now, Party::Pbx, rtp);
                    reports.sent(now, Party::Pbx, rtp);
                    send_to_pbx(leg, &sockets.pbx, outgoing, counters, rtp);
                });
                Ok(())
            }
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, tools: &mut Tools) {
        if self.peer.deadline().is_some_and(|at| at <= now) {
            self.peer.handle_timeout(now);
        }
        self.report(now, tools, CallReports::due);
        let Tools { outgoing, counters, .. } = tools;
        let Self { leg, peer, sockets, reports, path, wire, .. } = self;
        path.handle_timeout(now, &mut |to, rtp: &[u8]| {
            tap(wire, now, to, rtp);
            reports.sent(now, to, rtp);
            match to {
                Party::Pbx => send_to_pbx(leg, &sockets.pbx, outgoing, counters, rtp),
                Party::WhatsApp => send_protected(peer, &sockets.whatsapp, outgoing, counters, rtp),
            }
        });
        reports.measure(now, path);
    }

    /// Drains the machines: sends what is to be sent, tells what has happened.
    pub(super) fn settle(&mut self, counters: &Counters) {
        while let Some(output) = self.peer.poll() {
            match output {
                PeerOutput::Transmit { destination, bytes } => {
                    let sent = self.sockets.whatsapp.send(&bytes, destination);
                    count(sent, &counters.whatsapp_sent, counters);
                }
                PeerOutput::Connected(took) => {
                    self.setup = Some(took);
                    (self.events)(MediaEvent::Connected);
                }
                PeerOutput::Failed(failure) => {
                    counters.failed(&failure);
                    (self.events)(MediaEvent::Failed(failure));
                }
            }
        }
        while let Some(event) = self.path.poll() {
            (self.events)(match event {
                PathEvent::Digit { from, digit } => MediaEvent::Digit { from, digit },
                PathEvent::DigitEnded { from, digit, duration } => {
                    MediaEvent::DigitEnded { from, digit, duration }
                }
                PathEvent::FirstAudio(party) => MediaEvent::FirstAudio(party),
                PathEvent::Silent(party) => MediaEvent::Silent(party),
                PathEvent::Heard(party) => MediaEvent::Heard(party),
                PathEvent::Announced => MediaEvent::Announced,
            });
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let times = [self.peer.deadline(), self.path.deadline(), self.reports.deadline()];
        times.into_iter().flatten().min()
    }

    /// Says goodbye to both sides.
    pub(super) fn close(&mut self, now: Instant, tools: &mut Tools) {
        self.report(now, tools, CallReports::goodbye);
        self.peer.close();
        self.settle(&tools.counters);
    }

    pub(super) fn summary(&mut self) -> Summary {
        Summary {
            packets: self.path.counters(),
            refused: self.refused,
            setup: self.setup,
            quality: self.reports.quality(&self.path),
        }
    }
}

/// One that fills the buffer was longer and is cut off.
fn datagram(buffer: &mut [u8], len: usize) -> Result<&mut [u8], Discard> {
    if len >= buffer.len() {
        return Err(Discard::Malformed);
    }
    buffer.get_mut(..len).ok_or(Discard::Malformed)
}

fn tap(wire: &mut Option<Box<Wire>>, now: Instant, to: Party, rtp: &[u8]) {
    if let Some(wire) = wire {
        wire.sent(now, to, rtp);
    }
}

fn send_protected(
    peer: &mut WhatsAppPeer,
    socket: &MediaSocket,
    buffer: &mut [u8],
    counters: &Counters,
    rtp: &[u8],
) {
    let Some(place) = buffer.get_mut(..rtp.len()) else {
        return counters.unsent.increment();
    };
    place.copy_from_slice(rtp);
    let sent = match peer.protect_rtp(buffer, rtp.len()) {
        Some(Ok((destination, len))) => {
            let datagram = buffer.get(..len);
            datagram.is_some_and(|datagram| socket.send(datagram, destination))
        }
        Some(Err(_)) | None => false,
    };
    count(sent, &counters.whatsapp_sent, counters);
}

/// Plain RTP goes as it is; to be protected it is copied to where there is room for the tag.
fn send_to_pbx(leg: &mut PbxLeg, socket: &MediaSocket, buffer: &mut [u8], counters: &Counters, rtp: &[u8]) {
    let sent = leg.destination().is_some_and(|destination| {
        if !leg.is_secure() {
            return socket.send(rtp, destination);
        }
        let Some(place) = buffer.get_mut(..rtp.len()) else {
            return false;
        };
        place.copy_from_slice(rtp);
        let protected = leg.protect_rtp(buffer, rtp.len()).ok();
        let datagram = protected.and_then(|len| buffer.get(..len));
        datagram.is_some_and(|datagram| socket.send(datagram, destination))
    });
    count(sent, &counters.pbx_sent, counters);
}

fn count(sent: bool, on: &Counter, counters: &Counters) {
    if sent {
        on.increment();
    } else {
        counters.unsent.increment();
    }
}
