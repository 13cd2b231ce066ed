//! Which packet indices of a stream have been used: index estimation and
//! replay protection (RFC 3711 3.3.1, 3.3.2).

use super::SrtpError;

/// Width of the replay window. RFC 3711 3.3.2 wants 64 at least.
const WIDTH: u64 = 128;

/// The highest index used and which of the `WIDTH` up to it were.
#[derive(Clone, Copy)]
struct Used {
    highest: u64,
    /// Bit n: `highest - n` has been used.
    bits: u128,
}

/// The indices used on one stream.
#[derive(Clone, Copy, Default)]
pub(super) struct Window(Option<Used>);

impl Window {
    /// The 48-bit index that `sequence` most likely stands for. `None`: it
    /// can only lie before the stream began, or the stream is used up.
    pub(super) fn estimate(&self, sequence: u16) -> Option<u64> {
        let Some(Used { highest, .. }) = self.0 else {
            return Some(sequence.into());
        };
        let rollover = highest >> 16;
        let last = highest as u16;
        let rollover = if last < 0x8000 && sequence.wrapping_sub(last) > 0x8000 && sequence > last {
            rollover.checked_sub(1)?
        } else if last >= 0x8000 && sequence < last && last - sequence > 0x8000 {
            rollover + 1
        } else {
            rollover
        };
        (rollover <= u32::MAX.into()).then_some(rollover << 16 | u64::from(sequence))
    }

    /// Whether `index` may be used.
    pub(super) fn check(&self, index: u64) -> Result<(), SrtpError> {
        match self.0 {
            Some(Used { highest, bits }) if index <= highest => {
                let age = highest - index;
                if age >= WIDTH || bits >> age & 1 == 1 {
                    return Err(SrtpError::Replay);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Marks `index` as used: only ever after the packet was authenticated.
    pub(super) fn mark(&mut self, index: u64) {
        let Some(Used { highest, bits }) = &mut self.0 else {
            self.0 = Some(Used { highest: index, bits: 1 });
            return;
        };
        if index > *highest {
            let step = index - *highest;
            *bits = if step < WIDTH { *bits << step | 1 } else { 1 };
            *highest = index;
        } else if *highest - index < WIDTH {
            *bits |= 1 << (*highest - index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(highest: u64) -> Window {
        let mut window = Window::default();
        window.mark(highest);
        window
    }

    #[test]
    fn estimates_follow_rfc_3711_3_3_1() {
        assert_eq!(Window::default().estimate(65_000), Some(65_000));
        // Forward over the end, late from before it, and the plain cases.
        assert_eq!(at(0x0_FFFE).estimate(1), Some(0x1_0001));
        assert_eq!(at(0x1_0001).estimate(0xFFFE), Some(0x0_FFFE));
        assert_eq!(at(0x1_0001).estimate(3), Some(0x1_0003));
        assert_eq!(at(0x1_9000).estimate(0x8FFF), Some(0x1_8FFF));
        assert_eq!(at(0x1_7FFF).estimate(0xFFFE), Some(0x1_FFFE));
        // Before the first packet of the stream there is nothing.
        assert_eq!(at(1).estimate(0xFFFE), None);
        // The last index of all.
        assert_eq!(at(0xFFFF_FFFF_FFFF).estimate(0), None);
    }

    #[test]
    fn an_index_is_used_once() {
        let mut window = Window::default();
        for index in [1000, 1001, 1005, 1003, 900, 1128] {
            assert_eq!(window.check(index), Ok(()), "{index}");
            window.mark(index);
            assert_eq!(window.check(index), Err(SrtpError::Replay), "{index}");
        }
        assert_eq!(window.check(1000), Err(SrtpError::Replay));
        assert_eq!(window.check(1002), Ok(()));
        assert_eq!(window.check(1128 - 128), Err(SrtpError::Replay));
        window.mark(1128 + 500);
        assert_eq!(window.check(1129), Err(SrtpError::Replay));
        assert_eq!(window.check(1627), Ok(()));
    }
}
