//! What a trunk is configured to be: data for `trunk`, for the calls, and for the SIP endpoint.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use media_relay::sdp::pbx::{Codec, Security};
use media_relay::tone::Tone;
use sip_core::auth::{self, Account, Algorithm, Realm};
use sip_core::{Nat, Registrar, Reliable, SessionTimer, Transport, TrunkId, TrunkProfile};
use wa_signaling::PhoneNumberId;

use super::secret::LiveSecret;
use super::sip::Sip;
use super::value::Network;
use crate::routing::dialled::Dialling;
use crate::trunk::limit::Limits;
use crate::trunk::select::Aim;
use crate::trunk::spend::{Budget, Rules};
use crate::trunk::target::Target;
use crate::trunk::{failover, health};

/// A PBX.
#[derive(Clone, Debug)]
pub struct Trunk {
    /// What the SIP endpoint knows it by: no other trunk has it.
    pub id: TrunkId,
    /// Its name in this file, in logs and metrics; no other trunk has it.
    pub name: String,
    /// Where its calls may come from; at least one. Of several trunks the one with the longest prefix
    /// has an address.
    pub sources: Vec<Network>,
    /// Where calls from WhatsApp go.
    pub targets: Targets,
    /// The codecs spoken with it, the best first; at least one.
    pub codecs: Vec<Codec>,
    /// The number its calls go out with, if not the first that names this trunk; one that does.
    pub default_number: Option<PhoneNumberId>,
    /// The address in Via and Contact towards it, instead of the listener's.
    pub advertised: Option<IpAddr>,
    /// Where requests in a dialog go.
    pub nat: Nat,
    /// Whether a request over 1300 bytes goes by TCP where UDP would be used.
    pub tcp_for_large: bool,
    /// TLS towards it.
    pub tls: Tls,
    /// The digest it must pass; nothing: its address is enough.
    pub auth: Option<Auth>,
    /// How we answer its digest challenges.
    pub credentials: Option<Credentials>,
    /// Where we register.
    pub register: Option<Register>,
    /// Whether it may register here; `auth` is there then.
    pub accept_register: Option<AcceptRegister>,
    /// How its targets are watched.
    pub health: health::Policy,
    /// When a call goes to the next target.
    pub failover: failover::Policy,
    /// How many calls there may be, in both directions.
    pub limits: Limits,
    /// The longest a call may last, either way; nothing: as long as it likes.
    pub longest_call: Option<Duration>,
    /// How much it may call in a day.
    pub budget: Budget,
    /// Whom it may call.
    pub dial: Rules,
    /// What an INVITE to it says beside the call.
    pub headers: Headers,
    /// The manners of a session.
    pub session: Session,
    /// Whether REFER is obeyed.
    pub transfer: bool,
    /// Whether a 3xx to one of this trunk's own targets is followed.
    pub redirect: bool,
    /// How digits from WhatsApp reach it; from it, all ways are taken.
    pub dtmf: Dtmf,
    /// Whether its audio is encrypted, by keys in the SDP.
    pub srtp: Security,
    /// What its caller hears while WhatsApp rings.
    pub ringback: Ringback,
    /// What it means by what it dials.
    pub dialling: Dialling,
}

impl Trunk {
    /// Whether a key in its SDP can be read on the way: some target is not spoken to by TLS, or it has no
    /// TLS listener to call.
    pub(super) fn shows_keys(&self, sip: &Sip) -> bool {
        let is_tls = |transport| transport == Some(Transport::Tls);
        let goes_open = match &self.targets {
            Targets::Registered => false,
            Targets::List(aims) => aims.iter().any(|aim| !is_tls(aim.target.transport)),
        };
        let comes_open = !sip.listeners.iter().any(|listener| is_tls(Some(listener.transport)));
        self.srtp != Security::Refuse && (goes_open || comes_open)
    }

    /// What the SIP endpoint is told of it.
    #[must_use]
    pub fn profile(&self) -> TrunkProfile {
        TrunkProfile {
            name: self.name.clone(),
            advertised: self.advertised,
            tcp_for_large: self.tcp_for_large,
            nat: self.nat,
            reliable: self.session.reliable,
            session_timer: self.session.timer,
            transfer: self.transfer,
            inbound: self.auth.as_ref().map(Auth::realm),
            outbound: self.credentials.as_ref().map(Credentials::account),
            registrar: self.accept_register.map(AcceptRegister::limits),
        }
    }
}

/// Where calls from WhatsApp go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Targets {
    /// Where the PBX has registered from; `accept_register` is there then.
    Registered,
    /// Here; at least one.
    List(Vec<Aim>),
}

/// TLS towards a PBX, where we are the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Who signs its certificate; nothing: the authorities the system trusts.
    pub ca: Option<PathBuf>,
    /// What we show when asked.
    pub identity: Option<TlsIdentity>,
    /// The name its certificate must have, instead of that of the target.
    pub server_name: Option<String>,
    /// Whether its certificate is verified at all.
    pub verify: bool,
}

/// A certificate of ours; both files are there, and are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsIdentity {
    /// The certificate with its chain, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

/// The digest that a PBX must pass (RFC 8760).
#[derive(Clone, Debug)]
pub struct Auth {
    /// The realm.
    pub realm: String,
    /// What is offered, the most wanted first; at least one.
    pub algorithms: Vec<Algorithm>,
    /// Who may; at least one, each name once.
    pub users: Vec<User>,
}

impl Auth {
    fn realm(&self) -> Realm {
        let users = self.users.iter().map(|user| digest(&user.name, &user.password)).collect();
        Realm { algorithms: self.algorithms.clone(), ..Realm::new(&self.realm, users) }
    }
}

impl Credentials {
    fn account(&self) -> Account {
        Account { credentials: digest(&self.user, &self.password), realm: self.realm.clone() }
    }
}

impl AcceptRegister {
    fn limits(self) -> Registrar {
        Registrar {
            max_contacts: usize::try_from(self.max_contacts).unwrap_or(usize::MAX),
            min_expires: self.min_expires,
            max_expires: self.max_expires,
        }
    }
}

/// The two `Secret`s are of crates that don't know each other.
fn digest(user: &str, password: &LiveSecret) -> auth::Credentials {
    auth::Credentials { user: user.to_owned(), password: auth::Secret::new(password.current().expose()) }
}

/// A name and its password.
#[derive(Clone, Debug)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password.
    pub password: LiveSecret,
}

/// How we answer digest challenges.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The name.
    pub user: String,
    /// The password.
    pub password: LiveSecret,
    /// The only realm that gets an answer; nothing: any of this trunk's.
    pub realm: Option<String>,
}

/// Where we register (RFC 3261 10.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// The registrar.
    pub to: Target,
    /// The user part of the address of record.
    pub user: String,
    /// What is asked for.
    pub expires: Duration,
}

/// How a PBX may register here (RFC 3261 10.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptRegister {
    /// Contacts of one user at a time; at least 1.
    pub max_contacts: u32,
    /// Less is answered 423.
    pub min_expires: Duration,
    /// More is cut to this.
    pub max_expires: Duration,
}

/// What an INVITE to a PBX says beside the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers {
    /// Whether numbers have a `+`.
    pub plus: bool,
    /// Whether P-Asserted-Identity is sent, where a number is known.
    pub identity: bool,
    /// Which spellings of WhatsApp's own headers are sent.
    pub meta: MetaHeaders,
    /// More headers, each name and value checked.
    pub add: Vec<(String, String)>,
    /// Names of headers that the INVITE of a transfer repeats from the REFER.
    pub pass: Vec<String>,
}

/// Which spellings of WhatsApp's own headers are sent: its documents disagree on two names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetaHeaders {
    /// None of these headers.
    Off,
    /// `x-wa-meta-username` and `x-wa-meta-parent-user-id`.
    Meta,
    /// These, and `x-wa-meta-user-name` and `x-wa_meta-parent-user-id`.
    Both,
}

/// The manners of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// The session timer (RFC 4028).
    pub timer: Option<SessionTimer>,
    /// Reliable provisional responses (RFC 3262).
    pub reliable: Reliable,
    /// Whether our INVITE has an offer.
    pub offer: Offer,
}

/// Whether our INVITE has an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// It does.
    Early,
    /// The PBX makes the offer.
    Delayed,
}

/// How digits from WhatsApp reach a PBX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtmf {
    /// In the audio's RTP.
    Rfc4733,
    /// INFO with `application/dtmf-relay`.
    InfoRelay,
    /// INFO with `application/dtmf`.
    InfoDtmf,
}

/// What a PBX's caller hears while WhatsApp rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ringback {
    /// What the PBX plays by itself: it gets 180.
    Pbx,
    /// The tone of this country, made here: it gets 183 with an answer.
    Tone(Tone),
}
