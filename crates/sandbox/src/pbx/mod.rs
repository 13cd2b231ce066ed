//! A small SIP phone that plays the PBX.
//!
//! It speaks SIP, SDP and RTP of its own making, shares nothing with the bridge,
//! and keeps a list of complaints about what the bridge sends it: a mistake that
//! both ends of one implementation would share does not pass unseen.

mod call;
mod challenge;
mod change;
mod check;
mod core;
mod digest;
pub(crate) mod g711;
mod incoming;
mod manner;
mod media;
mod outgoing;
mod phone;
mod register;
mod rtp;
mod sdp;
mod secure;
mod sip;
mod talker;
#[cfg(test)]
mod tests;
mod voice;
mod wire;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

pub use call::{Ending, PhoneCall};
pub use change::{Change, Direction};
pub use core::Counters;
pub use digest::{Hash, Login};
pub use manner::{Manner, Security};
pub use phone::Phone;
pub use register::Registered;
pub use secure::Suite;
pub use wire::{TlsFiles, Transport};

use crate::ladder::Ladder;

/// How the phone is set up.
#[derive(Debug, Clone)]
pub struct PhoneConfig {
    /// Address for SIP and RTP.
    pub ip: IpAddr,
    /// SIP port; 0 for any.
    pub port: u16,
    /// What SIP goes over.
    pub transport: Transport,
    /// User part of its own address.
    pub user: String,
    /// Codecs in the order in which they are offered.
    pub codecs: Vec<Codec>,
    /// The tone it speaks with.
    pub tone_hz: f64,
    /// How it sends and takes its sound.
    pub manner: Manner,
    /// What it does with a call that comes in.
    pub policy: Policy,
    /// What it answers the bridge's challenges with; its calls expect to be challenged then.
    pub login: Option<Login>,
    /// What it asks the bridge for, in all requests but OPTIONS.
    pub demands: Option<Login>,
    /// Where its messages are noted.
    pub ladder: Ladder,
}

impl PhoneConfig {
    /// A phone on loopback that offers PCMU and PCMA and answers after 200 ms.
    #[must_use]
    pub fn new(ladder: Ladder) -> Self {
        Self {
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            transport: Transport::Udp,
            user: "1001".to_owned(),
            codecs: vec![Codec::Pcmu, Codec::Pcma],
            tone_hz: 440.0,
            manner: Manner::default(),
            policy: Policy::Answer { ring: Duration::from_millis(200) },
            login: None,
            demands: None,
            ladder,
        }
    }
}

/// What the phone can speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// G.711 mu-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// Opus, RFC 7587.
    Opus,
    /// G.722 at 64 kbit/s.
    G722,
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::Opus => "Opus",
            Self::G722 => "G722",
        })
    }
}

/// What becomes of a call that comes in.
#[derive(Debug, Clone)]
pub enum Policy {
    /// 180, and 200 after `ring`.
    Answer {
        /// How long it rings; zero answers without a 180.
        ring: Duration,
    },
    /// A final response from 300 on.
    Refuse {
        /// How long it rings first; zero refuses without a 180.
        ring: Duration,
        /// 486, 603, 503, ...
        status: u16,
        /// Its reason phrase.
        reason: &'static str,
    },
    /// 180 and nothing more.
    Ring,
    /// Not one byte back.
    Silence,
}

/// What one call does otherwise than the phone's configuration says.
#[derive(Debug, Clone, Default)]
pub struct DialOptions {
    /// Its tone.
    pub tone_hz: Option<f64>,
    /// Its codecs.
    pub codecs: Option<Vec<Codec>>,
    /// How it sends and takes its sound.
    pub manner: Option<Manner>,
    /// User part of From and Contact.
    pub caller: Option<String>,
    /// More headers for the INVITE.
    pub headers: Vec<(String, String)>,
}

/// What was waited for did not come.
#[derive(Debug, thiserror::Error)]
#[error("waited {within:?} for {wanted}; {instead}")]
pub struct Missed {
    wanted: String,
    within: Duration,
    instead: String,
}
