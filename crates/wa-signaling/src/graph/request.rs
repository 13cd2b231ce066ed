//! Bodies of `POST /{PHONE_NUMBER_ID}/calls`.

use serde::Serialize;

use super::breaker::Purpose;
use crate::identity::Callee;
use crate::wacid::Wacid;

/// Longest callback data WhatsApp takes, in characters.
pub const CALLBACK_DATA_MAX: usize = 512;

/// What is asked of a call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Calls a user.
    Connect,
    /// Sets up the media of a user's call, without answering it.
    PreAccept,
    /// Answers a user's call.
    Accept,
    /// Refuses a user's call.
    Reject,
    /// Ends a call.
    Terminate,
}

impl Action {
    /// The word of the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::PreAccept => "pre_accept",
            Self::Accept => "accept",
            Self::Reject => "reject",
            Self::Terminate => "terminate",
        }
    }

    /// What it is for: what holds it.
    #[must_use]
    pub const fn purpose(self) -> Purpose {
        match self {
            Self::Connect => Purpose::Connect,
            Self::PreAccept | Self::Accept => Purpose::Answer,
            Self::Reject | Self::Terminate => Purpose::End,
        }
    }
}

/// The body of one request. Fields that do not apply are left out.
#[derive(Clone, Debug, Serialize)]
pub struct CallRequest<'a> {
    messaging_product: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call_id: Option<&'a str>,
    action: Action,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<Session<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    biz_opaque_callback_data: Option<&'a str>,
}

#[derive(Clone, Debug, Serialize)]
struct Session<'a> {
    sdp_type: &'static str,
    sdp: &'a str,
}

impl<'a> CallRequest<'a> {
    /// Calls `to` with our offer.
    #[must_use]
    pub fn connect(to: &'a Callee, offer: &'a str, callback_data: &'a str) -> Self {
        let (to, recipient) = match to {
            Callee::Phone(digits) => (Some(digits.as_str()), None),
            Callee::Bsuid(id) => (None, Some(id.as_str())),
        };
        Self {
            to,
            recipient,
            session: Some(Session { sdp_type: "offer", sdp: offer }),
            biz_opaque_callback_data: sendable(callback_data),
            ..Self::bare(Action::Connect)
        }
    }

    /// Sets up the media of `call`.
    #[must_use]
    pub fn pre_accept(call: &'a Wacid, answer: &'a str) -> Self {
        Self {
            session: Some(Session { sdp_type: "answer", sdp: answer }),
            ..Self::on(call, Action::PreAccept)
        }
    }

    /// Answers `call`; the answer must be the one of `pre_accept`.
    #[must_use]
    pub fn accept(call: &'a Wacid, answer: &'a str, callback_data: &'a str) -> Self {
        Self {
            session: Some(Session { sdp_type: "answer", sdp: answer }),
            biz_opaque_callback_data: sendable(callback_data),
            ..Self::on(call, Action::Accept)
        }
    }

    /// Refuses `call`.
    #[must_use]
    pub fn reject(call: &'a Wacid) -> Self {
        Self::on(call, Action::Reject)
    }

    /// Ends `call`.
    #[must_use]
    pub fn terminate(call: &'a Wacid) -> Self {
        Self::on(call, Action::Terminate)
    }

    /// What this request asks.
    #[must_use]
    pub fn action(&self) -> Action {
        self.action
    }

    fn on(call: &'a Wacid, action: Action) -> Self {
        Self { call_id: Some(call.as_str()), ..Self::bare(action) }
    }

    fn bare(action: Action) -> Self {
        Self {
            messaging_product: "whatsapp",
            to: None,
            recipient: None,
            call_id: None,
            action,
            session: None,
            biz_opaque_callback_data: None,
        }
    }
}

/// Data too long would cost the whole call; without it the call is still found
/// by its wacid.
fn sendable(callback_data: &str) -> Option<&str> {
    let fits = (1..=CALLBACK_DATA_MAX).contains(&callback_data.chars().count());
    fits.then_some(callback_data)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SDP: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\n";
    const SDP_JSON: &str = r"v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\n";

    fn body(request: &CallRequest<'_>) -> String {
        serde_json::to_string(request).expect("plain strings serialise")
    }

    fn call() -> Wacid {
        "wacid.ABGGFjFVU2AfAgo6V".parse().expect("an id")
    }

    #[test]
    fn connect_by_number() {
        let to = Callee::Phone("14085551234".into());
        assert_eq!(
            body(&CallRequest::connect(&to, SDP, "0fS5cePMok")),
            format!(
                r#"{{"messaging_product":"whatsapp","to":"14085551234","action":"connect","session":{{"sdp_type":"offer","sdp":"{SDP_JSON}"}},"biz_opaque_callback_data":"0fS5cePMok"}}"#
            )
        );
    }

    #[test]
    fn connect_by_bsuid_has_recipient_and_no_to() {
        let to = Callee::Bsuid("US.13491208655302741918".into());
        assert_eq!(
            body(&CallRequest::connect(&to, SDP, "")),
            format!(
                r#"{{"messaging_product":"whatsapp","recipient":"US.13491208655302741918","action":"connect","session":{{"sdp_type":"offer","sdp":"{SDP_JSON}"}}}}"#
            )
        );
    }

    #[test]
    fn pre_accept_and_accept_carry_an_answer() {
        let (call, head) =
            (call(), r#"{"messaging_product":"whatsapp","call_id":"wacid.ABGGFjFVU2AfAgo6V","action":"#);
        let session = format!(r#""session":{{"sdp_type":"answer","sdp":"{SDP_JSON}"}}"#);
        assert_eq!(body(&CallRequest::pre_accept(&call, SDP)), format!(r#"{head}"pre_accept",{session}}}"#));
        assert_eq!(
            body(&CallRequest::accept(&call, SDP, "call-7")),
            format!(r#"{head}"accept",{session},"biz_opaque_callback_data":"call-7"}}"#)
        );
    }

    #[test]
    fn reject_and_terminate_name_the_call_only() {
        let call = call();
        for (request, action) in
            [(CallRequest::reject(&call), "reject"), (CallRequest::terminate(&call), "terminate")]
        {
            assert_eq!(
                body(&request),
                format!(
                    r#"{{"messaging_product":"whatsapp","call_id":"wacid.ABGGFjFVU2AfAgo6V","action":"{action}"}}"#
                )
            );
            assert_eq!(request.action().name(), action);
        }
    }

    #[test]
    fn callback_data_over_the_limit_is_left_out() {
        let call = call();
        let (fits, too_long) = ("\u{e4}".repeat(512), "a".repeat(513));
        assert!(body(&CallRequest::accept(&call, SDP, &fits)).contains("biz_opaque_callback_data"));
        assert!(!body(&CallRequest::accept(&call, SDP, &too_long)).contains("biz_opaque_callback_data"));
    }
}
