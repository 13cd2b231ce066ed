//! What the phone holds against the messages the bridge sends it: RFC 3261
//! sections 8.1.1, 8.2.6 and 12.1, each complaint a sentence.

use super::sip::{MAGIC_COOKIE, Message, address_of};

/// Mistakes in a request.
pub(super) fn request(message: &Message) -> Vec<String> {
    let mut complaints = common(message);
    let method = message.method().unwrap_or_default();
    let mut complain = |wrong: bool, what: &str| {
        if wrong {
            complaints.push(format!("{method}: {what}"));
        }
    };
    complain(!message.branch().is_some_and(|b| b.starts_with(MAGIC_COOKIE)), "branch without magic cookie");
    complain(message.header("Max-Forwards").and_then(|v| v.parse::<u8>().ok()).is_none(), "no Max-Forwards");
    complain(message.tag_of_from().is_none(), "From without tag");
    complain(message.cseq().is_some_and(|(_, m)| m != method), "CSeq names another method");
    let in_dialog = message.tag_of_to().is_some();
    match method {
        "INVITE" => {
            complain(message.contact().and_then(address_of).is_none(), "no usable Contact");
            complain(
                !message.body.is_empty() && message.header("Content-Type") != Some("application/sdp"),
                "SDP without Content-Type",
            );
        }
        "BYE" => complain(!in_dialog, "To without tag"),
        "CANCEL" => {
            complain(
                !message.body.is_empty() || message.header("Require").is_some(),
                "has a body or Require",
            );
        }
        _ => {}
    }
    complaints
}

/// Mistakes in a response to a request that the phone sent.
pub(super) fn response(message: &Message, sent: &Message) -> Vec<String> {
    let mut complaints = common(message);
    let status = message.status().unwrap_or_default();
    let (_, method) = sent.cseq().unwrap_or_default();
    let mut complain = |wrong: bool, what: &str| {
        if wrong {
            complaints.push(format!("{status} to {method}: {what}"));
        }
    };
    complain(message.all("Via").count() != sent.all("Via").count(), "another number of Via lines");
    complain(message.header("From") != sent.header("From"), "From is not the request's");
    complain(message.header("CSeq") != sent.header("CSeq"), "CSeq is not the request's");
    complain(status > 100 && message.tag_of_to().is_none(), "To without tag");
    complain(
        sent.tag_of_to().is_some() && message.tag_of_to() != sent.tag_of_to(),
        "To tag is not the dialog's",
    );
    if method == "INVITE" {
        let dialog = (101..300).contains(&status);
        complain(dialog && message.contact().and_then(address_of).is_none(), "no usable Contact");
        complain((200..300).contains(&status) && message.body.is_empty(), "no SDP answer");
        complain((200..300).contains(&status) && message.header("Allow").is_none(), "no Allow");
    }
    if !message.body.is_empty() && message.header("Content-Type").is_none() {
        complain(true, "body without Content-Type");
    }
    complaints
}

fn common(message: &Message) -> Vec<String> {
    let title = message.title();
    let mut complaints = Vec::new();
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        if message.header(name).is_none_or(str::is_empty) {
            complaints.push(format!("{title}: no {name}"));
        }
    }
    for name in ["From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Length"] {
        if message.all(name).count() > 1 {
            complaints.push(format!("{title}: {name} more than once"));
        }
    }
    if message.cseq().is_none() {
        complaints.push(format!("{title}: malformed CSeq"));
    }
    if let Some(length) = message.header("Content-Length")
        && length.parse() != Ok(message.body.len())
    {
        complaints.push(format!("{title}: Content-Length {length}, body has {} bytes", message.body.len()));
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite() -> Message {
        Message::request("INVITE", "sip:1@127.0.0.1")
            .with("Via", "SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK1;rport")
            .with("From", "<sip:2@127.0.0.1>;tag=f")
            .with("To", "<sip:1@127.0.0.1>")
            .with("Call-ID", "c")
            .with("CSeq", "1 INVITE")
            .with("Contact", "<sip:2@127.0.0.1:5060>")
    }

    fn without(mut message: Message, name: &str) -> Message {
        message.headers.retain(|(given, _)| given != name);
        message
    }

    #[test]
    fn a_plain_invite_has_no_mistakes() {
        assert_eq!(request(&invite()), Vec::<String>::new());
    }

    #[test]
    fn each_missing_header_is_named() {
        for name in ["Via", "From", "To", "Call-ID", "CSeq", "Max-Forwards", "Contact"] {
            let complaints = request(&without(invite(), name));
            assert!(
                complaints.iter().any(|c| c.contains(name) || name == "Via" && c.contains("branch")),
                "{name}: {complaints:?}"
            );
        }
    }

    #[test]
    fn a_wrong_length_and_a_foreign_cseq_are_named() {
        let wrong = invite().with("Content-Length", "7");
        assert_eq!(request(&wrong), ["INVITE: Content-Length 7, body has 0 bytes"]);
        let wrong = without(invite(), "CSeq").with("CSeq", "1 BYE");
        assert_eq!(request(&wrong), ["INVITE: CSeq names another method"]);
    }

    #[test]
    fn a_final_response_needs_a_to_tag_and_a_2xx_needs_an_answer() {
        let sent = invite();
        let busy = Message::response(&sent, 486, "Busy Here");
        assert_eq!(response(&busy, &sent), ["486 to INVITE: To without tag"]);
        let ok = Message::response(&sent, 200, "OK")
            .with_to_tag("t")
            .with("Contact", "<sip:127.0.0.1:5060>")
            .with("Allow", "INVITE");
        assert_eq!(response(&ok, &sent), ["200 to INVITE: no SDP answer"]);
        assert!(response(&ok.with_sdp("v=0".into()), &sent).is_empty());
    }
}
