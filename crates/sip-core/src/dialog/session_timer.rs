//! Session timers (RFC 4028): what is agreed on, who refreshes when, and when the session is given up.

use std::fmt;
use std::time::{Duration, Instant};

use crate::message::{Headers, Params, text};
use crate::profile;

/// The option tag.
pub(crate) const TAG: &str = "timer";
/// The shortest interval that there is (RFC 4028 5): one that is said to be shorter counts as this.
pub(crate) const SHORTEST: Duration = Duration::from_secs(90);
/// How long before the end of its interval a session that was not refreshed is given up, at most (RFC 4028 10).
const MARGIN: Duration = Duration::from_secs(32);
/// The shortest time between two attempts to refresh.
const PAUSE: Duration = Duration::from_secs(5);

/// A side of the transaction that agreed on the timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Uac,
    Uas,
}

/// The Session-Expires header field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionExpires {
    pub(crate) interval: Duration,
    pub(crate) refresher: Option<Side>,
}

impl SessionExpires {
    pub(crate) fn of(headers: &Headers) -> Option<Self> {
        let value = headers.get("Session-Expires")?;
        let (seconds, params) = value.split_once(';').unwrap_or((value, ""));
        let refresher = Params::parse(params).and_then(|params| {
            let name = params.get("refresher")?;
            let sides = [("uac", Side::Uac), ("uas", Side::Uas)];
            sides.into_iter().find(|(side, _)| side.eq_ignore_ascii_case(name)).map(|(_, side)| side)
        });
        Some(Self { interval: seconds_of(seconds)?, refresher })
    }
}

impl fmt::Display for SessionExpires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.interval.as_secs())?;
        match self.refresher {
            Some(Side::Uac) => f.write_str(";refresher=uac"),
            Some(Side::Uas) => f.write_str(";refresher=uas"),
            None => Ok(()),
        }
    }
}

/// The Min-SE header field.
pub(crate) fn min_se(headers: &Headers) -> Option<Duration> {
    let value = headers.get("Min-SE")?;
    seconds_of(value.split(';').next()?)
}

fn seconds_of(text: &str) -> Option<Duration> {
    text::number::<u32>(text.trim()).map(|seconds| Duration::from_secs(seconds.into()))
}

/// What an INVITE or UPDATE of the peer says of session timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Does the peer know session timers?
    supported: bool,
    expires: Option<SessionExpires>,
    min_se: Duration,
}

impl Asked {
    pub(crate) fn of(headers: &Headers) -> Self {
        let has = |name| headers.list(name).any(|tag| tag.eq_ignore_ascii_case(TAG));
        Self {
            supported: has("Supported") || has("Require"),
            expires: SessionExpires::of(headers),
            min_se: min_se(headers).unwrap_or(SHORTEST),
        }
    }
}

/// The timer that a transaction agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Agreed {
    pub(crate) interval: Duration,
    pub(crate) refresher: Side,
    /// Does the other side know session timers?
    pub(crate) supported: bool,
}

/// An interval is shorter than what we take: 422 with this Min-SE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooShort(pub(crate) Duration);

impl Agreed {
    /// As the UAS sees it (RFC 4028 9). `ours` is what we want by ourselves, `running` the timer there is, if we refresh:
    /// a peer that does not repeat it does not end it.
    pub(crate) fn as_uas(
        asked: &Asked,
        ours: Option<profile::SessionTimer>,
        running: Option<Duration>,
    ) -> Result<Option<Self>, TooShort> {
        let floor = ours.map_or(SHORTEST, |ours| ours.min_se.max(SHORTEST));
        let wanted = ours.map(|ours| ours.expires.max(floor).max(asked.min_se));
        let interval = match (asked.expires, wanted.or(running)) {
            (Some(theirs), _) if asked.supported && theirs.interval < floor => return Err(TooShort(floor)),
            (Some(theirs), _) => wanted.map_or(theirs.interval, |ours| ours.min(theirs.interval)),
            (None, Some(ours)) => ours,
            (None, None) => return Ok(None),
        };
        let theirs = asked.expires.and_then(|theirs| theirs.refresher);
        let refresher = match (asked.supported, theirs) {
            (false, _) => Side::Uas,
            (true, Some(side)) => side,
            (true, None) if wanted.is_none() && asked.expires.is_none() => Side::Uas,
            (true, None) => Side::Uac,
        };
        Ok(Some(Self { interval: interval.max(SHORTEST), refresher, supported: asked.supported }))
    }

    /// As the UAC sees it (RFC 4028 7.2): from the 2xx, or from what was asked for where the peer says nothing.
    pub(crate) fn as_uac(ok: &Headers, asked: Option<Duration>) -> Option<Self> {
        let agreed = |interval: Duration, refresher: Option<Side>, supported| Self {
            interval: interval.max(SHORTEST),
            refresher: refresher.unwrap_or(Side::Uac),
            supported,
        };
        match SessionExpires::of(ok) {
            Some(theirs) => Some(agreed(theirs.interval, theirs.refresher, true)),
            None => asked.map(|interval| agreed(interval, None, false)),
        }
    }

    /// What the 2xx says of it.
    pub(crate) fn headers(&self) -> Vec<(&'static str, String)> {
        let expires = SessionExpires { interval: self.interval, refresher: Some(self.refresher) };
        let mut headers = vec![("Session-Expires", expires.to_string())];
        if self.supported {
            headers.push(("Require", TAG.to_owned()));
        }
        headers
    }
}

/// The timer of a session.
#[derive(Debug)]
pub(crate) struct SessionTimer {
    pub(crate) interval: Duration,
    /// When the next attempt to refresh is due, where that is our part.
    refresh: Option<Instant>,
    /// Is the refreshing our part?
    pub(crate) refreshing: bool,
    /// When it is over without a refresh.
    give_up: Instant,
}

/// What the time brings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    /// Refresh the session.
    Refresh,
    /// It was not refreshed in time: it is over.
    Expired,
}

impl SessionTimer {
    /// Starts with a 2xx, and starts again with each one that refreshes. `side` is ours in its transaction.
    pub(crate) fn start(now: Instant, agreed: &Agreed, side: Side) -> Self {
        let interval = agreed.interval;
        let refreshing = agreed.refresher == side;
        Self {
            interval,
            refreshing,
            refresh: refreshing.then(|| now + interval / 2),
            give_up: now + interval.saturating_sub(MARGIN.min(interval / 3)),
        }
    }

    /// An attempt to refresh came to nothing; there is another one if the time allows it.
    pub(crate) fn try_again(&mut self, now: Instant) {
        let left = self.give_up.saturating_duration_since(now);
        self.refresh = self.refreshing.then(|| now + (left / 4).max(PAUSE));
    }

    pub(crate) fn due(&mut self, now: Instant) -> Due {
        if self.give_up <= now {
            return Due::Expired;
        }
        match self.refresh.take_if(|at| *at <= now) {
            Some(_) => Due::Refresh,
            None => Due::Nothing,
        }
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.refresh.map_or(self.give_up, |refresh| refresh.min(self.give_up))
    }
}

#[cfg(test)]
mod tests;
