//! The DTLS handshake that keys SRTP (RFC 5763, RFC 5764).
//!
//! DTLS 1.2 and nothing else: it is what WhatsApp's relays and every WebRTC
//! stack speak, and a ClientHello for both versions does not fit one datagram
//! of every path, which would cost the set-up a round trip or a lost fragment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use dimpl::certificate::generate_self_signed_certificate;
use dimpl::{Config, Dtls, DtlsCertificate, Output, SrtpProfile};

use crate::event::MediaFailure;
use crate::srtp::{Profile, SrtpSession};

/// First retransmission. RFC 6347 4.2.4.1 proposes 1 s; a ClientHello that is
/// lost, or comes before WhatsApp has our fingerprint, would cost it in full.
const FIRST_RETRANSMISSION: Duration = Duration::from_millis(50);
/// Doubling from 50 ms, the ninth comes after 25 s: the limit of the set-up
/// ends it first. Answers to duplicates count too, hence some more.
const RETRANSMISSIONS: usize = 16;
/// A peer's certificate that is larger than this is not a WebRTC peer's.
const LARGEST_OUTPUT: usize = 16 * 1024;
/// The largest datagram that the engine emits is its MTU.
const MTU: usize = 1150;

/// Our certificate and settings: one per process, shared by every call.
pub(crate) struct Identity {
    config: Arc<Config>,
    certificate: DtlsCertificate,
    fingerprint: [u8; 32],
}

impl Identity {
    /// Draws a key pair and signs a certificate for it.
    pub(crate) fn generate() -> Result<Self, String> {
        let certificate = generate_self_signed_certificate().map_err(|error| error.to_string())?;
        let config = Config::builder()
            .mtu(MTU)
            .flight_start_rto(FIRST_RETRANSMISSION)
            .flight_retries(RETRANSMISSIONS)
            .handshake_timeout(super::SETUP_LIMIT)
            // ICE has verified the address already: a cookie costs a round trip.
            .use_server_cookie(false)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { config: Arc::new(config), fingerprint: fingerprint(&certificate.certificate), certificate })
    }

    #[cfg(test)]
    pub(super) fn certificate(&self) -> &[u8] {
        &self.certificate.certificate
    }

    /// SHA-256 of our certificate, as the SDP announces it.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }
}

/// Who sends the ClientHello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DtlsRole {
    Client,
    Server,
}

/// How far the handshake is.
enum Progress {
    /// The peer's certificate has not come, or not been compared.
    Unverified,
    /// It has the announced fingerprint.
    Verified,
    /// Handshake complete.
    Complete,
}

/// One call's DTLS connection.
pub(crate) struct Handshake {
    dtls: Dtls,
    role: DtlsRole,
    /// The fingerprint from the remote description.
    announced: [u8; 32],
    progress: Progress,
    deadline: Option<Instant>,
}

impl Handshake {
    pub(crate) fn new(identity: &Identity, role: DtlsRole, announced: [u8; 32], now: Instant) -> Self {
        let mut dtls = Dtls::new_12(identity.config.clone(), identity.certificate.clone(), now);
        dtls.set_active(role == DtlsRole::Client);
        Self { dtls, role, announced, progress: Progress::Unverified, deadline: None }
    }

    /// Feeds a datagram. The outcome is as of [`Self::handle_timeout`].
    pub(crate) fn handle_datagram(
        &mut self,
        now: Instant,
        datagram: &[u8],
        send: impl FnMut(&[u8]),
    ) -> Result<Option<SrtpSession>, MediaFailure> {
        self.dtls.handle_timeout(now).map_err(broken)?;
        self.dtls.handle_packet(datagram).map_err(broken)?;
        self.drain(send)
    }

    /// Starts the handshake (client) or retransmits. Gives the SRTP keys once,
    /// when the handshake is complete and the fingerprint is right.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        send: impl FnMut(&[u8]),
    ) -> Result<Option<SrtpSession>, MediaFailure> {
        self.dtls.handle_timeout(now).map_err(broken)?;
        self.drain(send)
    }

    /// Says goodbye (RFC 5246 7.2.1), so that the relay need not wait for its
    /// timers. Before the handshake is complete there is nothing to say.
    pub(crate) fn close(&mut self, send: impl FnMut(&[u8])) {
        if matches!(self.progress, Progress::Complete) && self.dtls.close().is_ok() {
            // What the engine still reports can change nothing any more.
            drop(self.drain(send));
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn drain(&mut self, mut send: impl FnMut(&[u8])) -> Result<Option<SrtpSession>, MediaFailure> {
        let mut keys = None;
        let mut connected = false;
        let mut buffer = vec![0; MTU];
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(datagram) => send(datagram),
                Output::BufferTooSmall { needed } if needed <= LARGEST_OUTPUT => {
                    buffer.resize(needed, 0);
                }
                Output::BufferTooSmall { .. } => {
                    return Err(MediaFailure::DtlsFailed("oversized certificate".into()));
                }
                Output::PeerCert(der) => {
                    if fingerprint(der) != self.announced {
                        return Err(MediaFailure::FingerprintMismatch);
                    }
                    self.progress = Progress::Verified;
                }
                Output::Connected => {
                    if !matches!(self.progress, Progress::Verified) {
                        return Err(MediaFailure::FingerprintMismatch);
                    }
                    self.progress = Progress::Complete;
                    connected = true;
                }
                Output::KeyingMaterial(material, profile) => {
                    keys = Some(self.session(&material, profile)?);
                }
                Output::Timeout(at) => {
                    self.deadline = Some(at);
                    break;
                }
                // WhatsApp has no data channel. A close_notify says nothing
                // that its terminate webhook does not say better.
                _ => {}
            }
        }
        if connected && keys.is_none() {
            return Err(MediaFailure::DtlsFailed("no SRTP profile agreed".into()));
        }
        Ok(keys)
    }

    fn session(&self, material: &[u8], profile: SrtpProfile) -> Result<SrtpSession, MediaFailure> {
        if !matches!(self.progress, Progress::Complete) {
            return Err(MediaFailure::FingerprintMismatch);
        }
        let profile = match profile {
            SrtpProfile::AES128_CM_SHA1_80 => Profile::Aes128CmSha1_80,
            SrtpProfile::AEAD_AES_128_GCM => Profile::AeadAes128Gcm,
            SrtpProfile::AEAD_AES_256_GCM => Profile::AeadAes256Gcm,
            other => return Err(MediaFailure::DtlsFailed(format!("SRTP profile {other:?}"))),
        };
        SrtpSession::new(profile, material, self.role == DtlsRole::Client)
            .map_err(|_| MediaFailure::DtlsFailed("SRTP key derivation".into()))
    }
}

fn broken(error: dimpl::Error) -> MediaFailure {
    MediaFailure::DtlsFailed(error.to_string())
}

fn fingerprint(der: &[u8]) -> [u8; 32] {
    let mut octets = [0; 32];
    octets.copy_from_slice(digest(&SHA256, der).as_ref());
    octets
}
