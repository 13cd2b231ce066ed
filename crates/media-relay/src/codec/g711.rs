//! ITU-T G.711: logarithmic 8 bit samples, as RFC 3551 4.5.14 carries them.

/// Which of the two laws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Law {
    Mu,
    A,
}

/// Added to a mu-law magnitude so that every segment starts at a power of two.
const MU_BIAS: u16 = 0x84;
/// The largest magnitude that still has a mu-law code.
const MU_CLIP: u16 = 0x7fff - MU_BIAS;
/// A-law inverts every other bit.
const A_TOGGLE: u8 = 0x55;

static MU_TABLE: [i16; 256] = table(Law::Mu);
static A_TABLE: [i16; 256] = table(Law::A);

impl Law {
    /// Decodes as many samples as both have.
    pub(crate) fn decode(self, coded: &[u8], samples: &mut [i16]) {
        let table = match self {
            Self::Mu => &MU_TABLE,
            Self::A => &A_TABLE,
        };
        for (sample, byte) in samples.iter_mut().zip(coded) {
            *sample = table[usize::from(*byte)];
        }
    }

    /// Encodes as many samples as both have.
    pub(crate) fn encode(self, samples: &[i16], coded: &mut [u8]) {
        let encode = match self {
            Self::Mu => encode_mu,
            Self::A => encode_a,
        };
        for (byte, sample) in coded.iter_mut().zip(samples) {
            *byte = encode(*sample);
        }
    }
}

fn encode_mu(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = sample.unsigned_abs().min(MU_CLIP) + MU_BIAS;
    // The bias sets bit 7 at least, so the segment is 0 to 7.
    let segment = 8 - magnitude.leading_zeros().min(8);
    let mantissa = (magnitude >> (segment + 3)) & 0x0f;
    !(sign | (low(segment) << 4) | low(mantissa.into()))
}

fn encode_a(sample: i16) -> u8 {
    let (sign, magnitude) = if sample < 0 { (0, !sample) } else { (0x80, sample) };
    let magnitude = magnitude.cast_unsigned() >> 4;
    let segment = 12 - magnitude.leading_zeros().clamp(5, 12);
    let mantissa = (magnitude >> segment.saturating_sub(1)) & 0x0f;
    (sign | (low(segment) << 4) | low(mantissa.into())) ^ A_TOGGLE
}

/// The low octet of a value below 256.
const fn low(value: u32) -> u8 {
    value.to_le_bytes()[0]
}

const fn decode_mu(code: u8) -> i16 {
    let code = !code;
    let magnitude = (((code & 0x0f) as i16) << 3) + MU_BIAS.cast_signed();
    let magnitude = (magnitude << ((code & 0x70) >> 4)) - MU_BIAS.cast_signed();
    if code & 0x80 != 0 { -magnitude } else { magnitude }
}

const fn decode_a(code: u8) -> i16 {
    let code = code ^ A_TOGGLE;
    let mantissa = ((code & 0x0f) as i16) << 4;
    let magnitude = match (code & 0x70) >> 4 {
        0 => mantissa + 8,
        segment => (mantissa + 0x108) << (segment - 1),
    };
    if code & 0x80 != 0 { magnitude } else { -magnitude }
}

const fn table(law: Law) -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let octet = low(code as u32);
        table[code] = match law {
            Law::Mu => decode_mu(octet),
            Law::A => decode_a(octet),
        };
        code += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(law: Law, code: u8) -> i16 {
        let mut sample = [0];
        law.decode(&[code], &mut sample);
        sample[0]
    }

    fn encoded(law: Law, sample: i16) -> u8 {
        let mut code = [0];
        law.encode(&[sample], &mut code);
        code[0]
    }

    #[test]
    fn known_values_of_g711() {
        let mu = [
            (0xff, 0),
            (0x7f, 0),
            (0xfe, 8),
            (0x7e, -8),
            (0x80, 32_124),
            (0x00, -32_124),
            (0xf0, 120),
            (0xef, 132),
            (0x8f, 16_764),
        ];
        for (code, sample) in mu {
            assert_eq!(decoded(Law::Mu, code), sample, "mu {code:#x}");
        }
        let a =
            [(0xd5, 8), (0x55, -8), (0xaa, 32_256), (0x2a, -32_256), (0xc5, 264), (0xda, 248), (0xb5, 8448)];
        for (code, sample) in a {
            assert_eq!(decoded(Law::A, code), sample, "A {code:#x}");
        }
    }

    #[test]
    fn every_code_comes_back() {
        for code in 0..=255 {
            // Mu-law has two zeros; the negative one becomes the positive one.
            let expected = if code == 0x7f { 0xff } else { code };
            assert_eq!(encoded(Law::Mu, decoded(Law::Mu, code)), expected);
            assert_eq!(encoded(Law::A, decoded(Law::A, code)), code);
        }
    }

    #[test]
    fn every_sample_comes_back_within_half_a_step() {
        for sample in i16::MIN..=i16::MAX {
            let code = encoded(Law::Mu, sample);
            let clip = MU_CLIP.cast_signed();
            let wanted = i32::from(sample.clamp(-clip, clip));
            let error = (i32::from(decoded(Law::Mu, code)) - wanted).abs();
            assert!(error <= 4 << ((!code & 0x70) >> 4), "mu {sample}");

            let code = encoded(Law::A, sample);
            let error = (i32::from(decoded(Law::A, code)) - i32::from(sample)).abs();
            let segment = ((code ^ A_TOGGLE) & 0x70) >> 4;
            assert!(error <= 8 << segment.saturating_sub(1), "A {sample}");
        }
    }
}
