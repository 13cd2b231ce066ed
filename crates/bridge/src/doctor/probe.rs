//! Requests to URLs: whether they answer, and where a request that failed got stuck. This is IO.
#![expect(clippy::disallowed_methods, reason = "compares our clock with that of a server")]

use std::error::Error as _;
use std::time::{Duration, SystemTime};

use aws_lc_rs::hmac;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::{Client, Response, Url, header, redirect};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use wa_signaling::Secret;
use wa_signaling::webhook::signature;

use super::facts::{Reached, Reply, Step, Unreached};

/// How long a server may take to answer.
const LIMIT: Duration = Duration::from_secs(10);
/// How long it may take to connect.
const DIAL_LIMIT: Duration = Duration::from_secs(4);
/// Most bytes that are read of an answer.
const MAX_ANSWER: usize = 4096;
/// What the verification must give back.
const CHALLENGE: &str = "1158201444";
/// A webhook without an event: nobody is told of it, and nobody that webhooks are passed on to gets it.
const PROBE: &str = r#"{"object":"whatsapp_business_account","entry":[]}"#;

/// Asks URLs.
pub(super) struct Prober(Client);

/// Our clock, in seconds since 1970.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.ok().and_then(|since| i64::try_from(since.as_secs()).ok()).unwrap_or(0)
}

impl Prober {
    pub(super) fn new() -> Result<Self, reqwest::Error> {
        let agent = concat!("wa-bridge/", env!("CARGO_PKG_VERSION"), " doctor");
        let client = Client::builder().user_agent(agent).redirect(redirect::Policy::none());
        client.connect_timeout(DIAL_LIMIT).timeout(LIMIT).build().map(Self)
    }

    /// Whether anything answers there, and its clock.
    pub(super) async fn reach(&self, url: &Url) -> Result<Reached, Unreached> {
        let answer = self.send(url, self.0.get(url.clone())).await?;
        let ours = now();
        let date = answer.headers().get(header::DATE).and_then(|date| date.to_str().ok());
        let theirs = date.and_then(|date| DateTimeParser::new().parse_timestamp(date).ok());
        Ok(Reached { ahead: theirs.map(|theirs| ours - theirs.as_second()) })
    }

    /// Asks as WhatsApp does before it takes a URL.
    pub(super) async fn verify(&self, url: &Url, token: &Secret) -> Result<Reply, Unreached> {
        let query =
            [("hub.mode", "subscribe"), ("hub.challenge", CHALLENGE), ("hub.verify_token", token.expose())];
        let mut asked = url.clone();
        asked.query_pairs_mut().extend_pairs(query);
        let mut answer = self.send(url, self.0.get(asked)).await?;
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = answer.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER {
                break;
            }
        }
        Ok(Reply { status: answer.status().as_u16(), is_right: body == CHALLENGE.as_bytes() })
    }

    /// Sends a signed webhook without an event.
    pub(super) async fn signed(&self, url: &Url, secret: &Secret) -> Result<Reply, Unreached> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        let sum = hex::encode(hmac::sign(&key, PROBE.as_bytes()));
        let request = self.0.post(url.clone()).header(header::CONTENT_TYPE, "application/json");
        let request = request.header(signature::HEADER, format!("sha256={sum}")).body(PROBE);
        let status = self.send(url, request).await?.status().as_u16();
        Ok(Reply { status, is_right: status == 200 })
    }

    async fn send(&self, url: &Url, request: reqwest::RequestBuilder) -> Result<Response, Unreached> {
        match request.send().await {
            Ok(answer) => Ok(answer),
            // The URL may hold the verify token.
            Err(error) => Err(stuck(url, &error.without_url()).await),
        }
    }
}

/// Goes the way again, step by step, to the one that fails.
async fn stuck(url: &Url, error: &reqwest::Error) -> Unreached {
    let failed = |step, why: String| Unreached { step, why };
    if !error.is_connect() {
        let why = if error.is_timeout() { "none in time".to_owned() } else { chain(error) };
        return failed(Step::Http, why);
    }
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(0);
    let found = timeout(DIAL_LIMIT, lookup_host((host, port))).await;
    let addresses: Vec<_> = match found {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(error)) => return failed(Step::Dns, format!("{host}: {error}")),
        Err(_) => return failed(Step::Dns, format!("{host}: no answer in time")),
    };
    let mut why = format!("{host}: no address");
    for address in addresses {
        why = match timeout(DIAL_LIMIT, TcpStream::connect(address)).await {
            Ok(Ok(_)) => {
                let step = if url.scheme() == "https" { Step::Tls } else { Step::Http };
                return failed(step, chain(error));
            }
            Ok(Err(error)) => format!("{address}: {error}"),
            Err(_) => format!("{address}: no answer in time"),
        };
    }
    failed(Step::Tcp, why)
}

/// The innermost cause, which is the one that says something.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    text
}
