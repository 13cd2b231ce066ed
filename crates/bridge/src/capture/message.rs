//! What a capture reads of a SIP message, and what it leaves out: no password and no key is written.

/// Header fields whose values prove who somebody is.
const SECRET_FIELDS: [&[u8]; 4] =
    [b"authorization:", b"proxy-authorization:", b"authentication-info:", b"proxy-authentication-info:"];
/// The attribute of SDP that holds a key of SRTP (RFC 4568).
const KEY: &[u8] = b"inline:";
/// What stands in a secret's place, for each octet.
const MASK: u8 = b'x';

/// The message without secrets, and as long as it was.
pub(super) fn masked(message: &[u8]) -> Vec<u8> {
    let mut masked = Vec::with_capacity(message.len());
    let mut hides = false;
    for line in message.split_inclusive(|octet| *octet == b'\n') {
        // A field goes on in lines that begin with white space (RFC 3261 7.3.1).
        let goes_on = line.first().is_some_and(|octet| matches!(octet, b' ' | b'\t'));
        let shown = match () {
            () if goes_on && hides => 0,
            () => {
                let field = SECRET_FIELDS.iter().find(|field| begins(line, field));
                hides = field.is_some();
                field.map_or_else(|| key(line).unwrap_or(line.len()), |field| field.len())
            }
        };
        masked.extend(line.iter().enumerate().map(|(place, octet)| {
            let is_shown = place < shown || octet.is_ascii_whitespace();
            if is_shown { *octet } else { MASK }
        }));
    }
    masked
}

/// Where the key begins that a line of SDP holds.
fn key(line: &[u8]) -> Option<usize> {
    let is_attribute = begins(line, b"a=");
    let place = line.windows(KEY.len()).position(|octets| octets.eq_ignore_ascii_case(KEY));
    place.filter(|_| is_attribute).map(|place| place + KEY.len())
}

fn begins(line: &[u8], with: &[u8]) -> bool {
    line.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with))
}

/// The Call-ID of a message.
pub(super) fn call_id(message: &[u8]) -> Option<&str> {
    let mut lines = message.split(|octet| *octet == b'\n').take_while(|line| *line != b"\r");
    lines.find_map(|line| {
        let name = [&b"call-id:"[..], b"i:"].into_iter().find(|name| begins(line, name))?;
        std::str::from_utf8(line.get(name.len()..)?).ok().map(str::trim)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str = "INVITE sip:1@192.0.2.1 SIP/2.0\r\nCall-ID: abc@pbx\r\nauthorization: Digest username=\"u\",\r\n response=\"0123\"\r\nX-Note: Authorization: none\r\nContent-Length: 60\r\n\r\nv=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0|2^20\r\na=ptime:20\r\n";

    #[test]
    fn no_password_and_no_key_is_left_and_nothing_else_is_changed() {
        let masked = String::from_utf8(masked(INVITE.as_bytes())).expect("text");
        assert_eq!(masked.len(), INVITE.len());
        assert!(masked.contains(
            "authorization: xxxxxx xxxxxxxxxxxxx\r\n xxxxxxxxxxxxxxx\r\nX-Note: Authorization: none"
        ));
        assert!(masked.contains("inline:xxxxxxxxxxxxx\r\na=ptime:20\r\n"), "{masked}");
        for secret in ["0123", "c2VjcmV0", "Digest"] {
            assert!(!masked.contains(secret), "{secret}");
        }
    }

    #[test]
    fn the_call_id_is_found_in_both_forms_and_in_the_head_alone() {
        assert_eq!(call_id(INVITE.as_bytes()), Some("abc@pbx"));
        assert_eq!(call_id(b"BYE sip:1@a SIP/2.0\r\ni:  short \r\n\r\n"), Some("short"));
        assert_eq!(call_id(b"BYE sip:1@a SIP/2.0\r\n\r\nCall-ID: body\r\n"), None);
        assert_eq!(call_id(&[0xff, b'\n', 0xff]), None);
    }
}
