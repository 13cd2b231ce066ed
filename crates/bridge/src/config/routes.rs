//! The part of `valid` that makes trunks and numbers and ties them together.

use std::net::IpAddr;

use media_relay::sdp::pbx::Codec;
use sip_core::{Nat, TrunkId};
use wa_signaling::PhoneNumberId;

use super::error::{Place, listed, nearest};
use super::hours::KnownHours;
use super::manners::Ceilings;
use super::raw;
use super::sip::Sip;
use super::table::{Field, Given};
use super::trunk::{Dtmf, Trunk};
use super::valid::{Checker, Number};
use super::value::{self, Network};

/// A name that there is, or the one that may be meant.
pub(super) fn known<'a>(
    name: String,
    what: &str,
    names: impl Iterator<Item = &'a str> + Clone,
) -> Result<String, String> {
    if names.clone().any(|known| known == name) {
        return Ok(name);
    }
    Err(match nearest(&name, names.clone()) {
        Some(near) => format!("{name:?} is no {what}; did you mean {near:?}?"),
        None => format!("{name:?} is no {what}; there are: {}", listed(names)),
    })
}

const CODECS: [(&str, Codec); 4] =
    [("opus", Codec::Opus), ("g722", Codec::G722), ("pcmu", Codec::Pcmu), ("pcma", Codec::Pcma)];

/// What a trunk speaks that names no codecs.
const DEFAULT_CODECS: [Codec; 3] = [Codec::Opus, Codec::Pcmu, Codec::Pcma];

/// What the trunks read so far have taken.
#[derive(Default)]
struct Taken {
    names: Vec<Place>,
    /// Each source, and the index of its trunk.
    networks: Vec<(Network, usize)>,
    trunks: usize,
    /// Where a trunk chose its number, its name and its choice.
    defaults: Vec<(Place, String, PhoneNumberId)>,
}

impl Checker<'_> {
    /// The good trunks and numbers.
    pub(super) fn routes(
        &mut self,
        trunks: Vec<raw::Trunk>,
        numbers: Vec<raw::Number>,
        sip: Option<&Sip>,
        hours: &KnownHours,
    ) -> (Vec<Trunk>, Vec<Number>) {
        self.some("trunk", trunks.len(), "add one for each PBX: without it nobody may call");
        self.some(
            "number",
            numbers.len(),
            "add one for each business number: without it there is nothing to call with",
        );
        let mut taken = Taken::default();
        let trunks = trunks.into_iter().filter_map(|raw| self.trunk(raw, sip, &mut taken)).collect();
        let before = self.report.len();
        let mut ids = Vec::new();
        let mut displays = Vec::new();
        let numbers: Vec<_> = numbers
            .into_iter()
            .filter_map(|raw| self.number(raw, &taken.names, (&mut ids, &mut displays), hours))
            .collect();
        // With numbers missing a choice would be called wrong that is not.
        if self.report.len() == before {
            self.defaults(taken.defaults, &numbers);
        }
        (trunks, numbers)
    }

    fn some(&mut self, key: &str, count: usize, remedy: &str) {
        if count == 0 {
            let place = Place { key: key.to_owned(), line: None };
            self.report.add(&place, format!("there is no [[{key}]]: {remedy}"));
        }
    }

    fn trunk(&mut self, raw: raw::Trunk, sip: Option<&Sip>, taken: &mut Taken) -> Option<Trunk> {
        let index = taken.trunks;
        taken.trunks += 1;
        let name = self.unique(raw.name, value::name, &mut taken.names, "like name = \"office\"");
        let sources = self.sources(raw.sources, index, &mut taken.networks);
        let codecs = self.codecs(raw.codecs);
        let default_number = self.default_number(raw.default_number, name.as_ref(), taken);
        let targets = self.targets(raw.target, raw.targets, raw.accept_register.is_some(), sip);
        let advertised = self.own_address(raw.advertised);
        let nat = [("auto", Nat::Auto), ("source", Nat::Source), ("contact", Nat::Contact)];
        let nat = self.choice(raw.nat, &nat).or(Nat::Auto);
        let dtmf = [("rfc4733", Dtmf::Rfc4733), ("info", Dtmf::InfoRelay), ("info_dtmf", Dtmf::InfoDtmf)];
        let dtmf = self.choice(raw.dtmf, &dtmf).or(Dtmf::Rfc4733);
        let srtp = self.srtp(raw.srtp);
        let ringback = self.ringback(raw.ringback, raw.ringback_country);
        let tls = self.tls(raw.tls);
        let has_auth = raw.auth.is_some();
        let auth = self.auth(raw.auth);
        let credentials = self.credentials(raw.credentials);
        let known = credentials.as_ref().and_then(Option::as_ref);
        let register = self.register(raw.register, targets.as_ref(), known, sip);
        let accept_register = self.accept_register(raw.accept_register, has_auth);
        let health = self.health(raw.health);
        let failover = self.failover(raw.failover);
        let limits = self.limits(raw.limits);
        let dial = self.dial(raw.dial);
        let headers = self.headers(raw.headers);
        let session = self.session(raw.session);
        let dialling = self.dialling(raw.rewrite, raw.country, raw.number_header);
        let Ceilings { limits, longest_call, budget } = limits?;
        Some(Trunk {
            id: TrunkId(u16::try_from(index).ok()?),
            name: name?,
            sources: sources?,
            targets: targets?,
            codecs: codecs?,
            default_number,
            advertised: advertised?,
            nat: nat?,
            tcp_for_large: raw.tcp_for_large.or(false)?,
            tls: tls?,
            auth: auth?,
            credentials: credentials?,
            register: register?,
            accept_register: accept_register?,
            health: health?,
            failover: failover?,
            limits,
            longest_call,
            budget,
            dial: dial?,
            headers: headers?,
            session: session?,
            transfer: raw.transfer.or(true)?,
            redirect: raw.redirect.or(false)?,
            dtmf: dtmf?,
            srtp: srtp?,
            ringback: ringback?,
            dialling: dialling?,
        })
    }

    /// The default number, noted down until the numbers are known.
    fn default_number(
        &mut self,
        field: Field<String>,
        trunk: Option<&String>,
        taken: &mut Taken,
    ) -> Option<PhoneNumberId> {
        let place = field.place.clone();
        let id = field.check(self.report, |text| value::phone_number_id(&text)).good()?;
        if let Some(trunk) = trunk {
            taken.defaults.push((place, trunk.clone(), id.clone()));
        }
        Some(id)
    }

    fn own_address(&mut self, field: Field<String>) -> Option<Option<IpAddr>> {
        let address = field.check(self.report, |text| match value::advertised(&text)? {
            (ip, None) => Ok(ip),
            (ip, Some(_)) => Err(format!("{text:?} has a port, that is the listener's: write \"{ip}\"")),
        });
        address.optional()
    }

    fn sources(
        &mut self,
        field: Field<Vec<Field<String>>>,
        trunk: usize,
        taken: &mut Vec<(Network, usize)>,
    ) -> Option<Vec<Network>> {
        const REMEDY: &str = "list the addresses this PBX sends from, like sources = [\"10.0.0.5\"]";
        let items = field
            .check(
                self.report,
                |items| if items.is_empty() { Err(format!("is empty: {REMEDY}")) } else { Ok(items) },
            )
            .required(self.report, REMEDY)?;
        let mut networks = Vec::new();
        for item in items {
            let network = item.check(self.report, |text| {
                let network: Network = text.parse()?;
                match taken.iter().any(|(other, owner)| *owner != trunk && *other == network) {
                    true => Err(format!(
                        "{text:?} is a source of another trunk too: whose call would it be? Give each its own sources"
                    )),
                    false => Ok(network),
                }
            });
            networks.extend(network.good());
        }
        taken.extend(networks.iter().map(|network| (*network, trunk)));
        Some(networks)
    }

    fn codecs(&mut self, field: Field<Vec<Field<String>>>) -> Option<Vec<Codec>> {
        let names = || listed(CODECS.map(|(name, _)| name));
        let items = field.check(self.report, |items| match items.len() {
            0 => Err(format!("is empty: write some of {}, or leave it out for the usual ones", names())),
            _ => Ok(items),
        });
        let place = items.place.clone();
        match items.value {
            Given::Absent => Some(DEFAULT_CODECS.to_vec()),
            Given::Wrong => None,
            Given::Good(items) => self.each_once(&place, items, &CODECS, "a codec"),
        }
    }

    fn number(
        &mut self,
        raw: raw::Number,
        trunks: &[Place],
        (ids, displays): (&mut Vec<Place>, &mut Vec<Place>),
        hours: &KnownHours,
    ) -> Option<Number> {
        let id = |text: &str| value::phone_number_id(text).map(|id| id.to_string());
        let id = self.unique(raw.phone_number_id, id, ids, "like phone_number_id = \"106540352242922\"");
        let display =
            self.unique(raw.display, value::phone_number, displays, "like display = \"+15550001234\"");
        let token = self.secret(raw.token);
        let trunk = raw
            .trunk
            .check(self.report, |name| known(name, "trunk", trunks.iter().map(|trunk| trunk.key.as_str())));
        let trunk = trunk.required(self.report, "write the name of the [[trunk]] its calls go to");
        let destination = raw.destination.check(self.report, |text| value::sip_user(&text)).optional();
        let closed = self.closed(raw.hours, raw.closed_announcement, hours);
        let no_pbx = self.no_pbx(raw.no_pbx, raw.no_pbx_announcement);
        let permission = self.permission(raw.permission, raw.permission_request);
        let waba_id = raw.waba_id.check(self.report, |text| value::graph_id(&text)).optional();
        let audio = self.number_audio(raw.srtp, raw.additional_codecs, raw.prefer);
        let (hours, closed_announcement) = closed?;
        Some(Number {
            phone_number_id: id?.parse().ok()?,
            display: display?,
            token: token?,
            trunk: trunk?,
            destination: destination?,
            hours,
            closed_announcement,
            no_pbx: no_pbx?,
            permission: permission?,
            waba_id: waba_id?,
            audio: audio?,
        })
    }

    /// A value that nobody else may have. `taken` holds those before, in `key`, with their lines.
    pub(super) fn unique(
        &mut self,
        field: Field<String>,
        parse: impl FnOnce(&str) -> Result<String, String>,
        taken: &mut Vec<Place>,
        remedy: &str,
    ) -> Option<String> {
        let line = field.place.line;
        let value = field.check(self.report, |text| {
            let value = parse(&text)?;
            match taken.iter().find(|other| other.key == value) {
                Some(Place { line: Some(line), .. }) => {
                    Err(format!("{text:?} is taken, on line {line}: each must have its own"))
                }
                Some(_) => Err(format!("{text:?} is taken: each must have its own")),
                None => Ok(value),
            }
        });
        let value = value.required(self.report, &format!("write one {remedy}"))?;
        taken.push(Place { key: value.clone(), line });
        Some(value)
    }

    fn defaults(&mut self, defaults: Vec<(Place, String, PhoneNumberId)>, numbers: &[Number]) {
        for (place, trunk, id) in defaults {
            let mut own = numbers.iter().filter(|number| number.trunk == trunk);
            if own.all(|number| number.phone_number_id != id) {
                let message = format!("no [[number]] has phone_number_id \"{id}\" and trunk {trunk:?}");
                self.report.add(&place, message);
            }
        }
    }
}
