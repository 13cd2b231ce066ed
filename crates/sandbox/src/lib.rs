//! A WhatsApp on your desk: Graph API, webhooks and the user's phone, simulated on an independent WebRTC stack

pub mod chirp;
pub mod desk;
pub mod ladder;
pub mod metronome;
pub mod opus;
pub mod pbx;
pub mod report;
pub mod rough;
pub mod rtcp;
pub mod runner;
pub mod tone;
pub mod whatsapp;
