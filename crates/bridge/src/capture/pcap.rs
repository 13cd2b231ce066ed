//! The classic pcap format, with addresses around what had others or none: each payload becomes a UDP
//! datagram of IPv4 or IPv6.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Microseconds, least octet first.
const MAGIC: u32 = 0xa1b2_c3d4;
/// What begins with an IP header (LINKTYPE_RAW).
const RAW_IP: u32 = 101;
/// The longest packet of a file.
const LONGEST: u32 = 65_535;
const UDP: u8 = 17;
const UDP_HEADER: usize = 8;
/// The longest payload that fits any header.
const LONGEST_PAYLOAD: usize = 65_000;

/// What a file begins with.
pub(super) fn file_header() -> Vec<u8> {
    let mut header = Vec::with_capacity(24);
    header.extend(MAGIC.to_le_bytes());
    header.extend(2_u16.to_le_bytes());
    header.extend(4_u16.to_le_bytes());
    // UTC, of no known accuracy.
    header.extend([0; 8]);
    header.extend(LONGEST.to_le_bytes());
    header.extend(RAW_IP.to_le_bytes());
    header
}

/// A record: `at` is since 1970. What is too long for a datagram is cut.
pub(super) fn record(at: Duration, from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let payload = payload.get(..LONGEST_PAYLOAD).unwrap_or(payload);
    let packet = datagram(from, to, payload);
    let length = u32::try_from(packet.len()).unwrap_or(LONGEST).to_le_bytes();
    let seconds = u32::try_from(at.as_secs()).unwrap_or(u32::MAX);
    let mut record = Vec::with_capacity(16 + packet.len());
    record.extend(seconds.to_le_bytes());
    record.extend(at.subsec_micros().to_le_bytes());
    record.extend(length);
    record.extend(length);
    record.extend(packet);
    record
}

fn datagram(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    // Far below the limit, by the caller.
    let length = u16::try_from(UDP_HEADER + payload.len()).unwrap_or(u16::MAX);
    let mut udp = Vec::with_capacity(UDP_HEADER + payload.len());
    udp.extend(from.port().to_be_bytes());
    udp.extend(to.port().to_be_bytes());
    udp.extend(length.to_be_bytes());
    udp.extend([0; 2]);
    udp.extend(payload);
    let (mut packet, pseudo) = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let addresses = [from.octets(), to.octets()].concat();
            (ipv4(&addresses, length), addresses)
        }
        (from, to) => {
            let addresses = [from, to].map(|ip| match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => ip.octets(),
            });
            let addresses = addresses.concat();
            (ipv6(&addresses, length), addresses)
        }
    };
    let pseudo = [&pseudo[..], &[0, UDP], &length.to_be_bytes()].concat();
    // 0 would say that there is none (RFC 768).
    let sum = match checksum(pseudo.iter().chain(&udp)) {
        0 => u16::MAX,
        sum => sum,
    };
    if let Some(place) = udp.get_mut(6..8) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
    packet.extend(udp);
    packet
}

fn ipv4(addresses: &[u8], payload: u16) -> Vec<u8> {
    let mut header = vec![0x45, 0];
    header.extend(payload.saturating_add(20).to_be_bytes());
    header.extend([0, 0, 0x40, 0, 64, UDP, 0, 0]);
    header.extend(addresses);
    let sum = checksum(header.iter());
    if let Some(place) = header.get_mut(10..12) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
    header
}

fn ipv6(addresses: &[u8], payload: u16) -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0];
    header.extend(payload.to_be_bytes());
    header.extend([UDP, 64]);
    header.extend(addresses);
    header
}

/// RFC 1071.
fn checksum<'a>(octets: impl Iterator<Item = &'a u8>) -> u16 {
    let mut sum = 0_u32;
    for (index, octet) in octets.enumerate() {
        let shift = if index % 2 == 0 { 8 } else { 0 };
        sum += u32::from(*octet) << shift;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    // The carry was added at each step.
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_an_ip_packet_whose_checksums_hold() {
        for (from, to, length) in [
            ("192.0.2.1:5060", "198.51.100.2:40000", 20),
            ("[2001:db8::1]:5060", "[2001:db8::2]:4", 40),
            ("192.0.2.1:1", "[2001:db8::2]:4", 40),
        ] {
            let (from, to) = (from.parse().expect("an address"), to.parse().expect("an address"));
            let record = record(Duration::from_micros(1_700_000_000_123_456), from, to, b"odd");
            assert_eq!(record[..8], [1_700_000_000_u32.to_le_bytes(), 123_456_u32.to_le_bytes()].concat());
            let packet = &record[16..];
            assert_eq!(record[8..12], u32::try_from(packet.len()).expect("short").to_le_bytes());
            assert_eq!(packet.len(), length + 8 + 3);
            if length == 20 {
                assert_eq!(checksum(packet[..20].iter()), 0);
                let pseudo = [&packet[12..20], &[0, 17, 0, 11]].concat();
                assert_eq!(checksum(pseudo.iter().chain(&packet[20..])), 0);
            }
            assert_eq!(packet[length + 8..], *b"odd");
        }
        let long = record(Duration::ZERO, ([1, 2, 3, 4], 5).into(), ([1, 2, 3, 4], 5).into(), &[0; 70_000]);
        assert_eq!(long.len(), 16 + 20 + 8 + LONGEST_PAYLOAD);
        assert_eq!(file_header().len(), 24);
    }
}
