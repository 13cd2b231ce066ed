//! Matching messages to transactions (RFC 3261 17.1.3 and 17.2.3).

use crate::message::via::MAGIC_COOKIE;
use crate::message::{Headers, Method, Request, Via};

/// What makes two requests the same to a server. ACK and CANCEL match the INVITE they belong to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum ServerKey {
    /// The branch of RFC 3261.
    Branch { branch: String, sent_by: String, method: Method },
    /// An RFC 2543 client: its branch says nothing.
    Rfc2543 { uri: String, from_tag: Option<String>, call_id: String, cseq: u32, via: String, method: Method },
}

impl ServerKey {
    /// The transaction this request belongs to; for ACK that of its INVITE.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        let method = match &request.method {
            Method::Ack => Method::Invite,
            other => other.clone(),
        };
        Self::with_method(request, method)
    }

    /// The INVITE that a CANCEL is about.
    pub(crate) fn cancelled_by(cancel: &Request) -> Option<Self> {
        Self::with_method(cancel, Method::Invite)
    }

    fn with_method(request: &Request, method: Method) -> Option<Self> {
        let via = request.headers.via()?;
        let sent_by = via.sent_by().to_ascii_lowercase();
        // The bare cookie names nothing: such a client is matched like one of RFC 2543.
        let unique = |branch: &&str| branch.len() > MAGIC_COOKIE.len() && has_cookie(branch);
        if let Some(branch) = via.branch().filter(unique) {
            return Some(Self::Branch { branch: branch.to_owned(), sent_by, method });
        }
        Some(Self::Rfc2543 {
            uri: request.uri.to_string(),
            from_tag: request.headers.from()?.tag().map(str::to_owned),
            call_id: request.headers.call_id()?.to_owned(),
            cseq: request.headers.cseq()?.number,
            via: as_sent(via),
            method,
        })
    }
}

/// A Via without what we added to it.
fn as_sent(mut via: Via) -> String {
    via.params.remove("received");
    via.params.remove("rport");
    via.to_string()
}

fn has_cookie(branch: &str) -> bool {
    let cookie = branch.get(..MAGIC_COOKIE.len());
    cookie.is_some_and(|cookie| cookie.eq_ignore_ascii_case(MAGIC_COOKIE))
}

/// What makes a response ours: the branch we put into the Via, and the method (a CANCEL shares its INVITE's branch).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ClientKey {
    pub(crate) branch: String,
    pub(crate) method: Method,
}

impl ClientKey {
    /// The transaction that this request begins or this response belongs to.
    pub(crate) fn of(headers: &Headers) -> Option<Self> {
        Some(Self { branch: headers.via()?.branch()?.to_owned(), method: headers.cseq()?.method })
    }
}

/// What a request that came by two ways has in common (RFC 3261 8.2.2.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct MergeKey {
    call_id: String,
    from_tag: Option<String>,
    cseq: u32,
}

impl MergeKey {
    pub(crate) fn of(headers: &Headers) -> Option<Self> {
        Some(Self {
            call_id: headers.call_id()?.to_owned(),
            from_tag: headers.from()?.tag().map(str::to_owned),
            cseq: headers.cseq()?.number,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Message, parse};

    fn request(method: &str, via: &str) -> Request {
        let text = format!(
            "{method} sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP {via}\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: c\r\n\
             CSeq: 1 {method}\r\n\r\n"
        );
        match parse::datagram(text.as_bytes()).unwrap() {
            Message::Request(request) => request,
            Message::Response(_) => panic!(),
        }
    }

    fn key(method: &str, via: &str) -> Option<ServerKey> {
        ServerKey::of(&request(method, via))
    }

    #[test]
    fn branch_sent_by_and_method_make_the_key() {
        let invite = key("INVITE", "h:5060;branch=z9hG4bK1");
        assert_eq!(invite, key("ACK", "H:5060;branch=z9hG4bK1"));
        assert_eq!(invite, ServerKey::cancelled_by(&request("CANCEL", "h:5060;branch=z9hG4bK1")));
        for other in [
            key("CANCEL", "h:5060;branch=z9hG4bK1"),
            key("INVITE", "h;branch=z9hG4bK1"),
            key("INVITE", "h:5060;branch=z9hG4bK2"),
        ] {
            assert_ne!(invite, other);
        }
    }

    #[test]
    fn rfc2543_clients_match_by_everything_else() {
        for via in ["h", "h;branch=1", "h;branch=z9hG4bK"] {
            let invite = key("INVITE", via);
            assert!(matches!(invite, Some(ServerKey::Rfc2543 { .. })), "{via}");
            assert_eq!(invite, key("ACK", via));
            assert_eq!(invite, key("INVITE", &format!("{via};received=192.0.2.1")));
        }
        assert_ne!(key("INVITE", "h;branch=1"), key("INVITE", "h;branch=2"));
    }
}
