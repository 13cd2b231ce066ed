//! The legs of a call, as far as ending them needs.
//!
//! Towards WhatsApp there is one. Towards the PBX there may be several, one after the other: a target
//! that failed gives way to the next, a transferor to whom it transferred to, a leg to the one that
//! replaced it. One of them is the call's; what comes of the others says nothing any more.

use sip_core::LegId;

use super::action::End;
use super::transfer::Transfer;

/// The SIP leg that is the call's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SipLeg {
    /// No INVITE was sent to the PBX yet.
    Idle,
    /// The PBX's INVITE waits for our final response.
    Asked(LegId),
    /// Our INVITE waits for the PBX's final response.
    Asking(LegId),
    /// A dialog: answered with 200.
    Up(LegId),
    /// Ended, or its end is in the hands of `sip-core`.
    Over,
}

impl SipLeg {
    /// Its name, as long as something may come of it.
    pub(super) fn id(self) -> Option<LegId> {
        match self {
            Self::Asked(leg) | Self::Asking(leg) | Self::Up(leg) => Some(leg),
            Self::Idle | Self::Over => None,
        }
    }
}

/// The WhatsApp leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaLeg {
    /// `connect` has not left yet.
    Idle,
    /// `connect` has left; its reply or a webhook will tell the WhatsApp call id.
    Requested,
    /// A call with an id: it must be ended, once, in the way named.
    Live(End),
    /// Ended.
    Over,
}

/// All of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Legs {
    pub(super) sip: SipLeg,
    pub(super) wa: WaLeg,
    /// The PBX moves the call to another of its phones.
    pub(super) transfer: Option<Transfer>,
}

impl Legs {
    /// As a WhatsApp user's call begins.
    pub(super) fn from_whatsapp() -> Self {
        Self { sip: SipLeg::Idle, wa: WaLeg::Live(End::Reject), transfer: None }
    }
}
