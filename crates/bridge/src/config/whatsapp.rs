//! The audio towards WhatsApp: `[media.whatsapp]`, and what each number says of its own. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use media_relay::sdp::pbx::Codec;
use media_relay::{Keying, WhatsAppSide};

use super::error::Place;
use super::overlap::{Claim, Use};
use super::raw;
use super::table::{Field, Given};
use super::valid::{AUDIO, Checker};
use super::value;

const BOTH: &str = "advertised = [\"192.0.2.10\", \"2001:db8::10\"]";

/// The codecs that WhatsApp may speak beside Opus, in our words.
const G711: [(&str, Codec); 2] = [("pcmu", Codec::Pcmu), ("pcma", Codec::Pcma)];

/// How WhatsApp's side of a number's audio is spoken; as the number's settings at WhatsApp say.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct NumberAudio {
    /// How the keys are exchanged.
    pub keying: Keying,
    /// The codecs beside Opus, the best first.
    pub additional_codecs: Vec<Codec>,
    /// Whether G.711 goes before Opus where both sides have it.
    pub prefers_g711: bool,
}

impl NumberAudio {
    /// Its codecs beside Opus in Graph's words.
    #[must_use]
    pub fn graph_codecs(&self) -> Vec<String> {
        self.additional_codecs.iter().map(|codec| codec.to_string().to_ascii_uppercase()).collect()
    }
}

impl Checker<'_> {
    pub(super) fn number_audio(
        &mut self,
        srtp: Field<String>,
        codecs: Field<Vec<Field<String>>>,
        prefer: Field<String>,
    ) -> Option<NumberAudio> {
        let keying = self.choice(srtp, &[("dtls", Keying::Dtls), ("sdes", Keying::Sdes)]);
        let place = codecs.place.clone();
        let additional_codecs = match codecs.value {
            Given::Absent => Some(Vec::new()),
            Given::Wrong => None,
            Given::Good(items) => self.each_once(&place, items, &G711, "a codec"),
        };
        let place = prefer.place.clone();
        let prefers_g711 = self.choice(prefer, &[("opus", false), ("g711", true)]).or(false);
        if prefers_g711 == Some(true) && additional_codecs.as_ref().is_some_and(Vec::is_empty) {
            const REMEDY: &str =
                "write additional_codecs = [\"pcmu\", \"pcma\"] too, and enable them at WhatsApp";
            self.report.add(&place, format!("\"g711\" is nothing that this number has: {REMEDY}"));
        }
        let (additional_codecs, prefers_g711) = (additional_codecs?, prefers_g711?);
        Some(NumberAudio { keying: keying.or(Keying::Dtls)?, additional_codecs, prefers_g711 })
    }

    /// A socket on `::` takes both IP versions, so that is what two advertised addresses need.
    pub(super) fn whatsapp_side(
        &mut self,
        raw: raw::WhatsAppSide,
        claims: &mut Vec<Claim>,
    ) -> Option<WhatsAppSide> {
        let place = raw.advertised.place.clone();
        let told = self.told(raw.advertised);
        let has_ipv6 = told.iter().flatten().any(IpAddr::is_ipv6);
        let any: IpAddr = if has_ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let bind = raw.bind.check(self.report, |text| value::ip(&text)).or(any);
        let ports_place = raw.ports.place.clone();
        let ports = raw.ports.check(self.report, |text| value::ports(&text)).or(30000..=39999);
        if let (Some(bind), Some(ports)) = (bind, ports.clone()) {
            claims.push(Claim { place: ports_place, used_for: Use::Media, bind, ports });
        }
        let (bind, told) = (bind?, told?);
        let advertised = self.heard_at(&place, bind, told)?;
        Some(WhatsAppSide { bind, advertised, ports: ports? })
    }

    /// The addresses as written; none where none is.
    fn told(&mut self, field: Field<Vec<Field<String>>>) -> Option<Vec<IpAddr>> {
        let place = field.place.clone();
        let items = match field.value {
            Given::Absent => return Some(Vec::new()),
            Given::Wrong => return None,
            Given::Good(items) => items,
        };
        if items.is_empty() {
            self.report
                .add(&place, format!("is empty: write an address, or one of each IP version, like {BOTH}"));
            return None;
        }
        let mut told: Vec<IpAddr> = Vec::new();
        let count = items.len();
        for item in items {
            let ip = item.check(self.report, |text| {
                let ip = value::advertised_media(&text)?;
                match told.iter().any(|other| other.is_ipv4() == ip.is_ipv4()) {
                    true => Err(format!(
                        "{ip} is a second address of its IP version: write one of each, like {BOTH}"
                    )),
                    false => Ok(ip),
                }
            });
            told.extend(ip.good());
        }
        (told.len() == count).then_some(told)
    }

    fn heard_at(&mut self, place: &Place, bind: IpAddr, told: Vec<IpAddr>) -> Option<Vec<IpAddr>> {
        if told.is_empty() {
            return Some(vec![self.reachable(place, bind, bind, AUDIO)?]);
        }
        let takes_both = bind.is_ipv6() && bind.is_unspecified();
        if told.len() > 1 && !takes_both {
            let message = format!(
                "is of both IP versions, and bind {bind} is not: leave bind out, or write bind = \"::\", which takes both"
            );
            self.report.add(place, message);
            return None;
        }
        told.into_iter().map(|ip| self.reachable(place, bind, ip, AUDIO)).collect()
    }
}
