//! The path in virtual time, judged by what leaves it.

mod announcements;
mod dtmf;
mod gate;
mod inband;
mod keys;
mod network;
mod pauses;
mod robust;
mod sound;
mod tones;
mod transfer;

use std::net::SocketAddr;
use std::time::Instant;

use super::pbx::law;
use super::*;
use crate::codec::g711::Law;
use crate::codec::opus;
use crate::options::SessionOptions;
use crate::rtp::testing::{Sent, epoch, header, ms, packet};
use crate::sdp::pbx::{Codec, Direction, Media, OfferedAs};

const OPUS: u8 = 111;
const TO_WHATSAPP: LineSeed = LineSeed { ssrc: 0xaaaa, sequence: 65_530, timestamp: u32::MAX - 2000 };
const TO_PBX: LineSeed = LineSeed { ssrc: 0xbbbb, sequence: 65_500, timestamp: u32::MAX - 500 };
/// A path with the defaults.
fn config() -> PathConfig {
    PathConfig {
        to_whatsapp: TO_WHATSAPP,
        to_pbx: TO_PBX,
        opus_complexity: 5.into(),
        options: SessionOptions::default(),
    }
}
const PBX_SSRC: u32 = 0x1111;
const WHATSAPP_SSRC: u32 = 0x2222;

/// A path, its time, and what has left it.
struct Rig {
    path: AudioPath,
    start: Instant,
    now: Instant,
    /// With the milliseconds since the start.
    to_whatsapp: Vec<(u128, Sent)>,
    to_pbx: Vec<Sent>,
    /// When our own packets left for the PBX.
    own_to_pbx: Vec<u128>,
    /// When all packets left for the PBX.
    to_pbx_at: Vec<u128>,
}

fn formats(opus: u8, dtmf: u8) -> WhatsAppFormats {
    WhatsAppFormats { opus: Some(opus), dtmf, ..WhatsAppFormats::default() }
}

fn media(codec: Codec, payload_type: u8, dtmf: Option<(u8, u32)>) -> Media {
    Media {
        remote: SocketAddr::from(([10, 0, 0, 1], 4000)),
        codec,
        payload_type,
        dtmf,
        rtcp: None,
        offered_as: OfferedAs::default(),
        ptime_ms: 20,
        direction: Direction::SendRecv,
        secure: None,
        rtcp_mux: false,
        comfort_noise: false,
    }
}

fn pcmu() -> Media {
    media(Codec::Pcmu, 0, Some((101, 8000)))
}

impl Rig {
    /// A path with its gate shut.
    fn shut(media: &Media) -> Self {
        let mut path = AudioPath::new(config());
        path.set_whatsapp(formats(OPUS, 126));
        path.set_pbx(media).expect("libopus");
        let start = epoch();
        Self {
            path,
            start,
            now: start,
            to_whatsapp: Vec::new(),
            to_pbx: Vec::new(),
            own_to_pbx: Vec::new(),
            to_pbx_at: Vec::new(),
        }
    }

    /// A path with its gate shut whose owner has chosen.
    fn choosing(media: &Media, options: SessionOptions) -> Self {
        let mut rig = Self::shut(media);
        rig.path = AudioPath::new(PathConfig {
            to_whatsapp: TO_WHATSAPP,
            to_pbx: TO_PBX,
            opus_complexity: 5.into(),
            options,
        });
        rig.path.set_whatsapp(formats(OPUS, 126));
        rig.path.set_pbx(media).expect("libopus");
        rig
    }

    /// An open path that has sent its first frame of silence.
    fn open(media: &Media) -> Self {
        let mut rig = Self::shut(media);
        rig.path.open(rig.now);
        rig.wait(0);
        assert_eq!(rig.to_whatsapp.len(), 1);
        rig
    }

    /// Lets time pass, serving each deadline when it comes.
    fn wait(&mut self, milliseconds: u64) {
        self.wait_until(self.now + ms(milliseconds));
    }

    fn wait_until(&mut self, end: Instant) {
        while let Some(due) = self.path.deadline().filter(|due| *due <= end) {
            self.now = due.max(self.now);
            let at = (self.now - self.start).as_millis();
            self.path.handle_timeout(self.now, &mut |party, bytes: &[u8]| match party {
                Party::WhatsApp => self.to_whatsapp.push((at, Sent::new(bytes))),
                Party::Pbx => {
                    self.to_pbx.push(Sent::new(bytes));
                    self.own_to_pbx.push(at);
                    self.to_pbx_at.push(at);
                }
            });
        }
        self.now = end;
    }

    fn pbx(&mut self, bytes: &[u8]) {
        let (now, start, sent) = (self.now, self.start, &mut self.to_whatsapp);
        self.path.from_pbx(now, bytes, &mut |bytes: &[u8]| {
            sent.push(((now - start).as_millis(), Sent::new(bytes)));
        });
    }

    fn whatsapp(&mut self, bytes: &[u8]) {
        let (sent, times) = (&mut self.to_pbx, &mut self.to_pbx_at);
        let at = (self.now - self.start).as_millis();
        self.path.from_whatsapp(self.now, bytes, &mut |bytes: &[u8]| {
            sent.push(Sent::new(bytes));
            times.push(at);
        });
    }

    fn events(&mut self) -> Vec<PathEvent> {
        std::iter::from_fn(|| self.path.poll()).collect()
    }

    fn digits(&mut self) -> String {
        std::iter::from_fn(|| self.path.poll())
            .filter_map(|event| match event {
                PathEvent::Digit { digit, .. } => Some(digit),
                PathEvent::DigitEnded { .. }
                | PathEvent::FirstAudio(_)
                | PathEvent::Silent(_)
                | PathEvent::Heard(_)
                | PathEvent::Announced => None,
            })
            .collect()
    }
}

/// The numbers of each packet follow those of the one before, in steps of one frame.
fn assert_continuous<'a>(sent: impl IntoIterator<Item = &'a Sent>, step: u32) {
    let mut last: Option<Header> = None;
    for Sent { header, .. } in sent {
        if let Some(last) = last {
            assert_eq!(header.ssrc, last.ssrc);
            assert_eq!(header.sequence, last.sequence.wrapping_add(1), "{last:?} {header:?}");
            assert_eq!(header.timestamp, last.timestamp.wrapping_add(step), "{last:?} {header:?}");
        }
        last = Some(*header);
    }
}

use crate::rtp::header::Header;
