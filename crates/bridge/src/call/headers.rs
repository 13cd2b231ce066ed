//! The SIP header fields and bodies that a call writes, but for the INVITE (`invite`). Pure.

use std::time::Duration;

use media_relay::sdp::SdpError;
use sip_core::{Body, Reply};

use super::cause::Cause;
use super::remedy;

/// What a call takes within its dialog. `sip-core` answers some of it by itself.
const TAKEN: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, INFO, REFER, NOTIFY";
/// The bodies that an INFO may have.
const INFO_TYPES: &str = "application/dtmf-relay, application/dtmf";

/// Who warns (RFC 3261 20.43): a name, for the addresses of a host say nothing to people.
const AGENT: &str = "wa-bridge";

/// A header field.
pub(crate) type Field = (String, String);

/// A header field with this name and value.
pub(crate) fn field(name: &str, value: impl Into<String>) -> Field {
    (name.to_owned(), value.into())
}

/// The final response for a call that ended before it was answered. What WhatsApp refused has a
/// Warning with a sentence for people: ours, for WhatsApp's own texts may hold anything.
pub(crate) fn refusal(cause: Cause) -> Reply {
    refused(cause, remedy::about(cause))
}

/// The same with a sentence for this very call.
pub(super) fn refusal_with(cause: Cause, remedy: &str) -> Reply {
    refused(cause, Some(remedy))
}

fn refused(cause: Cause, remedy: Option<&str>) -> Reply {
    let row = cause.row();
    let mut headers = vec![field("Reason", cause.reason_header())];
    if let Some(seconds) = row.retry_after {
        headers.push(field("Retry-After", seconds.to_string()));
    }
    if let Some(remedy) = remedy {
        headers.push(field("Warning", format!("399 {AGENT} \"{}. {remedy}\"", row.phrase)));
    }
    Reply { status: row.status, reason: Some(row.phrase.to_owned()), headers, body: None }
}

/// The header fields of a CANCEL (RFC 3326).
pub(crate) fn reason(cause: Cause) -> Vec<Field> {
    vec![field("Reason", cause.reason_header())]
}

/// The header fields of a BYE: those of WhatsApp's own SIP mode beside the Reason.
pub(crate) fn farewell(cause: Cause, wacid: Option<&str>, talked: Option<Duration>) -> Vec<Field> {
    let mut headers = reason(cause);
    headers.extend(wacid.map(|wacid| field("x-wa-meta-wacid", wacid)));
    headers.extend(talked.map(|talked| field("x-wa-meta-call-duration", talked.as_secs().to_string())));
    headers
}

/// To a request that a call has no use for.
pub(crate) fn not_allowed() -> Reply {
    Reply { headers: vec![field("Allow", TAKEN)], ..Reply::new(405) }
}

/// To an INFO whose body is none of those that are understood (RFC 6086 4.2.2).
pub(crate) fn unknown_info() -> Reply {
    Reply { headers: vec![field("Accept", INFO_TYPES)], ..Reply::new(415) }
}

/// To a request that meets an open offer of its own side (RFC 3311 5.2).
pub(crate) fn later() -> Reply {
    Reply { headers: vec![field("Retry-After", "1")], ..Reply::new(500) }
}

/// A response with SDP to an INVITE, UPDATE or PRACK.
pub(crate) fn with_sdp(status: u16, sdp: &str, wacid: Option<&str>) -> Reply {
    let headers = wacid.map(|wacid| field("x-wa-meta-wacid", wacid));
    Reply { status, reason: None, headers: headers.into_iter().collect(), body: Some(sdp_body(sdp)) }
}

/// 488 with what of the SDP can't be used (RFC 3261 20.43); `agent` is our host.
pub(crate) fn not_acceptable(error: &SdpError, agent: &str) -> Reply {
    let code = match error {
        SdpError::NoAddress => 301,
        SdpError::NoUsableMedia | SdpError::SecureOnly | SdpError::PlainOnly | SdpError::DtlsOnly => 302,
        SdpError::NoAudio => 304,
        SdpError::NoCommonCodec => 305,
        SdpError::Malformed(_)
        | SdpError::TooLong
        | SdpError::NoCommonSuite
        | SdpError::NoOpus
        | SdpError::NoFingerprint
        | SdpError::BadFingerprint
        | SdpError::NoKey
        | SdpError::NoIceCredentials
        | SdpError::NoCandidates => 399,
    };
    let text: String =
        error.to_string().chars().filter(|c| !c.is_control() && !matches!(c, '"' | '\\')).collect();
    let mut reply = refusal(Cause::PbxSdp);
    reply.headers.push(field("Warning", format!("{code} {agent} \"{text}\"")));
    reply
}

/// An SDP as a body.
pub(crate) fn sdp_body(sdp: &str) -> Body {
    Body { content_type: "application/sdp".to_owned(), bytes: sdp.to_owned().into() }
}

#[cfg(test)]
mod tests {
    use wa_signaling::ErrorKind;

    use super::*;

    #[test]
    fn a_refusal_says_why() {
        let reply = refusal(Cause::ShuttingDown);
        assert_eq!(reply.status, 503);
        assert!(reply.headers.iter().any(|(name, _)| name == "Retry-After"));
        let reason = reply.headers.iter().find(|(name, _)| name == "Reason").map(|(_, value)| value.as_str());
        let text = "text=\"Shutting down\"";
        assert_eq!(reason, Some(format!("SIP;cause=503;{text}, Q.850;cause=41;{text}").as_str()));
    }

    #[test]
    fn a_missing_call_permission_is_403_with_a_reason_and_a_warning_to_read() {
        let reply = refusal(Cause::Graph(ErrorKind::NoCallPermission));
        assert_eq!(reply.status, 403);
        let text = "No call permission from the WhatsApp user";
        let warning = "Ask the user for it with a call permission request, or wait until the user calls";
        assert_eq!(
            reply.headers,
            [
                field("Reason", format!("SIP;cause=403;text=\"{text}\", Q.850;cause=21;text=\"{text}\"")),
                field("Warning", format!("399 wa-bridge \"{text}. {warning}\"")),
            ]
        );
    }

    #[test]
    fn what_is_not_whatsapps_refusal_has_no_warning() {
        for cause in
            [Cause::ShuttingDown, Cause::NoAnswer, Cause::UserRejected, Cause::WhatsAppFailed(999_999)]
        {
            assert!(refusal(cause).headers.iter().all(|(name, _)| name != "Warning"), "{cause:?}");
        }
        let failed = refusal(Cause::WhatsAppFailed(131_044));
        assert!(failed.headers.iter().any(|(name, _)| name == "Warning"));
    }

    #[test]
    fn a_bye_tells_how_long_the_call_was() {
        let headers = farewell(Cause::UserHungUp, Some("wacid.1"), Some(Duration::from_millis(65_900)));
        assert_eq!(headers[0].0, "Reason");
        assert_eq!(headers[1], field("x-wa-meta-wacid", "wacid.1"));
        assert_eq!(headers[2], field("x-wa-meta-call-duration", "65"));
    }

    #[test]
    fn a_warning_says_what_of_the_sdp_is_unusable() {
        let reply = not_acceptable(&SdpError::NoCommonCodec, "192.0.2.1");
        assert_eq!(reply.status, 488);
        assert_eq!(reply.headers.last(), Some(&field("Warning", "305 192.0.2.1 \"no codec in common\"")));
        // The trunk's policy is told with what to do about it.
        for error in [SdpError::SecureOnly, SdpError::PlainOnly, SdpError::DtlsOnly] {
            let reply = not_acceptable(&error, "192.0.2.1");
            let warning = &reply.headers.last().expect("a Warning").1;
            assert_eq!(reply.status, 488);
            assert!(warning.starts_with("302 192.0.2.1 \"") && warning.contains("let the PBX"), "{warning}");
        }
        let hostile = SdpError::Malformed("x\"\r\nVia: y".to_owned());
        let reply = not_acceptable(&hostile, "192.0.2.1");
        let warning = &reply.headers.last().expect("a Warning").1;
        assert!(!warning.contains(['\r', '\n']), "{warning}");
        assert_eq!(warning.matches('"').count(), 2);
    }
}
