//! Nonces (RFC 7616 3.3 and 5.4): signed, so that giving one out costs no memory; they expire, and each of their counts
//! is good for one request.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// How long a nonce can be used after it was given out, if nobody says otherwise.
pub const DEFAULT_NONCE_LIFE: Duration = Duration::from_secs(30);
/// The most nonces in use, of those that came back with a right answer. Beyond it the oldest is forgotten, and it and
/// all that are older count as expired: no count can be used twice for want of room.
const MAX_USED: usize = 16_384;
/// The same for how many counts behind the highest one a request may come, as requests overtake each other on UDP.
const WINDOW: u32 = 64;

const STAMP_BYTES: usize = 12;
const MAC_BYTES: usize = 16;

/// What a nonce is known by: when it was given out, in milliseconds since the first one, and its number.
type Stamp = (u64, u32);

/// Gives out nonces and knows them again.
#[derive(Debug)]
pub(super) struct Nonces {
    key: Key,
    life: Duration,
    /// The moment of the first nonce; all others are reckoned from it.
    epoch: Option<Instant>,
    next: u32,
    used: BTreeMap<Stamp, Counts>,
    /// Nothing up to here is taken any more.
    floor: Option<Stamp>,
}

#[derive(Clone)]
struct Key(Hmac<Sha256>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

/// The counts of one nonce that have been used: the highest, and a bit for each of the 64 up to it.
#[derive(Debug, Clone, Copy)]
struct Counts {
    highest: u32,
    seen: u64,
}

impl Nonces {
    /// `name` sets the nonces of one realm apart from those of another with the same seed.
    pub(super) fn new(seed: &[u8; 32], name: &str, life: Duration) -> Self {
        // HMAC itself pads a key to the block with zeros.
        let mut block = [0; 64];
        for (to, from) in block.iter_mut().zip(seed) {
            *to = *from;
        }
        let mut mac = <Hmac<Sha256> as KeyInit>::new(&block.into());
        mac.update(b"nonce");
        mac.update(&name.len().to_be_bytes());
        mac.update(name.as_bytes());
        Self { key: Key(mac), life, epoch: None, next: 0, used: BTreeMap::new(), floor: None }
    }

    /// A new nonce.
    pub(super) fn issue(&mut self, now: Instant) -> String {
        let epoch = *self.epoch.get_or_insert(now);
        self.next = self.next.wrapping_add(1);
        let millis = u64::try_from(now.saturating_duration_since(epoch).as_millis()).unwrap_or(u64::MAX);
        let stamp = stamp_bytes((millis, self.next));
        format!("{}{}", hex::encode(stamp), hex::encode(self.sign(&stamp)))
    }

    /// Is the nonce ours, still young, and not yet used with this count? Uses the count up. The answer that it came
    /// with must have been found right before: only those who know the password get memory.
    pub(super) fn spend(&mut self, now: Instant, nonce: &str, count: u32) -> bool {
        let Some(stamp) = self.stamp(nonce).filter(|stamp| self.is_live(now, *stamp)) else {
            return false;
        };
        self.forget_expired(now);
        if let Some(counts) = self.used.get_mut(&stamp) {
            return counts.spend(count);
        }
        if self.used.len() >= MAX_USED {
            self.floor = self.used.pop_first().map(|(oldest, _)| oldest).max(self.floor);
        }
        if self.floor.is_some_and(|floor| stamp <= floor) {
            return false;
        }
        self.used.insert(stamp, Counts { highest: count, seen: 1 });
        true
    }

    fn is_live(&self, now: Instant, stamp: Stamp) -> bool {
        let born = self.epoch.map(|epoch| epoch + Duration::from_millis(stamp.0));
        let expired = born.is_none_or(|born| born + self.life <= now);
        !expired && self.floor.is_none_or(|floor| stamp > floor)
    }

    fn forget_expired(&mut self, now: Instant) {
        while let Some((oldest, _)) = self.used.first_key_value() {
            let oldest = *oldest;
            if self.is_live(now, oldest) {
                return;
            }
            self.used.remove(&oldest);
        }
    }

    /// The stamp of a nonce that we have signed.
    fn stamp(&self, nonce: &str) -> Option<Stamp> {
        let mut bytes = [0; STAMP_BYTES + MAC_BYTES];
        hex::decode_to_slice(nonce, &mut bytes).ok()?;
        let (stamp, signature) = bytes.split_first_chunk::<STAMP_BYTES>()?;
        let mut mac = self.key.0.clone();
        mac.update(stamp);
        mac.verify_truncated_left(signature).ok()?;
        let (millis, number) = stamp.split_first_chunk::<8>()?;
        Some((u64::from_be_bytes(*millis), u32::from_be_bytes(number.try_into().ok()?)))
    }

    fn sign(&self, stamp: &[u8]) -> [u8; MAC_BYTES] {
        let mut mac = self.key.0.clone();
        mac.update(stamp);
        let signature = mac.finalize().into_bytes();
        signature.first_chunk().copied().unwrap_or_default()
    }
}

fn stamp_bytes((millis, number): Stamp) -> [u8; STAMP_BYTES] {
    let mut bytes = [0; STAMP_BYTES];
    let parts = millis.to_be_bytes().into_iter().chain(number.to_be_bytes());
    for (to, from) in bytes.iter_mut().zip(parts) {
        *to = from;
    }
    bytes
}

impl Counts {
    /// Uses a count up; false if it was before, or if nobody knows any more.
    fn spend(&mut self, count: u32) -> bool {
        if let Some(ahead) = count.checked_sub(self.highest).filter(|ahead| *ahead > 0) {
            self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
            self.highest = count;
            return true;
        }
        let behind = self.highest - count;
        let bit = 1_u64.checked_shl(behind).unwrap_or(0);
        let fresh = behind < WINDOW && self.seen & bit == 0;
        self.seen |= bit;
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ms, start};

    const LIFE: Duration = DEFAULT_NONCE_LIFE;

    fn nonces() -> Nonces {
        Nonces::new(&[7; 32], "pbx", LIFE)
    }

    #[test]
    fn each_count_of_a_nonce_is_good_once() {
        let (mut nonces, now) = (nonces(), start());
        let nonce = nonces.issue(now);
        let spent = [1, 1, 2, 5, 4, 4, 5, 100, 37, 37, 36, 5].map(|count| nonces.spend(now, &nonce, count));
        assert_eq!(
            spent,
            [true, false, true, true, true, false, false, true, true, false, false, false],
            "36 and 5 are too far behind 100 to be known"
        );
    }

    #[test]
    fn a_nonce_lives_for_30_s() {
        let (mut nonces, now) = (nonces(), start());
        nonces.issue(now);
        let nonce = nonces.issue(now + ms(5_000));
        assert!(nonces.spend(now + ms(34_999), &nonce, 1));
        assert!(!nonces.spend(now + ms(35_000), &nonce, 2));
        let other = nonces.issue(now + ms(36_000));
        assert!(nonces.spend(now + ms(36_000), &other, 1));
        assert_eq!(nonces.used.len(), 1, "the expired one is forgotten");
    }

    #[test]
    fn nobody_else_makes_our_nonces() {
        let (mut nonces, now) = (nonces(), start());
        let nonce = nonces.issue(now);
        let mut forged = nonce.clone().into_bytes();
        forged[23] ^= 1;
        let forged = String::from_utf8(forged).unwrap();
        let of_other_realm = Nonces::new(&[7; 32], "pbx2", LIFE).issue(now);
        let of_other_seed = Nonces::new(&[8; 32], "pbx", LIFE).issue(now);
        for bad in
            ["", "00", "ä", &forged, &of_other_realm, &of_other_seed, &nonce[2..], &format!("{nonce}00")]
        {
            assert!(!nonces.spend(now, bad, 1), "{bad}");
        }
        assert!(nonces.spend(now, &nonce, 1));
        assert_ne!(nonces.issue(now), nonce);
    }

    #[test]
    fn what_is_forgotten_for_want_of_room_cannot_be_replayed() {
        let (mut nonces, now) = (nonces(), start());
        let all: Vec<_> = (0..=MAX_USED).map(|_| nonces.issue(now)).collect();
        for nonce in &all {
            assert!(nonces.spend(now, nonce, 1));
        }
        assert_eq!(nonces.used.len(), MAX_USED);
        assert!(!nonces.spend(now, &all[0], 1));
        assert!(!nonces.spend(now, &all[0], 2));
        assert!(nonces.spend(now, &all[1], 2));
    }
}
