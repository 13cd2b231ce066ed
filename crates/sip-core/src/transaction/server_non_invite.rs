//! The non-INVITE server transaction: RFC 3261 figure 8. A transport error
//! leaves it where it is (RFC 6026 8.7), so there is no such input.

use std::collections::VecDeque;
use std::mem;
use std::time::Instant;

use bytes::Bytes;

use super::ServerOutput;
use super::timer::Timers;

#[derive(Debug)]
pub(crate) struct ServerNonInvite {
    timers: Timers,
    /// Over TCP and TLS Timer J is zero.
    is_reliable: bool,
    state: State,
    outputs: VecDeque<ServerOutput>,
}

#[derive(Debug)]
enum State {
    Trying,
    Proceeding { last: Bytes },
    Completed { response: Bytes, j: Instant },
    Terminated,
}

#[derive(Debug)]
pub(crate) enum Input {
    /// The request again.
    Request,
    /// A response of the transaction user.
    Response {
        status: u16,
        bytes: Bytes,
    },
    Timer,
}

impl ServerNonInvite {
    pub(crate) fn new(timers: Timers) -> Self {
        Self { timers, is_reliable: false, state: State::Trying, outputs: VecDeque::new() }
    }

    /// The transport delivers by itself what it takes. To be said before anything else happens.
    pub(crate) fn rely_on_transport(&mut self) {
        self.is_reliable = true;
    }

    /// Has no final response been sent yet?
    pub(crate) fn is_proceeding(&self) -> bool {
        matches!(self.state, State::Trying | State::Proceeding { .. })
    }

    pub(crate) fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }

    pub(crate) fn handle(&mut self, now: Instant, input: Input) {
        let state = mem::replace(&mut self.state, State::Terminated);
        self.state = match input {
            Input::Response { status, bytes } => self.response(now, state, status, bytes),
            Input::Request => self.request(state),
            Input::Timer => timer(now, state),
        };
    }

    fn response(&mut self, now: Instant, state: State, status: u16, bytes: Bytes) -> State {
        match state {
            State::Trying | State::Proceeding { .. } => {
                self.outputs.push_back(ServerOutput::Send(bytes.clone()));
                if status < 200 {
                    State::Proceeding { last: bytes }
                } else {
                    let j = if self.is_reliable { now } else { now + self.timers.timeout() };
                    State::Completed { response: bytes, j }
                }
            }
            State::Completed { .. } | State::Terminated => state,
        }
    }

    fn request(&mut self, state: State) -> State {
        match &state {
            State::Proceeding { last: response } | State::Completed { response, .. } => {
                self.outputs.push_back(ServerOutput::Send(response.clone()));
            }
            State::Trying | State::Terminated => {}
        }
        state
    }

    pub(crate) fn poll(&mut self) -> Option<ServerOutput> {
        self.outputs.pop_front()
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Completed { j, .. } => Some(*j),
            State::Trying | State::Proceeding { .. } | State::Terminated => None,
        }
    }
}

fn timer(now: Instant, state: State) -> State {
    match state {
        State::Completed { j, .. } if j <= now => State::Terminated,
        not_due => not_due,
    }
}

#[cfg(test)]
mod tests;
