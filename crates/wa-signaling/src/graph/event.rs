//! What the client has noticed that somebody has to see to, and its end.

use crate::wacid::PhoneNumberId;

/// What is wrong, by what has to be done about it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Trouble {
    /// The access token is refused (0, 190).
    Token,
    /// The token lacks a right, or WhatsApp refuses the business number (3, 10,
    /// 33, 200-299, 131005, 133010, payment and policy).
    NumberRefused,
    /// The number is set up so that calls can't work (131055, 138000).
    Settings,
    /// WhatsApp has paused or restricted calling (138013, 138014).
    Restricted,
    /// WhatsApp limits how many requests the number may send.
    RateLimit,
    /// The Graph API can't be reached or is out of order.
    Outage,
}

/// Something changed. The same begin may be told more than once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GraphEvent {
    /// It is wrong now.
    Begun {
        /// What.
        trouble: Trouble,
        /// Of which number; none where it concerns all.
        number: Option<PhoneNumberId>,
        /// What Graph said, on one line.
        text: String,
    },
    /// It works again.
    Over {
        /// What.
        trouble: Trouble,
        /// Of which number; none where it concerned all.
        number: Option<PhoneNumberId>,
    },
}
