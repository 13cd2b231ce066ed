//! How well a call is heard: per side what its network does to the sound, second by second, and an
//! estimate of what a listener would say of it (ITU-T G.107). Pure.

pub(crate) mod emodel;
mod meter;

pub(crate) use meter::{Loss, Meter, Sample};

/// One figure over a call: a value a second, where there is one.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Figure {
    count: u32,
    last: f32,
    least: f32,
    most: f32,
    sum: f64,
}

impl Figure {
    /// Takes the value of a second.
    pub fn take(&mut self, value: f32) {
        let is_first = self.count == 0;
        self.least = if is_first { value } else { self.least.min(value) };
        self.most = if is_first { value } else { self.most.max(value) };
        self.last = value;
        self.sum += f64::from(value);
        self.count = self.count.saturating_add(1);
    }

    fn told(&self, value: f32) -> Option<f32> {
        (self.count > 0).then_some(value)
    }

    /// The newest value; `None` while there was none, as below.
    #[must_use]
    pub fn last(&self) -> Option<f32> {
        self.told(self.last)
    }

    /// The lowest value.
    #[must_use]
    pub fn least(&self) -> Option<f32> {
        self.told(self.least)
    }

    /// The highest value.
    #[must_use]
    pub fn most(&self) -> Option<f32> {
        self.told(self.most)
    }

    /// The mean of all values.
    #[must_use]
    pub fn mean(&self) -> Option<f32> {
        self.told((self.sum / f64::from(self.count.max(1))) as f32)
    }
}

/// One side of a call. What comes from it is measured here; what it gets from us it reports (RTCP).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SideQuality {
    /// RTP packets that came, doubled ones included.
    pub packets: u64,
    /// RTP packets that its sequence numbers tell of.
    pub expected: u64,
    /// Of those: never came.
    pub lost: u64,
    /// Came after a newer one.
    pub reordered: u64,
    /// Came twice.
    pub duplicated: u64,
    /// Came too late to be heard.
    pub late: u64,
    /// Frames made up for those lost or late, where we decode.
    pub concealed: u64,
    /// How often its stream began anew: another SSRC or other sequence numbers.
    pub restarts: u64,
    /// Interarrival jitter (RFC 3550 6.4.1), in ms.
    pub jitter_ms: Figure,
    /// From us to it and back, in ms.
    pub round_trip_ms: Figure,
    /// What our jitter buffer holds its sound back, in ms.
    pub buffer_ms: Figure,
    /// What its sound is worth as we get it: 1 (bad) to 4.5.
    pub mos: Figure,
    /// Our packets that it says it has lost.
    pub reported_lost: Option<u64>,
    /// The share of our packets that it has lost, as it says, in percent.
    pub reported_loss: Figure,
    /// Interarrival jitter of our packets, as it says, in ms.
    pub reported_jitter_ms: Figure,
    /// What our sound is worth as it gets it, by what it says: 1 (bad) to 4.5.
    pub reported_mos: Figure,
}

/// Both sides of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CallQuality {
    /// Between us and the PBX.
    pub pbx: SideQuality,
    /// Between us and WhatsApp.
    pub whatsapp: SideQuality,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_tells_nothing_before_its_first_value_and_then_all_four() {
        let mut figure = Figure::default();
        assert_eq!((figure.last(), figure.least(), figure.most(), figure.mean()), (None, None, None, None));
        for value in [4.0, 1.0, 2.5] {
            figure.take(value);
        }
        assert_eq!((figure.last(), figure.least(), figure.most()), (Some(2.5), Some(1.0), Some(4.0)));
        assert_eq!(figure.mean(), Some(2.5));
    }
}
