//! RTCP (RFC 3550 6): compound packets read as a view over the bytes, reports written.

/// The longest report of ours: a sender report with one block, a CNAME of 255 octets, BYE.
pub(crate) const LONGEST_REPORT: usize = 28 + BLOCK_LEN + 8 + 2 + 255 + 4 + 8;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
/// Feedback (RFC 4585) and extended reports (RFC 3611), which may stand alone by RFC 5506.
const FEEDBACK: std::ops::RangeInclusive<u8> = 205..=207;
/// The SDES item (RFC 3550 6.5.1).
const CNAME: u8 = 1;
const BLOCK_LEN: usize = 24;

/// Why bytes are no compound packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RtcpError {
    /// Shorter than its own lengths say, or longer.
    #[error("wrong length")]
    Length,
    /// Not version 2.
    #[error("not RTP version 2")]
    Version,
    /// Padding that is not at the very end, or longer than its packet (RFC 3550 A.2).
    #[error("misplaced padding")]
    Padding,
    /// It begins with neither a report nor feedback.
    #[error("begins with no report")]
    First,
}

/// What a sender says of its own stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SenderInfo {
    /// NTP format: seconds since 1900 above 32 bits of fraction.
    pub(crate) ntp: u64,
    /// The same instant in the stream's clock.
    pub(crate) rtp: u32,
    /// Packets sent.
    pub(crate) packets: u32,
    /// Octets of payload sent.
    pub(crate) octets: u32,
}

/// What a receiver says of a stream (RFC 3550 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReportBlock {
    /// The stream it tells of.
    pub(crate) ssrc: u32,
    /// Of 256, since the report before.
    pub(crate) fraction_lost: u8,
    /// 24 bits; below zero when packets came twice.
    pub(crate) cumulative_lost: i32,
    /// Extended highest sequence number.
    pub(crate) highest: u32,
    /// In units of the stream's clock.
    pub(crate) jitter: u32,
    /// The middle of the NTP time of the last sender report; 0 for none.
    pub(crate) last_sr: u32,
    /// In units of 1/65536 s.
    pub(crate) delay_since_last_sr: u32,
}

/// One packet of a compound packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// SR.
    SenderReport { ssrc: u32, info: SenderInfo, blocks: Blocks<'a> },
    /// RR.
    ReceiverReport { ssrc: u32, blocks: Blocks<'a> },
    /// BYE.
    Bye,
    /// SDES, APP, feedback, what is not known.
    Other,
}

/// A compound packet that was found valid (RFC 3550 A.2).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Compound<'a>(&'a [u8]);

impl<'a> Compound<'a> {
    /// Checks a datagram from end to end.
    ///
    /// # Errors
    /// It breaks a rule of RFC 3550 A.2.
    pub(crate) fn parse(datagram: &'a [u8]) -> Result<Self, RtcpError> {
        let mut rest = datagram;
        let mut is_first = true;
        while !rest.is_empty() || is_first {
            let raw = Raw::split(rest)?;
            let begins = [SENDER_REPORT, RECEIVER_REPORT].contains(&raw.kind) || FEEDBACK.contains(&raw.kind);
            if is_first && !begins {
                return Err(RtcpError::First);
            }
            if raw.padded && !raw.rest.is_empty() {
                return Err(RtcpError::Padding);
            }
            raw.read().ok_or(RtcpError::Length)?;
            rest = raw.rest;
            is_first = false;
        }
        Ok(Self(datagram))
    }

    /// Its packets, in order.
    pub(crate) fn packets(self) -> impl Iterator<Item = Packet<'a>> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let raw = Raw::split(rest).ok()?;
            rest = raw.rest;
            raw.read()
        })
    }
}

/// The report blocks of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Blocks<'a>(&'a [u8]);

impl Blocks<'_> {
    /// In order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = ReportBlock> + '_ {
        let (blocks, _) = self.0.as_chunks::<BLOCK_LEN>();
        blocks.iter().filter_map(|block| ReportBlock::read(block))
    }
}

impl ReportBlock {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let ssrc = reader.word()?;
        let loss = reader.word()?;
        Some(Self {
            ssrc,
            fraction_lost: (loss >> 24) as u8,
            // The sign is the highest of 24 bits.
            cumulative_lost: (loss << 8).cast_signed() >> 8,
            highest: reader.word()?,
            jitter: reader.word()?,
            last_sr: reader.word()?,
            delay_since_last_sr: reader.word()?,
        })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Option<()> {
        let lost = self.cumulative_lost.cast_unsigned() & 0xFF_FFFF;
        writer.word(self.ssrc)?;
        writer.word(u32::from(self.fraction_lost) << 24 | lost)?;
        writer.word(self.highest)?;
        writer.word(self.jitter)?;
        writer.word(self.last_sr)?;
        writer.word(self.delay_since_last_sr)
    }
}

/// A packet whose length is known to be right.
struct Raw<'a> {
    padded: bool,
    count: u8,
    kind: u8,
    /// Behind the header, without padding.
    body: &'a [u8],
    /// What follows the packet.
    rest: &'a [u8],
}

impl<'a> Raw<'a> {
    fn split(bytes: &'a [u8]) -> Result<Self, RtcpError> {
        let ([flags, kind, high, low], after) = bytes.split_first_chunk::<4>().ok_or(RtcpError::Length)?;
        if flags >> 6 != 2 {
            return Err(RtcpError::Version);
        }
        let length = 4 * usize::from(u16::from_be_bytes([*high, *low]));
        let (mut body, rest) = after.split_at_checked(length).ok_or(RtcpError::Length)?;
        let padded = flags & 0x20 != 0;
        if padded {
            let padding = usize::from(*body.last().ok_or(RtcpError::Padding)?);
            let length = body.len().checked_sub(padding).filter(|_| padding != 0);
            body = length.and_then(|length| body.get(..length)).ok_or(RtcpError::Padding)?;
        }
        Ok(Self { padded, count: flags & 0x1F, kind: *kind, body, rest })
    }

    /// `None` when it is shorter than its count says.
    fn read(&self) -> Option<Packet<'a>> {
        let mut reader = Reader(self.body);
        Some(match self.kind {
            SENDER_REPORT => Packet::SenderReport {
                ssrc: reader.word()?,
                info: SenderInfo {
                    ntp: u64::from(reader.word()?) << 32 | u64::from(reader.word()?),
                    rtp: reader.word()?,
                    packets: reader.word()?,
                    octets: reader.word()?,
                },
                blocks: self.blocks(reader)?,
            },
            RECEIVER_REPORT => Packet::ReceiverReport { ssrc: reader.word()?, blocks: self.blocks(reader)? },
            BYE => {
                reader.0.get(..4 * usize::from(self.count))?;
                Packet::Bye
            }
            _ => Packet::Other,
        })
    }

    fn blocks(&self, reader: Reader<'a>) -> Option<Blocks<'a>> {
        reader.0.get(..BLOCK_LEN * usize::from(self.count)).map(Blocks)
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn word(&mut self) -> Option<u32> {
        let (word, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*word))
    }
}

/// A report of ours: SR or RR, SDES with the CNAME, and BYE at the end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Report<'a> {
    /// Our SSRC.
    pub(crate) ssrc: u32,
    /// Of a stream that we send: an SR, else an RR.
    pub(crate) sender: Option<SenderInfo>,
    /// Of the stream that we receive, if there is one.
    pub(crate) block: Option<ReportBlock>,
    /// At most 255 octets count.
    pub(crate) cname: &'a str,
    /// Whether it is the last.
    pub(crate) goodbye: bool,
}

impl Report<'_> {
    /// Writes it to the front of `buffer` and gives its length; `None` when that is too short. See
    /// [`LONGEST_REPORT`].
    pub(crate) fn write(&self, buffer: &mut [u8]) -> Option<usize> {
        let mut writer = Writer { buffer, length: 0 };
        let start = writer.begin(
            if self.sender.is_some() { SENDER_REPORT } else { RECEIVER_REPORT },
            self.block.is_some().into(),
        )?;
        writer.word(self.ssrc)?;
        if let Some(info) = self.sender {
            writer.word((info.ntp >> 32) as u32)?;
            writer.word(info.ntp as u32)?;
            writer.word(info.rtp)?;
            writer.word(info.packets)?;
            writer.word(info.octets)?;
        }
        if let Some(block) = self.block {
            block.write(&mut writer)?;
        }
        writer.end(start)?;
        self.describe(&mut writer)?;
        if self.goodbye {
            let start = writer.begin(BYE, 1)?;
            writer.word(self.ssrc)?;
            writer.end(start)?;
        }
        Some(writer.length)
    }

    fn describe(&self, writer: &mut Writer<'_>) -> Option<()> {
        let cname = self.cname.as_bytes();
        let cname = cname.get(..255).unwrap_or(cname);
        let start = writer.begin(DESCRIPTION, 1)?;
        writer.word(self.ssrc)?;
        writer.bytes(&[CNAME, u8::try_from(cname.len()).ok()?])?;
        writer.bytes(cname)?;
        // RFC 3550 6.5: one zero at least ends the chunk, more fill it to a word.
        let zeros = 4 - writer.length % 4;
        writer.bytes([0; 4].get(..zeros)?)?;
        writer.end(start)
    }
}

struct Writer<'a> {
    buffer: &'a mut [u8],
    length: usize,
}

impl Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.length + bytes.len();
        self.buffer.get_mut(self.length..end)?.copy_from_slice(bytes);
        self.length = end;
        Some(())
    }

    fn word(&mut self, word: u32) -> Option<()> {
        self.bytes(&word.to_be_bytes())
    }

    /// Begins a packet; gives where it starts.
    fn begin(&mut self, kind: u8, count: u8) -> Option<usize> {
        let start = self.length;
        self.bytes(&[0x80 | count, kind, 0, 0])?;
        Some(start)
    }

    /// Fills in the length of the packet that starts there.
    fn end(&mut self, start: usize) -> Option<()> {
        let words = u16::try_from((self.length - start) / 4 - 1).ok()?;
        self.buffer.get_mut(start + 2..start + 4)?.copy_from_slice(&words.to_be_bytes());
        Some(())
    }
}

#[cfg(test)]
mod tests;
