//! The Graph API: requests out, answers and errors back.

pub mod client;
pub mod error;
pub mod request;
pub mod response;
