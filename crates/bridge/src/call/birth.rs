//! How a call begins: what must be right before anybody is called.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use media_relay::sdp::negotiation::Negotiation;
use media_relay::sdp::{SdpError, whatsapp};
use media_relay::{AudioSession, OpenError};
use sip_core::message::Request;
use sip_core::{Command, Flow, LegId, Reply};
use tracing::{Instrument, debug, info, info_span, warn};
use wa_signaling::Wacid;
use wa_signaling::webhook::event::Connect;

use super::attempts::Attempts;
use super::cause::Cause;
use super::headers;
use super::machine::Call;
use super::pbx::{Pbx, Plan};
use super::pbx_leg::PbxLeg;
use super::task::{CallTask, Input, Media, Side};
use crate::app::Shared;
use crate::config::{Number, Trunk};
use crate::directory::{Lost, Mailbox};
use crate::id::CallId;
use crate::mark::Mark;
use crate::record::Direction;
use crate::routing::{self, NoRoute};
use crate::skew;

/// The most targets that a call tries; more than this the limit on ringing would not leave time for.
const MAX_ATTEMPTS: usize = 8;

/// Why a call did not begin.
#[derive(Debug, thiserror::Error)]
enum Unborn {
    #[error("{0}")]
    NoRoute(#[from] NoRoute),
    #[error("the PBX's SDP: {0}")]
    PbxSdp(SdpError),
    #[error("WhatsApp's SDP: {0}")]
    WhatsAppSdp(SdpError),
    #[error("WhatsApp's webhook has no SDP offer")]
    NoOffer,
    #[error("no audio path: {0}")]
    Media(#[from] OpenError),
    #[error("the trunk has no target that calls can go to")]
    NoTarget,
    #[error("{}", .0.row().phrase)]
    Refused(Cause),
    #[error("the bridge is shutting down")]
    ShuttingDown,
}

impl From<Cause> for Unborn {
    fn from(cause: Cause) -> Self {
        Self::Refused(cause)
    }
}

impl Unborn {
    fn cause(&self) -> Cause {
        match self {
            Self::NoRoute(_) => Cause::NoRoute,
            Self::PbxSdp(_) => Cause::PbxSdp,
            Self::WhatsAppSdp(_) | Self::NoOffer => Cause::WhatsAppSdp,
            Self::Media(_) => Cause::NoMediaResource,
            Self::NoTarget => Cause::NoTarget,
            Self::Refused(cause) => *cause,
            Self::ShuttingDown => Cause::ShuttingDown,
        }
    }
}

/// A call from the PBX: begins, or gets its final response at once.
pub(crate) async fn from_pbx(shared: &Arc<Shared>, leg: LegId, request: &Request, flow: Flow) {
    if let Err(unborn) = try_from_pbx(shared, leg, request, flow) {
        let cause = unborn.cause();
        shared.metrics.refused(cause.row().label);
        info!(source = %flow.peer, cause = cause.row().label, "INVITE refused: {unborn}");
        let reply = refusal(shared, flow, &unborn);
        shared.sip.send(Command::Respond { leg, reply }).await;
    }
}

fn refusal(shared: &Shared, flow: Flow, unborn: &Unborn) -> Reply {
    if let Unborn::PbxSdp(error) = unborn {
        return headers::not_acceptable(error, &shared.agent(flow));
    }
    headers::refusal(unborn.cause())
}

fn try_from_pbx(shared: &Arc<Shared>, leg: LegId, request: &Request, flow: Flow) -> Result<(), Unborn> {
    if shared.metrics.is_draining() {
        return Err(Unborn::ShuttingDown);
    }
    if shared.is_recovering.load(Ordering::Relaxed) {
        return Err(Cause::Starting.into());
    }
    let config = shared.config();
    let dialled = request.uri.user_unescaped().unwrap_or_default();
    let from = request.headers.from();
    let caller = from.as_ref().and_then(|from| from.uri.user_unescaped());
    // Before anything is made of the number: an emergency number has no route, and must not get 404.
    shared.trunks.may_dial(flow.trunk, &dialled)?;
    let route = routing::outgoing(&config, flow.trunk, &dialled, caller.as_deref())?;
    let ticket = shared.trunks.admit(shared.now(), flow.trunk)?;
    shared.trunks.spend(flow.trunk, &route.callee.to_string())?;

    let (mailbox, events) = Mailbox::new();
    let session = open_session(shared, &mailbox)?;
    let id = CallId::from_bytes(shared.random());
    let negotiation = negotiation(shared, &session, route.trunk);
    let state = PbxLeg::invited(flow, negotiation, &request.body).map_err(Unborn::PbxSdp)?;
    // Without SDP in the INVITE, what the PBX takes is known with its ACK only.
    if let Some(agreed) = state.agreed() {
        session.connect_pbx(agreed.clone());
    }

    let span = span(&id, Direction::SipToWa);
    span.record("sip_call_id", request.headers.call_id().unwrap_or_default());
    span.in_scope(|| {
        info!(trunk = route.trunk.name, callee = %shared.masked(&route.callee), "call from the PBX");
        debug!(sdp = %String::from_utf8_lossy(&request.body), "offer of the PBX");
    });
    let pbx = Pbx::new(route.trunk, shared.targets(route.trunk)).with_leg(leg, state);
    session.set_digits(pbx.digits());
    let mut settings = pbx.settings(config.calls);
    let left = shared.trunks.left(flow.trunk);
    settings.longest = settings.longest.into_iter().chain(left).min();
    let call = Call::from_pbx(settings, shared.now(), leg);
    let side = Side::FromPbx { callee: route.callee };
    let media = Media { session, remote: None };
    let number = Arc::new(route.number.clone());
    let mark = mark(shared, &id, request.headers.call_id());
    let task = CallTask::new(shared, mark, number, side, pbx, (mailbox, events), Some(media), call);
    shared.spawn(task.counted(ticket).live().instrument(span));
    Ok(())
}

/// A call from a WhatsApp user: begins, or is rejected at once.
pub(crate) fn from_whatsapp(shared: &Arc<Shared>, connect: Connect) {
    if shared.directory.knows(shared.now(), &connect.wacid) {
        shared.metrics.webhook("duplicate");
        return;
    }
    let config = shared.config();
    // WhatsApp repeats webhooks for days.
    if skew::is_stale(shared.wall(), connect.timestamp, config.order.stale_after) {
        shared.metrics.webhook("stale");
        warn!(wacid = %connect.wacid, "a connect webhook came too late to ring anybody");
        return;
    }
    let Some((number, trunk)) = routing::incoming(&config, &connect.number) else {
        shared.metrics.webhook("foreign_number");
        warn!(number = %connect.number, "a call for a business number that is not configured");
        return;
    };
    let (number, trunk) = (Arc::new(number.clone()), trunk.clone());
    let wacid = connect.wacid.clone();
    if let Err(unborn) = try_from_whatsapp(shared, connect, &number, &trunk) {
        let cause = unborn.cause();
        warn!(%wacid, cause = cause.row().label, "call from WhatsApp rejected: {unborn}");
        refuse(shared, number, &trunk, wacid, cause);
    }
}

fn try_from_whatsapp(
    shared: &Arc<Shared>,
    connect: Connect,
    number: &Arc<Number>,
    trunk: &Trunk,
) -> Result<(), Unborn> {
    if shared.metrics.is_draining() {
        return Err(Unborn::ShuttingDown);
    }
    let offer = connect.session.as_ref().filter(|session| session.sdp_type == "offer");
    let offer = &offer.ok_or(Unborn::NoOffer)?.sdp;
    let remote = whatsapp::parse(offer).map_err(Unborn::WhatsAppSdp)?;
    let ticket = shared.trunks.admit(shared.now(), shared.trunks.id(trunk))?;
    let mut pbx = Pbx::new(trunk, shared.targets(trunk));
    let attempts = attempts(shared, &mut pbx, trunk, number).ok_or(Unborn::NoTarget)?;

    let (mailbox, events) = Mailbox::new();
    let session = open_session(shared, &mailbox)?;
    if !shared.directory.claim(shared.now(), &connect.wacid, &mailbox) {
        return Ok(());
    }
    let id = CallId::from_bytes(shared.random());
    let span = span(&id, Direction::WaToSip);
    span.record("sip_call_id", id.as_str());
    span.record("wacid", connect.wacid.as_str());
    span.in_scope(|| {
        let caller = connect.caller.user().unwrap_or("anonymous");
        info!(trunk = trunk.name, caller = %shared.masked(&caller), "call from WhatsApp");
        debug!(sdp = offer, "offer of WhatsApp");
    });
    let answer = session.whatsapp_answer(&remote);
    session.set_digits(pbx.digits());
    let media = Media { session, remote: Some(remote) };
    let side = Side::FromWhatsApp { answer, connect: Box::new(connect) };
    let call = Call::from_whatsapp(pbx.settings(shared.config().calls), shared.now(), attempts);
    let number = number.clone();
    let mark = mark(shared, &id, None);
    let task = CallTask::new(shared, mark, number, side, pbx, (mailbox, events), Some(media), call);
    shared.spawn(task.counted(ticket).live().instrument(span));
    Ok(())
}

/// A leg for each target of the trunk.
fn attempts(shared: &Shared, pbx: &mut Pbx, trunk: &Trunk, number: &Number) -> Option<Attempts> {
    let legs: Vec<LegId> = shared
        .targets(trunk)
        .into_iter()
        .take(MAX_ATTEMPTS)
        .map(|flow| {
            let leg = shared.sip.new_leg();
            pbx.plan(leg, Plan { flow, user: number.user(trunk.headers.plus), refer: None });
            leg
        })
        .collect();
    let (first, others) = legs.split_first()?;
    Some(Attempts::new(*first, others.iter().copied(), pbx.failover()))
}

/// Ends a WhatsApp call that can't be put through, as every other call is ended: until it has worked.
fn refuse(shared: &Arc<Shared>, number: Arc<Number>, trunk: &Trunk, wacid: Wacid, cause: Cause) {
    let call = Call::refused(shared.config().calls, shared.now(), cause);
    only_end(shared, number, trunk, Side::Refused { wacid: wacid.clone() }, &wacid, call);
}

/// Ends a WhatsApp call of the business that nobody here leads, in the same way.
pub(crate) fn end_lost(shared: &Arc<Shared>, lost: &Lost) {
    let config = shared.config();
    let Some((number, trunk)) = routing::incoming(&config, &lost.number) else {
        return;
    };
    warn!(wacid = %lost.wacid, cause = lost.cause.row().label, "a call that nobody leads is ended");
    let call = Call::lost(config.calls, shared.now(), lost.cause);
    let side = Side::Lost { wacid: lost.wacid.clone() };
    only_end(shared, Arc::new(number.clone()), trunk, side, &lost.wacid, call);
}

fn only_end(shared: &Arc<Shared>, number: Arc<Number>, trunk: &Trunk, side: Side, wacid: &Wacid, call: Call) {
    let (mailbox, events) = Mailbox::new();
    if !shared.directory.claim(shared.now(), wacid, &mailbox) {
        return;
    }
    let id = CallId::from_bytes(shared.random());
    let pbx = Pbx::new(trunk, Vec::new());
    let mark = mark(shared, &id, None);
    let task = CallTask::new(shared, mark, number, side, pbx, (mailbox, events), None, call);
    let span = span(&id, task.direction);
    span.record("wacid", wacid.as_str());
    shared.spawn(task.live().instrument(span));
}

fn mark(shared: &Shared, call: &CallId, sip_call_id: Option<&str>) -> Mark {
    let sip_call_id = sip_call_id.map(ToOwned::to_owned);
    Mark { call: call.clone(), instance: shared.instance.clone(), sip_call_id }
}

/// What will be told to the PBX and heard from it.
fn negotiation(shared: &Shared, session: &AudioSession, trunk: &Trunk) -> Negotiation {
    Negotiation::new(session.pbx_address(), shared.session_id(), trunk.codecs.clone())
}

fn open_session(shared: &Shared, mailbox: &Mailbox) -> Result<AudioSession, OpenError> {
    let mailbox = mailbox.clone();
    shared.relay.open(Box::new(move |event| {
        mailbox.post(Input::Media(event));
    }))
}

pub(crate) fn span(id: &CallId, direction: Direction) -> tracing::Span {
    info_span!(
        "call",
        %id,
        direction = direction.label(),
        wacid = tracing::field::Empty,
        sip_call_id = tracing::field::Empty
    )
}
