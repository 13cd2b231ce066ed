//! RTP packets (RFC 3550 section 5.1) and keypad events (RFC 4733 section 2.3) by hand.

/// The keypad in the order of RFC 4733's event numbers.
const KEYS: &[u8; 16] = b"0123456789*#ABCD";
const HEADER: usize = 12;

/// A packet, in or out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) marker: bool,
    pub(super) payload_type: u8,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) ssrc: u32,
    pub(super) payload: Vec<u8>,
}

impl Packet {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0x80, u8::from(self.marker) << 7 | self.payload_type];
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.timestamp.to_be_bytes());
        bytes.extend(self.ssrc.to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }

    /// Reads a plain packet: version 2, no padding, no extension, no contributors.
    /// The bridge has no reason to send anything else on a PBX leg.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let (head, payload) =
            bytes.split_at_checked(HEADER).ok_or_else(|| format!("RTP: {} bytes", bytes.len()))?;
        if head[0] != 0x80 {
            return Err(format!("RTP: first byte {:#04x}, 0x80 was expected", head[0]));
        }
        if payload.is_empty() {
            return Err("RTP: empty payload".to_owned());
        }
        Ok(Self {
            marker: head[1] & 0x80 != 0,
            payload_type: head[1] & 0x7F,
            sequence: u16::from_be_bytes([head[2], head[3]]),
            timestamp: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
            ssrc: u32::from_be_bytes([head[8], head[9], head[10], head[11]]),
            payload: payload.to_vec(),
        })
    }
}

/// Is this RTCP on the RTP port (RFC 5761 section 4)?
pub(super) fn is_rtcp(bytes: &[u8]) -> bool {
    matches!(bytes, [first, 192..=223, ..] if first >> 6 == 2)
}

/// One RTP payload of a keypad event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyEvent {
    pub(super) digit: char,
    pub(super) end: bool,
    pub(super) duration: u16,
}

impl KeyEvent {
    /// The four bytes; None for what is not on a keypad.
    pub(super) fn to_bytes(self) -> Option<[u8; 4]> {
        let number = KEYS.iter().position(|key| char::from(*key) == self.digit.to_ascii_uppercase())?;
        let [high, low] = self.duration.to_be_bytes();
        Some([number as u8, u8::from(self.end) << 7 | 10, high, low])
    }

    pub(super) fn parse(payload: &[u8]) -> Result<Self, String> {
        let [number, flags, high, low] = payload else {
            return Err(format!("keypad event of {} bytes", payload.len()));
        };
        let digit = KEYS
            .get(usize::from(*number))
            .map(|key| char::from(*key))
            .ok_or_else(|| format!("keypad event {number}"))?;
        Ok(Self { digit, end: flags & 0x80 != 0, duration: u16::from_be_bytes([*high, *low]) })
    }
}

/// Collects the digits of one stream and what was wrong with their packets.
#[derive(Debug, Default)]
pub(super) struct Keypad {
    pub(super) digits: String,
    current: Option<Pressed>,
}

#[derive(Debug)]
struct Pressed {
    timestamp: u32,
    digit: char,
    duration: u16,
    ended: bool,
}

impl Keypad {
    /// Takes one event packet; a complaint when RFC 4733 section 2.5.1 is not kept.
    pub(super) fn take(&mut self, packet: &Packet) -> Result<(), String> {
        let event = KeyEvent::parse(&packet.payload)?;
        if let Some(pressed) = self.current.as_mut().filter(|p| p.timestamp == packet.timestamp) {
            if pressed.digit != event.digit {
                return Err(format!("digit {} became {} under one timestamp", pressed.digit, event.digit));
            }
            let shrank =
                event.duration < pressed.duration || pressed.ended && event.duration != pressed.duration;
            pressed.duration = event.duration;
            pressed.ended |= event.end;
            return if shrank {
                Err(format!("duration of digit {} runs backwards", event.digit))
            } else {
                Ok(())
            };
        }
        let unfinished = self.finish();
        self.digits.push(event.digit);
        self.current = Some(Pressed {
            timestamp: packet.timestamp,
            digit: event.digit,
            duration: event.duration,
            ended: event.end,
        });
        unfinished?;
        if packet.marker { Ok(()) } else { Err(format!("digit {} starts without marker", event.digit)) }
    }

    /// The stream went on with something else: a digit that never ended is a mistake.
    pub(super) fn finish(&mut self) -> Result<(), String> {
        match self.current.take() {
            Some(pressed) if !pressed.ended => Err(format!("digit {} has no end packet", pressed.digit)),
            _ => Ok(()),
        }
    }
}

/// Last packet of the stream that comes in.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) ssrc: u32,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) sound: bool,
}

/// One SSRC, and between two packets of sound in sequence the step of a packet.
pub(super) fn check_pace(
    last: Option<&Incoming>,
    packet: &Packet,
    sound: bool,
    wanted: u32,
) -> Result<(), String> {
    let Some(last) = last else { return Ok(()) };
    if last.ssrc != packet.ssrc {
        return Err("RTP: the SSRC changed in the call".to_owned());
    }
    let next = packet.sequence == last.sequence.wrapping_add(1);
    let step = packet.timestamp.wrapping_sub(last.timestamp);
    if next && sound && last.sound && !packet.marker && step != wanted {
        return Err(format!("RTP: timestamp went on by {step} in one packet"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(timestamp: u32, marker: bool, digit: char, end: bool, duration: u16) -> Packet {
        let payload = KeyEvent { digit, end, duration }.to_bytes().unwrap().to_vec();
        Packet { marker, payload_type: 101, sequence: 1, timestamp, ssrc: 9, payload }
    }

    #[test]
    fn a_packet_survives_the_wire() {
        let sent = packet(77, true, '#', true, 800);
        assert_eq!(Packet::parse(&sent.to_bytes()).unwrap(), sent);
        assert_eq!(sent.to_bytes()[12..], [11, 0x8A, 3, 32]);
        assert!(Packet::parse(&[0x80; 11]).is_err());
        assert!(Packet::parse(&[0x90; 20]).is_err());
        assert!(is_rtcp(&[0x80, 200, 0, 6]) && !is_rtcp(&sent.to_bytes()));
    }

    #[test]
    fn each_press_is_one_digit() {
        let mut keypad = Keypad::default();
        for (timestamp, digit) in [(0, '1'), (1600, '1'), (3200, '#')] {
            for (marker, end, duration) in
                [(true, false, 160), (false, false, 320), (false, true, 480), (false, true, 480)]
            {
                keypad.take(&packet(timestamp, marker, digit, end, duration)).unwrap();
            }
        }
        assert_eq!(keypad.digits, "11#");
        assert_eq!(keypad.finish(), Ok(()));
    }

    #[test]
    fn mistakes_are_named_and_the_digit_still_counts() {
        let mut keypad = Keypad::default();
        assert!(keypad.take(&packet(0, false, '5', false, 160)).unwrap_err().contains("marker"));
        assert!(keypad.take(&packet(0, false, '5', false, 80)).unwrap_err().contains("backwards"));
        assert!(keypad.take(&packet(0, false, '6', false, 320)).unwrap_err().contains("became"));
        assert!(
            keypad.take(&packet(1600, true, '7', false, 160)).unwrap_err().contains("digit 5 has no end")
        );
        assert!(keypad.finish().unwrap_err().contains("digit 7"));
        assert_eq!(keypad.digits, "57");
        assert!(KeyEvent { digit: 'x', end: false, duration: 0 }.to_bytes().is_none());
    }
}
