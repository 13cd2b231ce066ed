//! What somebody can do about an error of the Graph API: one sentence for each kind.
//!
//! It stands in the Warning of the PBX's refusal and in docs/errors.md. Without quotes, and ASCII
//! only: SIP headers carry it.

use wa_signaling::ErrorKind;
use wa_signaling::graph::codes;

use super::cause::Cause;
use crate::permissions::Ask;

/// What to do about a cause that is an error of WhatsApp's.
pub(super) fn about(cause: Cause) -> Option<&'static str> {
    if let Cause::Graph(kind) = cause {
        return Some(of(kind));
    }
    let Cause::WhatsAppFailed(code) = cause else {
        return None;
    };
    codes::find(code).map(|_| of_webhook(code))
}

/// What to do about a missing permission where users are asked for it.
pub(super) const fn asked(ask: Ask) -> &'static str {
    match ask {
        Ask::Send | Ask::OnItsWay => "The user is being asked for it: call again when the user has accepted",
        Ask::NotBefore(_) => {
            "The user was asked for it and may not be asked again yet: wait for the answer, or until the user calls"
        }
        Ask::TooMany => "Too many users are being asked at once: call again later",
    }
}

/// What to do about an error of this kind.
#[rustfmt::skip]
pub(crate) const fn of(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::SdpRefused          => "Report this with the debug log: the bridge's SDP is at fault",
        ErrorKind::TokenInvalid        => "Put a new token into the number's token file or variable",
        ErrorKind::NoCapability        => "Give the Meta app the product WhatsApp, and the system user the app",
        ErrorKind::NoCallPermission    => "Ask the user for it with a call permission request, or wait until the user calls",
        ErrorKind::NotAuthorized       => "Give the system user this WABA with whatsapp_business_messaging, and make a new token",
        ErrorKind::NumberUnknown       => "Correct phone_number_id in the configuration",
        ErrorKind::NumberNotRegistered => "Register the number with the Cloud API",
        ErrorKind::Uncallable          => "Check the number; the user may have no WhatsApp or an old one",
        ErrorKind::Undeliverable       => "Check the number; the user may have no WhatsApp or an old one",
        ErrorKind::RecipientUnsupported => "Use the user's phone number",
        ErrorKind::TooManyCalls        => "Spread the calls over more business numbers",
        ErrorKind::DuplicateCall       => "Wait until the other call with this user has ended",
        ErrorKind::ConnectionError     => "Try again",
        ErrorKind::ConnectTimeout      => "Check that UDP to and from WhatsApp passes the firewall",
        ErrorKind::RateLimited         => "Call more slowly",
        ErrorKind::NumberRateLimited   => "Spread the calls over more business numbers",
        ErrorKind::LookupLimit         => "Nothing: permissions are asked for again later",
        ErrorKind::DailyLimit          => "Call this user again tomorrow",
        ErrorKind::NotAvailable        => "Use a business number of a country that has such calls",
        ErrorKind::CallingPaused       => "Wait until WhatsApp ends the pause, and call only users who expect it",
        ErrorKind::CallingDisabled     => "Turn calling on in the number's settings",
        ErrorKind::SipMode             => "Turn SIP off in the number's calling settings",
        ErrorKind::Payment             => "Set up a payment method that works for the WABA",
        ErrorKind::Policy              => "See the account's quality page in the WhatsApp Manager",
        ErrorKind::CountryRestricted   => "Nothing: WhatsApp does not allow it",
        ErrorKind::NotAllowedRecipient => "Add the user to the test number's list, or use a real number",
        ErrorKind::SelfCall            => "Dial another number",
        ErrorKind::BadParameter        => "See the log for the parameter",
        ErrorKind::PermissionRequestLimit => "Wait: a user may be asked once a day and twice a week",
        ErrorKind::ConversationNeeded  => "Ask with a template, or after the user has written",
        ErrorKind::AlreadyPermitted    => "Call",
        ErrorKind::MessagingLimit      => "Raise the number's messaging limit to 2000 conversations a day",
        ErrorKind::Prerequisites       => "Subscribe the Meta app to the field calls",
        ErrorKind::AlreadyEnded        => "Nothing: the call is over",
        ErrorKind::Outage | ErrorKind::Unavailable => "Wait; see WhatsApp's status page",
        ErrorKind::Maintenance         => "Wait until WhatsApp has finished with the account",
        ErrorKind::Unknown             => "Try again; with the fbtrace_id of the log WhatsApp's support can help",
        ErrorKind::Timeout             => "Try again; if it lasts, see WhatsApp's status page",
        ErrorKind::Transport           => "Check that this host reaches the Graph API: DNS, firewall, proxy",
        ErrorKind::BadResponse         => "Check graph.url and whether a proxy answers in its place",
    }
}

/// What to do about a code of the webhook that ends a call.
#[rustfmt::skip]
pub(crate) const fn of_webhook(code: u32) -> &'static str {
    match code {
        131_044 => of(ErrorKind::Payment),
        138_007 => of(ErrorKind::ConnectTimeout),
        138_021 => "Check that UDP to WhatsApp passes the firewall, and that the PBX sends sound",
        _       => "Nothing here: the user's phone or network is at fault",
    }
}
