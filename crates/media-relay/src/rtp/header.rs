//! The RTP header (RFC 3550 5.1): read as a view over the bytes, written without CSRCs and
//! extensions.

/// The length of what we write: no CSRC, no extension.
pub(crate) const HEADER_LEN: usize = 12;

/// Why bytes are not an RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderError {
    /// Shorter than its header, CSRCs, extension or padding say.
    #[error("truncated")]
    Truncated,
    /// Not version 2.
    #[error("not RTP version 2")]
    Version,
    /// An RTCP packet type in the place of the payload type (RFC 5761 4).
    #[error("RTCP")]
    Rtcp,
}

/// The fixed fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// First packet after a pause, or of an event.
    pub(crate) marker: bool,
    /// 7 bits.
    pub(crate) payload_type: u8,
    /// Sequence number.
    pub(crate) sequence: u16,
    /// In units of the payload's clock.
    pub(crate) timestamp: u32,
    /// Synchronization source.
    pub(crate) ssrc: u32,
}

/// A packet, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packet<'a> {
    /// The fixed fields.
    pub(crate) header: Header,
    /// Without padding.
    pub(crate) payload: &'a [u8],
}

/// Whether a datagram on a port shared by both is RTCP (RFC 5761 4: packet types 192 to 223).
pub(crate) fn is_rtcp(datagram: &[u8]) -> bool {
    matches!(datagram, [first, 192..=223, ..] if first >> 6 == 2)
}

impl<'a> Packet<'a> {
    /// Reads a packet, over CSRCs, extension and padding.
    ///
    /// # Errors
    /// The bytes are no RTP packet.
    pub(crate) fn parse(datagram: &'a [u8]) -> Result<Self, HeaderError> {
        let (fixed, mut rest) = datagram.split_first_chunk::<HEADER_LEN>().ok_or(HeaderError::Truncated)?;
        let [flags, kind, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = *fixed;
        if flags >> 6 != 2 {
            return Err(HeaderError::Version);
        }
        if is_rtcp(datagram) {
            return Err(HeaderError::Rtcp);
        }
        let csrcs = 4 * usize::from(flags & 0x0f);
        rest = rest.get(csrcs..).ok_or(HeaderError::Truncated)?;
        if flags & 0x10 != 0 {
            let ([_, _, high, low], data) = rest.split_first_chunk::<4>().ok_or(HeaderError::Truncated)?;
            let words = usize::from(u16::from_be_bytes([*high, *low]));
            rest = data.get(4 * words..).ok_or(HeaderError::Truncated)?;
        }
        if flags & 0x20 != 0 {
            let padding = usize::from(*rest.last().ok_or(HeaderError::Truncated)?);
            let length =
                rest.len().checked_sub(padding).filter(|_| padding != 0).ok_or(HeaderError::Truncated)?;
            rest = rest.get(..length).ok_or(HeaderError::Truncated)?;
        }
        Ok(Packet {
            header: Header {
                marker: kind & 0x80 != 0,
                payload_type: kind & 0x7f,
                sequence: u16::from_be_bytes([s0, s1]),
                timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
                ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
            },
            payload: rest,
        })
    }
}

impl Header {
    /// The fixed fields at the front of a packet, whatever follows; `None` where it is not RTP.
    pub(crate) fn read(datagram: &[u8]) -> Option<Self> {
        let ([flags, kind, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3], _) =
            datagram.split_first_chunk::<HEADER_LEN>()?;
        (flags >> 6 == 2).then_some(Self {
            marker: kind & 0x80 != 0,
            payload_type: kind & 0x7f,
            sequence: u16::from_be_bytes([*s0, *s1]),
            timestamp: u32::from_be_bytes([*t0, *t1, *t2, *t3]),
            ssrc: u32::from_be_bytes([*c0, *c1, *c2, *c3]),
        })
    }

    /// The header's twelve bytes.
    pub(crate) fn to_bytes(self) -> [u8; HEADER_LEN] {
        let [s0, s1] = self.sequence.to_be_bytes();
        let [t0, t1, t2, t3] = self.timestamp.to_be_bytes();
        let [c0, c1, c2, c3] = self.ssrc.to_be_bytes();
        let kind = (u8::from(self.marker) << 7) | (self.payload_type & 0x7f);
        [0x80, kind, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3]
    }

    /// Writes header and payload to the front of `buffer`; `None` when it is too short.
    pub(crate) fn write<'b>(self, payload: &[u8], buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let packet = buffer.get_mut(..HEADER_LEN + payload.len())?;
        let (header, body) = packet.split_at_mut(HEADER_LEN);
        header.copy_from_slice(&self.to_bytes());
        body.copy_from_slice(payload);
        Some(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rtp::packet::Packet as Oracle;
    use webrtc_util::marshal::Unmarshal;

    #[test]
    fn reads_over_csrcs_extension_and_padding() {
        let mut bytes = vec![0xb2, 0x80 | 111, 0x12, 0x34, 0, 0, 0, 9, 1, 2, 3, 4];
        bytes.extend([7; 8]);
        bytes.extend([0xbe, 0xde, 0, 1, 0x10, 0xff, 0, 0]);
        bytes.extend(b"sound");
        bytes.extend([0, 0, 3]);
        let packet = Packet::parse(&bytes).expect("valid");
        assert_eq!(packet.payload, b"sound");
        assert_eq!(
            packet.header,
            Header { marker: true, payload_type: 111, sequence: 0x1234, timestamp: 9, ssrc: 0x0102_0304 }
        );
        for length in 0..bytes.len() - 8 {
            assert_eq!(
                Packet::parse(&bytes[..length]).is_err(),
                length < 28 || bytes[length - 1] == 0 || usize::from(bytes[length - 1]) > length - 28,
                "{length}"
            );
        }
    }

    #[test]
    fn refuses_other_versions_and_rtcp() {
        assert_eq!(Packet::parse(&[0; 12]), Err(HeaderError::Version));
        let receiver_report = [0x80, 201, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0];
        assert!(is_rtcp(&receiver_report));
        assert_eq!(Packet::parse(&receiver_report), Err(HeaderError::Rtcp));
        assert!(!is_rtcp(&[0x80, 111]));
        assert!(!is_rtcp(&[0x80, 0x80 | 126]));
    }

    proptest! {
        #[test]
        fn writes_what_it_reads(
            marker: bool, payload_type in 0u8..64, sequence: u16, timestamp: u32, ssrc: u32,
            payload in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let header = Header { marker, payload_type, sequence, timestamp, ssrc };
            let mut buffer = [0; 256];
            let written = header.write(&payload, &mut buffer).expect("fits");
            prop_assert_eq!(Packet::parse(written), Ok(Packet { header, payload: &payload }));
            prop_assert_eq!(Header::read(written), Some(header));
        }

        #[test]
        fn agrees_with_the_rtp_crate(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..80),
            flags in 0u8..64, kind in prop_oneof![0u8..64, 96u8..192, 224u8..=255],
        ) {
            if let [first, second, ..] = bytes.as_mut_slice() {
                // The extension bit stays clear: the crate reads RFC 8285 elements inside.
                *first = 0x80 | (flags & 0x2f);
                *second = kind;
            }
            let mut reader = bytes.as_slice();
            let theirs = Oracle::unmarshal(&mut reader);
            match Packet::parse(&bytes) {
                Ok(ours) => {
                    let theirs = theirs.expect("the crate takes it too");
                    prop_assert_eq!(ours.header.marker, theirs.header.marker);
                    prop_assert_eq!(ours.header.payload_type, theirs.header.payload_type);
                    prop_assert_eq!(ours.header.sequence, theirs.header.sequence_number);
                    prop_assert_eq!(ours.header.timestamp, theirs.header.timestamp);
                    prop_assert_eq!(ours.header.ssrc, theirs.header.ssrc);
                    prop_assert_eq!(ours.payload, &theirs.payload[..]);
                }
                // The crate takes a padding of 0 octets, RFC 3550 does not.
                Err(_) => prop_assert!(
                    theirs.is_err() || (bytes[0] & 0x20 != 0 && bytes.last() == Some(&0))
                ),
            }
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Packet::parse(&bytes);
        }
    }
}
