//! DTLS-SRTP of one call (RFC 5763, RFC 5764) on `dtls`, over the datagrams that the relay sorts out for it.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use dtls::config::{ClientAuthType, Config};
use dtls::conn::DTLSConn;
use dtls::crypto::Certificate;
use dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use sha2::{Digest, Sha256};
use tokio::net::UdpSocket;
use tokio::sync::{Mutex, mpsc, watch};
use webrtc_srtp::context::Context;
use webrtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use webrtc_srtp::protection_profile::ProtectionProfile;

use super::scenario::MediaFault;
use super::sdp::KEY_AND_SALT;
use super::user::Keys;

/// Packets behind the newest that are still taken (RFC 3711, 3.3.2: at least 64).
const REPLAY_WINDOW: usize = 128;

/// Why a call's media is not secure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecureError {
    #[error("DTLS: {0}")]
    Dtls(#[from] dtls::Error),
    #[error("SRTP keys: {0}")]
    Srtp(#[from] webrtc_srtp::Error),
    #[error("the certificate is not the one of the SDP's fingerprint")]
    Fingerprint,
    #[error("no SRTP profile in common")]
    Profile,
}

/// A certificate on P-256 with its sha-256 fingerprint.
pub(crate) fn certificate() -> Result<(Certificate, [u8; 32]), SecureError> {
    let certificate = Certificate::generate_self_signed(vec!["WhatsApp".to_owned()])?;
    let fingerprint =
        certificate.certificate.first().map(|der| Sha256::digest(der).into()).unwrap_or_default();
    Ok((certificate, fingerprint))
}

/// The SRTP profiles of DTLS.
pub(crate) fn profiles(fault: MediaFault) -> Vec<SrtpProtectionProfile> {
    let (cm, gcm) =
        (SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80, SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm);
    match fault {
        MediaFault::NoAesGcm => vec![cm],
        MediaFault::NoAesCm => vec![gcm],
        _ => vec![cm, gcm],
    }
}

/// What a handshake needs.
pub(crate) struct Handshake {
    pub(crate) wire: Wire,
    pub(crate) certificate: Certificate,
    /// We send the ClientHello.
    pub(crate) client: bool,
    /// sha-256 of the bridge's certificate.
    pub(crate) fingerprint: [u8; 32],
    /// Time before a flight is sent again.
    pub(crate) flight: Duration,
    /// In the order of preference.
    pub(crate) profiles: Vec<SrtpProtectionProfile>,
}

/// The secured connection; it must be held as long as the call lives.
pub(crate) struct Secured {
    pub(crate) conn: DTLSConn,
    pub(crate) keys: Keys,
}

impl Handshake {
    /// Runs the handshake; it retransmits until it is dropped.
    pub(crate) async fn run(self) -> Result<Secured, SecureError> {
        let config = Config {
            certificates: vec![self.certificate],
            srtp_protection_profiles: self.profiles,
            client_auth: ClientAuthType::RequireAnyClientCert,
            flight_interval: self.flight,
            // The chain means nothing here: the fingerprint below is the check (RFC 5763, 5).
            insecure_skip_verify: true,
            ..Config::default()
        };
        let conn = DTLSConn::new(Arc::new(self.wire), config, self.client, None).await?;
        let state = conn.connection_state().await;
        let theirs = state.peer_certificates.first().map(|der| <[u8; 32]>::from(Sha256::digest(der)));
        if theirs != Some(self.fingerprint) {
            let _ = conn.close().await;
            return Err(SecureError::Fingerprint);
        }
        let profile = match conn.selected_srtpprotection_profile() {
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => ProtectionProfile::AeadAes128Gcm,
            _ => return Err(SecureError::Profile),
        };
        let mut srtp = webrtc_srtp::config::Config { profile, ..Default::default() };
        srtp.extract_session_keys_from_dtls(state, self.client).await?;
        let keys = Keys {
            inbound: context(&srtp.keys.remote_master_key, &srtp.keys.remote_master_salt, profile)?,
            outbound: context(&srtp.keys.local_master_key, &srtp.keys.local_master_salt, profile)?,
        };
        Ok(Secured { conn, keys })
    }
}

/// The contexts of keys that stood in the SDPs, each with its salt behind it.
pub(crate) fn keys_of(
    ours: &[u8; KEY_AND_SALT],
    theirs: &[u8; KEY_AND_SALT],
) -> Result<Keys, webrtc_srtp::Error> {
    let profile = ProtectionProfile::Aes128CmHmacSha1_80;
    let split = |both: &[u8; KEY_AND_SALT]| {
        let (key, salt) = both.split_at(profile.key_len());
        context(key, salt, profile)
    };
    Ok(Keys { inbound: split(theirs)?, outbound: split(ours)? })
}

fn context(key: &[u8], salt: &[u8], profile: ProtectionProfile) -> Result<Context, webrtc_srtp::Error> {
    let (rtp, rtcp) = (srtp_replay_protection(REPLAY_WINDOW), srtcp_replay_protection(REPLAY_WINDOW));
    Context::new(key, salt, profile, Some(rtp), Some(rtcp))
}

/// The datagrams of one call on the shared socket, as `dtls` wants to see a connection.
pub(crate) struct Wire {
    pub(crate) inbox: Mutex<mpsc::Receiver<Vec<u8>>>,
    pub(crate) socket: Arc<UdpSocket>,
    /// Where the bridge nominated us to send.
    pub(crate) peer: watch::Receiver<Option<SocketAddr>>,
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = webrtc_util::Result<T>> + Send + 'a>>;

fn not_ours<T>() -> webrtc_util::Result<T> {
    Err(webrtc_util::Error::Other("not used".to_owned()))
}

impl Wire {
    async fn receive(&self, buffer: &mut [u8]) -> usize {
        let Some(datagram) = self.inbox.lock().await.recv().await else {
            // The call is over; `dtls` would ask again and again if it were told so.
            return std::future::pending().await;
        };
        let length = datagram.len().min(buffer.len());
        buffer[..length].copy_from_slice(&datagram[..length]);
        length
    }

    async fn transmit(&self, datagram: &[u8]) -> webrtc_util::Result<usize> {
        let peer = *self.peer.borrow();
        match peer {
            Some(peer) => Ok(self.socket.send_to(datagram, peer).await?),
            None => Ok(datagram.len()),
        }
    }
}

// Spelt out as `async_trait` writes it, so that its macro is not needed here.
impl webrtc_util::Conn for Wire {
    fn connect<'a, 'b>(&'a self, _: SocketAddr) -> Boxed<'b, ()>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async { not_ours() })
    }

    fn recv<'a, 'b, 'c>(&'a self, buffer: &'b mut [u8]) -> Boxed<'c, usize>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(async { Ok(self.receive(buffer).await) })
    }

    fn recv_from<'a, 'b, 'c>(&'a self, _: &'b mut [u8]) -> Boxed<'c, (usize, SocketAddr)>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(async { not_ours() })
    }

    fn send<'a, 'b, 'c>(&'a self, datagram: &'b [u8]) -> Boxed<'c, usize>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(self.transmit(datagram))
    }

    fn send_to<'a, 'b, 'c>(&'a self, _: &'b [u8], _: SocketAddr) -> Boxed<'c, usize>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(async { not_ours() })
    }

    fn local_addr(&self) -> webrtc_util::Result<SocketAddr> {
        Ok(self.socket.local_addr()?)
    }

    fn remote_addr(&self) -> Option<SocketAddr> {
        *self.peer.borrow()
    }

    fn close<'a, 'b>(&'a self) -> Boxed<'b, ()>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async { Ok(()) })
    }

    fn as_any(&self) -> &(dyn std::any::Any + Send + Sync) {
        self
    }
}
