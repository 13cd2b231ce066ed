//! A WebRTC peer of the load: ICE-lite, DTLS client, SRTP. One socket serves them all: a peer is known by the
//! relay's port that its packets come from.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use dimpl::certificate::generate_self_signed_certificate;
use dimpl::{Config, Dtls, DtlsCertificate, Output};
use is::stun::StunMessage;

use crate::srtp::Srtp;

/// All peers have the same credentials: nobody else is on this loopback.
const UFRAG: &str = "loadload";
const PASSWORD: &str = "loadloadloadloadloadload";

/// What all peers share.
pub(crate) struct Identity {
    config: Arc<Config>,
    certificate: DtlsCertificate,
    fingerprint: String,
}

impl Identity {
    pub(crate) fn generate() -> Result<Self> {
        let certificate = generate_self_signed_certificate().map_err(|error| anyhow::anyhow!("{error}"))?;
        let config = Config::builder().build().map_err(|error| anyhow::anyhow!("{error}"))?;
        let octets = digest(&SHA256, &certificate.certificate);
        let hex: Vec<_> = octets.as_ref().iter().map(|octet| format!("{octet:02X}")).collect();
        Ok(Self { config: Arc::new(config), certificate, fingerprint: hex.join(":") })
    }

    /// The answer to a relay's offer of one Opus stream.
    pub(crate) fn answer(&self, local: SocketAddr, offer: &str, ssrc: u32) -> Result<String> {
        let opus = opus_number(offer).context("no Opus in the offer")?;
        let mid = line(offer, "a=mid:").unwrap_or("0");
        let (ip, port, fingerprint) = (local.ip(), local.port(), &self.fingerprint);
        Ok(format!(
            "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nt=0 0\r\na=ice-lite\r\nm=audio {port} UDP/TLS/RTP/SAVPF {opus}\r\n\
             c=IN IP4 {ip}\r\na=mid:{mid}\r\na=candidate:1 1 udp 2130706431 {ip} {port} typ host\r\n\
             a=ice-ufrag:{UFRAG}\r\na=ice-pwd:{PASSWORD}\r\na=fingerprint:sha-256 {fingerprint}\r\na=setup:active\r\n\
             a=rtcp-mux\r\na=rtpmap:{opus} opus/48000/2\r\na=ptime:20\r\na=sendrecv\r\na=ssrc:{ssrc} cname:load\r\n"
        ))
    }
}

/// The rest of the first line that begins so.
pub(crate) fn line<'a>(sdp: &'a str, start: &str) -> Option<&'a str> {
    sdp.lines().find_map(|line| line.trim_end().strip_prefix(start))
}

/// The payload type of Opus in a description.
pub(crate) fn opus_number(sdp: &str) -> Option<u8> {
    let number = |line: &str| line.strip_prefix("a=rtpmap:")?.split_once(" opus/48000")?.0.parse().ok();
    sdp.lines().find_map(number)
}

/// Where a description wants to be sent to.
pub(crate) fn address(sdp: &str) -> Result<SocketAddr> {
    let port = line(sdp, "m=audio ").and_then(|rest| rest.split(' ').next()).context("no audio stream")?;
    let ip = line(sdp, "c=IN IP4 ").context("no connection address")?;
    Ok(SocketAddr::new(ip.parse()?, port.parse()?))
}

/// How far a peer is.
pub(crate) enum State {
    /// The relay's checks are awaited.
    Waiting,
    Handshaking(Box<Dtls>),
    /// The engine stays for retransmissions.
    Up(Box<Dtls>, Box<Srtp>),
}

/// One peer.
pub(crate) struct Peer {
    pub(crate) state: State,
    /// The SRTP profile that was agreed on.
    pub(crate) profile: Option<String>,
    timeout: Option<Instant>,
}

impl Peer {
    pub(crate) fn new() -> Self {
        Self { state: State::Waiting, profile: None, timeout: None }
    }

    pub(crate) fn is_up(&self) -> bool {
        matches!(self.state, State::Up(..))
    }

    /// STUN or DTLS from `source`; `send` gets what goes back there.
    pub(crate) fn handle(
        &mut self,
        identity: &Identity,
        source: SocketAddr,
        datagram: &[u8],
        send: &mut dyn FnMut(&[u8]),
    ) -> Result<()> {
        match datagram.first() {
            Some(0..=3) => self.handle_stun(identity, source, datagram, send),
            Some(20..=63) => {
                if let State::Handshaking(dtls) | State::Up(dtls, _) = &mut self.state {
                    dtls.handle_packet(datagram).map_err(|error| anyhow::anyhow!("DTLS: {error}"))?;
                    self.drain(send)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn handle_stun(
        &mut self,
        identity: &Identity,
        source: SocketAddr,
        datagram: &[u8],
        send: &mut dyn FnMut(&[u8]),
    ) -> Result<()> {
        let Ok(message) = StunMessage::parse(datagram) else { return Ok(()) };
        if !message.is_binding_request() {
            return Ok(());
        }
        let mut reply = [0; 256];
        let len = StunMessage::binding_reply(message.trans_id(), source)
            .to_bytes(Some(PASSWORD.as_bytes()), &mut reply, sha1_hmac)
            .map_err(|error| anyhow::anyhow!("STUN: {error}"))?;
        send(&reply[..len]);
        if message.use_candidate() && matches!(self.state, State::Waiting) {
            let now = Instant::now();
            let mut dtls = Dtls::new_12(Arc::clone(&identity.config), identity.certificate.clone(), now);
            dtls.set_active(true);
            self.state = State::Handshaking(Box::new(dtls));
            self.timeout = Some(now);
            self.handle_timeout(now, send)?;
        }
        Ok(())
    }

    /// Retransmits if that is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant, send: &mut dyn FnMut(&[u8])) -> Result<()> {
        if self.timeout.is_none_or(|at| at > now) {
            return Ok(());
        }
        let State::Handshaking(dtls) = &mut self.state else { return Ok(()) };
        dtls.handle_timeout(now).map_err(|error| anyhow::anyhow!("DTLS: {error}"))?;
        self.drain(send)
    }

    fn drain(&mut self, send: &mut dyn FnMut(&[u8])) -> Result<()> {
        let (State::Handshaking(dtls) | State::Up(dtls, _)) = &mut self.state else { return Ok(()) };
        let mut keys = None;
        let mut buffer = vec![0; 2048];
        loop {
            match dtls.poll_output(&mut buffer) {
                Output::Packet(datagram) => send(datagram),
                Output::BufferTooSmall { needed } if needed <= 65_536 => buffer.resize(needed, 0),
                Output::BufferTooSmall { needed } => bail!("DTLS wants {needed} octets"),
                Output::KeyingMaterial(material, profile) => {
                    self.profile = Some(profile.to_string());
                    keys = Some(Srtp::of_client(profile, &material)?);
                }
                Output::Timeout(at) => {
                    self.timeout = Some(at);
                    break;
                }
                _ => {}
            }
        }
        if let Some(keys) = keys {
            match std::mem::replace(&mut self.state, State::Waiting) {
                State::Handshaking(dtls) => self.state = State::Up(dtls, Box::new(keys)),
                other => self.state = other,
            }
        }
        Ok(())
    }
}

fn sha1_hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key));
    parts.iter().for_each(|part| context.update(part));
    let mut octets = [0; 20];
    octets.copy_from_slice(context.sign().as_ref());
    octets
}
