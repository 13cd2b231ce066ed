//! Messages in a stream (RFC 3261 18.3): Content-Length says where each ends. Blank lines between them are ignored, two
//! in a row ask for a sign of life (RFC 5626 4.4.1).
//!
//! What breaks the rules breaks the stream: nobody can say where the next message would begin. A decoder holds at most
//! one message within its caps and what was pushed last.

use bytes::{Buf, Bytes, BytesMut};

use super::parse::{self, MAX_BODY, MAX_HEAD};

/// Room beyond this is given back when there is nothing to keep in it.
const KEPT_ROOM: usize = 4096;
/// The question for a sign of life.
const PING: &[u8; 4] = b"\r\n\r\n";
/// Its answer.
pub const PONG: &[u8] = b"\r\n";

/// What was found in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Framed {
    /// One whole message, to be parsed like a datagram.
    Message(Bytes),
    /// A keep-alive that wants [`PONG`].
    Ping,
}

/// The stream is broken: its last message gets this answer, then it is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// 400 or 513.
    pub status: u16,
    /// The reason phrase.
    pub reason: &'static str,
    /// The message as far as its empty line, or as far as it was read: what an answer copies stands there.
    pub head: Bytes,
}

/// Cuts a stream into messages.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Between messages; so much of [`PING`] has been seen.
    Between { seen: usize },
    /// Within the header fields; no empty line begins before `scanned`.
    Head { scanned: usize },
    /// The whole message has so many bytes.
    Body { length: usize },
    /// Nothing more will come of this stream.
    Broken,
}

impl Default for State {
    fn default() -> Self {
        Self::Between { seen: 0 }
    }
}

impl Decoder {
    /// Takes what was read. To be followed by [`Self::next`] until there is nothing more.
    pub fn push(&mut self, bytes: &[u8]) {
        if !matches!(self.state, State::Broken) {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Has a message begun that is not whole yet?
    pub fn is_within_message(&self) -> bool {
        matches!(self.state, State::Head { .. } | State::Body { .. })
    }

    /// The next message or keep-alive; `None` when more must be read.
    #[expect(clippy::should_implement_trait, reason = "an iterator would end where a stream only waits")]
    pub fn next(&mut self) -> Result<Option<Framed>, Fault> {
        loop {
            self.state = match self.state {
                State::Between { seen } => match self.blank_lines(seen) {
                    Blank::Ping => return Ok(Some(Framed::Ping)),
                    Blank::Nothing => return Ok(None),
                    Blank::Message => State::Head { scanned: 0 },
                },
                State::Head { scanned } => match head_end(&self.buffer, scanned) {
                    Some(end) if end <= MAX_HEAD => self.body(end)?,
                    None if self.buffer.len() <= MAX_HEAD => {
                        // The last line may be the empty one's first half.
                        self.state = State::Head { scanned: self.buffer.len().saturating_sub(2) };
                        return Ok(None);
                    }
                    Some(_) | None => return Err(self.fault(MAX_HEAD, (513, "Message Too Large"))),
                },
                State::Body { length } if self.buffer.len() >= length => {
                    self.state = State::default();
                    let message = self.buffer.split_to(length).freeze();
                    return Ok(Some(Framed::Message(message)));
                }
                State::Body { .. } | State::Broken => return Ok(None),
            };
        }
    }

    fn blank_lines(&mut self, mut seen: usize) -> Blank {
        while let Some(byte) = self.buffer.first().filter(|byte| matches!(byte, b'\r' | b'\n')) {
            seen = match PING.get(seen) {
                Some(expected) if expected == byte => seen + 1,
                _ => usize::from(*byte == b'\r'),
            };
            self.buffer.advance(1);
            if seen == PING.len() {
                self.state = State::default();
                return Blank::Ping;
            }
        }
        self.state = State::Between { seen };
        if !self.buffer.is_empty() {
            return Blank::Message;
        }
        if self.buffer.capacity() > KEPT_ROOM {
            self.buffer = BytesMut::new();
        }
        Blank::Nothing
    }

    /// The header fields are there: how long is the whole?
    fn body(&mut self, head: usize) -> Result<State, Fault> {
        let fault = match parse::content_length(self.buffer.get(..head).unwrap_or_default()) {
            Ok(Some(body)) if body <= MAX_BODY => return Ok(State::Body { length: head + body }),
            Ok(Some(_)) => (513, "Message Too Large"),
            Ok(None) => (400, "Missing Content-Length"),
            Err(reason) => (400, reason),
        };
        Err(self.fault(head, fault))
    }

    fn fault(&mut self, head: usize, (status, reason): (u16, &'static str)) -> Fault {
        self.state = State::Broken;
        let mut head_bytes = std::mem::take(&mut self.buffer);
        head_bytes.truncate(head);
        Fault { status, reason, head: head_bytes.freeze() }
    }
}

enum Blank {
    Ping,
    Nothing,
    Message,
}

/// Where the header fields end, their empty line included. Lines end as in a datagram: with a line feed, which a
/// carriage return may precede.
fn head_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let line_feed = at + bytes.get(at..)?.iter().position(|&byte| byte == b'\n')?;
        match bytes.get(line_feed + 1..)? {
            [b'\n', ..] => return Some(line_feed + 2),
            [b'\r', b'\n', ..] => return Some(line_feed + 3),
            _ => at = line_feed + 1,
        }
    }
}

#[cfg(test)]
mod tests;
