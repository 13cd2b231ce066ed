//! The part of `valid` about webhooks: where they come in, who signs them, who else gets them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use reqwest::Url;
use wa_signaling::Secret;
use wa_signaling::webhook::pass_on::{Destination, Fields};

use super::error::Place;
use super::overlap::{Claim, Use};
use super::raw;
use super::secret::LiveSecret;
use super::table::{self, Field, Given, SecretAt};
use super::valid::Checker;
use super::value;

/// Most app secrets: each costs a look at every body.
const MAX_SECRETS: usize = 8;
/// Most destinations of pass-on: each may hold so much memory as its outbox has room.
const MAX_DESTINATIONS: usize = 8;
/// The longest callback URL that Graph takes.
const MAX_PUBLIC_URL: usize = 200;
/// Every field.
const EVERY: &str = "*";

/// Where WhatsApp's webhooks come in.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Where it listens; port 0 takes any free one.
    pub listen: SocketAddr,
    /// The path, plain.
    pub path: String,
    /// Sign the webhooks: each of them may; at least one.
    pub app_secrets: Vec<LiveSecret>,
    /// Proves to WhatsApp that the URL is ours.
    pub verify_token: LiveSecret,
    /// HTTPS of our own; without it, plain HTTP behind a proxy that does TLS.
    pub tls: Option<WebhookTls>,
    /// Who gets what is not for calling; each with a label of its own.
    pub pass_on: Vec<Destination>,
    /// The URL that WhatsApp calls, for `doctor`.
    pub public_url: Option<Url>,
}

/// The files of HTTPS; each is there, and is read again when it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookTls {
    /// The certificate with its chain, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

impl Webhook {
    /// The app secrets as they are now.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        self.app_secrets.iter().map(LiveSecret::current).collect()
    }
}

impl Checker<'_> {
    pub(super) fn webhook(&mut self, raw: raw::Webhook, claims: &mut Vec<Claim>) -> Option<Webhook> {
        let listen = self.listener(raw.listen, ([127, 0, 0, 1], 8080), Use::Tcp, claims);
        let path = raw.path.check(self.report, |text| value::url_path(&text)).or("/webhook".into());
        let app_secrets = self.app_secrets(raw.app_secret);
        let verify_token = self.secret(raw.verify_token);
        let tls = self.webhook_tls(raw.tls);
        let pass_on = self.pass_on(raw.pass_on);
        let public_url = raw.public_url.check(self.report, |text| public_url(&text)).optional();
        Some(Webhook {
            listen: listen?,
            path: path?,
            app_secrets: app_secrets?,
            verify_token: verify_token?,
            tls: tls?,
            pass_on: pass_on?,
            public_url: public_url?,
        })
    }

    fn app_secrets(&mut self, field: Field<Vec<Field<SecretAt>>>) -> Option<Vec<LiveSecret>> {
        let items = field.check(self.report, |items| match items.len() {
            1..=MAX_SECRETS => Ok(items),
            count => Err(format!("lists {count} secrets: write 1 to {MAX_SECRETS}")),
        });
        let items = items.required(self.report, table::SECRET_REMEDY)?;
        let count = items.len();
        let secrets: Vec<_> = items.into_iter().filter_map(|item| self.secret(item)).collect();
        (secrets.len() == count).then_some(secrets)
    }

    /// Nothing inside: plain HTTP.
    fn webhook_tls(&mut self, raw: Option<raw::WebhookTls>) -> Option<Option<WebhookTls>> {
        let Some(raw) = raw else { return Some(None) };
        let certificate = self.pem(raw.certificate, "CERTIFICATE");
        let key = self.pem(raw.key, "PRIVATE KEY");
        let certificate = certificate
            .required(self.report, "write the file of the chain, like certificate = \"tls/chain.pem\"");
        let key = key.required(self.report, "write the file of the key, like key = \"tls/key.pem\"");
        Some(Some(WebhookTls { certificate: certificate?, key: key? }))
    }

    fn pass_on(&mut self, raw: Vec<raw::PassOn>) -> Option<Vec<Destination>> {
        let count = raw.len();
        if let Some(first) = raw.first().filter(|_| count > MAX_DESTINATIONS) {
            let place = Place { key: first.url.place.key.replace(".url", ""), ..first.url.place.clone() };
            self.report.add(&place, format!("has {count} destinations: write {MAX_DESTINATIONS} at most"));
        }
        let mut known: Vec<Destination> = Vec::new();
        for raw in raw {
            let place = raw.url.place.clone();
            let url = raw.url.check(self.report, |text| destination(&text));
            let url = url.required(self.report, "write url = \"https://crm.example.com/webhook\"");
            let fields = self.fields(raw.fields);
            let (Some(url), Some(fields)) = (url, fields) else { continue };
            if known.iter().any(|other| other.url == url) {
                self.report.add(&place, "stands here twice: list all its fields at once");
                continue;
            }
            let label = label(&url, &known);
            known.push(Destination { url, label, fields });
        }
        (known.len() == count).then_some(known)
    }

    fn fields(&mut self, field: Field<Vec<Field<String>>>) -> Option<Fields> {
        let items = match field.value {
            Given::Absent => return Some(Fields::AllButCalls),
            Given::Wrong => return None,
            Given::Good(items) => items,
        };
        if items.is_empty() {
            self.report.add(&field.place, "is empty: leave it out for all fields but \"calls\"");
            return None;
        }
        let count = items.len();
        let names: Vec<_> =
            items.into_iter().filter_map(|item| item.check(self.report, |text| name(&text)).good()).collect();
        if names.len() < count {
            return None;
        }
        let names: BTreeSet<_> = names.into_iter().collect();
        Some(if names.contains(EVERY) { Fields::All } else { Fields::These(names) })
    }
}

/// The URL that WhatsApp is given: WhatsApp asks it with a query of its own.
fn public_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
    let wrong = "is no URL that WhatsApp could call: write one like \"https://calls.example.com/webhook\"";
    let url = url.ok_or(wrong)?;
    let is_plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if !is_plain || url.password().is_some() {
        return Err(
            "must have no query and no password: write one like \"https://calls.example.com/webhook\"".into(),
        );
    }
    if text.len() > MAX_PUBLIC_URL {
        return Err(format!("is longer than the {MAX_PUBLIC_URL} characters that WhatsApp takes"));
    }
    Ok(url)
}

/// A URL that webhooks are passed on to. It may hold credentials: no message repeats it.
fn destination(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
    url.ok_or_else(|| {
        "is no http or https URL: write one like \"https://crm.example.com/webhook\"".to_owned()
    })
}

/// Scheme, host and port alone; with a count where others have the same.
fn label(url: &Url, known: &[Destination]) -> String {
    let origin = url.origin().ascii_serialization();
    match known.iter().filter(|other| other.url.origin() == url.origin()).count() {
        0 => origin,
        others => format!("{origin} ({})", others + 1),
    }
}

/// The name of a webhook field.
fn name(text: &str) -> Result<String, String> {
    let is_name = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if is_name || text == EVERY {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no webhook field: write one like \"messages\", or \"*\" for every one"))
    }
}
