//! The B2BUA between a PBX and WhatsApp: [`call`] is the heart, [`app`] puts the parts together.

pub mod alarm;
pub mod app;
pub mod call;
pub mod call_settings;
mod capture;
pub mod config;
mod directory;
mod dispatch;
pub mod doctor;
pub mod errors;
mod http;
mod id;
mod journal;
pub mod mark;
mod metrics;
mod notices;
mod permissions;
mod random;
pub mod record;
mod recovery;
pub mod reload;
pub mod routing;
mod shared;
mod shutdown;
mod sip;
mod skew;
mod tombstones;
pub mod trunk;
mod trunks;
pub mod unknown;
mod webhooks;

pub use id::CallId;
pub use mark::{Instance, Mark};
pub use shutdown::{FAREWELL, SHORT_FAREWELL};
