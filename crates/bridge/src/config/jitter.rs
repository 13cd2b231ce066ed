//! The bounds of the jitter buffers.

use std::time::Duration;

use media_relay::JitterLimits;

use super::raw;
use super::valid::Checker;
use super::value::within;

impl Checker<'_> {
    pub(super) fn jitter(&mut self, raw: raw::Jitter) -> Option<JitterLimits> {
        let default = JitterLimits::default();
        let place = raw.least_ms.place.clone();
        let least = raw.least_ms.check(self.report, milliseconds).or(default.least)?;
        let most = raw.most_ms.check(self.report, milliseconds).or(default.most)?;
        if least > most {
            let (least, most) = (least.as_millis(), most.as_millis());
            let message = format!("{least} ms are more than media.jitter.most_ms, {most}: write less");
            self.report.add(&place, message);
            return None;
        }
        Some(JitterLimits { least, most })
    }
}

fn milliseconds(number: i64) -> Result<Duration, String> {
    // Far below the limit of the type.
    let highest = JitterLimits::HIGHEST.as_millis() as i64;
    within(0..=highest)(number).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_delay_is_the_one_the_audio_path_takes() {
        assert_eq!(milliseconds(200), Ok(JitterLimits::HIGHEST));
        assert!(milliseconds(201).is_err());
    }
}
