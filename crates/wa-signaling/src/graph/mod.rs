//! The Graph API: requests out, answers and errors back.

pub mod account;
pub mod breaker;
pub mod client;
pub mod codes;
pub mod config;
pub mod error;
pub mod event;
pub mod message;
pub mod request;
pub mod response;
pub mod settings;
