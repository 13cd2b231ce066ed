//! Opus packets of any length as payloads of 20 ms (RFC 6716 3.2), frames untouched: WhatsApp
//! signals `ptime=20` and `maxptime=20`, a telephone may send 10, 40 or 60 ms.

/// Frames are counted in 2.5 ms: so many are 20 ms.
const PIECE: u8 = 8;
/// The longest packet is 120 ms.
const LONGEST: u8 = 48;
/// The longest frame (RFC 6716 3.2.1).
const MAX_FRAME: usize = 1275;
/// What a payload may hold; frames that do not fit into it go into the next, so that one piece is
/// shorter and none is too long for a datagram.
const MAX_BYTES: usize = 1400;
/// Of the largest header: the two first octets and two octets of length for each frame but one.
const MAX_HEADER: usize = 2 + 2 * (PIECE as usize - 1);
/// RTP ticks of 2.5 ms.
const TICKS: u32 = 120;

/// The payload does not come apart: a frame of it is longer than 20 ms, or it is no Opus packet.
/// It takes a decoder and an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unsplittable;

/// Collects frames until they are 20 ms.
#[derive(Debug, Clone)]
pub(crate) struct Repacketiser {
    waiting: Waiting,
    piece: [u8; MAX_HEADER + MAX_BYTES],
}

/// Frames of one kind, one after the other.
#[derive(Debug, Clone)]
struct Waiting {
    kind: Kind,
    lengths: [u16; PIECE as usize],
    count: u8,
    bytes: [u8; MAX_BYTES],
    used: usize,
}

/// The first octet without its frame count: configuration and channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kind(u8);

impl Kind {
    fn of(payload: &[u8]) -> Option<Self> {
        payload.first().map(|first| Self(first & 0xfc))
    }

    /// The length of a frame in 2.5 ms (RFC 6716 3.1).
    fn length(self) -> u8 {
        let configuration = self.0 >> 3;
        match (configuration, configuration & 3) {
            (16.., size) => 1 << size,
            (12..16, size) => 4 << (size & 1),
            (_, 3) => 24,
            (_, size) => 4 << size,
        }
    }
}

impl Repacketiser {
    pub(crate) fn new() -> Self {
        let waiting =
            Waiting { kind: Kind(0), lengths: [0; PIECE as usize], count: 0, bytes: [0; MAX_BYTES], used: 0 };
        Self { waiting, piece: [0; MAX_HEADER + MAX_BYTES] }
    }

    /// Takes a payload; `emit` gets each payload of 20 ms that is whole. One of exactly 20 ms
    /// passes as it is. Frames of another kind than those that wait send these off, shorter.
    ///
    /// # Errors
    /// The payload does not come apart; what waited is sent off.
    pub(crate) fn push(&mut self, payload: &[u8], emit: &mut impl FnMut(&[u8])) -> Result<(), Unsplittable> {
        let frames = Frames::parse(payload).filter(|frames| frames.kind.length() <= PIECE);
        let Some(frames) = frames else {
            self.send_off(emit);
            return Err(Unsplittable);
        };
        if self.waiting.count > 0 && self.waiting.kind != frames.kind {
            self.send_off(emit);
        }
        if self.waiting.count == 0 && frames.count * frames.kind.length() == PIECE {
            emit(payload);
            return Ok(());
        }
        self.waiting.kind = frames.kind;
        for frame in frames {
            if !self.waiting.has_room(frame) {
                self.send_off(emit);
            }
            self.waiting.add(frame);
            if self.waiting.length() >= PIECE {
                self.send_off(emit);
            }
        }
        Ok(())
    }

    /// RTP ticks of what waits: so much before the payload that comes next the next piece begins.
    pub(crate) fn pending(&self) -> u32 {
        u32::from(self.waiting.length()) * TICKS
    }

    /// What would have followed is lost: sends off what waits, filled up to 20 ms with frames
    /// without a byte, which the far end conceals (RFC 6716 3.2.1).
    pub(crate) fn fill_up(&mut self, emit: &mut impl FnMut(&[u8])) {
        if self.waiting.count > 0 {
            while self.waiting.length() < PIECE {
                self.waiting.add(&[]);
            }
            self.send_off(emit);
        }
    }

    /// Forgets what waits: another stream begins.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Sends off what waits as it is.
    fn send_off(&mut self, emit: &mut impl FnMut(&[u8])) {
        if self.waiting.count > 0 {
            if let Some(piece) = self.waiting.write(&mut self.piece) {
                emit(piece);
            }
            self.waiting.clear();
        }
    }
}

impl Waiting {
    fn clear(&mut self) {
        self.count = 0;
        self.used = 0;
    }

    /// In 2.5 ms.
    fn length(&self) -> u8 {
        self.count * self.kind.length()
    }

    fn has_room(&self, frame: &[u8]) -> bool {
        self.count < PIECE && self.used + frame.len() <= MAX_BYTES
    }

    /// A frame that has room.
    fn add(&mut self, frame: &[u8]) {
        let room = self.bytes.get_mut(self.used..self.used + frame.len());
        if let (Some(room), Some(length)) = (room, self.lengths.get_mut(usize::from(self.count))) {
            room.copy_from_slice(frame);
            // No frame is longer than 1275 octets.
            *length = u16::try_from(frame.len()).unwrap_or_default();
            self.used += frame.len();
            self.count += 1;
        }
    }

    /// One packet of all frames.
    fn write<'p>(&self, piece: &'p mut [u8]) -> Option<&'p [u8]> {
        let lengths = self.lengths.get(..usize::from(self.count))?;
        let (last, others) = lengths.split_last()?;
        let equal = others.iter().all(|length| length == last);
        let mut writer = Writer { piece, at: 0 };
        match (others, equal) {
            ([], _) => writer.put(&[self.kind.0])?,
            ([_], true) => writer.put(&[self.kind.0 | 1])?,
            ([first], false) => {
                writer.put(&[self.kind.0 | 2])?;
                writer.put_length(*first)?;
            }
            (_, true) => writer.put(&[self.kind.0 | 3, self.count])?,
            (_, false) => {
                writer.put(&[self.kind.0 | 3, VARIABLE | self.count])?;
                others.iter().try_for_each(|length| writer.put_length(*length))?;
            }
        }
        writer.put(self.bytes.get(..self.used)?)?;
        let Writer { piece, at } = writer;
        piece.get(..at)
    }
}

struct Writer<'p> {
    piece: &'p mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn put(&mut self, octets: &[u8]) -> Option<()> {
        self.piece.get_mut(self.at..self.at + octets.len())?.copy_from_slice(octets);
        self.at += octets.len();
        Some(())
    }

    /// RFC 6716 3.2.1.
    fn put_length(&mut self, length: u16) -> Option<()> {
        match u8::try_from(length) {
            Ok(length @ 0..252) => self.put(&[length]),
            _ => {
                let [_, low] = length.to_be_bytes();
                let first = 252 + (low & 3);
                self.put(&[first, u8::try_from((length - u16::from(first)) / 4).ok()?])
            }
        }
    }
}

/// Bits of the second octet of a packet of code 3.
const VARIABLE: u8 = 0x80;
const PADDED: u8 = 0x40;
const COUNT: u8 = 0x3f;

/// The frames of a packet, as many as it says and none beyond its end.
#[derive(Debug, Clone)]
struct Frames<'p> {
    kind: Kind,
    count: u8,
    /// Octets of all but the last, where they differ.
    lengths: Lengths<'p>,
    rest: &'p [u8],
}

#[derive(Debug, Clone)]
enum Lengths<'p> {
    Equal(usize),
    /// One or two octets each; the last frame is what remains.
    Told(&'p [u8]),
}

impl<'p> Frames<'p> {
    /// `None` for what RFC 6716 3.4 calls malformed.
    fn parse(payload: &'p [u8]) -> Option<Self> {
        let kind = Kind::of(payload)?;
        let (first, rest) = payload.split_first()?;
        let frames = match first & 3 {
            0 => Self { kind, count: 1, lengths: Lengths::Equal(rest.len()), rest },
            1 => Self::equal(kind, 2, rest)?,
            2 => Self::told(kind, 2, rest)?,
            _ => Self::many(kind, rest)?,
        };
        let whole = frames.clone().all(|frame| frame.len() <= MAX_FRAME);
        whole.then_some(frames)
    }

    fn many(kind: Kind, rest: &'p [u8]) -> Option<Self> {
        let (second, rest) = rest.split_first()?;
        let count = second & COUNT;
        if count == 0 || u16::from(count) * u16::from(kind.length()) > LONGEST.into() {
            return None;
        }
        let rest = if second & PADDED == 0 { rest } else { unpadded(rest)? };
        if second & VARIABLE == 0 { Self::equal(kind, count, rest) } else { Self::told(kind, count, rest) }
    }

    fn equal(kind: Kind, count: u8, rest: &'p [u8]) -> Option<Self> {
        let length = rest.len() / usize::from(count);
        let whole = rest.len() == length * usize::from(count);
        whole.then_some(Self { kind, count, lengths: Lengths::Equal(length), rest })
    }

    fn told(kind: Kind, count: u8, lengths: &'p [u8]) -> Option<Self> {
        let (mut rest, mut sum) = (lengths, 0);
        for _ in 1..count {
            let (length, after) = length(rest)?;
            (rest, sum) = (after, sum + length);
        }
        (sum <= rest.len()).then_some(Self { kind, count, lengths: Lengths::Told(lengths), rest })
    }
}

impl<'p> Iterator for Frames<'p> {
    type Item = &'p [u8];

    fn next(&mut self) -> Option<&'p [u8]> {
        self.count = self.count.checked_sub(1)?;
        let octets = match &mut self.lengths {
            Lengths::Equal(octets) => *octets,
            Lengths::Told(_) if self.count == 0 => self.rest.len(),
            Lengths::Told(lengths) => {
                let (octets, after) = length(lengths)?;
                *lengths = after;
                octets
            }
        };
        let (frame, rest) = self.rest.split_at_checked(octets)?;
        self.rest = rest;
        Some(frame)
    }
}

/// The length of a frame, and what follows it.
fn length(octets: &[u8]) -> Option<(usize, &[u8])> {
    match octets {
        [first @ 0..252, rest @ ..] => Some((usize::from(*first), rest)),
        [first, second, rest @ ..] => Some((4 * usize::from(*second) + usize::from(*first), rest)),
        _ => None,
    }
}

/// Without the padding at the end, whose length comes first (RFC 6716 3.2.5).
fn unpadded(mut rest: &[u8]) -> Option<&[u8]> {
    let mut padding = 0;
    loop {
        let (octet, after) = rest.split_first()?;
        rest = after;
        padding += if *octet == 255 { 254 } else { usize::from(*octet) };
        if *octet < 255 {
            return rest.get(..rest.len().checked_sub(padding)?);
        }
    }
}

#[cfg(test)]
mod tests;
