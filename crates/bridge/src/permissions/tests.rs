#![allow(clippy::disallowed_methods, reason = "virtual time has to start somewhere")]

use std::time::{Duration, Instant};

use serde_json::json;
use wa_signaling::Caller;

use super::*;

const NOW: u64 = 1_790_000_000;
const DAY: u64 = 86_400;

fn pair(user: &str) -> Pair {
    ("106540352242922".parse().expect("an id"), user.parse().expect("a user"))
}

fn reply(user: Caller, accepted: bool) -> PermissionReply {
    PermissionReply {
        number: pair("15550000001").0,
        user,
        accepted,
        is_permanent: false,
        expires: Some(NOW + 100),
        is_automatic: false,
        context: None,
        timestamp: None,
    }
}

fn outcome(cause: Cause, rang: bool, answered: bool) -> Outcome {
    let (began, later) = (Instant::now(), Instant::now() + Duration::from_secs(5));
    Outcome {
        cause,
        began,
        rang: rang.then_some(later),
        answered: answered.then_some(later),
        ended: later,
        whatsapp_ended: true,
    }
}

#[test]
fn two_calls_at_once_ask_the_user_once() {
    let (permissions, pair) = (Permissions::default(), pair("15550000001"));
    assert_eq!(permissions.ask(NOW, &pair), Ask::Send);
    assert_eq!(permissions.ask(NOW, &pair), Ask::OnItsWay);
    permissions.asked(NOW, &pair, Ok(()));
    assert_eq!(permissions.ask(NOW + 1, &pair), Ask::NotBefore(NOW + DAY));
}

#[test]
fn a_user_is_asked_once_a_day_and_twice_a_week_by_our_own_count() {
    let (permissions, pair) = (Permissions::default(), pair("15550000001"));
    let mut sent = Vec::new();
    for hour in 0..14 * 24 {
        let now = NOW + hour * 3600;
        if permissions.ask(now, &pair) == Ask::Send {
            permissions.asked(now, &pair, Ok(()));
            sent.push(hour / 24);
        }
    }
    assert_eq!(sent, [0, 1, 7, 8]);
}

#[test]
fn a_request_that_may_have_gone_out_counts_and_one_that_has_not_does_not() {
    for (kind, next) in [
        (ErrorKind::Timeout, DAY),
        (ErrorKind::Transport, DAY),
        (ErrorKind::PermissionRequestLimit, DAY),
        (ErrorKind::ConversationNeeded, 60),
        (ErrorKind::Outage, 60),
    ] {
        let (permissions, pair) = (Permissions::default(), pair("15550000001"));
        assert_eq!(permissions.ask(NOW, &pair), Ask::Send);
        permissions.asked(NOW, &pair, Err(kind));
        assert_eq!(permissions.ask(NOW, &pair), Ask::NotBefore(NOW + next), "{kind:?}");
        assert_eq!(permissions.ask(NOW + next, &pair), Ask::Send, "{kind:?}");
    }
}

#[test]
fn requests_on_their_way_are_bounded() {
    let permissions = Permissions::default();
    let user = |at: usize| pair(&format!("1555000{at:04}"));
    for at in 0..MOST_ASKING {
        assert_eq!(permissions.ask(NOW, &user(at)), Ask::Send);
    }
    assert_eq!(permissions.ask(NOW, &user(MOST_ASKING)), Ask::TooMany);
    permissions.asked(NOW, &user(0), Ok(()));
    assert_eq!(permissions.ask(NOW, &user(MOST_ASKING)), Ask::Send);
}

#[test]
fn limits_that_graph_tells_hold_for_requests_and_for_calls() {
    let (permissions, pair) = (Permissions::default(), pair("15550000001"));
    let told = json!({
        "permission": {"status": "permanent"},
        "actions": [
            {"action_name": "send_call_permission_request", "can_perform_action": false, "limits": [
                {"time_period": "P7D", "max_allowed": 2, "current_usage": 2, "limit_expiration_time": NOW + 700}]},
            {"action_name": "start_call", "can_perform_action": false, "limits": [
                {"time_period": "PT24H", "max_allowed": 5, "current_usage": 5, "limit_expiration_time": NOW + 30}]}]
    });
    permissions.learned(NOW, &pair, Permission::read(&told).expect("a permission"));
    assert_eq!(permissions.known(NOW, &pair), Some(Err(ErrorKind::DailyLimit)));
    assert_eq!(permissions.known(NOW + 60, &pair), None, "it is asked for again");
    assert_eq!(permissions.ask(NOW, &pair), Ask::NotBefore(NOW + 700));
}

#[test]
fn a_reply_counts_for_every_name_of_the_user() {
    let permissions = Permissions::default();
    let user = Caller {
        phone: Some("15550000001".into()),
        bsuid: Some("US.13491208655302741918".into()),
        parent_bsuid: Some("US.ENT.11815799212886844830".into()),
        ..Caller::default()
    };
    permissions.decided(NOW, &reply(user, true));
    for name in ["+15550000001", "US.13491208655302741918", "US.ENT.11815799212886844830"] {
        assert_eq!(permissions.known(NOW + 99, &pair(name)), Some(Ok(())), "{name}");
        let refused = Some(Err(ErrorKind::NoCallPermission));
        assert_eq!(permissions.known(NOW + 100, &pair(name)), refused, "{name}: it has expired");
    }
    let only = Caller { bsuid: Some("US.1".into()), ..Caller::default() };
    permissions.decided(NOW, &reply(only, false));
    assert_eq!(permissions.known(NOW, &pair("US.1")), Some(Err(ErrorKind::NoCallPermission)));
}

#[test]
fn calls_that_the_user_did_not_take_are_counted_until_one_is_answered() {
    let (permissions, pair) = (Permissions::default(), pair("15550000001"));
    let end = |cause, rang, answered| permissions.ended(&pair, &outcome(cause, rang, answered));
    assert_eq!(end(Cause::UserRejected, true, false), Some(Unanswered::Counted(1)));
    assert_eq!(end(Cause::NoAnswer, false, false), Some(Unanswered::Warning { left: 2 }));
    for cause in [Cause::PbxCancelled, Cause::MediaFailed, Cause::Graph(ErrorKind::NoCallPermission)] {
        assert_eq!(end(cause, false, false), None, "{cause:?}");
    }
    assert_eq!(end(Cause::PbxCancelled, true, false), Some(Unanswered::Warning { left: 1 }));
    assert_eq!(end(Cause::UserHungUp, true, true), None);
    let again: Vec<_> = (0..4).filter_map(|_| end(Cause::RingLimit, true, false)).collect();
    let warning = |left| Unanswered::Warning { left };
    assert_eq!(again, [Unanswered::Counted(1), warning(2), warning(1), Unanswered::Revoked]);
}
