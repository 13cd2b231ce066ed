//! The statistics of a stream that we receive (RFC 3550 A.1, A.3, A.8), without probation: the PBX's
//! source is latched and WhatsApp's is authenticated.

use std::time::{Duration, Instant};

use super::header::Header;
use super::rtcp::ReportBlock;

/// A jump forward beyond this many packets is a source that started anew (RFC 3550 A.1).
const MAX_DROPOUT: u16 = 3000;
/// So many packets back is late and no new start.
const MAX_MISORDER: u16 = 100;
/// Of the newest sequence numbers it is known which have come: more than [`MAX_MISORDER`].
const WINDOW: u32 = u128::BITS;
/// A transit time that jumps by more is a timestamp that started anew: after hold, at a new codec.
const LONGEST_JUMP: Duration = Duration::from_secs(1);
/// Cumulative loss has 24 bits and a sign (RFC 3550 6.4.1).
const MOST_LOST: i64 = 0x7F_FFFF;
const LEAST_LOST: i64 = -0x80_0000;

/// What has come of a side's streams, over all their SSRCs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Packets, those that came twice included.
    pub(crate) packets: u64,
    /// Packets that the sequence numbers tell of.
    pub(crate) expected: u64,
    /// Packets that have not come, so far.
    pub(crate) lost: u64,
    /// Packets that came after a newer one.
    pub(crate) reordered: u64,
    /// Packets that had come before.
    pub(crate) duplicated: u64,
    /// How often one or more packets in a row were missing when the next came.
    pub(crate) gaps: u64,
    /// How often another SSRC took over, or the same one started anew.
    pub(crate) restarts: u64,
}

impl Totals {
    fn plus(self, other: Self) -> Self {
        Self {
            packets: self.packets + other.packets,
            expected: self.expected + other.expected,
            lost: self.lost + other.lost,
            reordered: self.reordered + other.reordered,
            duplicated: self.duplicated + other.duplicated,
            gaps: self.gaps + other.gaps,
            restarts: self.restarts + other.restarts,
        }
    }
}

/// What is received from one side.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reception {
    origin: Option<Instant>,
    source: Option<Source>,
    /// Of the sources before.
    former: Totals,
}

impl Reception {
    /// Notes a packet. `clock` is that of its payload; `None` where its timestamp stands for no
    /// instant of its own, as in telephone events.
    pub(crate) fn hear(&mut self, now: Instant, header: Header, clock: Option<u32>) {
        let origin = *self.origin.get_or_insert(now);
        let source = match self.source.take() {
            None => Source::new(header),
            Some(mut source) => match source.judge(header) {
                Verdict::Taken => source,
                Verdict::Far => {
                    self.source = Some(source);
                    return;
                }
                Verdict::New => {
                    let totals = source.totals();
                    self.former = self.former.plus(Totals { restarts: 1, ..totals });
                    Source::new(header)
                }
            },
        };
        let source = self.source.insert(source);
        if let Some(clock) = clock {
            let arrival = units(now.saturating_duration_since(origin), clock);
            source.time(clock, arrival.wrapping_sub(header.timestamp));
        }
    }

    /// Over all sources so far.
    pub(crate) fn totals(&self) -> Totals {
        let present = self.source.as_ref().map(Source::totals).unwrap_or_default();
        self.former.plus(present)
    }

    /// The interarrival jitter now (RFC 3550 6.4.1).
    pub(crate) fn jitter(&self) -> Option<Duration> {
        let source = self.source.as_ref()?;
        let (clock, _) = source.transit?;
        Some(span(source.jitter >> 4, clock))
    }

    /// The clock of what is heard now.
    pub(crate) fn clock(&self) -> Option<u32> {
        self.source.as_ref()?.transit.map(|(clock, _)| clock)
    }

    /// What the next report says of the source. The loss is told from the report before on.
    pub(crate) fn report(&mut self) -> Option<ReportBlock> {
        self.source.as_mut().map(Source::report)
    }
}

/// What a packet is to a source.
enum Verdict {
    /// One of its own.
    Taken,
    /// Too far off to count, unless the one after it comes too.
    Far,
    /// The first of another.
    New,
}

/// One SSRC.
#[derive(Debug, Clone)]
struct Source {
    ssrc: u32,
    /// First sequence number.
    base: u32,
    /// Highest sequence number, the wraps above it.
    highest: u32,
    /// Bit `n` is set when the packet `n` below the highest has come.
    seen: u128,
    /// The number after one that was far off: two in a row are a new start.
    far: Option<u16>,
    received: u64,
    reordered: u64,
    duplicated: u64,
    gaps: u64,
    /// Sixteen times the jitter, in units of the clock.
    jitter: u32,
    /// The clock and the newest transit time in its units.
    transit: Option<(u32, u32)>,
    /// At the report before.
    prior: (u32, u64),
}

impl Source {
    fn new(header: Header) -> Self {
        let base = u32::from(header.sequence);
        Self {
            ssrc: header.ssrc,
            base,
            highest: base,
            seen: 1,
            far: None,
            received: 1,
            reordered: 0,
            duplicated: 0,
            gaps: 0,
            jitter: 0,
            transit: None,
            prior: (0, 0),
        }
    }

    fn judge(&mut self, header: Header) -> Verdict {
        if header.ssrc != self.ssrc {
            Verdict::New
        } else if self.place(header.sequence) {
            Verdict::Taken
        } else if self.starts_anew(header.sequence) {
            Verdict::New
        } else {
            Verdict::Far
        }
    }

    /// Whether a packet has its place among the others.
    fn place(&mut self, sequence: u16) -> bool {
        let newest = self.highest & 0xFFFF;
        let ahead = sequence.wrapping_sub(newest as u16);
        let behind = ahead.wrapping_neg();
        if (1..MAX_DROPOUT).contains(&ahead) {
            self.highest = self.highest.wrapping_add(ahead.into());
            self.seen = self.seen.checked_shl(ahead.into()).unwrap_or(0) | 1;
            self.gaps += u64::from(ahead > 1);
        } else if u32::from(behind) < WINDOW && behind <= MAX_MISORDER {
            let bit = 1_u128.checked_shl(behind.into()).unwrap_or(0);
            if self.seen & bit == 0 {
                self.reordered += 1;
            } else {
                self.duplicated += 1;
            }
            self.seen |= bit;
        } else {
            return false;
        }
        self.received += 1;
        self.far = None;
        true
    }

    /// Whether a packet that is far off follows another such.
    fn starts_anew(&mut self, sequence: u16) -> bool {
        let anew = self.far == Some(sequence);
        self.far = Some(sequence.wrapping_add(1));
        anew
    }

    /// RFC 3550 A.8, in integers.
    fn time(&mut self, clock: u32, transit: u32) {
        let before = self.transit.replace((clock, transit));
        let Some((_, before)) = before.filter(|(same, _)| *same == clock) else {
            return;
        };
        let difference = transit.wrapping_sub(before).cast_signed().unsigned_abs();
        if span(difference, clock) > LONGEST_JUMP {
            return;
        }
        let decay = (self.jitter + 8) >> 4;
        self.jitter = (self.jitter + difference).saturating_sub(decay);
    }

    fn expected(&self) -> u32 {
        self.highest.wrapping_sub(self.base).wrapping_add(1)
    }

    fn totals(&self) -> Totals {
        let expected = u64::from(self.expected());
        Totals {
            packets: self.received,
            expected,
            lost: expected.saturating_sub(self.received - self.duplicated),
            reordered: self.reordered,
            duplicated: self.duplicated,
            gaps: self.gaps,
            restarts: 0,
        }
    }

    /// RFC 3550 A.3.
    fn report(&mut self) -> ReportBlock {
        let expected = self.expected();
        let (expected_prior, received_prior) = std::mem::replace(&mut self.prior, (expected, self.received));
        let interval = i64::from(expected.wrapping_sub(expected_prior));
        let received = self.received.wrapping_sub(received_prior).cast_signed();
        let lost = interval - received;
        let fraction = if interval == 0 || lost <= 0 { 0 } else { (lost << 8) / interval };
        let cumulative = i64::from(expected) - self.received.cast_signed();
        ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: u8::try_from(fraction).unwrap_or(u8::MAX),
            cumulative_lost: cumulative.clamp(LEAST_LOST, MOST_LOST) as i32,
            highest: self.highest,
            jitter: self.jitter >> 4,
            last_sr: 0,
            delay_since_last_sr: 0,
        }
    }
}

/// A time in units of a clock. They wrap, as timestamps do.
pub(super) fn units(time: Duration, clock: u32) -> u32 {
    let clock = u64::from(clock);
    let micros = u64::from(time.subsec_micros()) * clock / 1_000_000;
    time.as_secs().wrapping_mul(clock).wrapping_add(micros) as u32
}

/// So many units of a clock as a time.
pub(crate) fn span(units: u32, clock: u32) -> Duration {
    Duration::from_micros(u64::from(units) * 1_000_000 / u64::from(clock.max(1)))
}

#[cfg(test)]
mod tests;
