//! What makes a trunk trustworthy: where its calls go, in which order, and how many there may be.
//!
//! Pure but for `resolve`: targets and how they are found (RFC 3263), the order they are tried in (RFC 2782), whether they
//! live, when the next one is tried, and the limits on calls and spending. Time, the day, random
//! numbers and DNS answers come in as arguments.

pub mod failover;
pub mod health;
pub mod limit;
pub mod locate;
pub mod resolve;
pub mod select;
pub mod spend;
pub mod target;
pub mod watch;
