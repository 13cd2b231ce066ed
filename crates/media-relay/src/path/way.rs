//! What becomes of one direction's sound: it passes untouched where both sides have its coding, else it
//! is transcoded. Once it had to be transcoded it stays so until the sides agree anew: a source that
//! changes its mind with every packet builds no encoder with each.

use std::time::{Duration, Instant};

use crate::codec::Frame;
use crate::codec::inband::Change;
use crate::codec::repacketise::Unsplittable;
use crate::options::JitterLimits;
use crate::rtp::header::{Header, Packet};
use crate::rtp::rewrite::{FRAME, Line, Stamp};

use super::coding::Coding;
use super::event::{PathError, SideCounters};
use super::inband::Listens;
use super::lane::Lane;
use super::split::Split;
use super::transcode::{Target, Transcoding};

/// Of 20 ms: what passes untouched, as WhatsApp's `maxptime` wants it.
const OPUS_FRAME: u32 = 960;

/// How one direction is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    /// What is expected to come.
    pub(super) source: Coding,
    /// What is to go out, and as which payload type.
    pub(super) target: Target,
    pub(super) payload_type: u8,
    pub(super) limits: JitterLimits,
    /// Whether there may be keys in the sound.
    pub(super) listens: Listens,
}

/// One direction.
pub(super) struct Way {
    plan: Plan,
    mode: Mode,
    /// The loss that the far side reports, in percent.
    loss: u8,
    /// The length of the packet that came last.
    length: Duration,
}

enum Mode {
    /// Each packet as it comes.
    Pass,
    /// Opus of another packet length.
    Split(Box<Split>),
    Transcode(Box<Transcoding>),
}

/// The counters of a packet's way.
pub(super) struct Counters<'a> {
    pub(super) from: &'a mut SideCounters,
    pub(super) to: &'a mut SideCounters,
}

impl Plan {
    fn passes(&self) -> bool {
        self.source == self.target.coding && self.listens != Listens::Always
    }

    /// Whether another plan needs no other encoder.
    pub(super) fn goes_on_as(&self, other: &Self) -> bool {
        self.passes() == other.passes() && self.target == other.target && self.listens == other.listens
    }
}

impl Way {
    /// # Errors
    /// The codec cannot be set up.
    pub(super) fn new(plan: Plan, loss: u8) -> Result<Self, PathError> {
        let mut way = Self { plan, mode: Mode::Pass, loss, length: FRAME };
        if !plan.passes() {
            way.transcode(plan.source)?;
        }
        Ok(way)
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The same way for another leg, or with other numbers. True when there is a line to begin anew.
    pub(super) fn go_on(&mut self, plan: Plan, elsewhere: bool) -> bool {
        self.plan = plan;
        match &mut self.mode {
            Mode::Transcode(transcoding) if elsewhere => {
                transcoding.new_source();
                return false;
            }
            Mode::Transcode(_) => return false,
            Mode::Split(_) if elsewhere => self.mode = Mode::Pass,
            Mode::Pass | Mode::Split(_) => {}
        }
        elsewhere
    }

    /// A packet of sound. Gives whether anything went out.
    pub(super) fn handle(
        &mut self,
        now: Instant,
        (coding, packet): (Coding, &Packet<'_>),
        lane: &mut Lane,
        counters: &mut Counters<'_>,
        out: &mut impl FnMut(&[u8]),
    ) -> bool {
        let ticks = coding.ticks(packet.payload);
        if let Some(ticks) = ticks {
            self.length = length(ticks, coding.clock());
        }
        if self.fit(coding, ticks, &mut lane.line).is_err() {
            counters.from.malformed += 1;
            return false;
        }
        let (before, pt) = (counters.to.sent, self.plan.payload_type);
        lane.line.use_clock(self.plan.target.coding.clock());
        let Counters { from, to } = counters;
        match &mut self.mode {
            Mode::Pass => {
                let kind = (pt, packet.header.marker);
                let sent = lane.audio(now, Stamp::from(packet.header), kind, packet.payload, out);
                from.late += u64::from(!sent);
                to.sent += u64::from(sent);
            }
            Mode::Split(split) => {
                let Some(ticks) = ticks else {
                    from.malformed += 1;
                    split.leave_out(&packet.header);
                    return false;
                };
                let mut emit = |stamp: Stamp, payload: &[u8]| {
                    to.sent += u64::from(lane.audio(now, stamp, (pt, false), payload, out));
                };
                match split.handle(packet, ticks, &mut emit) {
                    Ok(on_time) => from.late += u64::from(!on_time),
                    Err(Unsplittable) if self.change(coding, &mut lane.line).is_ok() => {
                        return self.handle(now, (coding, packet), lane, counters, out);
                    }
                    Err(Unsplittable) => from.malformed += 1,
                }
            }
            Mode::Transcode(transcoding) => {
                transcoding.handle(now, coding, packet, from, &mut |stamp, payload| {
                    to.sent += u64::from(lane.sound(now, stamp, pt, payload, out));
                });
            }
        }
        counters.to.sent > before
    }

    /// The length of what the source's packets bring.
    pub(super) fn length(&self) -> Duration {
        self.length
    }

    /// When [`Self::play_due`] wants to be called.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.mode {
            Mode::Pass | Mode::Split(_) => None,
            Mode::Transcode(transcoding) => transcoding.deadline(),
        }
    }

    /// Plays what has waited until now. Gives whether anything went out.
    pub(super) fn play_due(
        &mut self,
        now: Instant,
        lane: &mut Lane,
        counters: &mut Counters<'_>,
        out: &mut impl FnMut(&[u8]),
    ) -> bool {
        let (before, pt) = (counters.to.sent, self.plan.payload_type);
        let Counters { from, to } = counters;
        if let Mode::Transcode(transcoding) = &mut self.mode {
            lane.line.use_clock(self.plan.target.coding.clock());
            transcoding.play_due(now, from, &mut |stamp, payload| {
                to.sent += u64::from(lane.sound(now, stamp, pt, payload, out));
            });
        }
        counters.to.sent > before
    }

    /// Lets go what has waited until now: nobody is to hear it.
    pub(super) fn drop_due(&mut self, now: Instant) {
        if let Mode::Transcode(transcoding) = &mut self.mode {
            transcoding.drop_due(now);
        }
    }

    /// The source pauses: nothing is missed before its next sound.
    pub(super) fn pause(&mut self) {
        if let Mode::Transcode(transcoding) = &mut self.mode {
            transcoding.pause();
        }
    }

    /// The source is gone, and what waits of it.
    pub(super) fn forget(&mut self) {
        if let Mode::Transcode(transcoding) = &mut self.mode {
            transcoding.new_source();
        }
    }

    /// Whether all was made up for a silent source that may be: what comes next is silence.
    pub(super) fn ran_dry(&self) -> bool {
        match &self.mode {
            Mode::Pass | Mode::Split(_) => false,
            Mode::Transcode(transcoding) => transcoding.ran_dry(),
        }
    }

    /// What the jitter buffer adds now; nothing where packets pass.
    pub(super) fn delay(&self) -> Duration {
        match &self.mode {
            Mode::Pass | Mode::Split(_) => Duration::ZERO,
            Mode::Transcode(transcoding) => transcoding.delay(),
        }
    }

    /// The loss, in percent, that the far side reports.
    pub(super) fn set_loss(&mut self, percent: u8) {
        self.loss = percent;
        if let Mode::Transcode(transcoding) = &mut self.mode {
            transcoding.set_loss(percent);
        }
    }

    /// 20 ms of our own in this coding, where an encoder of ours has spoken it already.
    pub(super) fn own_frame(&mut self, coding: Coding, frame: &Frame) -> Option<&[u8]> {
        match &mut self.mode {
            Mode::Pass | Mode::Split(_) => None,
            Mode::Transcode(transcoding) => transcoding.own_frame(coding, frame),
        }
    }

    /// Whether [`Self::own_frame`] has an encoder for this.
    pub(super) fn speaks(&self, coding: Coding) -> bool {
        matches!(self.mode, Mode::Transcode(_)) && self.plan.target.coding == coding
    }

    /// The place of an event's packet; `None` when it comes late.
    pub(super) fn place_event(&mut self, header: &Header) -> Option<Stamp> {
        match &mut self.mode {
            Mode::Pass => Some(Stamp::from(*header)),
            Mode::Split(split) => split.place_event(header),
            Mode::Transcode(transcoding) => transcoding.place_event(header),
        }
    }

    /// A packet that is no sound is no packet that was lost.
    pub(super) fn skip(&mut self, header: &Header) {
        match &mut self.mode {
            Mode::Pass => {}
            Mode::Split(split) => split.leave_out(header),
            Mode::Transcode(transcoding) => transcoding.leave_out(header),
        }
    }

    /// A packet of sound that the far side does not get.
    pub(super) fn leave_out(&mut self, header: &Header, line: &mut Line) {
        match &mut self.mode {
            Mode::Pass => line.leave_out(Stamp::from(*header)),
            Mode::Split(split) => split.leave_out(header),
            Mode::Transcode(transcoding) => transcoding.leave_out(header),
        }
    }

    /// Whether the sound is being listened to for keys.
    pub(super) fn listens(&self) -> bool {
        self.plan.listens != Listens::Never && matches!(self.mode, Mode::Transcode(_))
    }

    /// The next change of a key in the sound.
    pub(super) fn key(&mut self) -> Option<Change> {
        match &mut self.mode {
            Mode::Pass | Mode::Split(_) => None,
            Mode::Transcode(transcoding) => transcoding.key(),
        }
    }

    /// What follows has nothing to do with the keys that were heard.
    pub(super) fn forget_keys(&mut self) {
        if let Mode::Transcode(transcoding) = &mut self.mode {
            transcoding.forget_keys();
        }
    }

    /// Sees to it that a packet can be handled.
    fn fit(&mut self, coding: Coding, ticks: Option<u32>, line: &mut Line) -> Result<(), PathError> {
        let target = &self.plan.target;
        let is_opus = coding == Coding::Opus && target.coding == Coding::Opus;
        let is_frame = ticks.is_none_or(|ticks| ticks == OPUS_FRAME);
        match &self.mode {
            Mode::Transcode(_) => Ok(()),
            Mode::Split(_) if is_opus => Ok(()),
            Mode::Pass if is_opus && is_frame => Ok(()),
            Mode::Pass if is_opus => {
                line.new_source(target.coding.clock());
                self.mode = Mode::Split(Box::new(Split::new()));
                Ok(())
            }
            Mode::Pass if coding == target.coding && ticks == Some(target.ticks()) => Ok(()),
            Mode::Pass | Mode::Split(_) => self.change(coding, line),
        }
    }

    /// What passed is transcoded from now on.
    fn change(&mut self, source: Coding, line: &mut Line) -> Result<(), PathError> {
        line.new_source(self.plan.target.coding.clock());
        self.transcode(source)
    }

    fn transcode(&mut self, source: Coding) -> Result<(), PathError> {
        let mut transcoding = Transcoding::new(source, self.plan.target, self.plan.limits)?;
        transcoding.set_loss(self.loss);
        if self.plan.listens != Listens::Never {
            transcoding.listen();
        }
        self.mode = Mode::Transcode(Box::new(transcoding));
        Ok(())
    }
}

fn length(ticks: u32, clock: u32) -> Duration {
    Duration::from_micros(u64::from(ticks) * 1_000_000 / u64::from(clock))
}
