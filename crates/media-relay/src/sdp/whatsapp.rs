//! The WhatsApp side: WebRTC media (RFC 8829, RFC 8839, RFC 8842) in the one shape that the
//! Calling API takes, or the same over SRTP keyed by SDES (RFC 4568) without ICE and DTLS.
//!
//! Exactly one audio stream, one SHA-256 fingerprint or one key, all candidates inside,
//! opus/48000/2, G.711 where the number has it, telephone-event/8000, 20 ms, CRLF: whatever more
//! a WebRTC library writes has been seen to be refused. Reading is the other way round:
//! everything that has been seen is taken.

mod fmtp;
mod read;
mod write;

use std::fmt;
use std::net::SocketAddr;

pub use read::parse;
pub use write::{answer, offer};

use super::crypto::{Crypto, Keys, Suite};
use super::pbx::Codec;
use crate::options::Keying;

/// The payload type of Opus in our own offers.
pub const OPUS_PT: u8 = 111;
/// The payload type of telephone-event in our own offers, and WhatsApp's when it names none.
pub const DTMF_PT: u8 = 126;
/// What WhatsApp asks of an Opus encoder, in its words and its order.
pub const OPUS_FMTP: &str = "maxaveragebitrate=20000;maxplaybackrate=16000;minptime=20;\
                             sprop-maxcapturerate=16000;useinbandfec=1";

/// The one suite that WhatsApp's own descriptions name, and that our offers do.
pub(crate) const OFFERED_SUITE: Suite = Suite::AesCm128HmacSha1_80;

/// Our end of the WhatsApp side.
#[derive(Clone)]
pub struct Local {
    /// Host candidates, advertised addresses.
    pub candidates: Vec<SocketAddr>,
    /// Where the keys of our own offers come from; an answer follows its offer.
    pub keying: Keying,
    /// ICE user fragment.
    pub ufrag: String,
    /// ICE password.
    pub pwd: String,
    /// SHA-256 of our certificate.
    pub fingerprint: [u8; 32],
    /// The keys of what we send, for SDES.
    pub keys: Keys,
    /// Opus, and G.711 where the number has it; the one we like best first. Others are left out.
    pub codecs: Vec<Codec>,
    /// `o=` session id.
    pub session_id: u64,
    /// The one SSRC we send with.
    pub ssrc: u32,
    /// RTCP canonical name, also the name of the media stream.
    pub cname: String,
}

/// WhatsApp's end.
#[derive(Clone, PartialEq, Eq)]
pub struct Remote {
    /// Where it is, and how its keys come.
    pub transport: Transport,
    /// Opus; not there where an answer has chosen G.711.
    pub opus: Option<Opus>,
    /// Payload type of PCMU/8000.
    pub pcmu: Option<u8>,
    /// Payload type of PCMA/8000.
    pub pcma: Option<u8>,
    /// Payload type of telephone-event/8000; 126 when they name none.
    pub dtmf_pt: u8,
    /// Whether they named telephone-event/8000.
    pub dtmf_offered: bool,
    /// Media identification, empty when absent.
    pub mid: String,
}

/// WhatsApp's opus/48000.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opus {
    /// Its payload type.
    pub payload_type: u8,
    /// Its `a=fmtp`, mirrored in our answer.
    pub fmtp: Option<String>,
}

/// How WhatsApp is reached and its keys come.
#[derive(Clone, PartialEq, Eq)]
pub enum Transport {
    /// ICE and DTLS-SRTP.
    Dtls(Dtls),
    /// Neither: the key stands in the description.
    Sdes(Sdes),
}

/// An ICE agent's description, with what its DTLS needs.
#[derive(Clone, PartialEq, Eq)]
pub struct Dtls {
    /// UDP candidates of component 1, the highest priority first; never empty.
    pub candidates: Vec<SocketAddr>,
    /// ICE user fragment.
    pub ufrag: String,
    /// ICE password, exactly as sent (it may be base64 with `=`).
    pub pwd: String,
    /// SHA-256 of their certificate.
    pub fingerprint: [u8; 32],
    /// DTLS role as written; `ActPass` in an answer is wrong but happens.
    pub setup: Setup,
    /// Whether they are an ICE-lite agent.
    pub ice_lite: bool,
}

/// A description with a key in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sdes {
    /// Where our SRTP goes.
    pub address: SocketAddr,
    /// The first `a=crypto` that we can do; its key protects what they send.
    pub crypto: Crypto,
    /// The profile of the `m=` line, which an answer repeats.
    pub profile: &'static str,
}

/// DTLS role (RFC 4145, RFC 5763).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setup {
    /// DTLS client.
    Active,
    /// DTLS server.
    Passive,
    /// Either: the answerer chooses.
    ActPass,
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local")
            .field("candidates", &self.candidates)
            .field("keying", &self.keying)
            .field("ufrag", &self.ufrag)
            .field("ssrc", &self.ssrc)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Dtls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dtls")
            .field("candidates", &self.candidates)
            .field("ufrag", &self.ufrag)
            .field("setup", &self.setup)
            .field("ice_lite", &self.ice_lite)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dtls(dtls) => dtls.fmt(f),
            Self::Sdes(sdes) => sdes.fmt(f),
        }
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("transport", &self.transport)
            .field("opus", &self.opus)
            .field("pcmu", &self.pcmu)
            .field("pcma", &self.pcma)
            .field("dtmf_pt", &self.dtmf_pt)
            .field("mid", &self.mid)
            .finish()
    }
}

impl Remote {
    /// How its keys come.
    pub fn keying(&self) -> Keying {
        match self.transport {
            Transport::Dtls(_) => Keying::Dtls,
            Transport::Sdes(_) => Keying::Sdes,
        }
    }

    /// Its payload type of a codec.
    pub(crate) fn payload_type(&self, codec: Codec) -> Option<u8> {
        match codec {
            Codec::Opus => self.opus.as_ref().map(|opus| opus.payload_type),
            Codec::Pcmu => self.pcmu,
            Codec::Pcma => self.pcma,
            Codec::G722 => None,
        }
    }
}

#[cfg(test)]
mod tests;
