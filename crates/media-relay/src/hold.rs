//! What a WhatsApp user hears where the PBX lets him hear nothing.

use crate::announcement::Announcement;
use crate::tone::Tone;

/// A sound of ours in place of the PBX's silence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum HoldSound {
    /// None: silence.
    #[default]
    Silence,
    /// A tone.
    Tone(Tone),
    /// A recording, over and over. A clone shares the samples.
    Recording(Announcement),
}

impl From<Tone> for HoldSound {
    fn from(tone: Tone) -> Self {
        Self::Tone(tone)
    }
}
