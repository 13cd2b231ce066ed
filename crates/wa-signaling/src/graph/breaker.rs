//! What need not be sent: requests that would fail for what is known already.
//!
//! A token that was refused is refused again; an API that is out of order is not helped by more
//! requests; whoever was told to slow down slows down. Requests that end a call always go out: a
//! call that nobody ends is worse than a request in vain.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::error::{ApiError, ErrorKind, GraphError, Hold};
use super::event::{GraphEvent, Trouble};
use crate::secret::Secret;
use crate::wacid::PhoneNumberId;

/// Failures in a row after which the API counts as out of order.
pub const FAILURES: u32 = 5;
/// Between two probes of an API that is out of order.
pub const PROBE_PAUSE: Duration = Duration::from_secs(3);
/// A probe without a result for so long counts as failed: its task was dropped.
pub const PROBE_LOST: Duration = Duration::from_secs(60);
/// Between two tries with a token that was refused: WhatsApp may have been wrong about it.
pub const TOKEN_PAUSE: Duration = Duration::from_secs(60);
/// How long connects rest after a rate limit, where WhatsApp does not say.
pub const REST: Duration = Duration::from_secs(5);
/// The longest that connects rest after a rate limit, whatever WhatsApp says.
pub const LONGEST_REST: Duration = Duration::from_secs(60);
/// The most numbers with troubles remembered; those of more are neither held nor told of.
const MOST_NUMBERS: usize = 10_000;

/// What a request is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Calls a user: held whenever it would fail.
    Connect,
    /// `pre_accept` and `accept`: a user waits, so only a dead token holds them.
    Answer,
    /// `reject` and `terminate`: never held.
    End,
    /// Anything else: only a dead token holds it.
    Other,
}

/// What stands for a token: nothing can be learned from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Digest([u8; 32]);

impl Digest {
    /// That of a token.
    #[must_use]
    pub fn of(token: &Secret) -> Self {
        // HMAC takes keys of every length.
        let mac = Hmac::<Sha256>::new_from_slice(b"refused token").ok();
        let digest = mac.map(|mut mac| {
            mac.update(token.expose().as_bytes());
            mac.finalize().into_bytes().into()
        });
        Self(digest.unwrap_or_default())
    }
}

/// One request, as the breaker has to know it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// What it is for.
    pub purpose: Purpose,
    /// Of which number; none: of an app or a WABA, where only the outage counts.
    pub number: Option<PhoneNumberId>,
    /// Of its token.
    pub token: Digest,
}

/// A request that may be sent; its result has to be told.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use]
pub struct Permit {
    request: Request,
    probe: bool,
}

/// The breaker of all numbers of one client.
#[derive(Debug, Default)]
pub struct Breaker {
    api: Api,
    numbers: BTreeMap<PhoneNumberId, Number>,
}

/// The state of the API as a whole.
#[derive(Debug)]
enum Api {
    /// It answers, but for so many failures in a row.
    Works { failures: u32 },
    /// It does not; the next probe may go then.
    Down { probe_at: Instant },
    /// A probe is on its way.
    Probing { lost_at: Instant },
}

impl Default for Api {
    fn default() -> Self {
        Self::Works { failures: 0 }
    }
}

/// What is wrong with one number.
#[derive(Debug, Default)]
struct Number {
    refused: Option<Refused>,
    /// Connects rest until then.
    rest_until: Option<Instant>,
    /// The other troubles, each with what the request was for that showed it.
    troubles: Vec<(Trouble, Purpose)>,
}

#[derive(Debug)]
struct Refused {
    token: Digest,
    error: ApiError,
    try_at: Instant,
}

impl Number {
    fn is_sound(&self) -> bool {
        self.refused.is_none() && self.rest_until.is_none() && self.troubles.is_empty()
    }
}

impl Breaker {
    /// Whether a request may be sent; else what it would have failed with.
    pub fn ask(&mut self, now: Instant, request: Request) -> Result<Permit, GraphError> {
        if request.purpose == Purpose::End {
            return Ok(Permit { request, probe: false });
        }
        if let Some(hold) = self.token_hold(now, &request) {
            return Err(GraphError::NotSent(hold));
        }
        if request.purpose != Purpose::Connect {
            return Ok(Permit { request, probe: false });
        }
        if let Some(left) = self.rest(now, &request) {
            return Err(GraphError::NotSent(Hold::RateLimited(left)));
        }
        match self.api {
            Api::Works { .. } => Ok(Permit { request, probe: false }),
            Api::Down { probe_at: due } | Api::Probing { lost_at: due } if now >= due => {
                self.api = Api::Probing { lost_at: now + PROBE_LOST };
                Ok(Permit { request, probe: true })
            }
            Api::Down { .. } | Api::Probing { .. } => Err(GraphError::NotSent(Hold::Outage)),
        }
    }

    fn token_hold(&mut self, now: Instant, request: &Request) -> Option<Hold> {
        let refused = self.numbers.get_mut(request.number.as_ref()?)?.refused.as_mut()?;
        if refused.token != request.token {
            return None;
        }
        if now >= refused.try_at {
            refused.try_at = now + TOKEN_PAUSE;
            return None;
        }
        Some(Hold::Token(refused.error.clone()))
    }

    fn rest(&self, now: Instant, request: &Request) -> Option<Duration> {
        let until = self.numbers.get(request.number.as_ref()?)?.rest_until?;
        until.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// What became of a request that was sent: what has changed by it.
    pub fn done(&mut self, now: Instant, permit: Permit, result: Result<(), &GraphError>) -> Vec<GraphEvent> {
        let mut events = Vec::new();
        self.api_heard(now, &permit, result, &mut events);
        if let Some(number) = permit.request.number.clone() {
            let entry = match self.numbers.remove(&number) {
                Some(entry) => entry,
                None if self.numbers.len() >= MOST_NUMBERS => return events,
                None => Number::default(),
            };
            let entry = entry.heard(now, &number, &permit.request, result, &mut events);
            if !entry.is_sound() {
                self.numbers.insert(number, entry);
            }
        }
        events
    }

    fn api_heard(
        &mut self,
        now: Instant,
        permit: &Permit,
        result: Result<(), &GraphError>,
        events: &mut Vec<GraphEvent>,
    ) {
        // It may be the answer's content that was not understood, and not the API that is ill.
        let is_unclear = matches!(result, Err(GraphError::BadResponse(_)));
        if is_unclear && permit.request.purpose == Purpose::Other {
            return;
        }
        let failed = result.err().filter(|error| error.is_outage());
        // One call that WhatsApp can't end is tried again and again: it is no outage of all. And where a
        // crowd of calls has asked for permissions in vain, the calls themselves may well go through.
        if failed.is_some() && matches!(permit.request.purpose, Purpose::End | Purpose::Other) {
            return;
        }
        self.api = match (&self.api, failed) {
            (Api::Works { failures }, Some(error)) if failures + 1 >= FAILURES => {
                let text = error.to_string();
                events.push(GraphEvent::Begun { trouble: Trouble::Outage, number: None, text });
                Api::Down { probe_at: now + PROBE_PAUSE }
            }
            (Api::Works { failures }, Some(_)) => Api::Works { failures: failures + 1 },
            (Api::Works { .. }, None) => Api::Works { failures: 0 },
            (Api::Down { .. } | Api::Probing { .. }, None) => {
                events.push(GraphEvent::Over { trouble: Trouble::Outage, number: None });
                Api::Works { failures: 0 }
            }
            (Api::Probing { .. }, Some(_)) if permit.probe => Api::Down { probe_at: now + PROBE_PAUSE },
            // Requests that were on their way say nothing new.
            (Api::Down { .. } | Api::Probing { .. }, Some(_)) => return,
        };
    }
}

impl Number {
    fn heard(
        mut self,
        now: Instant,
        number: &PhoneNumberId,
        request: &Request,
        result: Result<(), &GraphError>,
        events: &mut Vec<GraphEvent>,
    ) -> Self {
        let over = |trouble| GraphEvent::Over { trouble, number: Some(number.clone()) };
        let begun = |trouble, error: &GraphError| GraphEvent::Begun {
            trouble,
            number: Some(number.clone()),
            text: error.to_string(),
        };
        if let Err(GraphError::Api(error)) = result
            && error.refuses_token()
        {
            events.extend(result.err().map(|error| begun(Trouble::Token, error)));
            let try_at = now + TOKEN_PAUSE;
            self.refused = Some(Refused { token: request.token, error: error.clone(), try_at });
            return self;
        }
        // Whatever else Graph said, it took the token.
        if matches!(result, Ok(()) | Err(GraphError::Api(_))) && self.refused.take().is_some() {
            events.push(over(Trouble::Token));
        }
        match result {
            Ok(()) => self.worked(now, request.purpose, over, events),
            Err(error) => {
                if let Some(rest) = error.rest() {
                    self.rest_until = Some(now + rest);
                }
                if let Some(trouble) = error.kind().trouble().filter(|trouble| *trouble != Trouble::Outage) {
                    if !self.troubles.contains(&(trouble, request.purpose)) {
                        self.troubles.push((trouble, request.purpose));
                    }
                    events.push(begun(trouble, error));
                }
            }
        }
        self
    }

    /// Only the same kind of request shows that what it was refused for is over.
    fn worked(
        &mut self,
        now: Instant,
        purpose: Purpose,
        over: impl Fn(Trouble) -> GraphEvent,
        events: &mut Vec<GraphEvent>,
    ) {
        self.rest_until = self.rest_until.filter(|until| *until > now);
        let (gone, left): (Vec<_>, Vec<_>) =
            self.troubles.drain(..).partition(|(_, shown_by)| *shown_by == purpose);
        self.troubles = left;
        for (trouble, _) in gone {
            if !self.troubles.iter().any(|(left, _)| *left == trouble) {
                events.push(over(trouble));
            }
        }
    }
}

impl GraphError {
    /// Whether it says that the API as a whole does not work.
    fn is_outage(&self) -> bool {
        match self {
            Self::Timeout | Self::Transport(_) | Self::BadResponse(_) => true,
            Self::Api(error) => match self.kind() {
                ErrorKind::Outage => true,
                ErrorKind::Unknown => error.http_status >= 500,
                _ => false,
            },
            Self::NotSent(_) => false,
        }
    }

    /// How long connects of the number have to rest after it.
    fn rest(&self) -> Option<Duration> {
        let Self::Api(error) = self else {
            return None;
        };
        let asked = matches!(self.kind(), ErrorKind::RateLimited | ErrorKind::NumberRateLimited);
        asked.then(|| error.retry_after.unwrap_or(REST).min(LONGEST_REST))
    }
}

#[cfg(test)]
mod tests;
