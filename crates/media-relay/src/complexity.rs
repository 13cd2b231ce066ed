//! libopus's effort where sound is transcoded.

/// How hard libopus tries, 0 to 10.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Complexity {
    /// What was measured to be worth its cost: 1 at 8 kHz, where the loss against 10 is a tenth of a
    /// point of PESQ and the cost a third; 8 at 16 kHz, where 3 loses more than a point
    /// (docs/performance.md).
    #[default]
    Measured,
    /// The same at every rate.
    Fixed(u8),
}

impl Complexity {
    /// For an encoder of so many samples a second.
    pub(crate) fn at(self, rate: u32) -> u8 {
        match self {
            Self::Fixed(complexity) => complexity.min(10),
            Self::Measured if rate <= 8000 => 1,
            Self::Measured => 8,
        }
    }
}

impl From<u8> for Complexity {
    fn from(complexity: u8) -> Self {
        Self::Fixed(complexity)
    }
}
