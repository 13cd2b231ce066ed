//! What may differ from call to call.

use std::time::Duration;

use crate::hold::HoldSound;
use crate::sdp::pbx::Codec;
use crate::tap::Tap;

/// What the owner of a call chooses for its audio path.
#[derive(Debug, Clone, Default)]
pub struct SessionOptions {
    /// How long packets that are decoded may wait for those before them.
    pub jitter: JitterLimits,
    /// Whether WhatsApp gets G.711 untouched where both sides have it, rather than Opus.
    pub untouched: bool,
    /// What WhatsApp hears while the PBX holds the call and plays nothing.
    pub hold_sound: HoldSound,
    /// When a side that says nothing is told of.
    pub timeouts: MediaTimeouts,
    /// How our offers to WhatsApp have the keys of its audio exchanged; an answer follows its offer.
    pub keying: Keying,
    /// The G.711 that WhatsApp may be spoken to in beside Opus, the one we like best first.
    pub additional_codecs: Vec<Codec>,
    /// Who gets a copy of each packet in the clear.
    pub tap: Option<Tap>,
}

impl SessionOptions {
    /// What WhatsApp is told that we speak, the codec we like best first.
    pub(crate) fn whatsapp_codecs(&self) -> Vec<Codec> {
        let mut codecs = vec![Codec::Opus];
        for codec in self.additional_codecs.iter().filter(|codec| is_g711(**codec)) {
            if !codecs.contains(codec) {
                codecs.push(*codec);
            }
        }
        if self.untouched {
            codecs.rotate_left(1);
        }
        codecs
    }
}

fn is_g711(codec: Codec) -> bool {
    matches!(codec, Codec::Pcmu | Codec::Pcma)
}

/// How the keys of WhatsApp's audio are exchanged: what `srtp_key_exchange_protocol` of the number says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keying {
    /// By DTLS, after ICE (RFC 5763).
    #[default]
    Dtls,
    /// In the SDP, without ICE and DTLS (RFC 4568).
    Sdes,
}

/// How long each side of an open call may send nothing, neither RTP nor RTCP, before
/// [`MediaEvent::Silent`](crate::MediaEvent::Silent) is told. Zero: for ever. Hold does not count, nor
/// does a transfer that rings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MediaTimeouts {
    /// The PBX.
    pub pbx: Duration,
    /// The WhatsApp user, whose phone sends nothing while it is muted.
    pub whatsapp: Duration,
}

/// The bounds of a jitter buffer's delay. It adapts in between; what is not decoded passes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JitterLimits {
    /// It delays by this even where packets come evenly.
    pub least: Duration,
    /// It delays by no more, up to [`Self::HIGHEST`].
    pub most: Duration,
}

impl JitterLimits {
    /// The longest delay that is taken: with more nobody can talk.
    pub const HIGHEST: Duration = Duration::from_millis(200);
}

impl Default for JitterLimits {
    fn default() -> Self {
        Self { least: Duration::ZERO, most: Duration::from_millis(120) }
    }
}
