//! The tables of ITU-T G.722. Numbers in comments are the values' own units there.

/// Table 11: the receive and transmit quadrature mirror filter, every second tap of it.
pub(super) const MIRROR: [i32; 12] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];

/// Table 14: decision levels of the lower band's quantiser of 6 bits.
pub(super) const LOW_DECISIONS: [i32; 29] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023, 1121, 1219,
    1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919,
];
/// Tables 16 and 17: the code of each of the lower band's intervals, for a negative difference.
pub(super) const LOW_NEGATIVE: [u8; 30] = [
    63, 62, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7,
    6, 5, 4,
];
/// The same for a positive one.
pub(super) const LOW_POSITIVE: [u8; 30] = [
    61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40, 39, 38, 37, 36,
    35, 34, 33, 32,
];

/// Table 18: the inverse quantiser of the lower band, 6 bits, for what is heard.
pub(super) const LOW_6_BITS: [i16; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232, -9360,
    -8576, -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776, -2400, -2032, -1688,
    -1360, -1040, -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280, 11192, 10232, 9360, 8576, 7856,
    7192, 6576, 6000, 5456, 4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032, 1688, 1360, 1040, 728, 432, 136,
    -432, -136,
];
/// The one of 4 bits, for the prediction.
pub(super) const LOW_4_BITS: [i16; 16] =
    [0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584, 1200, 0];
/// Its logarithmic factor of adaptation for each of these 4 bits.
pub(super) const LOW_FACTORS: [i16; 16] =
    [-60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60];

/// The decision level of the higher band's quantiser of 2 bits.
pub(super) const HIGH_DECISION: i32 = 564;
/// Its inverse.
pub(super) const HIGH_2_BITS: [i16; 4] = [-7408, -1616, 7408, 1616];
/// Its logarithmic factor of adaptation.
pub(super) const HIGH_FACTORS: [i16; 4] = [798, -214, 798, -214];

/// 2048 times the powers of two between 0 and 1, in steps of 1/32.
pub(super) const ANTILOG: [i16; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834, 2896,
    2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];
