//! Errors as the Graph API words them, and what else can be wrong with its replies.

use std::time::Duration;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::hub::Hub;
use super::random;
use super::wire::Knife;

/// An error as the Graph API words it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// Meta's code.
    pub code: u32,
    /// Meta's subcode.
    pub subcode: Option<u32>,
    /// `error.message`, without the code in front.
    pub message: String,
    /// `error.error_data.details`.
    pub details: String,
    /// The Retry-After header, in seconds.
    pub retry_after: Option<u32>,
}

impl ApiError {
    /// An error without subcode and Retry-After.
    #[must_use]
    pub fn new(status: u16, code: u32, message: &str, details: &str) -> Self {
        let (message, details) = (message.to_owned(), details.to_owned());
        Self { status, code, subcode: None, message, details, retry_after: None }
    }

    pub(crate) fn parameter(details: &str) -> Self {
        Self::new(400, 100, "Invalid parameter", details)
    }

    pub(crate) fn sdp(details: &str) -> Self {
        let error = Self::new(400, 138_008, "SDP Validation error", details);
        Self { subcode: Some(2_593_093), ..error }
    }
}

/// What is wrong with a Graph reply. `done`: the request works all the same, only its reply is bad; without it
/// nothing happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GraphFault {
    /// The request is refused; nothing happens.
    Error(ApiError),
    /// The request works, and yet its reply is this error.
    ErrorAfter(ApiError),
    /// The request works, its reply comes this late.
    Delay(Duration),
    /// The request works, its reply is no Graph reply.
    Garbage {
        /// HTTP status.
        status: u16,
        /// Body.
        body: String,
    },
    /// An HTTP status with a page for people, as a proxy in front of the API sends it.
    Status {
        /// HTTP status.
        status: u16,
        /// The Retry-After header, in seconds.
        retry_after: Option<u32>,
        /// Whether the request works.
        done: bool,
    },
    /// No answer until the peer gives up.
    Hang {
        /// Whether the request works.
        done: bool,
    },
    /// The connection closes without an answer.
    Reset {
        /// Whether the request works.
        done: bool,
    },
    /// Headers and half of the body come, then the connection closes.
    HalfAnswer {
        /// Whether the request works.
        done: bool,
    },
    /// The reply is JSON of this length.
    Huge {
        /// Length of the body in bytes.
        bytes: usize,
        /// Whether the request works.
        done: bool,
    },
}

impl GraphFault {
    /// Whether the request does what it asks for.
    #[must_use]
    pub fn works(&self) -> bool {
        match self {
            Self::Error(_) => false,
            Self::ErrorAfter(_) | Self::Delay(_) | Self::Garbage { .. } => true,
            Self::Status { done, .. }
            | Self::Hang { done }
            | Self::Reset { done }
            | Self::HalfAnswer { done }
            | Self::Huge { done, .. } => *done,
        }
    }
}

/// How a reply leaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Whole,
    Half,
    Cut,
    Never,
}

/// A reply, and how it leaves.
pub(crate) struct Reply {
    response: Response,
    manner: Manner,
}

impl Reply {
    /// The good reply to a request, with its fault.
    pub(crate) fn good(body: &Value, fault: Option<&GraphFault>) -> Self {
        let response = match fault {
            Some(GraphFault::Error(error) | GraphFault::ErrorAfter(error)) => error_reply(error),
            Some(GraphFault::Garbage { status, body }) => (code(*status), body.clone()).into_response(),
            Some(GraphFault::Status { status, retry_after, .. }) => page(*status, *retry_after),
            Some(GraphFault::Huge { bytes, .. }) => huge(*bytes),
            _ => json_reply(200, body),
        };
        let manner = match fault {
            Some(GraphFault::Hang { .. }) => Manner::Never,
            Some(GraphFault::Reset { .. }) => Manner::Cut,
            Some(GraphFault::HalfAnswer { .. }) => Manner::Half,
            _ => Manner::Whole,
        };
        Self { response, manner }
    }

    pub(crate) fn error(error: &ApiError) -> Self {
        Self { response: error_reply(error), manner: Manner::Whole }
    }

    /// The HTTP status; 0 where no answer comes.
    pub(crate) fn status(&self) -> u16 {
        match self.manner {
            Manner::Whole | Manner::Half => self.response.status().as_u16(),
            Manner::Cut | Manner::Never => 0,
        }
    }

    /// Hands the answer to the connection, or what is to be seen of it.
    pub(crate) async fn send(self, hub: &Hub, knife: &Knife) -> Response {
        match self.manner {
            Manner::Whole => {}
            Manner::Half => knife.halve(),
            Manner::Cut => knife.cut(),
            Manner::Never => {
                // The server drops this when the peer closes its connection.
                hub.stop.cancelled().await;
                knife.cut();
            }
        }
        self.response
    }
}

fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn retry_after(mut response: Response, seconds: Option<u32>) -> Response {
    if let Some(seconds) = seconds {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn page(status: u16, seconds: Option<u32>) -> Response {
    let body = format!("<html><body><h1>{}</h1></body></html>", code(status));
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
    retry_after((code(status), headers, body).into_response(), seconds)
}

fn huge(bytes: usize) -> Response {
    let mut body = "{\"messaging_product\":\"whatsapp\",\"padding\":\"".to_owned();
    body.extend(std::iter::repeat_n('x', bytes.saturating_sub(body.len() + 2)));
    body.push_str("\"}");
    ([(header::CONTENT_TYPE, "application/json; charset=UTF-8")], body).into_response()
}

pub(crate) fn json_reply(status: u16, body: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json; charset=UTF-8")];
    (code(status), headers, body.to_string()).into_response()
}

/// Meta's error envelope.
pub(crate) fn error_reply(error: &ApiError) -> Response {
    let mut inner = json!({
        "message": format!("(#{}) {}", error.code, error.message),
        "type": "OAuthException",
        "code": error.code,
        "error_data": { "messaging_product": "whatsapp", "details": error.details },
        "fbtrace_id": random::base64(&random::bytes::<9>()),
    });
    if let Some(subcode) = error.subcode {
        inner["error_subcode"] = json!(subcode);
    }
    retry_after(json_reply(error.status, &json!({ "error": inner })), error.retry_after)
}
