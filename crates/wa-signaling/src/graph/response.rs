//! Answers of the Graph API: HTTP status and body to a result.

use std::time::Duration;

use serde_json::Value;

use super::error::{ApiError, GraphError};
use crate::json;
use crate::permission::Permission;
use crate::wacid::Wacid;

/// Longest text kept of an error's title or details, in characters.
const MAX_TEXT: usize = 500;

/// An answer as it came, before it is understood.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// HTTP status.
    pub status: u16,
    /// Value of the Retry-After header.
    pub retry_after: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

/// Reads the answer to `connect`: the id of the new call.
pub fn call_id(answer: Answer<'_>) -> Result<Wacid, GraphError> {
    let value = understood(answer)?;
    json::list(&value, "calls")
        .iter()
        .find_map(|call| json::text(call, "id")?.parse().ok())
        .ok_or_else(|| GraphError::BadResponse("no call id in it".into()))
}

/// Reads the answer to everything else: it worked, or why not.
pub fn success(answer: Answer<'_>) -> Result<(), GraphError> {
    let value = understood(answer)?;
    if value.get("success").and_then(Value::as_bool) == Some(false) {
        return Err(GraphError::BadResponse("it says success false and gives no error".into()));
    }
    Ok(())
}

/// Reads the answer to a permission request: the id of the message.
pub fn message_id(answer: Answer<'_>) -> Result<String, GraphError> {
    let value = understood(answer)?;
    let id = json::list(&value, "messages").iter().find_map(|message| json::text(message, "id"));
    id.map(shortened).ok_or_else(|| GraphError::BadResponse("no message id in it".into()))
}

/// Reads the answer to `call_permissions`.
pub fn permission(answer: Answer<'_>) -> Result<Permission, GraphError> {
    let value = understood(answer)?;
    Permission::read(&value).ok_or_else(|| GraphError::BadResponse("no known permission status in it".into()))
}

/// The JSON object of a good answer; an error envelope counts whatever the
/// status it came with.
pub(super) fn understood(answer: Answer<'_>) -> Result<Value, GraphError> {
    let status = answer.status;
    let value = json::parse(answer.body)
        .map_err(|error| GraphError::BadResponse(format!("HTTP {status}, body is not JSON: {error}")))?;
    if let Some(envelope) = value.get("error") {
        return Err(refusal(answer, envelope));
    }
    if !value.is_object() || !(200..300).contains(&status) {
        return Err(GraphError::BadResponse(format!(
            "HTTP {status} with JSON that is neither answer nor error"
        )));
    }
    Ok(value)
}

fn refusal(answer: Answer<'_>, envelope: &Value) -> GraphError {
    let narrow = |key| json::number(envelope, key).and_then(|number| u32::try_from(number).ok());
    let message = json::text(envelope, "message").map(shortened).unwrap_or_default();
    let Some(code) = narrow("code") else {
        return GraphError::BadResponse(format!(
            "HTTP {}, an error without a code: {message}",
            answer.status
        ));
    };
    let data = envelope.get("error_data").unwrap_or(&Value::Null);
    // Where there is no error_data, the text meant for people is the next best.
    let details = json::text(data, "details").or_else(|| json::text(envelope, "error_user_msg"));
    GraphError::Api(ApiError {
        http_status: answer.status,
        code,
        subcode: narrow("error_subcode"),
        message,
        details: details.map(shortened),
        fbtrace_id: json::text(envelope, "fbtrace_id").map(shortened),
        retry_after: answer.retry_after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs),
    })
}

/// On one line and of bounded length: it goes to logs and to SIP headers.
fn shortened(text: &str) -> String {
    text.chars().take(MAX_TEXT).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::error::ErrorKind;

    fn answer(status: u16, body: &str) -> Answer<'_> {
        Answer { status, retry_after: None, body: body.as_bytes() }
    }

    #[test]
    fn connect_answers_the_call_id() {
        for body in [
            r#"{"messaging_product":"whatsapp","calls":[{"id":"wacid.ABGGFjFVU2AfAgo6V"}]}"#,
            r#"{"success":true,"messaging_product":"whatsapp","calls":[{"new":1},{"id":"wacid.ABGGFjFVU2AfAgo6V"}]}"#,
        ] {
            assert_eq!(call_id(answer(200, body)).expect(body).as_str(), "wacid.ABGGFjFVU2AfAgo6V");
        }
    }

    #[test]
    fn connect_without_a_call_id_is_no_answer() {
        for body in [
            "{}",
            r#"{"calls":[]}"#,
            r#"{"calls":[{"id":""}]}"#,
            r#"{"calls":[{"id":7}]}"#,
            r#"{"calls":{}}"#,
        ] {
            assert_eq!(call_id(answer(200, body)).expect_err(body).kind(), ErrorKind::BadResponse);
        }
    }

    #[test]
    fn success_in_its_documented_forms() {
        for body in [r#"{"messaging_product":"whatsapp","success":true}"#, r#"{ "success" : true }"#, "{}"] {
            assert_eq!(success(answer(200, body)), Ok(()));
        }
        assert_eq!(
            success(answer(200, r#"{"success":false}"#)).expect_err("false").kind(),
            ErrorKind::BadResponse
        );
    }

    #[test]
    fn the_error_envelope_is_read_whole() {
        let body = r#"{"error":{"message":"(#130429) Rate limit hit","type":"OAuthException","code":130429,
            "error_data":{"messaging_product":"whatsapp","details":"Throughput\nreached."},
            "error_subcode":2494055,"fbtrace_id":"Az8or2yhqkZ"}}"#;
        let error = success(Answer { status: 429, retry_after: Some(" 30"), body: body.as_bytes() });
        let expected = ApiError {
            http_status: 429,
            code: 130_429,
            subcode: Some(2_494_055),
            message: "(#130429) Rate limit hit".into(),
            details: Some("Throughput reached.".into()),
            fbtrace_id: Some("Az8or2yhqkZ".into()),
            retry_after: Some(Duration::from_secs(30)),
        };
        assert_eq!(error, Err(GraphError::Api(expected)));
    }

    #[test]
    fn an_error_counts_even_with_status_200() {
        let body = r#"{"error":{"message":"No permission","code":"138006"}}"#;
        assert_eq!(call_id(answer(200, body)).expect_err("error").kind(), ErrorKind::NoCallPermission);
    }

    #[test]
    fn what_graph_did_not_say_is_a_bad_response() {
        for (status, body) in [
            (502, "<html>Bad Gateway</html>"),
            (200, ""),
            (500, "{}"),
            (200, "[]"),
            (200, "\"ok\""),
            (302, r#"{"success":true}"#),
            (400, r#"{"error":"plain text"}"#),
            (400, r#"{"error":{"message":"no code"}}"#),
            (400, r#"{"error":{"code":-1}}"#),
        ] {
            assert_eq!(
                success(answer(status, body)).expect_err(body).kind(),
                ErrorKind::BadResponse,
                "{body}"
            );
        }
        let deep = "[".repeat(40);
        assert_eq!(success(answer(200, &deep)).expect_err("deep").kind(), ErrorKind::BadResponse);
    }

    #[test]
    fn a_retry_after_that_is_a_date_is_left_out() {
        let body = br#"{"error":{"code":4}}"#;
        let date = Some("Fri, 31 Dec 1999 23:59:59 GMT");
        let Err(GraphError::Api(error)) = success(Answer { status: 429, retry_after: date, body }) else {
            panic!("an api error");
        };
        assert_eq!(error.retry_after, None);
    }

    #[test]
    fn long_texts_are_cut() {
        let body = format!(r#"{{"error":{{"code":1,"message":"{}"}}}}"#, "\u{e4}".repeat(10_000));
        let Err(GraphError::Api(error)) = success(answer(500, &body)) else {
            panic!("an api error");
        };
        assert_eq!(error.message.chars().count(), MAX_TEXT);
    }
}
