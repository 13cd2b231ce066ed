//! ITU-T G.722, 64 kbit/s (mode 1): 16 kHz sound as one octet for two samples. In RTP its clock is
//! 8000 Hz all the same, by a historical error (RFC 3551 4.5.2).

mod band;
mod tables;

use band::{Band, HIGH, LOW, saturate};
use tables::{
    HIGH_2_BITS, HIGH_DECISION, HIGH_FACTORS, LOW_4_BITS, LOW_6_BITS, LOW_DECISIONS, LOW_FACTORS,
    LOW_NEGATIVE, LOW_POSITIVE, MIRROR,
};

/// The reconstructed bands are limited to this much.
const LOUDEST: i32 = 16_383;

/// Samples at 16 kHz to octets.
#[derive(Debug, Clone)]
pub(crate) struct Encoder {
    filter: Mirror,
    low: Band,
    high: Band,
}

impl Encoder {
    pub(crate) fn new() -> Self {
        Self { filter: Mirror::new(), low: Band::new(LOW), high: Band::new(HIGH) }
    }

    /// Encodes pairs of samples as far as there is room, and gives the number of octets. A sample
    /// without its second is left out.
    pub(crate) fn encode(&mut self, samples: &[i16], payload: &mut [u8]) -> usize {
        let (pairs, _) = samples.as_chunks();
        for (octet, [first, second]) in payload.iter_mut().zip(pairs) {
            *octet = self.pair(i32::from(*first), i32::from(*second));
        }
        pairs.len().min(payload.len())
    }

    fn pair(&mut self, first: i32, second: i32) -> u8 {
        let (odd, even) = self.filter.push(first, second);
        let low = self.low_code((even + odd) >> 14);
        let high = self.high_code((even - odd) >> 14);
        (high << 6) | low
    }

    /// 6 bits.
    fn low_code(&mut self, sample: i32) -> u8 {
        let band = &mut self.low;
        let (negative, magnitude) = difference(sample, band);
        let interval = LOW_DECISIONS.partition_point(|level| band.decision(*level) <= magnitude);
        let codes = if negative { &LOW_NEGATIVE } else { &LOW_POSITIVE };
        let code = codes[interval];
        // The prediction knows the upper 4 bits alone.
        let known = usize::from(code >> 2);
        band.adapt(LOW_4_BITS[known], LOW_FACTORS[known]);
        code
    }

    /// 2 bits.
    fn high_code(&mut self, sample: i32) -> u8 {
        let band = &mut self.high;
        let (negative, magnitude) = difference(sample, band);
        let outer = magnitude >= band.decision(HIGH_DECISION);
        let code = match (negative, outer) {
            (true, true) => 0,
            (true, false) => 1,
            (false, true) => 2,
            (false, false) => 3,
        };
        band.adapt(HIGH_2_BITS[usize::from(code)], HIGH_FACTORS[usize::from(code)]);
        code
    }
}

/// Sign and magnitude of what the prediction misses.
fn difference(sample: i32, band: &Band) -> (bool, i32) {
    let difference = saturate(sample - band.predicted());
    (difference < 0, if difference < 0 { !difference } else { difference })
}

/// Octets to samples at 16 kHz.
#[derive(Debug, Clone)]
pub(crate) struct Decoder {
    filter: Mirror,
    low: Band,
    high: Band,
}

impl Decoder {
    pub(crate) fn new() -> Self {
        Self { filter: Mirror::new(), low: Band::new(LOW), high: Band::new(HIGH) }
    }

    /// Decodes as many octets as there is room for, and gives the number of samples: two each.
    pub(crate) fn decode(&mut self, payload: &[u8], samples: &mut [i16]) -> usize {
        let (pairs, _) = samples.as_chunks_mut();
        for (pair, octet) in pairs.iter_mut().zip(payload) {
            *pair = self.octet(*octet);
        }
        2 * pairs.len().min(payload.len())
    }

    fn octet(&mut self, octet: u8) -> [i16; 2] {
        let (low, high) = (usize::from(octet & 0x3f), usize::from(octet >> 6));
        let low_band = limit(self.low.predicted() + self.low.scaled(LOW_6_BITS[low]));
        self.low.adapt(LOW_4_BITS[low >> 2], LOW_FACTORS[low >> 2]);
        let high_band = limit(self.high.predicted() + self.high.scaled(HIGH_2_BITS[high]));
        self.high.adapt(HIGH_2_BITS[high], HIGH_FACTORS[high]);

        let (odd, even) = self.filter.push(low_band + high_band, low_band - high_band);
        [even, odd].map(|sum| {
            let sample = saturate(sum >> 11);
            i16::try_from(sample).unwrap_or(i16::MAX)
        })
    }
}

fn limit(sample: i32) -> i32 {
    sample.clamp(-LOUDEST - 1, LOUDEST)
}

/// The quadrature mirror filter: splits into the two bands, and joins them.
#[derive(Debug, Clone)]
struct Mirror {
    /// The last twelve pairs, the newest last.
    pairs: [[i32; 2]; 12],
}

impl Mirror {
    fn new() -> Self {
        Self { pairs: [[0; 2]; 12] }
    }

    /// The filtered first and second samples of the pairs.
    fn push(&mut self, first: i32, second: i32) -> (i32, i32) {
        self.pairs.copy_within(1.., 0);
        self.pairs[11] = [first, second];
        let (mut odd, mut even) = (0, 0);
        for (pair, (forth, back)) in self.pairs.iter().zip(MIRROR.iter().zip(MIRROR.iter().rev())) {
            odd += pair[0] * forth;
            even += pair[1] * back;
        }
        (odd, even)
    }
}

#[cfg(test)]
mod tests;
