//! How a call begins: what must be right before anybody is called.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use media_relay::sdp::crypto::Masked;
use media_relay::sdp::negotiation::Negotiation;
use media_relay::sdp::{SdpError, whatsapp};
use media_relay::{Announcement, AudioSession, OpenError, SessionOptions};
use sip_core::message::Request;
use sip_core::{Command, Flow, LegId, Reply};
use tracing::{Instrument, debug, info, info_span, warn};
use wa_signaling::Wacid;
use wa_signaling::webhook::event::Connect;

use super::attempts::Attempts;
use super::cause::Cause;
use super::machine::{Call, Settings};
use super::pbx::{Pbx, Plan};
use super::pbx_leg::PbxLeg;
use super::task::{CallTask, Input, Media, Side};
use super::{announce, headers};
use crate::capture::Recording;
use crate::config::{NewCalls, Number, Trunk};
use crate::directory::{Lost, Mailbox};
use crate::id::CallId;
use crate::mark::Mark;
use crate::record::{Direction, Facts, Record, Tally};
use crate::routing::incoming::NoPbx;
use crate::routing::{self, Incoming, Landing, NoRoute};
use crate::shared::Shared;
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
            Self::NoRoute(route) => route.cause(),
            Self::PbxSdp(_) => Cause::PbxSdp,
            Self::WhatsAppSdp(_) | Self::NoOffer => Cause::WhatsAppSdp,
            Self::Media(_) => Cause::NoMediaResource,
            Self::Refused(cause) => *cause,
            Self::ShuttingDown => Cause::ShuttingDown,
        }
    }
}

/// A call from the PBX: begins, or gets its final response at once.
pub(crate) async fn from_pbx(shared: &Arc<Shared>, leg: LegId, request: &Request, flow: Flow) {
    let mut facts = facts(shared, Direction::SipToWa, request.headers.call_id());
    facts.dialled = request.uri.user_unescaped();
    facts.caller = request.headers.from().and_then(|from| from.uri.user_unescaped());
    if let Err(unborn) = try_from_pbx(shared, leg, request, flow, &mut facts) {
        let cause = unborn.cause();
        let outcome = facts.unanswered(shared.now(), cause, true);
        shared.records.write(Record::of(&facts, None, &Tally::default(), &outcome, None));
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

/// What becomes known on the way goes into the facts, for the record of a call that does not begin.
fn try_from_pbx(
    shared: &Arc<Shared>,
    leg: LegId,
    request: &Request,
    flow: Flow,
    facts: &mut Facts,
) -> Result<(), Unborn> {
    if shared.metrics.is_draining() {
        return Err(Unborn::ShuttingDown);
    }
    if shared.is_recovering.load(Ordering::Relaxed) {
        return Err(Cause::Starting.into());
    }
    let config = shared.config();
    facts.trunk = config.trunk(flow.trunk).map(|trunk| trunk.name.clone());
    let dialled = facts.dialled.as_deref().unwrap_or_default();
    let route = routing::outgoing(&config, flow.trunk, dialled, &request.headers)?;
    facts.set_number(route.number);
    facts.set_callee(&route.callee);
    let ticket = shared.trunks.admit(shared.now(), flow.trunk)?;
    shared.trunks.spend(flow.trunk, &route.callee.to_string())?;

    let (mailbox, events) = Mailbox::new();
    let recording = shared.captures.begin(shared.now(), facts);
    let options = session_options(&config.media, route.number, route.trunk, recording.as_ref());
    let session = open_session(shared, &options, &mailbox)?;
    let negotiation = negotiation(shared, &session, route.trunk);
    let state = PbxLeg::invited(flow, negotiation, &request.body).map_err(Unborn::PbxSdp)?;
    let pbx = Pbx::new(route.trunk, shared.targets(route.trunk));
    // Whether its sound is listened to for keys is settled when it is connected.
    session.set_digits(pbx.digits());
    // Without SDP in the INVITE, what the PBX takes is known with its ACK only.
    if let Some(agreed) = state.agreed() {
        session.connect_pbx(agreed.clone());
    }

    let span = span(&facts.mark.call, Direction::SipToWa);
    span.record("sip_call_id", request.headers.call_id().unwrap_or_default());
    span.in_scope(|| {
        info!(trunk = route.trunk.name, callee = %shared.masked(&route.callee), "call from the PBX");
        debug!(sdp = %Masked(&request.body), "offer of the PBX");
    });
    let pbx = pbx.with_leg(leg, state);
    let mut settings = pbx.settings(config.calls);
    settings.check_permission = route.number.permission.is_checked();
    let left = shared.trunks.left(flow.trunk);
    settings.longest = settings.longest.into_iter().chain(left).min();
    let call = Call::from_pbx(settings, shared.now(), leg);
    let side = Side::FromPbx { callee: route.callee };
    let media = Media { session, remote: None, announcement: None, recording };
    let number = Arc::new(route.number.clone());
    let facts = facts.clone();
    let task = CallTask::new(shared, facts, number, side, pbx, (mailbox, events), Some(media), call);
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
    if shared.metrics.is_draining() && config.life.new_calls == NewCalls::Leave {
        shared.metrics.webhook("left");
        info!(wacid = %connect.wacid, "draining: the call is left to another instance");
        return;
    }
    let unix = i64::try_from(shared.wall().as_secs()).unwrap_or(i64::MAX);
    let Some(incoming) = routing::incoming(&config, &connect, unix) else {
        shared.metrics.webhook("foreign_number");
        warn!(number = %connect.number, "a call for a business number that is not configured");
        return;
    };
    let wacid = connect.wacid.clone();
    let mut facts = facts(shared, Direction::WaToSip, None);
    facts.trunk = Some(incoming.trunk.name.clone());
    facts.user = connect.caller.clone();
    if let Landing::Pbx(user) = &incoming.landing {
        facts.dialled = Some(user.clone());
    }
    if let Err(unborn) = try_from_whatsapp(shared, connect, &incoming, &facts) {
        let cause = unborn.cause();
        warn!(%wacid, cause = cause.row().label, "call from WhatsApp rejected: {unborn}");
        refuse(shared, &incoming, facts, wacid, cause);
    }
}

fn try_from_whatsapp(
    shared: &Arc<Shared>,
    connect: Connect,
    incoming: &Incoming<'_>,
    facts: &Facts,
) -> Result<(), Unborn> {
    if shared.metrics.is_draining() {
        return Err(Unborn::ShuttingDown);
    }
    let offer = connect.session.as_ref().filter(|session| session.sdp_type == "offer");
    let offer = &offer.ok_or(Unborn::NoOffer)?.sdp;
    let remote = whatsapp::parse(offer).map_err(Unborn::WhatsAppSdp)?;
    let trunk = incoming.trunk;
    let ticket = shared.trunks.admit(shared.now(), trunk.id)?;
    let mut pbx = Pbx::new(trunk, shared.targets(trunk));
    let towards = towards(shared, &mut pbx, incoming)?;

    let (mailbox, events) = Mailbox::new();
    let recording = shared.captures.begin(shared.now(), &facts.clone().of(incoming.number));
    let options = session_options(&shared.config().media, incoming.number, trunk, recording.as_ref());
    let session = open_session(shared, &options, &mailbox)?;
    let answer = session.whatsapp_answer(&remote).map_err(Unborn::WhatsAppSdp)?;
    if !shared.directory.claim(shared.now(), &connect.wacid, &mailbox) {
        return Ok(());
    }
    if remote.keying() != incoming.number.audio.keying {
        warn!(keying = ?remote.keying(), "WhatsApp has other keys for this number than number.srtp says: answered in its way");
    }
    let id = &facts.mark.call;
    let span = span(id, Direction::WaToSip);
    span.record("sip_call_id", id.as_str());
    span.record("wacid", connect.wacid.as_str());
    span.in_scope(|| {
        let caller = connect.caller.user().unwrap_or("anonymous");
        info!(trunk = trunk.name, caller = %shared.masked(&caller), "call from WhatsApp");
        debug!(sdp = %Masked(offer.as_bytes()), "offer of WhatsApp");
    });
    session.set_digits(pbx.digits());
    let settings = pbx.settings(shared.config().calls);
    let (call, announcement) = towards.call(settings, shared.now());
    let media = Media { session, remote: Some(remote), announcement, recording };
    let side = Side::FromWhatsApp { answer, connect: Box::new(connect) };
    let number = Arc::new(incoming.number.clone());
    let facts = facts.clone().of(&number);
    let task = CallTask::new(shared, facts, number, side, pbx, (mailbox, events), Some(media), call);
    shared.spawn(task.counted(ticket).live().instrument(span));
    Ok(())
}

/// Whom a WhatsApp user will hear.
enum Towards {
    Pbx(Attempts),
    Announcement(Cause, Announcement),
}

impl Towards {
    fn call(self, settings: Settings, now: Instant) -> (Call, Option<Announcement>) {
        match self {
            Self::Pbx(attempts) => (Call::from_whatsapp(settings, now, attempts), None),
            Self::Announcement(cause, announcement) => {
                info!(cause = cause.row().label, "the caller hears an announcement");
                let plan = announce::Plan { cause, length: announcement.length() };
                (Call::announcing(settings, now, plan), Some(announcement))
            }
        }
    }
}

/// The PBX, if it is up; else what is configured in its place.
fn towards(shared: &Shared, pbx: &mut Pbx, incoming: &Incoming<'_>) -> Result<Towards, Unborn> {
    let no_pbx = &incoming.number.no_pbx;
    let turned = match &incoming.landing {
        Landing::Turned(turned) => *turned,
        Landing::Pbx(user) => {
            let is_worth_it = matches!(no_pbx, NoPbx::Try) || !shared.trunks.is_down(incoming.trunk.id);
            match is_worth_it.then(|| attempts(shared, pbx, incoming.trunk, user)).flatten() {
                Some(attempts) => return Ok(Towards::Pbx(attempts)),
                None => no_pbx.turned(),
            }
        }
    };
    match turned.announcement {
        Some(announcement) => Ok(Towards::Announcement(turned.cause, announcement.clone())),
        None => Err(Unborn::Refused(turned.cause)),
    }
}

/// A leg for each target of the trunk.
fn attempts(shared: &Shared, pbx: &mut Pbx, trunk: &Trunk, user: &str) -> Option<Attempts> {
    let legs: Vec<LegId> = shared
        .targets(trunk)
        .into_iter()
        .take(MAX_ATTEMPTS)
        .map(|flow| {
            let leg = shared.sip.new_leg();
            pbx.plan(leg, Plan { flow, user: user.to_owned(), refer: None });
            leg
        })
        .collect();
    let (first, others) = legs.split_first()?;
    Some(Attempts::new(*first, others.iter().copied(), pbx.failover()))
}

/// Ends a WhatsApp call that can't be put through, as every other call is ended: until it has worked.
fn refuse(shared: &Arc<Shared>, incoming: &Incoming<'_>, facts: Facts, wacid: Wacid, cause: Cause) {
    let number = Arc::new(incoming.number.clone());
    let call = Call::refused(shared.config().calls, shared.now(), cause);
    only_end(shared, facts, number, incoming.trunk, Side::Refused { wacid }, call);
}

/// Ends a WhatsApp call of the business that nobody here leads, in the same way.
pub(crate) fn end_lost(shared: &Arc<Shared>, lost: &Lost) {
    let config = shared.config();
    let number = config.number(&lost.number);
    let Some((number, trunk)) = number.and_then(|number| Some((number, config.trunk_of(number)?))) else {
        return;
    };
    warn!(wacid = %lost.wacid, cause = lost.cause.row().label, "a call that nobody leads is ended");
    let call = Call::lost(config.calls, shared.now(), lost.cause);
    let side = Side::Lost { wacid: lost.wacid.clone() };
    let mut facts = facts(shared, Direction::SipToWa, None);
    facts.trunk = Some(trunk.name.clone());
    only_end(shared, facts, Arc::new(number.clone()), trunk, side, call);
}

fn only_end(shared: &Arc<Shared>, facts: Facts, number: Arc<Number>, trunk: &Trunk, side: Side, call: Call) {
    let (Side::Refused { wacid } | Side::Lost { wacid }) = &side else {
        return;
    };
    let wacid = wacid.clone();
    let (mailbox, events) = Mailbox::new();
    if !shared.directory.claim(shared.now(), &wacid, &mailbox) {
        return;
    }
    let span = span(&facts.mark.call, facts.direction);
    let facts = facts.of(&number);
    let pbx = Pbx::new(trunk, Vec::new());
    let task = CallTask::new(shared, facts, number, side, pbx, (mailbox, events), None, call);
    span.record("wacid", wacid.as_str());
    shared.spawn(task.live().instrument(span));
}

/// A call attempt begins: it gets its id, and the one reading of the wall clock.
fn facts(shared: &Shared, direction: Direction, sip_call_id: Option<&str>) -> Facts {
    let (call, sip_call_id) = (CallId::from_bytes(shared.random()), sip_call_id.map(ToOwned::to_owned));
    let mark = Mark { call, instance: shared.instance.clone(), sip_call_id };
    Facts::new(mark, direction, shared.wall(), shared.now())
}

/// What will be told to the PBX and heard from it.
fn negotiation(shared: &Shared, session: &AudioSession, trunk: &Trunk) -> Negotiation {
    Negotiation::new(session.pbx_address(), shared.session_id(), trunk.codecs.clone())
        .with_srtp(trunk.srtp, shared.random())
}

/// What the configuration says of the audio between this number and this trunk.
fn session_options(
    media: &crate::config::Media,
    number: &Number,
    trunk: &Trunk,
    recording: Option<&Recording>,
) -> SessionOptions {
    SessionOptions {
        jitter: media.jitter,
        untouched: number.audio.prefers_g711,
        keying: number.audio.keying,
        additional_codecs: number.audio.additional_codecs.clone(),
        hold_sound: trunk.media.hold_sound.clone(),
        timeouts: trunk.media.timeouts,
        tap: recording.map(Recording::tap),
    }
}

fn open_session(
    shared: &Shared,
    options: &SessionOptions,
    mailbox: &Mailbox,
) -> Result<AudioSession, OpenError> {
    let mailbox = mailbox.clone();
    shared.relay.open(
        options,
        Box::new(move |event| {
            mailbox.post(Input::Media(event));
        }),
    )
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
