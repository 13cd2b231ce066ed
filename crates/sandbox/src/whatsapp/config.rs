//! How the simulated WhatsApp is set up: addresses, secrets, times.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::permission::Permissions;
use super::scenario::{self, Behaviour};
use crate::ladder::Ladder;

/// What a dialled number does: called with its digits (or the BSUID) for every business-initiated call.
pub type Directory = Arc<dyn Fn(&str) -> Behaviour + Send + Sync>;

/// Configuration of [`super::WhatsApp`].
#[derive(Clone)]
pub struct WhatsAppConfig {
    /// Address of the Graph API and of the media relay.
    pub bind: IpAddr,
    /// Port of the Graph API; 0 for any.
    pub graph_port: u16,
    /// The one UDP port of the media relay; 0 for any.
    pub media_port: u16,
    /// The bridge's webhook.
    pub webhook_url: String,
    /// Key of the webhooks' signatures.
    pub app_secret: String,
    /// What the verification request carries.
    pub verify_token: String,
    /// The bearer token that is accepted.
    pub token: String,
    /// The business number's id.
    pub phone_number_id: String,
    /// The business number in digits.
    pub display_number: String,
    /// The WhatsApp Business Account.
    pub waba_id: String,
    /// The app: its token is `app_id|app_secret`.
    pub app_id: String,
    /// Where the control API listens; nowhere where nothing is said.
    pub control: Option<SocketAddr>,
    /// Certificate (PEM) of an authority that is trusted for webhooks by https beside those of the system.
    pub webhook_authority: Option<String>,
    /// Whether users must have given permission to be called.
    pub permissions: Permissions,
    /// Numbers beside that one.
    pub more_numbers: Vec<BusinessNumber>,
    /// Delays and limits.
    pub timings: Timings,
    /// What dialled numbers do.
    pub directory: Directory,
    /// Where everything is written down.
    pub ladder: Ladder,
}

impl WhatsAppConfig {
    /// On loopback, any ports, invented secrets, numbers of [`scenario::by_number`].
    #[must_use]
    pub fn new(webhook_url: impl Into<String>) -> Self {
        Self {
            bind: Ipv4Addr::LOCALHOST.into(),
            graph_port: 0,
            media_port: 0,
            webhook_url: webhook_url.into(),
            app_secret: "sandbox-app-secret".to_owned(),
            verify_token: "sandbox-verify-token".to_owned(),
            token: "sandbox-token".to_owned(),
            phone_number_id: "106540352242922".to_owned(),
            display_number: "15550783881".to_owned(),
            waba_id: "102290129340398".to_owned(),
            app_id: "670843887433847".to_owned(),
            control: None,
            webhook_authority: None,
            permissions: Permissions::Off,
            more_numbers: Vec::new(),
            timings: Timings::default(),
            directory: Arc::new(scenario::by_number),
            ladder: Ladder::new(),
        }
    }

    /// The number with this id.
    pub(crate) fn number(&self, id: &str) -> Option<BusinessNumber> {
        let first = BusinessNumber {
            phone_number_id: self.phone_number_id.clone(),
            display_number: self.display_number.clone(),
        };
        std::iter::once(&first).chain(&self.more_numbers).find(|one| one.phone_number_id == id).cloned()
    }
}

/// A number of the business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusinessNumber {
    /// Its id in the Graph API.
    pub phone_number_id: String,
    /// The number in digits.
    pub display_number: String,
}

impl fmt::Debug for WhatsAppConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WhatsAppConfig")
            .field("bind", &self.bind)
            .field("webhook_url", &self.webhook_url)
            .field("phone_number_id", &self.phone_number_id)
            .field("timings", &self.timings)
            .finish_non_exhaustive()
    }
}

/// Delays (drawn between the two) and limits.
#[derive(Clone, Debug)]
pub struct Timings {
    /// Time a Graph request takes.
    pub graph_delay: (Duration, Duration),
    /// Time a webhook needs to the bridge.
    pub webhook_delay: (Duration, Duration),
    /// From the connect webhook of a business-initiated call to its RINGING.
    pub ringing_after: Duration,
    /// How long a user-initiated call waits for `accept`.
    pub answer_window: Duration,
    /// How long a business-initiated call rings.
    pub ring_limit: Duration,
    /// The client gives up where no media came this long after the start (138021).
    pub first_media: Duration,
    /// The client gives up after this long without a packet.
    pub media_gap: Duration,
    /// Deliveries of a webhook after the first that failed.
    pub webhook_retries: u32,
    /// Time before the first of them; doubled each time.
    pub webhook_retry_after: Duration,
    /// Time before our DTLS flights are sent again.
    pub dtls_flight: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            graph_delay: (ms(20), ms(60)),
            webhook_delay: (ms(50), ms(150)),
            ringing_after: ms(300),
            answer_window: Duration::from_secs(55),
            ring_limit: Duration::from_secs(60),
            first_media: Duration::from_secs(20),
            media_gap: Duration::from_secs(30),
            webhook_retries: 3,
            webhook_retry_after: ms(500),
            dtls_flight: ms(400),
        }
    }
}

impl Timings {
    /// Short delays for tests; limits as in the field.
    #[must_use]
    pub fn quick() -> Self {
        let ms = Duration::from_millis;
        Self {
            graph_delay: (ms(1), ms(5)),
            webhook_delay: (ms(2), ms(10)),
            ringing_after: ms(20),
            webhook_retry_after: ms(50),
            dtls_flight: ms(200),
            ..Self::default()
        }
    }
}
