//! Base 64 of RFC 4648 4, for keys of at most 44 octets.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Characters of the longest key.
const LONGEST: usize = 60;

pub(super) fn encode(octets: &[u8], text: &mut String) {
    for chunk in octets.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, octet| word << 8 | u32::from(*octet));
        let word = word << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let sextet = word >> (18 - 6 * place) & 63;
            let letter = ALPHABET.get(sextet as usize).filter(|_| place as usize <= chunk.len());
            text.push(letter.map_or('=', |letter| char::from(*letter)));
        }
    }
}

/// The padding may be missing, as some phones write it.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let letters = text.trim_end_matches('=');
    let padding = text.len() - letters.len();
    if text.len() > LONGEST || padding > 2 || letters.len() % 4 == 1 {
        return None;
    }
    let mut octets = Vec::with_capacity(LONGEST);
    for chunk in letters.as_bytes().chunks(4) {
        let mut word = 0_u32;
        for letter in chunk {
            word = word << 6 | sextet(*letter)?;
        }
        let word = word << (6 * (4 - chunk.len()));
        let whole = word.to_be_bytes().into_iter().skip(1).take(chunk.len() - 1);
        octets.extend(whole);
    }
    Some(octets)
}

fn sextet(letter: u8) -> Option<u32> {
    let value = match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(value.into())
}
