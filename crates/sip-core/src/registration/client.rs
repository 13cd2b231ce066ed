//! Our registration with a peer (RFC 3261 10.2): refreshed long before it expires, tried again when it fails.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{expires_of, same_contact};
use crate::message::{NameAddr, Response, Uri, text};

/// The wait after the first failure; it doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(30);
/// The longest wait after a failure.
const LAST_RETRY: Duration = Duration::from_secs(300);
/// The longest wait that a Retry-After can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);
/// A grant of less, in seconds, is refreshed as if it were this much: no peer makes us flood it.
const MIN_GRANT: u32 = 20;
/// The longest grant, and the longest expiry that a 423 can raise ours to, in seconds.
const MAX_EXPIRES: u32 = 86_400;

/// What drives a registration.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// It is wanted.
    Start,
    /// It is no longer wanted.
    Stop,
    /// The final response to the last REGISTER.
    Response {
        /// The response.
        response: &'a Response,
        /// Any number: it says when the refresh is due, so that not all registrations refresh at once.
        jitter: u8,
    },
    /// The last REGISTER got no final response.
    NoAnswer,
    /// The deadline has come.
    Timeout,
}

/// What a registration wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send a REGISTER. Its outcome is the next [`Input::Response`] or [`Input::NoAnswer`].
    SendRegister {
        /// The expiry to ask for, in seconds; 0 removes the binding.
        expires: u32,
        /// The sequence number.
        cseq: u32,
    },
    /// Calls can reach us now, or can no longer.
    Changed(Status),
}

/// Whether the peer knows where we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It does.
    Registered,
    /// It does not, or not for sure.
    Lost(Loss),
}

/// Why a registration is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The peer refused it with this status.
    Rejected(u16),
    /// The peer did not answer until it expired.
    NoAnswer,
    /// We took it back.
    Unregistered,
}

/// One registration.
#[derive(Debug)]
pub struct Registration {
    contact: Uri,
    /// What is asked for, in seconds; a 423 raises it.
    expires: u32,
    cseq: u32,
    failures: u32,
    stopping: bool,
    state: State,
    /// What was told last.
    told: Option<Status>,
    outputs: VecDeque<Output>,
}

/// `until` is when the last grant expires, if one is left.
#[derive(Debug, Clone, Copy)]
enum State {
    Unregistered,
    Registering { until: Option<Instant> },
    Registered { refresh: Instant, until: Instant },
    Waiting { retry: Instant, until: Option<Instant> },
    Unregistering,
}

impl Registration {
    /// Of this contact, for this many seconds at a time.
    pub fn new(contact: Uri, expires: u32) -> Self {
        Self {
            contact,
            expires,
            cseq: 0,
            failures: 0,
            stopping: false,
            state: State::Unregistered,
            told: None,
            outputs: VecDeque::new(),
        }
    }

    /// The contact that the next REGISTER goes out with: where we are reached depends on the way to the registrar.
    pub fn set_contact(&mut self, contact: Uri) {
        self.contact = contact;
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        self.note_expiry(now);
        match (input, self.state) {
            (Input::Start, _) => self.start(),
            (Input::Stop, state) => self.stop(state),
            (Input::Response { response, jitter }, State::Registering { until }) => {
                self.registered(now, until, response, jitter);
            }
            (Input::NoAnswer, State::Registering { until }) => self.failed(now, until, None),
            (Input::Response { .. } | Input::NoAnswer, State::Unregistering) => self.unregistered(),
            (Input::Timeout, State::Registered { refresh: at, until }) if at <= now => self.send(Some(until)),
            (Input::Timeout, State::Waiting { retry: at, until }) if at <= now => self.send(until),
            _ => {}
        }
    }

    /// What is to be done next.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Has it been taken back, so that there is nothing left to do?
    pub fn is_over(&self) -> bool {
        self.stopping && self.outputs.is_empty() && matches!(self.state, State::Unregistered)
    }

    /// When [`Input::Timeout`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Unregistered | State::Unregistering => None,
            State::Registering { until } => until,
            State::Registered { refresh, .. } => Some(refresh),
            State::Waiting { retry, until } => Some(until.map_or(retry, |until| until.min(retry))),
        }
    }

    fn start(&mut self) {
        self.stopping = false;
        if let State::Unregistered = self.state {
            self.send(None);
        }
    }

    /// A REGISTER that is on its way is awaited first (RFC 3261 10.2).
    fn stop(&mut self, state: State) {
        self.stopping = true;
        match state {
            State::Registered { .. } | State::Waiting { until: Some(_), .. } => self.send_unregister(),
            State::Waiting { until: None, .. } => self.unregistered(),
            State::Unregistered | State::Registering { .. } | State::Unregistering => {}
        }
    }

    /// A final response to a REGISTER with an expiry.
    fn registered(&mut self, now: Instant, until: Option<Instant>, response: &Response, jitter: u8) {
        // The endpoint counts on when it answers a challenge.
        let used = response.headers.cseq().map_or(0, |cseq| cseq.number);
        self.cseq = self.cseq.max(used);
        match response.status {
            200..300 if self.stopping => self.send_unregister(),
            200..300 => {
                let granted = self.granted(response);
                self.failures = 0;
                let refresh = now + refresh_after(granted, jitter);
                self.state = State::Registered { refresh, until: now + granted };
                self.tell(Status::Registered);
            }
            423 if !self.stopping && self.raise(response) => self.send(until),
            _ => self.failed(now, until, Some(response)),
        }
    }

    /// Waits and tries again. A refusal says that we are not known; after silence, or a failure of the peer's own, the
    /// last grant may still hold.
    fn failed(&mut self, now: Instant, until: Option<Instant>, response: Option<&Response>) {
        let refused = response.map(|response| response.status).filter(|status| !(500..600).contains(status));
        let until = until.filter(|_| refused.is_none());
        if self.stopping {
            return if until.is_some() { self.send_unregister() } else { self.unregistered() };
        }
        if until.is_none() {
            let loss = response.map_or(Loss::NoAnswer, |response| Loss::Rejected(response.status));
            self.tell(Status::Lost(loss));
        }
        let backoff = FIRST_RETRY.saturating_mul(1 << self.failures.min(8)).min(LAST_RETRY);
        self.failures += 1;
        let asked = response.map_or(Duration::ZERO, retry_after);
        self.state = State::Waiting { retry: now + backoff.max(asked), until };
    }

    /// The grant ran out without a refresh.
    fn note_expiry(&mut self, now: Instant) {
        let over = |until: Instant| until <= now;
        self.state = match self.state {
            State::Registering { until: Some(until) } if over(until) => State::Registering { until: None },
            State::Waiting { retry, until: Some(until) } if over(until) => {
                State::Waiting { retry, until: None }
            }
            _ => return,
        };
        self.tell(Status::Lost(Loss::NoAnswer));
    }

    fn unregistered(&mut self) {
        self.state = State::Unregistered;
        self.failures = 0;
        if self.stopping {
            self.tell(Status::Lost(Loss::Unregistered));
        } else {
            self.send(None);
        }
    }

    fn send(&mut self, until: Option<Instant>) {
        self.state = State::Registering { until };
        self.send_register(self.expires);
    }

    fn send_unregister(&mut self) {
        self.state = State::Unregistering;
        self.send_register(0);
    }

    fn send_register(&mut self, expires: u32) {
        self.cseq += 1;
        self.outputs.push_back(Output::SendRegister { expires, cseq: self.cseq });
    }

    /// Says what has changed, and nothing twice.
    fn tell(&mut self, status: Status) {
        if self.told != Some(status) {
            self.told = Some(status);
            self.outputs.push_back(Output::Changed(status));
        }
    }

    /// What a 2xx grants to our contact (RFC 3261 10.2.4). The peer may have rewritten it; then the only one is ours.
    fn granted(&self, response: &Response) -> Duration {
        let contacts: Vec<NameAddr> = response.headers.routes("Contact");
        let ours = contacts.iter().find(|contact| same_contact(&contact.uri, &self.contact));
        let only = match contacts.as_slice() {
            [only] => Some(only),
            _ => None,
        };
        let seconds = ours.or(only).and_then(expires_of);
        let seconds = seconds.or_else(|| text::number(response.headers.get("Expires")?));
        let seconds = seconds.filter(|seconds| *seconds > 0).unwrap_or(self.expires);
        Duration::from_secs(seconds.clamp(MIN_GRANT, MAX_EXPIRES).into())
    }

    /// Asks for as much as the peer wants at least.
    fn raise(&mut self, response: &Response) -> bool {
        let least = response.headers.get("Min-Expires").and_then(text::number::<u32>);
        let raised = least.filter(|least| (self.expires + 1..=MAX_EXPIRES).contains(least));
        self.expires = raised.unwrap_or(self.expires);
        raised.is_some()
    }
}

/// After 50 to 90 % of the grant.
fn refresh_after(granted: Duration, jitter: u8) -> Duration {
    let share = 500 + u32::from(jitter) * 400 / u32::from(u8::MAX);
    granted * share / 1000
}

fn retry_after(response: &Response) -> Duration {
    let value = response.headers.get("Retry-After").unwrap_or_default();
    let digits = value.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    Duration::from_secs(text::number(digits).unwrap_or(0)).min(MAX_RETRY_AFTER)
}

#[cfg(test)]
mod tests;
