//! The control handle of one call's audio path.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::announcement::Announcement;
use crate::hold::HoldSound;
use crate::path::{DigitMode, Party, WhatsAppFormats};
use crate::peer::{Credentials, DtlsRole, Far, RemotePeer, SdesPeer};
use crate::quality::CallQuality;
use crate::rtp::dtmf;
use crate::sdp::pbx::Codec;
use crate::sdp::{SdpError, pbx, whatsapp};
use crate::tone::Tone;
use crate::worker::{Command, QualityCell, WhatsAppRemote, WorkerHandle};

/// Who made the offer towards WhatsApp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaRole {
    /// A call to WhatsApp: our offer said `actpass`, their answer chooses.
    WeOffered,
    /// A call from WhatsApp: our answer says `active`.
    WeAnswered,
}

impl WaRole {
    /// RFC 5763 5. An answer must not say `actpass`; WhatsApp's has been seen
    /// to, and then it behaves as the client.
    fn dtls(self, theirs: whatsapp::Setup) -> DtlsRole {
        match (self, theirs) {
            (Self::WeAnswered, _) | (Self::WeOffered, whatsapp::Setup::Passive) => DtlsRole::Client,
            (Self::WeOffered, whatsapp::Setup::Active | whatsapp::Setup::ActPass) => DtlsRole::Server,
        }
    }
}

/// One call's audio path. Its sockets are bound and its credentials drawn;
/// dropping it closes the path.
///
/// Each method hands a command to the worker and returns. Do not call them
/// from the event callback, which runs on the worker itself.
pub struct AudioSession {
    pub(crate) id: u64,
    pub(crate) worker: WorkerHandle,
    pub(crate) whatsapp: whatsapp::Local,
    pub(crate) pbx: SocketAddr,
    pub(crate) quality: Arc<QualityCell>,
}

impl AudioSession {
    /// Our offer to WhatsApp. The same bytes each time.
    pub fn whatsapp_offer(&self) -> String {
        whatsapp::offer(&self.whatsapp)
    }

    /// Our answer to WhatsApp's offer. The same bytes for the same offer.
    ///
    /// # Errors
    /// It offers no codec that the number has.
    pub fn whatsapp_answer(&self, offer: &whatsapp::Remote) -> Result<String, SdpError> {
        whatsapp::answer(&self.whatsapp, offer)
    }

    /// The address the PBX is to send RTP to: the advertised one.
    pub fn pbx_address(&self) -> SocketAddr {
        self.pbx
    }

    /// WhatsApp's description is known: ICE starts at once, and DTLS after it; with SDES there is
    /// nothing to wait for. Only the first counts.
    pub fn connect_whatsapp(&self, remote: whatsapp::Remote, role: WaRole) {
        let remote = WhatsAppRemote { formats: self.formats(&remote), peer: self.far(remote, role) };
        self.send(Command::ConnectWhatsApp(self.id, Box::new(remote)));
    }

    /// What both sides speak.
    fn formats(&self, remote: &whatsapp::Remote) -> WhatsAppFormats {
        let common = |codec: Codec| {
            let number = remote.payload_type(codec);
            number.filter(|_| self.whatsapp.codecs.contains(&codec))
        };
        WhatsAppFormats {
            opus: common(Codec::Opus),
            pcmu: common(Codec::Pcmu),
            pcma: common(Codec::Pcma),
            dtmf: remote.dtmf_pt,
            fmtp: remote.opus.as_ref().map(whatsapp::Opus::wishes).unwrap_or_default(),
        }
    }

    fn far(&self, remote: whatsapp::Remote, role: WaRole) -> Far {
        let is_common = |codec: &Codec| remote.payload_type(*codec).is_some();
        if !self.whatsapp.codecs.iter().any(is_common) {
            return Far::Unusable("no codec in common");
        }
        let keying = remote.keying();
        match remote.transport {
            // An answer must key as its offer does; our answers do.
            _ if role == WaRole::WeOffered && keying != self.whatsapp.keying => {
                Far::Unusable("its keys come in another way than we offered")
            }
            whatsapp::Transport::Dtls(dtls) => Far::Ice(RemotePeer {
                role: role.dtls(dtls.setup),
                candidates: dtls.candidates,
                credentials: Credentials { ufrag: dtls.ufrag, pwd: dtls.pwd },
                fingerprint: dtls.fingerprint,
            }),
            whatsapp::Transport::Sdes(sdes) => {
                let suite = sdes.crypto.suite;
                if role == WaRole::WeOffered && suite != whatsapp::OFFERED_SUITE {
                    return Far::Unusable("another crypto suite than we offered");
                }
                let (ours, theirs) = (self.whatsapp.keys.of(suite), sdes.crypto.key);
                Far::Sdes(SdesPeer { address: sdes.address, suite, ours, theirs })
            }
        }
    }

    /// What was negotiated with the PBX; again after a re-negotiation, and with another leg's after a
    /// transfer. Where the address is another one, the PBX's source is learned anew and the leg before
    /// is heard no longer; WhatsApp's line goes on.
    pub fn connect_pbx(&self, media: pbx::Media) {
        self.send(Command::ConnectPbx(self.id, Box::new(media)));
    }

    /// There is no leg towards the PBX now: the transferor has hung up and the target still rings.
    /// WhatsApp gets silence or a tone every 20 ms, until the next [`Self::connect_pbx`].
    pub fn disconnect_pbx(&self) {
        self.send(Command::DisconnectPbx(self.id));
    }

    /// Lets the PBX hear a tone before the call is answered: ringback in early media (183). It begins
    /// when the PBX's address is known, rests on hold, and ends with [`Self::open`]; after that, this
    /// does nothing. What follows goes on with its SSRC, sequence numbers and timestamps.
    pub fn play_to_pbx(&self, tone: Tone) {
        self.send(Command::PlayToPbx(self.id, tone));
    }

    /// Lets WhatsApp hear a sound in place of the PBX, while a transfer rings whose transferor has left.
    /// Before [`Self::open`] nothing leaves: the sound begins with it.
    pub fn play_to_whatsapp(&self, sound: impl Into<HoldSound>) {
        self.send(Command::PlayToWhatsApp(self.id, sound.into()));
    }

    /// A transfer rings: from now on WhatsApp hears this wherever the PBX plays nothing for a second, and
    /// the PBX may be silent for as long as it likes. `None`: it rings no longer.
    pub fn transferring(&self, sound: Option<HoldSound>) {
        self.send(Command::Transferring(self.id, sound));
    }

    /// Lets WhatsApp hear a recording once, in place of the PBX and of a tone. It begins at once, or with
    /// [`Self::open`]; [`MediaEvent::Announced`](crate::MediaEvent::Announced) tells its end, after which
    /// there is silence or the PBX again.
    pub fn announce(&self, announcement: Announcement) {
        self.send(Command::Announce(self.id, announcement));
    }

    /// Ends the tones of both sides, and an announcement.
    pub fn stop_tone(&self) {
        self.send(Command::StopTone(self.id));
    }

    /// How the PBX is told of WhatsApp's keys, and of ours, from now on. Either way they are told as
    /// [`MediaEvent::Digit`](crate::MediaEvent::Digit).
    pub fn set_digits(&self, mode: DigitMode) {
        self.send(Command::SetDigits(self.id, mode));
    }

    /// Presses a key towards a side by telephone events (RFC 4733): `0`-`9`, `*`, `#`, `A`-`D` in either
    /// case, after those pressed before and 40 ms apart. It lasts 40 ms to 5 s (1.3 s where events count
    /// at 48 kHz), and the other side's sound rests meanwhile. Lost before [`Self::open`], where the
    /// side takes no events or is on hold, and when 32 wait already.
    ///
    /// False when it is no key.
    pub fn send_digit(&self, to: Party, digit: char, duration_ms: u32) -> bool {
        let duration = Duration::from_millis(duration_ms.into());
        let is_key = dtmf::code(digit).is_some();
        if is_key {
            self.send(Command::SendDigit(self.id, to, digit, duration));
        }
        is_key
    }

    /// From now on sound passes both ways. Before, neither RTP nor RTCP leaves
    /// towards WhatsApp, whose phone would take it for an answered call.
    pub fn open(&self) {
        self.send(Command::OpenGate(self.id));
    }

    /// How well the call has been heard so far, as of the last whole second. All of it comes once more
    /// in the [`Summary`](crate::Summary).
    pub fn quality(&self) -> CallQuality {
        self.quality.read()
    }

    fn send(&self, command: Command) {
        // A worker that is gone has closed the call, and said so.
        self.worker.send(command);
    }
}

impl Drop for AudioSession {
    fn drop(&mut self) {
        self.send(Command::Close(self.id));
    }
}

impl std::fmt::Debug for AudioSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AudioSession").field("id", &self.id).field("pbx", &self.pbx).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use whatsapp::Setup;

    #[test]
    fn the_dtls_role_follows_from_offer_and_answer() {
        for setup in [Setup::Active, Setup::Passive, Setup::ActPass] {
            assert_eq!(WaRole::WeAnswered.dtls(setup), DtlsRole::Client);
        }
        assert_eq!(WaRole::WeOffered.dtls(Setup::Active), DtlsRole::Server);
        assert_eq!(WaRole::WeOffered.dtls(Setup::Passive), DtlsRole::Client);
        assert_eq!(WaRole::WeOffered.dtls(Setup::ActPass), DtlsRole::Server);
    }
}
