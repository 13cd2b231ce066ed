//! SIP, SIPS and tel URIs (RFC 3261 section 19.1, RFC 3966). The parts are kept escaped as received, so that a URI
//! is written back byte for byte; nothing is ever decoded into something that could act.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use super::{params::Params, text};

/// The default port of SIP over UDP and TCP.
pub const SIP_PORT: u16 = 5060;

/// The scheme of a URI.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
    /// `tel:`
    Tel,
    /// Any other scheme, in lower case.
    Other(String),
}

/// A URI of a request line or a header field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Uri {
    /// The scheme.
    pub scheme: Scheme,
    /// The user part, still escaped; of a `tel:` URI the number.
    pub user: Option<String>,
    /// The (deprecated) password, still escaped.
    pub password: Option<String>,
    /// The host, an IPv6 address in brackets; empty for `tel:`; all that follows the scheme of an unknown one.
    pub host: String,
    /// The port, if one is named.
    pub port: Option<u16>,
    /// The `;name=value` parameters.
    pub params: Params,
    /// What follows the `?`.
    pub headers: Option<String>,
}

/// The text is no URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a URI")]
pub struct UriError;

impl Uri {
    /// `sip:[user@]address`
    pub fn sip(user: Option<&str>, address: SocketAddr) -> Self {
        let host = match address.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        Self {
            scheme: Scheme::Sip,
            user: user.map(str::to_owned),
            password: None,
            host,
            port: Some(address.port()),
            params: Params::default(),
            headers: None,
        }
    }

    /// The user part with its %-escapes resolved; `None` where there is none or it is not UTF-8.
    pub fn user_unescaped(&self) -> Option<String> {
        unescape(self.user.as_deref()?)
    }

    /// Where the URI points without asking the DNS: its host if that is an address, and its port.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let ip: IpAddr = host.parse().ok()?;
        Some(SocketAddr::new(ip, self.port.unwrap_or(SIP_PORT)))
    }

    fn parse_sip(scheme: Scheme, rest: &str) -> Option<Self> {
        let (userinfo, rest) = match rest.split_once('@') {
            Some((userinfo, rest)) => (Some(userinfo), rest),
            None => (None, rest),
        };
        let (rest, headers) = match rest.split_once('?') {
            Some((rest, headers)) => (rest, Some(headers.to_owned())),
            None => (rest, None),
        };
        let (address, params) = split_params(rest)?;
        let (host, port) = text::host_port(address)?;
        let (user, password) = match userinfo.map(|info| info.split_once(':').ok_or(info)) {
            None => (None, None),
            Some(Err("") | Ok(("", _))) => return None,
            Some(Err(user)) => (Some(user), None),
            Some(Ok((user, password))) => (Some(user), Some(password)),
        };
        Some(Self {
            scheme,
            user: user.map(str::to_owned),
            password: password.map(str::to_owned),
            host,
            port,
            params,
            headers,
        })
    }

    fn opaque(scheme: Scheme, user: Option<&str>, host: &str, params: Params) -> Self {
        Self {
            scheme,
            user: user.map(str::to_owned),
            password: None,
            host: host.to_owned(),
            port: None,
            params,
            headers: None,
        }
    }
}

fn split_params(text: &str) -> Option<(&str, Params)> {
    match text.split_once(';') {
        Some((head, params)) => Some((head, Params::parse(params)?)),
        None => Some((text, Params::default())),
    }
}

/// A text with its %-escapes resolved (RFC 3261 19.1.2); `None` where one is broken or it is not UTF-8.
pub fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(input: &str) -> Result<Self, UriError> {
        let illegal = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"');
        if input.contains(illegal) {
            return Err(UriError);
        }
        let (scheme, rest) = input.split_once(':').ok_or(UriError)?;
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        if rest.is_empty()
            || !scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            || !scheme.bytes().all(legal)
        {
            return Err(UriError);
        }
        let uri = match scheme.to_ascii_lowercase().as_str() {
            "sip" => Self::parse_sip(Scheme::Sip, rest),
            "sips" => Self::parse_sip(Scheme::Sips, rest),
            "tel" => split_params(rest)
                .filter(|(number, _)| !number.is_empty())
                .map(|(number, params)| Self::opaque(Scheme::Tel, Some(number), "", params)),
            other => Some(Self::opaque(Scheme::Other(other.to_owned()), None, rest, Params::default())),
        };
        uri.ok_or(UriError)
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scheme {
            Scheme::Sip => f.write_str("sip:")?,
            Scheme::Sips => f.write_str("sips:")?,
            Scheme::Tel => f.write_str("tel:")?,
            Scheme::Other(name) => write!(f, "{name}:")?,
        }
        if let Some(user) = &self.user {
            f.write_str(user)?;
            if let Some(password) = &self.password {
                write!(f, ":{password}")?;
            }
            if self.scheme != Scheme::Tel {
                f.write_str("@")?;
            }
        }
        f.write_str(&self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "{}", self.params)?;
        match &self.headers {
            Some(headers) => write!(f, "?{headers}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_written_back_as_it_came() {
        for text in [
            "sip:alice@example.com",
            "sip:alice:pw@example.com:5070;transport=udp;lr?Subject=a%20b&x=y",
            "sips:example.com",
            "sip:user;par=u%40example.net@example.com",
            "sip:[2001:db8::10]:5070;lr",
            "sip:+1-201%23@198.51.100.1",
            "tel:+1-201-555-0123;phone-context=example.com",
            "soap.beep://192.0.2.103:3002",
            "nobodyKnowsThisScheme:totally opaque".split(' ').next().unwrap(),
        ] {
            let uri: Uri = text.parse().unwrap();
            assert!(uri.to_string().eq_ignore_ascii_case(text), "{uri} {text}");
        }
    }

    #[test]
    fn parts() {
        let uri: Uri = "sip:a%62c;x@[2001:db8::1];lr?h=v".parse().unwrap();
        assert_eq!(uri.user.as_deref(), Some("a%62c;x"));
        assert_eq!(uri.user_unescaped().as_deref(), Some("abc;x"));
        assert_eq!(uri.socket_addr(), Some("[2001:db8::1]:5060".parse().unwrap()));
        assert!(uri.params.has("LR"));
        let tel: Uri = "tel:+4930123;ext=5".parse().unwrap();
        assert_eq!((tel.user.as_deref(), tel.params.get("ext")), (Some("+4930123"), Some("5")));
        assert_eq!(tel.socket_addr(), None);
    }

    #[test]
    fn what_is_no_uri() {
        for bad in [
            "",
            "alice",
            "sip:",
            "sip:@h",
            "<sip:a@b>",
            "sip:a b@c",
            "sip:2001:db8::10",
            "sip:a@",
            "1sip:a@b",
            "tel:",
            "sip:a@h;",
            "sip:a@h;;x",
        ] {
            assert_eq!(bad.parse::<Uri>(), Err(UriError), "{bad}");
        }
    }
}
