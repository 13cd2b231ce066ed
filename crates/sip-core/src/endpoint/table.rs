//! The transactions of one kind, found by what a message says (key) and by what the endpoint calls them (id).

use std::collections::HashMap;
use std::hash::Hash;

use crate::transaction::TransactionId;

#[derive(Debug)]
pub(super) struct Table<K, T> {
    ids: HashMap<K, TransactionId>,
    entries: HashMap<TransactionId, (K, T)>,
}

impl<K: Clone + Eq + Hash, T> Table<K, T> {
    pub(super) fn new() -> Self {
        Self { ids: HashMap::new(), entries: HashMap::new() }
    }

    pub(super) fn insert(&mut self, id: TransactionId, key: K, entry: T) {
        self.ids.insert(key.clone(), id);
        self.entries.insert(id, (key, entry));
    }

    pub(super) fn find(&self, key: &K) -> Option<TransactionId> {
        self.ids.get(key).copied()
    }

    pub(super) fn get(&self, id: TransactionId) -> Option<&T> {
        self.entries.get(&id).map(|(_, entry)| entry)
    }

    pub(super) fn get_mut(&mut self, id: TransactionId) -> Option<&mut T> {
        self.entries.get_mut(&id).map(|(_, entry)| entry)
    }

    pub(super) fn remove(&mut self, id: TransactionId) -> Option<T> {
        let (key, entry) = self.entries.remove(&id)?;
        if self.ids.get(&key) == Some(&id) {
            self.ids.remove(&key);
        }
        Some(entry)
    }

    /// Finds an entry by another key from now on; gives back the old one.
    pub(super) fn rekey(&mut self, id: TransactionId, key: K) -> Option<K> {
        let (old, _) = self.entries.get_mut(&id)?;
        let old = std::mem::replace(old, key.clone());
        self.ids.remove(&old);
        self.ids.insert(key, id);
        Some(old)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &T> {
        self.entries.values().map(|(_, entry)| entry)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.ids.is_empty()
    }
}
