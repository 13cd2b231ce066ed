//! The part of `valid` that says who a trunk is: digest, registration, certificates.

use std::time::Duration;

use sip_core::auth::Algorithm;

use super::error::{Place, listed};
use super::header;
use super::raw;
use super::sip::Sip;
use super::table::{Field, Given};
use super::targets::target;
use super::trunk::{AcceptRegister, Auth, Credentials, Register, Targets, Tls, TlsIdentity, User};
use super::valid::{Checker, seconds};
use super::value::{self, within};

/// Most users of one trunk.
const MAX_USERS: usize = 10_000;
const ALGORITHMS: [(&str, Algorithm); 2] = [("sha-256", Algorithm::Sha256), ("md5", Algorithm::Md5)];

impl Checker<'_> {
    pub(super) fn tls(&mut self, raw: raw::Tls) -> Option<Tls> {
        let ca = self.pem(raw.ca, "CERTIFICATE").optional();
        let (places, certificate, key) = (
            (raw.certificate.place.clone(), raw.key.place.clone()),
            self.pem(raw.certificate, "CERTIFICATE"),
            self.pem(raw.key, "PRIVATE KEY"),
        );
        let identity = match (certificate.optional(), key.optional()) {
            (Some(Some(certificate)), Some(Some(key))) => Some(Some(TlsIdentity { certificate, key })),
            (Some(None), Some(None)) => Some(None),
            (Some(Some(_)), Some(None)) => {
                self.report.add(&places.1, "is missing: a certificate is of no use without its key");
                None
            }
            (Some(None), Some(Some(_))) => {
                self.report.add(&places.0, "is missing: a key is of no use without its certificate");
                None
            }
            (None, _) | (_, None) => None,
        };
        let server_name = raw.server_name.check(self.report, |text| {
            crate::trunk::target::name(&text)
                .ok_or_else(|| format!("{text:?} is no host name: write one like \"pbx.example.com\""))
        });
        let verify = self.choice(raw.verify, &[("full", true), ("none", false)]).or(true);
        Some(Tls { ca: ca?, identity: identity?, server_name: server_name.optional()?, verify: verify? })
    }

    /// Nothing inside: no digest is demanded.
    pub(super) fn auth(&mut self, raw: Option<raw::Auth>) -> Option<Option<Auth>> {
        let Some(raw) = raw else { return Some(None) };
        let place = raw.realm.place.clone();
        let realm = raw.realm.check(self.report, |text| header::quotable(&text)).or("wa-bridge".to_owned());
        let algorithms = self.algorithms(raw.algorithms);
        let mut names = Vec::new();
        let count = raw.user.len();
        let users: Vec<_> = raw.user.into_iter().filter_map(|raw| self.user(raw, &mut names)).collect();
        if count == 0 || count > MAX_USERS {
            let place = Place { key: place.key.replace(".realm", ".user"), ..place };
            let message = format!(
                "must be 1 to {MAX_USERS} users: write [[trunk.auth.user]] with name and password for each"
            );
            self.report.add(&place, message);
        }
        Some(Some(Auth { realm: realm?, algorithms: algorithms?, users }))
    }

    fn algorithms(&mut self, field: Field<Vec<Field<String>>>) -> Option<Vec<Algorithm>> {
        let names = || listed(ALGORITHMS.map(|(name, _)| name));
        let items = field.check(self.report, |items| match items.len() {
            0 => Err(format!("is empty: write some of {}, or leave it out for all", names())),
            _ => Ok(items),
        });
        let place = items.place.clone();
        match items.value {
            Given::Absent => Some(ALGORITHMS.map(|(_, algorithm)| algorithm).to_vec()),
            Given::Wrong => None,
            Given::Good(items) => self.each_once(&place, items, &ALGORITHMS, "an algorithm"),
        }
    }

    fn user(&mut self, raw: raw::User, names: &mut Vec<Place>) -> Option<User> {
        let name = self.unique(raw.name, header::quotable, names, "like name = \"pbx\"");
        let password = self.secret(raw.password);
        Some(User { name: name?, password: password? })
    }

    pub(super) fn credentials(&mut self, raw: Option<raw::Credentials>) -> Option<Option<Credentials>> {
        let Some(raw) = raw else { return Some(None) };
        let user = raw.user.check(self.report, |text| header::quotable(&text));
        let user = user.required(self.report, "write the name the PBX knows this bridge by");
        let password = self.secret(raw.password);
        let realm = raw.realm.check(self.report, |text| header::quotable(&text)).optional();
        Some(Some(Credentials { user: user?, password: password?, realm: realm? }))
    }

    pub(super) fn register(
        &mut self,
        raw: Option<raw::Register>,
        targets: Option<&Targets>,
        credentials: Option<&Credentials>,
        sip: Option<&Sip>,
    ) -> Option<Option<Register>> {
        let Some(raw) = raw else { return Some(None) };
        let place = raw.to.place.clone();
        let to = raw.to.check(self.report, |text| target(&text));
        let to = match (to.value, targets) {
            (Given::Good(to), _) => Some(to).filter(|to| self.can_send(&place, sip, to)),
            (Given::Absent, Some(Targets::List(aims))) => aims.first().map(|aim| aim.target.clone()),
            (Given::Absent, Some(Targets::Registered)) => {
                self.report.add(&place, "is missing: write the registrar, like to = \"sip:pbx.example.com\"");
                None
            }
            (Given::Absent | Given::Wrong, _) => None,
        };
        let user = raw.user.check(self.report, |text| value::sip_user(&text));
        let user = match (user.value, credentials) {
            (Given::Good(user), _) => Some(user),
            (Given::Absent, Some(credentials)) => Some(credentials.user.clone()),
            (Given::Absent, None) => {
                self.report
                    .add(&user.place, "is missing: write whom the PBX is to call here, or add credentials");
                None
            }
            (Given::Wrong, _) => None,
        };
        let expires = raw.expires_s.check(self.report, seconds(60..=86_400)).or(Duration::from_secs(300));
        Some(Some(Register { to: to?, user: user?, expires: expires? }))
    }

    pub(super) fn accept_register(
        &mut self,
        raw: Option<raw::AcceptRegister>,
        has_auth: bool,
    ) -> Option<Option<AcceptRegister>> {
        let Some(raw) = raw else { return Some(None) };
        let place = raw.max_expires_s.place.clone();
        if !has_auth {
            let key = place.key.replace(".max_expires_s", "");
            let message = "needs a password, or anybody could take the calls: write [[trunk.auth.user]] with name and password";
            self.report.add(&Place { key, ..place.clone() }, message);
        }
        let max_contacts = raw.max_contacts.check(self.report, within(1..=16)).or(1);
        let min = raw.min_expires_s.check(self.report, seconds(10..=3600)).or(Duration::from_secs(60));
        let max = raw.max_expires_s.check(self.report, seconds(60..=86_400)).or(Duration::from_secs(3600));
        let accept = AcceptRegister { max_contacts: max_contacts?, min_expires: min?, max_expires: max? };
        if accept.min_expires > accept.max_expires {
            self.report.add(&place, "is less than min_expires_s: no registration would fit");
        }
        Some(Some(accept))
    }
}
