//! Takes what is measured of a side once a second, and makes figures of it.

use std::time::Duration;

use super::SideQuality;
use super::emodel::{Impairment, Way};
use crate::rtp::reception::Totals;

/// Loss is seen over so many seconds: one lost packet of a single second would be 2 percent.
const WINDOW: usize = 5;
/// What a packet waits until it is full.
const PACKET: Duration = Duration::from_millis(20);

/// What is known of a side at one instant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// What has come from it.
    pub(crate) totals: Totals,
    /// Of that: too late.
    pub(crate) late: u64,
    /// Frames made up.
    pub(crate) concealed: u64,
    /// Of what comes from it.
    pub(crate) jitter: Option<Duration>,
    /// From us to it and back.
    pub(crate) round_trip: Option<Duration>,
    /// What we hold it back.
    pub(crate) buffer: Duration,
    /// Of its stream and of ours to it; `None` while there is none.
    pub(crate) codec: Option<Impairment>,
    /// What it says of our stream.
    pub(crate) reported: Option<Loss>,
}

/// What a side says of our stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Loss {
    /// Of the packets of its last interval.
    pub(crate) percent: f32,
    /// Since the beginning.
    pub(crate) packets: u64,
    /// Interarrival jitter.
    pub(crate) jitter: Duration,
}

/// The figures of one side.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meter {
    quality: SideQuality,
    /// What was lost in each of the last seconds, in a ring.
    seconds: [Second; WINDOW],
    at: usize,
    before: Second,
}

/// Counters of a second, or until one.
#[derive(Debug, Clone, Copy, Default)]
struct Second {
    expected: u64,
    missing: u64,
    gaps: u64,
}

impl Second {
    fn since(self, before: Self) -> Self {
        Self {
            expected: self.expected.saturating_sub(before.expected),
            // A late packet undoes a loss.
            missing: self.missing.saturating_sub(before.missing),
            gaps: self.gaps.saturating_sub(before.gaps),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            expected: self.expected + other.expected,
            missing: self.missing + other.missing,
            gaps: self.gaps + other.gaps,
        }
    }
}

impl Meter {
    /// What is known so far.
    pub(crate) fn quality(&self) -> SideQuality {
        self.quality
    }

    /// Takes the counters alone: what comes after the last whole second.
    pub(crate) fn count(&mut self, sample: &Sample) {
        let quality = &mut self.quality;
        quality.packets = sample.totals.packets;
        quality.expected = sample.totals.expected;
        quality.lost = sample.totals.lost;
        quality.reordered = sample.totals.reordered;
        quality.duplicated = sample.totals.duplicated;
        quality.restarts = sample.totals.restarts;
        quality.late = sample.late;
        quality.concealed = sample.concealed;
        if let Some(reported) = sample.reported {
            quality.reported_lost = Some(reported.packets);
        }
    }

    /// A second has gone by.
    pub(crate) fn take(&mut self, sample: &Sample) {
        self.count(sample);
        let window = self.window(sample);
        let quality = &mut self.quality;
        if let Some(jitter) = sample.jitter {
            quality.jitter_ms.take(milliseconds(jitter));
        }
        if let Some(round_trip) = sample.round_trip {
            quality.round_trip_ms.take(milliseconds(round_trip));
        }
        let way = sample.round_trip.unwrap_or_default() / 2 + PACKET;
        let Some(codec) = sample.codec else {
            return;
        };
        if window.expected > 0 {
            let percent_lost = 100.0 * window.missing as f64 / window.expected as f64;
            let delay = way + sample.buffer;
            let way = Way { delay, percent_lost, burst_ratio: window.burst_ratio(), codec };
            quality.mos.take(way.mos());
            quality.buffer_ms.take(milliseconds(sample.buffer));
        }
        if let Some(reported) = sample.reported {
            // Its jitter buffer must hold back what the packets differ by.
            let delay = way + 2 * reported.jitter;
            let percent_lost = f64::from(reported.percent);
            let way = Way { delay, percent_lost, burst_ratio: 1.0, codec };
            quality.reported_mos.take(way.mos());
            quality.reported_loss.take(reported.percent);
            quality.reported_jitter_ms.take(milliseconds(reported.jitter));
        }
    }

    /// The last seconds together.
    fn window(&mut self, sample: &Sample) -> Second {
        let Totals { expected, lost, gaps, .. } = sample.totals;
        let now = Second { expected, missing: lost + sample.late, gaps };
        let second = now.since(self.before);
        self.before = now;
        if let Some(place) = self.seconds.get_mut(self.at) {
            *place = second;
        }
        self.at = (self.at + 1) % WINDOW;
        self.seconds.iter().fold(Second::default(), |sum, second| sum.plus(*second))
    }
}

impl Second {
    /// G.107 7.5: the mean run of losses, beside that of as many that are independent.
    fn burst_ratio(self) -> f64 {
        if self.gaps == 0 || self.expected == 0 {
            return 1.0;
        }
        let share = self.missing as f64 / self.expected as f64;
        (self.missing as f64 / self.gaps as f64 * (1.0 - share)).max(1.0)
    }
}

fn milliseconds(time: Duration) -> f32 {
    time.as_secs_f32() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(expected: u64, lost: u64, gaps: u64) -> Sample {
        Sample {
            totals: Totals { packets: expected - lost, expected, lost, gaps, ..Totals::default() },
            late: 0,
            concealed: 0,
            jitter: Some(Duration::from_millis(3)),
            round_trip: Some(Duration::from_millis(40)),
            buffer: Duration::from_millis(10),
            codec: Some(Impairment::G711),
            reported: None,
        }
    }

    #[test]
    fn a_second_of_loss_is_seen_for_five_and_remembered_as_the_worst() {
        let mut meter = Meter::default();
        for second in 1..=5 {
            meter.take(&sample(50 * second, 0, 0));
        }
        let clean = meter.quality().mos.last().expect("a score");
        assert!(clean > 4.3, "{clean}");
        meter.take(&sample(300, 25, 25));
        let poor = meter.quality().mos.last().expect("a score");
        assert!(poor < clean - 0.5, "{poor}");
        for second in 7..=11 {
            meter.take(&sample(50 * second, 25, 25));
        }
        let quality = meter.quality();
        assert_eq!((quality.mos.last(), quality.mos.least()), (Some(clean), Some(poor)));
        assert!(quality.mos.mean().is_some_and(|mean| mean < clean && mean > poor));
        assert_eq!((quality.expected, quality.lost, quality.packets), (550, 25, 525));
        assert_eq!(quality.round_trip_ms.last(), Some(40.0));
    }

    #[test]
    fn a_second_of_loss_is_forgotten_after_five_and_not_before() {
        let mut meter = Meter::default();
        let mut scores = Vec::new();
        for second in 1..=7 {
            meter.take(&sample(50 * second, 25, 25));
            scores.extend(meter.quality().mos.last());
        }
        assert!(scores[..5].iter().all(|score| *score < scores[5] - 0.1), "{scores:?}");
        assert_eq!(scores[5], scores[6]);
    }

    #[test]
    fn the_score_is_that_of_the_way_from_mouth_to_ear() {
        let ms = Duration::from_millis;
        let mut meter = Meter::default();
        let reported = Loss { percent: 2.0, packets: 9, jitter: ms(50) };
        let whole = Sample {
            late: 2,
            concealed: 7,
            round_trip: Some(ms(400)),
            buffer: ms(100),
            reported: Some(reported),
            ..sample(50, 3, 1)
        };
        meter.take(&whole);
        let codec = Impairment::G711;
        // Half of the round trip, a packet, the buffer; 5 of 50 in a row where chance gives 1 / 0.9.
        let heard = Way { delay: ms(200 + 20 + 100), percent_lost: 10.0, burst_ratio: 4.5, codec };
        let sent = Way { delay: ms(200 + 20 + 2 * 50), percent_lost: 2.0, burst_ratio: 1.0, codec };
        let quality = meter.quality();
        assert_eq!(quality.mos.last(), Some(heard.mos()));
        assert_eq!(quality.reported_mos.last(), Some(sent.mos()));
        assert_eq!((quality.late, quality.concealed, quality.buffer_ms.last()), (2, 7, Some(100.0)));
    }

    #[test]
    fn a_side_that_sends_nothing_has_no_score() {
        let mut meter = Meter::default();
        meter.take(&sample(0, 0, 0));
        assert_eq!(meter.quality().mos.last(), None);
        meter.take(&Sample { codec: None, ..sample(50, 0, 0) });
        assert_eq!(meter.quality().mos.last(), None);
    }

    #[test]
    fn losses_in_a_row_are_worse_than_as_many_alone() {
        let score = |gaps| {
            let mut meter = Meter::default();
            meter.take(&sample(50, 5, gaps));
            meter.quality().mos.last().expect("a score")
        };
        assert!(score(1) < score(5), "{} {}", score(1), score(5));
    }

    #[test]
    fn what_the_side_reports_makes_the_score_of_our_stream() {
        let mut meter = Meter::default();
        meter.take(&sample(50, 0, 0));
        assert_eq!(meter.quality().reported_mos.last(), None);
        let loss = |percent| Loss { percent, packets: 9, jitter: Duration::from_millis(5) };
        meter.take(&Sample { reported: Some(loss(0.0)), ..sample(100, 0, 0) });
        meter.take(&Sample { reported: Some(loss(10.0)), ..sample(150, 0, 0) });
        let quality = meter.quality();
        assert_eq!((quality.reported_lost, quality.reported_loss.last()), (Some(9), Some(10.0)));
        assert!(quality.reported_mos.most() > quality.reported_mos.last().map(|last| last + 1.0));
        assert_eq!(quality.mos.last(), quality.mos.most(), "what comes from it is as good as before");
    }
}
