//! One call on a worker: two sockets, the WhatsApp peer and the audio path.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::counters::Counters;
use super::pbx_leg::{Heard, PbxLeg};
use super::socket::MediaSocket;
use crate::announcement::Announcement;
use crate::event::{MediaEvent, Summary};
use crate::hold::HoldSound;
use crate::path::{AudioPath, Party, PathEvent, WhatsAppFormats};
use crate::peer::{Discard, Far, PeerOutput, Received, WhatsAppPeer};
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
}

impl Tools {
    pub(super) fn new(counters: std::sync::Arc<Counters>) -> Self {
        Self { incoming: [0; LARGEST_DATAGRAM], outgoing: [0; LARGEST_DATAGRAM + TRAILER], counters }
    }
}

/// The remote description, as far as this side of the crate needs it.
pub(crate) struct WhatsAppRemote {
    pub(crate) peer: Far,
    pub(crate) formats: WhatsAppFormats,
}

/// One call.
pub(crate) struct Call {
    pub(crate) pbx: MediaSocket,
    pub(crate) whatsapp: MediaSocket,
    pub(crate) peer: WhatsAppPeer,
    pub(crate) path: AudioPath,
    pub(crate) events: Events,
    /// Where the packets go in the clear as well.
    pub(crate) wire: Option<Box<Wire>>,
    leg: PbxLeg,
    refused: u64,
    setup: Option<Duration>,
}

impl Call {
    pub(crate) fn new(
        (pbx, whatsapp): (MediaSocket, MediaSocket),
        peer: WhatsAppPeer,
        path: AudioPath,
        events: Events,
    ) -> Self {
        Self {
            pbx,
            whatsapp,
            peer,
            path,
            events,
            wire: None,
            leg: PbxLeg::default(),
            refused: 0,
            setup: None,
        }
    }

    pub(super) fn connect_whatsapp(&mut self, now: Instant, remote: WhatsAppRemote) {
        self.path.set_whatsapp(remote.formats);
        if let (Some(wire), Far::Ice(peer)) = (&mut self.wire, &remote.peer)
            && let Some(theirs) = peer.candidates.first()
        {
            wire.found(Party::WhatsApp, *theirs);
        }
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
        }
    }

    /// Nothing is heard from the PBX, nor sent to it, until the next `connect_pbx`.
    pub(super) fn disconnect_pbx(&mut self, now: Instant) {
        self.path.leave_pbx(now);
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

    /// Takes what has come from one side. Whether there may be more.
    pub(super) fn receive(&mut self, now: Instant, from: Party, tools: &mut Tools) -> bool {
        for _ in 0..BURST {
            let socket = match from {
                Party::Pbx => &self.pbx,
                Party::WhatsApp => &self.whatsapp,
            };
            let Some((len, source)) = socket.receive(&mut tools.incoming) else {
                return false;
            };
            let outcome = match from {
                Party::Pbx => self.hear_pbx(now, source, len, tools),
                Party::WhatsApp => self.hear_whatsapp(now, source, len, tools),
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
        let Tools { incoming, outgoing, counters } = tools;
        counters.pbx_received.increment();
        let packet = datagram(incoming, len)?;
        let len = match self.leg.receive(now, source, packet)? {
            Heard::Rtp(len) => len,
            Heard::Rtcp(_) => {
                counters.pbx_rtcp.increment();
                self.path.heard_from(now, Party::Pbx);
                return Ok(());
            }
        };
        let packet = packet.get(..len).ok_or(Discard::Malformed)?;
        let (peer, socket, wire) = (&mut self.peer, &self.whatsapp, &mut self.wire);
        if let Some(wire) = wire {
            wire.received(now, Party::Pbx, source, packet);
        }
        self.path.from_pbx(now, packet, &mut |rtp: &[u8]| {
            tap(wire, now, Party::WhatsApp, rtp);
            send_protected(peer, socket, outgoing, counters, rtp);
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
        let Tools { incoming, outgoing, counters } = tools;
        counters.whatsapp_received.increment();
        let packet = datagram(incoming, len)?;
        match self.peer.handle_datagram(now, source, packet) {
            // RTCP is authenticated and counted; its reports wait for a use.
            Received::Handled => Ok(()),
            Received::Rtcp(_) => {
                self.path.heard_from(now, Party::WhatsApp);
                Ok(())
            }
            Received::Refused(why) => Err(why),
            Received::Rtp(len) => {
                let packet = packet.get(..len).ok_or(Discard::Malformed)?;
                let (leg, socket, wire) = (&mut self.leg, &self.pbx, &mut self.wire);
                if let Some(wire) = wire {
                    wire.received(now, Party::WhatsApp, source, packet);
                }
                self.path.from_whatsapp(now, packet, &mut |rtp: &[u8]| {
                    tap(wire, now, Party::Pbx, rtp);
                    send_to_pbx(leg, socket, outgoing, counters, rtp);
                });
                Ok(())
            }
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, tools: &mut Tools) {
        if self.peer.deadline().is_some_and(|at| at <= now) {
            self.peer.handle_timeout(now);
        }
        let Tools { outgoing, counters, .. } = tools;
        let (leg, peer, pbx, whatsapp) = (&mut self.leg, &mut self.peer, &self.pbx, &self.whatsapp);
        let wire = &mut self.wire;
        self.path.handle_timeout(now, &mut |to, rtp: &[u8]| {
            tap(wire, now, to, rtp);
            match to {
                Party::Pbx => send_to_pbx(leg, pbx, outgoing, counters, rtp),
                Party::WhatsApp => send_protected(peer, whatsapp, outgoing, counters, rtp),
            }
        });
    }

    /// Drains the machines: sends what is to be sent, tells what has happened.
    pub(super) fn settle(&mut self, counters: &Counters) {
        while let Some(output) = self.peer.poll() {
            match output {
                PeerOutput::Transmit { destination, bytes } => {
                    let sent = self.whatsapp.send(&bytes, destination);
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
        let times = [self.peer.deadline(), self.path.deadline()];
        times.into_iter().flatten().min()
    }

    /// Says goodbye to WhatsApp's relay.
    pub(super) fn close(&mut self, counters: &Counters) {
        self.peer.close();
        self.settle(counters);
    }

    pub(super) fn summary(&self) -> Summary {
        Summary { packets: self.path.counters(), refused: self.refused, setup: self.setup }
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

fn count(sent: bool, on: &super::counters::Counter, counters: &Counters) {
    if sent {
        on.increment();
    } else {
        counters.unsent.increment();
    }
}
