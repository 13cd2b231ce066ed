//! The phone: its door to the network, and what it does on its own.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::call::{Call, PhoneCall, Progress};
use super::core::{Core, Counters};
use super::media::Media;
use super::sdp::Ours;
use super::sip::{Message, uri_of, user_of};
use super::wire::{Received, Wire};
use super::{
    Codec, DialOptions, Manner, Missed, PhoneConfig, Policy, challenge, check, incoming, outgoing, register,
    sdp,
};
use crate::ladder::Lane;
use crate::tone::Sound;

/// Calls that wait for [`Phone::incoming`]; later ones are served but not handed over.
const INCOMING: usize = 256;

/// A SIP phone. Clones are handles of the same phone.
#[derive(Clone)]
pub struct Phone {
    core: Arc<Core>,
    incoming: Arc<Mutex<mpsc::Receiver<PhoneCall>>>,
}

impl Phone {
    /// Binds its port and listens.
    ///
    /// # Errors
    /// The port cannot be bound.
    pub async fn start(config: PhoneConfig) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let address = SocketAddr::new(config.ip, config.port);
        let (wire, local, received) = Wire::bind(&config.transport, address, stop.clone()).await?;
        let (sender, receiver) = mpsc::channel(INCOMING);
        let core = Arc::new(Core::new(config, wire, local, sender, stop));
        tokio::spawn(listen(Arc::clone(&core), received));
        Ok(Self { core, incoming: Arc::new(Mutex::new(receiver)) })
    }

    pub(super) fn core(&self) -> &Core {
        &self.core
    }

    /// Its SIP address.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.core.local
    }

    /// Says where calls go out to.
    pub fn set_bridge(&self, sip: SocketAddr) {
        self.core.book().bridge = Some(sip);
    }

    /// What becomes of the calls that come in from now on.
    pub fn set_policy(&self, policy: Policy) {
        self.core.book().policy = Some(policy);
    }

    /// The tone of the calls from now on.
    pub fn set_tone(&self, hz: f64) {
        self.core.book().tone_hz = Some(hz);
    }

    /// The codecs that calls from now on come in with.
    pub fn set_codecs(&self, codecs: Vec<Codec>) {
        self.core.book().codecs = Some(codecs);
    }

    /// How calls that come in from now on send and take their sound.
    pub fn set_manner(&self, manner: Manner) {
        self.core.book().manner = Some(manner);
    }

    /// Calls a number; the INVITE is on its way when this returns.
    ///
    /// # Errors
    /// No bridge is set, or no port is free.
    pub async fn dial(&self, number: &str) -> io::Result<PhoneCall> {
        self.dial_with(number, DialOptions::default()).await
    }

    /// Calls a number with settings of its own.
    ///
    /// # Errors
    /// No bridge is set, or no port is free.
    pub async fn dial_with(&self, number: &str, options: DialOptions) -> io::Result<PhoneCall> {
        let core = &self.core;
        let bridge =
            core.book().bridge.ok_or_else(|| io::Error::other("the phone knows no bridge to call"))?;
        let codecs = options.codecs.unwrap_or_else(|| core.config.codecs.clone());
        let user = options.caller.as_deref().unwrap_or(&core.config.user);
        let (key, tag) = (digits(number), core.token());
        let manner = options.manner.unwrap_or_else(|| core.config.manner.clone());
        let keys = core.keys(&manner);
        let media = open_media(core, options.tone_hz, &key, &manner).await?;
        let mut invite = Message::request("INVITE", &format!("sip:{number}@{bridge}"))
            .with("Via", core.via())
            .with("From", format!("<sip:{user}@{}>;tag={tag}", core.local))
            .with("To", format!("<sip:{number}@{bridge}>"))
            .with("Call-ID", format!("{}@{}", core.token(), core.local.ip()))
            .with("CSeq", "1 INVITE")
            .with("Contact", format!("<{}>", core.uri(user)))
            .with("User-Agent", "sandbox phone");
        for (name, value) in &options.headers {
            invite = invite.with(name, value);
        }
        let ours = Ours { local: media.local, session: core.draw() >> 1, manner: &manner, keys: &keys };
        let invite = invite.with_sdp(sdp::offer(&ours, &codecs));
        let invite = challenge::invite(core, bridge, invite, &key).await?;
        let number_sent = invite.cseq().map_or(1, |(number, _)| number);
        let call = Arc::new(Call {
            core: Arc::clone(core),
            id: invite.call_id().to_owned(),
            number: number.to_owned(),
            key,
            invite,
            peer: bridge,
            local_tag: tag,
            codecs,
            manner,
            keys,
            media,
            dialog: OnceLock::new(),
            cseq: AtomicU32::new(number_sent),
            session: Mutex::default(),
            progress: watch::Sender::new(Progress::default()),
        });
        core.keep(&call);
        tokio::spawn(outgoing::invite(Arc::clone(&call)));
        Ok(PhoneCall(call))
    }

    /// The next call that comes in, whatever the policy does with it.
    ///
    /// # Errors
    /// None came in time.
    pub async fn incoming(&self, within: Duration) -> Result<PhoneCall, Missed> {
        let mut calls = self.incoming.lock().await;
        match timeout(within, calls.recv()).await {
            Ok(Some(call)) => Ok(call),
            _ => Err(Missed {
                wanted: "a call to come in".to_owned(),
                within,
                instead: "none came".to_owned(),
            }),
        }
    }

    /// Sends OPTIONS to the bridge; gives the status of the answer.
    ///
    /// # Errors
    /// None came in time.
    pub async fn options(&self, within: Duration) -> Result<u16, Missed> {
        let core = &self.core;
        let missed = |instead: &str| Missed {
            wanted: "an answer to OPTIONS".to_owned(),
            within,
            instead: instead.to_owned(),
        };
        let bridge = core.book().bridge.ok_or_else(|| missed("the phone knows no bridge"))?;
        let request = Message::request("OPTIONS", &format!("sip:{bridge}"))
            .with("Via", core.via())
            .with("From", format!("<sip:{}@{}>;tag={}", core.config.user, core.local, core.token()))
            .with("To", format!("<sip:{bridge}>"))
            .with("Call-ID", format!("{}@{}", core.token(), core.local.ip()))
            .with("CSeq", "1 OPTIONS");
        match timeout(within, core.request(bridge, request, "")).await {
            Ok(Some(response)) => Ok(response.status().unwrap_or_default()),
            _ => Err(missed("nothing came")),
        }
    }

    /// What has been counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.core.book().counters.clone()
    }

    /// The bridge's mistakes, a sentence each. A good bridge leaves the list empty.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        self.core.complaints.list()
    }

    /// Every SIP message as it was on the wire, in order.
    #[must_use]
    pub fn messages(&self) -> Vec<String> {
        self.core.book().messages.iter().cloned().collect()
    }

    /// Takes no more connections, as if it were behind a NAT; those that are there stay.
    pub fn close_door(&self) {
        self.core.wire.close_door();
    }

    /// Closes its connections; calls that are up go on.
    pub fn close_connections(&self) {
        self.core.wire.hang_up();
    }

    /// Stops to listen; calls that are up are left as they are.
    pub fn stop(&self) {
        self.core.stop.cancel();
    }
}

async fn open_media(core: &Core, hz: Option<f64>, key: &str, manner: &Manner) -> io::Result<Media> {
    let hz = hz.or(core.book().tone_hz).unwrap_or(core.config.tone_hz);
    let note = (core.config.ladder.clone(), key.to_owned());
    Media::open(core.config.ip, (Sound::Tone(hz), manner.clone()), core.complaints.clone(), note).await
}

/// Takes messages until the phone is stopped.
async fn listen(core: Arc<Core>, mut received: mpsc::Receiver<Received>) {
    while let Some((bytes, from)) = received.recv().await {
        match Message::parse(&bytes) {
            Ok(message) => take(&core, message, from).await,
            Err(complaint) => core.complaints.add(complaint),
        }
    }
}

async fn take(core: &Arc<Core>, message: Message, from: SocketAddr) {
    let call = {
        let mut book = core.book();
        book.counters.received += 1;
        book.note(&message.to_text());
        book.calls.get(message.call_id()).cloned()
    };
    if message.method() != Some("OPTIONS") {
        let key = call.as_ref().map_or_else(|| caller(&message).1, |call| call.key.clone());
        let reason = message.header("Reason").map(|reason| format!(" {reason}")).unwrap_or_default();
        core.config.ladder.log(&key, Lane::Bridge, Lane::Pbx, message.title() + &reason);
    }
    if message.status().is_some() {
        core.deliver(message);
    } else if let Some(answer) = core.said(&message) {
        core.book().counters.repeated += 1;
        core.send(from, &answer, "", true).await;
    } else {
        request(core, call, message, from).await;
    }
}

async fn request(core: &Arc<Core>, call: Option<Arc<Call>>, message: Message, from: SocketAddr) {
    if message.method() == Some("ACK") && challenge::is_acknowledged(core, &message) {
        return;
    }
    if message.method() == Some("ACK") {
        return incoming::acknowledged(core, call, &message);
    }
    check::request(&message).into_iter().for_each(|c| core.complaints.add(c));
    if !challenge::passes(core, &message, from).await {
        return;
    }
    match message.method() {
        Some("REGISTER") => register::take(core, &message, from).await,
        Some("CANCEL") => incoming::cancelled(core, call, &message, from).await,
        Some("INVITE") if message.tag_of_to().is_none() => match call {
            // Sent again before anything was said to it.
            Some(_) => core.book().counters.repeated += 1,
            None => invited(core, message, from).await,
        },
        _ => incoming::in_dialog(core, call, &message, from).await,
    }
}

/// A call comes in.
async fn invited(core: &Arc<Core>, invite: Message, from: SocketAddr) {
    let (number, key) = caller(&invite);
    let manner = core.book().manner.clone().unwrap_or_else(|| core.config.manner.clone());
    let keys = core.keys(&manner);
    let Ok(media) = open_media(core, None, &key, &manner).await else {
        let refusal = Message::response(&invite, 500, "No Port").with_to_tag(&core.token());
        return core.reply(from, &invite, refusal, &key).await;
    };
    let policy = core.book().policy.clone().unwrap_or_else(|| core.config.policy.clone());
    let call = Arc::new(Call {
        core: Arc::clone(core),
        id: invite.call_id().to_owned(),
        number,
        key,
        invite,
        peer: from,
        local_tag: core.token(),
        codecs: core.book().codecs.clone().unwrap_or_else(|| core.config.codecs.clone()),
        manner,
        keys,
        media,
        dialog: OnceLock::new(),
        cseq: AtomicU32::new(0),
        session: Mutex::default(),
        progress: watch::Sender::new(Progress::default()),
    });
    core.keep(&call);
    if core.incoming.try_send(PhoneCall(Arc::clone(&call))).is_err() {
        tracing::debug!("nobody asks for the calls that come in");
    }
    if !matches!(policy, Policy::Silence) {
        tokio::spawn(incoming::serve(call, policy));
    }
}

/// User part of From, and its digits.
fn caller(message: &Message) -> (String, String) {
    let user = message.header("From").and_then(uri_of).and_then(user_of).unwrap_or_default();
    (user.to_owned(), digits(user))
}

fn digits(number: &str) -> String {
    number.chars().filter(char::is_ascii_digit).collect()
}
