//! The WhatsApp side of a call: ICE, then DTLS, then SRTP, on one socket of
//! its own (RFC 8445, RFC 5764, RFC 3711; told apart by RFC 7983); or SRTP alone,
//! with the keys of the descriptions (RFC 4568).
//!
//! Pure but for the keys it draws. Shape: `handle_*(now, ...)`, then drain
//! `poll()`, then sleep until `deadline()`. Here are the states of the connection,
//! its limits and what is sent; what comes is in `datagram`.

mod datagram;
mod dtls;
mod ice;
mod sdes;
mod securing;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use datagram::{Discard, Received};
pub(crate) use dtls::{DtlsRole, Identity};
pub(crate) use ice::Credentials;
use ice::Ice;
pub(crate) use sdes::SdesPeer;

use self::dtls::Handshake;
use self::sdes::Keyed;
use crate::event::MediaFailure;
use crate::srtp::{SrtpError, SrtpSession};

/// From the remote description until DTLS is up.
const SETUP_LIMIT: Duration = Duration::from_secs(20);
/// How long the peer may leave our checks unanswered (RFC 7675 5.1). WhatsApp
/// itself waits 30 s too.
const CONSENT_LIMIT: Duration = Duration::from_secs(30);
/// STUN and DTLS wait here until the worker polls, which it does after each
/// step: no step makes more than a flight. Overflow: the newest is not sent,
/// and retransmission does what it is for.
const OUTPUTS: usize = 64;

/// What the remote description says of its transport, and what our role is.
pub(crate) struct RemotePeer {
    /// The best first.
    pub(crate) candidates: Vec<SocketAddr>,
    pub(crate) credentials: Credentials,
    pub(crate) fingerprint: [u8; 32],
    pub(crate) role: DtlsRole,
}

/// Who is at the other end.
pub(crate) enum Far {
    Ice(RemotePeer),
    Sdes(SdesPeer),
    /// Nobody whom we could talk to.
    Unusable(&'static str),
}

/// What the machine wants done.
#[derive(Debug)]
pub(crate) enum PeerOutput {
    Transmit {
        destination: SocketAddr,
        bytes: Vec<u8>,
    },
    /// SRTP can flow. How long it took since the remote description came.
    Connected(Duration),
    Failed(MediaFailure),
}

struct Connecting {
    since: Instant,
    fingerprint: [u8; 32],
    role: DtlsRole,
    /// The first DTLS datagram from a candidate that has not been verified
    /// yet: their ClientHello may overtake the answer to our check, and would
    /// come again a whole second later.
    early: Option<(SocketAddr, Vec<u8>)>,
}

enum State {
    /// Our description is made, theirs has not come.
    Waiting,
    Checking {
        ice: Box<Ice>,
        connecting: Connecting,
    },
    /// ICE has verified an address.
    Securing {
        ice: Box<Ice>,
        address: SocketAddr,
        dtls: Box<Handshake>,
        since: Instant,
    },
    Connected {
        ice: Box<Ice>,
        address: SocketAddr,
        dtls: Box<Handshake>,
        srtp: Box<SrtpSession>,
    },
    /// With the keys of the descriptions: there was nothing to wait for.
    Keyed(Box<Keyed>),
    Over,
}

/// One call's WhatsApp side.
pub(crate) struct WhatsAppPeer {
    identity: Arc<Identity>,
    /// One of each address family that the socket speaks.
    locals: Vec<SocketAddr>,
    credentials: Credentials,
    state: State,
    outputs: VecDeque<PeerOutput>,
    /// When `handle_timeout` is due: asked for at each packet of sound, and changed by none.
    due: Option<Instant>,
}

impl WhatsAppPeer {
    pub(crate) fn new(identity: Arc<Identity>, locals: Vec<SocketAddr>, credentials: Credentials) -> Self {
        Self { identity, locals, credentials, state: State::Waiting, outputs: VecDeque::new(), due: None }
    }

    /// Starts at once. Only the first description counts: WhatsApp knows no
    /// re-negotiation.
    pub(crate) fn connect(&mut self, now: Instant, far: Far) {
        if !matches!(self.state, State::Waiting) {
            return;
        }
        match far {
            Far::Ice(remote) => self.start_ice(now, remote),
            Far::Sdes(remote) => match Keyed::new(remote, &self.locals) {
                Ok(keyed) => {
                    self.state = State::Keyed(Box::new(keyed));
                    self.outputs.push_back(PeerOutput::Connected(Duration::ZERO));
                }
                Err(why) => self.fail(MediaFailure::Unusable(why)),
            },
            Far::Unusable(why) => self.fail(MediaFailure::Unusable(why)),
        }
        self.rearm();
    }

    fn start_ice(&mut self, now: Instant, remote: RemotePeer) {
        let local = (self.locals.as_slice(), &self.credentials);
        match Ice::start(now, local, &remote.candidates, remote.credentials) {
            Ok(ice) => {
                self.state = State::Checking {
                    ice: Box::new(ice),
                    connecting: Connecting {
                        since: now,
                        fingerprint: remote.fingerprint,
                        role: remote.role,
                        early: None,
                    },
                };
                self.send_checks();
            }
            Err(why) => self.fail(MediaFailure::Unusable(why)),
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.step(now);
        self.rearm();
    }

    fn step(&mut self, now: Instant) {
        if let Some(failure) = self.overdue(now) {
            return self.fail(failure);
        }
        let ice = match &mut self.state {
            State::Waiting | State::Keyed(_) | State::Over => return,
            State::Checking { ice, .. } | State::Securing { ice, .. } | State::Connected { ice, .. } => ice,
        };
        if ice.deadline().is_some_and(|at| now >= at) {
            ice.handle_timeout(now);
        }
        self.send_checks();
        self.secure(now);
        let (State::Securing { dtls, .. } | State::Connected { dtls, .. }) = &self.state else {
            return;
        };
        if dtls.deadline().is_some_and(|at| now >= at) {
            self.step_dtls(now, |dtls, send| dtls.handle_timeout(now, send));
        }
    }

    /// When `handle_timeout` is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Looks again when `handle_timeout` is due: after all that may have changed it.
    fn rearm(&mut self) {
        let times = match &self.state {
            State::Waiting | State::Keyed(_) | State::Over => [None; 3],
            State::Checking { ice, connecting } => {
                [ice.deadline(), Some(connecting.since + SETUP_LIMIT), None]
            }
            State::Securing { ice, dtls, since, .. } => {
                [ice.deadline(), Some(*since + SETUP_LIMIT), dtls.deadline()]
            }
            State::Connected { ice, dtls, .. } => [ice.deadline(), ice.consent_ends(), dtls.deadline()],
        };
        self.due = times.into_iter().flatten().min();
    }

    pub(crate) fn poll(&mut self) -> Option<PeerOutput> {
        self.outputs.pop_front()
    }

    /// Protects the RTP packet `buffer[..len]` in place. `None`: there are no
    /// keys. The buffer needs room for [`TRAILER`](crate::srtp::TRAILER) more octets.
    pub(crate) fn protect_rtp(
        &mut self,
        buffer: &mut [u8],
        len: usize,
    ) -> Option<Result<(SocketAddr, usize), SrtpError>> {
        let (address, srtp) = self.keyed()?;
        Some(srtp.protect_rtp(buffer, len).map(|len| (address, len)))
    }

    /// Where SRTP goes, and its keys.
    fn keyed(&mut self) -> Option<(SocketAddr, &mut SrtpSession)> {
        match &mut self.state {
            State::Connected { address, srtp, .. } => Some((*address, srtp)),
            State::Keyed(keyed) => Some((keyed.address, &mut keyed.srtp)),
            State::Waiting | State::Checking { .. } | State::Securing { .. } | State::Over => None,
        }
    }

    /// Protects the compound RTCP packet `buffer[..len]`, as [`Self::protect_rtp`] does RTP.
    pub(crate) fn protect_rtcp(
        &mut self,
        buffer: &mut [u8],
        len: usize,
    ) -> Option<Result<(SocketAddr, usize), SrtpError>> {
        let (address, srtp) = self.keyed()?;
        Some(srtp.protect_rtcp(buffer, len).map(|len| (address, len)))
    }

    /// Ends it, with a goodbye if there was a handshake.
    pub(crate) fn close(&mut self) {
        let outputs = &mut self.outputs;
        if let State::Connected { dtls, address, .. } = &mut self.state {
            dtls.close(|bytes| transmit(outputs, *address, bytes.to_vec()));
        }
        self.state = State::Over;
        self.rearm();
    }

    /// The limit that has passed, if one has.
    fn overdue(&self, now: Instant) -> Option<MediaFailure> {
        match &self.state {
            State::Waiting | State::Keyed(_) | State::Over => None,
            State::Checking { connecting, .. } => {
                (now >= connecting.since + SETUP_LIMIT).then_some(MediaFailure::IceTimeout)
            }
            State::Securing { since, .. } => (now >= *since + SETUP_LIMIT)
                .then(|| MediaFailure::DtlsFailed("not complete within the set-up limit".into())),
            State::Connected { ice, .. } => {
                let ends = ice.consent_ends()?;
                (now >= ends).then_some(MediaFailure::ConsentLost)
            }
        }
    }

    fn send_checks(&mut self) {
        let (State::Checking { ice, .. } | State::Securing { ice, .. } | State::Connected { ice, .. }) =
            &mut self.state
        else {
            return;
        };
        while let Some((destination, bytes)) = ice.poll_transmit() {
            transmit(&mut self.outputs, destination, bytes);
        }
    }

    fn fail(&mut self, failure: MediaFailure) {
        self.state = State::Over;
        self.outputs.push_back(PeerOutput::Failed(failure));
    }
}

fn transmit(outputs: &mut VecDeque<PeerOutput>, destination: SocketAddr, bytes: Vec<u8>) {
    if outputs.len() < OUTPUTS {
        outputs.push_back(PeerOutput::Transmit { destination, bytes });
    }
}
