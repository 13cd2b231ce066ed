//! What both sides have agreed on becomes the ways between them.

use std::time::{Duration, Instant};

use crate::rtp::dtmf::{Clocks, WHATSAPP_CLOCK};
use crate::sdp::pbx::{Codec, Media};

use super::coding::Coding;
use super::event::{Party, PathError};
use super::inband::Listens;
use super::pbx::{Kind, Leg, Pbx};
use super::transcode::{Target, frame_ms};
use super::way::{Plan, Way};
use super::{AudioPath, OpusFmtp, WhatsAppFormats};

/// Of G.711, and of Opus that comes from it or goes to it.
const NARROW: u32 = 8000;
/// Of G.722, and of Opus beside it.
const WIDE: u32 = 16_000;
/// WhatsApp takes nothing longer, and Opus is sent so to everybody.
const FRAME_MS: u32 = 20;

impl AudioPath {
    /// WhatsApp's formats, from its SDP.
    pub(crate) fn set_whatsapp(&mut self, formats: WhatsAppFormats) {
        if std::mem::replace(&mut self.formats, formats) == formats {
            return;
        }
        // What was agreed with the PBX was made for the formats before.
        let Some(media) = self.pbx.media().cloned() else {
            return;
        };
        if let Err(error) = self.set_ways(&media, false) {
            tracing::warn!(%error, "the audio path refuses WhatsApp's formats");
        }
    }

    /// The loss, in percent, that WhatsApp reports of what we send: above 1 % our encoder adds
    /// redundancy.
    pub(crate) fn set_reported_loss(&mut self, percent: u8) {
        self.loss = percent;
        if let Some(inbound) = self.pbx.inbound_mut() {
            inbound.set_loss(percent);
        }
    }

    /// What the jitter buffer adds now to the packets from a side; nothing where they pass through.
    pub(crate) fn buffer_delay(&self, from: Party) -> Duration {
        let way = match from {
            Party::Pbx => self.pbx.inbound(),
            Party::WhatsApp => self.pbx.outbound(),
        };
        way.map_or(Duration::ZERO, Way::delay)
    }

    /// What was agreed with the PBX; again after a re-negotiation, and the lines go on.
    ///
    /// # Errors
    /// The codec cannot be set up.
    pub(crate) fn set_pbx(&mut self, media: &Media) -> Result<(), PathError> {
        // What stays untouched goes on without a break: a refreshed session, hold towards WhatsApp.
        if self.pbx.media() != Some(media) {
            self.to_pbx.line.new_source(media.codec.clock());
        }
        // Another leg's packets have nothing to do with those before, whatever their numbers.
        let elsewhere = self.pbx.media().is_some_and(|before| before.remote != media.remote);
        self.listen_anew(elsewhere);
        self.set_ways(media, elsewhere)?;
        if let Some(inbound) = self.pbx.inbound_mut().filter(|_| !media.direction.receives()) {
            inbound.pause();
        }
        self.hold_changed();
        Ok(())
    }

    /// When sound that waits is to be played.
    pub(super) fn waiting_until(&self) -> Option<Instant> {
        let leg = self.pbx.0.as_ref().filter(|_| self.is_open())?;
        [leg.inbound.deadline(), leg.outbound.deadline()].into_iter().flatten().min()
    }

    /// What one of WhatsApp's payload types stands for.
    pub(super) fn whatsapp_kind(&self, payload_type: u8) -> Option<Kind> {
        let WhatsAppFormats { opus, pcmu, pcma, dtmf, .. } = self.formats;
        let codecs = [(opus, Codec::Opus), (pcmu, Codec::Pcmu), (pcma, Codec::Pcma)];
        let sound = codecs.into_iter().find(|(number, _)| *number == Some(payload_type));
        let sound = sound.map(|(_, codec)| Kind::Sound(codec.into()));
        sound.or((payload_type == dtmf).then_some(Kind::Dtmf))
    }

    /// Ways that need no other encoder go on, so that the far ends' decoders do.
    fn set_ways(&mut self, media: &Media, elsewhere: bool) -> Result<(), PathError> {
        let (inbound, outbound) = (self.inbound_plan(media), self.outbound_plan(media));
        self.set_key_clocks(media, outbound.source.clock(), inbound.target.coding.clock());
        let before = self.pbx.0.take();
        let (mut first, mut second) = (None, None);
        if let Some(leg) = before {
            first = Some(leg.inbound).filter(|way| way.plan().goes_on_as(&inbound));
            second = Some(leg.outbound).filter(|way| way.plan().goes_on_as(&outbound));
        }
        let inbound = match first {
            Some(mut way) => {
                if way.go_on(inbound, elsewhere) {
                    self.to_whatsapp.line.new_source(inbound.target.coding.clock());
                }
                way
            }
            None => {
                self.to_whatsapp.line.new_source(inbound.target.coding.clock());
                Way::new(inbound, self.loss)?
            }
        };
        let outbound = match second {
            Some(mut way) => {
                way.go_on(outbound, false);
                way
            }
            None => Way::new(outbound, 0)?,
        };
        self.pbx = Pbx(Some(Leg { media: media.clone(), inbound, outbound }));
        Ok(())
    }

    /// What keys are counted in, beside sound that comes from WhatsApp, and goes there, in these clocks.
    fn set_key_clocks(&mut self, media: &Media, from_whatsapp: u32, to_whatsapp: u32) {
        if let Some((_, events)) = media.dtmf {
            let from_pbx = Clocks { timestamp: events, from: events, to: WHATSAPP_CLOCK, line: to_whatsapp };
            self.to_whatsapp.relay.set_clocks(from_pbx);
            let line = media.codec.clock();
            let to_pbx = Clocks { timestamp: from_whatsapp, from: WHATSAPP_CLOCK, to: events, line };
            self.to_pbx.relay.set_clocks(to_pbx);
        }
    }

    /// How WhatsApp gets the sound of a PBX of this codec, and as which payload type: untouched where it may be.
    fn whatsapp_format(&self, codec: Option<Codec>) -> (Codec, u8) {
        let WhatsAppFormats { opus, pcmu, pcma, .. } = self.formats;
        let same = match codec {
            Some(Codec::Pcmu) => pcmu.map(|number| (Codec::Pcmu, number)),
            Some(Codec::Pcma) => pcma.map(|number| (Codec::Pcma, number)),
            Some(Codec::Opus | Codec::G722) | None => None,
        };
        let same = same.filter(|_| self.untouched || opus.is_none());
        match (same, opus, pcma) {
            (Some(same), ..) => same,
            (None, Some(number), _) => (Codec::Opus, number),
            (None, None, Some(number)) => (Codec::Pcma, number),
            (None, None, None) => (Codec::Pcmu, pcmu.unwrap_or(0)),
        }
    }

    /// How WhatsApp gets frames of our own: as it gets the PBX's.
    pub(super) fn own_format(&self) -> (Coding, u8) {
        if let Some(inbound) = self.pbx.inbound() {
            return (inbound.plan().target.coding, inbound.plan().payload_type);
        }
        let (codec, number) = self.whatsapp_format(None);
        (codec.into(), number)
    }

    fn inbound_plan(&self, media: &Media) -> Plan {
        let fmtp = self.formats.fmtp;
        let (codec, number) = self.whatsapp_format(Some(media.codec));
        let narrow = matches!(media.codec, Codec::Pcmu | Codec::Pcma) || codec != Codec::Opus;
        let rate = if narrow { NARROW } else { WIDE };
        let plan = self.plan(media.codec, (codec, rate, FRAME_MS, fmtp), number);
        Plan { listens: self.listens_to(media), ..plan }
    }

    fn outbound_plan(&self, media: &Media) -> Plan {
        let WhatsAppFormats { pcmu, pcma, .. } = self.formats;
        let source = match media.codec {
            Codec::Pcmu if pcmu.is_some() => Codec::Pcmu,
            Codec::Pcma if pcma.is_some() => Codec::Pcma,
            _ => Codec::Opus,
        };
        let (rate, frame) = match media.codec {
            Codec::Opus => (WIDE, FRAME_MS),
            Codec::G722 => (WIDE, frame_ms(media.ptime_ms)),
            Codec::Pcmu | Codec::Pcma => (NARROW, frame_ms(media.ptime_ms)),
        };
        self.plan(source, (media.codec, rate, frame, OpusFmtp::default()), media.payload_type)
    }

    fn plan(&self, source: Codec, target: (Codec, u32, u32, OpusFmtp), payload_type: u8) -> Plan {
        let (codec, rate, frame_ms, fmtp) = target;
        let complexity = self.opus_complexity;
        Plan {
            source: source.into(),
            target: Target { coding: codec.into(), rate, frame_ms, complexity, fmtp },
            payload_type,
            limits: self.jitter,
            listens: Listens::Never,
        }
    }
}
