//! The part of `valid` that makes trunks and numbers and ties them together.

use std::net::SocketAddr;

use media_relay::sdp::pbx::Codec;
use wa_signaling::PhoneNumberId;

use super::error::{Place, listed, nearest};
use super::raw::{self, Field};
use super::valid::{Checker, Number, Sip, Trunk};
use super::value::{self, Network};

const CODECS: [(&str, Codec); 3] = [("opus", Codec::Opus), ("pcmu", Codec::Pcmu), ("pcma", Codec::Pcma)];

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
            .filter_map(|raw| self.number(raw, &taken.names, &mut ids, &mut displays))
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
        let target = raw.target.check(self.report, |text| {
            let target = value::target(&text)?;
            match sip.map(|sip| sip.bind) {
                Some(bind) if !can_send(bind, target) => Err(format!(
                    "{target} cannot be reached from sip.bind {bind}: both must be of one IP version"
                )),
                _ => Ok(target),
            }
        });
        let target =
            target.required(self.report, "write where its calls go, like target = \"10.0.0.5:5060\"");
        let codecs = self.codecs(raw.codecs);
        let default = raw.default_number;
        let place = default.place.clone();
        let default_number = default.check(self.report, |text| value::phone_number_id(&text)).good();
        if let (Some(name), Some(id)) = (&name, &default_number) {
            taken.defaults.push((place, name.clone(), id.clone()));
        }
        Some(Trunk { name: name?, sources: sources?, target: target?, codecs: codecs?, default_number })
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
                match taken.iter().find(|(other, owner)| *owner != trunk && other.overlaps(&network)) {
                    Some((other, _)) => Err(format!(
                        "{text:?} overlaps {other} of another trunk: whose call would it be? Give each its own sources"
                    )),
                    None => Ok(network),
                }
            });
            networks.extend(network.good());
        }
        taken.extend(networks.iter().map(|network| (*network, trunk)));
        Some(networks)
    }

    fn codecs(&mut self, field: Field<Vec<Field<String>>>) -> Option<Vec<Codec>> {
        let all = CODECS.map(|(_, codec)| codec).to_vec();
        let names = || listed(CODECS.map(|(name, _)| name));
        let items = field.check(self.report, |items| match items.len() {
            0 => Err(format!("is empty: write some of {}, or leave it out for all", names())),
            _ => Ok(items),
        });
        let place = items.place.clone();
        let items = items.or(Vec::new())?;
        if items.is_empty() {
            return Some(all);
        }
        let mut codecs = Vec::new();
        for item in items {
            let place = Place { line: item.place.line, ..place.clone() };
            let codec = self.choice(item, &CODECS).good();
            if codec.is_some_and(|codec| codecs.contains(&codec)) {
                self.report.add(&place, "names a codec twice: once is enough");
            } else {
                codecs.extend(codec);
            }
        }
        Some(codecs)
    }

    fn number(
        &mut self,
        raw: raw::Number,
        trunks: &[Place],
        ids: &mut Vec<Place>,
        displays: &mut Vec<Place>,
    ) -> Option<Number> {
        let id = |text: &str| value::phone_number_id(text).map(|id| id.to_string());
        let id = self.unique(raw.phone_number_id, id, ids, "like phone_number_id = \"106540352242922\"");
        let display =
            self.unique(raw.display, value::phone_number, displays, "like display = \"+15550001234\"");
        let token = self.secret(raw.token);
        let trunk = raw.trunk.check(self.report, |name| {
            let names = || trunks.iter().map(|trunk| trunk.key.as_str());
            if names().any(|known| known == name) {
                return Ok(name);
            }
            Err(match nearest(&name, names()) {
                Some(near) => format!("{name:?} is no trunk; did you mean {near:?}?"),
                None => format!("{name:?} is no trunk; there are: {}", listed(names())),
            })
        });
        let trunk = trunk.required(self.report, "write the name of the [[trunk]] its calls go to");
        let destination = raw
            .destination
            .check(self.report, |text| value::sip_user(&text))
            .required(self.report, "write whom the PBX is to ring, like destination = \"100\"");
        Some(Number {
            phone_number_id: id?.parse().ok()?,
            display: display?,
            token: token?,
            trunk: trunk?,
            destination: destination?,
        })
    }

    /// A value that nobody else may have. `taken` holds those before, in `key`, with their lines.
    fn unique(
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

/// Whether a socket on `bind` reaches `target`: one on `::` reaches both versions.
fn can_send(bind: SocketAddr, target: SocketAddr) -> bool {
    let is_dual_stack = bind.is_ipv6() && bind.ip().is_unspecified();
    is_dual_stack || bind.is_ipv4() == target.is_ipv4()
}
