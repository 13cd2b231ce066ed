//! WhatsApp users, by what they do.

use std::time::Duration;

use sandbox::whatsapp::{Behaviour, GraphFault, Pickup, UserCall};

/// Rings shortly, then answers.
pub(crate) fn answers() -> Behaviour {
    Behaviour { pickup: Pickup::After(Duration::from_millis(100)), ..Behaviour::default() }
}

/// Answers, and hangs up soon.
pub(crate) fn hangs_up() -> Behaviour {
    Behaviour { hang_up_after: Some(Duration::from_millis(500)), ..answers() }
}

/// Answers, and hangs up before a slow PBX has said ACK.
pub(crate) fn hangs_up_soon() -> Behaviour {
    Behaviour { hang_up_after: Some(Duration::from_millis(150)), ..answers() }
}

/// Rings until somebody gives up.
pub(crate) fn never_answers() -> Behaviour {
    Behaviour { pickup: Pickup::Never, ..Behaviour::default() }
}

/// Rejects the call.
pub(crate) fn rejects() -> Behaviour {
    Behaviour { pickup: Pickup::Reject(Duration::from_millis(200)), ..Behaviour::default() }
}

/// Would ring, but WhatsApp is slow to say that it has the call.
pub(crate) fn is_reached_slowly(after: Duration) -> Behaviour {
    Behaviour { graph: Some(GraphFault::Delay(after)), ..never_answers() }
}

/// Calls the business and waits.
pub(crate) fn calls() -> UserCall {
    UserCall::new("15550000201", "Ann")
}

/// Calls the business and gives up after this time.
pub(crate) fn gives_up(patience: Duration) -> UserCall {
    UserCall { patience: Some(patience), ..calls() }
}

/// Calls the business and hangs up this long after the answer.
pub(crate) fn hangs_up_after(time: Duration) -> UserCall {
    UserCall { hang_up_after: Some(time), ..calls() }
}

/// Answers, and hangs up when the PBX has had time for a request or two.
pub(crate) fn hangs_up_after_long() -> Behaviour {
    Behaviour { hang_up_after: Some(Duration::from_millis(1500)), ..answers() }
}

/// Answers, and hangs up when a transfer is over.
pub(crate) fn hangs_up_late() -> Behaviour {
    Behaviour { hang_up_after: Some(Duration::from_secs(4)), ..answers() }
}
