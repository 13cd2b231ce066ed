//! What waits for one destination, and when it is tried (again).
//!
//! Pure: `now` and the jitter are given. A letter is taken with [`Outbox::take`] and stays counted until
//! [`Outbox::done`] says what became of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Letter;

/// Most letters of one destination, those under way included. When they are so many, WhatsApp hears 503 and
/// sends again.
pub const MOST_LETTERS: usize = 1024;
/// Most bytes of their bodies; the overflow is the same.
pub const MOST_BYTES: usize = 64 * 1024 * 1024;
/// Posts that may be under way at once to a destination that works.
pub const UNDER_WAY: usize = 8;
/// How long a letter is tried, from its arrival.
pub const LIFE: Duration = Duration::from_secs(3600);
/// The pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause between two tries, unless the destination asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The longest pause that a destination's Retry-After is followed for.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// What became of a try.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// 2xx.
    Delivered,
    /// It will never be taken: a 4xx other than 408 and 429.
    Refused,
    /// Anything else; with what the destination's Retry-After asks for.
    Failed(Option<Duration>),
}

/// The name of a letter within its outbox: in the order of arrival.
pub type LetterId = u64;

/// What waits for one destination.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: BTreeMap<LetterId, Held>,
    under_way: BTreeMap<LetterId, Held>,
    next: LetterId,
    bytes: usize,
    health: Health,
}

#[derive(Debug)]
struct Held {
    letter: Letter,
    arrived: Instant,
    was_tried: bool,
}

/// How the destination does.
#[derive(Debug, Default)]
enum Health {
    #[default]
    Works,
    /// So many tries in a row have failed; the next is due then.
    Fails { tries: u32, again: Instant },
}

impl Outbox {
    /// Whether a letter of this size fits in.
    #[must_use]
    pub fn has_room(&self, letter: &Letter) -> bool {
        self.len() < MOST_LETTERS && self.bytes.saturating_add(letter.size()) <= MOST_BYTES
    }

    /// Puts a letter in; who asks [`Self::has_room`] first keeps the bounds.
    pub fn put(&mut self, now: Instant, letter: Letter) {
        self.bytes = self.bytes.saturating_add(letter.size());
        self.waiting.insert(self.next, Held { letter, arrived: now, was_tried: false });
        self.next += 1;
    }

    /// The next letter to be sent, if one may be sent now.
    pub fn take(&mut self, now: Instant) -> Option<(LetterId, Letter)> {
        let may_send = match self.health {
            Health::Works => self.under_way.len() < UNDER_WAY,
            Health::Fails { again, .. } => self.under_way.is_empty() && now >= again,
        };
        if !may_send {
            return None;
        }
        let (id, held) = self.waiting.pop_first()?;
        let letter = held.letter.clone();
        self.under_way.insert(id, Held { was_tried: true, ..held });
        Some((id, letter))
    }

    /// Drops what has been tried for [`LIFE`], or has waited so long behind others; says how many.
    pub fn expire(&mut self, now: Instant) -> usize {
        let is_old = |held: &Held| now.saturating_duration_since(held.arrived) >= LIFE;
        // What was never tried gets one try, so that a long outage does not cost what a moment could deliver.
        let old: Vec<_> = self
            .waiting
            .iter()
            .filter(|(_, held)| held.was_tried && is_old(held))
            .map(|(id, _)| *id)
            .collect();
        for id in &old {
            if let Some(held) = self.waiting.remove(id) {
                self.bytes = self.bytes.saturating_sub(held.letter.size());
            }
        }
        old.len()
    }

    /// A try has come to its end; `jitter` spreads the next one over 50 to 100 % of its pause.
    pub fn done(&mut self, now: Instant, id: LetterId, verdict: Verdict, jitter: u8) {
        let Some(held) = self.under_way.remove(&id) else { return };
        match verdict {
            Verdict::Delivered | Verdict::Refused => {
                self.bytes = self.bytes.saturating_sub(held.letter.size());
                self.health = Health::Works;
            }
            Verdict::Failed(asked) => {
                self.waiting.insert(id, held);
                self.fail(now, asked, jitter);
            }
        }
    }

    fn fail(&mut self, now: Instant, asked: Option<Duration>, jitter: u8) {
        let tries = match self.health {
            Health::Works => 1,
            // Of several that were under way the first has told it already.
            Health::Fails { again, .. } if now < again => return,
            Health::Fails { tries, .. } => tries.saturating_add(1),
        };
        let doubled = FIRST_PAUSE.saturating_mul(1 << (tries - 1).min(10)).min(LONGEST_PAUSE);
        let spread = doubled.mul_f64(0.5 + f64::from(jitter) / 510.0);
        let pause = spread.max(asked.unwrap_or_default().min(LONGEST_ASKED));
        self.health = Health::Fails { tries, again: now + pause };
    }

    /// When [`Self::take`] has something again, unless a try ends first.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.health {
            Health::Fails { again, .. } if self.under_way.is_empty() && !self.waiting.is_empty() => {
                Some(again)
            }
            Health::Works | Health::Fails { .. } => None,
        }
    }

    /// How many letters there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len() + self.under_way.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[expect(clippy::disallowed_methods, reason = "virtual time has to start somewhere")]
#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use axum::http::HeaderMap;

    use super::*;

    fn letter(size: usize) -> Letter {
        Letter { headers: HeaderMap::new(), body: Bytes::from(vec![0; size]) }
    }

    /// An outbox with this many letters of one byte.
    fn outbox(count: usize) -> (Instant, Outbox) {
        let now = Instant::now();
        let mut outbox = Outbox::default();
        (0..count).for_each(|_| outbox.put(now, letter(1)));
        (now, outbox)
    }

    fn taken(outbox: &mut Outbox, now: Instant) -> Vec<LetterId> {
        std::iter::from_fn(|| outbox.take(now)).map(|(id, _)| id).collect()
    }

    #[test]
    fn letters_leave_in_the_order_of_their_arrival() {
        let (now, mut outbox) = outbox(10);
        assert_eq!(taken(&mut outbox, now), [0, 1, 2, 3, 4, 5, 6, 7]);
        outbox.done(now, 3, Verdict::Delivered, 0);
        assert_eq!(taken(&mut outbox, now), [8]);
        assert_eq!(outbox.len(), 9);
    }

    #[test]
    fn a_destination_that_fails_gets_one_try_at_a_time_at_growing_intervals() {
        let (start, mut outbox) = outbox(10);
        let mut now = start;
        for id in taken(&mut outbox, now) {
            outbox.done(now, id, Verdict::Failed(None), 255);
        }
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let again = outbox.deadline().expect("it is tried again");
            assert_eq!(taken(&mut outbox, again - Duration::from_millis(1)), [0; 0]);
            pauses.push((again - now).as_secs());
            now = again;
            assert_eq!(taken(&mut outbox, now), [0], "the oldest, alone");
            assert_eq!(outbox.deadline(), None);
            outbox.done(now, 0, Verdict::Failed(None), 255);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        now = outbox.deadline().expect("again");
        assert_eq!(taken(&mut outbox, now), [0]);
        outbox.done(now, 0, Verdict::Delivered, 0);
        assert_eq!(taken(&mut outbox, now), [1, 2, 3, 4, 5, 6, 7, 8], "it works: all at once again");
    }

    #[test]
    fn jitter_halves_a_pause_at_most_and_retry_after_is_followed_within_limits() {
        let pause = |asked: Option<u64>, jitter| {
            let (now, mut outbox) = outbox(1);
            outbox.take(now).expect("a letter");
            outbox.done(now, 0, Verdict::Failed(asked.map(Duration::from_secs)), jitter);
            outbox.deadline().expect("again") - now
        };
        assert_eq!(pause(None, 0), Duration::from_millis(500));
        assert_eq!(pause(None, 255), Duration::from_secs(1));
        assert_eq!(pause(Some(20), 0), Duration::from_secs(20));
        assert_eq!(pause(Some(100_000), 0), LONGEST_ASKED);
    }

    #[test]
    fn what_is_refused_is_given_up_and_does_not_hold_up_the_others() {
        let (now, mut outbox) = outbox(2);
        assert_eq!(taken(&mut outbox, now), [0, 1]);
        outbox.done(now, 0, Verdict::Refused, 0);
        outbox.done(now, 1, Verdict::Refused, 0);
        assert!(outbox.is_empty() && outbox.deadline().is_none());
        // Said twice, it counts once.
        outbox.done(now, 1, Verdict::Failed(None), 0);
        assert!(outbox.is_empty());
    }

    #[test]
    fn room_is_bounded_in_letters_and_in_bytes_and_comes_back() {
        let (now, mut full) = outbox(MOST_LETTERS);
        assert!(!full.has_room(&letter(0)));
        let (id, _) = full.take(now).expect("a letter");
        assert!(!full.has_room(&letter(0)), "what is under way still counts");
        full.done(now, id, Verdict::Delivered, 0);
        assert!(full.has_room(&letter(0)));

        let (now, mut heavy) = outbox(0);
        heavy.put(now, letter(MOST_BYTES - 10));
        assert!(heavy.has_room(&letter(10)) && !heavy.has_room(&letter(11)));
        heavy.take(now).expect("the letter");
        heavy.done(now, 0, Verdict::Refused, 0);
        assert!(heavy.has_room(&letter(MOST_BYTES)));
    }

    #[test]
    fn a_letter_is_given_up_after_an_hour_but_never_untried() {
        let (now, mut outbox) = outbox(2);
        outbox.take(now).expect("the first");
        outbox.done(now, 0, Verdict::Failed(None), 0);
        assert_eq!(outbox.expire(now + LIFE - Duration::from_secs(1)), 0);
        assert_eq!(outbox.expire(now + LIFE), 1);
        assert_eq!(outbox.len(), 1);
        assert_eq!(taken(&mut outbox, now + LIFE), [1]);
        outbox.done(now + LIFE, 1, Verdict::Failed(None), 0);
        assert_eq!(outbox.expire(now + LIFE), 1);
        assert!(outbox.is_empty() && outbox.has_room(&letter(MOST_BYTES)));
    }
}
