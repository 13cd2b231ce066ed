//! The part of `valid` that listens for SIP: listeners, and what strangers get.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use sip_core::Transport;

use super::error::Place;
use super::overlap::{Claim, Use};
use super::raw;
use super::table::{Field, Given};
use super::valid::{Checker, seconds};
use super::value::{self, within};
use crate::trunk::limit::Limits;
use crate::trunk::locate::Means;
use crate::trunk::target::{Target, default_port};

/// SIP towards the PBXs.
#[derive(Clone, Debug)]
pub struct Sip {
    /// Where it listens; at least one.
    pub listeners: Vec<Listener>,
    /// The User-Agent and Server header.
    pub user_agent: String,
    /// What a source hears that is on no trunk.
    pub strangers: Strangers,
    /// Requests a second from one address that has not proved to be of a trunk; at least 1.
    pub rate: u32,
    /// Failures of one address within a minute after which it is banned; 0 bans nobody.
    pub ban_after: u32,
    /// How long a ban lasts.
    pub ban: Duration,
    /// How many calls there may be, of all trunks.
    pub limits: Limits,
}

/// Where SIP is listened for.
#[derive(Clone, Debug)]
pub struct Listener {
    /// How.
    pub transport: Transport,
    /// Port 0 takes any free one.
    pub bind: SocketAddr,
    /// What Via and Contact say; its port is that of `bind` unless told otherwise.
    pub advertised: SocketAddr,
    /// For TLS, and only there.
    pub tls: Option<ListenerTls>,
}

/// The files of a TLS listener; each is there, and is read again when it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTls {
    /// The certificate with its chain, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// Who signs the certificates that clients must show; without it none is asked for.
    pub client_ca: Option<PathBuf>,
}

/// What a source hears that is on no trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strangers {
    /// Nothing.
    Silence,
    /// 403.
    Forbidden,
}

impl Sip {
    /// What the SIP endpoint is told of the listeners, in their order: a `ListenerId` is a place here.
    #[must_use]
    pub fn endpoint_listeners(&self) -> Vec<sip_core::Listener> {
        let known = |one: &Listener| sip_core::Listener {
            transport: one.transport,
            local: one.bind,
            advertised: one.advertised,
        };
        self.listeners.iter().map(known).collect()
    }

    /// What can be sent by: the transports of the listeners.
    #[must_use]
    pub fn means(&self) -> Means {
        let mut means = Means::default();
        for listener in &self.listeners {
            means.add(listener.transport, listener.bind.ip());
        }
        means
    }
}

impl Checker<'_> {
    pub(super) fn sip(&mut self, raw: raw::Sip, claims: &mut Vec<Claim>) -> Option<Sip> {
        let listeners = self.listeners(raw.bind, raw.advertised, raw.listener, claims);
        let own = concat!("wa-bridge/", env!("CARGO_PKG_VERSION")).to_owned();
        let user_agent = raw.user_agent.check(self.report, |text| value::user_agent(&text)).or(own);
        let strangers = [("silence", Strangers::Silence), ("403", Strangers::Forbidden)];
        let strangers = self.choice(raw.strangers, &strangers).or(Strangers::Silence);
        let rate = raw.rate.check(self.report, within(1..=10_000)).or(10);
        let ban_after = raw.ban_after.check(self.report, within(0..=10_000)).or(20);
        let ban = raw.ban_s.check(self.report, seconds(1..=86_400)).or(Duration::from_secs(300));
        let calls = raw.max_calls.check(self.report, within(0..=100_000)).or(1000);
        let per_second = raw.max_calls_per_second.check(self.report, within(0..=100_000)).or(100);
        Some(Sip {
            listeners: listeners?,
            user_agent: user_agent?,
            strangers: strangers?,
            rate: rate?,
            ban_after: ban_after?,
            ban: ban?,
            limits: Limits { calls: calls?, calls_per_second: per_second? },
        })
    }

    /// Those written, or the one of the short form.
    fn listeners(
        &mut self,
        bind: Field<String>,
        advertised: Field<String>,
        written: Vec<raw::Listener>,
        claims: &mut Vec<Claim>,
    ) -> Option<Vec<Listener>> {
        if written.is_empty() {
            let (bind, advertised) = self.addresses(bind, Some(5060), advertised, Use::Udp, claims)?;
            return Some(vec![Listener { transport: Transport::Udp, bind, advertised, tls: None }]);
        }
        for short in [bind, advertised] {
            if !matches!(short.value, Given::Absent) {
                self.report.add(
                    &short.place,
                    "is the short form for one UDP listener: write it into a [[sip.listener]] with transport = \"udp\"",
                );
            }
        }
        let count = written.len();
        let listeners: Vec<_> =
            written.into_iter().filter_map(|raw| self.sip_listener(raw, claims)).collect();
        (listeners.len() == count).then_some(listeners)
    }

    fn sip_listener(&mut self, raw: raw::Listener, claims: &mut Vec<Claim>) -> Option<Listener> {
        let transport = self.choice(raw.transport, &TRANSPORTS);
        let transport = transport.required(self.report, "write transport = \"udp\", \"tcp\" or \"tls\"");
        let used_for = if transport == Some(Transport::Udp) { Use::Udp } else { Use::Tcp };
        let port = transport.map(default_port);
        let addresses = self.addresses(raw.bind, port, raw.advertised, used_for, claims);
        let tls = match transport {
            Some(Transport::Tls) => Some(self.listener_tls(raw.certificate, raw.key, raw.client_ca)?),
            Some(_) => {
                for field in [raw.certificate, raw.key, raw.client_ca] {
                    self.only_tls(&field);
                }
                None
            }
            None => None,
        };
        let (bind, advertised) = addresses?;
        Some(Listener { transport: transport?, bind, advertised, tls })
    }

    fn only_tls(&mut self, field: &Field<String>) {
        if !matches!(field.value, Given::Absent) {
            self.report.add(&field.place, "is for transport = \"tls\" alone: write that, or leave this out");
        }
    }

    fn listener_tls(
        &mut self,
        certificate: Field<String>,
        key: Field<String>,
        client_ca: Field<String>,
    ) -> Option<ListenerTls> {
        let certificate = self.pem(certificate, "CERTIFICATE");
        let key = self.pem(key, "PRIVATE KEY");
        let client_ca = self.pem(client_ca, "CERTIFICATE");
        let certificate = certificate
            .required(self.report, "write the file of the chain, like certificate = \"tls/chain.pem\"");
        let key = key.required(self.report, "write the file of the key, like key = \"tls/key.pem\"");
        Some(ListenerTls { certificate: certificate?, key: key?, client_ca: client_ca.optional()? })
    }

    /// An address to listen on and what others are told of it.
    fn addresses(
        &mut self,
        bind: Field<String>,
        port: Option<u16>,
        advertised: Field<String>,
        used_for: Use,
        claims: &mut Vec<Claim>,
    ) -> Option<(SocketAddr, SocketAddr)> {
        let bind = self.listener(bind, ([0, 0, 0, 0], port.unwrap_or(5060)), used_for, claims);
        let place = advertised.place.clone();
        let advertised = advertised.check(self.report, |text| value::advertised(&text));
        let bind = bind?;
        let (ip, port) = advertised.or((bind.ip(), None))?;
        let ip = self.reachable(&place, bind.ip(), ip, "PBXs reach")?;
        Some((bind, SocketAddr::new(ip, port.unwrap_or(bind.port()))))
    }

    /// A file that holds this kind of PEM.
    pub(super) fn pem(&mut self, field: Field<String>, kind: &str) -> Field<PathBuf> {
        let folder = self.folder;
        field.check(self.report, |path| {
            let path = folder.join(path);
            super::file::check_pem(&path, kind)?;
            Ok(path)
        })
    }

    /// Reports a target that no listener can send to.
    pub(super) fn can_send(&mut self, place: &Place, sip: Option<&Sip>, target: &Target) -> bool {
        let Some(sip) = sip else { return true };
        let means = sip.means();
        let message = match (target.literal(), target.transport) {
            (Some(to), _) if means.reach(to.transport, to.address.ip()) => return true,
            (Some(to), _) if means.have(to.transport) => format!(
                "{} cannot be reached from the {} listener: both must be of one IP version",
                to.address,
                to.transport.name()
            ),
            (Some(to), _) => no_listener(to.transport),
            (None, Some(transport)) if !means.have(transport) => no_listener(transport),
            (None, None) if target.port.is_some() && !means.have(Transport::Udp) => {
                no_listener(Transport::Udp)
            }
            (None, _) => return true,
        };
        self.report.add(place, message);
        false
    }
}

const TRANSPORTS: [(&str, Transport); 3] =
    [("udp", Transport::Udp), ("tcp", Transport::Tcp), ("tls", Transport::Tls)];

fn no_listener(transport: Transport) -> String {
    let transport = transport.name();
    format!(
        "goes by {transport}, and no listener does: add a [[sip.listener]] with transport = \"{transport}\", for the PBX calls back there"
    )
}
