//! The Via header field (RFC 3261 section 20.42, RFC 3581).

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use super::{params::Params, text};
use crate::transport::Transport;

/// What the branch of every RFC 3261 client starts with.
pub const MAGIC_COOKIE: &str = "z9hG4bK";

/// One element of a Via header field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Via {
    /// `UDP`, `TCP`, `TLS`, ... as received.
    pub transport: String,
    /// The host of sent-by, an IPv6 address in brackets.
    pub host: String,
    /// The port of sent-by, if one is named.
    pub port: Option<u16>,
    /// `branch`, `rport`, `received`, ...
    pub params: Params,
}

/// The text is no Via element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a Via")]
pub struct ViaError;

impl Via {
    /// Our own Via; it asks for `rport` (RFC 3581).
    pub(crate) fn ours(transport: Transport, sent_by: SocketAddr, branch: &str) -> Self {
        let host = match sent_by.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let mut params = Params::default();
        params.set("branch", Some(branch));
        params.set("rport", None);
        Self { transport: transport.via().to_owned(), host, port: Some(sent_by.port()), params }
    }

    /// The branch, if there is one.
    pub fn branch(&self) -> Option<&str> {
        self.params.get("branch").filter(|branch| !branch.is_empty())
    }

    /// `host[:port]` as the client wrote it.
    pub fn sent_by(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }

    /// Notes where the request really came from (RFC 3261 18.2.1, RFC 3581 section 4).
    pub(crate) fn note_source(&mut self, source: SocketAddr) {
        let ip = source.ip().to_canonical();
        let same_host = self.host.trim_matches(['[', ']']).parse() == Ok(ip);
        let same_port = self.port.unwrap_or(super::uri::SIP_PORT) == source.port();
        let asked = self.params.has("rport");
        if asked || !same_host {
            self.params.set("received", Some(&ip.to_string()));
        }
        if asked || !same_port {
            self.params.set("rport", Some(&source.port().to_string()));
        }
    }

    fn parse(input: &str) -> Option<Self> {
        let (name, rest) = input.split_once('/')?;
        let (version, rest) = rest.split_once('/')?;
        if !name.trim().eq_ignore_ascii_case("SIP") || version.trim() != "2.0" {
            return None;
        }
        let rest = rest.trim_start();
        let (transport, rest) = rest.split_once(|c: char| c.is_ascii_whitespace())?;
        if !text::is_token(transport) {
            return None;
        }
        let (sent_by, params) = match rest.split_once(';') {
            Some((sent_by, params)) => (sent_by, Params::parse(params)?),
            None => (rest, Params::default()),
        };
        let (host, port) = text::host_port(sent_by)?;
        Some(Self { transport: transport.to_owned(), host, port, params })
    }
}

impl FromStr for Via {
    type Err = ViaError;

    fn from_str(input: &str) -> Result<Self, ViaError> {
        Self::parse(input.trim()).ok_or(ViaError)
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIP/2.0/{} {}{}", self.transport, self.sent_by(), self.params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_are_allowed_everywhere() {
        let via: Via = "SIP  / 2.0 /UDP    192.0.2.2 : 5070 ; branch = z9hG4bK9ikj8".parse().unwrap();
        assert_eq!(via.to_string(), "SIP/2.0/UDP 192.0.2.2:5070;branch=z9hG4bK9ikj8");
        assert_eq!(via.branch(), Some("z9hG4bK9ikj8"));
    }

    #[test]
    fn what_is_none() {
        for bad in [
            "",
            "SIP/2.0/UDP",
            "SIP/3.0/UDP h",
            "SIP/2.0/UDP h;;",
            "SIP/2.0/UDP ;branch=1",
            "SIP/2.0/ h",
            "SIP/2.0/UDP h:x",
        ] {
            assert_eq!(bad.parse::<Via>(), Err(ViaError), "{bad}");
        }
    }

    #[test]
    fn the_source_is_noted() {
        let noted = |text: &str, source: &str| {
            let mut via: Via = text.parse().unwrap();
            via.note_source(source.parse().unwrap());
            via.to_string()
        };
        assert_eq!(
            noted("SIP/2.0/UDP 10.0.0.1:5060;rport;branch=b", "198.51.100.7:1024"),
            "SIP/2.0/UDP 10.0.0.1:5060;rport=1024;branch=b;received=198.51.100.7"
        );
        assert_eq!(
            noted("SIP/2.0/UDP 192.0.2.1;branch=b", "192.0.2.1:5060"),
            "SIP/2.0/UDP 192.0.2.1;branch=b"
        );
        assert_eq!(
            noted("SIP/2.0/UDP pbx.example;branch=b", "[2001:db8::1]:5060"),
            "SIP/2.0/UDP pbx.example;branch=b;received=2001:db8::1"
        );
    }
}
