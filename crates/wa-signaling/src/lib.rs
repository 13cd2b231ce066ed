//! The WhatsApp Business Calling API: Graph client, webhooks, errors.
//!
//! Knows nothing of SIP or RTP: SDP passes through as text. Modules are pure
//! except `graph::client` and `webhook::server`.

pub mod graph;
pub mod identity;
mod json;
pub mod permission;
pub mod secret;
pub mod wacid;
pub mod webhook;

pub use graph::client::GraphClient;
pub use graph::config::{GraphConfig, TimeLimits};
pub use graph::error::{ApiError, ErrorKind, GraphError};
pub use graph::event::{GraphEvent, Trouble};
pub use graph::message::PermissionRequest;
pub use graph::settings::{CallingSettings, SettingsChange};
pub use identity::{Callee, Caller};
pub use permission::Permission;
pub use secret::Secret;
pub use wacid::{PhoneNumberId, Wacid};
pub use webhook::event::WebhookEvent;
pub use webhook::server::{WebhookConfig, WebhookCounters};
