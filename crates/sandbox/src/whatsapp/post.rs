//! What happens to webhooks on their way: lost, late, repeated, reordered, in one bag, or under a wrong seal.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::hub::{Hub, lock};
use super::webhook::{self, Delivery};
use crate::ladder::Lane;

/// Rules waiting for their webhooks; more are not taken.
const RULES: usize = 10_000;
/// Most copies of a webhook.
const COPIES: usize = 1000;

/// What goes wrong with a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookFault {
    /// It never comes.
    Lost,
    /// It comes so often, at once.
    Repeated(usize),
    /// It comes this much later; what follows it overtakes it.
    Late(Duration),
    /// It comes this much later, and holds up what follows it in its call.
    Slow(Duration),
    /// Its signature is wrong.
    BadSignature,
    /// It is signed with this secret: another app's.
    Secret(String),
}

/// A fault, and the webhooks that it is for.
#[derive(Clone, Debug)]
struct Rule {
    /// The beginning of its name; empty for any.
    what: String,
    /// Webhooks of that name that are let through before.
    skip: usize,
    fault: WebhookFault,
}

/// Webhooks that wait for others.
#[derive(Debug)]
struct Held {
    /// In which order they leave; empty for all in one POST.
    order: Vec<usize>,
    count: usize,
    parcels: Vec<Parcel>,
}

/// The post office.
#[derive(Debug, Default)]
pub(crate) struct Post {
    rules: Vec<Rule>,
    held: VecDeque<Held>,
}

impl Post {
    pub(crate) fn rule(&mut self, what: &str, skip: usize, fault: &WebhookFault, times: usize) {
        for _ in 0..times.min(RULES.saturating_sub(self.rules.len())) {
            self.rules.push(Rule { what: what.to_owned(), skip, fault: fault.clone() });
        }
    }

    /// The next webhooks wait for each other, then leave one after the other: `order[0]` is the place of the
    /// first to leave among those that came.
    pub(crate) fn reorder(&mut self, order: &[usize]) {
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        assert!(sorted.iter().copied().eq(0..order.len()), "a permutation of 0.. is expected");
        if !order.is_empty() {
            let (order, count) = (order.to_vec(), order.len());
            self.held.push_back(Held { order, count, parcels: Vec::new() });
        }
    }

    /// The next `count` webhooks come in one POST.
    pub(crate) fn batch(&mut self, count: usize) {
        if count > 0 {
            self.held.push_back(Held { order: Vec::new(), count, parcels: Vec::new() });
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The fault of a webhook of that name, once. Rules for it that still skip are counted down.
    fn fault(&mut self, what: &str) -> Option<WebhookFault> {
        let found = self.rules.iter().position(|rule| what.starts_with(&rule.what) && rule.skip == 0);
        if let Some(index) = found {
            return Some(self.rules.remove(index).fault);
        }
        for rule in &mut self.rules {
            if what.starts_with(&rule.what) {
                rule.skip -= 1;
            }
        }
        None
    }

    /// What leaves now that this has come.
    fn pass(&mut self, parcel: Parcel) -> Vec<Parcel> {
        let Some(held) = self.held.front_mut() else { return vec![parcel] };
        held.parcels.push(parcel);
        if held.parcels.len() < held.count {
            return Vec::new();
        }
        let Some(held) = self.held.pop_front() else { return Vec::new() };
        if held.order.is_empty() {
            return Parcel::bag(held.parcels).into_iter().collect();
        }
        held.order.iter().filter_map(|place| held.parcels.get(*place).cloned()).collect()
    }
}

/// How a webhook is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seal {
    Good,
    Wrong,
    Secret(String),
}

/// One webhook on its way.
#[derive(Clone, Debug)]
pub(crate) struct Parcel {
    /// Whose it is: the key in the ladder.
    pub(crate) user: String,
    /// The call it is about, or nothing.
    pub(crate) wacid: String,
    pub(crate) what: String,
    pub(crate) body: Value,
    pub(crate) seal: Seal,
    pub(crate) copies: usize,
}

impl Parcel {
    /// All of them in one POST.
    fn bag(parcels: Vec<Self>) -> Option<Self> {
        let entries: Vec<Value> =
            parcels.iter().filter_map(|one| one.body["entry"].as_array()).flatten().cloned().collect();
        let names: Vec<&str> = parcels.iter().map(|one| one.what.as_str()).collect();
        let what = names.join(" + ");
        let first = parcels.first()?.clone();
        Some(Self { what, body: json!({ "object": first.body["object"], "entry": entries }), ..first })
    }

    /// Sends it as the post office's rules say.
    pub(crate) async fn send(mut self, hub: &Arc<Hub>) {
        let fault = lock(&hub.post).fault(&self.what);
        match fault {
            Some(WebhookFault::Lost) => {
                hub.config.ladder.note(&self.user, Lane::WhatsApp, format!("webhook {} is lost", self.what));
                return;
            }
            Some(WebhookFault::Late(time)) => {
                let shared = Arc::clone(hub);
                hub.spawn(async move {
                    tokio::time::sleep(time).await;
                    self.leave(&shared).await;
                });
                return;
            }
            Some(WebhookFault::Slow(time)) => tokio::time::sleep(time).await,
            Some(WebhookFault::Repeated(times)) => self.copies = times.clamp(1, COPIES),
            Some(WebhookFault::BadSignature) => self.seal = Seal::Wrong,
            Some(WebhookFault::Secret(secret)) => self.seal = Seal::Secret(secret),
            None => {}
        }
        let leaving = lock(&hub.post).pass(self);
        for parcel in leaving {
            parcel.leave(hub).await;
        }
    }

    /// All copies at once, each first attempt of them. What fails is tried again beside the call, so that a
    /// bridge that is slow to recover sees them out of order, as in the field.
    async fn leave(self, hub: &Arc<Hub>) {
        let body = self.body.to_string().into_bytes();
        let signature = webhook::seal(&hub.config.app_secret, &self.seal, &body);
        let parcel = Arc::new((self, body, signature));
        let mut copies = tokio::task::JoinSet::new();
        for copy in 0..parcel.0.copies {
            let again = if copy == 0 { "" } else { " (again)" };
            let label = format!("webhook {}{again}", parcel.0.what);
            hub.config.ladder.log(&parcel.0.user, Lane::WhatsApp, Lane::Bridge, label);
            let (hub, parcel) = (Arc::clone(hub), Arc::clone(&parcel));
            copies.spawn(async move { attempt(&hub, &parcel, 0).await });
        }
        let mut good = true;
        while let Some(result) = copies.join_next().await {
            good &= result.unwrap_or(false);
        }
        if !good {
            let shared = Arc::clone(hub);
            hub.spawn(async move { retry(&shared, &parcel).await });
        }
    }
}

/// True where the bridge said 200.
async fn attempt(hub: &Hub, (parcel, body, signature): &(Parcel, Vec<u8>, String), attempt: u32) -> bool {
    let at = hub.now();
    let result = webhook::post(hub, body.clone(), signature.clone()).await;
    let good = result == Ok(200);
    if !good {
        let why = result.as_ref().map_or_else(Clone::clone, u16::to_string);
        hub.config.ladder.note(&parcel.user, Lane::WhatsApp, format!("webhook {}: {why}", parcel.what));
    }
    let (wacid, what) = (parcel.wacid.clone(), parcel.what.clone());
    hub.deliveries.add(Delivery { at, wacid, what, attempt, result });
    good
}

async fn retry(hub: &Hub, parcel: &(Parcel, Vec<u8>, String)) {
    let mut pause = hub.config.timings.webhook_retry_after;
    for number in 1..=hub.config.timings.webhook_retries {
        tokio::time::sleep(pause).await;
        if attempt(hub, parcel, number).await {
            return;
        }
        pause *= 2;
    }
}
