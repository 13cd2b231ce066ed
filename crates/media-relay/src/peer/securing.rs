//! When DTLS begins, which datagrams it is given, and what its keys change.

use std::net::SocketAddr;
use std::time::Instant;

use super::dtls::{DtlsRole, Handshake};
use super::{Discard, PeerOutput, State, WhatsAppPeer, transmit};
use crate::event::MediaFailure;
use crate::srtp::SrtpSession;

type Send<'a> = &'a mut dyn FnMut(&[u8]);
type Keys = Result<Option<SrtpSession>, MediaFailure>;

impl WhatsAppPeer {
    /// Only what comes from the address that ICE has verified reaches the handshake.
    pub(super) fn handle_dtls(
        &mut self,
        now: Instant,
        source: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Discard> {
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
    pub(super) fn secure(&mut self, now: Instant) {
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
    pub(super) fn step_dtls(&mut self, now: Instant, step: impl FnOnce(&mut Handshake, Send<'_>) -> Keys) {
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
}
