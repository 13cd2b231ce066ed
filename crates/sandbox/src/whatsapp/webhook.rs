//! Webhooks to the bridge: signed, late as the real ones are, tried again where the bridge does not say 200.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use super::call::Call;
use super::hub::{Hub, lock};
use super::post::{Parcel, Seal};
use super::random;

/// The header that carries the signature.
const SIGNATURE: &str = "X-Hub-Signature-256";

/// One attempt to deliver a webhook.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Time since the sandbox started.
    pub at: Duration,
    /// The call it is about; empty where it is about none.
    pub wacid: String,
    /// `connect (offer)`, `connect (answer)`, `RINGING`, `ACCEPTED`, `REJECTED`, `terminate`, or an event's name;
    /// several with ` + ` between where they came in one POST.
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
    verify_at(hub, &url, token).await
}

/// The same at a URL that is not the webhook's yet.
pub(crate) async fn verify_at(hub: &Hub, url: &str, token: &str) -> Result<(), VerifyError> {
    let challenge = random::number().to_string();
    let query = [("hub.mode", "subscribe"), ("hub.challenge", &challenge), ("hub.verify_token", token)];
    let Ok(url) = reqwest::Url::parse_with_params(url, query) else {
        return Err(VerifyError::Answer { status: 0, body: format!("{url} is no URL") });
    };
    let answer = hub.http.get(url).send().await?;
    let (status, body) = (answer.status().as_u16(), answer.text().await?);
    if status == 200 && body == challenge { Ok(()) } else { Err(VerifyError::Answer { status, body }) }
}

/// Posts a body once.
pub(crate) async fn post(hub: &Hub, body: Vec<u8>, signature: String) -> Result<u16, String> {
    let url = lock(&hub.webhook_url).clone();
    let request = hub.http.post(url).header("Content-Type", "application/json").header(SIGNATURE, signature);
    request.body(body).send().await.map(|answer| answer.status().as_u16()).map_err(|error| error.to_string())
}

/// Delivers a webhook of a call after the usual delay.
pub(crate) async fn deliver(hub: &Arc<Hub>, call: &Arc<Call>, what: &str, body: Value) {
    if hub.is_silent(&call.number) || !hub.is_subscribed("calls") {
        hub.note(call, format!("no webhook {what}: SIP mode, or not subscribed"));
        return;
    }
    tokio::time::sleep(random::between(hub.config.timings.webhook_delay)).await;
    let faults = &call.behaviour.webhooks;
    let parcel = Parcel {
        user: call.user.clone(),
        wacid: call.wacid.clone(),
        what: what.to_owned(),
        body,
        seal: if faults.bad_signature { Seal::Wrong } else { Seal::Good },
        copies: if faults.duplicate { 2 } else { 1 },
    };
    parcel.send(hub).await;
}

/// The signature of a body.
pub(crate) fn seal(secret: &str, seal: &Seal, body: &[u8]) -> String {
    match seal {
        Seal::Good => sign(secret, body),
        Seal::Secret(other) => sign(other, body),
        Seal::Wrong => {
            let mut signature = sign(secret, body);
            let last = if signature.ends_with('0') { "1" } else { "0" };
            signature.replace_range(signature.len() - 1.., last);
            signature
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
