//! What goes into the endpoint and what comes out of it.

use std::fmt;
use std::net::SocketAddr;

use bytes::Bytes;

use crate::message::{NameAddr, Request, Response, Uri};
use crate::transaction::TransactionId;
use crate::transaction::timer::Timers;
use crate::transport::Flow;

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

impl Reply {
    /// A bare response with the usual reason phrase.
    pub fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }
}

/// A new call to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingInvite {
    /// Where the INVITE is sent.
    pub destination: SocketAddr,
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
    /// The body.
    pub body: Option<Body>,
}

/// What the user wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Responds to the INVITE that began the leg; a response after a final one is ignored with a warning.
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
        source: SocketAddr,
        /// Our address that it came to.
        local: SocketAddr,
    },
    /// A CANCEL came and its 200 has gone out; the INVITE still wants its answer (487).
    Cancelled {
        /// The Reason header field.
        reason: Option<String>,
    },
    /// The ACK for our 2xx to the INVITE or to a re-INVITE.
    Acked {
        /// Its body: the answer where the offer was in the 2xx.
        body: Bytes,
    },
    /// No ACK for our 2xx within 64*T1. The user should send BYE.
    AckTimeout,
    /// A provisional response other than 100.
    Provisional(Box<Response>),
    /// The 2xx; its ACK has gone out.
    Answered(Box<Response>),
    /// The INVITE failed.
    Rejected(Rejection),
    /// A BYE came; its 200 has gone out.
    Bye {
        /// The Reason header field.
        reason: Option<String>,
    },
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

/// Why an outgoing INVITE failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// A final response other than 2xx; its ACK has gone out.
    Response(Box<Response>),
    /// No final response: Timer B, or 64*T1 after a CANCEL.
    Timeout,
    /// The INVITE could not be sent, or there is no room for another leg.
    Transport,
}

/// What drives the endpoint.
#[derive(Debug)]
pub enum Input<'a> {
    /// A datagram came.
    Datagram {
        /// The path it came by.
        flow: Flow,
        /// Its bytes.
        bytes: &'a [u8],
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
    /// Send a datagram.
    Send {
        /// The path to send it by.
        flow: Flow,
        /// Its bytes.
        bytes: Bytes,
        /// To be named in [`Input::TransportError`].
        origin: Origin,
    },
    /// Tell the user.
    Event(LegEvent),
}

/// Which transaction sent a datagram, if one did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin(pub(crate) Option<TransactionId>);

/// What the endpoint must know of its surroundings.
#[derive(Debug, Clone)]
pub struct EndpointConfig {
    /// The address of our socket.
    pub local: SocketAddr,
    /// The address that peers reach us at: in Via and Contact.
    pub advertised: SocketAddr,
    /// For the User-Agent and Server header fields.
    pub user_agent: String,
    /// The key of all branches and tags.
    pub seed: [u8; 32],
    /// T1, T2, T4.
    pub timers: Timers,
}
