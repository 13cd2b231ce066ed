//! The B2BUA between a PBX and WhatsApp: [`call`] is the heart, [`app`] puts the parts together.

pub mod alarm;
pub mod app;
pub mod call;
pub mod config;
mod directory;
mod http;
mod id;
pub mod mark;
mod metrics;
mod random;
pub mod record;
pub mod reload;
mod routing;
mod shutdown;
mod sip;
pub mod trunk;
mod trunks;

pub use id::CallId;
pub use mark::{Instance, Mark};
pub use shutdown::{FAREWELL, SHORT_FAREWELL};
