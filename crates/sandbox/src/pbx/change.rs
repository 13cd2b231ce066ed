//! Changing a call that is up: a re-INVITE (RFC 3261 14.1) with a new offer (RFC 3264 8),
//! as a PBX sends it to put a call on hold and to take it back.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::call::Call;
use super::core::PATIENCE;
use super::outgoing::{acknowledge, next_until};
use super::sdp::{self, Remote};
use super::sip::Message;
use super::{Missed, check};

/// Which way sound goes, seen from the phone (RFC 3264 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Both ways.
    SendRecv,
    /// The phone only sends: the other end is on hold, with music.
    SendOnly,
    /// The phone only receives.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    fn new(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// The direction of that SDP attribute.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "sendrecv" => Self::SendRecv,
            "sendonly" => Self::SendOnly,
            "recvonly" => Self::RecvOnly,
            "inactive" => Self::Inactive,
            _ => return None,
        })
    }

    pub(super) fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    pub(super) fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        })
    }
}

/// The answer to a re-INVITE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Status of the final response.
    pub status: u16,
    /// The direction its SDP gives, as seen from the other end: `recvonly`, ...
    pub direction: Option<String>,
    /// Version in the `o=` line of its SDP.
    pub version: Option<u64>,
}

/// What both ends said last, and what holds since.
pub(super) struct Session {
    ours: String,
    theirs: String,
    remote: Remote,
    agreed: Direction,
}

impl Session {
    pub(super) fn new(ours: &str, theirs: &str, remote: &Remote) -> Self {
        Self {
            ours: ours.to_owned(),
            theirs: theirs.to_owned(),
            remote: remote.clone(),
            agreed: Direction::SendRecv,
        }
    }

    /// The answer to our offer of this direction: judged, and in force from now on.
    fn answered(&mut self, call: &Call, offered: Direction, answer: &str) {
        let complaints = &call.core.complaints;
        sdp::changed(&self.theirs, answer, offered).into_iter().for_each(|c| complaints.add(c));
        match sdp::read(answer, &call.codecs, &call.manner) {
            // A first offer of theirs may have more in it than an answer can.
            Ok(remote) if Remote { rtcp_mux: self.remote.rtcp_mux, ..remote.clone() } != self.remote => {
                complaints.add(format!("SDP: {remote:?} instead of {:?}, unasked", self.remote));
            }
            Ok(_) => {}
            Err(complaint) => complaints.add(complaint),
        }
        let theirs = sdp::direction(answer).unwrap_or(Direction::SendRecv);
        answer.clone_into(&mut self.theirs);
        self.agreed =
            Direction::new(offered.sends() && theirs.receives(), offered.receives() && theirs.sends());
    }
}

/// Offers a direction and waits for what becomes of it.
pub(super) async fn change(call: &Arc<Call>, offered: Direction) -> Result<Change, Missed> {
    let missed = || Missed {
        wanted: "an answer to the re-INVITE".to_owned(),
        within: PATIENCE,
        instead: call.story(),
    };
    let mut session = call.session.lock().await;
    let (Some(dialog), Some(session), false) = (call.dialog.get(), session.as_mut(), call.is_over()) else {
        return Err(missed());
    };
    session.ours = sdp::revise(&session.ours, offered);
    // RFC 3264 5.1: who offers to receive must be ready for it when the offer goes out.
    let agreed = session.agreed;
    call.media.turn(Direction::new(agreed.sends(), agreed.receives() || offered.receives())).await;
    let invite =
        call.request(dialog, "INVITE").with("Contact", &dialog.contact).with_sdp(session.ours.clone());
    let (outcome, answer) = oneshot::channel();
    tokio::spawn(transaction(Arc::clone(call), invite, dialog.address, outcome));
    let response = answer.await;
    if let Ok(response) = &response
        && response.status().is_some_and(|status| status < 300)
    {
        session.answered(call, offered, &response.body);
    }
    call.media.turn(session.agreed).await;
    let response = response.map_err(|_| missed())?;
    Ok(Change {
        status: response.status().unwrap_or_default(),
        direction: sdp::direction(&response.body).map(|direction| direction.to_string()),
        version: sdp::origin(&response.body).map(|(_, version)| version),
    })
}

/// The client transaction of a re-INVITE (RFC 3261 17.1.1), to the last repeat of its final response.
async fn transaction(call: Arc<Call>, invite: Message, to: SocketAddr, outcome: oneshot::Sender<Message>) {
    let mut responses = call.core.open(&invite);
    if let Some(response) = final_response(&call, &invite, to, &mut responses).await {
        acknowledge(&call, &invite, to, &response).await;
        let status = response.status();
        // Nobody waits any more: it is acknowledged all the same.
        let _ = outcome.send(response);
        let until = Instant::now() + PATIENCE;
        while let Some(again) = tokio::select! {
            again = next_until(&mut responses, until) => again,
            () = call.core.stop.cancelled() => None,
        } {
            if again.status() == status {
                call.core.book().counters.repeated += 1;
                acknowledge(&call, &invite, to, &again).await;
            } else {
                call.core
                    .complaints
                    .add(format!("{} after the final response to a re-INVITE", again.title()));
            }
        }
    }
    call.core.close(&invite);
}

/// Sends the INVITE until something comes back, then waits for the final response.
async fn final_response(
    call: &Call,
    invite: &Message,
    to: SocketAddr,
    responses: &mut mpsc::Receiver<Message>,
) -> Option<Message> {
    let limit = Instant::now() + PATIENCE;
    let mut interval = call.core.resend_after();
    let mut resend = Some(Instant::now() + interval);
    call.core.send(to, invite, &call.key, false).await;
    loop {
        tokio::select! {
            Some(response) = responses.recv() => {
                check::response(&response, invite).into_iter().for_each(|c| call.core.complaints.add(c));
                if response.status().is_some_and(|status| status >= 200) {
                    return Some(response);
                }
                resend = None;
            }
            () = sleep_until(resend.unwrap_or(limit).min(limit)) => {
                if Instant::now() >= limit {
                    return None;
                }
                call.core.send(to, invite, &call.key, true).await;
                interval *= 2;
                resend = Some(Instant::now() + interval);
            }
        }
    }
}
