//! Calls over the real bridge, between the sandbox's SIP phone and its WhatsApp.

mod capture;
mod crowd;
mod errors;
mod from_whatsapp;
mod hold;
mod hostile;
mod inband;
mod life;
mod observed;
mod permission;
mod quality;
mod records;
mod routing;
mod sdes;
mod sound;
mod to_whatsapp;
mod torture;
mod transfer;
mod trunks;
