//! What a user may write into SIP headers. Nothing of it can break out of its line.

/// What stands in quotes in a header as it is: a user name or a realm.
pub(super) fn quotable(text: &str) -> Result<String, String> {
    let is_plain = |c: char| !c.is_control() && c != '"' && c != '\\';
    if (1..=128).contains(&text.len()) && text.trim() == text && text.chars().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} must have 1 to 128 characters, without quotes and backslashes, like \"pbx\""))
    }
}

/// Headers that the bridge writes itself, or that would change what a request means.
const OWN_HEADERS: [&str; 43] = [
    "accept",
    "accept-contact",
    "allow",
    "allow-events",
    "authorization",
    "call-id",
    "contact",
    "content-disposition",
    "content-encoding",
    "content-length",
    "content-type",
    "cseq",
    "date",
    "event",
    "expires",
    "from",
    "identity",
    "max-forwards",
    "min-expires",
    "min-se",
    "p-asserted-identity",
    "path",
    "privacy",
    "proxy-authorization",
    "proxy-require",
    "rack",
    "reason",
    "record-route",
    "refer-to",
    "referred-by",
    "reject-contact",
    "replaces",
    "require",
    "retry-after",
    "route",
    "rseq",
    "session-expires",
    "subscription-state",
    "supported",
    "timestamp",
    "to",
    "user-agent",
    "via",
];

/// The name of a header that is not the bridge's own (RFC 3261 25.1). Single letters are short
/// forms.
pub(super) fn name(text: &str) -> Result<String, String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte);
    let lower = text.to_ascii_lowercase();
    let is_own = lower.len() == 1
        || OWN_HEADERS.contains(&lower.as_str())
        || lower.starts_with("x-wa-meta-")
        || lower.starts_with("x-wa_meta-");
    if !(1..=64).contains(&text.len()) || !text.bytes().all(is_token) {
        Err(format!("{text:?} is no name of a header: write one like \"X-Tenant\""))
    } else if is_own {
        Err(format!("{text:?} is a header of the bridge itself: choose another, like \"X-Tenant\""))
    } else {
        Ok(text.to_owned())
    }
}

/// The value of a header: one line.
pub(super) fn value(text: &str) -> Result<String, String> {
    let is_line = text.trim() == text && !text.chars().any(char::is_control);
    if (1..=256).contains(&text.len()) && is_line {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} must be one line of 1 to 256 bytes, without white space around it"))
    }
}
