//! Requests that are too large for one datagram (RFC 3261 18.1.1). They go by TCP where the trunk says that its peer takes
//! it, and by UDP all the same where no connection can be had. Only an INVITE carries as much.

use std::time::Instant;

use super::Endpoint;
use super::client::Work;
use crate::transaction::TransactionId;
use crate::transport::{Flow, ListenerId, Transport};

/// The longest request by UDP: 200 bytes less than what a path usually takes in one piece.
const MAX_BY_UDP: usize = 1300;

impl Endpoint {
    /// The way by TCP for a request that is too large for this one.
    pub(super) fn too_large(&self, flow: Flow, work: &mut Work) -> Option<Flow> {
        if flow.transport != Transport::Udp || !self.profile(flow.trunk).tcp_for_large {
            return None;
        }
        let invite = work.client_invite()?.request();
        (invite.to_bytes().len() > MAX_BY_UDP).then(|| self.by_tcp(flow))
    }

    /// To the same peer, with the address of a TCP listener of ours if there is one of that IP version.
    fn by_tcp(&self, flow: Flow) -> Flow {
        let mut listeners = self.listeners.iter().zip(0..);
        let found = listeners.find(|(listener, _)| {
            listener.transport == Transport::Tcp && listener.local.is_ipv4() == flow.peer.is_ipv4()
        });
        let listener = found.map_or(flow.listener, |(_, id)| ListenerId(id));
        Flow { transport: Transport::Tcp, listener, ..flow }
    }

    /// There is no connection for what went by TCP for its size alone: UDP then. Was it such a request?
    pub(super) fn back_to_udp(&mut self, now: Instant, id: TransactionId) -> bool {
        let Some((udp, branch)) = self.clients.get_mut(id).and_then(|client| {
            let invite = client.work.client_invite().filter(|invite| invite.is_calling())?;
            let branch = invite.request().headers.via()?.branch()?.to_owned();
            Some((client.instead_of.take()?, branch))
        }) else {
            return false;
        };
        let via = self.via(udp, &branch);
        if let Some(client) = self.clients.get_mut(id) {
            client.flow = udp;
            if let Some(invite) = client.work.client_invite() {
                invite.start_over(now, &via);
            }
        }
        self.drain_client(now, id);
        true
    }
}
