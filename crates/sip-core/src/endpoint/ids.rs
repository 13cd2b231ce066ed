//! Branches and tags (RFC 3261 8.1.1.7 and 19.3): HMAC-SHA256 over a counter, keyed by a seed, so that they are unique
//! and cannot be guessed, and the endpoint still draws nothing itself.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::message::via::MAGIC_COOKIE;

/// Bytes of the HMAC that are used: 80 bits, well above the 32 that RFC 3261 19.3 asks for.
const ID_BYTES: usize = 10;

/// Hexadecimal digits of a first RSeq: below 2^24.
const RSEQ_DIGITS: usize = 6;

/// Hexadecimal digits at the end of a branch by which we know our own.
const MARK_DIGITS: usize = 8;

/// Makes branches and tags.
#[derive(Clone)]
pub(crate) struct Ids {
    key: Hmac<Sha256>,
    next: u64,
}

impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ids").field("next", &self.next).finish_non_exhaustive()
    }
}

impl Ids {
    pub(crate) fn new(seed: &[u8; 32]) -> Self {
        // HMAC itself pads a key to the block with zeros.
        let mut block = [0; 64];
        for (to, from) in block.iter_mut().zip(seed) {
            *to = *from;
        }
        let key = <Hmac<Sha256> as KeyInit>::new(&block.into());
        Self { key, next: 0 }
    }

    /// A new branch.
    pub(crate) fn branch(&mut self) -> String {
        let unique = self.fresh("branch");
        format!("{MAGIC_COOKIE}{unique}{}", self.mark(&unique))
    }

    /// Is a branch one of ours?
    pub(crate) fn made(&self, branch: &str) -> bool {
        let ours = branch.strip_prefix(MAGIC_COOKIE).filter(|ours| ours.len() == 2 * ID_BYTES + MARK_DIGITS);
        let parts = ours.and_then(|ours| ours.split_at_checked(2 * ID_BYTES));
        parts.is_some_and(|(unique, mark)| self.mark(unique) == mark)
    }

    /// What makes a branch known again.
    fn mark(&self, unique: &str) -> String {
        let mut mark = self.derive("mark", &[unique]);
        mark.truncate(MARK_DIGITS);
        mark
    }

    /// A new tag.
    pub(crate) fn tag(&mut self) -> String {
        self.fresh("tag")
    }

    /// The tag of a response that leaves no state behind: the same for the same parts (RFC 3261 8.2.7).
    pub(crate) fn stateless_tag(&self, parts: &[&str]) -> String {
        self.derive("stateless", parts)
    }

    /// A number of seconds from 0 to 10, for Retry-After (RFC 3261 14.2).
    pub(crate) fn seconds(&mut self) -> u64 {
        let digits = self.fresh("seconds");
        digits.bytes().map(u64::from).sum::<u64>() % 11
    }

    /// A number from 0 to below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        let digits = self.fresh("number");
        let number = digits.get(..12).and_then(|digits| u64::from_str_radix(digits, 16).ok());
        number.unwrap_or_default().checked_rem(limit).unwrap_or_default()
    }

    /// The number of a first reliable provisional response, far from the end of its range (RFC 3262 3).
    pub(crate) fn rseq(&mut self) -> u32 {
        let digits = self.fresh("rseq");
        let digits = digits.get(..RSEQ_DIGITS).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        digits.unwrap_or_default() + 1
    }

    fn fresh(&mut self, kind: &str) -> String {
        self.next += 1;
        self.derive(kind, &[&self.next.to_string()])
    }

    fn derive(&self, kind: &str, parts: &[&str]) -> String {
        let mut mac = self.key.clone();
        mac.update(kind.as_bytes());
        for part in parts {
            mac.update(&part.len().to_be_bytes());
            mac.update(part.as_bytes());
        }
        let digest = mac.finalize().into_bytes();
        hex::encode(digest.get(..ID_BYTES).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_by_count_kind_and_seed() {
        let mut ids = Ids::new(&[1; 32]);
        let (branch, tag, tag2) = (ids.branch(), ids.tag(), ids.tag());
        assert!(branch.starts_with("z9hG4bK") && branch.len() == 35);
        assert_ne!(tag, tag2);
        assert_ne!(Ids::new(&[2; 32]).branch(), branch);
        assert_eq!(Ids::new(&[1; 32]).branch(), branch);
    }

    #[test]
    fn our_branches_are_known_again() {
        let mut ids = Ids::new(&[1; 32]);
        let branch = ids.branch();
        assert!(ids.made(&branch));
        assert!(!Ids::new(&[2; 32]).made(&branch));
        let foreign = branch.replacen(&branch[7..8], if branch[7..8] == *"0" { "1" } else { "0" }, 1);
        for other in [foreign.as_str(), "", "z9hG4bK", &branch[..34], &format!("{branch}0")] {
            assert!(!ids.made(other), "{other}");
        }
    }

    #[test]
    fn stateless_tags_are_stable() {
        let ids = Ids::new(&[1; 32]);
        assert_eq!(ids.stateless_tag(&["a", "b"]), ids.stateless_tag(&["a", "b"]));
        assert_ne!(ids.stateless_tag(&["a", "b"]), ids.stateless_tag(&["ab", ""]));
    }
}
