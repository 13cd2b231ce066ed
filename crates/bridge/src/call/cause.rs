//! Why a call ended: the one table of failures.
//!
//! Every end of a call is a [`Cause`], and every cause is one row of [`Cause::row`]: what the
//! PBX hears (final status or `Reason`, RFC 3326 and Q.850), what record and metric say, and
//! whose fault it is. No other file writes a final status code for a call.
//!
//! Which status a PBX gets decides what it does next: 503 makes it try its next route, while
//! 480, 486 and 603 do not. Where WhatsApp's own SIP mode has an answer, ours is the same.

use wa_signaling::ErrorKind;

use crate::alarm::Alarm;

/// Who made the call end this way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// A call that ended as calls do.
    Nobody,
    /// The PBX or its user.
    Pbx,
    /// The WhatsApp user.
    User,
    /// WhatsApp: the Graph API, its relays, its rules for this number.
    WhatsApp,
    /// This bridge or its configuration.
    Bridge,
}

/// What the table says of one cause.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The word in the record and in the metric's `cause` label.
    pub label: &'static str,
    /// The final status of the PBX's INVITE, when it still waits for one.
    pub status: u16,
    /// The reason phrase beside it, and the text of the `Reason` header.
    pub phrase: &'static str,
    /// The Q.850 cause in the `Reason` header of a BYE or CANCEL.
    pub q850: u8,
    /// Seconds for `Retry-After`, where trying again later can help.
    pub retry_after: Option<u32>,
    /// Whose fault it is.
    pub blame: Blame,
    /// The alarm of what somebody has to see to, beside the call itself.
    pub alarm: Option<Alarm>,
}

/// Why a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The PBX sent BYE.
    PbxHungUp,
    /// The WhatsApp user hung up.
    UserHungUp,
    /// The PBX sent CANCEL while the WhatsApp user was being called.
    PbxCancelled,
    /// The WhatsApp user gave up before the PBX answered.
    UserCancelled,
    /// The WhatsApp user declined; the PBX hears 486.
    UserRejected,
    /// The WhatsApp user declined; the PBX hears 603, by setting `rejected_as`.
    UserDeclined,
    /// WhatsApp ended the call unanswered.
    NoAnswer,
    /// Our own limit on ringing at WhatsApp ran out.
    RingLimit,
    /// WhatsApp ended the call with this error code (webhook `terminate`).
    WhatsAppFailed(u32),
    /// The Graph API refused or failed an operation.
    Graph(ErrorKind),
    /// ICE or DTLS did not come up, or broke.
    MediaFailed,
    /// The PBX sent neither RTP nor RTCP for as long as its trunk allows, and held nothing.
    PbxSilent,
    /// WhatsApp sent neither for as long as the trunk allows.
    UserSilent,
    /// WhatsApp's SDP can't be used.
    WhatsAppSdp,
    /// The PBX's SDP can't be used: no audio, no common codec, or none at all.
    PbxSdp,
    /// The PBX never acknowledged our 200.
    AckMissing,
    /// The PBX refused the WhatsApp caller with this status.
    PbxRefused(u16),
    /// The PBX did not answer in time at all.
    PbxTimeout,
    /// The PBX's address can't be reached.
    PbxUnreachable,
    /// The PBX rang for longer than WhatsApp waits.
    PbxNoAnswer,
    /// The PBX no longer knows the dialog.
    PbxGone,
    /// Another phone of the PBX took the call from this leg by Replaces (RFC 3891).
    Replaced,
    /// There is no call, or none in this state, whose leg could be replaced.
    NothingToReplace,
    /// The call can't be transferred now: it is not answered, or the trunk does not allow it.
    TransferRefused,
    /// A transfer of this call is under way already.
    TransferPending,
    /// Nothing is configured for the number that was dialled.
    NoRoute,
    /// No port or descriptor was free for the audio.
    NoMediaResource,
    /// As many calls as may be are there already, of the trunk or of all.
    TooManyCalls,
    /// Too many calls began in this second.
    TooManyCallsPerSecond,
    /// The trunk may not call this destination.
    DestinationRefused,
    /// An emergency number or a short code, which only the PBX's other routes reach.
    EmergencyNumber,
    /// The trunk's minutes of the day are spent, or it called this callee too often.
    SpendLimit,
    /// The call reached the longest that the trunk allows.
    LongestCall,
    /// The PBX did not refresh the session (RFC 4028), or no longer knows the dialog.
    SessionExpired,
    /// The PBX transferred the call to another of its phones: this leg ends, the call goes on.
    Transferred,
    /// The phone that the PBX transferred the call to can't be reached, and nor can the first one.
    TransferFailed,
    /// The PBX redirected the call to where this trunk may not follow.
    Redirected,
    /// No target of the trunk is in service.
    NoTarget,
    /// The PBX named a business number to call with that its trunk does not have.
    UnknownNumber,
    /// Called outside the hours of the business number.
    ClosedHours,
    /// A route of the configuration rejects the call.
    RouteRejected,
    /// A route of the configuration lets the caller hear an announcement, and no more.
    Announced,
    /// The bridge is shutting down.
    ShuttingDown,
    /// The bridge has just started and ends the calls that a crash left open.
    Starting,
    /// The bridge crashed while the call lived; it was ended at the next start.
    Crash,
    /// Somebody else made the call with one of our numbers, and the configuration allows nobody to.
    UnknownCall,
    /// A fault of the bridge itself.
    Internal,
}

/// A row without `Retry-After`.
const fn row(label: &'static str, status: u16, phrase: &'static str, q850: u8, blame: Blame) -> Row {
    Row { label, status, phrase, q850, retry_after: None, blame, alarm: None }
}

/// A row whose cause lasts until somebody has seen to it.
const fn alarming(row: Row, alarm: Alarm) -> Row {
    Row { alarm: Some(alarm), ..row }
}

/// A row whose cause may pass: `Retry-After` says when.
const fn later(row: Row, seconds: u32) -> Row {
    Row { retry_after: Some(seconds), ..row }
}

impl Cause {
    /// The row of this cause.
    #[rustfmt::skip]
    #[must_use]
    pub const fn row(self) -> Row {
        use Blame::{Bridge, Nobody, Pbx, User, WhatsApp};
        match self {
            Self::PbxHungUp          => row("pbx_hung_up",        487, "Request Terminated", 16, Nobody),
            Self::UserHungUp         => row("user_hung_up",       480, "User hung up", 16, Nobody),
            Self::PbxCancelled       => row("pbx_cancelled",      487, "Request Terminated", 16, Nobody),
            Self::UserCancelled      => row("user_cancelled",     487, "Caller hung up", 16, Nobody),
            Self::UserRejected       => row("user_rejected",      486, "User declined the call", 21, User),
            Self::UserDeclined       => row("user_rejected",      603, "User declined the call", 21, User),
            Self::NoAnswer           => row("no_answer",          480, "WhatsApp user is not reachable or did not answer", 19, User),
            Self::RingLimit          => row("ring_limit",         408, "WhatsApp user did not answer in time", 19, User),
            Self::WhatsAppFailed(c)  => whatsapp_failed(c),
            Self::Graph(kind)        => Row { alarm: of_trouble(kind), ..graph(kind) },
            Self::MediaFailed        => row("media_failed",       500, "Media with WhatsApp failed", 47, WhatsApp),
            Self::PbxSilent          => row("media_timeout",      408, "No audio from the PBX", 102, Pbx),
            Self::UserSilent         => row("media_timeout_whatsapp", 408, "No audio from WhatsApp", 102, WhatsApp),
            Self::WhatsAppSdp        => row("whatsapp_sdp",       502, "WhatsApp's SDP is unusable", 88, WhatsApp),
            Self::PbxSdp             => row("pbx_sdp",            488, "No usable audio in the SDP", 88, Pbx),
            Self::AckMissing         => row("ack_missing",        408, "No ACK", 102, Pbx),
            Self::PbxRefused(486 | 600) => row("pbx_busy",        486, "Busy", 17, Pbx),
            Self::PbxRefused(603)    => row("pbx_declined",       603, "Declined", 21, Pbx),
            Self::PbxRefused(404 | 410 | 484 | 604) => row("pbx_not_found", 404, "No such destination at the PBX", 1, Pbx),
            Self::PbxRefused(408 | 480) => row("pbx_unavailable", 480, "Unavailable at the PBX", 19, Pbx),
            Self::PbxRefused(488 | 606) => row("pbx_not_acceptable", 488, "The PBX refused the SDP", 88, Pbx),
            Self::PbxRefused(401 | 403 | 407) => row("pbx_forbidden", 403, "The PBX refused the trunk", 21, Pbx),
            Self::PbxRefused(_)      => row("pbx_failed",         500, "The PBX failed", 41, Pbx),
            Self::PbxTimeout         => row("pbx_timeout",        408, "The PBX does not answer", 18, Pbx),
            Self::PbxUnreachable     => row("pbx_unreachable",    503, "The PBX can't be reached", 38, Pbx),
            Self::PbxNoAnswer        => row("pbx_no_answer",      480, "Nobody answered at the PBX", 19, Pbx),
            Self::PbxGone            => row("pbx_gone",           481, "The PBX no longer knows the call", 41, Pbx),
            Self::Replaced           => row("replaced",           487, "Call completed elsewhere", 26, Nobody),
            Self::NothingToReplace   => row("nothing_to_replace", 481, "No call to replace", 81, Pbx),
            Self::TransferRefused    => row("transfer_refused",   603, "The call can't be transferred", 29, Pbx),
            Self::TransferPending    => row("transfer_pending",   491, "A transfer is under way", 47, Pbx),
            Self::NoRoute            => row("no_route",           404, "No such destination", 1, Bridge),
            Self::NoMediaResource    => later(row("no_media_resource", 503, "No audio port free", 34, Bridge), 5),
            Self::TooManyCalls       => later(row("too_many_calls", 503, "Too many calls", 34, Bridge), 5),
            Self::TooManyCallsPerSecond => later(row("too_many_calls_per_second", 503, "Too many calls in a second", 42, Bridge), 1),
            Self::DestinationRefused => row("destination_refused", 403, "This trunk may not call this destination", 21, Bridge),
            // No Retry-After: it would have the PBX leave the trunk alone for other calls too.
            Self::EmergencyNumber    => row("emergency_number",   503, "Emergency and short numbers are not reachable here", 34, Pbx),
            Self::SpendLimit         => row("spend_limit",        403, "This trunk has spent what it may in a day", 21, Bridge),
            Self::LongestCall        => row("longest_call",       480, "The longest call of this trunk is reached", 31, Bridge),
            Self::SessionExpired     => row("session_expired",    408, "The session was not refreshed", 102, Pbx),
            Self::Transferred        => row("transferred",        487, "Transferred", 16, Nobody),
            Self::TransferFailed     => row("transfer_failed",    500, "The transfer failed", 41, Pbx),
            Self::Redirected         => row("redirected",         480, "The PBX redirected the call elsewhere", 23, Pbx),
            Self::NoTarget           => row("no_target",          503, "No target of the trunk is in service", 38, Pbx),
            Self::UnknownNumber      => row("unknown_number",     403, "No such business number on this trunk", 21, Pbx),
            Self::ClosedHours        => row("closed_hours",       480, "Outside of the call hours", 20, Nobody),
            Self::RouteRejected      => row("route_rejected",     403, "A route rejects the call", 21, Bridge),
            Self::Announced          => row("announced",          480, "The caller heard an announcement", 16, Nobody),
            Self::ShuttingDown       => later(row("shutting_down", 503, "Shutting down", 41, Bridge), 5),
            Self::Starting           => later(row("starting",     503, "Starting", 41, Bridge), 2),
            Self::Crash              => later(row("crash",        503, "The bridge was restarted", 41, Bridge), 2),
            Self::UnknownCall        => row("unknown_call",       481, "A call of somebody else with this number", 81, Bridge),
            Self::Internal           => row("internal",           500, "Internal error", 41, Bridge),
        }
    }

    /// The value of the `Reason` header (RFC 3326) for this cause: in the words of SIP and of Q.850.
    #[must_use]
    pub fn reason_header(self) -> String {
        let row = self.row();
        // What ended well was 200 to its users; phones show no missed call for it (RFC 3326 3.1).
        let ended_well = matches!(self, Self::UserHungUp | Self::Replaced | Self::Transferred);
        let sip = if ended_well { 200 } else { row.status };
        let text = row.phrase;
        format!("SIP;cause={sip};text=\"{text}\", Q.850;cause={};text=\"{text}\"", row.q850)
    }
}

/// Errors that WhatsApp reports in a `terminate` webhook.
#[rustfmt::skip]
const fn whatsapp_failed(code: u32) -> Row {
    use Blame::{Bridge, WhatsApp};
    match code {
        138_007           => row("wa_connect_timeout",   504, "WhatsApp: connect timed out", 102, Bridge),
        138_019           => row("wa_client_setup",      500, "WhatsApp client failed to set up the call", 41, WhatsApp),
        138_020           => row("wa_client_relay",      480, "WhatsApp client could not reach its relay", 38, WhatsApp),
        138_021           => row("wa_no_media_received", 408, "WhatsApp received no media", 102, Bridge),
        138_022           => row("wa_no_media_sent",     480, "WhatsApp client sent no media", 102, WhatsApp),
        138_023           => row("wa_no_media_signals",  480, "WhatsApp user answered and no media came", 102, WhatsApp),
        131_044           => alarming(row("wa_payment",  403, "WhatsApp: business payment problem", 21, Bridge), Alarm::NumberRefused),
        _                 => row("wa_failed",            480, "WhatsApp reported a failed call", 41, WhatsApp),
    }
}

/// The alarm that the Graph client raises for an error of this kind.
const fn of_trouble(kind: ErrorKind) -> Option<Alarm> {
    match kind.trouble() {
        Some(trouble) => Some(Alarm::of(trouble)),
        None => None,
    }
}

/// What the Graph API's refusals mean to the PBX.
#[rustfmt::skip]
const fn graph(kind: ErrorKind) -> Row {
    use Blame::{Bridge, Nobody, Pbx, User, WhatsApp};
    match kind {
        ErrorKind::SdpRefused          => row("graph_sdp_refused",       488, "WhatsApp refused the SDP", 88, Bridge),
        ErrorKind::TokenInvalid        => row("graph_token",             503, "WhatsApp access token is invalid", 38, Bridge),
        ErrorKind::NoCapability        => row("graph_no_capability",     503, "WhatsApp app may not use the calling API", 38, Bridge),
        ErrorKind::NoCallPermission    => row("graph_no_permission",     403, "No call permission from the WhatsApp user", 21, User),
        ErrorKind::NotAuthorized       => row("graph_not_authorized",    403, "WhatsApp app lacks the right to call", 21, Bridge),
        ErrorKind::NumberUnknown       => row("graph_number_unknown",    404, "WhatsApp business number does not exist", 1, Bridge),
        ErrorKind::NumberNotRegistered => row("graph_not_registered",    503, "WhatsApp business number is not registered", 38, Bridge),
        ErrorKind::Uncallable          => row("graph_uncallable",        404, "Not reachable on WhatsApp", 1, User),
        ErrorKind::Undeliverable       => row("graph_undeliverable",     404, "The message did not reach the WhatsApp user", 1, User),
        ErrorKind::RecipientUnsupported => row("graph_bsuid_refused",    404, "WhatsApp can't reach this user by the user id", 1, Pbx),
        ErrorKind::TooManyCalls        => later(row("graph_too_many_calls", 503, "Too many calls on this WhatsApp number", 34, WhatsApp), 10),
        ErrorKind::DuplicateCall       => row("graph_duplicate",         486, "Already in a call with this WhatsApp user", 17, Pbx),
        ErrorKind::ConnectionError     => row("graph_connection",        502, "WhatsApp connection error", 38, WhatsApp),
        ErrorKind::ConnectTimeout      => row("graph_connect_timeout",   504, "WhatsApp: connect timed out", 102, Bridge),
        ErrorKind::RateLimited         => later(row("graph_rate_limited", 503, "WhatsApp rate limit", 42, WhatsApp), 30),
        ErrorKind::NumberRateLimited   => later(row("graph_number_rate_limited", 503, "Daily limit of calls of this WhatsApp number", 42, WhatsApp), 60),
        ErrorKind::LookupLimit         => later(row("graph_lookup_limit", 503, "Too many questions for call permissions", 42, Bridge), 5),
        ErrorKind::DailyLimit          => row("graph_daily_limit",       403, "Daily limit of calls to this WhatsApp user", 21, WhatsApp),
        ErrorKind::NotAvailable        => row("graph_not_available",     403, "WhatsApp calling is not available for this number", 21, WhatsApp),
        ErrorKind::CallingPaused       => row("graph_calling_paused",    403, "WhatsApp has paused calling for this number", 21, WhatsApp),
        ErrorKind::CallingDisabled     => row("graph_calling_disabled",  403, "Calling is disabled on this WhatsApp number", 21, Bridge),
        ErrorKind::SipMode             => row("graph_sip_mode",          503, "The WhatsApp number is in SIP mode", 38, Bridge),
        ErrorKind::Payment             => row("graph_payment",           403, "WhatsApp: business payment problem", 21, Bridge),
        ErrorKind::Policy              => row("graph_policy",            403, "WhatsApp has locked the business account", 21, Bridge),
        ErrorKind::CountryRestricted   => row("graph_country",           403, "This business may not reach users of this country", 21, WhatsApp),
        ErrorKind::NotAllowedRecipient => row("graph_recipient",         403, "Recipient is not in the test number's list", 21, Bridge),
        ErrorKind::SelfCall            => row("graph_self_call",         400, "A business number can't call itself", 28, Pbx),
        ErrorKind::BadParameter        => row("graph_bad_parameter",     400, "WhatsApp refused the request", 28, Bridge),
        ErrorKind::PermissionRequestLimit => row("graph_request_limit",  403, "The WhatsApp user was asked for a permission too often", 21, Bridge),
        ErrorKind::ConversationNeeded  => row("graph_no_conversation",   403, "No open conversation to ask for a permission in", 21, Bridge),
        ErrorKind::AlreadyPermitted    => row("graph_already_permitted", 403, "The WhatsApp user has permitted calls already", 21, Nobody),
        ErrorKind::MessagingLimit      => row("graph_messaging_limit",   403, "The number's messaging limit is too low for calls", 21, Bridge),
        ErrorKind::Prerequisites       => row("graph_prerequisites",     403, "What calling needs is not set up", 21, Bridge),
        ErrorKind::AlreadyEnded        => row("graph_already_ended",     480, "The WhatsApp call is already over", 16, User),
        ErrorKind::Outage              => later(row("graph_outage",      503, "WhatsApp is temporarily out of service", 38, WhatsApp), 30),
        ErrorKind::Maintenance         => later(row("graph_maintenance", 503, "The WhatsApp account is under maintenance", 38, WhatsApp), 60),
        ErrorKind::Unavailable         => later(row("graph_unavailable", 503, "WhatsApp does not answer: not tried", 38, WhatsApp), 5),
        ErrorKind::Timeout             => row("graph_timeout",           504, "WhatsApp did not answer the request", 102, WhatsApp),
        ErrorKind::Transport           => row("graph_unreachable",       503, "WhatsApp can't be reached", 38, WhatsApp),
        ErrorKind::BadResponse         => row("graph_bad_response",      502, "WhatsApp's answer made no sense", 38, WhatsApp),
        ErrorKind::Unknown             => row("graph_unknown",           500, "WhatsApp: unknown error", 38, WhatsApp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_final_and_every_label_is_a_word() {
        let causes = [
            Cause::PbxHungUp,
            Cause::UserRejected,
            Cause::UserDeclined,
            Cause::NoAnswer,
            Cause::PbxSilent,
            Cause::UserSilent,
            Cause::RingLimit,
            Cause::WhatsAppFailed(0),
            Cause::WhatsAppFailed(138_021),
            Cause::Graph(ErrorKind::NoCallPermission),
            Cause::Graph(ErrorKind::Unknown),
            Cause::PbxRefused(486),
            Cause::PbxRefused(299),
            Cause::TooManyCalls,
            Cause::TooManyCallsPerSecond,
            Cause::DestinationRefused,
            Cause::EmergencyNumber,
            Cause::SpendLimit,
            Cause::PbxGone,
            Cause::Replaced,
            Cause::NothingToReplace,
            Cause::TransferRefused,
            Cause::TransferPending,
            Cause::LongestCall,
            Cause::SessionExpired,
            Cause::Transferred,
            Cause::TransferFailed,
            Cause::Redirected,
            Cause::NoTarget,
            Cause::Starting,
            Cause::Crash,
            Cause::UnknownCall,
            Cause::UnknownNumber,
            Cause::ClosedHours,
            Cause::RouteRejected,
            Cause::Announced,
            Cause::Internal,
        ];
        for cause in causes {
            let row = cause.row();
            assert!((400..700).contains(&row.status), "{cause:?}");
            assert!(row.label.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{cause:?}");
            assert!(!row.phrase.contains('"'), "the phrase stands inside quotes: {cause:?}");
        }
    }

    #[test]
    fn what_a_pbx_must_not_retry_is_not_503() {
        for kind in [ErrorKind::NoCallPermission, ErrorKind::Uncallable, ErrorKind::DuplicateCall] {
            assert_ne!(Cause::Graph(kind).row().status, 503);
        }
    }

    #[test]
    fn reason_header_is_rfc_3326() {
        assert_eq!(
            Cause::UserRejected.reason_header(),
            "SIP;cause=486;text=\"User declined the call\", Q.850;cause=21;text=\"User declined the call\""
        );
        assert!(Cause::Replaced.reason_header().starts_with("SIP;cause=200;"));
    }
}
