//! The client transaction of a request of ours within a dialog. Over what the machines do it keeps the ACK of a re-INVITE,
//! and it ends a re-INVITE that gets no final response.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{LegId, auth};
use crate::message::{Method, Request, Response};
use crate::transaction::ClientOutput;
use crate::transaction::client_invite::{self, ClientInvite};
use crate::transaction::client_non_invite::{self, ClientNonInvite};
use crate::transaction::timer::Timers;
use crate::transport::Flow;

/// How long a re-INVITE may stay without its final response once a provisional one has come: as long as a proxy waits
/// (Timer C, RFC 3261 16.6).
const LONGEST_REINVITE: Duration = Duration::from_secs(180);

#[derive(Debug)]
pub(super) struct OwnTransaction {
    pub(super) leg: LegId,
    machine: Machine,
}

#[derive(Debug)]
enum Machine {
    Invite { machine: Box<ClientInvite>, give_up: Instant, gave_up: GaveUp, ack: Option<(Flow, Bytes)> },
    NonInvite(ClientNonInvite),
}

/// Has a re-INVITE without a final response been given up?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GaveUp {
    No,
    Unsaid,
    Said,
}

#[derive(Debug)]
pub(super) enum Input {
    Response(Box<Response>),
    TransportError,
    /// An INVITE that the user no longer waits for.
    Abandon,
    Timer,
}

impl OwnTransaction {
    /// Sends the request.
    pub(super) fn new(now: Instant, leg: LegId, request: Request, timers: Timers) -> Self {
        let machine = if request.method == Method::Invite {
            Machine::Invite {
                machine: Box::new(ClientInvite::new(now, request, timers)),
                give_up: now + LONGEST_REINVITE,
                gave_up: GaveUp::No,
                ack: None,
            }
        } else {
            Machine::NonInvite(ClientNonInvite::new(now, &request, timers))
        };
        Self { leg, machine }
    }

    pub(super) fn handle(&mut self, now: Instant, input: Input) {
        match &mut self.machine {
            Machine::Invite { machine, give_up, gave_up, .. } => {
                if machine.is_proceeding() && matches!(input, Input::Timer) && *give_up <= now {
                    *gave_up = GaveUp::Unsaid;
                }
                machine.handle(
                    now,
                    match input {
                        Input::Response(response) => client_invite::Input::Response(response),
                        Input::TransportError => client_invite::Input::TransportError,
                        Input::Abandon => client_invite::Input::Abandon,
                        Input::Timer => client_invite::Input::Timer,
                    },
                );
            }
            Machine::NonInvite(machine) => machine.handle(
                now,
                match input {
                    Input::Response(response) => client_non_invite::Input::Response(response),
                    Input::TransportError => client_non_invite::Input::TransportError,
                    Input::Timer => client_non_invite::Input::Timer,
                    Input::Abandon => return,
                },
            ),
        }
    }

    pub(super) fn poll(&mut self) -> Option<ClientOutput> {
        match &mut self.machine {
            Machine::Invite { machine, gave_up, .. } => machine.poll().or_else(|| {
                let unsaid = *gave_up == GaveUp::Unsaid;
                unsaid.then(|| *gave_up = GaveUp::Said).map(|()| ClientOutput::Timeout)
            }),
            Machine::NonInvite(machine) => machine.poll(),
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.machine {
            Machine::Invite { machine, give_up, .. } if machine.is_proceeding() => Some(*give_up),
            Machine::Invite { machine, .. } => machine.deadline(),
            Machine::NonInvite(machine) => machine.deadline(),
        }
    }

    pub(super) fn is_terminated(&self) -> bool {
        match &self.machine {
            Machine::Invite { machine, gave_up, .. } => *gave_up == GaveUp::Said || machine.is_terminated(),
            Machine::NonInvite(machine) => machine.is_terminated(),
        }
    }

    pub(super) fn rely_on_transport(&mut self) {
        match &mut self.machine {
            Machine::Invite { machine, .. } => machine.rely_on_transport(),
            Machine::NonInvite(machine) => machine.rely_on_transport(),
        }
    }

    /// The machine of a re-INVITE.
    pub(super) fn client_invite(&mut self) -> Option<&mut ClientInvite> {
        match &mut self.machine {
            Machine::Invite { machine, .. } => Some(machine),
            Machine::NonInvite(_) => None,
        }
    }

    /// What a challenge begins anew.
    pub(super) fn machine(&mut self) -> auth::Machine<'_> {
        match &mut self.machine {
            Machine::Invite { machine, .. } => auth::Machine::Invite(machine),
            Machine::NonInvite(machine) => auth::Machine::NonInvite(machine),
        }
    }

    /// The re-INVITE, if it is one.
    pub(super) fn invite(&self) -> Option<&Request> {
        match &self.machine {
            Machine::Invite { machine, .. } => Some(machine.request()),
            Machine::NonInvite(_) => None,
        }
    }

    /// The ACK that a 2xx to the re-INVITE got, to be sent again with each retransmission.
    pub(super) fn ack(&self) -> Option<&(Flow, Bytes)> {
        match &self.machine {
            Machine::Invite { ack, .. } => ack.as_ref(),
            Machine::NonInvite(_) => None,
        }
    }

    pub(super) fn keep_ack(&mut self, flow: Flow, bytes: Bytes) {
        if let Machine::Invite { ack, .. } = &mut self.machine {
            *ack = Some((flow, bytes));
        }
    }

    /// Its dialog has ended. A re-INVITE still acknowledges what comes, for a while; nothing else is worth keeping.
    pub(super) fn outlive(&mut self, until: Instant) -> bool {
        match &mut self.machine {
            Machine::Invite { give_up, .. } => {
                *give_up = until.min(*give_up);
                true
            }
            Machine::NonInvite(_) => false,
        }
    }
}
