//! What the phone says: a tone in packets of 20 ms, and digits as RFC 4733
//! events in between. It knows no clock: one call of [`Talker::tick`] is 20 ms.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use super::rtp::{KeyEvent, Packet};
use super::sdp::Remote;
use super::voice::{FRAME, RATE, Voice};
use crate::tone::Sine;

/// A digit is held for five packets (100 ms) and followed by three of sound (60 ms).
const PRESS_TICKS: u32 = 5;
const PAUSE_TICKS: u32 = 3;
/// RFC 4733 section 2.5.1.4: the last packet of an event goes out three times.
const END_COPIES: usize = 3;

/// A digit to press, and who wants to know that it has gone out.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) digit: char,
    pub(super) done: oneshot::Sender<()>,
}

/// One RTP stream on its way out.
pub(super) struct Talker {
    voice: Voice,
    remote: Remote,
    sine: Sine,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
    marker: bool,
    keys: VecDeque<Key>,
    doing: Doing,
}

enum Doing {
    Speaking { ticks: u32 },
    Pressing { key: Key, since: u32, ticks: u32 },
}

impl Talker {
    /// A stream towards `remote`; `seed` gives its SSRC, first sequence number and timestamp.
    pub(super) fn new(remote: Remote, voice: Voice, hz: f64, seed: u64) -> Self {
        Self {
            voice,
            remote,
            sine: Sine::new(hz, RATE),
            sequence: (seed >> 48) as u16,
            timestamp: (seed >> 16) as u32,
            ssrc: seed as u32 | 1,
            marker: true,
            keys: VecDeque::new(),
            doing: Doing::Speaking { ticks: PAUSE_TICKS },
        }
    }

    pub(super) fn set_hz(&mut self, hz: f64) {
        self.sine.set_hz(hz);
    }

    pub(super) fn press(&mut self, key: Key) {
        self.keys.push_back(key);
    }

    /// 20 ms without a packet: time goes on, and the next sound is a new talk spurt.
    pub(super) fn skip(&mut self) {
        self.timestamp = self.timestamp.wrapping_add(self.remote.codec.clock() / 50);
        self.marker = true;
    }

    /// The packets of the next 20 ms.
    pub(super) fn tick(&mut self) -> Vec<Packet> {
        let step = self.remote.codec.clock() / 50;
        let now = self.timestamp;
        self.timestamp = now.wrapping_add(step);
        self.doing = match std::mem::replace(&mut self.doing, Doing::Speaking { ticks: 0 }) {
            Doing::Speaking { ticks } if ticks >= PAUSE_TICKS && self.remote.events.is_some() => {
                match self.keys.pop_front() {
                    Some(key) => Doing::Pressing { key, since: now, ticks: 0 },
                    None => Doing::Speaking { ticks },
                }
            }
            doing => doing,
        };
        match &mut self.doing {
            Doing::Speaking { ticks } => {
                *ticks += 1;
                self.speak(now)
            }
            Doing::Pressing { key, since, ticks } => {
                *ticks += 1;
                let (digit, since, ticks) = (key.digit, *since, *ticks);
                let end = ticks == PRESS_TICKS;
                let duration = u16::try_from(step * ticks).unwrap_or(u16::MAX);
                let packets = self.event(KeyEvent { digit, end, duration }, since, ticks == 1);
                if end && let Doing::Pressing { key, .. } = self.rest() {
                    // Nobody waits any more: the digit has gone out all the same.
                    let _ = key.done.send(());
                }
                packets
            }
        }
    }

    fn rest(&mut self) -> Doing {
        std::mem::replace(&mut self.doing, Doing::Speaking { ticks: 0 })
    }

    fn speak(&mut self, timestamp: u32) -> Vec<Packet> {
        let mut samples = [0; FRAME];
        self.sine.fill(&mut samples);
        let payload = self.voice.encode(&samples);
        let marker = std::mem::take(&mut self.marker);
        vec![self.packet(marker, self.remote.payload, timestamp, payload)]
    }

    fn event(&mut self, event: KeyEvent, timestamp: u32, marker: bool) -> Vec<Packet> {
        let (Some(payload), Some(number)) = (event.to_bytes(), self.remote.events) else {
            return Vec::new();
        };
        // Sound that starts again after a digit is a new talk spurt.
        self.marker = true;
        let copies = if event.end { END_COPIES } else { 1 };
        (0..copies).map(|_| self.packet(marker, number, timestamp, payload.to_vec())).collect()
    }

    fn packet(&mut self, marker: bool, payload_type: u8, timestamp: u32, payload: Vec<u8>) -> Packet {
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        Packet { marker, payload_type, sequence, timestamp, ssrc: self.ssrc, payload }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Codec;
    use super::super::rtp::Keypad;
    use super::*;

    fn talker(codec: Codec) -> Talker {
        let remote =
            Remote { address: "127.0.0.1:4000".parse().unwrap(), codec, payload: 0, events: Some(101) };
        Talker::new(remote, Voice::new(codec).unwrap(), 440.0, u64::MAX)
    }

    #[test]
    fn sound_goes_out_every_tick_on_the_codecs_clock() {
        for (codec, step) in [(Codec::Pcmu, 160), (Codec::Opus, 960)] {
            let mut talker = talker(codec);
            let packets: Vec<Packet> = (0..10).flat_map(|_| talker.tick()).collect();
            assert_eq!(packets.len(), 10);
            assert!(packets[0].marker && packets[1..].iter().all(|p| !p.marker));
            for pair in packets.windows(2) {
                assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
                assert_eq!(pair[1].timestamp, pair[0].timestamp.wrapping_add(step));
            }
        }
    }

    #[test]
    fn digits_follow_rfc_4733_and_the_clock_goes_on() {
        let mut talker = talker(Codec::Pcmu);
        let (done, mut gone) = oneshot::channel();
        let (later, _) = oneshot::channel();
        talker.press(Key { digit: '4', done });
        talker.press(Key { digit: '4', done: later });
        let packets: Vec<Packet> = (0..5).flat_map(|_| talker.tick()).collect();
        assert_eq!(packets.len(), 4 + END_COPIES);
        assert!(packets.iter().all(|p| p.timestamp == packets[0].timestamp && p.payload_type == 101));
        assert!(packets[0].marker && packets[1..].iter().all(|p| !p.marker));
        assert_eq!(gone.try_recv(), Ok(()));

        let sound = talker.tick();
        assert_eq!(sound[0].timestamp, packets[0].timestamp.wrapping_add(5 * 160));
        assert!(sound[0].marker && sound[0].payload_type == 0);

        let mut keypad = Keypad::default();
        let rest: Vec<Packet> = (0..20).flat_map(|_| talker.tick()).collect();
        for packet in packets.iter().chain(&rest).filter(|p| p.payload_type == 101) {
            keypad.take(packet).unwrap();
        }
        assert_eq!(keypad.digits, "44");
        assert_eq!(keypad.finish(), Ok(()));
    }
}
