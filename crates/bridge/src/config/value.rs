//! Texts of the file to values: addresses, networks, port ranges and names. Each refusal says what
//! to write instead.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Fewest ports of a range: less is a slip of the keyboard.
const MIN_PORTS: usize = 10;

/// Addresses that share a prefix, such as `10.0.1.0/24`, or one address alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether `address` belongs to it. An IPv4 address in IPv6 clothes is the IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.address.is_ipv4() == address.is_ipv4() && masked(address, self.prefix) == self.address
    }

    /// How many bits its addresses share: of two networks with one address, the one with more is
    /// meant.
    #[must_use]
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether it is every address of its IP version.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.prefix == 0
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is no address or network: write one like \"10.0.0.5\" or \"10.0.1.0/24\"");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address = address.parse::<IpAddr>().map_err(|_| wrong())?.to_canonical();
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(longest), str::parse).map_err(|_| wrong())?;
        if prefix > longest {
            return Err(format!("{text:?} has a prefix over {longest}"));
        }
        let network = Self { address: masked(address, prefix), prefix };
        if network.address == address {
            Ok(network)
        } else {
            Err(format!(
                "{text:?} has bits behind its prefix: write \"{network}\" for the network or \"{address}\" for the address"
            ))
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix.into())).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(prefix.into())).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}

/// An address and port to listen on.
pub(super) fn listener(text: &str) -> Result<SocketAddr, String> {
    let wrong = |_| format!("{text:?} is no address with a port: write one like \"0.0.0.0:5060\"");
    let address: SocketAddr = text.parse().map_err(wrong)?;
    if address.ip().is_multicast() {
        return Err(format!("{text:?} is a multicast address: write one of this machine's"));
    }
    Ok(address)
}

/// An address of this machine.
pub(super) fn ip(text: &str) -> Result<IpAddr, String> {
    let address: IpAddr =
        text.parse().map_err(|_| format!("{text:?} is no IP address: write one like \"192.0.2.10\""))?;
    if address.is_multicast() {
        return Err(format!("{text:?} is a multicast address: write one of this machine's"));
    }
    Ok(address)
}

/// An address in an SDP: the port is each call's own.
pub(super) fn advertised_media(text: &str) -> Result<IpAddr, String> {
    match advertised(text)? {
        (ip, None) => Ok(ip),
        (ip, Some(_)) => Err(format!("{text:?} has a port, media has many: write \"{ip}\"")),
    }
}

/// An address others are told: with or without a port.
pub(super) fn advertised(text: &str) -> Result<(IpAddr, Option<u16>), String> {
    let (address, port) = match text.parse::<SocketAddr>() {
        Ok(address) => (address.ip(), Some(address.port())),
        Err(_) => (ip(text)?, None),
    };
    if address.is_unspecified() || address.is_multicast() || port == Some(0) {
        return Err(format!(
            "nobody can send to {text:?}: write the address that others reach, like \"192.0.2.10\""
        ));
    }
    Ok((address, port))
}

/// A range of ports.
pub(super) fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let wrong = || format!("{text:?} is no range of ports: write one like \"20000-29999\"");
    let (first, last) = text.split_once('-').ok_or_else(wrong)?;
    let port = |text: &str| text.trim().parse::<u16>().map_err(|_| wrong());
    let (first, last) = (port(first)?, port(last)?);
    if first < 1024 {
        return Err(format!("{text:?} begins below 1024: choose one like \"20000-29999\""));
    }
    if first > last {
        return Err(format!("{text:?} runs backwards: write \"{last}-{first}\""));
    }
    let range = first..=last;
    if range.len() < MIN_PORTS {
        return Err(format!("{text:?} has less than {MIN_PORTS} ports: choose one like \"20000-29999\""));
    }
    Ok(range)
}

/// A range of ports that are used in pairs, RTP on the even one and RTCP above it.
pub(super) fn port_pairs(text: &str) -> Result<RangeInclusive<u16>, String> {
    let range = ports(text)?;
    let (first, last) = (range.start() + range.start() % 2, range.end() - (1 - range.end() % 2));
    if range == (first..=last) {
        Ok(range)
    } else {
        Err(format!("{text:?} cuts a pair of RTP (even) and RTCP (odd) ports: write \"{first}-{last}\""))
    }
}

/// The base of the Graph API, without a slash at the end.
pub(super) fn graph_url(text: &str) -> Result<String, String> {
    let text = text.trim_end_matches('/');
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_good = |host: &str| {
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_graphic() && !b"?#@\"<>\\".contains(&b))
    };
    if host.is_some_and(is_good) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no http or https URL: write one like \"https://graph.facebook.com\""))
    }
}

/// A version of the Graph API.
pub(super) fn graph_version(text: &str) -> Result<String, String> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.strip_prefix('v').and_then(|number| number.split_once('.')) {
        Some((major, minor)) if is_number(major) && is_number(minor) => Ok(text.to_owned()),
        _ => Err(format!("{text:?} is no version of the Graph API: write one like \"v25.0\"")),
    }
}

/// The path of a URL, plain.
pub(super) fn url_path(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
    if text.starts_with('/') && text.bytes().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no plain path: write one like \"/webhook\""))
    }
}

/// The User-Agent of SIP messages (RFC 3261 20.41).
pub(super) fn user_agent(text: &str) -> Result<String, String> {
    if (1..=100).contains(&text.len()) && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} must have 1 to 100 plain ASCII characters, like \"wa-bridge\""))
    }
}

/// A name within this file.
pub(super) fn name(text: &str) -> Result<String, String> {
    if !text.trim().is_empty() && !text.chars().any(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no name: write one like \"office\""))
    }
}

/// Graph's id of a business number.
pub(super) fn phone_number_id(text: &str) -> Result<wa_signaling::PhoneNumberId, String> {
    let wrong = || {
        format!(
            "{text:?} is no phone number id: write the digits the app dashboard shows, like \"106540352242922\""
        )
    };
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number).ok_or_else(wrong)
}

/// Graph's id of an app or of a WhatsApp Business Account.
pub(super) fn graph_id(text: &str) -> Result<String, String> {
    if (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no id: write the digits the app dashboard shows, like \"102290129340398\""))
    }
}

/// An international number: its digits.
pub(super) fn phone_number(text: &str) -> Result<String, String> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    if (6..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(digits.to_owned())
    } else {
        Err(format!("{text:?} is no international number: write one like \"+15550001234\""))
    }
}

/// The user part of a SIP URI (RFC 3261 25.1), without escapes.
pub(super) fn sip_user(text: &str) -> Result<String, String> {
    let is_user = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_user) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no user part of a SIP address: write what the PBX routes, like \"100\""))
    }
}

/// The beginning of a number, as digits, or of a user id.
pub(super) fn prefix(text: &str) -> Result<String, String> {
    let number = text.strip_prefix('+').unwrap_or(text);
    let is_number = (1..=15).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    let is_user_id = |text: &str| {
        let country = text.split_once('.').is_some_and(|(country, _)| {
            country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase())
        });
        country && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
    };
    if is_number {
        Ok(number.to_owned())
    } else if is_user_id(text) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no beginning of a number or user id: write one like \"+49\" or \"US.\""))
    }
}

/// A number as it is dialled, such as an emergency number.
pub(super) fn digits(text: &str) -> Result<String, String> {
    if (1..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no number to dial: write digits, like \"112\""))
    }
}

/// A whole number within limits.
pub(super) fn within<T: TryFrom<i64>>(limits: RangeInclusive<i64>) -> impl FnOnce(i64) -> Result<T, String> {
    move |number| {
        let good = limits.contains(&number).then(|| T::try_from(number).ok()).flatten();
        good.ok_or_else(|| format!("{number} is out of range: write {} to {}", limits.start(), limits.end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().expect(text)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    #[test]
    fn networks_contain_their_addresses() {
        let cases = [
            ("10.0.0.5", "10.0.0.5", true),
            ("10.0.0.5", "10.0.0.6", false),
            ("10.0.1.0/24", "10.0.1.255", true),
            ("10.0.1.0/24", "10.0.2.0", false),
            ("10.0.1.0/24", "::ffff:10.0.1.7", true),
            ("::ffff:10.0.1.7", "10.0.1.7", true),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "10.0.0.1", false),
            ("2001:db8::/33", "2001:db8:7fff::1", true),
            ("2001:db8::/33", "2001:db8:8000::1", false),
        ];
        for (range, ip, expected) in cases {
            assert_eq!(network(range).contains(address(ip)), expected, "{range} {ip}");
        }
    }

    #[test]
    fn pairs_of_ports_stay_together() {
        assert_eq!(port_pairs("20000-29999"), Ok(20000..=29999));
        for (text, remedy) in
            [("20001-29999", "20002-29999"), ("20000-30000", "20000-29999"), ("20001-30000", "20002-29999")]
        {
            let message = port_pairs(text).expect_err(text);
            assert!(message.ends_with(&format!("write \"{remedy}\"")), "{message}");
        }
        assert_eq!(port_pairs("65500-65535"), Ok(65500..=65535));
    }

    #[test]
    fn urls_and_paths() {
        assert_eq!(graph_url("https://graph.facebook.com/"), Ok("https://graph.facebook.com".to_owned()));
        assert_eq!(graph_url("http://[::1]:8000"), Ok("http://[::1]:8000".to_owned()));
        for wrong in
            ["", "https://", "ftp://x", "graph.facebook.com", "https://a b", "https://u@x", "https://x?y"]
        {
            assert!(graph_url(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "webhook", "/a b", "/{x}", "/a?b"] {
            assert!(url_path(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn versions() {
        for (text, is_good) in [
            ("v25.0", true),
            ("v3.10", true),
            ("25.0", false),
            ("v25", false),
            ("v.0", false),
            ("v25.", false),
            ("vX.0", false),
        ] {
            assert_eq!(graph_version(text).is_ok(), is_good, "{text}");
        }
    }
}
