//! Where calls to a PBX go, as it is written, and as it is once DNS has spoken.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use sip_core::Transport;

/// Longest name of a host (RFC 1035 2.3.4).
const MAX_NAME: usize = 253;

/// The port of an address that names none (RFC 3261 19.1.2).
#[must_use]
pub const fn default_port(transport: Transport) -> u16 {
    match transport {
        Transport::Udp | Transport::Tcp => 5060,
        Transport::Tls => 5061,
    }
}

/// The host part of a target.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// An address: nothing is looked up.
    Ip(IpAddr),
    /// A name, in lower case, without a dot at its end.
    Name(String),
}

impl fmt::Display for Host {
    /// As in a URI: IPv6 addresses stand in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Ip(IpAddr::V4(address)) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Where calls go, as it was written: what of it is missing, DNS says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The host.
    pub host: Host,
    /// The port, if written.
    pub port: Option<u16>,
    /// The transport, if written or said by `sips:`.
    pub transport: Option<Transport>,
}

/// Where a request can be sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination {
    /// How.
    pub transport: Transport,
    /// Where to.
    pub address: SocketAddr,
    /// The host that was asked for: the name a TLS certificate must have (RFC 5922 7.1), whatever
    /// names DNS led through. Nothing when the target was an address.
    pub host: Option<String>,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.transport.name(), self.address)?;
        self.host.as_ref().map_or(Ok(()), |host| write!(f, " ({host})"))
    }
}

impl Target {
    /// An address, by the transport that is the default (UDP).
    #[must_use]
    pub fn address(address: SocketAddr) -> Self {
        Self { host: Host::Ip(address.ip()), port: Some(address.port()), transport: None }
    }

    /// Where to send, if nothing must be looked up for it (RFC 3263 4.1 and 4.2: an address without a
    /// transport goes by UDP).
    #[must_use]
    pub fn literal(&self) -> Option<Destination> {
        let Host::Ip(ip) = self.host else { return None };
        let transport = self.transport.unwrap_or(Transport::Udp);
        let port = self.port.unwrap_or(default_port(transport));
        Some(Destination { transport, address: SocketAddr::new(ip, port), host: None })
    }
}

impl fmt::Display for Target {
    /// As a SIP URI.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sip:{}", self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        self.transport.map_or(Ok(()), |transport| write!(f, ";transport={}", transport.name()))
    }
}

/// What of a text is no target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTarget {
    /// It has a user part.
    #[error("has a user part: whom the PBX rings is said by number.destination")]
    User,
    /// The host is neither an address nor a name.
    #[error("names no host")]
    Host,
    /// The port is no number from 1 to 65535.
    #[error("has no port from 1 to 65535 behind its colon")]
    Port,
    /// `transport` is none that is known.
    #[error("names a transport that is not udp, tcp or tls")]
    Transport,
    /// Another parameter, or headers.
    #[error("has more behind its host than a port and ;transport=")]
    Extra,
    /// Another transport than TLS with `sips:`.
    #[error("is sips: and yet not by TLS")]
    Insecure,
    /// Nothing can be sent to the address.
    #[error("is an address that nothing can be sent to")]
    Address,
}

impl FromStr for Target {
    type Err = BadTarget;

    /// `10.0.0.5:5060`, `pbx.example.com`, `sip:[2001:db8::5]`, `sip:pbx.example.com:5070;transport=tcp`,
    /// `sips:pbx.example.com`.
    fn from_str(text: &str) -> Result<Self, BadTarget> {
        let (is_sips, rest) = scheme(text);
        let (address, parameters) = rest.split_once(';').map_or((rest, None), |(a, p)| (a, Some(p)));
        if address.contains('@') {
            return Err(BadTarget::User);
        }
        if rest.contains('?') {
            return Err(BadTarget::Extra);
        }
        let transport = parameters.map(transport).transpose()?;
        let transport = match (is_sips, transport) {
            (true, None | Some(Transport::Tls)) => Some(Transport::Tls),
            (true, Some(Transport::Udp | Transport::Tcp)) => return Err(BadTarget::Insecure),
            (false, transport) => transport,
        };
        let (host, port) = host_and_port(address)?;
        Ok(Self { host, port, transport })
    }
}

/// Whether it is `sips:`, and what follows the scheme; a text without one is `sip:`.
fn scheme(text: &str) -> (bool, &str) {
    let after = |scheme: &str| {
        let head = text.get(..scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then(|| text.get(scheme.len()..)).flatten()
    };
    match (after("sips:"), after("sip:")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => (false, text),
    }
}

fn transport(parameters: &str) -> Result<Transport, BadTarget> {
    let (name, value) = parameters.split_once('=').ok_or(BadTarget::Extra)?;
    if !name.eq_ignore_ascii_case("transport") || value.contains(';') {
        return Err(BadTarget::Extra);
    }
    let all = [Transport::Udp, Transport::Tcp, Transport::Tls];
    let named = all.into_iter().find(|transport| transport.name().eq_ignore_ascii_case(value));
    named.ok_or(BadTarget::Transport)
}

fn host_and_port(text: &str) -> Result<(Host, Option<u16>), BadTarget> {
    // An IPv6 address stands in brackets, unless it stands alone.
    if let Ok(ip) = text.parse() {
        return Ok((usable(ip)?, None));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (ip, rest) = rest.split_once(']').ok_or(BadTarget::Host)?;
        let ip = IpAddr::V6(ip.parse().map_err(|_| BadTarget::Host)?);
        let port = match rest.strip_prefix(':') {
            Some(digits) => Some(port(digits)?),
            None if rest.is_empty() => None,
            None => return Err(BadTarget::Host),
        };
        return Ok((usable(ip)?, port));
    }
    let (host, digits) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let port = digits.map(port).transpose()?;
    match host.parse() {
        Ok(ip) => Ok((usable(ip)?, port)),
        Err(_) => Ok((Host::Name(name(host).ok_or(BadTarget::Host)?), port)),
    }
}

fn usable(ip: IpAddr) -> Result<Host, BadTarget> {
    let ip = ip.to_canonical();
    if ip.is_unspecified() || ip.is_multicast() { Err(BadTarget::Address) } else { Ok(Host::Ip(ip)) }
}

fn port(digits: &str) -> Result<u16, BadTarget> {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let port = digits.parse().ok().filter(|port| is_number && *port != 0);
    port.ok_or(BadTarget::Port)
}

/// The name of a host (RFC 1123 2.1), in lower case. Its last label has a letter: else it is an address
/// gone wrong.
pub(crate) fn name(text: &str) -> Option<String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let has_letter = text.rsplit('.').next()?.bytes().any(|byte| byte.is_ascii_alphabetic());
    (text.len() <= MAX_NAME && has_letter && text.split('.').all(is_label)).then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_can_be_written() {
        let cases = [
            ("10.0.0.5:5060", "sip:10.0.0.5:5060"),
            ("10.0.0.5", "sip:10.0.0.5"),
            ("[2001:db8::5]:5080", "sip:[2001:db8::5]:5080"),
            ("2001:db8::5", "sip:[2001:db8::5]"),
            ("[::ffff:10.0.0.5]", "sip:10.0.0.5"),
            ("pbx.example.com", "sip:pbx.example.com"),
            ("PBX.Example.com.:5062", "sip:pbx.example.com:5062"),
            ("sip:pbx_1.lan", "sip:pbx_1.lan"),
            ("SIP:10.0.0.5:5061;Transport=TCP", "sip:10.0.0.5:5061;transport=tcp"),
            ("sips:pbx.example.com", "sip:pbx.example.com;transport=tls"),
            ("sips:pbx.example.com;transport=tls", "sip:pbx.example.com;transport=tls"),
        ];
        for (text, shown) in cases {
            assert_eq!(
                text.parse::<Target>().map(|target| target.to_string()),
                Ok(shown.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_target_says_why() {
        let cases = [
            ("", BadTarget::Host),
            ("sip:", BadTarget::Host),
            ("http://x", BadTarget::Port),
            ("sip:100@10.0.0.5", BadTarget::User),
            ("10.0.0.5:0", BadTarget::Port),
            ("10.0.0.5:", BadTarget::Port),
            ("10.0.0.5:+5", BadTarget::Port),
            ("10.0.0.5:70000", BadTarget::Port),
            ("10.0.0.500", BadTarget::Host),
            ("[10.0.0.5]", BadTarget::Host),
            ("[::1", BadTarget::Host),
            ("[::1]x", BadTarget::Host),
            ("-pbx.lan", BadTarget::Host),
            ("pbx..lan", BadTarget::Host),
            ("pbx lan", BadTarget::Host),
            ("0.0.0.0:5060", BadTarget::Address),
            ("224.0.0.1", BadTarget::Address),
            ("::", BadTarget::Address),
            ("pbx.lan;transport=sctp", BadTarget::Transport),
            ("pbx.lan;lr", BadTarget::Extra),
            ("pbx.lan;maddr=10.0.0.1", BadTarget::Extra),
            ("pbx.lan;transport=tcp;lr", BadTarget::Extra),
            ("pbx.lan?Subject=x", BadTarget::Extra),
            ("sips:pbx.lan;transport=tcp", BadTarget::Insecure),
        ];
        for (text, why) in cases {
            assert_eq!(text.parse::<Target>(), Err(why), "{text}");
        }
    }

    #[test]
    fn an_address_needs_no_lookup_and_goes_by_udp() {
        let literal = |text: &str| {
            let target: Target = text.parse().expect(text);
            target.literal().map(|destination| destination.to_string())
        };
        assert_eq!(literal("10.0.0.5").as_deref(), Some("udp 10.0.0.5:5060"));
        assert_eq!(literal("10.0.0.5:5070;transport=tcp").as_deref(), Some("tcp 10.0.0.5:5070"));
        assert_eq!(literal("sips:[2001:db8::5]").as_deref(), Some("tls [2001:db8::5]:5061"));
        assert_eq!(literal("pbx.example.com"), None);
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(text in "(sips?:)?[a-z0-9.:\\[\\]-]{0,24}(;transport=(udp|tcp|tls))?") {
            if let Ok(target) = text.parse::<Target>() {
                prop_assert_eq!(target.to_string().parse::<Target>(), Ok(target));
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = text.parse::<Target>();
        }
    }
}
