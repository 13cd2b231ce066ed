//! How one trunk's calls are put through: its choices, as a call uses them.

use std::time::Duration;

use media_relay::tone::{self, Tone};
use media_relay::{DigitMode, HoldSound};

pub use super::info::Form;
use super::settings::{Ringback, Settings};
use crate::config::{self, Trunk};
use crate::trunk::failover::Policy;

/// The country of the ringing tone that a WhatsApp user hears while a transfer rings, where the trunk
/// names none.
const TONE_OF: &str = "us";

/// How digits from WhatsApp reach the PBX. From it, all ways are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtmf {
    /// In the audio's RTP (RFC 4733).
    Rtp,
    /// By INFO.
    Info(Form),
    /// As tones in the sound.
    InBand,
}

/// Which of WhatsApp's own header fields an INVITE holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetaHeaders {
    /// None.
    Off,
    /// One spelling of each.
    One,
    /// Both spellings where WhatsApp's documents differ.
    Both,
}

/// What the INVITE to a PBX says.
#[derive(Clone, Debug)]
pub struct InviteHeaders {
    /// Whether numbers have a `+`.
    pub plus: bool,
    /// P-Asserted-Identity, where a number is known.
    pub identity: bool,
    /// WhatsApp's own.
    pub meta: MetaHeaders,
    /// Further ones, names and values checked.
    pub add: Vec<(String, String)>,
    /// Those that the INVITE of a transfer repeats from its REFER.
    pub pass: Vec<String>,
}

/// The choices of one trunk.
#[derive(Clone, Debug)]
pub struct Manners {
    /// When the next target is tried.
    pub failover: Policy,
    /// Whether a 3xx to one of the trunk's own targets is followed.
    pub redirect: bool,
    /// Whether REFER is obeyed.
    pub transfer: bool,
    /// Whether the PBX makes the offer of our INVITE.
    pub is_offer_delayed: bool,
    /// How digits go to it.
    pub dtmf: Dtmf,
    /// The ringing tone that it is played in early media; nothing: it gets 180 and plays its own.
    pub ringback: Option<Tone>,
    /// What a WhatsApp user hears while a transfer rings.
    pub transfer_sound: HoldSound,
    /// The longest that a call may last.
    pub longest: Option<Duration>,
    /// What our INVITE says.
    pub headers: InviteHeaders,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            failover: Policy::default(),
            redirect: false,
            transfer: true,
            is_offer_delayed: false,
            dtmf: Dtmf::Rtp,
            ringback: None,
            transfer_sound: ringing(None),
            longest: None,
            headers: InviteHeaders {
                plus: true,
                identity: true,
                meta: MetaHeaders::Both,
                add: Vec::new(),
                pass: Vec::new(),
            },
        }
    }
}

impl Manners {
    /// Those of this trunk.
    #[must_use]
    pub fn of(trunk: &Trunk) -> Self {
        let headers = &trunk.headers;
        let ringback = match trunk.ringback {
            config::Ringback::Pbx => None,
            config::Ringback::Tone(tone) => Some(tone),
        };
        Self {
            failover: trunk.failover.clone(),
            redirect: trunk.redirect,
            transfer: trunk.transfer,
            is_offer_delayed: trunk.session.offer == config::Offer::Delayed,
            dtmf: match trunk.dtmf {
                config::Dtmf::Rfc4733 => Dtmf::Rtp,
                config::Dtmf::InfoRelay => Dtmf::Info(Form::Relay),
                config::Dtmf::InfoDtmf => Dtmf::Info(Form::Plain),
                config::Dtmf::InBand => Dtmf::InBand,
            },
            ringback,
            transfer_sound: trunk.media.transfer_sound.clone().unwrap_or_else(|| ringing(ringback)),
            longest: trunk.longest_call,
            headers: InviteHeaders {
                plus: headers.plus,
                identity: headers.identity,
                meta: match headers.meta {
                    config::MetaHeaders::Off => MetaHeaders::Off,
                    config::MetaHeaders::Meta => MetaHeaders::One,
                    config::MetaHeaders::Both => MetaHeaders::Both,
                },
                add: headers.add.clone(),
                pass: headers.pass.clone(),
            },
        }
    }

    /// How WhatsApp's digits go in RTP: one that goes by INFO does not go there as well.
    pub(super) fn digits(&self) -> DigitMode {
        match self.dtmf {
            Dtmf::Rtp => DigitMode::Events,
            Dtmf::Info(_) => DigitMode::Off,
            Dtmf::InBand => DigitMode::InBand,
        }
    }

    /// The limits and choices of a call of this trunk.
    #[must_use]
    pub fn settings(&self, calls: Settings) -> Settings {
        Settings {
            ringback: if self.ringback.is_some() { Ringback::Tone } else { Ringback::Ringing },
            longest: self.longest,
            ..calls
        }
    }
}

fn ringing(of_trunk: Option<Tone>) -> HoldSound {
    of_trunk.or_else(|| tone::ringback(TONE_OF)).map_or(HoldSound::Silence, HoldSound::Tone)
}
