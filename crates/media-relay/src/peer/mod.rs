//! The WhatsApp side of a call: ICE, then DTLS, then SRTP, on one socket of
//! its own (RFC 8445, RFC 5764, RFC 3711; told apart by RFC 7983); or SRTP alone,
//! with the keys of the descriptions (RFC 4568).
//!
//! Pure but for the keys it draws. Shape: `handle_*(now, ...)`, then drain
//! `poll()`, then sleep until `deadline()`.

mod dtls;
mod ice;
mod sdes;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use dtls::{DtlsRole, Identity};
pub(crate) use ice::Credentials;
use ice::Ice;

pub(crate) use sdes::SdesPeer;

use self::dtls::Handshake;
use self::sdes::Keyed;
use crate::event::MediaFailure;
use crate::rtp::header::is_rtcp;
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

/// What a datagram was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// STUN or DTLS: dealt with.
    Handled,
    /// The RTP packet is the first so many octets.
    Rtp(usize),
    /// The RTCP packet is the first so many octets.
    Rtcp(usize),
    Refused(Discard),
}

/// Why a datagram was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Discard {
    /// Neither STUN nor DTLS nor RTP, or a broken one.
    Malformed,
    /// Not from the address that ICE has verified.
    Stranger,
    /// Before its time: no remote description, or no keys.
    Early,
    /// Wrong password or SRTP tag.
    Unauthenticated,
    /// An SRTP index used before.
    Replay,
}

impl From<SrtpError> for Discard {
    fn from(error: SrtpError) -> Self {
        match error {
            SrtpError::Malformed | SrtpError::NoRoom => Self::Malformed,
            SrtpError::Replay | SrtpError::Exhausted => Self::Replay,
            SrtpError::Authentication | SrtpError::Crypto => Self::Unauthenticated,
        }
    }
}

/// The kinds of RFC 7983 7.
enum Kind {
    Stun,
    Dtls,
    Rtp,
    Rtcp,
}

impl Kind {
    fn of(datagram: &[u8]) -> Option<Self> {
        match *datagram {
            [0..=3, ..] => Some(Self::Stun),
            [20..=63, ..] => Some(Self::Dtls),
            [128..=191, ..] if is_rtcp(datagram) => Some(Self::Rtcp),
            [128..=191, ..] => Some(Self::Rtp),
            _ => None,
        }
    }
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

    /// Sorts a datagram out and deals with it. SRTP is opened in place.
    pub(crate) fn handle_datagram(
        &mut self,
        now: Instant,
        source: SocketAddr,
        datagram: &mut [u8],
    ) -> Received {
        let outcome = match Kind::of(datagram) {
            Some(Kind::Rtp) => {
                self.open_media(source, datagram, SrtpSession::unprotect_rtp).map(Received::Rtp)
            }
            Some(Kind::Rtcp) => {
                self.open_media(source, datagram, SrtpSession::unprotect_rtcp).map(Received::Rtcp)
            }
            Some(Kind::Stun) => {
                let handled = self.handle_stun(now, source, datagram);
                self.rearm();
                handled.map(|()| Received::Handled)
            }
            Some(Kind::Dtls) => {
                let handled = self.handle_dtls(now, source, datagram);
                self.rearm();
                handled.map(|()| Received::Handled)
            }
            None => Err(Discard::Malformed),
        };
        outcome.unwrap_or_else(Received::Refused)
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
        let State::Connected { address, srtp, .. } = &mut self.state else {
            return None;
        };
        Some(srtp.protect_rtcp(buffer, len).map(|len| (*address, len)))
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

    fn open_media(
        &mut self,
        source: SocketAddr,
        packet: &mut [u8],
        open: fn(&mut SrtpSession, &mut [u8]) -> Result<usize, SrtpError>,
    ) -> Result<usize, Discard> {
        match &mut self.state {
            State::Connected { address, srtp, .. } if *address == source => {
                open(srtp, packet).map_err(Discard::from)
            }
            State::Connected { .. } => Err(Discard::Stranger),
            State::Keyed(keyed) => keyed.open(source, packet, open),
            State::Waiting | State::Checking { .. } | State::Securing { .. } | State::Over => {
                Err(Discard::Early)
            }
        }
    }

    fn handle_stun(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) -> Result<(), Discard> {
        let ice = match &mut self.state {
            State::Waiting | State::Over => return Err(Discard::Early),
            // Nobody there knows a password of ours.
            State::Keyed(_) => return Err(Discard::Unauthenticated),
            State::Checking { ice, .. } | State::Securing { ice, .. } | State::Connected { ice, .. } => ice,
        };
        ice.handle_datagram(now, source, datagram)?;
        self.send_checks();
        self.secure(now);
        Ok(())
    }

    fn handle_dtls(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) -> Result<(), Discard> {
        match &mut self.state {
            State::Waiting | State::Over => Err(Discard::Early),
            State::Keyed(_) => Err(Discard::Stranger),
            State::Checking { connecting, .. } => {
                connecting.early.get_or_insert_with(|| (source, datagram.to_vec()));
                Err(Discard::Early)
            }
            State::Securing { address, .. } | State::Connected { address, .. } if *address != source => {
                Err(Discard::Stranger)
            }
            State::Securing { .. } => {
                self.step_dtls(now, |dtls, send| dtls.handle_datagram(now, datagram, send));
                Ok(())
            }
            // The keys are there: what DTLS cannot read may be anybody's, whatever address it bears.
            State::Connected { dtls, .. } => {
                let (outputs, mut answers) = (&mut self.outputs, Vec::new());
                let read = dtls.handle_datagram(now, datagram, |bytes: &[u8]| answers.push(bytes.to_vec()));
                read.map_err(|_| Discard::Unauthenticated)?;
                answers.into_iter().for_each(|bytes| transmit(outputs, source, bytes));
                Ok(())
            }
        }
    }

    /// Goes on to DTLS. A server listens as soon as ICE has verified an
    /// address; a client speaks first, and only when the nomination is
    /// answered, because a lite peer learns by it where we are.
    fn secure(&mut self, now: Instant) {
        let State::Checking { ice, connecting } = &mut self.state else {
            return;
        };
        let role = connecting.role;
        let ready = role == DtlsRole::Server || ice.is_nominated();
        let Some(address) = ice.address().filter(|_| ready) else {
            return;
        };
        let early = connecting.early.take();
        let dtls = Handshake::new(&self.identity, role, connecting.fingerprint, now);
        let since = connecting.since;
        let State::Checking { ice, .. } = std::mem::replace(&mut self.state, State::Over) else {
            return;
        };
        self.state = State::Securing { ice, address, dtls: Box::new(dtls), since };
        self.step_dtls(now, |dtls, send| dtls.handle_timeout(now, send));
        if let Some((source, datagram)) = early
            && source == address
        {
            self.step_dtls(now, |dtls, send| dtls.handle_datagram(now, &datagram, send));
        }
    }

    /// Lets the DTLS engine do something, and goes on when it has the keys.
    fn step_dtls(&mut self, now: Instant, step: impl FnOnce(&mut Handshake, Send<'_>) -> Keys) {
        let outputs = &mut self.outputs;
        let outcome = match &mut self.state {
            State::Waiting | State::Checking { .. } | State::Keyed(_) | State::Over => return,
            State::Securing { dtls, address, .. } | State::Connected { dtls, address, .. } => {
                let destination = *address;
                step(dtls, &mut |bytes: &[u8]| {
                    transmit(outputs, destination, bytes.to_vec());
                })
            }
        };
        match outcome {
            Ok(None) => {}
            Ok(Some(srtp)) => self.connected(now, srtp),
            Err(failure) => self.fail(failure),
        }
    }

    fn connected(&mut self, now: Instant, srtp: SrtpSession) {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Securing { ice, address, dtls, since } => {
                self.state = State::Connected { ice, address, dtls, srtp: Box::new(srtp) };
                let took = now.saturating_duration_since(since);
                self.outputs.push_back(PeerOutput::Connected(took));
            }
            other => self.state = other,
        }
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

type Send<'a> = &'a mut dyn FnMut(&[u8]);
type Keys = Result<Option<SrtpSession>, MediaFailure>;

fn transmit(outputs: &mut VecDeque<PeerOutput>, destination: SocketAddr, bytes: Vec<u8>) {
    if outputs.len() < OUTPUTS {
        outputs.push_back(PeerOutput::Transmit { destination, bytes });
    }
}
