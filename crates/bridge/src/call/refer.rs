//! REFER within a dialog: whom it names, and what is told about it (RFC 3515, 3891, 3892, 4488). Pure.
//!
//! Only the user part of the Refer-To counts, and a Replaces in it: the call goes to the trunk that
//! asked, wherever the URI points, so that nobody is called whom the trunk could not call.

use sip_core::message::{NameAddr, Request, Scheme, reason_phrase, unescape};
use sip_core::{Body, Reply};

/// Longest Refer-To user part and Replaces that are taken on.
const LONGEST: usize = 256;
/// Seconds that a subscription is said to last; its last NOTIFY comes before (a target rings for a
/// minute).
const EXPIRES: u32 = 90;

/// Why a Refer-To is not obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadRefer {
    #[error("No Refer-To")]
    Missing,
    #[error("More Than One Refer-To")]
    Several,
    #[error("Bad Refer-To")]
    Malformed,
    #[error("Refer-To Names No INVITE")]
    Method,
    #[error("Refer-To Names No User")]
    NoUser,
}

/// What a REFER asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refer {
    /// The user part of whom to call, escaped as it came.
    pub(crate) user: String,
    /// The value of the Replaces header field of the new INVITE.
    pub(crate) replaces: Option<String>,
    /// The value of its Referred-By.
    pub(crate) referred_by: Option<String>,
    /// Its Max-Forwards.
    pub(crate) max_forwards: u8,
    /// Header fields that are passed on by setting.
    pub(crate) passed: Vec<(String, String)>,
    /// The CSeq of the REFER: the id of its subscription.
    id: u32,
    /// No NOTIFY is wanted (RFC 4488).
    silent: bool,
}

impl Refer {
    /// Reads a REFER; `pass` names the header fields that go on into the new INVITE.
    ///
    /// # Errors
    /// It does not name exactly one whom we can call.
    pub(crate) fn read(request: &Request, pass: &[String]) -> Result<Self, BadRefer> {
        let headers = &request.headers;
        if headers.get_all("Refer-To").count() > 1 {
            return Err(BadRefer::Several);
        }
        let text = headers.get("Refer-To").ok_or(BadRefer::Missing)?;
        let (user, replaces) = target(text)?;
        let passed = pass.iter().filter_map(|name| Some((name.clone(), headers.get(name)?.to_owned())));
        let silent =
            headers.get("Refer-Sub").is_some_and(|value| first_word(value).eq_ignore_ascii_case("false"));
        Ok(Self {
            user,
            replaces,
            referred_by: headers.get("Referred-By").filter(|value| value.len() <= LONGEST).map(str::to_owned),
            max_forwards: headers.max_forwards().unwrap_or(70).saturating_sub(1),
            passed: passed.collect(),
            id: headers.cseq().map_or(0, |cseq| cseq.number),
            silent,
        })
    }

    /// The 202 to the REFER.
    pub(crate) fn accepted(&self) -> Reply {
        let refer_sub = self.silent.then(|| ("Refer-Sub".to_owned(), "false".to_owned()));
        Reply { headers: refer_sub.into_iter().collect(), ..Reply::new(202) }
    }

    /// The header fields and body of a NOTIFY that tells a status; nothing when none is wanted.
    pub(crate) fn notify(&self, status: u16, last: bool) -> Option<(Vec<(String, String)>, Body)> {
        if self.silent {
            return None;
        }
        let state = if last {
            "terminated;reason=noresource".to_owned()
        } else {
            format!("active;expires={EXPIRES}")
        };
        let headers = vec![
            ("Event".to_owned(), format!("refer;id={}", self.id)),
            ("Subscription-State".to_owned(), state),
        ];
        let line = format!("SIP/2.0 {status} {}\r\n", reason_phrase(status));
        let body = Body { content_type: "message/sipfrag;version=2.0".to_owned(), bytes: line.into() };
        Some((headers, body))
    }
}

/// The user part and the Replaces of a Refer-To.
fn target(text: &str) -> Result<(String, Option<String>), BadRefer> {
    let uri = match text.parse::<NameAddr>() {
        Ok(address) => address.uri,
        // Some phones leave out the brackets that a URI with headers must have (RFC 3515 2.1).
        Err(_) => text.trim().parse().map_err(|_| BadRefer::Malformed)?,
    };
    if !matches!(uri.scheme, Scheme::Sip | Scheme::Sips | Scheme::Tel) {
        return Err(BadRefer::Malformed);
    }
    if uri.params.get("method").is_some_and(|method| !method.eq_ignore_ascii_case("INVITE")) {
        return Err(BadRefer::Method);
    }
    let user = uri.user.filter(|user| !user.is_empty() && user.len() <= LONGEST).ok_or(BadRefer::NoUser)?;
    Ok((user, replaces(uri.headers.as_deref().unwrap_or_default())?))
}

/// The Replaces among the headers of a URI, unescaped; the others are not obeyed (RFC 3261 19.1.5).
fn replaces(headers: &str) -> Result<Option<String>, BadRefer> {
    let mut found = None;
    for header in headers.split('&') {
        let Some((name, value)) = header.split_once('=') else {
            continue;
        };
        if !name.eq_ignore_ascii_case("Replaces") {
            continue;
        }
        let value = unescape(value).filter(|value| is_replaces(value)).ok_or(BadRefer::Malformed)?;
        if found.replace(value).is_some() {
            return Err(BadRefer::Malformed);
        }
    }
    Ok(found)
}

/// `callid;to-tag=...;from-tag=...` (RFC 3891 6.1), of characters that stay in their line.
fn is_replaces(value: &str) -> bool {
    let mut parts = value.split(';');
    let has_call_id = parts.next().is_some_and(|id| !id.trim().is_empty());
    let names: Vec<_> = parts.filter_map(|part| Some(part.split_once('=')?.0.trim())).collect();
    let has = |wanted: &str| names.iter().filter(|name| name.eq_ignore_ascii_case(wanted)).count() == 1;
    value.len() <= LONGEST
        && value.bytes().all(|byte| byte.is_ascii_graphic())
        && has_call_id
        && has("to-tag")
        && has("from-tag")
}

fn first_word(value: &str) -> &str {
    value.split(';').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use sip_core::message::{Headers, Method};

    use super::*;

    fn refer(fields: &[(&str, &str)]) -> Result<Refer, BadRefer> {
        let mut headers = Headers::from_iter(fields.iter().copied());
        headers.push("CSeq", "93809823 REFER");
        headers.push("Max-Forwards", "20");
        let uri = "sip:bridge@192.0.2.1".parse().expect("a URI");
        let request = Request { method: Method::Refer, uri, headers, body: Vec::new().into() };
        Refer::read(&request, &["X-Account".to_owned()])
    }

    fn to(refer_to: &str) -> Result<(String, Option<String>), BadRefer> {
        refer(&[("Refer-To", refer_to)]).map(|refer| (refer.user, refer.replaces))
    }

    #[test]
    fn the_user_part_is_whom_to_call_wherever_the_uri_points() {
        for (text, user) in [
            ("<sip:201@pbx.example.com>", "201"),
            ("\"Ann\" <sip:201@10.0.0.77:5062;transport=tcp;line=x>", "201"),
            ("sip:201@10.0.0.5", "201"),
            ("<sips:201@10.0.0.5>", "201"),
            ("<tel:+4930123456;phone-context=x>", "+4930123456"),
            ("<sip:a%40b@10.0.0.5;method=INVITE>", "a%40b"),
            ("<sip:201@10.0.0.5?Subject=x&Route=%3Csip:evil%3E>", "201"),
        ] {
            assert_eq!(to(text), Ok((user.to_owned(), None)), "{text}");
        }
    }

    #[test]
    fn replaces_comes_out_of_the_uri_unescaped() {
        let text =
            "<sip:201@10.0.0.5?Replaces=12345%40192.168.118.3%3Bto-tag%3D12345%3Bfrom-tag%3D5FFE-3994>";
        let replaces = "12345@192.168.118.3;to-tag=12345;from-tag=5FFE-3994";
        assert_eq!(to(text), Ok(("201".to_owned(), Some(replaces.to_owned()))));
        let bare = "sip:201@10.0.0.5?Replaces=1%3Bto-tag%3D2%3Bfrom-tag%3D3";
        assert_eq!(to(bare), Ok(("201".to_owned(), Some("1;to-tag=2;from-tag=3".to_owned()))));
    }

    #[test]
    fn what_names_nobody_is_refused() {
        assert_eq!(refer(&[]), Err(BadRefer::Missing));
        assert_eq!(refer(&[("Refer-To", "<sip:1@a>"), ("r", "<sip:2@a>")]), Err(BadRefer::Several));
        for (text, error) in [
            ("<sip:1@a>, <sip:2@a>", BadRefer::Malformed),
            ("", BadRefer::Malformed),
            ("<http://example.com/>", BadRefer::Malformed),
            ("<sip:201@10.0.0.5;method=BYE>", BadRefer::Method),
            ("<sip:10.0.0.5>", BadRefer::NoUser),
            ("<sip:201@a?Replaces=1>", BadRefer::Malformed),
            ("<sip:201@a?Replaces=1%3Bto-tag%3D2%3Bfrom-tag%3D3%0D%0AVia:x>", BadRefer::Malformed),
            ("<sip:201@a?Replaces=1%3Bto-tag%3D2%3Bfrom-tag%3D3%>", BadRefer::Malformed),
        ] {
            assert_eq!(to(text), Err(error), "{text}");
        }
    }

    #[test]
    fn what_goes_on_into_the_invite() {
        let fields = [
            ("Refer-To", "<sip:201@a>"),
            ("Referred-By", "<sip:100@a>"),
            ("X-Account", "7"),
            ("X-Other", "8"),
        ];
        let refer = refer(&fields).expect("a transfer");
        assert_eq!(refer.referred_by.as_deref(), Some("<sip:100@a>"));
        assert_eq!(refer.max_forwards, 19);
        assert_eq!(refer.passed, [("X-Account".to_owned(), "7".to_owned())]);
    }

    #[test]
    fn notify_tells_the_status_and_the_last_one_ends_it() {
        let refer = refer(&[("Refer-To", "<sip:201@a>")]).expect("a transfer");
        assert_eq!(refer.accepted(), Reply::new(202));
        let (headers, body) = refer.notify(100, false).expect("a NOTIFY");
        assert_eq!(headers[0].1, "refer;id=93809823");
        assert!(headers[1].1.starts_with("active;expires="));
        assert_eq!(body.content_type, "message/sipfrag;version=2.0");
        assert_eq!(&body.bytes[..], b"SIP/2.0 100 Trying\r\n");
        let (headers, body) = refer.notify(486, true).expect("a NOTIFY");
        assert_eq!(headers[1].1, "terminated;reason=noresource");
        assert_eq!(&body.bytes[..], b"SIP/2.0 486 Busy Here\r\n");
    }

    #[test]
    fn refer_sub_false_wants_no_notify() {
        let refer = refer(&[("Refer-To", "<sip:201@a>"), ("Refer-Sub", "false ;x=y")]).expect("a transfer");
        assert_eq!(refer.notify(100, false), None);
        assert_eq!(refer.accepted().headers, [("Refer-Sub".to_owned(), "false".to_owned())]);
    }
}
