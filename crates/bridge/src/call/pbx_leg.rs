//! What one SIP leg and we have offered and answered (RFC 3264, RFC 6337). Pure.
//!
//! The offer may be in our message or in theirs, and in each case the other's answer may come in one of
//! several: the 2xx, a provisional response, the ACK. Here all of them come to one question: is there
//! an agreement, and what is to be said now?

use std::fmt;

use media_relay::sdp::SdpError;
use media_relay::sdp::negotiation::Negotiation;
use media_relay::sdp::pbx::Media;
use sip_core::Flow;
use sip_core::message::Response;

/// Whose answer is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    /// Nobody's.
    Nothing,
    /// The PBX's INVITE held an offer, which we have not answered.
    OurAnswer,
    /// Our INVITE held an offer, or neither side has made one.
    TheirAnswer,
    /// Our 2xx held an offer: the answer comes in the ACK.
    AckAnswer { first: bool },
}

/// One SIP leg of a call.
pub(crate) struct PbxLeg {
    /// The path to the PBX.
    pub(crate) flow: Flow,
    negotiation: Negotiation,
    open: Open,
    agreed: Option<Media>,
    /// Our answer to the INVITE's offer: the same in each response to it.
    answer: Option<String>,
    /// Our INVITE held no offer.
    awaits_offer: bool,
    /// The To tag of the provisional response that held the PBX's answer.
    early: Option<String>,
}

/// Without our answer, which may hold keys.
impl fmt::Debug for PbxLeg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { flow, open, agreed, .. } = self;
        f.debug_struct("PbxLeg")
            .field("flow", flow)
            .field("open", open)
            .field("agreed", agreed)
            .finish_non_exhaustive()
    }
}

/// What is to be done about a response to our INVITE.
#[derive(PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Heard {
    /// Whether there is an agreement now.
    pub(crate) usable: bool,
    /// Our answer to the offer in it.
    pub(crate) answer: Option<String>,
}

/// What the ACK of a 2xx said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acked {
    /// Nothing that was asked.
    Nothing,
    /// The answer to our offer in the first 2xx of the leg; whether it can be used.
    First { usable: bool },
    /// The answer to our offer in a later one.
    Later { usable: bool },
}

/// Why a request that would change the session is refused.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Its SDP can't be used.
    Sdp(SdpError),
    /// An offer of ours is open (RFC 3311 5.2): 491.
    Glare,
    /// The PBX's own offer is open: 500 with Retry-After.
    Unanswered,
}

impl PbxLeg {
    /// A leg that the PBX's INVITE began; without SDP in it the offer will be ours.
    ///
    /// # Errors
    /// There is an offer, and it can't be used.
    pub(crate) fn invited(flow: Flow, mut negotiation: Negotiation, offer: &[u8]) -> Result<Self, SdpError> {
        let (answer, agreed) = match offer {
            [] => (None, None),
            offer => {
                let (answer, media) = negotiation.answer(offer)?;
                (Some(answer), Some(media))
            }
        };
        let open = if answer.is_some() { Open::OurAnswer } else { Open::Nothing };
        Ok(Self { flow, negotiation, open, agreed, answer, awaits_offer: false, early: None })
    }

    /// A leg that we begin, and the SDP of its INVITE, if that makes the offer.
    pub(crate) fn inviting(
        flow: Flow,
        mut negotiation: Negotiation,
        is_delayed: bool,
    ) -> (Self, Option<String>) {
        let offer = (!is_delayed).then(|| negotiation.offer());
        let leg = Self {
            flow,
            negotiation,
            open: Open::TheirAnswer,
            agreed: None,
            answer: None,
            awaits_offer: is_delayed,
            early: None,
        };
        (leg, offer)
    }

    /// What is agreed now.
    pub(crate) fn agreed(&self) -> Option<&Media> {
        self.agreed.as_ref()
    }

    /// The SDP of a provisional response to the PBX's INVITE: none where the offer is ours, for it may
    /// stand in a reliable one only (RFC 3262 5).
    pub(crate) fn early_answer(&mut self) -> Option<String> {
        let answer = self.answer.clone()?;
        self.open = Open::Nothing;
        Some(answer)
    }

    /// The SDP of the 200 to the PBX's INVITE: our answer, the same as in a 18x before it, or our offer.
    pub(crate) fn final_sdp(&mut self) -> String {
        if let Some(answer) = self.answer.clone() {
            self.open = Open::Nothing;
            return answer;
        }
        self.open = Open::AckAnswer { first: true };
        self.negotiation.offer()
    }

    /// A provisional response to our INVITE. Its SDP counts when the 2xx of the same fork has none; an
    /// offer in it is answered where the response is reliable.
    pub(crate) fn provisional(&mut self, response: &Response) -> Option<String> {
        if response.body.is_empty() || self.open != Open::TheirAnswer {
            return None;
        }
        if self.awaits_offer && response.headers.get("RSeq").is_none() {
            return None;
        }
        let heard = self.hear(&response.body);
        if heard.usable {
            self.early = Some(to_tag(response));
        }
        heard.answer
    }

    /// The 2xx to our INVITE.
    pub(crate) fn answered(&mut self, response: &Response) -> Heard {
        let is_known = self.early.as_ref() == Some(&to_tag(response));
        let heard = if is_known && (response.body.is_empty() || self.awaits_offer) {
            // Agreed in a reliable response already (RFC 6337 2.1).
            Heard { usable: true, answer: None }
        } else {
            self.hear(&response.body)
        };
        self.open = Open::Nothing;
        heard
    }

    /// The PBX's SDP, the first after our INVITE.
    fn hear(&mut self, sdp: &[u8]) -> Heard {
        let agreed = if self.awaits_offer {
            self.negotiation.answer(sdp).map(|(answer, media)| (Some(answer), media))
        } else {
            self.negotiation.read_answer(sdp).map(|media| (None, media))
        };
        match agreed {
            Ok((answer, media)) => {
                self.agreed = Some(media);
                Heard { usable: true, answer }
            }
            Err(error) => {
                tracing::warn!(%error, "the PBX's SDP is unusable");
                Heard { usable: false, answer: None }
            }
        }
    }

    /// The ACK of our 2xx.
    pub(crate) fn acked(&mut self, sdp: &[u8]) -> Acked {
        let Open::AckAnswer { first } = self.open else {
            return Acked::Nothing;
        };
        self.open = Open::Nothing;
        let usable = match self.negotiation.read_answer(sdp) {
            Ok(media) => {
                self.agreed = Some(media);
                true
            }
            Err(error) => {
                tracing::warn!(%error, "the SDP in the ACK is unusable");
                false
            }
        };
        if first { Acked::First { usable } } else { Acked::Later { usable } }
    }

    /// The 2xx to a re-INVITE of ours that repeated what we said last, to refresh the session. Whether
    /// it agrees on anything else than before: the PBX may have changed its mind.
    pub(crate) fn refreshed(&mut self, sdp: &[u8]) -> bool {
        if sdp.is_empty() || self.open != Open::Nothing {
            return false;
        }
        let Ok(media) = self.negotiation.read_answer(sdp) else {
            return false;
        };
        let is_new = self.agreed.as_ref() != Some(&media);
        self.agreed = Some(media);
        is_new
    }

    /// A re-INVITE or UPDATE, or a PRACK with an offer: the SDP of its 200.
    ///
    /// # Errors
    /// Why it is refused. The session stays as it was (RFC 3261 14.2, RFC 3311 5.2).
    pub(crate) fn change(&mut self, offer: &[u8]) -> Result<String, Refused> {
        match self.open {
            Open::Nothing => {}
            Open::OurAnswer => return Err(Refused::Unanswered),
            Open::TheirAnswer if self.early.is_some() => {}
            Open::TheirAnswer | Open::AckAnswer { .. } => return Err(Refused::Glare),
        }
        if offer.is_empty() {
            self.open = Open::AckAnswer { first: false };
            return Ok(self.negotiation.offer());
        }
        let (answer, media) = self.negotiation.answer(offer).map_err(Refused::Sdp)?;
        self.agreed = Some(media);
        // A 2xx that follows an early change repeats what holds by then.
        if let Some(first) = &mut self.answer {
            first.clone_from(&answer);
        }
        Ok(answer)
    }
}

fn to_tag(response: &Response) -> String {
    response.headers.to().and_then(|to| to.tag().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use media_relay::sdp::pbx::Codec;
    use sip_core::message::Headers;

    use super::*;

    const THEIRS: &str = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n\
                          m=audio 4000 RTP/AVP 0\r\n";

    fn flow() -> Flow {
        Flow::udp("10.0.0.5:5060".parse().expect("an address"))
    }

    fn negotiation() -> Negotiation {
        Negotiation::new("192.0.2.10:20000".parse().expect("an address"), 7, vec![Codec::Opus, Codec::Pcmu])
    }

    fn invited(offer: &str) -> PbxLeg {
        PbxLeg::invited(flow(), negotiation(), offer.as_bytes()).expect("a usable offer")
    }

    fn inviting(is_delayed: bool) -> (PbxLeg, Option<String>) {
        PbxLeg::inviting(flow(), negotiation(), is_delayed)
    }

    fn response(status: u16, tag: &str, reliable: bool, sdp: &str) -> Response {
        let mut headers = Headers::from_iter([("To", format!("<sip:a@b>;tag={tag}"))]);
        if reliable {
            headers.push("RSeq", "1");
        }
        Response { status, reason: String::new(), headers, body: sdp.to_owned().into() }
    }

    #[test]
    fn the_answer_is_the_same_in_18x_and_200() {
        let mut leg = invited(THEIRS);
        let early = leg.early_answer();
        assert!(early.is_some());
        assert_eq!(early.as_ref(), Some(&leg.final_sdp()));
        assert_eq!(leg.agreed().map(|media| media.remote.port()), Some(4000));
    }

    #[test]
    fn an_invite_without_sdp_is_answered_with_our_offer_and_the_ack_has_the_answer() {
        let mut leg = invited("");
        assert_eq!(leg.early_answer(), None, "an offer needs a reliable response");
        assert!(leg.final_sdp().contains("m=audio"));
        assert!(leg.agreed().is_none());
        assert_eq!(leg.acked(THEIRS.as_bytes()), Acked::First { usable: true });
        assert_eq!(leg.agreed().map(|media| media.remote.port()), Some(4000));
        assert_eq!(leg.acked(b""), Acked::Nothing, "a repeated ACK says nothing");
    }

    #[test]
    fn an_ack_without_the_answer_is_unusable() {
        let mut leg = invited("");
        leg.final_sdp();
        assert_eq!(leg.acked(b""), Acked::First { usable: false });
    }

    #[test]
    fn our_offer_is_answered_in_the_200() {
        let (mut leg, offer) = inviting(false);
        assert!(offer.is_some());
        let heard = leg.answered(&response(200, "a", false, THEIRS));
        assert_eq!(heard, Heard { usable: true, answer: None });
        let (mut other, _) = inviting(false);
        assert!(!other.answered(&response(200, "a", false, "")).usable);
    }

    #[test]
    fn a_200_without_sdp_repeats_the_answer_of_its_own_provisional_response() {
        for (tag, usable) in [("a", true), ("b", false)] {
            let (mut leg, _) = inviting(false);
            assert_eq!(leg.provisional(&response(183, "a", true, THEIRS)), None);
            assert_eq!(leg.answered(&response(200, tag, false, "")).usable, usable, "{tag}");
        }
    }

    #[test]
    fn their_offer_in_the_200_gets_our_answer() {
        let (mut leg, offer) = inviting(true);
        assert_eq!(offer, None);
        let heard = leg.answered(&response(200, "a", false, THEIRS));
        assert!(heard.usable && heard.answer.is_some());
    }

    #[test]
    fn their_offer_in_a_reliable_response_is_answered_there_and_then() {
        let (mut leg, _) = inviting(true);
        assert_eq!(leg.provisional(&response(183, "a", false, THEIRS)), None, "not reliable: no offer");
        assert!(leg.provisional(&response(183, "a", true, THEIRS)).is_some());
        assert_eq!(leg.answered(&response(200, "a", false, "")), Heard { usable: true, answer: None });
    }

    #[test]
    fn a_change_meets_no_open_offer() {
        let mut leg = invited(THEIRS);
        assert!(matches!(leg.change(THEIRS.as_bytes()), Err(Refused::Unanswered)), "before our answer");
        leg.early_answer();
        assert!(leg.change(THEIRS.as_bytes()).is_ok(), "early, after our answer");
        let (mut leg, _) = inviting(false);
        assert!(matches!(leg.change(THEIRS.as_bytes()), Err(Refused::Glare)), "our offer is open");
        leg.answered(&response(200, "a", false, THEIRS));
        assert!(leg.change(b"").is_ok_and(|sdp| sdp.contains("m=audio")), "without SDP the offer is ours");
        assert!(matches!(leg.change(THEIRS.as_bytes()), Err(Refused::Glare)), "until the ACK");
        assert_eq!(leg.acked(THEIRS.as_bytes()), Acked::Later { usable: true });
    }

    #[test]
    fn a_refresh_may_bring_another_address() {
        let mut leg = invited(THEIRS);
        leg.final_sdp();
        assert!(!leg.refreshed(THEIRS.as_bytes()), "the same again");
        assert!(!leg.refreshed(b""));
        assert!(leg.refreshed(THEIRS.replace("4000", "5000").as_bytes()));
        assert_eq!(leg.agreed().map(|media| media.remote.port()), Some(5000));
    }

    #[test]
    fn a_change_that_cannot_be_used_leaves_the_session() {
        let mut leg = invited(THEIRS);
        leg.final_sdp();
        let fax = THEIRS.replace("m=audio 4000 RTP/AVP 0", "m=image 4000 udptl t38");
        assert!(matches!(leg.change(fax.as_bytes()), Err(Refused::Sdp(_))));
        assert_eq!(leg.agreed().map(|media| media.remote.port()), Some(4000));
        assert!(leg.change(THEIRS.replace("4000", "5000").as_bytes()).is_ok());
        assert_eq!(leg.agreed().map(|media| media.remote.port()), Some(5000));
    }
}
