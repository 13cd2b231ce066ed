//! G.711: 8-bit companding of 14-bit (mu-law) and 13-bit (A-law) samples.

const MU_BIAS: i32 = 0x84;
const MU_CLIP: i32 = 32_635;

/// One linear sample as mu-law.
pub(crate) fn encode_mu(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = i32::from(sample).abs().min(MU_CLIP) + MU_BIAS;
    let exponent = (magnitude.ilog2() as i32 - 7).max(0);
    let mantissa = (magnitude >> (exponent + 3)) & 0x0F;
    !(sign | (exponent << 4) as u8 | mantissa as u8)
}

/// One mu-law byte as a linear sample.
pub(crate) fn decode_mu(byte: u8) -> i16 {
    let byte = !byte;
    let exponent = i32::from(byte >> 4 & 7);
    let magnitude = (((i32::from(byte & 0x0F) << 3) + MU_BIAS) << exponent) - MU_BIAS;
    (if byte & 0x80 == 0 { magnitude } else { -magnitude }) as i16
}

/// One linear sample as A-law.
pub(crate) fn encode_a(sample: i16) -> u8 {
    let (sign, magnitude) = if sample < 0 { (0, !i32::from(sample)) } else { (0x80, i32::from(sample)) };
    let companded = match magnitude >> 8 {
        0 => magnitude >> 4,
        top => {
            let exponent = top.ilog2() as i32 + 1;
            (exponent << 4) | (magnitude >> (exponent + 3) & 0x0F)
        }
    };
    (sign | companded as u8) ^ 0x55
}

/// One A-law byte as a linear sample.
pub(crate) fn decode_a(byte: u8) -> i16 {
    let byte = byte ^ 0x55;
    let (exponent, mantissa) = (i32::from(byte >> 4 & 7), i32::from(byte & 0x0F));
    let magnitude = match exponent {
        0 => (mantissa << 4) + 8,
        _ => ((mantissa << 4) + 0x108) << (exponent - 1),
    };
    (if byte & 0x80 == 0 { -magnitude } else { magnitude }) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        // ITU-T G.711 tables 1a and 2a: the ends and the zero.
        assert_eq!((encode_mu(0), encode_mu(i16::MAX), encode_mu(i16::MIN)), (0xFF, 0x80, 0x00));
        assert_eq!((decode_mu(0xFF), decode_mu(0x80), decode_mu(0x00)), (0, 32_124, -32_124));
        assert_eq!((encode_a(0), encode_a(i16::MAX), encode_a(i16::MIN)), (0xD5, 0xAA, 0x2A));
        assert_eq!((decode_a(0xD5), decode_a(0xAA), decode_a(0x2A)), (8, 32_256, -32_256));
    }

    #[test]
    fn every_byte_survives_decode_and_encode() {
        for byte in 0..=255_u8 {
            assert_eq!(encode_a(decode_a(byte)), byte, "A-law {byte:#x}");
            // mu-law has two zeros.
            if byte != 0x7F {
                assert_eq!(encode_mu(decode_mu(byte)), byte, "mu-law {byte:#x}");
            }
        }
    }

    #[test]
    fn the_error_stays_below_a_thirtieth_of_the_sample() {
        for sample in i16::MIN..=i16::MAX {
            let limit = i32::from(sample).abs() / 30 + 16;
            for heard in [decode_mu(encode_mu(sample)), decode_a(encode_a(sample))] {
                let error = (i32::from(heard) - i32::from(sample)).abs();
                assert!(
                    error <= limit.max(if sample.unsigned_abs() > 32_635 { 700 } else { 0 }),
                    "{sample}: {heard}"
                );
            }
        }
    }
}
