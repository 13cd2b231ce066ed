//! The one source of random bytes.

/// Random bytes.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system has random bytes");
    bytes
}

/// A random number from 0 up to and with `limit`.
pub(crate) fn draw(limit: u32) -> u32 {
    let numbers = u64::from(limit) + 1;
    // 64 bits for a range of at most 33: no number is likelier than another by more than 2^-31.
    let drawn = u64::from_be_bytes(bytes()) % numbers;
    u32::try_from(drawn).unwrap_or(limit)
}
