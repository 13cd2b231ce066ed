//! How a phone sends and takes its sound.

use std::time::Duration;

use super::secure::Suite;
use crate::rough::Rough;

/// Whether the sound is encrypted (SRTP with keys in the SDP, RFC 4568).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Security {
    /// RTP/AVP alone: an offer of RTP/SAVP is refused.
    #[default]
    Off,
    /// Keys are offered beside plain RTP/AVP, and both are taken.
    Optional,
    /// RTP/SAVP alone.
    Required,
}

/// What differs from phone to phone, and from call to call.
#[derive(Debug, Clone, PartialEq)]
pub struct Manner {
    /// Milliseconds of sound in a packet, 10 to 60 by tens: what it sends, and what it asks for. Opus comes in packets
    /// of 20 ms all the same.
    pub ptime: u8,
    /// Whether its sound is encrypted.
    pub security: Security,
    /// The suites that it offers and takes, the best first.
    pub suites: Vec<Suite>,
    /// It speaks RTP/AVPF or RTP/SAVPF (RFC 4585).
    pub feedback: bool,
    /// It says a=rtcp-mux (RFC 5761).
    pub rtcp_mux: bool,
    /// What becomes of the RTP packets that it sends; its reports (RTCP) arrive.
    pub rough: Rough,
    /// How long it listens closely: later sound is counted, neither decoded nor recorded, and what it says repeats
    /// itself.
    pub attention: Duration,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            ptime: 20,
            security: Security::Off,
            suites: Suite::ALL.to_vec(),
            feedback: false,
            rtcp_mux: false,
            rough: Rough::default(),
            attention: Duration::MAX,
        }
    }
}

impl Manner {
    /// The profile of its offers.
    pub(super) fn profile(&self) -> &'static str {
        match (self.security, self.feedback) {
            (Security::Required, false) => "RTP/SAVP",
            (Security::Required, true) => "RTP/SAVPF",
            (Security::Off | Security::Optional, false) => "RTP/AVP",
            (Security::Off | Security::Optional, true) => "RTP/AVPF",
        }
    }

    /// Whether it takes a stream of this profile.
    pub(super) fn takes(&self, profile: &str) -> bool {
        match profile {
            "RTP/AVP" | "RTP/AVPF" => self.security != Security::Required,
            "RTP/SAVP" | "RTP/SAVPF" => self.security != Security::Off,
            _ => false,
        }
    }
}
