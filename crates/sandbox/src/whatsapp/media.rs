//! The media of one call, from the moment its SDP has been processed: DTLS, then sound, and the watchdogs of the
//! real client.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::call::{Call, MediaState, Party};
use super::codes::NO_MEDIA;
use super::hub::{Hub, lock};
use super::scenario::MediaFault;
use super::sdp::{Keyed, Remote, Sdes};
use super::secure::{Handshake, Secured, Wire, keys_of, profiles};
use crate::ladder::Lane;
use crate::rough::Road;

const FRAME: Duration = Duration::from_millis(20);
/// Frames between two looks of the watchdog.
const WATCH_EVERY: u64 = 25;
/// Longest DTLS record read after the handshake.
const MAX_RECORD: usize = 2048;

/// Starts the media. `client`: we send the ClientHello.
pub(crate) fn begin(hub: &Arc<Hub>, call: &Arc<Call>, remote: Remote, client: bool) {
    let keyed = remote.keyed.clone();
    call.phone().expect(&remote);
    call.facts().remote = Some(remote);
    match keyed {
        Keyed::Dtls { fingerprint, .. } => {
            hub.relay.admit(call);
            handshake(hub, call, fingerprint, client);
        }
        Keyed::Sdes(sdes) => key(hub, call, &sdes),
    }
    let over = call.over.clone();
    let (shared, call) = (Arc::clone(hub), Arc::clone(call));
    hub.spawn(async move {
        let _ = over.run_until_cancelled(live(shared, call)).await;
    });
}

/// The keys are there already.
fn key(hub: &Arc<Hub>, call: &Arc<Call>, theirs: &Sdes) {
    hub.relay.expect(theirs.address, call);
    call.peer.send_replace(Some(theirs.address));
    match keys_of(&call.local.key, &theirs.key) {
        Ok(keys) => {
            call.phone().secure(keys);
            call.advance_media(MediaState::Secured);
            hub.log(call, Lane::WhatsApp, Lane::Bridge, "keys in the SDP");
        }
        Err(error) => {
            call.advance_media(MediaState::Failed);
            hub.violation(call, error.to_string());
        }
    }
}

fn handshake(hub: &Arc<Hub>, call: &Arc<Call>, fingerprint: [u8; 32], client: bool) {
    let Some(inbox) = lock(&call.dtls_inbox).take() else { return };
    let over = call.over.clone();
    if call.behaviour.media != MediaFault::NoDtls {
        let handshake = Handshake {
            wire: Wire {
                inbox: Mutex::new(inbox),
                socket: Arc::clone(&hub.relay.socket),
                peer: call.peer.subscribe(),
            },
            certificate: call.certificate.clone(),
            client,
            fingerprint,
            flight: hub.config.timings.dtls_flight,
            profiles: profiles(call.behaviour.media),
        };
        let (hub, call) = (Arc::clone(hub), Arc::clone(call));
        Arc::clone(&hub).spawn(secure(hub, call, handshake, over));
    }
}

async fn secure(hub: Arc<Hub>, call: Arc<Call>, handshake: Handshake, over: CancellationToken) {
    let client = handshake.client;
    let secured = over.run_until_cancelled(async {
        if client {
            // A lite agent sends on what the other side has nominated (RFC 8445, 8.1.2).
            let _ = call.progress.subscribe().wait_for(|now| now.media >= MediaState::Checked).await;
            hub.log(&call, Lane::WhatsApp, Lane::Bridge, "DTLS ClientHello");
        }
        handshake.run().await
    });
    match secured.await {
        None => {}
        Some(Err(error)) => {
            call.advance_media(MediaState::Failed);
            if call.behaviour.media == MediaFault::WrongFingerprint {
                hub.log(&call, Lane::Bridge, Lane::WhatsApp, "refuses our certificate");
            } else {
                hub.violation(&call, error.to_string());
            }
        }
        Some(Ok(Secured { conn, keys })) => {
            call.phone().secure(keys);
            call.advance_media(MediaState::Secured);
            let (from, to) =
                if client { (Lane::WhatsApp, Lane::Bridge) } else { (Lane::Bridge, Lane::WhatsApp) };
            hub.log(&call, from, to, "DTLS up");
            let mut record = [0; MAX_RECORD];
            let read = async { while conn.read(&mut record, None).await.is_ok() {} };
            if over.run_until_cancelled(read).await.is_some() {
                hub.log(&call, Lane::Bridge, Lane::WhatsApp, "DTLS closed");
            } else {
                let _ = conn.close().await;
            }
        }
    }
}

/// Every 20 ms until the call is over.
async fn live(hub: Arc<Hub>, call: Arc<Call>) {
    let mut frames = tokio::time::interval(FRAME);
    let mut count: u64 = 0;
    let mut road = Road::new(call.behaviour.rough);
    loop {
        let arrival = road.deadline().unwrap_or_else(|| Instant::now() + FRAME);
        tokio::select! {
            _ = frames.tick() => {}
            () = tokio::time::sleep_until(arrival.into()) => {
                deliver(&hub, &call, &mut road).await;
                continue;
            }
        }
        count += 1;
        if count.is_multiple_of(WATCH_EVERY) {
            watch(&hub, &call);
        }
        let dark = call.dark.load(Ordering::Relaxed);
        // WhatsApp sends nothing before the business's first good packet.
        let speaks = call.media() == MediaState::Flowing && call.accepted_at().is_some();
        if dark || !speaks || call.behaviour.media == MediaFault::NeverSpeaks {
            continue;
        }
        let (datagrams, first) = {
            let mut phone = call.phone();
            let first = phone.speaking_since().is_none();
            (phone.speak(Instant::now()), first)
        };
        if first {
            hub.log(&call, Lane::User, Lane::Bridge, "first sound");
        }
        for datagram in datagrams {
            road.send(Instant::now(), datagram.to_vec());
        }
        deliver(&hub, &call, &mut road).await;
    }
}

/// Sends what has made its way.
async fn deliver(hub: &Hub, call: &Call, road: &mut Road) {
    while let Some(datagram) = road.poll(Instant::now()) {
        let peer = *call.peer.borrow();
        if let Some(peer) = peer {
            let _ = hub.relay.socket.send_to(&datagram, peer).await;
        }
    }
}

/// Ends the call as the client does where no media comes.
fn watch(hub: &Hub, call: &Call) {
    let Some(accepted) = call.accepted_at() else { return };
    let last = call.phone().last_packet();
    let (since, limit) = match last {
        None => (accepted, hub.config.timings.first_media),
        Some(last) => (last.max(accepted), hub.config.timings.media_gap),
    };
    if since.elapsed() > limit {
        hub.end(call, Party::WhatsApp, Some(NO_MEDIA), "no media from the business: 138021");
    }
}
