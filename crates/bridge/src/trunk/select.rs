//! In which order a call tries the targets of its trunk: by priority, and by weight among equals
//! (RFC 2782).

use super::target::{Destination, Target};

/// Most destinations tried for one call; those behind are left out. With 4 s of silence each, a caller
/// has hung up long before.
pub const MAX_CANDIDATES: usize = 8;

/// A target as configured, and its place among the others of the trunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aim {
    /// Where calls go.
    pub target: Target,
    /// Lower is tried before higher.
    pub priority: u16,
    /// Its share of the calls among those of one priority; 0 gets hardly any.
    pub weight: u16,
}

/// What is ordered by priority and weight: a target, or an SRV record.
pub trait Ranked {
    /// The priority, lower first.
    fn priority(&self) -> u16;
    /// The share among those of the same priority.
    fn weight(&self) -> u16;
}

impl Ranked for Aim {
    fn priority(&self) -> u16 {
        self.priority
    }

    fn weight(&self) -> u16 {
        self.weight
    }
}

/// A target with what DNS says of it.
impl<T> Ranked for (Aim, T) {
    fn priority(&self) -> u16 {
        self.0.priority
    }

    fn weight(&self) -> u16 {
        self.0.weight
    }
}

/// Puts `items` in the order of RFC 2782: by priority; among equals each place is drawn by weight.
/// `draw` gives a random number from 0 up to and with its argument.
pub fn order<T: Ranked>(mut items: Vec<T>, draw: &mut dyn FnMut(u32) -> u32) -> Vec<T> {
    // Those of weight 0 stand first among equals, so that a draw of 0 can choose them.
    items.sort_by_key(|item| (item.priority(), item.weight() != 0));
    let mut ordered = Vec::with_capacity(items.len());
    while let Some(first) = items.first() {
        let priority = first.priority();
        let equals = items.iter().take_while(|item| item.priority() == priority);
        let weights: Vec<u32> = equals.map(|item| item.weight().into()).collect();
        let chosen = choice(&weights, draw(weights.iter().sum()));
        ordered.push(items.remove(chosen));
    }
    ordered
}

/// The first whose running sum of weights reaches what was drawn.
fn choice(weights: &[u32], drawn: u32) -> usize {
    let mut sum = 0;
    let reached = weights.iter().position(|weight| {
        sum += weight;
        sum >= drawn
    });
    reached.unwrap_or_default()
}

/// Where a call is sent, the first try first: each target's destinations in the order DNS gave
/// them, without those that are not `usable` (down, or resting) and without doubles. At most
/// [`MAX_CANDIDATES`].
pub fn candidates(
    targets: Vec<(Aim, Vec<Destination>)>,
    usable: impl Fn(&Destination) -> bool,
    draw: &mut dyn FnMut(u32) -> u32,
) -> Vec<Destination> {
    let mut chosen: Vec<Destination> = Vec::new();
    for (_, destinations) in order(targets, draw) {
        for destination in destinations {
            if chosen.len() < MAX_CANDIDATES && usable(&destination) && !chosen.contains(&destination) {
                chosen.push(destination);
            }
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn aim(text: &str, priority: u16, weight: u16) -> (Aim, Vec<Destination>) {
        let target: Target = text.parse().expect(text);
        let destinations = target.literal().into_iter().collect();
        (Aim { target, priority, weight }, destinations)
    }

    fn shown(candidates: &[Destination]) -> Vec<String> {
        candidates.iter().map(|candidate| candidate.address.ip().to_string()).collect()
    }

    #[test]
    fn a_lower_priority_is_tried_first_whatever_the_weights() {
        let targets = || vec![aim("10.0.0.2", 2, 100), aim("10.0.0.1", 1, 0), aim("10.0.0.3", 3, 9)];
        for drawn in [0, u32::MAX] {
            let tried = candidates(targets(), |_| true, &mut |_| drawn);
            assert_eq!(shown(&tried), ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
        }
    }

    #[test]
    fn weights_share_the_calls_as_drawn() {
        let targets = || vec![aim("10.0.0.1", 1, 10), aim("10.0.0.2", 1, 30), aim("10.0.0.3", 1, 0)];
        let first = |drawn| shown(&candidates(targets(), |_| true, &mut |_| drawn))[0].clone();
        // RFC 2782: the one of weight 0 stands first; the running sums are 0, 10 and 40.
        assert_eq!(first(0), "10.0.0.3");
        assert_eq!((first(1), first(10)), ("10.0.0.1".to_owned(), "10.0.0.1".to_owned()));
        assert_eq!((first(11), first(40)), ("10.0.0.2".to_owned(), "10.0.0.2".to_owned()));
        let mut asked = Vec::new();
        candidates(targets(), |_| true, &mut |most| {
            asked.push(most);
            most
        });
        assert_eq!(asked, [40, 10, 0], "each place is drawn among those that are left");
    }

    #[test]
    fn what_is_not_usable_is_skipped_and_nothing_is_tried_twice() {
        let mut targets = vec![aim("10.0.0.1", 1, 1), aim("10.0.0.2", 2, 1), aim("10.0.0.3", 3, 1)];
        targets.push(aim("10.0.0.3:5060", 4, 1));
        let is_up = |destination: &Destination| destination.address.to_string() != "10.0.0.1:5060";
        assert_eq!(shown(&candidates(targets, is_up, &mut |_| 0)), ["10.0.0.2", "10.0.0.3"]);
    }

    #[test]
    fn a_call_tries_only_so_many() {
        let targets = (1..20).map(|n| aim(&format!("10.0.0.{n}"), n, 1)).collect();
        assert_eq!(candidates(targets, |_| true, &mut |_| 0).len(), MAX_CANDIDATES);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_priorities_never_fall(
            ranks in proptest::collection::vec((0_u16..4, any::<u16>()), 0..12),
            draws in proptest::collection::vec(any::<u32>(), 12),
        ) {
            let mut items: Vec<_> = ranks.iter().map(|(priority, weight)| aim("10.0.0.1", *priority, *weight).0).collect();
            let mut draws = draws.into_iter();
            let ordered = order(items.clone(), &mut |most| draws.next().unwrap_or_default() % most.max(1));
            prop_assert!(ordered.is_sorted_by_key(|item| item.priority));
            let mut back = ordered;
            let key = |item: &Aim| (item.priority, item.weight);
            back.sort_by_key(key);
            items.sort_by_key(key);
            prop_assert_eq!(back, items);
        }
    }
}
