//! What is known of a call, put together to its record. Pure.

use std::time::{Duration, Instant};

use media_relay::{SideQuality, Summary};
use wa_signaling::identity::Caller;
use wa_signaling::webhook::event::Terminate;
use wa_signaling::{Callee, Wacid};

use super::Direction;
use super::schema::{Record, VERSION};
use super::times::{Times, rfc3339};
use crate::call::action::Outcome;
use crate::call::cause::{Blame, Cause};
use crate::config::Number;
use crate::mark::Mark;
use crate::shared::mask;

/// The longest text of a field, in characters: what stands in it may come from anybody.
const LONGEST_TEXT: usize = 256;

/// What is known of a call when it begins.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) mark: Mark,
    pub(crate) direction: Direction,
    pub(crate) trunk: Option<String>,
    phone_number_id: Option<String>,
    display: Option<String>,
    pub(crate) user: Caller,
    /// What the PBX dialled, or what is dialled at the PBX.
    pub(crate) dialled: Option<String>,
    /// Who called at the PBX.
    pub(crate) caller: Option<String>,
    /// What both clocks said.
    pub(crate) wall: Duration,
    pub(crate) began: Instant,
}

impl Facts {
    pub(crate) fn new(mark: Mark, direction: Direction, wall: Duration, began: Instant) -> Self {
        Self {
            mark,
            direction,
            trunk: None,
            phone_number_id: None,
            display: None,
            user: Caller::default(),
            dialled: None,
            caller: None,
            wall,
            began,
        }
    }

    /// The same, of a call of this business number.
    pub(crate) fn of(mut self, number: &Number) -> Self {
        self.set_number(number);
        self
    }

    /// The business number of the call.
    pub(crate) fn set_number(&mut self, number: &Number) {
        self.phone_number_id = Some(number.phone_number_id.to_string());
        self.display = Some(number.display.clone());
    }

    /// The user who is called.
    pub(crate) fn set_callee(&mut self, callee: &Callee) {
        match callee {
            Callee::Phone(phone) => self.user.phone = Some(phone.clone()),
            Callee::Bsuid(bsuid) => self.user.bsuid = Some(bsuid.clone()),
        }
    }

    /// How a call went that ended without having been answered, as far as anybody knows.
    pub(crate) fn unanswered(&self, now: Instant, cause: Cause, whatsapp_ended: bool) -> Outcome {
        Outcome { cause, began: self.began, rang: None, answered: None, ended: now, whatsapp_ended }
    }
}

/// What is counted while a call lives.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// INVITEs to targets of the trunk.
    pub(crate) targets: u64,
    /// How often another phone of the PBX took the call over.
    pub(crate) transfers: u64,
    /// The last final status of the PBX to an INVITE of ours that was no transfer's.
    pub(crate) pbx_status: Option<u16>,
    /// The last error of `connect` or `accept`.
    pub(crate) graph_error: Option<u32>,
    /// What WhatsApp said at the end.
    pub(crate) whatsapp: Option<WhatsAppEnd>,
}

/// What a `terminate` webhook says of the call's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WhatsAppEnd {
    start: Option<u64>,
    end: Option<u64>,
    duration: Option<u32>,
}

impl WhatsAppEnd {
    pub(crate) fn of(terminate: &Terminate) -> Self {
        Self { start: terminate.start_time, end: terminate.end_time, duration: terminate.duration }
    }
}

impl Record {
    /// The record of a call that is over.
    pub(crate) fn of(
        facts: &Facts,
        wacid: Option<&Wacid>,
        tally: &Tally,
        outcome: &Outcome,
        media: Option<&Summary>,
    ) -> Self {
        let row = outcome.cause.row();
        let of_invite = (tally.targets > 0).then(|| facts.mark.call.to_string());
        let sip_call_id = facts.mark.sip_call_id.clone().or(of_invite);
        let mut record = Self {
            version: VERSION,
            call: facts.mark.call.to_string(),
            instance: facts.mark.instance.as_str().to_owned(),
            wacid: wacid.map(|wacid| wacid.as_str().to_owned()),
            sip_call_id: text(sip_call_id.as_deref()),
            trunk: facts.trunk.clone(),
            direction: facts.direction.label(),
            phone_number_id: facts.phone_number_id.clone(),
            display: facts.display.clone(),
            user_phone: text(facts.user.phone.as_deref()),
            user_bsuid: text(facts.user.bsuid.as_deref()),
            user_parent_bsuid: text(facts.user.parent_bsuid.as_deref()),
            user_name: text(facts.user.name.as_deref()),
            dialled: text(facts.dialled.as_deref()),
            caller: text(facts.caller.as_deref()),
            ended_by: ended_by(outcome.cause),
            cause: row.label,
            blame: blame(row.blame),
            sip_status: sip_status(facts, tally, outcome).map(u64::from),
            q850: row.q850.into(),
            whatsapp_error: whatsapp_error(tally, outcome.cause).map(u64::from),
            whatsapp_ended: outcome.whatsapp_ended,
            targets: tally.targets,
            transfers: tally.transfers,
            ..Self::default()
        };
        // Both clocks were read at the same moment; a call of a former life began before its machine.
        record.set_times(Times::of(facts.wall, &Outcome { began: facts.began, ..*outcome }));
        if let Some(end) = tally.whatsapp {
            record.set_whatsapp_end(end);
        }
        if let Some(media) = media {
            record.set_media(media);
        }
        record
    }

    fn set_times(&mut self, times: Times) {
        self.began_at = rfc3339(times.began);
        self.rang_at = times.rang.map(rfc3339);
        self.answered_at = times.answered.map(rfc3339);
        self.ended_at = rfc3339(times.ended);
        self.setup_ms = milliseconds(times.setup);
        self.ringing_ms = times.ringing.map(milliseconds);
        self.talk_ms = times.talk.map(milliseconds);
    }

    /// What WhatsApp says may come when the call is long over for everybody else.
    pub(super) fn set_whatsapp_end(&mut self, end: WhatsAppEnd) {
        let at = |seconds: u64| rfc3339(Duration::from_secs(seconds));
        self.whatsapp_start = end.start.map(at);
        self.whatsapp_end = end.end.map(at);
        self.whatsapp_duration_s = end.duration.map(u64::from);
    }

    fn set_media(&mut self, media: &Summary) {
        let (pbx, whatsapp) = (&media.packets.pbx, &media.packets.whatsapp);
        self.media_setup_ms = media.setup.map(milliseconds);
        self.pbx_received = Some(pbx.received);
        self.pbx_sent = Some(pbx.sent);
        self.pbx_lost = Some(media.quality.pbx.lost);
        self.pbx_late = Some(pbx.late);
        self.whatsapp_received = Some(whatsapp.received);
        self.whatsapp_sent = Some(whatsapp.sent);
        self.whatsapp_lost = Some(media.quality.whatsapp.lost);
        self.whatsapp_late = Some(whatsapp.late);
        self.media_refused = Some(media.refused);
        self.set_pbx_quality(&media.quality.pbx);
        self.set_whatsapp_quality(&media.quality.whatsapp);
    }

    fn set_pbx_quality(&mut self, side: &SideQuality) {
        self.pbx_reordered = Some(side.reordered);
        self.pbx_duplicated = Some(side.duplicated);
        self.pbx_concealed = Some(side.concealed);
        self.pbx_jitter_ms = whole(side.jitter_ms.mean());
        self.pbx_jitter_max_ms = whole(side.jitter_ms.most());
        self.pbx_round_trip_ms = whole(side.round_trip_ms.mean());
        self.pbx_round_trip_max_ms = whole(side.round_trip_ms.most());
        self.pbx_buffer_ms = whole(side.buffer_ms.mean());
        self.pbx_mos_x100 = hundredths(side.mos.mean());
        self.pbx_mos_min_x100 = hundredths(side.mos.least());
        self.pbx_reported_lost = side.reported_lost;
        self.pbx_reported_jitter_ms = whole(side.reported_jitter_ms.mean());
        self.pbx_reported_mos_x100 = hundredths(side.reported_mos.mean());
        self.pbx_reported_mos_min_x100 = hundredths(side.reported_mos.least());
    }

    fn set_whatsapp_quality(&mut self, side: &SideQuality) {
        self.whatsapp_reordered = Some(side.reordered);
        self.whatsapp_duplicated = Some(side.duplicated);
        self.whatsapp_concealed = Some(side.concealed);
        self.whatsapp_jitter_ms = whole(side.jitter_ms.mean());
        self.whatsapp_jitter_max_ms = whole(side.jitter_ms.most());
        self.whatsapp_round_trip_ms = whole(side.round_trip_ms.mean());
        self.whatsapp_round_trip_max_ms = whole(side.round_trip_ms.most());
        self.whatsapp_buffer_ms = whole(side.buffer_ms.mean());
        self.whatsapp_mos_x100 = hundredths(side.mos.mean());
        self.whatsapp_mos_min_x100 = hundredths(side.mos.least());
        self.whatsapp_reported_lost = side.reported_lost;
        self.whatsapp_reported_jitter_ms = whole(side.reported_jitter_ms.mean());
        self.whatsapp_reported_mos_x100 = hundredths(side.reported_mos.mean());
        self.whatsapp_reported_mos_min_x100 = hundredths(side.reported_mos.least());
    }

    /// Without what names a user or a phone; the business number and the ids of the call stay.
    pub(super) fn masked(mut self) -> Self {
        let named = [
            &mut self.user_phone,
            &mut self.user_bsuid,
            &mut self.user_parent_bsuid,
            &mut self.dialled,
            &mut self.caller,
        ];
        for field in named {
            *field = field.as_deref().map(mask);
        }
        self.user_name = None;
        self
    }
}

fn text(text: Option<&str>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(|text| text.chars().take(LONGEST_TEXT).collect())
}

fn whole(figure: Option<f32>) -> Option<u64> {
    figure.map(|figure| figure.round() as u64)
}

fn hundredths(figure: Option<f32>) -> Option<u64> {
    whole(figure.map(|figure| figure * 100.0))
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What the PBX got for its INVITE, or said to ours.
fn sip_status(facts: &Facts, tally: &Tally, outcome: &Outcome) -> Option<u16> {
    match facts.direction {
        // Nobody at the PBX has asked: another made the call.
        Direction::SipToWa if facts.mark.sip_call_id.is_none() => None,
        Direction::SipToWa if outcome.answered.is_some() => Some(200),
        Direction::SipToWa => Some(outcome.cause.row().status),
        Direction::WaToSip => tally.pbx_status,
    }
}

fn whatsapp_error(tally: &Tally, cause: Cause) -> Option<u32> {
    match cause {
        Cause::WhatsAppFailed(code) => Some(code),
        // An error that was overcome ended nothing.
        Cause::Graph(_) => tally.graph_error,
        _ => None,
    }
}

fn blame(blame: Blame) -> &'static str {
    match blame {
        Blame::Nobody => "nobody",
        Blame::Pbx => "pbx",
        Blame::User => "user",
        Blame::WhatsApp => "whatsapp",
        Blame::Bridge => "bridge",
    }
}

/// Who ended the call. Whoever was waited for in vain has not: then it is the bridge.
fn ended_by(cause: Cause) -> &'static str {
    match cause {
        Cause::PbxHungUp
        | Cause::PbxCancelled
        | Cause::PbxRefused(_)
        | Cause::PbxGone
        | Cause::Replaced
        | Cause::Transferred
        | Cause::Redirected => "pbx",
        Cause::UserHungUp | Cause::UserCancelled | Cause::UserRejected | Cause::UserDeclined => "user",
        Cause::NoAnswer | Cause::WhatsAppFailed(_) | Cause::Graph(_) => "whatsapp",
        Cause::RingLimit
        | Cause::MediaFailed
        | Cause::WhatsAppSdp
        | Cause::PbxSdp
        | Cause::AckMissing
        | Cause::PbxTimeout
        | Cause::PbxUnreachable
        | Cause::PbxNoAnswer
        | Cause::NothingToReplace
        | Cause::TransferRefused
        | Cause::TransferPending
        | Cause::NoRoute
        | Cause::NoMediaResource
        | Cause::TooManyCalls
        | Cause::TooManyCallsPerSecond
        | Cause::DestinationRefused
        | Cause::EmergencyNumber
        | Cause::SpendLimit
        | Cause::LongestCall
        | Cause::SessionExpired
        | Cause::TransferFailed
        | Cause::NoTarget
        | Cause::UnknownNumber
        | Cause::ClosedHours
        | Cause::RouteRejected
        | Cause::Announced
        | Cause::ShuttingDown
        | Cause::Starting
        | Cause::Crash
        | Cause::UnknownCall
        | Cause::Internal => "bridge",
    }
}

#[cfg(test)]
mod tests;
