//! The world around a call, as far as the promises of the call machine need it.

use std::collections::BTreeMap;

use sip_core::LegId;
use wa_signaling::ErrorKind;

use crate::call::action::Action;
use crate::call::event::{Event, SipEvent, SipRefusal};

/// A SIP leg, as its PBX sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leg {
    /// The PBX's INVITE waits.
    Asked,
    /// Our INVITE waits.
    Asking,
    /// A dialog.
    Up,
    /// Ended by the PBX.
    Left,
    /// Ended by us.
    Ended,
}

#[derive(Debug, Default)]
pub(super) struct World {
    legs: BTreeMap<LegId, Leg>,
    next_leg: u64,
    /// Final responses to each INVITE of the PBX.
    finals: BTreeMap<LegId, u32>,
    /// The targets of REFERs that wait for an answer.
    refers: Vec<LegId>,
    /// The transferor of a transfer that was accepted and whose last NOTIFY has not gone out.
    subscribed: Option<LegId>,
    identified: bool,
    /// WhatsApp may say something: it has a call, or has been told to begin one.
    is_called: bool,
    permission_in_flight: bool,
    /// WhatsApp's call is over, and the call machine was told so.
    wa_over: bool,
    /// Certain ends of WhatsApp's call, by us or by WhatsApp.
    ends_confirmed: u32,
    connect_in_flight: bool,
    pre_accept_in_flight: bool,
    accept_in_flight: bool,
    end_in_flight: bool,
    media_open: bool,
    media_closed: u32,
    finished: u32,
}

impl World {
    pub(super) fn from_pbx(leg: LegId) -> Self {
        Self { legs: BTreeMap::from([(leg, Leg::Asked)]), next_leg: 100, ..Self::default() }
    }

    pub(super) fn from_whatsapp() -> Self {
        Self { identified: true, is_called: true, next_leg: 100, ..Self::default() }
    }

    /// Notes an event; false when it can't happen in this world (a reply to nothing).
    pub(super) fn gives(&mut self, event: &Event) -> bool {
        if !self.is_called && is_whatsapps(event) {
            return false;
        }
        match event {
            Event::PermissionReply(_) => return std::mem::take(&mut self.permission_in_flight),
            Event::EndReply(reply) => {
                if !std::mem::take(&mut self.end_in_flight) {
                    return false;
                }
                if matches!(reply, Ok(()) | Err(ErrorKind::AlreadyEnded)) {
                    self.over();
                }
            }
            Event::PreAcceptReply(_) => return std::mem::take(&mut self.pre_accept_in_flight),
            Event::AcceptReply(_) => return std::mem::take(&mut self.accept_in_flight),
            Event::ConnectReply(_) => return std::mem::take(&mut self.connect_in_flight),
            // After the end there is no call to know.
            Event::Identified => self.identified |= self.finished == 0,
            Event::WaRejected | Event::WaTerminated { .. } | Event::WaHungUp => self.over(),
            _ => {}
        }
        true
    }

    /// An event of one of the legs, if it can happen on that one.
    pub(super) fn gives_sip(&mut self, which: usize, event: SipEvent) -> Option<(LegId, SipEvent)> {
        if self.legs.is_empty() || self.finished > 0 {
            return None;
        }
        let (leg, state) =
            self.legs.iter().map(|(leg, state)| (*leg, *state)).nth(which % self.legs.len())?;
        let event = match (event, state) {
            // What comes late on a leg that is over.
            (_, Leg::Left) => return None,
            (SipEvent::Bye | SipEvent::Ended, Leg::Ended) => event,
            (_, Leg::Ended) => return None,
            (SipEvent::Bye, Leg::Up | Leg::Asked) | (SipEvent::Ended, _) => self.left(leg, event),
            (SipEvent::Cancelled, Leg::Asked) => event,
            (SipEvent::Ringing(_), Leg::Asking) => event,
            (SipEvent::Answered { .. }, Leg::Asking) => {
                self.legs.insert(leg, Leg::Up);
                event
            }
            (SipEvent::Refused(SipRefusal::Redirected(_)), Leg::Asking) => {
                let next = self.new_leg();
                self.left(leg, SipEvent::Refused(SipRefusal::Redirected(next)))
            }
            (SipEvent::Refused(_), Leg::Asking) => self.left(leg, event),
            (SipEvent::AckTimeout | SipEvent::Lost(_), Leg::Up) => {
                // There is nobody to tell any more.
                self.subscribed = self.subscribed.filter(|transferor| *transferor != leg);
                event
            }
            (SipEvent::Acked { .. }, Leg::Up) => event,
            (SipEvent::Refer { .. }, Leg::Up | Leg::Asked | Leg::Asking) => {
                let target = self.new_leg();
                self.refers.push(target);
                SipEvent::Refer { target }
            }
            (SipEvent::Replaced { .. }, _) => {
                let by = self.new_leg();
                self.legs.insert(by, Leg::Asked);
                SipEvent::Replaced { by }
            }
            _ => return None,
        };
        Some((leg, event))
    }

    fn left(&mut self, leg: LegId, event: SipEvent) -> SipEvent {
        self.legs.insert(leg, Leg::Left);
        if self.subscribed == Some(leg) {
            self.subscribed = None;
        }
        event
    }

    fn new_leg(&mut self) -> LegId {
        self.next_leg += 2;
        LegId(self.next_leg)
    }

    fn over(&mut self) {
        if !self.wa_over {
            self.wa_over = true;
            self.ends_confirmed += 1;
        }
    }

    pub(super) fn wants(&mut self, action: &Action) {
        assert_eq!(self.finished, 0, "nothing follows Finished: {action:?}");
        match action {
            Action::SipRing(leg) | Action::SipRingWithTone(leg) => self.is(*leg, Leg::Asked),
            Action::SipAnswer(leg) => {
                assert!(!self.wa_over, "200 for a call that is over");
                self.moves(*leg, Leg::Asked, Leg::Up);
                *self.finals.entry(*leg).or_default() += 1;
            }
            Action::SipRefuse(leg, _) => {
                self.moves(*leg, Leg::Asked, Leg::Ended);
                *self.finals.entry(*leg).or_default() += 1;
            }
            Action::SipInvite(leg) => {
                assert_eq!(self.legs.insert(*leg, Leg::Asking), None, "{leg} is called twice");
            }
            Action::SipCancel(leg, _) => self.moves(*leg, Leg::Asking, Leg::Ended),
            Action::SipBye(leg, _) => {
                self.moves(*leg, Leg::Up, Leg::Ended);
                assert_ne!(self.subscribed, Some(*leg), "BYE before the last NOTIFY");
            }
            Action::ReferAccept { target } => {
                self.answers_refer(*target);
                assert_eq!(self.subscribed, None, "two transfers at once");
                let up = self.legs.iter().filter(|(_, state)| **state == Leg::Up);
                self.subscribed = up.map(|(leg, _)| *leg).next();
            }
            Action::ReferRefuse { target, .. } => self.answers_refer(*target),
            Action::ReferNotify { transferor, last, .. } => {
                self.is(*transferor, Leg::Up);
                assert_eq!(self.subscribed, Some(*transferor), "a NOTIFY of nothing");
                self.subscribed = self.subscribed.filter(|_| !last);
            }
            Action::GraphPermission => {
                assert!(!self.is_called && !self.permission_in_flight, "asked too late, or twice");
                self.permission_in_flight = true;
            }
            Action::GraphConnect => {
                assert!(!self.is_called, "the user is called once");
                (self.is_called, self.connect_in_flight) = (true, true);
            }
            Action::GraphPreAccept => self.pre_accept_in_flight = true,
            Action::GraphAccept => {
                assert!(!self.wa_over && !self.accept_in_flight);
                self.accept_in_flight = true;
            }
            Action::GraphEnd(_) => {
                assert!(!self.wa_over, "an end for a call that is over");
                assert!(!self.end_in_flight, "two ends at once");
                assert!(self.identified, "an end without an id");
                self.end_in_flight = true;
            }
            Action::MediaConnect | Action::MediaAnnounce | Action::ToneToWhatsApp | Action::ToneStop => {
                assert_eq!(self.media_closed, 0);
            }
            Action::MediaOpen => {
                assert!(!self.media_open && self.media_closed == 0);
                self.media_open = true;
            }
            Action::MediaSwitch(leg) => {
                self.is(*leg, Leg::Up);
                assert_eq!(self.media_closed, 0);
            }
            Action::MediaClose => self.media_closed += 1,
            Action::Finished(_) => self.finished += 1,
        }
    }

    fn answers_refer(&mut self, target: LegId) {
        let at = self.refers.iter().position(|one| *one == target).expect("a REFER waits for this");
        self.refers.remove(at);
    }

    fn is(&self, leg: LegId, state: Leg) {
        assert_eq!(self.legs.get(&leg), Some(&state), "{leg}");
    }

    fn moves(&mut self, leg: LegId, from: Leg, to: Leg) {
        self.is(leg, from);
        self.legs.insert(leg, to);
    }

    /// Nothing is left, on any leg.
    pub(super) fn is_at_rest(&self) {
        assert_eq!(self.finished, 1);
        assert_eq!(self.media_closed, 1, "the audio path is closed once");
        assert_eq!(self.refers, [], "every REFER gets an answer");
        assert_eq!(self.subscribed, None, "every transfer has its last NOTIFY");
        for (leg, state) in &self.legs {
            assert!(matches!(state, Leg::Left | Leg::Ended), "{leg} is left {state:?}");
        }
        for (leg, finals) in &self.finals {
            assert_eq!(*finals, 1, "one final response for {leg}");
        }
        if self.identified {
            assert_eq!(self.ends_confirmed, 1, "a known WhatsApp call is ended once: {self:?}");
        }
    }
}

/// What can't come before there is a call at WhatsApp.
fn is_whatsapps(event: &Event) -> bool {
    matches!(
        event,
        Event::Identified
            | Event::WaConnect { .. }
            | Event::WaRinging
            | Event::WaAccepted
            | Event::WaRejected
            | Event::WaTerminated { .. }
            | Event::WaHungUp
            | Event::MediaConnected
            | Event::MediaHeard
    )
}
