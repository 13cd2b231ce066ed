//! Another leg in the PBX's place.

use super::sound::{Phone, g711, heard_at_whatsapp, law_of};
use super::*;
use crate::rtp::testing::{amplitude, tone};
use crate::tone::{Sound, Tone};

/// A leg's speech at 1000 Hz, or another frequency, on its own line of numbers.
struct Leg {
    media: Media,
    hertz: f64,
    encoder: Phone,
    ssrc: u32,
    sequence: u16,
    spoken: u16,
}

impl Leg {
    fn new(media: Media, hertz: f64, ssrc: u32, sequence: u16) -> Self {
        Self { media, hertz, encoder: Phone::new(hertz), ssrc, sequence, spoken: 0 }
    }

    fn speak(&mut self, rig: &mut Rig, packets: u16) {
        for _ in 0..packets {
            let index = self.spoken;
            let opus = Sent::new(&self.encoder.packet(index)).payload;
            let payload = match self.media.codec {
                Codec::Opus => opus,
                _ => g711(law_of(&self.media), &tone(self.hertz, usize::from(index) * 160, 160)),
            };
            let ticks = u32::from(self.sequence) * (self.media.codec.clock() / 50);
            rig.pbx(&packet(header(self.media.payload_type, self.ssrc, self.sequence, ticks), &payload));
            self.sequence = self.sequence.wrapping_add(1);
            self.spoken += 1;
            rig.wait(20);
        }
    }
}

fn elsewhere(media: Media) -> Media {
    Media { remote: SocketAddr::from(([10, 0, 0, 2], 6000)), ..media }
}

fn opus() -> Media {
    media(Codec::Opus, 107, Some((101, 8000)))
}

fn level(heard: &[i16], from_ms: usize, to_ms: usize, hertz: f64) -> f64 {
    amplitude(&heard[from_ms * 8..to_ms * 8], hertz)
}

/// The first leg speaks, hangs up while the second rings, and the second speaks: WhatsApp's line has
/// no break, whatever the codecs are.
#[test]
fn whatsapps_line_goes_on_over_a_transfer() {
    for (first, second) in [(pcmu(), pcmu()), (pcmu(), opus()), (opus(), pcmu()), (opus(), opus())] {
        let mut rig = Rig::open(&first);
        rig.wait(10);
        rig.to_whatsapp.clear();
        Leg::new(first.clone(), 1000.0, PBX_SSRC, 900).speak(&mut rig, 50);
        rig.path.leave_pbx(rig.now);
        rig.wait(1000);
        rig.path.play_to_whatsapp(rig.now, Tone { sound: Sound::One(425), cadence: &[] }).expect("libopus");
        rig.wait(1000);
        rig.path.stop_tone();
        rig.path.set_pbx(&elsewhere(second.clone())).expect("libopus");
        Leg::new(second.clone(), 700.0, 0x9999, 20_000).speak(&mut rig, 50);

        let sent: Vec<&Sent> = rig.to_whatsapp.iter().map(|(_, sent)| sent).collect();
        for pair in sent.windows(2) {
            assert_eq!(pair[1].header.sequence, pair[0].header.sequence.wrapping_add(1));
            let step = pair[1].header.timestamp.wrapping_sub(pair[0].header.timestamp);
            assert!((960..=3 * 960).contains(&step), "{step}");
        }
        let times: Vec<u128> = rig.to_whatsapp.iter().map(|(at, _)| *at).collect();
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] <= 40), "{times:?}");
        let ticks = sent[sent.len() - 1].header.timestamp.wrapping_sub(sent[0].header.timestamp);
        assert!((ticks / 48).abs_diff(4000) <= 60, "{ticks}");

        let heard = heard_at_whatsapp(&rig.to_whatsapp);
        for (from, to, hertz) in [(200, 900, 1000.0), (2200, 2900, 425.0), (3200, 3900, 700.0)] {
            for tone in [1000.0, 425.0, 700.0] {
                let level = level(&heard, from, to, tone);
                let right = if tone == hertz { level > 4000.0 } else { level < 300.0 };
                assert!(right, "{} to {}, {from} ms: {tone} Hz at {level}", first.codec, second.codec);
            }
        }
        for tone in [1000.0, 425.0, 700.0] {
            assert!(level(&heard, 1200, 1900, tone) < 100.0, "silence while nothing plays");
        }
    }
}

#[test]
fn without_a_leg_nothing_is_heard_and_nothing_is_sent() {
    for media in [pcmu(), opus()] {
        let mut rig = Rig::open(&media);
        let mut phone = Phone::new(700.0);
        rig.path.leave_pbx(rig.now);
        rig.to_whatsapp.clear();
        Leg::new(media.clone(), 1000.0, PBX_SSRC, 1).speak(&mut rig, 50);
        for index in 0..10 {
            rig.whatsapp(&phone.packet(index));
        }
        assert!(rig.to_pbx.is_empty());
        assert_eq!(rig.to_whatsapp.len(), 50);
        let times: Vec<u128> = rig.to_whatsapp.iter().map(|(at, _)| *at).collect();
        assert_eq!(times, (1..=50).map(|index| index * 20).collect::<Vec<_>>());
        assert!(level(&heard_at_whatsapp(&rig.to_whatsapp), 0, 1000, 1000.0) < 100.0);
    }
}

/// A media server may give all its legs one SSRC.
#[test]
fn the_same_ssrc_with_other_numbers_is_another_source() {
    for media in [pcmu(), opus()] {
        let mut rig = Rig::open(&media);
        rig.wait(10);
        rig.to_whatsapp.clear();
        Leg::new(media.clone(), 1000.0, PBX_SSRC, 500).speak(&mut rig, 50);
        rig.path.set_pbx(&elsewhere(media.clone())).expect("libopus");
        Leg::new(media.clone(), 700.0, PBX_SSRC, 480).speak(&mut rig, 50);
        assert_eq!(rig.to_whatsapp.len(), 100, "none came late");
        assert_eq!(rig.path.counters().pbx.late, 0);
        assert!(level(&heard_at_whatsapp(&rig.to_whatsapp), 1100, 2000, 700.0) > 4000.0);
    }
}
