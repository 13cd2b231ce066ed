//! Webhooks to the bridge: signed, late as the real ones are, tried again where the bridge does not say 200.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use super::call::Call;
use super::hub::{Hub, lock};
use super::random;
use crate::ladder::Lane;

/// The header that carries the signature.
const SIGNATURE: &str = "X-Hub-Signature-256";

/// One attempt to deliver a webhook.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Time since the sandbox started.
    pub at: Duration,
    /// The call it is about.
    pub wacid: String,
    /// `connect`, `RINGING`, `ACCEPTED`, `REJECTED`, `terminate`.
    pub what: String,
    /// 0 for the first attempt.
    pub attempt: u32,
    /// The bridge's HTTP status, or why there is none.
    pub result: Result<u16, String>,
}

/// Why the bridge's webhook is not verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The request failed.
    #[error("webhook verification: {0}")]
    Transport(#[from] reqwest::Error),
    /// The answer is not 200 with the bare challenge.
    #[error("webhook verification: {status}, {body:?} instead of the challenge")]
    Answer {
        /// HTTP status.
        status: u16,
        /// What came instead.
        body: String,
    },
}

/// `sha256=<hex>` over the raw body.
pub(crate) fn sign(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body);
    let mut text = "sha256=".to_owned();
    for byte in mac.finalize().into_bytes() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Meta's `GET ?hub.mode=subscribe`, with this token.
pub(crate) async fn verify(hub: &Hub, token: &str) -> Result<(), VerifyError> {
    let url = lock(&hub.webhook_url).clone();
    let challenge = random::number().to_string();
    let query = format!("hub.mode=subscribe&hub.challenge={challenge}&hub.verify_token={token}");
    let answer = hub.http.get(format!("{url}?{query}")).send().await?;
    let (status, body) = (answer.status().as_u16(), answer.text().await?);
    if status == 200 && body == challenge { Ok(()) } else { Err(VerifyError::Answer { status, body }) }
}

/// Posts a body once.
pub(crate) async fn post(hub: &Hub, body: Vec<u8>, signature: String) -> Result<u16, String> {
    let url = lock(&hub.webhook_url).clone();
    let request = hub.http.post(url).header("Content-Type", "application/json").header(SIGNATURE, signature);
    request.body(body).send().await.map(|answer| answer.status().as_u16()).map_err(|error| error.to_string())
}

/// Delivers a webhook of a call after the usual delay. What fails is tried again beside the call, so that a
/// bridge that is slow to recover sees them out of order, as in the field.
pub(crate) async fn deliver(hub: &Arc<Hub>, call: &Arc<Call>, what: &str, body: &Value) {
    tokio::time::sleep(random::between(hub.config.timings.webhook_delay)).await;
    let mut signature = sign(&hub.config.app_secret, body.to_string().as_bytes());
    if call.behaviour.webhooks.bad_signature {
        let last = if signature.ends_with('0') { "1" } else { "0" };
        signature.replace_range(signature.len() - 1.., last);
    }
    let parcel = Parcel { what: what.to_owned(), body: body.to_string().into_bytes(), signature };
    hub.log(call, Lane::WhatsApp, Lane::Bridge, format!("webhook {what}"));
    let first = if call.behaviour.webhooks.duplicate {
        hub.log(call, Lane::WhatsApp, Lane::Bridge, format!("webhook {what} (again)"));
        let (first, second) = tokio::join!(parcel.attempt(hub, call, 0), parcel.attempt(hub, call, 0));
        first && second
    } else {
        parcel.attempt(hub, call, 0).await
    };
    if !first {
        let (shared, call) = (Arc::clone(hub), Arc::clone(call));
        hub.spawn(async move { parcel.retry(&shared, &call).await });
    }
}

struct Parcel {
    what: String,
    body: Vec<u8>,
    signature: String,
}

impl Parcel {
    /// True where the bridge said 200.
    async fn attempt(&self, hub: &Hub, call: &Call, attempt: u32) -> bool {
        let at = hub.now();
        let result = post(hub, self.body.clone(), self.signature.clone()).await;
        if result != Ok(200) {
            hub.note(
                call,
                format!(
                    "webhook {}: {}",
                    self.what,
                    result.as_ref().map_or_else(Clone::clone, u16::to_string)
                ),
            );
        }
        let good = result == Ok(200);
        hub.deliveries.add(Delivery {
            at,
            wacid: call.wacid.clone(),
            what: self.what.clone(),
            attempt,
            result,
        });
        good
    }

    async fn retry(&self, hub: &Hub, call: &Call) {
        let mut pause = hub.config.timings.webhook_retry_after;
        for attempt in 1..=hub.config.timings.webhook_retries {
            tokio::time::sleep(pause).await;
            if self.attempt(hub, call, attempt).await {
                return;
            }
            pause *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_of_a_known_vector() {
        // RFC 4231, test case 2.
        assert_eq!(
            sign("Jefe", b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
