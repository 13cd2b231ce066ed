//! The PBX's side of a path: what was agreed on, and what becomes of the sound.

use crate::codec::g711::Law;
use crate::rtp::header::{Header, Packet};
use crate::rtp::rewrite::{Line, Stamp};
use crate::sdp::pbx::{Codec, Media, OfferedAs};

use super::coding::Coding;
use super::way::Way;

/// Nothing is agreed on, or this.
pub(super) struct Pbx(pub(super) Option<Leg>);

pub(super) struct Leg {
    pub(super) media: Media,
    pub(super) inbound: Way,
    pub(super) outbound: Way,
}

/// What a payload type stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Sound(Coding),
    Dtmf,
}

impl Pbx {
    pub(super) fn media(&self) -> Option<&Media> {
        self.0.as_ref().map(|leg| &leg.media)
    }

    pub(super) fn media_mut(&mut self) -> Option<&mut Media> {
        self.0.as_mut().map(|leg| &mut leg.media)
    }

    pub(super) fn inbound(&self) -> Option<&Way> {
        self.0.as_ref().map(|leg| &leg.inbound)
    }

    pub(super) fn inbound_mut(&mut self) -> Option<&mut Way> {
        self.0.as_mut().map(|leg| &mut leg.inbound)
    }

    pub(super) fn outbound(&self) -> Option<&Way> {
        self.0.as_ref().map(|leg| &leg.outbound)
    }

    /// `None` for what was not agreed on. Both laws are taken when one was: some PBXs change
    /// between them without a word.
    pub(super) fn kind(&self, payload_type: u8) -> Option<Kind> {
        let media = self.media()?;
        if !media.direction.receives() {
            return None;
        }
        let OfferedAs { audio, dtmf } = media.offered_as;
        let agreed = Kind::Sound(media.codec.into());
        if media.dtmf.is_some_and(|(pt, _)| pt == payload_type) {
            return Some(Kind::Dtmf);
        }
        match (media.codec, payload_type) {
            (_, pt) if pt == media.payload_type => Some(agreed),
            (_, pt) if Some(pt) == dtmf => Some(Kind::Dtmf),
            (_, pt) if Some(pt) == audio => Some(agreed),
            (Codec::Pcmu | Codec::Pcma, 0) => Some(Kind::Sound(Coding::G711(Law::Mu))),
            (Codec::Pcmu | Codec::Pcma, 8) => Some(Kind::Sound(Coding::G711(Law::A))),
            _ => None,
        }
    }

    /// A packet that is no sound is no packet that was lost.
    pub(super) fn skip(&mut self, packet: &Packet<'_>) {
        if let Some(leg) = &mut self.0 {
            leg.inbound.skip(&packet.header);
        }
    }

    /// As [`Self::skip`], for a packet from WhatsApp.
    pub(super) fn skip_to(&mut self, header: Header) {
        if let Some(leg) = &mut self.0 {
            leg.outbound.skip(&header);
        }
    }

    /// A packet of sound that WhatsApp does not get.
    pub(super) fn leave_out(&mut self, header: Header, line: &mut Line) {
        if let Some(leg) = &mut self.0 {
            leg.inbound.leave_out(&header, line);
        }
    }

    /// A packet of sound that the PBX does not get.
    pub(super) fn leave_out_to(&mut self, header: Header, line: &mut Line) {
        if let Some(leg) = &mut self.0 {
            leg.outbound.leave_out(&header, line);
        }
    }

    /// The place of an event's packet from the PBX, and whether its timestamp counts as its
    /// audio's do: in another clock it means nothing there. `None` when it comes late.
    pub(super) fn place_event_from(&mut self, header: Header) -> Option<(Stamp, bool)> {
        let leg = self.0.as_mut()?;
        let stamp = leg.inbound.place_event(&header)?;
        let same = leg.media.dtmf.is_some_and(|(_, clock)| clock == leg.media.codec.clock());
        Some((stamp, same))
    }

    /// The place of an event's packet to the PBX; `None` when it comes late.
    pub(super) fn place_event_to(&mut self, header: Header) -> Option<Stamp> {
        self.0.as_mut()?.outbound.place_event(&header)
    }
}

pub(super) fn law(codec: Codec) -> Law {
    match codec {
        Codec::Pcma => Law::A,
        Codec::Pcmu | Codec::Opus | Codec::G722 => Law::Mu,
    }
}

/// Whether the PBX wants packets.
pub(super) fn sends(media: &Media) -> bool {
    media.direction.sends() && !media.remote.ip().is_unspecified()
}
