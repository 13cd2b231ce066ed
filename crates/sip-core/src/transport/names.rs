//! The host names that peers are known by: what their certificates must be for.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use super::lru::Lru;

/// The most names that are remembered; the one unused for the longest is forgotten, and its peer then goes by its trunk's
/// name or by its address.
pub(crate) const MAX_NAMES: usize = 4096;

#[derive(Debug)]
pub(crate) struct Names(Mutex<Lru<SocketAddr, String>>);

impl Default for Names {
    fn default() -> Self {
        Self(Mutex::new(Lru::new(MAX_NAMES)))
    }
}

impl Names {
    pub(crate) fn set(&self, peer: SocketAddr, name: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(peer, name);
    }

    pub(crate) fn get(&self, peer: SocketAddr) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&peer).cloned()
    }
}
