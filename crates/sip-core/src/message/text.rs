//! The few lexical rules that every header shares (RFC 3261 section 25.1): tokens, quoted strings, lists.

/// RFC 3261 `token`: what a method, a header name or a parameter name is made of.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte)
}

/// Bytes as text. Anything that is not UTF-8 is read as Latin-1 (every byte one char), so that it can be
/// written back unchanged; the flag says which of the two it was.
pub(crate) fn decode(bytes: &[u8]) -> (String, bool) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), false),
        Err(_) => (bytes.iter().map(|&byte| char::from(byte)).collect(), true),
    }
}

/// Splits at `separator` wherever it stands outside of a quoted string and of angle brackets.
pub(crate) fn split_top(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((head, tail)) = split_once_top(rest, separator) {
        parts.push(head);
        rest = tail;
    }
    parts.push(rest);
    parts
}

/// The first split of [`split_top`].
pub(crate) fn split_once_top(text: &str, separator: char) -> Option<(&str, &str)> {
    let at = find_top(text, separator)?;
    let (head, tail) = text.split_at_checked(at)?;
    Some((head, tail.strip_prefix(separator)?))
}

/// Where `wanted` first stands outside of a quoted string and of angle brackets.
pub(crate) fn find_top(text: &str, wanted: char) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    let mut bracketed = false;
    for (at, c) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if quoted {
            match c {
                '\\' => escaped = true,
                '"' => quoted = false,
                _ => {}
            }
        } else if c == wanted && !bracketed {
            return Some(at);
        } else {
            match c {
                '"' => quoted = true,
                '<' => bracketed = true,
                '>' => bracketed = false,
                _ => {}
            }
        }
    }
    None
}

/// A quoted string at the start of `text`: its unescaped content and what follows. `None` when it does not end.
pub(crate) fn take_quoted(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut content = String::new();
    let mut chars = inner.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((content, inner.get(at + 1..)?)),
            '\\' => content.push(chars.next()?.1),
            _ => content.push(c),
        }
    }
    None
}

/// The content as a quoted string.
pub(crate) fn quote(content: &str) -> String {
    let mut out = String::with_capacity(content.len() + 2);
    out.push('"');
    for c in content.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

/// `host [":" port]`, the host an IPv4 address, a name or a bracketed IPv6 address.
pub(crate) fn host_port(text: &str) -> Option<(String, Option<u16>)> {
    let text = text.trim();
    let (host, port) = if text.starts_with('[') {
        let (address, rest) = text.split_once(']')?;
        let address = address.strip_prefix('[')?;
        address.parse::<std::net::Ipv6Addr>().ok()?;
        (format!("[{address}]"), rest.trim())
    } else {
        let end = text.find(':').unwrap_or(text.len());
        let (host, rest) = text.split_at_checked(end)?;
        let host = host.trim_end();
        if !is_host_name(host) {
            return None;
        }
        (host.to_owned(), rest)
    };
    let port = match port.strip_prefix(':') {
        Some(digits) => Some(number(digits.trim())?),
        None if port.is_empty() => None,
        None => return None,
    };
    Some((host, port))
}

fn is_host_name(host: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !host.is_empty() && host.bytes().all(legal)
}

/// A decimal number of digits only (no sign, no blank) that fits.
pub(crate) fn number<T: std::str::FromStr>(digits: &str) -> Option<T> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_quotes_and_brackets_do_not_split() {
        let text = r#""Doe, \"J\", John" <sip:a,b@h>;x="1,2", <sip:c@h>"#;
        let parts = split_top(text, ',');
        assert_eq!(parts, [r#""Doe, \"J\", John" <sip:a,b@h>;x="1,2""#, " <sip:c@h>"]);
    }

    #[test]
    fn quoted_strings_unescape_and_quote_again() {
        let (content, rest) = take_quoted(r#""a \"b\" \\c" <x>"#).unwrap();
        assert_eq!(content, r#"a "b" \c"#);
        assert_eq!(rest, " <x>");
        assert_eq!(quote(&content), r#""a \"b\" \\c""#);
        assert_eq!(take_quoted(r#""open"#), None);
    }

    #[test]
    fn hosts_and_ports() {
        assert_eq!(host_port("a.example:5070"), Some(("a.example".into(), Some(5070))));
        assert_eq!(host_port("[2001:db8::1] : 5070"), Some(("[2001:db8::1]".into(), Some(5070))));
        assert_eq!(host_port("[2001:db8::10:5070]"), Some(("[2001:db8::10:5070]".into(), None)));
        for bad in ["2001:db8::10", "[2001:db8:::1]", "a:", "a:70000", "a b", "", "a:+5"] {
            assert_eq!(host_port(bad), None, "{bad}");
        }
    }
}
