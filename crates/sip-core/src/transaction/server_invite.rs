//! The INVITE server transaction: RFC 3261 figure 7 as RFC 6026 figure 7 amends it.
//! It is born with its 100 Trying, which goes out at once: the answer may take long. A transport error leaves it where it
//! is (RFC 6026 8.7), so there is no such input.

use std::collections::VecDeque;
use std::mem;
use std::time::Instant;

use bytes::Bytes;

use super::ServerOutput;
use super::timer::{Backoff, Timers};

#[derive(Debug)]
pub(crate) struct ServerInvite {
    timers: Timers,
    /// Over TCP and TLS Timer G never runs and Timer I is zero.
    is_reliable: bool,
    state: State,
    outputs: VecDeque<ServerOutput>,
}

#[derive(Debug)]
enum State {
    Proceeding { last: Bytes },
    Completed { response: Bytes, g: Option<Backoff>, h: Instant },
    Confirmed { i: Instant },
    Accepted { l: Instant },
    Terminated,
}

#[derive(Debug)]
pub(crate) enum Input {
    /// The INVITE again.
    Invite,
    /// A response of the transaction user.
    Response {
        status: u16,
        bytes: Bytes,
    },
    /// The ACK for a 3xx to 6xx.
    Ack,
    Timer,
}

impl ServerInvite {
    pub(crate) fn new(trying: Bytes, timers: Timers) -> Self {
        Self {
            timers,
            is_reliable: false,
            outputs: VecDeque::from([ServerOutput::Send(trying.clone())]),
            state: State::Proceeding { last: trying },
        }
    }

    /// That of a former life, which said nothing final. Nothing goes out before the response.
    pub(crate) fn resumed(timers: Timers) -> Self {
        let state = State::Proceeding { last: Bytes::new() };
        Self { timers, is_reliable: false, state, outputs: VecDeque::new() }
    }

    /// The transport delivers by itself what it takes. To be said before anything else happens.
    pub(crate) fn rely_on_transport(&mut self) {
        self.is_reliable = true;
    }

    /// Has no final response been sent yet?
    pub(crate) fn is_proceeding(&self) -> bool {
        matches!(self.state, State::Proceeding { .. })
    }

    /// Is an ACK of this transaction for its 3xx to 6xx? That for a 2xx belongs to the dialog.
    pub(crate) fn absorbs_ack(&self) -> bool {
        matches!(self.state, State::Completed { .. } | State::Confirmed { .. })
    }

    /// Is it unanswered, or its final response one that is sent until its ACK comes?
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Proceeding { .. } | State::Completed { g: Some(_), .. })
    }

    pub(crate) fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }

    pub(crate) fn handle(&mut self, now: Instant, input: Input) {
        let state = mem::replace(&mut self.state, State::Terminated);
        self.state = match input {
            Input::Response { status, bytes } => self.response(now, state, status, bytes),
            Input::Invite => self.invite(state),
            Input::Ack => self.ack(now, state),
            Input::Timer => self.timer(now, state),
        };
    }

    fn response(&mut self, now: Instant, state: State, status: u16, bytes: Bytes) -> State {
        match state {
            State::Proceeding { .. } => {
                self.outputs.push_back(ServerOutput::Send(bytes.clone()));
                match status {
                    ..200 => State::Proceeding { last: bytes },
                    200..300 => {
                        let l = now + self.timers.timeout();
                        State::Accepted { l }
                    }
                    _ => State::Completed {
                        response: bytes,
                        g: (!self.is_reliable).then(|| Backoff::start(now, self.timers.t1)),
                        h: now + self.timers.timeout(),
                    },
                }
            }
            State::Accepted { l } => {
                // The transaction user retransmits its 2xx through here.
                if (200..300).contains(&status) {
                    self.outputs.push_back(ServerOutput::Send(bytes));
                }
                State::Accepted { l }
            }
            State::Completed { .. } | State::Confirmed { .. } | State::Terminated => state,
        }
    }

    fn invite(&mut self, state: State) -> State {
        match &state {
            State::Proceeding { last: response } | State::Completed { response, .. } => {
                self.outputs.push_back(ServerOutput::Send(response.clone()));
            }
            State::Confirmed { .. } | State::Accepted { .. } | State::Terminated => {}
        }
        state
    }

    fn ack(&mut self, now: Instant, state: State) -> State {
        match state {
            State::Completed { .. } => {
                let i = if self.is_reliable { now } else { now + self.timers.t4 };
                State::Confirmed { i }
            }
            State::Proceeding { .. }
            | State::Confirmed { .. }
            | State::Accepted { .. }
            | State::Terminated => state,
        }
    }

    fn timer(&mut self, now: Instant, state: State) -> State {
        match state {
            State::Completed { h: end, .. } | State::Confirmed { i: end } | State::Accepted { l: end }
                if end <= now =>
            {
                State::Terminated
            }
            State::Completed { response, g: Some(mut g), h } if g.is_due(now) => {
                self.outputs.push_back(ServerOutput::Send(response.clone()));
                g.next(now, Some(self.timers.t2));
                State::Completed { response, g: Some(g), h }
            }
            not_due => not_due,
        }
    }

    pub(crate) fn poll(&mut self) -> Option<ServerOutput> {
        self.outputs.pop_front()
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Completed { g, h, .. } => Some(g.map_or(*h, |g| g.at().min(*h))),
            State::Confirmed { i: end } | State::Accepted { l: end } => Some(*end),
            State::Proceeding { .. } | State::Terminated => None,
        }
    }
}

#[cfg(test)]
mod tests;
