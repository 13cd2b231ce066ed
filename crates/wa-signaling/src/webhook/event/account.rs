//! What a webhook says about a number or the business, and no call.

use super::WebhookError;
use crate::wacid::PhoneNumberId;

/// The calling settings of a number have changed (field `account_settings_update`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SettingsUpdate {
    /// The WhatsApp Business account.
    pub waba: Option<String>,
    /// The number.
    pub number: PhoneNumberId,
    /// When, in UNIX seconds.
    pub timestamp: Option<u64>,
    /// The settings as they are now.
    pub calling: CallingUpdate,
}

/// Calling settings, as far as an update tells them; what it does not tell is as it was.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct CallingUpdate {
    /// Whether calling is on.
    pub enabled: Option<bool>,
    /// Whether SIP mode is on: then no call goes by the Graph API.
    pub sip: Option<bool>,
    /// How media keys are agreed: `DTLS` or `SDES`, in upper case.
    pub key_exchange: Option<String>,
    /// Where users see the call button, as received.
    pub icon_visibility: Option<String>,
    /// Whether a user who calls permits to be called back.
    pub callback_permission: Option<bool>,
}

/// WhatsApp warns or restricts the business (field `account_update`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountUpdate {
    /// The WhatsApp Business account.
    pub waba: Option<String>,
    /// The number it is about: digits, no `+`.
    pub phone_number: Option<String>,
    /// What it is, such as `ACCOUNT_RESTRICTION`.
    pub event: String,
    /// What rule was broken.
    pub violation: Option<Violation>,
    /// What is no longer allowed.
    pub restrictions: Vec<Restriction>,
}

/// A rule was broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Such as `LOW_BUSINESS_INITIATED_CALLING_QUALITY`.
    pub kind: String,
    /// What to do, for people.
    pub remedy: Option<String>,
}

/// Something is not allowed for a while.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restriction {
    /// Such as `RESTRICTED_BUSINESS_INITIATED_CALLING`.
    pub kind: String,
    /// Until when, in UNIX seconds.
    pub until: Option<u64>,
}

/// WhatsApp could not do something for a number, and no call is named: 131044, say, when a user called and the
/// business has no way to pay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NumberErrors {
    /// The WhatsApp Business account.
    pub waba: Option<String>,
    /// The number.
    pub number: PhoneNumberId,
    /// Why; at least one.
    pub errors: Vec<WebhookError>,
}
