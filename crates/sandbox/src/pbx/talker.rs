//! What the phone says: a tone or a chirp in packets, and digits as RFC 4733 events in
//! between. It knows no clock: one call of [`Talker::tick`] is a packet's time.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use super::rtp::{KeyEvent, Packet};
use super::sdp::Remote;
use super::voice::Voice;
use crate::tone::{Sine, Sound};

/// A digit is held for this long and followed by so much sound, in milliseconds; whole packets.
const PRESS: u32 = 100;
const PAUSE: u32 = 60;
/// What a phone that no longer attends says again and again.
const REFRAIN: u32 = 1000;
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
    /// Milliseconds in a packet.
    ptime: u8,
    sine: Sine,
    /// The newest payloads, where they are to be said again.
    refrain: Option<VecDeque<Vec<u8>>>,
    absent: bool,
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
    /// A stream towards `remote` in packets of `ptime` ms; `seed` gives its SSRC, first sequence number and timestamp.
    pub(super) fn new(remote: Remote, (voice, ptime): (Voice, u8), sound: Sound, seed: u64) -> Self {
        let mut sine = Sine::new(0.0, voice.rate());
        sine.say(sound);
        Self {
            voice,
            remote,
            ptime,
            sine,
            refrain: None,
            absent: false,
            sequence: (seed >> 48) as u16,
            timestamp: (seed >> 16) as u32,
            ssrc: seed as u32 | 1,
            marker: true,
            keys: VecDeque::new(),
            doing: Doing::Speaking { ticks: PAUSE },
        }
    }

    pub(super) fn ssrc(&self) -> u32 {
        self.ssrc
    }

    pub(super) fn say(&mut self, sound: Sound) {
        self.sine.say(sound);
    }

    /// What is said is kept, to be said again once nobody attends.
    pub(super) fn keep_refrain(&mut self) {
        self.refrain = Some(VecDeque::new());
    }

    /// Nobody attends any more.
    pub(super) fn leave(&mut self) {
        self.absent = true;
    }

    /// The RTP clock's ticks of one packet.
    fn step(&self) -> u32 {
        self.remote.codec.clock() / 1000 * u32::from(self.ptime)
    }

    pub(super) fn press(&mut self, key: Key) {
        self.keys.push_back(key);
    }

    /// No packet this time: time goes on, and the next sound is a new talk spurt.
    pub(super) fn skip(&mut self) {
        self.timestamp = self.timestamp.wrapping_add(self.step());
        self.marker = true;
    }

    /// The packets of the next packet's time.
    pub(super) fn tick(&mut self) -> Vec<Packet> {
        let (step, pause) = (self.step(), PAUSE.div_ceil(self.ptime.into()));
        let now = self.timestamp;
        self.timestamp = now.wrapping_add(step);
        self.doing = match std::mem::replace(&mut self.doing, Doing::Speaking { ticks: 0 }) {
            Doing::Speaking { ticks } if ticks >= pause && self.remote.events.is_some() => {
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
                let end = ticks == PRESS.div_ceil(self.ptime.into());
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
        let payload = self.payload();
        let marker = std::mem::take(&mut self.marker);
        vec![self.packet(marker, self.remote.payload, timestamp, payload)]
    }

    /// The sound of the next packet, or that of one before.
    fn payload(&mut self) -> Vec<u8> {
        let most = (REFRAIN / u32::from(self.ptime)) as usize;
        if let Some(refrain) = self.refrain.as_mut().filter(|refrain| self.absent && refrain.len() == most) {
            refrain.rotate_left(1);
            return refrain.back().cloned().unwrap_or_default();
        }
        let mut samples = vec![0; self.voice.samples(self.ptime)];
        self.sine.fill(&mut samples);
        let payload = self.voice.encode(&samples);
        if let Some(refrain) = &mut self.refrain {
            refrain.push_back(payload.clone());
            refrain.drain(..refrain.len().saturating_sub(most));
        }
        payload
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
        talker_of(codec, 20)
    }

    fn talker_of(codec: Codec, ptime: u8) -> Talker {
        let remote =
            Remote { events: Some(101), ..Remote::plain("127.0.0.1:4000".parse().unwrap(), codec, 0) };
        Talker::new(remote, (Voice::new(codec).unwrap(), ptime), Sound::Tone(440.0), u64::MAX)
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
    fn longer_packets_go_on_by_as_much_and_hold_their_digits_as_long() {
        for (codec, ptime, step) in [(Codec::Pcma, 60, 480), (Codec::G722, 30, 240), (Codec::Opus, 10, 480)] {
            let mut talker = talker_of(codec, ptime);
            let (done, _) = oneshot::channel();
            let first = talker.tick().remove(0);
            talker.press(Key { digit: '5', done });
            let packets: Vec<Packet> = (0..20).flat_map(|_| talker.tick()).collect();
            assert_eq!(packets[0].timestamp, first.timestamp.wrapping_add(step));
            let event = packets.iter().rfind(|packet| packet.payload_type == 101).unwrap();
            let duration = KeyEvent::parse(&event.payload).unwrap().duration;
            let ms = u32::from(duration) * 1000 / codec.clock();
            assert!((100..160).contains(&ms), "{codec}: {ms} ms");
        }
    }

    #[test]
    fn a_refrain_is_the_last_second_again() {
        let mut talker = talker(Codec::Pcmu);
        talker.keep_refrain();
        let spoken: Vec<Vec<u8>> = (0..60).flat_map(|_| talker.tick()).map(|packet| packet.payload).collect();
        talker.leave();
        let again: Vec<Vec<u8>> = (0..100).flat_map(|_| talker.tick()).map(|packet| packet.payload).collect();
        assert_eq!(again[..50], spoken[10..]);
        assert_eq!(again[50..], again[..50]);
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
