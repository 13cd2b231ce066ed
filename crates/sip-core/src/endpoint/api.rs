//! What goes into the endpoint and what comes out of it.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::LegRecord;
use crate::message::{Method, NameAddr, Request, Response, Uri};
use crate::profile::TrunkProfile;
use crate::registration::Binding;
use crate::transaction::TransactionId;
use crate::transport::{Flow, TrunkId};

/// One INVITE usage. Incoming ones are odd and numbered by the endpoint, outgoing ones are even ([`crate::Sip::new_leg`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LegId(pub u64);

impl fmt::Display for LegId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "leg {}", self.0)
    }
}

/// An in-dialog request that waits for its [`Command::Answer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(pub(crate) TransactionId);

/// A message body and its media type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// The Content-Type.
    pub content_type: String,
    /// The bytes.
    pub bytes: Bytes,
}

/// A response as the user wants it; the endpoint adds Via, From, To, Call-ID, CSeq, Contact and what else must be there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reply {
    /// The status code, 101 to 699.
    pub status: u16,
    /// The reason phrase, or the usual one.
    pub reason: Option<String>,
    /// Further header fields.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<Body>,
}

impl Body {
    /// The body of a request, if it has one.
    pub(super) fn of(request: &Request) -> Option<Self> {
        let content_type = request.headers.get("Content-Type").unwrap_or_default().to_owned();
        (!request.body.is_empty()).then(|| Self { content_type, bytes: request.body.clone() })
    }
}

impl Reply {
    /// A bare response with the usual reason phrase.
    pub fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }
}

/// A new call to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingInvite {
    /// The path it is sent by.
    pub flow: Flow,
    /// The longest that nothing at all may come back; then the INVITE is given up with [`Rejection::Silence`].
    pub answer_within: Option<Duration>,
    /// The Request-URI.
    pub request_uri: Uri,
    /// From; the endpoint adds the tag.
    pub from: NameAddr,
    /// To, without a tag.
    pub to: NameAddr,
    /// Call-ID, unique over space and time.
    pub call_id: String,
    /// Max-Forwards: one less than that of the call it continues, 70 for a new one.
    pub max_forwards: u8,
    /// Further header fields.
    pub headers: Vec<(String, String)>,
    /// The body. Without one the peer makes the offer, which [`Command::Acknowledge`] answers.
    pub body: Option<Body>,
}

/// Names a request of ours in its [`Event::Response`] or [`Notice::Reply`]; the user chooses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OwnRequestId(pub u64);

impl OwnRequestId {
    /// The endpoint's own: a re-INVITE that refreshed the session, sent for its timer. Its 2xx holds an answer to what we
    /// said last, and the peer may have changed its mind.
    pub const REFRESH: Self = Self(u64::MAX);
}

/// A request of ours outside of any dialog: OPTIONS, REGISTER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingRequest {
    /// Names it in its [`Notice::Reply`].
    pub id: OwnRequestId,
    /// The path it is sent by.
    pub flow: Flow,
    /// The method; none that makes a dialog.
    pub method: Method,
    /// The Request-URI.
    pub request_uri: Uri,
    /// From; the endpoint adds the tag.
    pub from: NameAddr,
    /// To, without a tag.
    pub to: NameAddr,
    /// Call-ID: the same for all REGISTERs of one registration.
    pub call_id: String,
    /// CSeq: one more for each REGISTER of one registration. The answer to a challenge uses up one more; the response says
    /// which.
    pub cseq: u32,
    /// Further header fields; a Contact is the user's to set.
    pub headers: Vec<(String, String)>,
}

/// What the user wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Responds to the INVITE that began the leg; a response after a final one is ignored with a warning. Where the
    /// provisional responses are reliable (RFC 3262) each waits for the PRACK of the one before, and so does the 2xx. The
    /// first one with a body makes the offer where the INVITE holds none.
    Respond {
        /// The leg.
        leg: LegId,
        /// The response.
        reply: Reply,
    },
    /// Sends an INVITE.
    Invite {
        /// The leg to begin, from [`crate::Sip::new_leg`].
        leg: LegId,
        /// The INVITE.
        invite: Box<OutgoingInvite>,
    },
    /// Cancels an outgoing INVITE as soon as RFC 3261 9.1 allows. A 2xx that crosses it gets ACK and BYE, and the leg
    /// ends with [`Event::Ended`] alone; an answered leg gets BYE.
    Cancel {
        /// The leg.
        leg: LegId,
        /// Further header fields, such as Reason.
        headers: Vec<(String, String)>,
    },
    /// Ends an answered leg. On a UAS leg whose 2xx is not yet acknowledged it is sent after the ACK or its time-out
    /// (RFC 3261 15). On an unanswered leg it means [`Command::Cancel`] or a 480.
    Bye {
        /// The leg.
        leg: LegId,
        /// Further header fields, such as Reason.
        headers: Vec<(String, String)>,
    },
    /// Our answer to an offer that came in a 2xx or in a reliable provisional response to our INVITE without a body: it
    /// goes out in the ACK or the PRACK (RFC 3261 13.2.1, RFC 3262 5).
    Acknowledge {
        /// The leg.
        leg: LegId,
        /// The answer.
        body: Option<Body>,
    },
    /// Sends a request within the dialog of an answered leg (INFO, NOTIFY, UPDATE, re-INVITE). The ACK of a re-INVITE
    /// goes out by itself, and after a 491 it is tried again (RFC 3261 14.1).
    Request {
        /// The leg.
        leg: LegId,
        /// Names it in its [`Event::Response`].
        id: OwnRequestId,
        /// The method.
        method: Method,
        /// Further header fields.
        headers: Vec<(String, String)>,
        /// The body.
        body: Option<Body>,
    },
    /// Sends a request outside of any dialog.
    Send(Box<OutgoingRequest>),
    /// Says whether new calls are taken; OPTIONS gets 503 where they are not.
    Ready {
        /// Of this trunk, or of all.
        trunk: Option<TrunkId>,
        /// Whether they are.
        ready: bool,
    },
    /// Ends a leg of a former life of the program, as its record says: 503 to an INVITE of the peer, CANCEL for one of
    /// ours, BYE for a dialog. The leg is new, from [`crate::Sip::new_leg`]: from now on its [`Notice::Record`]s take
    /// the place of this record. The first one comes at once, and it is the one without a record if there is no way to
    /// the peer any more; else that one comes when all has ended. Nothing more is heard of the leg. One that is known
    /// already is left alone.
    Recover {
        /// The leg to be.
        leg: LegId,
        /// Its record.
        record: LegRecord,
        /// Further header fields of what ends it, such as Reason.
        headers: Vec<(String, String)>,
    },
    /// Other trunks and another name, from now on. A trunk keeps what it knows as far as its manners are the same:
    /// nonces, bindings. A dialog keeps what it has agreed; what it asks of its trunk from now on it asks of the new
    /// manners, and those of a trunk that is gone are the default.
    Configure {
        /// All trunks.
        trunks: Vec<(TrunkId, TrunkProfile)>,
        /// For the User-Agent and Server header fields.
        user_agent: String,
    },
    /// Answers an in-dialog request that came as [`Event::Request`].
    Answer {
        /// The leg.
        leg: LegId,
        /// The request.
        request: RequestId,
        /// The response.
        reply: Reply,
    },
}

/// What the endpoint tells its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Something happened on a leg.
    Leg(LegEvent),
    /// The final response to a [`Command::Send`], or why there is none.
    Reply {
        /// The request.
        id: OwnRequestId,
        /// What came of it.
        result: Result<Box<Response>, Rejection>,
    },
    /// How a leg is to be ended after a crash has changed ([`crate::EndpointConfig::record`]). Keep the record in the place of
    /// the last one of the leg: [`Command::Recover`] takes it in a later life of the program. It may outlive its
    /// [`Event::Ended`]: what ended the leg may still be on its way.
    Record {
        /// The leg.
        leg: LegId,
        /// None when nothing is left to end.
        record: Option<LegRecord>,
    },
    /// Who can be reached on a trunk has changed, by REGISTER or because it expired.
    Bindings {
        /// The trunk.
        trunk: TrunkId,
        /// All of its bindings, in the order in which they are to be tried.
        bindings: Vec<Binding>,
    },
}

/// Something that happened on a leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegEvent {
    /// The leg.
    pub leg: LegId,
    /// What happened.
    pub event: Event,
}

/// What can happen on a leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A new call; 100 Trying has already gone out.
    Invite {
        /// The INVITE.
        request: Box<Request>,
        /// Where it came from.
        flow: Flow,
        /// The leg it is to replace (RFC 3891): of the same trunk, and alive. The user answers the new leg and then ends
        /// that one.
        replaces: Option<LegId>,
    },
    /// A CANCEL came and its 200 has gone out; the INVITE still wants its answer (487).
    Cancelled {
        /// The Reason header field.
        reason: Option<String>,
    },
    /// The ACK for our 2xx to the INVITE or to a re-INVITE; or the PRACK for a reliable provisional response of ours that
    /// held the offer, and then the ACK still to come answers nothing more.
    Acked {
        /// Its body: the answer where the offer was ours.
        body: Bytes,
    },
    /// No ACK for our 2xx within 64*T1. The user should send BYE.
    AckTimeout,
    /// A provisional response other than 100. One that is reliable has got its PRACK, unless it holds the offer: then that
    /// waits for [`Command::Acknowledge`].
    Provisional(Box<Response>),
    /// The 2xx; its ACK has gone out, unless it holds the offer: then that waits for [`Command::Acknowledge`], and after
    /// 16 s without it the call ends with [`Event::Lost`].
    Answered(Box<Response>),
    /// The INVITE failed.
    Rejected(Rejection),
    /// A BYE came; its 200 has gone out.
    Bye {
        /// The Reason header field.
        reason: Option<String>,
    },
    /// The 2xx to a [`Command::Request`], or why there is none. A 2xx to a re-INVITE without a body holds an offer:
    /// [`Command::Acknowledge`] answers it.
    Response {
        /// The request.
        id: OwnRequestId,
        /// What came of it.
        result: Result<Box<Response>, Rejection>,
    },
    /// The session is dead. The user should send BYE, unless the leg ends by itself.
    Lost(Lost),
    /// A request within the dialog (re-INVITE, UPDATE, INFO, REFER, ...) that waits for [`Command::Answer`].
    Request {
        /// Names it in the answer.
        id: RequestId,
        /// The request.
        request: Box<Request>,
    },
    /// Nothing more will come of this leg. Comes exactly once, last.
    Ended,
}

/// Why a session is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// Its timer is about to run out without a refresh (RFC 4028 10).
    Expired,
    /// The peer knows nothing of it: 481 or 408 to a request of ours, or no answer at all (RFC 3261 12.2.1.2). Also: no
    /// PRACK for a reliable provisional response (RFC 3262 3), and no [`Command::Acknowledge`] for the offer in the 2xx to
    /// the first INVITE; in these two the leg ends by itself.
    Gone,
}

/// Why a request of ours failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// A final response other than 2xx; its ACK has gone out.
    Response(Box<Response>),
    /// No final response: Timer B or F, or 64*T1 after a CANCEL.
    Timeout,
    /// No response at all within [`OutgoingInvite::answer_within`].
    Silence,
    /// It could not be sent, or there is no room for another leg.
    Transport,
}

/// What drives the endpoint.
#[derive(Debug)]
pub enum Input<'a> {
    /// A message came: a datagram, or one message of a stream.
    Datagram {
        /// The path it came by.
        flow: Flow,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// A message that is not taken: beyond a cap, or of a stranger. A request gets this status, anything else silence.
    Refuse {
        /// The path it came by.
        flow: Flow,
        /// Its bytes, as far as they were read.
        bytes: &'a [u8],
        /// The status.
        status: u16,
        /// The reason phrase.
        reason: &'a str,
    },
    /// The user wants something.
    Command(Command),
    /// A datagram could not be sent.
    TransportError {
        /// What [`Output::Send`] said.
        origin: Origin,
    },
    /// The deadline has come.
    Timeout,
}

/// What the endpoint wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send a message.
    Send {
        /// The path to send it by.
        flow: Flow,
        /// Its bytes.
        bytes: Bytes,
        /// To be named in [`Input::TransportError`].
        origin: Origin,
    },
    /// Tell the user.
    Notice(Notice),
}

/// Which transaction sent a datagram, if one did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin(pub(crate) Option<TransactionId>);
