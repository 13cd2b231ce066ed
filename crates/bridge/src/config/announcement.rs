//! Recordings that callers hear: WAV files, read when the configuration is. This is IO.

use std::path::Path;

use hound::{SampleFormat, WavReader};
use media_relay::Announcement;

/// Longest recording, in seconds: nobody listens longer, and it is kept in memory.
const LONGEST: u32 = 60;
/// What to do about a file that is of another kind.
const REMEDY: &str = "make one with: sox IN -b 16 -c 1 -r 16000 OUT.wav";

/// Reads a recording: PCM of 16 bits, one channel, 8, 16 or 48 kHz, at most a minute.
pub(super) fn read(path: &Path) -> Result<Announcement, String> {
    let shown = path.display();
    let mut reader =
        WavReader::open(path).map_err(|error| format!("{shown} is no WAV file that can be read: {error}"))?;
    let kind = reader.spec();
    if (kind.sample_format, kind.bits_per_sample) != (SampleFormat::Int, 16) {
        return Err(format!("{shown} is not of 16 bits PCM but of {}: {REMEDY}", kind.bits_per_sample));
    }
    if kind.channels != 1 {
        return Err(format!("{shown} has {} channels, must have one: {REMEDY}", kind.channels));
    }
    if !Announcement::RATES.contains(&kind.sample_rate) {
        return Err(format!("{shown} has {} Hz, must have 8000, 16000 or 48000: {REMEDY}", kind.sample_rate));
    }
    // By its header: what is too long is not read at all.
    if !(1..=LONGEST * kind.sample_rate).contains(&reader.duration()) {
        let seconds = reader.duration() / kind.sample_rate;
        return Err(format!("{shown} lasts {seconds} seconds, must be sound of at most {LONGEST}"));
    }
    let samples: Result<Vec<i16>, _> = reader.samples().collect();
    let samples = samples.map_err(|error| format!("{shown} ends before its sound does: {error}"))?;
    Announcement::new(kind.sample_rate, samples).ok_or_else(|| format!("{shown} cannot be played"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hound::{WavSpec, WavWriter};

    use super::*;

    fn file(
        channels: u16,
        sample_rate: u32,
        bits_per_sample: u16,
        samples: usize,
    ) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let spec = WavSpec { channels, sample_rate, bits_per_sample, sample_format: SampleFormat::Int };
        let mut writer = WavWriter::create(file.path(), spec).expect("a writer");
        (0..samples * usize::from(channels)).for_each(|_| writer.write_sample(1_i32).expect("written"));
        writer.finalize().expect("a whole file");
        file
    }

    fn refused(file: &tempfile::NamedTempFile) -> String {
        let message = read(file.path()).expect_err("no announcement");
        assert!(message.starts_with(&file.path().display().to_string()), "{message}");
        message
    }

    #[test]
    fn the_rates_of_telephony_are_read() {
        for rate in Announcement::RATES {
            let announcement = read(file(1, rate, 16, rate as usize * 2).path()).expect("an announcement");
            assert_eq!(announcement.length(), Duration::from_secs(2));
        }
    }

    #[test]
    fn what_cannot_be_played_says_why() {
        assert!(refused(&file(2, 8000, 16, 100)).contains("2 channels"));
        assert!(refused(&file(1, 44_100, 16, 100)).contains("44100 Hz"));
        assert!(refused(&file(1, 8000, 24, 100)).contains("not of 16 bits PCM but of 24"));
        assert!(refused(&file(1, 8000, 16, 0)).contains("lasts 0 seconds"));
        assert!(refused(&file(1, 8000, 16, 8000 * 60 + 1)).contains("lasts 60 seconds, must be"));
        let missing = read(Path::new("no/such.wav")).expect_err("nothing");
        assert!(missing.starts_with("no/such.wav is no WAV file that can be read"), "{missing}");
        let cut = file(1, 8000, 16, 8000);
        let bytes = std::fs::read(cut.path()).expect("the file");
        std::fs::write(cut.path(), bytes.get(..1000).expect("more")).expect("written");
        assert!(refused(&cut).contains("ends before its sound does"));
    }
}
