//! The PBX's side of a path: what was agreed on, and what it needs.

use crate::codec::g711::Law;
use crate::codec::{FRAME_SAMPLES, opus};
use crate::rtp::header::{Header, Packet};
use crate::rtp::rewrite::Stamp;
use crate::sdp::pbx::{Codec, Media, OfferedAs};

use super::transcode::Transcoder;

pub(super) enum Pbx {
    Unknown,
    Opus(Media),
    G711(Media, Box<Transcoder>),
}

/// What a payload type stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Opus,
    G711(Law),
    Dtmf,
}

impl Pbx {
    pub(super) fn media(&self) -> Option<&Media> {
        match self {
            Self::Unknown => None,
            Self::Opus(media) | Self::G711(media, _) => Some(media),
        }
    }

    pub(super) fn media_mut(&mut self) -> Option<&mut Media> {
        match self {
            Self::Unknown => None,
            Self::Opus(media) | Self::G711(media, _) => Some(media),
        }
    }

    /// `None` for what was not agreed on. Both laws are taken when one was: some PBXs change
    /// between them without a word.
    pub(super) fn kind(&self, payload_type: u8) -> Option<Kind> {
        let media = self.media()?;
        if !media.direction.receives() {
            return None;
        }
        let OfferedAs { audio, dtmf } = media.offered_as;
        if media.dtmf.is_some_and(|(pt, _)| pt == payload_type) {
            return Some(Kind::Dtmf);
        }
        match (self, payload_type) {
            (_, pt) if pt != media.payload_type && Some(pt) == dtmf => Some(Kind::Dtmf),
            (Self::Opus(_), pt) if Some(pt) == audio => Some(Kind::Opus),
            (Self::Opus(_), pt) if pt == media.payload_type => Some(Kind::Opus),
            (Self::G711(..), pt) if pt == media.payload_type => Some(Kind::G711(law(media.codec))),
            (Self::G711(..), 0) => Some(Kind::G711(Law::Mu)),
            (Self::G711(..), 8) => Some(Kind::G711(Law::A)),
            _ => None,
        }
    }

    /// 20 ms for WhatsApp in the PBX's silence.
    pub(super) fn silence(&mut self) -> &[u8] {
        match self {
            Self::Unknown | Self::Opus(_) => &opus::SILENCE,
            Self::G711(_, transcoder) => transcoder.encoding.own_frame(&[0; FRAME_SAMPLES]),
        }
    }

    /// A packet that is left out is no packet that was lost.
    pub(super) fn skip(&mut self, packet: &Packet<'_>) {
        if let Self::G711(_, transcoder) = self {
            transcoder.encoding.skip(&packet.header);
        }
    }

    /// The place of an event's packet from the PBX, and whether its timestamp counts as its
    /// audio's do: in another clock it means nothing there. `None` when it comes late.
    pub(super) fn place_event_from(&mut self, header: Header) -> Option<(Stamp, bool)> {
        let (stamp, media) = match self {
            Self::Unknown => return None,
            Self::Opus(media) => (Stamp::from(header), media),
            Self::G711(media, transcoder) => (transcoder.encoding.place_event(&header)?, media),
        };
        let same = media.dtmf.is_some_and(|(_, clock)| clock == media.codec.clock());
        Some((stamp, same))
    }

    /// A packet that is not for the PBX is no packet lost on the way to it.
    pub(super) fn skip_to(&mut self, header: Header) {
        if let Self::G711(_, transcoder) = self {
            transcoder.decoding.skip(&header);
        }
    }

    /// The place of an event's packet to the PBX; `None` when it comes late.
    pub(super) fn place_event_to(&mut self, header: Header) -> Option<Stamp> {
        match self {
            Self::Unknown => None,
            Self::Opus(_) => Some(Stamp::from(header)),
            Self::G711(_, transcoder) => transcoder.decoding.place_event(&header),
        }
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
