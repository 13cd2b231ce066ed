//! What WhatsApp's `a=fmtp` asks of our Opus encoder (RFC 7587 6.1).

use super::Opus;
use crate::path::OpusFmtp;

impl Opus {
    /// Where nothing is said of a rate it is what WhatsApp has always asked for, and lower than
    /// RFC 7587's default; where nothing is said at all, the whole of it is.
    pub(crate) fn wishes(&self) -> OpusFmtp {
        let default = OpusFmtp::default();
        let Some(fmtp) = &self.fmtp else { return default };
        let value = |name: &str| {
            let mut pairs = fmtp.split(';').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
        };
        let rate =
            |name: &str, default: u32| value(name).and_then(|text| text.parse().ok()).unwrap_or(default);
        OpusFmtp {
            max_average_bitrate: rate("maxaveragebitrate", default.max_average_bitrate).clamp(6000, 510_000),
            max_playback_rate: rate("maxplaybackrate", default.max_playback_rate).clamp(8000, 48_000),
            in_band_fec: value("useinbandfec") == Some("1"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::OPUS_FMTP;
    use super::*;

    fn wishes(fmtp: &str) -> (u32, u32, bool) {
        let opus = Opus { payload_type: 111, fmtp: Some(fmtp.into()) };
        let OpusFmtp { max_average_bitrate, max_playback_rate, in_band_fec } = opus.wishes();
        (max_average_bitrate, max_playback_rate, in_band_fec)
    }

    #[test]
    fn what_whatsapp_asks_of_our_encoder() {
        assert_eq!(wishes(OPUS_FMTP), (20_000, 16_000, true));
        assert_eq!(wishes("minptime=10;useinbandfec=1"), (20_000, 16_000, true));
        assert_eq!(wishes("minptime=20; MaxPlaybackRate = 8000 ;useinbandfec=0"), (20_000, 8000, false));
        assert_eq!(wishes(""), (20_000, 16_000, false));
        assert_eq!(wishes("maxaveragebitrate=1;maxplaybackrate=99999999999"), (6000, 16_000, false));
        assert_eq!(wishes("maxaveragebitrate=4294967295;maxplaybackrate=96000").0, 510_000);
        assert_eq!(Opus { payload_type: 96, fmtp: None }.wishes(), OpusFmtp::default());
    }
}
