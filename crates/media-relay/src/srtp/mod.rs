//! SRTP and SRTCP (RFC 3711, RFC 7714) with the keys that DTLS exported
//! (RFC 5764 4.2) or that stood in the SDP (RFC 4568): in place on the caller's
//! buffer, no allocation per packet.

mod cipher;
pub(crate) mod sdes;
#[cfg(test)]
mod tests;
mod window;

use aws_lc_rs::error::Unspecified;

pub(crate) use cipher::Profile;
use cipher::{Cipher, Protocol};
use window::Window;

/// Room that protecting needs behind the packet: GCM tag and SRTCP index.
pub(crate) const TRAILER: usize = 20;

/// Streams (SSRCs) remembered per direction and protocol. A call has one; a
/// phone that changes networks may come back with another. When full, the one
/// unheard for longest is forgotten.
const STREAMS: usize = 8;

/// Why a packet was refused. No state changes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SrtpError {
    #[error("not an RTP or RTCP packet")]
    Malformed,
    #[error("authentication failed")]
    Authentication,
    #[error("index already used or too old")]
    Replay,
    #[error("no room for the trailer")]
    NoRoom,
    #[error("the cryptographic library refused")]
    Crypto,
    #[error("the key is used up")]
    Exhausted,
}

struct Stream {
    ssrc: u32,
    window: Window,
    /// When it was last heard, in packets of its direction.
    heard: u64,
}

struct Streams {
    known: Vec<Stream>,
    packets: u64,
}

impl Streams {
    fn new() -> Self {
        Self { known: Vec::with_capacity(STREAMS), packets: 0 }
    }

    fn window(&self, ssrc: u32) -> Window {
        let known = self.known.iter().find(|stream| stream.ssrc == ssrc);
        known.map(|stream| stream.window).unwrap_or_default()
    }

    fn mark(&mut self, ssrc: u32, index: u64) {
        self.packets += 1;
        if let Some(stream) = self.known.iter_mut().find(|stream| stream.ssrc == ssrc) {
            stream.window.mark(index);
            stream.heard = self.packets;
            return;
        }
        if self.known.len() == STREAMS {
            let oldest = self.known.iter().enumerate().min_by_key(|(_, s)| s.heard);
            if let Some((place, _)) = oldest {
                self.known.swap_remove(place);
            }
        }
        let mut window = Window::default();
        window.mark(index);
        self.known.push(Stream { ssrc, window, heard: self.packets });
    }
}

struct Direction {
    rtp: Cipher,
    rtcp: Cipher,
    rtp_streams: Streams,
    rtcp_streams: Streams,
}

impl Direction {
    fn new(profile: Profile, key: &[u8], salt: &[u8]) -> Result<Self, Unspecified> {
        Ok(Self {
            rtp: Cipher::derive(profile, Protocol::Rtp, key, salt)?,
            rtcp: Cipher::derive(profile, Protocol::Rtcp, key, salt)?,
            rtp_streams: Streams::new(),
            rtcp_streams: Streams::new(),
        })
    }
}

/// Both directions of one call.
pub(crate) struct SrtpSession {
    outbound: Direction,
    inbound: Direction,
    /// Index of the next SRTCP packet of ours.
    rtcp_index: u32,
}

impl SrtpSession {
    /// Splits the exported keying material: client key, server key, client
    /// salt, server salt (RFC 5764 4.2).
    pub(crate) fn new(profile: Profile, material: &[u8], client: bool) -> Result<Self, Unspecified> {
        let (key, salt) = (profile.key_len(), profile.salt_len());
        if material.len() != 2 * (key + salt) {
            return Err(Unspecified);
        }
        let (keys, salts) = material.split_at(2 * key);
        let (client_key, server_key) = keys.split_at(key);
        let (client_salt, server_salt) = salts.split_at(salt);
        let of_client = Direction::new(profile, client_key, client_salt)?;
        let of_server = Direction::new(profile, server_key, server_salt)?;
        let (outbound, inbound) = if client { (of_client, of_server) } else { (of_server, of_client) };
        Ok(Self { outbound, inbound, rtcp_index: 0 })
    }

    /// Protects the RTP packet `buffer[..len]`; the SRTP packet's length is
    /// returned. An index goes out once only: with GCM a second packet under
    /// it would give the key away, so a repetition is refused.
    pub(crate) fn protect_rtp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let packet = buffer.get(..len).ok_or(SrtpError::Malformed)?;
        let header = RtpHeader::parse(packet).ok_or(SrtpError::Malformed)?;
        let Direction { rtp, rtp_streams, .. } = &mut self.outbound;
        let window = rtp_streams.window(header.ssrc);
        let index = window.estimate(header.sequence).ok_or(SrtpError::Exhausted)?;
        window.check(index)?;
        let total = rtp.seal_rtp(buffer, (header.len, len), header.ssrc, index)?;
        rtp_streams.mark(header.ssrc, index);
        Ok(total)
    }

    /// Opens an SRTP packet in place; the RTP packet's length is returned.
    pub(crate) fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let header = RtpHeader::parse(packet).ok_or(SrtpError::Malformed)?;
        let Direction { rtp, rtp_streams, .. } = &mut self.inbound;
        let window = rtp_streams.window(header.ssrc);
        let index = window.estimate(header.sequence).ok_or(SrtpError::Replay)?;
        window.check(index)?;
        let len = rtp.open_rtp(packet, header.len, header.ssrc, index)?;
        rtp_streams.mark(header.ssrc, index);
        Ok(len)
    }

    /// Protects the compound RTCP packet `buffer[..len]`.
    pub(crate) fn protect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let packet = buffer.get(..len).ok_or(SrtpError::Malformed)?;
        let ssrc = rtcp_ssrc(packet).ok_or(SrtpError::Malformed)?;
        let index = self.rtcp_index;
        if index >= 1 << 31 {
            return Err(SrtpError::Exhausted);
        }
        let total = self.outbound.rtcp.seal_rtcp(buffer, len, ssrc, index)?;
        self.rtcp_index += 1;
        Ok(total)
    }

    /// Opens an SRTCP packet in place; the RTCP packet's length is returned.
    pub(crate) fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let ssrc = rtcp_ssrc(packet).ok_or(SrtpError::Malformed)?;
        let Direction { rtcp, rtcp_streams, .. } = &mut self.inbound;
        let index = rtcp.rtcp_index(packet)?;
        rtcp_streams.window(ssrc).check(index.into())?;
        let len = rtcp.open_rtcp(packet, ssrc, index)?;
        rtcp_streams.mark(ssrc, index.into());
        Ok(len)
    }
}

struct RtpHeader {
    ssrc: u32,
    sequence: u16,
    /// Fixed header, CSRCs and extension: what stays in the clear (RFC 3550 5.1).
    len: usize,
}

impl RtpHeader {
    fn parse(packet: &[u8]) -> Option<Self> {
        let (fixed, _) = packet.split_first_chunk::<12>()?;
        let [first, _, s0, s1, _, _, _, _, a, b, c, d] = *fixed;
        if first >> 6 != 2 {
            return None;
        }
        let mut len = 12 + 4 * usize::from(first & 0x0F);
        if first & 0x10 != 0 {
            let extension = packet.get(len + 2..len + 4)?.first_chunk::<2>()?;
            len += 4 + 4 * usize::from(u16::from_be_bytes(*extension));
        }
        (packet.len() >= len).then_some(Self {
            ssrc: u32::from_be_bytes([a, b, c, d]),
            sequence: u16::from_be_bytes([s0, s1]),
            len,
        })
    }
}

fn rtcp_ssrc(packet: &[u8]) -> Option<u32> {
    let (header, _) = packet.split_first_chunk::<8>()?;
    let [first, _, _, _, a, b, c, d] = *header;
    (first >> 6 == 2).then_some(u32::from_be_bytes([a, b, c, d]))
}
