//! Every order of what WhatsApp can say about a call of ours, each event perhaps repeated: the same
//! outcome. What that is stands in one place, [`expected`].

use std::time::Duration;

use wa_signaling::ErrorKind;

use super::line::{BYE, How, Line, Seen, What, of_pbx};
use crate::call::cause::Cause;
use crate::call::event::SipEvent;
use crate::call::machine::{AnswerOn, Settings};
use crate::call::sip_to_wa::may_have_started;
use crate::unknown::UnknownCalls;

pub(super) const ALL: [What; 6] =
    [What::Reply(Ok(())), What::Connect, What::Ringing, What::Accepted, What::Rejected, What::Terminate];

const KINDS: [ErrorKind; 27] = [
    ErrorKind::SdpRefused,
    ErrorKind::TokenInvalid,
    ErrorKind::NoCallPermission,
    ErrorKind::NotAuthorized,
    ErrorKind::NumberUnknown,
    ErrorKind::NumberNotRegistered,
    ErrorKind::Uncallable,
    ErrorKind::TooManyCalls,
    ErrorKind::DuplicateCall,
    ErrorKind::ConnectionError,
    ErrorKind::RateLimited,
    ErrorKind::DailyLimit,
    ErrorKind::NotAvailable,
    ErrorKind::CallingPaused,
    ErrorKind::CallingDisabled,
    ErrorKind::SipMode,
    ErrorKind::Payment,
    ErrorKind::Policy,
    ErrorKind::NotAllowedRecipient,
    ErrorKind::SelfCall,
    ErrorKind::BadParameter,
    ErrorKind::AlreadyEnded,
    ErrorKind::Outage,
    ErrorKind::Unknown,
    ErrorKind::Timeout,
    ErrorKind::Transport,
    ErrorKind::BadResponse,
];

/// In words:
///
/// | first of all                       | the PBX hears              | cause         | ends by us |
/// |------------------------------------|----------------------------|---------------|------------|
/// | a failed reply                     | its status                 | its own       | one, if the call shows up alive |
/// | REJECTED, before the answer        | 486                        | user_rejected | none |
/// | REJECTED, after the answer         | 200, BYE                   | user_rejected | none |
/// | terminate, before any pickup       | 480                        | no_answer     | none |
/// | terminate, picked up, no answer    | 480                        | user_hung_up  | none |
/// | terminate, after the answer        | 200, BYE                   | user_hung_up  | none |
///
/// The answer needs WhatsApp's SDP (connect) and the pickup, in any order; where RINGING, the reply and
/// the repetitions stand changes nothing but whether there is a 180. A webhook whose echo is lost counts
/// from the reply on, unless the reply is lost too.
fn expected(order: &[What], how: How) -> Seen {
    let at = |wanted: fn(&What) -> bool| order.iter().position(wanted).unwrap_or(usize::MAX);
    let reply = at(|what| matches!(what, What::Reply(_)));
    let alive = at(|what| matches!(what, What::Connect | What::Ringing | What::Accepted));
    let over = at(|what| matches!(what, What::Rejected | What::Terminate));
    if let Some(What::Reply(Err(kind))) = order.get(reply)
        && (!how.echo || reply < alive.min(over))
    {
        let shows_up = if how.echo { alive } else { alive.max(reply) };
        // Without an echo, only a call that may have begun is looked for.
        let is_ended = shows_up < over && (how.echo || may_have_started(*kind));
        return seen(&[Cause::Graph(*kind).row().status], u32::from(is_ended), Cause::Graph(*kind));
    }

    let (connect, ringing) = (at(|what| *what == What::Connect), at(|what| *what == What::Ringing));
    let accepted = at(|what| *what == What::Accepted);
    let sdp = match (how.media, how.echo) {
        (true, true) => connect,
        (true, false) => connect.max(reply),
        (false, _) => usize::MAX,
    };
    let pickup = match how.settings.answer_on {
        AnswerOn::AcceptedOrMedia if how.sound => accepted.min(sdp),
        AnswerOn::Accepted | AnswerOn::AcceptedOrMedia => accepted,
        AnswerOn::Connect => accepted.min(sdp),
    };
    let is_answered = pickup.max(sdp) < over;
    let cause = match order.get(over) {
        Some(What::Rejected) => Cause::UserRejected,
        _ if pickup < over || how.talked => Cause::UserHungUp,
        _ => Cause::NoAnswer,
    };
    let mut pbx = Vec::new();
    if ringing < over.min(pickup) {
        pbx.push(180);
    }
    pbx.extend(if is_answered { vec![200, BYE] } else { vec![cause.row().status] });
    seen(&pbx, 0, cause)
}

fn seen(pbx: &[u16], ends: u32, cause: Cause) -> Seen {
    Seen { pbx: pbx.to_vec(), ends, cause: Some(cause) }
}

pub(super) fn orders(of: &[What]) -> Vec<Vec<What>> {
    if of.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for first in 0..of.len() {
        let mut rest = of.to_vec();
        let one = rest.remove(first);
        all.extend(orders(&rest).into_iter().map(|order| [vec![one], order].concat()));
    }
    all
}

/// An order itself, and with each single event repeated at every later place.
fn repeated(order: &[What]) -> Vec<Vec<What>> {
    let mut all = vec![order.to_vec()];
    for (at, what) in order.iter().enumerate() {
        for place in at + 1..=order.len() {
            let mut longer = order.to_vec();
            longer.insert(place, *what);
            all.push(longer);
        }
    }
    all
}

pub(super) fn how(answer_on: AnswerOn) -> How {
    How {
        settings: Settings { answer_on, ..Settings::default() },
        echo: true,
        media: true,
        sound: false,
        talked: false,
        unknown_calls: UnknownCalls::Leave,
    }
}

/// Each way that the world can be.
fn worlds(answer_on: AnswerOn) -> Vec<How> {
    let mut all = Vec::new();
    for echo in [true, false] {
        for media in [true, false] {
            // Sound says something in one of the settings only.
            let sounds: &[bool] =
                if answer_on == AnswerOn::AcceptedOrMedia { &[false, true] } else { &[false] };
            for &sound in sounds {
                for talked in [true, false] {
                    all.push(How { echo, media, sound, talked, ..how(answer_on) });
                }
            }
        }
    }
    all
}

fn all_orders(answer_on: AnswerOn) {
    let orders = orders(&ALL);
    assert_eq!(orders.len(), 720);
    for how in worlds(answer_on) {
        for order in &orders {
            let expected = expected(order, how);
            let all = repeated(order);
            assert_eq!(all.len(), 1 + 21);
            for events in all {
                assert_eq!(Line::play(how, &events), expected, "{events:?} {how:?}");
            }
        }
    }
}

#[test]
fn all_720_orders_with_repetitions_answered_on_accepted() {
    all_orders(AnswerOn::Accepted);
}

#[test]
fn all_720_orders_with_repetitions_answered_on_accepted_or_media() {
    all_orders(AnswerOn::AcceptedOrMedia);
}

#[test]
fn all_720_orders_with_repetitions_answered_on_connect() {
    all_orders(AnswerOn::Connect);
}

#[test]
fn all_720_orders_with_every_failing_reply() {
    for kind in KINDS {
        let mut of = ALL;
        of[0] = What::Reply(Err(kind));
        for order in orders(&of) {
            for echo in [true, false] {
                let how = How { echo, ..how(AnswerOn::Accepted) };
                assert_eq!(Line::play(how, &order), expected(&order, how), "{order:?} {how:?}");
            }
        }
    }
}

#[test]
fn without_accepted_sound_or_sdp_answers_by_setting_and_our_limit_ends_the_rest() {
    let of = [What::Reply(Ok(())), What::Connect, What::Ringing];
    for order in orders(&of) {
        for (answer_on, sound, pbx) in [
            (AnswerOn::Accepted, true, vec![408]),
            (AnswerOn::AcceptedOrMedia, false, vec![408]),
            (AnswerOn::AcceptedOrMedia, true, vec![200, BYE]),
            (AnswerOn::Connect, false, vec![200, BYE]),
        ] {
            let seen = Line::play(How { sound, ..how(answer_on) }, &order);
            let rings: Vec<u16> = seen.pbx.iter().copied().filter(|status| *status != 180).collect();
            assert_eq!((rings, seen.ends), (pbx, 1), "{order:?} {answer_on:?}");
        }
    }
}

#[test]
fn without_terminate_the_call_ends_by_our_own_limits_and_is_ended_once() {
    for order in orders(&ALL[..4]) {
        for events in repeated(&order) {
            let seen = Line::play(how(AnswerOn::Accepted), &events);
            assert_eq!((seen.cause, seen.ends), (Some(Cause::MediaFailed), 1), "{events:?}");
            assert_eq!(seen.pbx[seen.pbx.len() - 2..], [200, BYE], "{events:?}");
        }
    }
}

#[test]
fn a_call_that_nothing_is_heard_of_ends_at_our_ring_limit() {
    let seen = Line::play(how(AnswerOn::Accepted), &[]);
    assert_eq!((seen.pbx, seen.ends), (vec![408], 0), "there is no id to end by");
    let seen = Line::play(how(AnswerOn::Accepted), &ALL[..1]);
    assert_eq!((seen.pbx, seen.ends), (vec![408], 1));
}

/// Failure mode 16: every place of the CANCEL in every order.
#[test]
fn a_cancel_at_any_place_leaves_no_call_at_whatsapp() {
    for order in orders(&ALL[..5]) {
        for place in 0..=order.len() {
            let how = how(AnswerOn::Accepted);
            let mut line = Line::new(how);
            for (at, what) in order.iter().enumerate() {
                if at == place {
                    line.tell(of_pbx(SipEvent::Cancelled));
                }
                line.give(*what);
            }
            let seen = line.rest().clone();
            let before = &order[..place];
            let over = before.contains(&What::Rejected);
            let answered = before.contains(&What::Connect) && before.contains(&What::Accepted);
            if place < order.len() && !over && !answered {
                let status = seen.pbx.last().copied();
                assert_eq!((status, seen.cause), (Some(487), Some(Cause::PbxCancelled)), "{order:?} {place}");
                let first = order.iter().position(|what| *what == What::Rejected);
                let alive = order.iter().position(|what| *what != What::Rejected);
                assert_eq!(seen.ends, u32::from(alive < first), "{order:?} {place}");
            }
            assert_eq!(seen.pbx.iter().filter(|status| **status >= 200).count(), 1, "{order:?} {place}");
        }
    }
}

/// Failure mode 17: one winner, and no call left over.
#[test]
fn pickup_and_cancel_that_cross_have_one_winner() {
    for accepted_first in [true, false] {
        let mut line = Line::new(how(AnswerOn::Accepted));
        for what in [What::Reply(Ok(())), What::Connect, What::Ringing] {
            line.give(what);
        }
        if accepted_first {
            line.give(What::Accepted);
            line.tell(of_pbx(SipEvent::Cancelled));
            line.tell(of_pbx(SipEvent::Bye));
        } else {
            line.tell(of_pbx(SipEvent::Cancelled));
            line.give(What::Accepted);
        }
        line.give(What::Terminate);
        let expected = if accepted_first {
            seen(&[180, 200], 1, Cause::PbxHungUp)
        } else {
            seen(&[180, 487], 1, Cause::PbxCancelled)
        };
        assert_eq!(*line.rest(), expected);
    }
}

#[test]
fn a_terminate_with_a_duration_is_no_missed_call() {
    let how = How { talked: true, ..how(AnswerOn::Accepted) };
    let seen = Line::play(how, &[What::Reply(Ok(())), What::Terminate, What::Accepted]);
    assert_eq!((seen.pbx, seen.cause), (vec![480], Some(Cause::UserHungUp)));
}

#[test]
fn a_user_who_picked_up_and_heard_nothing_did_not_miss_the_call() {
    let events = [What::Reply(Ok(())), What::Accepted, What::Terminate, What::Connect];
    let seen = Line::play(how(AnswerOn::Accepted), &events);
    assert_eq!((seen.pbx, seen.cause), (vec![480], Some(Cause::UserHungUp)));
}

#[test]
fn a_terminate_that_is_the_first_we_hear_of_a_cancelled_call_needs_no_end() {
    let mut line = Line::new(how(AnswerOn::Accepted));
    line.tell(of_pbx(SipEvent::Cancelled));
    line.give(What::Terminate);
    assert_eq!(*line.rest(), seen(&[487], 0, Cause::PbxCancelled));
}

#[test]
fn a_call_whose_reply_and_echo_are_lost_is_ended_when_it_shows_up() {
    let how = How { echo: false, ..how(AnswerOn::Accepted) };
    let cause = Cause::Graph(ErrorKind::Timeout);
    for events in orders(&[What::Reply(Err(ErrorKind::Timeout)), What::Ringing]) {
        assert_eq!(Line::play(how, &events), seen(&[cause.row().status], 1, cause), "{events:?}");
    }
}

#[test]
fn a_call_that_shows_up_after_it_was_given_up_is_ended_by_its_mark() {
    let mut line = Line::new(how(AnswerOn::Accepted));
    line.give(What::Reply(Err(ErrorKind::Timeout)));
    line.pass(Duration::from_secs(100));
    line.give(What::Ringing);
    let cause = Cause::Graph(ErrorKind::Timeout);
    assert_eq!(*line.rest(), seen(&[cause.row().status], 1, cause));
}
