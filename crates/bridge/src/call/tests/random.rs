//! 100,000 random calls: webhooks repeated much, the PBX's events, the audio path's, time-outs, and ends
//! that fail for a while. Beside what must hold of each, a repetition changes nothing: the same call
//! with more repetitions wants the very same things done at the very same times.

use std::time::{Duration, Instant};

use sip_core::Lost;
use wa_signaling::ErrorKind;

use super::Bench;
use super::FIRST;
use super::any_order::{NEW, Step, run};
use super::world::World;
use crate::call::event::{Event, SipEvent, SipRefusal};
use crate::call::machine::{AnswerOn, InviteAfter, Ringback, Settings};

/// Calls of each direction.
const CALLS: u64 = 50_000;

/// A small generator (SplitMix64): the same numbers from the same seed, for ever.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("it fits")
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    fn reply(&mut self) -> Result<(), ErrorKind> {
        use ErrorKind::{AlreadyEnded, NoCallPermission, Outage, RateLimited, SdpRefused, Timeout};
        if self.below(3) > 0 {
            return Ok(());
        }
        Err(self.of(&[AlreadyEnded, NoCallPermission, Outage, RateLimited, SdpRefused, Timeout]))
    }

    fn webhook(&mut self) -> Event {
        let often =
            [Event::WaConnect { usable: true }, Event::WaRinging, Event::WaAccepted, Event::Identified];
        let seldom = [
            Event::WaRejected,
            Event::WaTerminated { error: None },
            Event::WaTerminated { error: Some(138_021) },
            Event::WaHungUp,
            Event::WaConnect { usable: false },
        ];
        if self.one_in(8) { self.of(&seldom) } else { self.of(&often) }
    }

    fn other(&mut self) -> Event {
        match self.below(10) {
            0..2 => Event::ConnectReply(self.reply()),
            2 => Event::PreAcceptReply(self.reply()),
            3..5 => Event::AcceptReply(self.reply()),
            5..7 => Event::EndReply(self.reply()),
            7 => Event::MediaConnected,
            8 => Event::MediaHeard,
            _ => {
                if self.one_in(6) {
                    Event::MediaFailed
                } else {
                    Event::MediaConnected
                }
            }
        }
    }

    fn sip(&mut self) -> SipEvent {
        let often = [
            SipEvent::Ringing(180),
            SipEvent::Answered { usable: true },
            SipEvent::Acked { usable: true },
            SipEvent::Refer { target: NEW },
            SipEvent::Replaced { by: NEW },
        ];
        let seldom = [
            SipEvent::Cancelled,
            SipEvent::Bye,
            SipEvent::AckTimeout,
            SipEvent::Ended,
            SipEvent::Acked { usable: false },
            SipEvent::Answered { usable: false },
            SipEvent::Refused(SipRefusal::Status(486)),
            SipEvent::Refused(SipRefusal::Status(503)),
            SipEvent::Refused(SipRefusal::Silence),
            SipEvent::Refused(SipRefusal::Redirected(NEW)),
            SipEvent::Lost(Lost::Expired),
            SipEvent::Lost(Lost::Gone),
        ];
        if self.one_in(4) { self.of(&seldom) } else { self.of(&often) }
    }

    fn script(&mut self) -> Vec<Step> {
        let mut script = Vec::new();
        for _ in 0..self.below(40) {
            let step = match self.below(12) {
                0..5 => Step::Give(self.webhook()),
                5..8 => Step::Give(self.other()),
                8..10 => Step::Sip(self.below(100), self.sip()),
                10 => Step::Pass(Duration::from_millis(self.next() % 3_000)),
                _ => Step::Pass(Duration::from_millis(self.next() % 40_000)),
            };
            script.push(step);
        }
        script
    }

    /// The same with webhooks sent again, some of them often.
    fn repeated(&mut self, script: &[Step]) -> Vec<Step> {
        let (mut seen, mut all) = (Vec::new(), Vec::new());
        for step in script {
            all.push(step.clone());
            if let Step::Give(event) = step
                && is_webhook(event)
            {
                seen.push(step.clone());
            }
            while !seen.is_empty() && self.below(2) == 0 {
                all.push(self.of(&seen));
            }
        }
        all
    }

    fn settings(&mut self) -> Settings {
        Settings {
            answer_on: self.of(&[AnswerOn::Accepted, AnswerOn::AcceptedOrMedia, AnswerOn::Connect]),
            invite_after: self.of(&[InviteAfter::DtlsUp, InviteAfter::Webhook]),
            rejected_is_603: self.one_in(2),
            ringback: self.of(&[Ringback::Ringing, Ringback::Tone]),
            longest: self.of(&[None, Some(Duration::from_secs(30))]),
            ..Settings::default()
        }
    }
}

fn is_webhook(event: &Event) -> bool {
    matches!(
        event,
        Event::Identified
            | Event::WaConnect { .. }
            | Event::WaRinging
            | Event::WaAccepted
            | Event::WaRejected
            | Event::WaTerminated { .. }
            | Event::WaHungUp
    )
}

/// Says which call it was, when it fails.
struct Case<'a>(u64, &'a [Step]);

impl Drop for Case<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}: {:?}", self.0, self.1);
        }
    }
}

fn play(seed: u64, begin: fn(Instant, Settings) -> (Bench, World)) {
    let (mut numbers, now) = (Numbers(seed), Instant::now());
    let (settings, script) = (numbers.settings(), numbers.script());
    let repeated = numbers.repeated(&script);
    let failing = u32::try_from(numbers.below(8)).expect("it fits");
    let _case = Case(seed, &repeated);
    let play = |script: &[Step]| {
        let (bench, world) = begin(now, settings);
        run(bench, world, script, failing)
    };
    assert_eq!(play(&script), play(&repeated), "a repetition changed something in {script:?}");
}

#[test]
fn fifty_thousand_calls_from_the_pbx() {
    for seed in 0..CALLS {
        play(seed, |now, settings| (Bench::from_pbx_at(now, settings), World::from_pbx(FIRST)));
    }
}

#[test]
fn fifty_thousand_calls_from_whatsapp() {
    for seed in CALLS..2 * CALLS {
        play(seed, |now, settings| (Bench::from_whatsapp_at(now, settings), World::from_whatsapp()));
    }
}
