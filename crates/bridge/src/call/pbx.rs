//! The PBX's side of a call: the manners of its trunk, and the legs that go there. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use media_relay::DigitMode;
use media_relay::sdp::pbx::{Codec, Security};
use sip_core::message::{Response, Scheme};
use sip_core::{Flow, LegId, OwnRequestId, RequestId};

use super::manners::Manners;
use super::pbx_leg::PbxLeg;
use super::refer::Refer;
use super::settings::Settings;
use crate::config::Trunk;
use crate::id::CallId;
use crate::trunk::failover::Policy;

/// The most legs of a call at a time; an INVITE with Replaces that comes on top is refused.
pub(super) const MAX_LEGS: usize = 16;

/// An INVITE of ours that may go out.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) flow: Flow,
    /// The user part of the Request-URI, escaped.
    pub(crate) user: String,
    /// The REFER that asks for it.
    pub(crate) refer: Option<Arc<Refer>>,
}

/// A REFER that is being obeyed, or waits to be.
#[derive(Debug)]
pub(super) struct Referral {
    pub(super) refer: Arc<Refer>,
    pub(super) transferor: LegId,
    pub(super) request: RequestId,
}

/// The PBX's side of a call.
#[derive(Debug)]
pub(crate) struct Pbx {
    pub(super) manners: Manners,
    pub(super) codecs: Vec<Codec>,
    pub(super) srtp: Security,
    /// Where calls to the trunk go.
    targets: Vec<Flow>,
    pub(super) legs: BTreeMap<LegId, PbxLeg>,
    /// The leg whose sound is that of the PBX.
    pub(super) heard: Option<LegId>,
    plans: BTreeMap<LegId, Plan>,
    /// By the leg of the target.
    pub(super) referrals: BTreeMap<LegId, Referral>,
    invites: u32,
    requests: u64,
}

impl Pbx {
    /// No leg yet.
    pub(crate) fn new(trunk: &Trunk, targets: Vec<Flow>) -> Self {
        Self {
            manners: Manners::of(trunk),
            codecs: trunk.codecs.clone(),
            srtp: trunk.srtp,
            targets,
            legs: BTreeMap::new(),
            heard: None,
            plans: BTreeMap::new(),
            referrals: BTreeMap::new(),
            invites: 0,
            requests: 0,
        }
    }

    /// The limits and choices of a call of this trunk.
    pub(crate) fn settings(&self, calls: Settings) -> Settings {
        self.manners.settings(calls)
    }

    /// How WhatsApp's digits go in RTP.
    pub(crate) fn digits(&self) -> DigitMode {
        self.manners.digits()
    }

    /// Which refusals lead to the next target.
    pub(crate) fn failover(&self) -> Policy {
        self.manners.failover.clone()
    }

    /// A leg that the PBX began; its sound is that of the PBX from the first on.
    pub(crate) fn with_leg(mut self, id: LegId, leg: PbxLeg) -> Self {
        self.legs.insert(id, leg);
        self.heard = Some(id);
        self
    }

    /// An INVITE that may go out on this leg.
    pub(crate) fn plan(&mut self, leg: LegId, plan: Plan) {
        self.plans.insert(leg, plan);
    }

    pub(super) fn planned(&self, leg: LegId) -> Option<&Plan> {
        self.plans.get(&leg)
    }

    /// The Call-ID of the next INVITE: the call's own, and the same with a number behind it.
    pub(super) fn next_call_id(&mut self, id: &CallId) -> String {
        self.invites += 1;
        if self.invites == 1 { id.to_string() } else { format!("{id}-{}", self.invites) }
    }

    pub(super) fn next_request(&mut self) -> OwnRequestId {
        self.requests += 1;
        OwnRequestId(self.requests)
    }

    /// The target of the trunk that this leg goes to or comes from; else the first. A transfer with
    /// Replaces means a dialog of that one.
    pub(super) fn target_of(&self, leg: LegId) -> Option<Flow> {
        let peer = self.legs.get(&leg)?.flow.peer.ip();
        let same = self.targets.iter().find(|target| target.peer.ip() == peer);
        same.or(self.targets.first()).copied()
    }

    /// Where a 3xx to the INVITE of this leg leads, by its first Contact that is one of the trunk's own
    /// targets; nothing where redirections are not followed.
    pub(super) fn redirected(&self, leg: LegId, response: &Response) -> Option<Plan> {
        let plan = self.plans.get(&leg).filter(|_| self.manners.redirect)?;
        response.headers.list("Contact").find_map(|contact| {
            let uri = contact.parse::<sip_core::NameAddr>().ok()?.uri;
            let address = uri.socket_addr().filter(|_| matches!(uri.scheme, Scheme::Sip | Scheme::Sips))?;
            let target = self.targets.iter().find(|target| target.peer.ip() == address.ip())?;
            let user = uri.user.unwrap_or_else(|| plan.user.clone());
            Some(Plan { flow: Flow { peer: address, ..*target }, user, refer: plan.refer.clone() })
        })
    }

    /// The REFER of this leg that is being obeyed.
    pub(super) fn referral_of(&self, transferor: LegId) -> Option<(LegId, &Referral)> {
        let mut all = self.referrals.iter();
        all.find(|(_, referral)| referral.transferor == transferor)
            .map(|(target, referral)| (*target, referral))
    }

    /// Nothing more will come of this leg.
    pub(super) fn forget(&mut self, leg: LegId) {
        self.legs.remove(&leg);
        self.plans.remove(&leg);
        self.referrals.retain(|_, referral| referral.transferor != leg);
    }
}

/// The seconds of a Retry-After, as far as it names any.
pub(super) fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers.get("Retry-After")?.trim();
    let digits: String = value.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use media_relay::sdp::negotiation::Negotiation;
    use sip_core::message::Headers;

    use super::*;

    const LEG: LegId = LegId(2);

    fn flow(peer: &str) -> Flow {
        Flow::udp(peer.parse::<SocketAddr>().expect("an address"))
    }

    fn pbx(redirect: bool) -> Pbx {
        let mut pbx = Pbx {
            manners: Manners { redirect, ..Manners::default() },
            codecs: vec![Codec::Pcmu],
            srtp: Security::Refuse,
            targets: vec![flow("10.0.0.5:5060"), flow("10.0.0.6:5060")],
            legs: BTreeMap::new(),
            heard: None,
            plans: BTreeMap::new(),
            referrals: BTreeMap::new(),
            invites: 0,
            requests: 0,
        };
        pbx.plan(LEG, Plan { flow: flow("10.0.0.5:5060"), user: "100".to_owned(), refer: None });
        pbx
    }

    fn response(fields: &[(&str, &str)]) -> Response {
        let headers = Headers::from_iter(fields.iter().copied());
        Response { status: 302, reason: String::new(), headers, body: Vec::new().into() }
    }

    #[test]
    fn a_redirection_is_followed_inside_the_trunk_only() {
        let leads = |contacts: &[(&str, &str)]| {
            let plan = pbx(true).redirected(LEG, &response(contacts))?;
            Some((plan.user, plan.flow.peer.to_string()))
        };
        let inside = Some(("200".to_owned(), "10.0.0.6:5070".to_owned()));
        assert_eq!(leads(&[("Contact", "<sip:200@10.0.0.6:5070>;q=0.5")]), inside);
        assert_eq!(leads(&[("Contact", "<sip:1@203.0.113.9>, <sip:200@10.0.0.6:5070>")]), inside);
        assert_eq!(leads(&[("Contact", "<sip:10.0.0.6>")]).map(|(user, _)| user).as_deref(), Some("100"));
        assert_eq!(leads(&[("Contact", "<sip:200@203.0.113.9>")]), None);
        assert_eq!(leads(&[("Contact", "<tel:+491234>")]), None);
        assert_eq!(leads(&[]), None);
        assert!(pbx(false).redirected(LEG, &response(&[("Contact", "<sip:2@10.0.0.6>")])).is_none());
    }

    #[test]
    fn a_transfer_goes_to_the_target_that_asked_for_it() {
        let mut pbx = pbx(false);
        for (leg, peer, target) in
            [(1, "10.0.0.6:40000", "10.0.0.6:5060"), (3, "10.9.9.9:5060", "10.0.0.5:5060")]
        {
            let negotiation = Negotiation::new("192.0.2.1:20000".parse().expect("an address"), 1, Vec::new());
            let leg = LegId(leg);
            pbx.legs.insert(leg, PbxLeg::inviting(flow(peer), negotiation, true).0);
            assert_eq!(pbx.target_of(leg).map(|flow| flow.peer.to_string()).as_deref(), Some(target));
        }
    }

    #[test]
    fn retry_after_is_read_with_its_comment() {
        let read = |value| retry_after(&response(&[("Retry-After", value)])).map(|rest| rest.as_secs());
        assert_eq!(read("120 (in a meeting);duration=60"), Some(120));
        assert_eq!(read("soon"), None);
        assert_eq!(read("99999999999999999999999"), None);
    }

    #[test]
    fn each_invite_has_a_call_id_of_its_own() {
        let id = CallId::from_bytes([7; 16]);
        let mut pbx = pbx(false);
        assert_eq!(pbx.next_call_id(&id), id.to_string());
        assert_eq!(pbx.next_call_id(&id), format!("{id}-2"));
    }
}
