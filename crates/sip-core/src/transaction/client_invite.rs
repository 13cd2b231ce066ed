//! The INVITE client transaction: RFC 3261 figure 5 as RFC 6026 figure 5 amends it.

use std::collections::VecDeque;
use std::mem;
use std::time::Instant;

use bytes::Bytes;

use super::ClientOutput;
use super::timer::{Backoff, Timers};
use crate::message::{Headers, Method, Request, Response, Via};

#[derive(Debug)]
pub(crate) struct ClientInvite {
    request: Request,
    timers: Timers,
    /// Over TCP and TLS Timer A never runs and Timer D is zero.
    is_reliable: bool,
    state: State,
    outputs: VecDeque<ClientOutput>,
}

#[derive(Debug)]
enum State {
    Calling {
        invite: Bytes,
        /// None on a transport that loses nothing.
        a: Option<Backoff>,
        b: Instant,
    },
    Proceeding,
    /// Given up: not sent again, and whatever comes late is still dealt with. With a CANCEL on its way, further
    /// provisional responses say nothing new.
    Abandoned {
        until: Instant,
        cancelled: bool,
    },
    Completed {
        ack: Bytes,
        d: Instant,
    },
    Accepted {
        m: Instant,
    },
    Terminated,
}

#[derive(Debug)]
pub(crate) enum Input {
    Response(Box<Response>),
    TransportError,
    /// The user waits no longer for a first response.
    Abandon,
    Timer,
}

impl ClientInvite {
    /// Sends the INVITE.
    pub(crate) fn new(now: Instant, request: Request, timers: Timers) -> Self {
        let outputs = VecDeque::new();
        let mut machine = Self { request, timers, is_reliable: false, state: State::Terminated, outputs };
        machine.start(now);
        machine
    }

    /// Begins again on another way, which this Via is for; whatever came of the first one is forgotten.
    pub(crate) fn start_over(&mut self, now: Instant, via: &Via) {
        self.request.headers.set_top_via(via);
        self.is_reliable = false;
        self.outputs.clear();
        self.start(now);
    }

    fn start(&mut self, now: Instant) {
        let invite = self.request.to_bytes();
        self.outputs.push_back(ClientOutput::Send(invite.clone()));
        let a = Some(Backoff::start(now, self.timers.t1));
        self.state = State::Calling { invite, a, b: now + self.timers.timeout() };
    }

    /// Has nothing come back yet?
    pub(crate) fn is_calling(&self) -> bool {
        matches!(self.state, State::Calling { .. })
    }

    /// The transport delivers by itself what it takes. To be said before anything else happens.
    pub(crate) fn rely_on_transport(&mut self) {
        self.is_reliable = true;
        if let State::Calling { a, .. } = &mut self.state {
            *a = None;
        }
    }

    pub(crate) fn request(&self) -> &Request {
        &self.request
    }

    /// Has a provisional response come, and no final one?
    pub(crate) fn is_proceeding(&self) -> bool {
        matches!(self.state, State::Proceeding)
    }

    /// May a final response still come?
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Calling { .. } | State::Proceeding | State::Abandoned { .. })
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
            Input::Abandon => self.abandon(now, state),
        };
    }

    fn response(&mut self, now: Instant, state: State, response: Box<Response>) -> State {
        let status = response.status;
        match state {
            State::Calling { .. } | State::Proceeding if status < 200 => {
                self.outputs.push_back(ClientOutput::Response(response));
                State::Proceeding
            }
            State::Abandoned { until, cancelled } if status < 200 => {
                if cancelled {
                    return State::Abandoned { until, cancelled };
                }
                self.outputs.push_back(ClientOutput::Response(response));
                let until = now + self.timers.timeout();
                State::Abandoned { until, cancelled: true }
            }
            State::Calling { .. } | State::Proceeding | State::Abandoned { .. } if status < 300 => {
                self.outputs.push_back(ClientOutput::Response(response));
                let m = now + self.timers.timeout();
                State::Accepted { m }
            }
            State::Calling { .. } | State::Proceeding | State::Abandoned { .. } => {
                let ack = self.ack(&response);
                self.outputs.push_back(ClientOutput::Send(ack.clone()));
                self.outputs.push_back(ClientOutput::Response(response));
                let d = if self.is_reliable { now } else { now + self.timers.linger() };
                State::Completed { ack, d }
            }
            State::Completed { ack, d } => {
                if status >= 300 {
                    self.outputs.push_back(ClientOutput::Send(ack.clone()));
                }
                State::Completed { ack, d }
            }
            State::Accepted { m } => {
                if (200..300).contains(&status) {
                    self.outputs.push_back(ClientOutput::Response(response));
                }
                State::Accepted { m }
            }
            State::Terminated => State::Terminated,
        }
    }

    fn timer(&mut self, now: Instant, state: State) -> State {
        match state {
            State::Calling { b, .. } if b <= now => {
                self.outputs.push_back(ClientOutput::Timeout);
                State::Terminated
            }
            State::Calling { invite, a: Some(mut a), b } if a.is_due(now) => {
                self.outputs.push_back(ClientOutput::Send(invite.clone()));
                a.next(now, None);
                State::Calling { invite, a: Some(a), b }
            }
            State::Completed { d: end, .. }
            | State::Accepted { m: end }
            | State::Abandoned { until: end, .. }
                if end <= now =>
            {
                State::Terminated
            }
            not_due => not_due,
        }
    }

    fn transport_error(&mut self, state: State) -> State {
        match state {
            State::Calling { .. } | State::Completed { .. } => {
                self.outputs.push_back(ClientOutput::TransportError);
                State::Terminated
            }
            State::Proceeding | State::Abandoned { .. } | State::Accepted { .. } | State::Terminated => state,
        }
    }

    fn abandon(&self, now: Instant, state: State) -> State {
        match state {
            State::Calling { .. } => {
                let until = now + self.timers.timeout();
                State::Abandoned { until, cancelled: false }
            }
            other => other,
        }
    }

    pub(crate) fn poll(&mut self) -> Option<ClientOutput> {
        self.outputs.pop_front()
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Calling { a, b, .. } => Some(a.map_or(*b, |a| a.at().min(*b))),
            State::Completed { d: end, .. }
            | State::Accepted { m: end }
            | State::Abandoned { until: end, .. } => Some(*end),
            State::Proceeding | State::Terminated => None,
        }
    }

    /// The ACK for a 3xx to 6xx (RFC 3261 17.1.1.3): of the INVITE's transaction, to the responder's tag.
    fn ack(&self, response: &Response) -> Bytes {
        let invite = &self.request;
        let mut headers = Headers::new();
        if let Some(via) = invite.headers.via() {
            headers.push("Via", via.to_string());
        }
        headers.copy(&invite.headers, "Route");
        headers.push("Max-Forwards", "70");
        headers.copy(&invite.headers, "From");
        headers.copy(&response.headers, "To");
        headers.copy(&invite.headers, "Call-ID");
        let number = invite.headers.cseq().map_or(0, |cseq| cseq.number);
        headers.push("CSeq", format!("{number} ACK"));
        let ack = Request { method: Method::Ack, uri: invite.uri.clone(), headers, body: Bytes::new() };
        ack.to_bytes()
    }
}

#[cfg(test)]
mod tests;
