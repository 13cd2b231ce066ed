//! The part of `valid` about a trunk's sound: holds, transfers, and silence that lasts too long.

use std::time::Duration;

use media_relay::{HoldSound, MediaTimeouts, tone};

use super::announcement;
use super::raw;
use super::table::Field;
use super::valid::{Checker, seconds};

/// How long a PBX may send neither RTP nor RTCP, unless something else is written: longer than any
/// interval of its RTCP.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What is heard in a trunk's calls when nothing is, and how long that may last.
#[derive(Clone, Debug)]
pub struct TrunkMedia {
    /// When a call ends of which a side sends nothing.
    pub timeouts: MediaTimeouts,
    /// What WhatsApp hears on a hold without music.
    pub hold_sound: HoldSound,
    /// What it hears while a transfer rings; nothing: the ringing tone.
    pub transfer_sound: Option<HoldSound>,
}

impl Checker<'_> {
    pub(super) fn trunk_media(&mut self, raw: raw::TrunkMedia) -> Option<TrunkMedia> {
        let pbx = raw.timeout_s.check(self.report, timeout).or(TIMEOUT);
        let whatsapp = raw.whatsapp_timeout_s.check(self.report, timeout).or(Duration::ZERO);
        let hold = self.hold_sound(raw.hold_sound).or(Some(HoldSound::Silence));
        let transfer = self.hold_sound(raw.transfer_sound).or(None);
        Some(TrunkMedia {
            timeouts: MediaTimeouts { pbx: pbx?, whatsapp: whatsapp? },
            hold_sound: hold?.unwrap_or(HoldSound::Tone(tone::HOLD)),
            transfer_sound: transfer?,
        })
    }

    /// The sound that is written; nothing inside stands for the usual tone.
    fn hold_sound(&mut self, field: Field<String>) -> Field<Option<HoldSound>> {
        let folder = self.folder;
        field.check(self.report, |text| match text.as_str() {
            "silence" => Ok(Some(HoldSound::Silence)),
            "tone" => Ok(None),
            file => match announcement::read(&folder.join(file)) {
                Ok(recording) => Ok(Some(HoldSound::Recording(recording))),
                Err(error) => Err(format!("{error}; write \"silence\", \"tone\" or a WAV file")),
            },
        })
    }
}

fn timeout(number: i64) -> Result<Duration, String> {
    match number {
        0 => Ok(Duration::ZERO),
        // Less than its RTCP may pause.
        number => seconds(10..=3600)(number)
            .map_err(|_| format!("{number} is out of range: write 10 to 3600, or 0 for no limit")),
    }
}
