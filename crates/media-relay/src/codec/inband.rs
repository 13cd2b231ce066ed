//! Keys as pairs of tones in the sound (ITU-T Q.23), heard and made.
//!
//! The detector keeps to ITU-T Q.24: pairs from 0 to -25 dBm0 that last 40 ms or longer are keys,
//! with frequencies within 1.5 % and the upper tone between 4 dB above and 8 dB below the lower
//! one; shorter than 20 ms, or off by 3.5 %, they are none. Every 5 ms it looks at the last 20 ms:
//! where the power lies, and how far the phase has gone on since the last look, which tells a
//! frequency far better than the power does. Speech holds a pair steady in frequency, with hardly
//! anything beside it, for less than that.

mod dial;
mod spectrum;

#[cfg_attr(not(test), expect(unused_imports, reason = "the path uses it later"))]
pub(crate) use dial::Dial;

use std::time::Duration;

use spectrum::{Seen, Spectrum};

/// The frequencies of Q.23 in hertz: the rows of the keypad, then its columns.
const FREQUENCIES: [u16; 8] = [697, 770, 852, 941, 1209, 1336, 1477, 1633];
const KEYS: [[char; 4]; 4] =
    [['1', '2', '3', 'A'], ['4', '5', '6', 'B'], ['7', '8', '9', 'C'], ['*', '0', '#', 'D']];

/// Looks that agree before a key is down: a pair of 20 ms makes three at most, one of 40 ms six.
const LOOKS_DOWN: u32 = 5;
/// Looks without it before it is up: a break of 10 ms makes four at most, a pause of 40 ms eight.
const LOOKS_UP: u32 = 6;
/// A pair is seen while it fills 15 of the 20 ms looked at: so much longer it is than what the
/// looks span.
const UNSEEN: Duration = Duration::from_millis(10);
const LOOK: Duration = Duration::from_millis(5);

/// A key changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// It went down.
    Down(char),
    /// It came up, after so long.
    Up(char, Duration),
}

/// Hears keys in sound of one rate.
#[derive(Debug, Clone)]
pub(crate) struct Detector {
    spectrum: Spectrum,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Quiet,
    /// A key may be going down: looks that saw it.
    Doubtful {
        key: char,
        looks: u32,
    },
    /// `looks` since it was seen first, the last `unseen` of them without it.
    Down {
        key: char,
        looks: u32,
        unseen: u32,
    },
}

impl Detector {
    /// For sound at 8000 or 16,000 Hz.
    pub(crate) fn new(rate: u32) -> Self {
        Self { spectrum: Spectrum::new(rate), state: State::Quiet }
    }

    /// Listens to what comes next, as much as there is; `keys` is told what changes.
    pub(crate) fn listen(&mut self, samples: &[i16], keys: &mut impl FnMut(Change)) {
        let state = &mut self.state;
        self.spectrum.look(samples, &mut |seen| state.see(seen, keys));
    }

    /// Whether the sound of the last milliseconds may be a key's: it is not to be passed on.
    pub(crate) fn suspects(&self) -> bool {
        match self.state {
            State::Quiet => false,
            State::Doubtful { looks, .. } => looks > 1,
            State::Down { .. } => true,
        }
    }

    /// Nothing follows, or something else does: a key that is down comes up.
    pub(crate) fn interrupt(&mut self, keys: &mut impl FnMut(Change)) {
        self.spectrum.clear();
        if let State::Down { key, looks, unseen } = self.state {
            keys(Change::Up(key, lasted(looks - unseen)));
        }
        self.state = State::Quiet;
    }
}

impl State {
    fn see(&mut self, seen: Option<Seen>, keys: &mut impl FnMut(Change)) {
        let key = seen.map(|Seen { row, column }| KEYS[row][column]);
        *self = match (*self, key) {
            (Self::Quiet | Self::Doubtful { .. }, None) => Self::Quiet,
            (Self::Doubtful { key, looks }, Some(seen)) if key == seen => {
                let looks = looks + 1;
                if looks < LOOKS_DOWN {
                    Self::Doubtful { key, looks }
                } else {
                    keys(Change::Down(key));
                    Self::Down { key, looks, unseen: 0 }
                }
            }
            (Self::Quiet | Self::Doubtful { .. }, Some(key)) => Self::Doubtful { key, looks: 1 },
            (Self::Down { key, looks, .. }, Some(seen)) if key == seen => {
                Self::Down { key, looks: looks.saturating_add(1), unseen: 0 }
            }
            (Self::Down { key, looks, unseen }, other) => {
                let (looks, unseen) = (looks.saturating_add(1), unseen + 1);
                if unseen < LOOKS_UP {
                    Self::Down { key, looks, unseen }
                } else {
                    keys(Change::Up(key, lasted(looks.saturating_sub(unseen))));
                    other.map_or(Self::Quiet, |key| Self::Doubtful { key, looks: 1 })
                }
            }
        };
    }
}

/// How long a key was down that so many looks in a row saw.
fn lasted(looks: u32) -> Duration {
    LOOK * looks + UNSEEN
}

#[cfg(test)]
mod tests;
