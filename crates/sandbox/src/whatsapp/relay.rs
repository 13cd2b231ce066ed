//! The media relay: one address and port for all calls, as WhatsApp's relays have it.
//!
//! RFC 7983 tells STUN, DTLS and SRTP apart. A Binding request finds its call by the fragment in USERNAME; what
//! carries no name finds it by the source address that an authenticated check came from.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::net::UdpSocket;

use super::call::{Call, CallState, MediaState};
use super::hub::{Hub, lock};
use super::ice_lite::{Credentials, Outcome, Request};
use super::scenario::MediaFault;
use super::sdp::Keyed;
use super::user::Notice;
use crate::ladder::Lane;

/// Longest datagram taken.
const MAX_DATAGRAM: usize = 2048;

pub(crate) struct Relay {
    pub(crate) socket: Arc<UdpSocket>,
    calls: Mutex<Calls>,
}

#[derive(Default)]
struct Calls {
    by_fragment: HashMap<String, Arc<Call>>,
    by_source: HashMap<SocketAddr, Arc<Call>>,
}

impl Relay {
    pub(crate) fn new(socket: UdpSocket) -> Self {
        Self { socket: Arc::new(socket), calls: Mutex::default() }
    }

    /// From now on the call's checks are answered: its SDP has been processed.
    pub(crate) fn admit(&self, call: &Arc<Call>) {
        lock(&self.calls).by_fragment.insert(call.local.ufrag.clone(), Arc::clone(call));
    }

    pub(crate) fn forget(&self, call: &Call) {
        let mut calls = lock(&self.calls);
        calls.by_fragment.remove(&call.local.ufrag);
        calls.by_source.retain(|_, other| other.wacid != call.wacid);
    }

    fn by_fragment(&self, fragment: &str) -> Option<Arc<Call>> {
        lock(&self.calls).by_fragment.get(fragment).cloned()
    }

    fn by_source(&self, source: SocketAddr) -> Option<Arc<Call>> {
        lock(&self.calls).by_source.get(&source).cloned()
    }

    /// Media from there is the call's: its SDP says so.
    pub(crate) fn expect(&self, source: SocketAddr, call: &Arc<Call>) {
        lock(&self.calls).by_source.insert(source, Arc::clone(call));
    }

    /// The call that this source belonged to before, if it is another one.
    fn learn(&self, source: SocketAddr, call: &Arc<Call>) -> Option<Arc<Call>> {
        let before = lock(&self.calls).by_source.insert(source, Arc::clone(call));
        before.filter(|other| other.wacid != call.wacid)
    }
}

/// Sorts datagrams until the sandbox stops.
pub(crate) async fn run(hub: Arc<Hub>) {
    let mut buffer = [0; MAX_DATAGRAM];
    loop {
        let Ok((length, source)) = hub.relay.socket.recv_from(&mut buffer).await else {
            // An ICMP error of an earlier datagram: it means nothing here.
            tokio::task::yield_now().await;
            continue;
        };
        let datagram = &buffer[..length];
        match datagram.first() {
            Some(0..=3) => check(&hub, datagram, source).await,
            Some(20..=63) => {
                if let Some(call) = hub.relay.by_source(source) {
                    let _ = call.dtls.try_send(datagram.to_vec());
                }
            }
            Some(128..=191) => {
                if let Some(call) = hub.relay.by_source(source) {
                    hear(&hub, &call, datagram);
                }
            }
            _ => {}
        }
    }
}

/// A STUN datagram.
async fn check(hub: &Hub, datagram: &[u8], source: SocketAddr) {
    let Some(request) = Request::read(datagram) else { return };
    let Some(call) = hub.relay.by_fragment(&request.local) else { return };
    if call.behaviour.media == MediaFault::NoStun || call.dark.load(Ordering::Relaxed) {
        return;
    }
    let remote_ufrag = match call.facts().remote.as_ref().map(|remote| &remote.keyed) {
        Some(Keyed::Dtls { ufrag, .. }) => ufrag.clone(),
        Some(Keyed::Sdes(_)) => {
            hub.violation(&call, "STUN check where keys stand in the SDP");
            return;
        }
        None => return,
    };
    let credentials = Credentials { local_pwd: &call.local.pwd, remote_ufrag: &remote_ufrag };
    let verdict = request.answer(source, &credentials);
    match verdict.outcome {
        Outcome::Refused(why) => hub.violation(&call, why),
        Outcome::Checked { nominates } => checked(hub, &call, source, nominates),
    }
    if let Some(reply) = verdict.reply {
        let _ = hub.relay.socket.send_to(&reply, source).await;
    }
}

fn checked(hub: &Hub, call: &Arc<Call>, source: SocketAddr, nominates: bool) {
    if let Some(other) = hub.relay.learn(source, call) {
        hub.violation(call, format!("its media comes from the port of another call ({})", other.user));
    }
    if call.peer.send_if_modified(|peer| peer.is_none() && peer.replace(source).is_none()) {
        hub.log(call, Lane::Bridge, Lane::WhatsApp, "first STUN check");
    }
    if nominates {
        call.peer.send_if_modified(|peer| peer.replace(source) != Some(source));
        if call.advance_media(MediaState::Checked) {
            hub.log(call, Lane::Bridge, Lane::WhatsApp, "STUN nominates");
        }
    }
}

/// An SRTP or SRTCP datagram.
fn hear(hub: &Hub, call: &Call, datagram: &[u8]) {
    if call.dark.load(Ordering::Relaxed) {
        return;
    }
    let accepted = call.state() >= CallState::Accepted;
    let notices = call.phone().receive(Instant::now(), datagram, accepted);
    for notice in notices {
        match notice {
            Notice::Maiden => {
                call.advance_media(MediaState::Flowing);
                hub.log(call, Lane::Bridge, Lane::User, "first sound");
            }
            Notice::Digit(digit) => hub.log(call, Lane::Bridge, Lane::User, format!("digit {digit}")),
            Notice::Violation(text) => hub.violation(call, text),
        }
    }
}
