//! A simulated WhatsApp: Graph API, webhooks, media relay and the users' phones.
//!
//! It shares no code with the bridge (its own JSON, SDP, STUN, DTLS, SRTP and Opus), so that it catches the
//! bridge's mistakes, and it is as strict as the real one is known to be; what the real one would not bear is
//! recorded as a violation of the call.

mod actions;
mod call;
pub mod codes;
mod config;
mod control;
mod dtmf;
mod events;
mod faults;
mod graph;
mod hub;
mod ice_lite;
mod media;
mod messages;
mod operation;
mod payload;
mod permission;
mod post;
mod random;
mod recording;
mod relay;
pub mod scenario;
mod script;
mod sdp;
mod secure;
mod settings;
mod steer;
mod subscriptions;
mod token;
mod user;
mod webhook;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UdpSocket};

pub use self::call::{CallHandle, CallState, Direction, End, MediaState, Party, TimedOut};
pub use self::config::{BusinessNumber, Directory, Timings, WhatsAppConfig};
pub use self::events::Event;
pub use self::faults::{ApiError, GraphFault};
pub use self::graph::GraphRequest;
use self::hub::{Hub, lock};
pub use self::operation::{Action, Operation};
pub use self::permission::{PermissionAnswer, PermissionShape, Permissions};
pub use self::post::WebhookFault;
pub use self::recording::{Heard, RATE, Recording};
use self::relay::Relay;
pub use self::scenario::{Behaviour, Failure, MediaFault, Order, Pickup, SdpShape, UserCall, WebhookFaults};
pub use self::sdp::DtlsSetup;
pub use self::token::{MANAGEMENT, MESSAGING};
pub use self::webhook::{Delivery, VerifyError};
use self::wire::{Cuttable, Knife};
use crate::ladder::Ladder;

/// Meta gives a webhook this long.
const WEBHOOK_LIMIT: Duration = Duration::from_secs(20);

/// The running WhatsApp; it stops when this is dropped.
pub struct WhatsApp {
    hub: Arc<Hub>,
    graph: SocketAddr,
    media: SocketAddr,
    control: Option<SocketAddr>,
}

impl Drop for WhatsApp {
    fn drop(&mut self) {
        self.hub.stop.cancel();
    }
}

impl WhatsApp {
    /// Binds the Graph API and the media relay and serves them.
    ///
    /// # Errors
    /// A port cannot be bound.
    pub async fn start(config: WhatsAppConfig) -> io::Result<Self> {
        // Two providers are compiled in, so rustls wants to be told; an error means that it has been.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = TcpListener::bind((config.bind, config.graph_port)).await?;
        let socket = UdpSocket::bind((config.bind, config.media_port)).await?;
        let (graph, media) = (listener.local_addr()?, socket.local_addr()?);
        let mut http = reqwest::Client::builder().no_proxy().timeout(WEBHOOK_LIMIT);
        if let Some(pem) = &config.webhook_authority {
            let authority = reqwest::Certificate::from_pem(pem.as_bytes()).map_err(io::Error::other)?;
            http = http.tls_certs_merge([authority]);
        }
        let http = http.build().map_err(io::Error::other)?;
        let control = match config.control {
            Some(addr) => Some(TcpListener::bind(addr).await?),
            None => None,
        };
        let hub = Arc::new(Hub::new(config, http, Relay::new(socket)));
        hub.spawn(relay::run(Arc::clone(&hub)));
        let router = graph::router(Arc::clone(&hub)).into_make_service_with_connect_info::<Knife>();
        hub.spawn(async move {
            if let Err(error) = axum::serve(Cuttable(listener), router).await {
                tracing::error!(%error, "the sandbox's Graph API stopped");
            }
        });
        let control = match control {
            Some(listener) => Some(control::serve(&hub, listener)?),
            None => None,
        };
        Ok(Self { hub, graph, media, control })
    }

    /// `http://ip:port`: what the bridge takes for `https://graph.facebook.com`.
    #[must_use]
    pub fn graph_url(&self) -> String {
        format!("http://{}", self.graph)
    }

    /// The one address and port of all calls' media.
    #[must_use]
    pub fn media_addr(&self) -> SocketAddr {
        self.media
    }

    /// Where everything is written down.
    #[must_use]
    pub fn ladder(&self) -> &Ladder {
        &self.hub.config.ladder
    }

    /// Changes where webhooks go.
    pub fn set_webhook_url(&self, url: impl Into<String>) {
        *lock(&self.hub.webhook_url) = url.into();
    }

    /// Verifies the bridge's webhook as Meta does when it is subscribed.
    ///
    /// # Errors
    /// The bridge does not answer 200 with the challenge.
    pub async fn verify_webhook(&self) -> Result<(), VerifyError> {
        webhook::verify(&self.hub, &self.hub.config.verify_token).await
    }

    /// The same with another verify token, which the bridge must refuse.
    ///
    /// # Errors
    /// The bridge does not answer 200 with the challenge.
    pub async fn verify_webhook_with(&self, token: &str) -> Result<(), VerifyError> {
        webhook::verify(&self.hub, token).await
    }

    /// Posts any body to the webhook; signed rightly where no signature header is given.
    ///
    /// # Errors
    /// No HTTP answer.
    pub async fn send_raw_webhook(&self, body: Vec<u8>, signature: Option<String>) -> Result<u16, String> {
        let signature = signature.unwrap_or_else(|| webhook::sign(&self.hub.config.app_secret, &body));
        webhook::post(&self.hub, body, signature).await
    }

    /// A user calls the business; the connect webhook follows after its delay.
    ///
    /// # Errors
    /// The call could not be made up (certificate, codec, socket).
    pub fn call_business(&self, call: UserCall) -> Result<CallHandle, String> {
        Ok(self.handle(script::user_initiated(&self.hub, call)?))
    }

    /// The next call of the business to this user (digits), also one that has arrived before.
    pub async fn call_to(&self, number: &str) -> CallHandle {
        loop {
            let arrived = self.hub.arrived.notified();
            tokio::pin!(arrived);
            // Before looking, so that a call between the two is not missed.
            arrived.as_mut().enable();
            if let Some(call) = self.hub.take_arrival(number) {
                return self.handle(call);
            }
            arrived.await;
        }
    }

    fn handle(&self, call: Arc<call::Call>) -> CallHandle {
        CallHandle { call, hub: Arc::clone(&self.hub) }
    }

    /// All calls, oldest first (the last 500).
    #[must_use]
    pub fn calls(&self) -> Vec<CallHandle> {
        self.hub.calls().into_iter().map(|call| self.handle(call)).collect()
    }

    /// All requests to the Graph API.
    #[must_use]
    pub fn requests(&self) -> Vec<GraphRequest> {
        self.hub.requests.all()
    }

    /// All attempts to deliver webhooks.
    #[must_use]
    pub fn webhooks(&self) -> Vec<Delivery> {
        self.hub.deliveries.all()
    }

    /// The next `times` requests of this action have this fault.
    pub fn fail_next(&self, action: Action, times: usize, fault: &GraphFault) {
        self.fault(action, fault, times);
    }

    /// Takes back what [`fail_next`](Self::fail_next) has left.
    pub fn mend(&self) {
        lock(&self.hub.faults).clear();
    }

    /// Stops everything and waits until it has stopped.
    pub async fn shutdown(self) {
        self.hub.shut_down().await;
    }
}

#[cfg(test)]
mod tests;
