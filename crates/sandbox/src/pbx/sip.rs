//! SIP as text: just enough of RFC 3261 section 7 and 25 to be a phone.
//!
//! Written apart from the bridge's parser on purpose, and stricter than a phone
//! has to be: what the bridge sends is meant to be plain, correct SIP.

use std::net::SocketAddr;

/// What every request of the phone's dialogs starts a branch with (RFC 3261 8.1.1.7).
pub(super) const MAGIC_COOKIE: &str = "z9hG4bK";

/// A request or a response: start line, headers as they came, body.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) start: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Message {
    /// A request with the lines that every request has.
    pub(super) fn request(method: &str, uri: &str) -> Self {
        let message =
            Self { start: format!("{method} {uri} SIP/2.0"), headers: Vec::new(), body: String::new() };
        message.with("Max-Forwards", "70")
    }

    /// A response that mirrors what RFC 3261 8.2.6.2 says of its request.
    pub(super) fn response(request: &Self, status: u16, reason: &str) -> Self {
        let mut headers = Vec::new();
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            headers.extend(request.all(name).map(|value| (name.to_owned(), value.to_owned())));
        }
        Self { start: format!("SIP/2.0 {status} {reason}"), headers, body: String::new() }
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Puts a value in the place of the one that a header has.
    pub(super) fn set(mut self, name: &str, value: &str) -> Self {
        if let Some((_, old)) = self.headers.iter_mut().find(|(given, _)| given == name) {
            value.clone_into(old);
        }
        self
    }

    pub(super) fn with_sdp(mut self, sdp: String) -> Self {
        self.body = sdp;
        self.with("Content-Type", "application/sdp")
    }

    /// Gives the To header of a response its tag.
    pub(super) fn with_to_tag(mut self, tag: &str) -> Self {
        for (name, value) in &mut self.headers {
            if name == "To" && parameter(value, "tag").is_none() {
                value.push_str(";tag=");
                value.push_str(tag);
            }
        }
        self
    }

    /// Reads one datagram; the error is a sentence for the list of complaints.
    pub(super) fn parse(datagram: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(datagram).map_err(|_| "message is not UTF-8".to_owned())?;
        let (head, body) = text.split_once("\r\n\r\n").ok_or("no empty line after the headers")?;
        let mut lines = head.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let mut headers = Vec::new();
        for line in lines {
            let (name, value) =
                line.split_once(':').ok_or_else(|| format!("header without colon: {line:?}"))?;
            if name.is_empty() || name.contains([' ', '\t', '\n']) {
                return Err(format!("malformed header name: {line:?}"));
            }
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let message = Self { start, headers, body: body.to_owned() };
        if message.status().is_none() && message.method().is_none() {
            return Err(format!("malformed start line: {:?}", message.start));
        }
        Ok(message)
    }

    pub(super) fn to_text(&self) -> String {
        let mut text = format!("{}\r\n", self.start);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n{}", self.body.len(), self.body));
        text
    }

    /// First value of a header, by full or compact name.
    pub(super) fn header<'a>(&'a self, name: &str) -> Option<&'a str> {
        self.all(name).next()
    }

    /// Every value of a header, by full or compact name.
    pub(super) fn all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        let short = compact(name).unwrap_or(name);
        let wanted = move |given: &str| given.eq_ignore_ascii_case(name) || given.eq_ignore_ascii_case(short);
        self.headers.iter().filter(move |(given, _)| wanted(given)).map(|(_, value)| value.as_str())
    }

    /// Method of a request.
    pub(super) fn method(&self) -> Option<&str> {
        let mut words = self.start.split(' ');
        let method = words.next().filter(|word| !word.is_empty() && !word.starts_with("SIP/"))?;
        (words.count() == 2 && self.start.ends_with(" SIP/2.0")).then_some(method)
    }

    /// Status of a response.
    pub(super) fn status(&self) -> Option<u16> {
        let (code, _reason) = self.start.strip_prefix("SIP/2.0 ")?.split_once(' ')?;
        code.parse().ok().filter(|code| (100..700).contains(code))
    }

    /// Number and method of CSeq.
    pub(super) fn cseq(&self) -> Option<(u32, &str)> {
        let (number, method) = self.header("CSeq")?.split_once(' ')?;
        Some((number.parse().ok()?, method.trim()))
    }

    pub(super) fn call_id(&self) -> &str {
        self.header("Call-ID").unwrap_or_default()
    }

    /// Branch of the topmost Via.
    pub(super) fn branch(&self) -> Option<&str> {
        parameter(self.header("Via")?, "branch")
    }

    pub(super) fn tag_of_from(&self) -> Option<&str> {
        parameter(self.header("From")?, "tag")
    }

    pub(super) fn tag_of_to(&self) -> Option<&str> {
        parameter(self.header("To")?, "tag")
    }

    /// URI of the Contact header.
    pub(super) fn contact(&self) -> Option<&str> {
        uri_of(self.header("Contact")?)
    }

    /// What a ladder shows of it.
    pub(super) fn title(&self) -> String {
        let sdp = if self.body.is_empty() { "" } else { " (SDP)" };
        match (self.status(), self.cseq()) {
            (Some(_), Some((_, method))) if method != "INVITE" => {
                format!("{} ({method}){sdp}", &self.start["SIP/2.0 ".len()..])
            }
            (Some(_), _) => format!("{}{sdp}", &self.start["SIP/2.0 ".len()..]),
            (None, _) => format!("{}{sdp}", self.method().unwrap_or_default()),
        }
    }
}

/// A parameter after the URI of a From, To, Via or Contact value.
pub(super) fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let after = value.rfind('>').map_or(value, |end| &value[end + 1..]);
    after.split(';').skip(1).find_map(|part| {
        let (key, given) = part.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| given.trim())
    })
}

/// The URI inside a name-addr or addr-spec (RFC 3261 20.10).
pub(super) fn uri_of(value: &str) -> Option<&str> {
    match value.split_once('<') {
        Some((_, rest)) => rest.split_once('>').map(|(uri, _)| uri),
        None => value.split(';').next().map(str::trim),
    }
}

/// User part of a SIP URI.
pub(super) fn user_of(uri: &str) -> Option<&str> {
    uri.strip_prefix("sip:")?.split_once('@').map(|(user, _)| user)
}

/// Address of a SIP URI whose host is an IP address.
pub(super) fn address_of(uri: &str) -> Option<SocketAddr> {
    let rest = uri.strip_prefix("sip:")?;
    let rest = rest.split_once('@').map_or(rest, |(_, host)| host);
    let host = rest.split([';', '?']).next()?;
    host.parse().ok().or_else(|| host.parse().ok().map(|ip| SocketAddr::new(ip, 5060)))
}

fn compact(name: &str) -> Option<&'static str> {
    Some(match name {
        "Via" => "v",
        "From" => "f",
        "To" => "t",
        "Call-ID" => "i",
        "Contact" => "m",
        "Content-Length" => "l",
        "Content-Type" => "c",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RINGING: &str = "SIP/2.0 180 Ringing\r\nVia: SIP/2.0/UDP 127.0.0.1:5080;rport=5080;branch=z9hG4bKa\r\n\
        From: <sip:1001@127.0.0.1>;tag=a\r\nt: \"A; <B>\" <sip:4477@127.0.0.1;user=phone>;tag=b\r\n\
        Call-ID: c\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n";

    #[test]
    fn a_response_is_read() {
        let message = Message::parse(RINGING.as_bytes()).unwrap();
        assert_eq!(message.status(), Some(180));
        assert_eq!(message.method(), None);
        assert_eq!(message.branch(), Some("z9hG4bKa"));
        assert_eq!(message.tag_of_to(), Some("b"));
        assert_eq!(message.cseq(), Some((1, "INVITE")));
        assert_eq!(message.title(), "180 Ringing");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let sent = Message::request("INVITE", "sip:447700900123@127.0.0.1:5060")
            .with("Call-ID", "x")
            .with_sdp("v=0\r\n".into());
        let read = Message::parse(sent.to_text().as_bytes()).unwrap();
        assert_eq!(read.method(), Some("INVITE"));
        assert_eq!(read.header("content-length"), Some("5"));
        assert_eq!(read.body, "v=0\r\n");
        assert_eq!(read.title(), "INVITE (SDP)");
    }

    #[test]
    fn a_response_mirrors_its_request_and_gets_one_tag() {
        let request =
            Message::request("BYE", "sip:a@127.0.0.1").with("To", "<sip:a@h>").with("CSeq", "2 BYE");
        let response = Message::response(&request, 200, "OK").with_to_tag("t1").with_to_tag("t2");
        assert_eq!(response.header("To"), Some("<sip:a@h>;tag=t1"));
        assert_eq!(response.title(), "200 OK (BYE)");
    }

    #[test]
    fn broken_messages_are_refused() {
        for broken in [
            "",
            "INVITE\r\n\r\n",
            "SIP/2.0 42 x\r\n\r\n",
            "BYE sip:a SIP/2.0\r\nVia SIP\r\n\r\n",
            "BYE sip:a SIP/2.0\nVia: x\n\n",
        ] {
            assert!(Message::parse(broken.as_bytes()).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn uris_are_taken_apart() {
        assert_eq!(uri_of("\"x\" <sip:1001@10.0.0.1:5070;lr>;tag=1"), Some("sip:1001@10.0.0.1:5070;lr"));
        assert_eq!(user_of("sip:+4477@10.0.0.1"), Some("+4477"));
        assert_eq!(
            address_of("sip:1001@10.0.0.1:5070;transport=udp"),
            Some("10.0.0.1:5070".parse().unwrap())
        );
        assert_eq!(address_of("sip:10.0.0.1"), Some("10.0.0.1:5060".parse().unwrap()));
        assert_eq!(address_of("sip:[::1]:5061"), Some("[::1]:5061".parse().unwrap()));
        assert_eq!(address_of("tel:+4477"), None);
    }
}
