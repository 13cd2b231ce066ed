//! A table that never holds more than it may: what was not used for the longest makes room.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

#[derive(Debug)]
pub(crate) struct Lru<K, V> {
    entries: HashMap<K, (u64, V)>,
    /// The keys by their last use.
    order: BTreeMap<u64, K>,
    uses: u64,
    capacity: usize,
}

impl<K: Clone + Eq + Hash, V> Lru<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { entries: HashMap::new(), order: BTreeMap::new(), uses: 0, capacity }
    }

    /// The entry, which counts as its use.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.uses += 1;
        let (last, value) = self.entries.get_mut(key)?;
        self.order.remove(last);
        *last = self.uses;
        self.order.insert(self.uses, key.clone());
        Some(value)
    }

    /// Puts an entry in; gives back the one that had to make room.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let mut evicted = self.remove(&key);
        if self.entries.len() >= self.capacity {
            evicted =
                self.order.pop_first().and_then(|(_, oldest)| self.entries.remove(&oldest)).map(|it| it.1);
        }
        self.uses += 1;
        self.order.insert(self.uses, key.clone());
        self.entries.insert(key, (self.uses, value));
        evicted
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let (last, value) = self.entries.remove(key)?;
        self.order.remove(&last);
        Some(value)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        assert_eq!(self.entries.len(), self.order.len());
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_unused_for_the_longest_makes_room() {
        let mut lru = Lru::new(2);
        assert_eq!(lru.insert('a', 1), None);
        assert_eq!(lru.insert('b', 2), None);
        assert_eq!(lru.get_mut(&'a'), Some(&mut 1));
        assert_eq!(lru.insert('c', 3), Some(2));
        assert_eq!((lru.get_mut(&'b').copied(), lru.len()), (None, 2));
        assert_eq!(lru.insert('a', 4), Some(1), "the same key takes its own place");
        assert_eq!((lru.get_mut(&'c').copied(), lru.remove(&'a'), lru.len()), (Some(3), Some(4), 1));
    }
}
