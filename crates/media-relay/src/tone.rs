//! Tones that tell a caller how the call goes (ITU-T E.180), as descriptions.

/// A tone: what sounds, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tone {
    /// What sounds.
    pub sound: Sound,
    /// Milliseconds of sound and of the silence after it, in turns and over again. Without any
    /// the tone sounds on.
    pub cadence: &'static [(u16, u16)],
}

/// Frequencies in hertz.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sound {
    /// One alone.
    One(u16),
    /// Two added.
    Two(u16, u16),
    /// The first, its level modulated by the second.
    Modulated(u16, u16),
}

const ONE_OF_FIVE: &[(u16, u16)] = &[(1000, 4000)];
const ONE_OF_FOUR: &[(u16, u16)] = &[(1000, 3000)];
const ONE_OF_SIX: &[(u16, u16)] = &[(1000, 5000)];
const ONE_OF_THREE: &[(u16, u16)] = &[(1000, 2000)];
const TWO_OF_SIX: &[(u16, u16)] = &[(2000, 4000)];
/// The double ring of Britain and of those who learned from it.
const DOUBLE: &[(u16, u16)] = &[(400, 200), (400, 2000)];

/// What tells who is held that the call still lives: a short low beep every ten seconds.
pub const HOLD: Tone = Tone { sound: Sound::One(425), cadence: &[(200, 9800)] };

/// What a caller hears in a country while the called phone rings: the ringing tone of ITU-T E.180's
/// national list. `country` is an ISO 3166-1 code of two letters in either case; `None` for one that
/// is not listed here.
pub fn ringback(country: &str) -> Option<Tone> {
    use Sound::{Modulated, One, Two};
    let (sound, cadence): (_, &[_]) = match country.to_ascii_lowercase().as_str() {
        "br" | "bg" | "ch" | "cz" | "de" | "dk" | "ee" | "fi" | "gr" | "id" | "it" | "lt" | "mx" | "nl"
        | "no" | "pl" | "ru" | "ve" => (One(425), ONE_OF_FIVE),
        "at" => (One(420), ONE_OF_SIX),
        "au" => (Two(413, 438), DOUBLE),
        "be" => (One(425), ONE_OF_FOUR),
        "ca" | "us" => (Two(440, 480), TWO_OF_SIX),
        "cl" => (One(400), ONE_OF_FOUR),
        "cn" => (One(450), ONE_OF_FIVE),
        "es" => (One(425), &[(1500, 3000)]),
        "fr" => (One(440), &[(1500, 3500)]),
        "gb" | "ie" | "nz" => (Two(400, 450), DOUBLE),
        "hu" => (One(425), &[(1250, 3750)]),
        "il" => (One(414), ONE_OF_FOUR),
        "in" => (Modulated(400, 25), DOUBLE),
        "jp" => (Modulated(400, 16), ONE_OF_THREE),
        "my" => (One(425), DOUBLE),
        "ph" => (Two(425, 480), ONE_OF_FIVE),
        "pt" | "se" => (One(425), ONE_OF_SIX),
        "sg" => (Modulated(425, 24), DOUBLE),
        "tw" => (Two(440, 480), ONE_OF_THREE),
        "za" => (Modulated(400, 33), DOUBLE),
        _ => return None,
    };
    Some(Tone { sound, cadence })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ringing_tones_of_some_countries() {
        for (country, sound, cadence) in [
            ("de", Sound::One(425), ONE_OF_FIVE),
            ("US", Sound::Two(440, 480), &[(2000, 4000)]),
            ("gb", Sound::Two(400, 450), &[(400, 200), (400, 2000)]),
            ("fr", Sound::One(440), &[(1500, 3500)]),
            ("it", Sound::One(425), &[(1000, 4000)]),
            ("es", Sound::One(425), &[(1500, 3000)]),
            ("nl", Sound::One(425), &[(1000, 4000)]),
            ("ch", Sound::One(425), &[(1000, 4000)]),
            ("at", Sound::One(420), &[(1000, 5000)]),
            ("br", Sound::One(425), &[(1000, 4000)]),
            ("in", Sound::Modulated(400, 25), &[(400, 200), (400, 2000)]),
            ("au", Sound::Two(413, 438), &[(400, 200), (400, 2000)]),
            ("mx", Sound::One(425), &[(1000, 4000)]),
            ("jp", Sound::Modulated(400, 16), &[(1000, 2000)]),
        ] {
            assert_eq!(ringback(country), Some(Tone { sound, cadence }), "{country}");
        }
        for unknown in ["", "xx", "d", "deu", "\u{e9}"] {
            assert_eq!(ringback(unknown), None);
        }
    }
}
