//! WhatsApp's end as a test needs it: ICE-lite (it answers checks and sends
//! none), DTLS in either role, SRTP.

use std::net::SocketAddr;
use std::time::Instant;

use is::stun::StunMessage;
use is::{DefaultSha1HmacProvider, Sha1HmacProvider};

use crate::event::MediaFailure;
use crate::peer::dtls::{DtlsRole, Handshake, Identity};
use crate::peer::{Credentials, RemotePeer};
use crate::rtp::header::is_rtcp;
use crate::srtp::{SrtpError, SrtpSession, TRAILER};

fn hmac(key: &[u8], payloads: &[&[u8]]) -> [u8; 20] {
    DefaultSha1HmacProvider.sha1_hmac(key, payloads)
}

/// What may be wrong with it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Faults {
    /// It does not answer checks.
    pub(crate) no_stun: bool,
    /// It answers no DTLS and sends none.
    pub(crate) no_dtls: bool,
}

/// An ICE-lite peer. Datagrams to send collect in `sent`.
pub(crate) struct LitePeer {
    pub(crate) address: SocketAddr,
    pub(crate) credentials: Credentials,
    pub(crate) faults: Faults,
    /// Where the checks come from, once one carried USE-CANDIDATE.
    pub(crate) nominated: Option<SocketAddr>,
    pub(crate) checks: usize,
    pub(crate) sent: Vec<(SocketAddr, Vec<u8>)>,
    pub(crate) failure: Option<MediaFailure>,
    /// RTP packets that came.
    pub(crate) heard: Vec<Vec<u8>>,
    /// RTCP packets that came.
    pub(crate) reports: Vec<Vec<u8>>,
    ours: Credentials,
    role: DtlsRole,
    dtls: Handshake,
    srtp: Option<SrtpSession>,
}

impl LitePeer {
    /// `ours` and `fingerprint` are what the bridge's description says.
    pub(crate) fn new(
        now: Instant,
        address: SocketAddr,
        identity: &Identity,
        role: DtlsRole,
        (ours, fingerprint): (Credentials, [u8; 32]),
    ) -> Self {
        Self {
            address,
            // As WhatsApp's look: base64, padding included.
            credentials: Credentials {
                ufrag: "NvPeRH/Br+aRYCZ".into(),
                pwd: "+219v9nKr3xSQIn8s+Fy8g==".into(),
            },
            faults: Faults::default(),
            nominated: None,
            checks: 0,
            sent: Vec::new(),
            failure: None,
            heard: Vec::new(),
            reports: Vec::new(),
            ours,
            role,
            dtls: Handshake::new(identity, role, fingerprint, now),
            srtp: None,
        }
    }

    /// Its description, for the bridge.
    pub(crate) fn description(&self, identity: &Identity) -> RemotePeer {
        RemotePeer {
            candidates: vec![self.address],
            credentials: self.credentials.clone(),
            fingerprint: identity.fingerprint(),
            role: match self.role {
                DtlsRole::Client => DtlsRole::Server,
                DtlsRole::Server => DtlsRole::Client,
            },
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.srtp.is_some()
    }

    pub(crate) fn handle(&mut self, now: Instant, source: SocketAddr, datagram: &mut [u8]) {
        match datagram.first() {
            Some(0..=3) if !self.faults.no_stun => self.answer_check(now, source, datagram),
            Some(20..=63) if !self.faults.no_dtls => {
                self.dtls_step(|dtls, send| dtls.handle_datagram(now, datagram, send));
            }
            Some(128..=191) => {
                let Some(srtp) = &mut self.srtp else { return };
                let (place, len) = if is_rtcp(datagram) {
                    (&mut self.reports, srtp.unprotect_rtcp(datagram))
                } else {
                    (&mut self.heard, srtp.unprotect_rtp(datagram))
                };
                if let Ok(len) = len {
                    place.push(datagram[..len].to_vec());
                }
            }
            _ => {}
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.deadline().is_some_and(|at| at <= now) {
            self.dtls_step(|dtls, send| dtls.handle_timeout(now, send));
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.nominated?;
        self.dtls.deadline().filter(|_| !self.faults.no_dtls && self.failure.is_none())
    }

    /// Sends an RTP packet to the bridge.
    pub(crate) fn speak(&mut self, rtp: &[u8]) {
        self.send(rtp, SrtpSession::protect_rtp);
    }

    /// Sends an RTCP packet to the bridge.
    pub(crate) fn report(&mut self, rtcp: &[u8]) {
        self.send(rtcp, SrtpSession::protect_rtcp);
    }

    fn send(
        &mut self,
        packet: &[u8],
        protect: fn(&mut SrtpSession, &mut [u8], usize) -> Result<usize, SrtpError>,
    ) {
        let destination = self.nominated.expect("nominated");
        let mut buffer = packet.to_vec();
        buffer.resize(packet.len() + TRAILER, 0);
        let srtp = self.srtp.as_mut().expect("keys");
        let len = protect(srtp, &mut buffer, packet.len()).expect("protected");
        buffer.truncate(len);
        self.sent.push((destination, buffer));
    }

    fn answer_check(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) {
        let check = StunMessage::parse(datagram).expect("a STUN message");
        assert!(check.is_binding_request(), "a lite peer is asked only");
        let (mine, theirs) = check.split_username().expect("a username");
        assert_eq!((mine, theirs), (&*self.credentials.ufrag, &*self.ours.ufrag));
        assert!(check.verify(self.credentials.pwd.as_bytes(), hmac), "the password as sent");
        assert!(check.ice_controlling().is_some(), "we control, whoever offered");
        self.checks += 1;

        let answer = StunMessage::binding_reply(check.trans_id(), source);
        let mut buffer = vec![0; 200];
        let password = Some(self.credentials.pwd.as_bytes());
        let len = answer.to_bytes(password, &mut buffer, hmac).expect("written");
        buffer.truncate(len);
        self.sent.push((source, buffer));

        if check.use_candidate() && self.nominated.is_none() {
            assert!(self.checks > 1, "nominated only after a check succeeded");
            self.nominated = Some(source);
            if self.role == DtlsRole::Client && !self.faults.no_dtls {
                self.dtls_step(|dtls, send| dtls.handle_timeout(now, send));
            }
        }
    }

    fn dtls_step(
        &mut self,
        step: impl FnOnce(&mut Handshake, &mut dyn FnMut(&[u8])) -> Result<Option<SrtpSession>, MediaFailure>,
    ) {
        let Some(destination) = self.nominated else { return };
        if self.failure.is_some() {
            return;
        }
        let sent = &mut self.sent;
        let mut send = |bytes: &[u8]| sent.push((destination, bytes.to_vec()));
        match step(&mut self.dtls, &mut send) {
            Ok(None) => {}
            Ok(keys) => self.srtp = keys,
            Err(failure) => self.failure = Some(failure),
        }
    }
}
