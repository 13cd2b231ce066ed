//! The states of a leg: one INVITE usage from its INVITE to its end (RFC 3261 sections 13 and 15).

use std::time::{Duration, Instant};

use super::Body;
use super::delayed_offer::Owed;
use super::own_request::OwnRequests;
use super::reliable::Provisionals;
use crate::dialog::Dialog;
use crate::dialog::awaited_ack::AwaitedAck;
use crate::dialog::id::DialogId;
use crate::dialog::session_timer::SessionTimer;
use crate::message::{Headers, Method, Request, Uri};
use crate::transaction::TransactionId;
use crate::transport::TrunkId;

/// Further header fields, as the user gives them.
pub(super) type UserHeaders = Vec<(String, String)>;

#[derive(Debug)]
pub(super) enum Leg {
    /// UAS: no final response yet.
    Incoming {
        invite: TransactionId,
        session: Box<Session>,
        /// The provisional responses are reliable (RFC 3262).
        reliable: Option<Box<Provisionals>>,
    },
    /// UAC: no final response yet.
    Outgoing(Box<Outgoing>),
    /// A 2xx went out or came in.
    Confirmed(Box<Session>),
    /// Our BYE is on its way.
    Ending {
        dialog: DialogId,
        trunk: TrunkId,
        /// When the next one goes out, where the peer may not have known of the dialog yet.
        again: Option<Instant>,
    },
}

/// An INVITE of ours before its final response.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) invite: TransactionId,
    pub(super) cancel: Cancel,
    /// The INVITE has no body: the peer makes the offer.
    pub(super) offerless: bool,
    /// When it is given up if nothing at all has come back.
    pub(super) silence: Option<Instant>,
    /// The early dialogs, one for each To tag of a 1xx.
    pub(super) early: Vec<Session>,
}

/// How far a CANCEL of ours has come.
#[derive(Debug)]
pub(super) enum Cancel {
    NotWanted,
    /// Waits for the first provisional response (RFC 3261 9.1).
    Held(UserHeaders),
    /// Sent: without a final response by then the INVITE is over all the same.
    Sent {
        headers: UserHeaders,
        give_up: Instant,
    },
}

/// A dialog and what is open in it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) dialog: Dialog,
    pub(super) awaited: Option<AwaitedAck>,
    pub(super) pending: Vec<Pending>,
    pub(super) owed: Owed,
    /// What is open of the offer and answer of the INVITE, or of a 2xx that made the offer.
    pub(super) offer: Offer,
    /// Our requests.
    pub(super) own: OwnRequests,
    /// The last session description of ours, as it was accepted: a re-INVITE that only refreshes repeats it.
    pub(super) said: Option<Body>,
    /// The session timer, if there is one.
    pub(super) timer: Option<SessionTimer>,
    /// The shortest interval that the peer takes, as far as we know (Min-SE).
    pub(super) min_se: Option<Duration>,
    /// Has the peer said that it takes UPDATE?
    pub(super) allows_update: bool,
    /// Has the user heard that the session is dead?
    pub(super) lost: bool,
}

/// An offer without its answer, apart from those of [`Pending`] requests and of our own (RFC 3264 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    Settled,
    Ours,
    Theirs,
}

/// A request of theirs that the user has not answered yet.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) transaction: TransactionId,
    pub(super) is_invite: bool,
    /// Is it an INVITE or UPDATE, which nothing of that kind may overlap?
    pub(super) refreshes: bool,
    pub(super) is_prack: bool,
    /// The new remote target, if we accept.
    pub(super) contact: Option<Uri>,
}

impl Leg {
    /// The session of this dialog, if it lives.
    pub(super) fn session(&mut self, id: &DialogId) -> Option<&mut Session> {
        match self {
            Self::Incoming { session, .. } | Self::Confirmed(session) => Some(&mut **session),
            Self::Outgoing(outgoing) => outgoing.early.iter_mut().find(|session| session.dialog.id == *id),
            Self::Ending { .. } => None,
        }
    }

    /// The session that has this pending request.
    pub(super) fn session_with(&mut self, transaction: TransactionId) -> Option<&mut Session> {
        let has =
            |session: &Session| session.pending.iter().any(|pending| pending.transaction == transaction);
        match self {
            Self::Incoming { session, .. } | Self::Confirmed(session) => {
                Some(&mut **session).filter(|session| has(session))
            }
            Self::Outgoing(outgoing) => outgoing.early.iter_mut().find(|session| has(session)),
            Self::Ending { .. } => None,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Outgoing(outgoing) => match &outgoing.cancel {
                Cancel::Sent { give_up, .. } => Some(*give_up),
                Cancel::NotWanted | Cancel::Held(_) => outgoing.silence,
            },
            Self::Confirmed(session) => session.deadline(),
            Self::Incoming { reliable, .. } => reliable.as_ref()?.deadline(),
            Self::Ending { again, .. } => *again,
        }
    }

    /// All dialogs of the leg and the requests that are still open in them, theirs and ours.
    pub(super) fn into_parts(self) -> (Vec<DialogId>, Vec<Pending>, Vec<OwnRequests>) {
        let sessions = match self {
            Self::Incoming { session, .. } | Self::Confirmed(session) => vec![*session],
            Self::Outgoing(outgoing) => outgoing.early,
            Self::Ending { dialog, .. } => return (vec![dialog], Vec::new(), Vec::new()),
        };
        let (mut ids, mut pending, mut own) = (Vec::new(), Vec::new(), Vec::new());
        for session in sessions {
            ids.push(session.dialog.id);
            pending.extend(session.pending);
            own.push(session.own);
        }
        (ids, pending, own)
    }
}

impl Session {
    pub(super) fn new(dialog: Dialog) -> Self {
        Self {
            dialog,
            awaited: None,
            pending: Vec::new(),
            owed: Owed::default(),
            offer: Offer::Settled,
            own: OwnRequests::default(),
            said: None,
            timer: None,
            min_se: None,
            allows_update: false,
            lost: false,
        }
    }

    /// The dialog that an INVITE of theirs begins.
    pub(super) fn of_invite(dialog: Dialog, invite: &Request) -> Self {
        let mut session = Self::new(dialog);
        session.note_abilities(&invite.headers);
        if !invite.body.is_empty() {
            session.offer = Offer::Theirs;
        }
        session
    }

    fn deadline(&self) -> Option<Instant> {
        let awaited = self.awaited.as_ref().map(AwaitedAck::deadline);
        let timer = self.timer.as_ref().map(SessionTimer::deadline);
        let held = self.owed.ack.as_ref().map(|ack| ack.give_up);
        [awaited, timer, held, self.own.deadline()].into_iter().flatten().min()
    }

    /// Reads what a message of the peer says that it takes; one that says nothing changes nothing.
    pub(super) fn note_allow(&mut self, headers: &Headers) {
        if headers.get("Allow").is_some() {
            let update = Method::Update;
            self.allows_update =
                headers.list("Allow").any(|method| method.eq_ignore_ascii_case(update.as_str()));
        }
    }

    /// A BYE waits for the ACK of our 2xx (RFC 3261 15); gives the header fields back when there is nothing to wait for.
    pub(super) fn hold_bye(&mut self, headers: UserHeaders) -> Option<UserHeaders> {
        match &mut self.awaited {
            Some(awaited) => {
                awaited.bye.get_or_insert(headers);
                None
            }
            None => Some(headers),
        }
    }

    pub(super) fn take_pending(&mut self, transaction: TransactionId) -> Option<Pending> {
        let at = self.pending.iter().position(|pending| pending.transaction == transaction)?;
        Some(self.pending.swap_remove(at))
    }
}
