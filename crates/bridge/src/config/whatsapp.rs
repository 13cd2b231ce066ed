//! The audio towards WhatsApp: `[media.whatsapp]`. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use media_relay::WhatsAppSide;

use super::error::Place;
use super::overlap::{Claim, Use};
use super::raw;
use super::table::{Field, Given};
use super::valid::{AUDIO, Checker};
use super::value;

const BOTH: &str = "advertised = [\"192.0.2.10\", \"2001:db8::10\"]";

impl Checker<'_> {
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
