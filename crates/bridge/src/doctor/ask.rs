//! Gathers the facts: asks Graph and the webhook URL. This is IO.

use reqwest::Url;
use wa_signaling::graph::account::TokenInfo;
use wa_signaling::graph::error::{ErrorKind, GraphError};
use wa_signaling::{GraphClient, GraphConfig, PhoneNumberId, Secret};

use super::facts::{App, Facts, Number, Reached, Unreached, Waba, Webhook};
use super::probe::{self, Prober};
use crate::config::{Config, Number as Configured};

/// A client of the configured Graph API.
///
/// # Errors
/// When TLS cannot be set up.
pub fn client(config: &Config) -> anyhow::Result<GraphClient> {
    let mut graph = GraphConfig::new(config.graph.url.clone(), config.graph.version.clone());
    graph.limits = config.graph.limits;
    Ok(GraphClient::new(graph)?)
}

/// Asks everything; of the numbers, `only` one if it is given.
///
/// # Errors
/// When TLS cannot be set up, or a URL of the configuration cannot be asked.
pub async fn ask(config: &Config, only: Option<&PhoneNumberId>) -> anyhow::Result<Facts> {
    // Two providers are compiled in by different libraries; rustls wants to be told.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let prober = Prober::new()?;
    let graph = reach(config, &prober).await?;
    let numbers =
        config.numbers.iter().filter(|number| only.is_none_or(|only| number.phone_number_id == *only));
    let mut facts = Facts {
        now: probe::now(),
        graph_url: format!("{} {}", config.graph.url, config.graph.version),
        webhook: webhook(config, &prober).await,
        app: App {
            id: config.graph.app_id.clone(),
            secrets: config.webhook.app_secrets.len(),
            subscriptions: None,
        },
        wabas: Vec::new(),
        numbers: Vec::new(),
        ring_limit_s: config.calls.ring_limit_in.as_secs(),
        graph,
    };
    if facts.graph.is_err() {
        return Ok(facts);
    }
    let asker = Asker { config, client: client(config)? };
    let app_token = asker.app(&mut facts).await;
    for number in numbers {
        facts.numbers.push(asker.number(number, app_token.as_ref()).await);
        asker.waba(number, &mut facts).await;
    }
    Ok(facts)
}

async fn reach(config: &Config, prober: &Prober) -> anyhow::Result<Result<Reached, Unreached>> {
    let url = Url::parse(&format!("{}/{}/", config.graph.url, config.graph.version))?;
    Ok(prober.reach(&url).await)
}

async fn webhook(config: &Config, prober: &Prober) -> Webhook {
    let mut facts = Webhook {
        url: config.webhook.public_url.as_ref().map(Url::to_string),
        path: config.webhook.path.clone(),
        listen: config.webhook.listen.to_string(),
        own_tls: config.webhook.tls.is_some(),
        ..Webhook::default()
    };
    let Some(url) = &config.webhook.public_url else { return facts };
    let verification = prober.verify(url, &config.webhook.verify_token.current()).await;
    if verification.is_ok() {
        for secret in config.webhook.secrets() {
            facts.probes.push(prober.signed(url, &secret).await);
        }
    }
    facts.verification = Some(verification);
    facts
}

/// The tokens of the app, one by secret: only one of several secrets need be its own.
pub(super) fn app_tokens(config: &Config) -> Vec<Secret> {
    let Some(id) = &config.graph.app_id else { return Vec::new() };
    config.webhook.secrets().iter().map(|secret| Secret::new(format!("{id}|{}", secret.expose()))).collect()
}

struct Asker<'a> {
    config: &'a Config,
    client: GraphClient,
}

impl Asker<'_> {
    /// The app's subscriptions, and the app token that works.
    async fn app(&self, facts: &mut Facts) -> Option<Secret> {
        let id = self.config.graph.app_id.as_deref()?;
        for token in app_tokens(self.config) {
            let asked = self.client.subscriptions(id, &token).await;
            let is_refused = asked.as_ref().is_err_and(is_token);
            facts.app.subscriptions = Some(asked);
            if !is_refused {
                return Some(token);
            }
        }
        None
    }

    async fn number(&self, number: &Configured, app_token: Option<&Secret>) -> Number {
        let (id, secret) = (&number.phone_number_id, number.token.current());
        let token = match app_token {
            Some(app_token) => Some(self.client.debug_token(&secret, app_token).await),
            None => None,
        };
        let mut facts = Number {
            id: id.to_string(),
            display: number.display.clone(),
            waba: self.waba_of(number),
            audio: number.audio.clone(),
            token,
            info: None,
            settings: None,
        };
        if !is_dead(facts.token.as_ref()) {
            facts.info = Some(self.client.number(id, &secret).await);
            facts.settings = Some(self.client.settings(id, &secret).await);
        }
        facts
    }

    fn waba_of(&self, number: &Configured) -> Option<String> {
        number.waba_id.clone().or_else(|| self.config.graph.waba_id.clone())
    }

    /// The apps of the number's account, unless another number's token has shown them.
    async fn waba(&self, number: &Configured, facts: &mut Facts) {
        let id = self.waba_of(number);
        let place = facts.wabas.iter().position(|waba| waba.id == id).unwrap_or_else(|| {
            facts.wabas.push(Waba { id: id.clone(), apps: None });
            facts.wabas.len() - 1
        });
        let is_dead = is_dead(facts.numbers.last().and_then(|number| number.token.as_ref()));
        let Some(waba) = facts.wabas.get_mut(place) else { return };
        if let (Some(id), false, None | Some(Err(_))) = (&id, is_dead, &waba.apps) {
            waba.apps = Some(self.client.subscribed_apps(id, &number.token.current()).await);
        }
    }
}

pub(super) fn is_token(error: &GraphError) -> bool {
    error.kind() == ErrorKind::TokenInvalid
}

fn is_dead(token: Option<&Result<TokenInfo, GraphError>>) -> bool {
    token.is_some_and(|token| token.as_ref().is_ok_and(|info| !info.valid))
}
