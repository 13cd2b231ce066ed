//! The non-INVITE client transaction: RFC 3261 figure 6.

use std::collections::VecDeque;
use std::mem;
use std::time::Instant;

use bytes::Bytes;

use super::ClientOutput;
use super::timer::{Backoff, Timers};
use crate::message::{Request, Response};

#[derive(Debug)]
pub(crate) struct ClientNonInvite {
    request: Bytes,
    timers: Timers,
    /// Over TCP and TLS Timer E never runs and Timer K is zero.
    is_reliable: bool,
    state: State,
    outputs: VecDeque<ClientOutput>,
}

#[derive(Debug)]
enum State {
    Trying { request: Bytes, e: Option<Backoff>, f: Instant },
    Proceeding { request: Bytes, e: Option<Backoff>, f: Instant },
    Completed { k: Instant },
    Terminated,
}

#[derive(Debug)]
pub(crate) enum Input {
    Response(Box<Response>),
    TransportError,
    Timer,
}

impl ClientNonInvite {
    /// Sends the request.
    pub(crate) fn new(now: Instant, request: &Request, timers: Timers) -> Self {
        let request = request.to_bytes();
        Self {
            request: request.clone(),
            timers,
            is_reliable: false,
            outputs: VecDeque::from([ClientOutput::Send(request.clone())]),
            state: State::Trying {
                request,
                e: Some(Backoff::start(now, timers.t1)),
                f: now + timers.timeout(),
            },
        }
    }

    /// The transport delivers by itself what it takes. To be said before anything else happens.
    pub(crate) fn rely_on_transport(&mut self) {
        self.is_reliable = true;
        if let State::Trying { e, .. } = &mut self.state {
            *e = None;
        }
    }

    /// The request as it went out.
    pub(crate) fn request(&self) -> &Bytes {
        &self.request
    }

    /// May a final response still come?
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Trying { .. } | State::Proceeding { .. })
    }

    pub(crate) fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }

    pub(crate) fn handle(&mut self, now: Instant, input: Input) {
        let state = mem::replace(&mut self.state, State::Terminated);
        self.state = match input {
            Input::Response(response) => self.response(now, state, response),
            Input::Timer => self.timer(now, state),
            Input::TransportError => self.transport_error(state),
        };
    }

    fn response(&mut self, now: Instant, state: State, response: Box<Response>) -> State {
        let provisional = response.status < 200;
        match state {
            State::Trying { request, e, f } if provisional => {
                self.outputs.push_back(ClientOutput::Response(response));
                let e = e.map(|_| Backoff::settled(now, self.timers.t2));
                State::Proceeding { request, e, f }
            }
            State::Proceeding { request, e, f } if provisional => {
                self.outputs.push_back(ClientOutput::Response(response));
                State::Proceeding { request, e, f }
            }
            State::Trying { .. } | State::Proceeding { .. } => {
                self.outputs.push_back(ClientOutput::Response(response));
                let k = if self.is_reliable { now } else { now + self.timers.t4 };
                State::Completed { k }
            }
            State::Completed { .. } | State::Terminated => state,
        }
    }

    fn timer(&mut self, now: Instant, state: State) -> State {
        match state {
            State::Trying { f, .. } | State::Proceeding { f, .. } if f <= now => {
                self.outputs.push_back(ClientOutput::Timeout);
                State::Terminated
            }
            State::Trying { request, e: Some(mut e), f } if e.is_due(now) => {
                self.outputs.push_back(ClientOutput::Send(request.clone()));
                e.next(now, Some(self.timers.t2));
                State::Trying { request, e: Some(e), f }
            }
            State::Proceeding { request, e: Some(e), f } if e.is_due(now) => {
                self.outputs.push_back(ClientOutput::Send(request.clone()));
                let e = Some(Backoff::settled(now, self.timers.t2));
                State::Proceeding { request, e, f }
            }
            State::Completed { k } if k <= now => State::Terminated,
            not_due => not_due,
        }
    }

    fn transport_error(&mut self, state: State) -> State {
        match state {
            State::Trying { .. } | State::Proceeding { .. } => {
                self.outputs.push_back(ClientOutput::TransportError);
                State::Terminated
            }
            State::Completed { .. } | State::Terminated => state,
        }
    }

    pub(crate) fn poll(&mut self) -> Option<ClientOutput> {
        self.outputs.pop_front()
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Trying { e, f, .. } | State::Proceeding { e, f, .. } => {
                Some(e.map_or(*f, |e| e.at().min(*f)))
            }
            State::Completed { k } => Some(*k),
            State::Terminated => None,
        }
    }
}

#[cfg(test)]
mod tests;
