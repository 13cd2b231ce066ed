use serde_json::json;

use super::*;
use crate::identity::Callee;
use crate::wacid::PhoneNumberId;

const NOW: u64 = 1_790_000_000;

fn number() -> PhoneNumberId {
    "106540352242922".parse().expect("an id")
}

fn user(at: u32) -> Callee {
    Callee::Phone(format!("1408555{at:04}"))
}

fn temporary() -> Permission {
    Permission::read(&json!({
        "messaging_product": "whatsapp",
        "permission": {"status": "temporary", "expiration_time": NOW + 500},
        "actions": [
            {"action_name": "send_call_permission_request", "can_perform_action": true, "limits": [
                {"time_period": "PT24H", "max_allowed": 1, "current_usage": 0},
                {"time_period": "P7D", "max_allowed": 2, "current_usage": 1}]},
            {"action_name": "start_call", "can_perform_action": true, "limits": [
                {"time_period": "PT24H", "max_allowed": 100, "current_usage": 5}]}]
    }))
    .expect("a permission")
}

fn used_up() -> Permission {
    Permission::read(&json!({
        "permission": {"status": "permanent"},
        "actions": {
            "0": {"action_name": "send_call_permission_request", "can_perform_action": false},
            "1": {"action_name": "start_call", "can_perform_action": false, "limits": [
                {"time_period": "PT24H", "max_allowed": 5, "current_usage": 5, "limit_expiration_time": NOW + 60}]}}
    }))
    .expect("a permission")
}

#[test]
fn the_documented_answer_is_read() {
    let permission = temporary();
    assert_eq!((permission.status, permission.expires), (Status::Temporary, Some(NOW + 500)));
    let limits: Vec<_> =
        permission.request.limits.iter().map(|limit| (limit.period.as_secs(), limit.used)).collect();
    assert_eq!(limits, [(DAY, 0), (7 * DAY, 1)]);
    assert!(permission.may_call(NOW + 499));
    assert!(!permission.may_call(NOW + 500));
}

#[test]
fn actions_may_be_an_object_and_a_spent_limit_ends() {
    let permission = used_up();
    assert!(!permission.request.allowed);
    assert_eq!(permission.call.again_at(), Some(NOW + 60));
    assert!(!permission.may_call(NOW + 59) && permission.may_call(NOW + 60));
}

#[test]
fn every_status_that_was_ever_documented_is_known() {
    let status = |permission| Permission::read(&json!({ "permission": permission })).map(|read| read.status);
    assert_eq!(status(json!({"status": "no_permission"})), Some(Status::NoPermission));
    assert_eq!(status(json!({"status": "temporary", "expiration": 7})), Some(Status::Temporary));
    assert_eq!(status(json!({"status": "PERMANENT"})), Some(Status::Permanent));
    assert_eq!(status(json!({"status": "granted", "expiration": "7"})), Some(Status::Temporary));
    assert_eq!(status(json!({"status": "granted"})), Some(Status::Permanent));
    for word in ["pending", "denied", "expired"] {
        assert_eq!(status(json!({ "status": word })), Some(Status::NoPermission), "{word}");
    }
    assert_eq!(status(json!({"status": "maybe"})), None);
    assert_eq!(Permission::read(&json!({})), None);
}

#[test]
fn without_actions_the_status_decides() {
    let read = |word| Permission::read(&json!({"permission": {"status": word}})).expect("a status");
    assert!(read("permanent").may_call(NOW));
    assert!(!read("no_permission").may_call(NOW));
    assert!(read("no_permission").request.allowed);
}

#[test]
fn periods_are_iso_8601() {
    let seconds = |text| period(text).map(|period| period.as_secs());
    assert_eq!(seconds("PT24H"), Some(DAY));
    assert_eq!(seconds("P7D"), Some(7 * DAY));
    assert_eq!(seconds("P1DT1H30M5S"), Some(DAY + 5405));
    for wrong in
        ["", "P", "7D", "P7", "PTxH", "P7DT1", "P-1D", "P99999999999999999999D", "PT9999999999999999999H"]
    {
        assert_eq!(seconds(wrong), None, "{wrong}");
    }
}

#[test]
fn what_graph_said_is_believed_until_it_expires() {
    let mut cache = Cache::new(10);
    let (number, user) = (number(), user(1));
    assert_eq!(cache.may_call(NOW, &number, &user), Verdict::Unknown);
    cache.learned(NOW, &number, &user, temporary());
    assert_eq!(cache.may_call(NOW + 499, &number, &user), Verdict::May);
    assert_eq!(cache.may_call(NOW + 500, &number, &user), Verdict::MayNot, "it has expired");
    cache.learned(NOW, &number, &user, used_up());
    assert_eq!(cache.may_call(NOW + 59, &number, &user), Verdict::NotBefore(NOW + 60));
    assert_eq!(cache.may_call(NOW + 60, &number, &user), Verdict::Unknown);
}

#[test]
fn a_yes_is_asked_for_again_after_an_hour_and_a_no_after_a_minute() {
    let mut cache = Cache::new(10);
    let (number, user) = (number(), user(1));
    cache.decided(NOW, &number, &user, Grant::Permanent);
    assert_eq!(cache.may_call(NOW + 3599, &number, &user), Verdict::May);
    assert_eq!(cache.may_call(NOW + 3600, &number, &user), Verdict::Unknown);
    cache.call_refused(NOW, &number, &user);
    assert_eq!(cache.may_call(NOW + 59, &number, &user), Verdict::MayNot);
    assert_eq!(cache.may_call(NOW + 60, &number, &user), Verdict::Unknown);
}

#[test]
fn the_users_decision_counts_at_once() {
    let mut cache = Cache::new(10);
    let (number, user) = (number(), user(1));
    cache.call_refused(NOW, &number, &user);
    cache.decided(NOW, &number, &user, Grant::Until(Some(NOW + 100)));
    assert_eq!(cache.may_call(NOW + 99, &number, &user), Verdict::May);
    assert_eq!(cache.may_call(NOW + 100, &number, &user), Verdict::MayNot);
    cache.decided(NOW, &number, &user, Grant::Refused);
    assert_eq!(cache.may_call(NOW, &number, &user), Verdict::MayNot);
}

#[test]
fn one_request_a_day_and_two_a_week() {
    let mut cache = Cache::new(10);
    let (number, user) = (number(), user(1));
    assert!(cache.may_request_at(NOW, &number, &user) <= NOW);
    cache.requested(NOW, &number, &user);
    assert_eq!(cache.may_request_at(NOW, &number, &user), NOW + DAY);
    cache.requested(NOW + DAY, &number, &user);
    assert_eq!(cache.may_request_at(NOW + DAY, &number, &user), NOW + 7 * DAY);
    cache.requested(NOW + 7 * DAY, &number, &user);
    assert_eq!(cache.may_request_at(NOW + 7 * DAY, &number, &user), NOW + 8 * DAY);
}

#[test]
fn an_answered_call_begins_the_limits_anew() {
    let mut cache = Cache::new(10);
    let (number, user) = (number(), user(1));
    cache.requested(NOW, &number, &user);
    cache.request_refused(NOW, &number, &user);
    cache.unanswered(&number, &user);
    cache.connected(&number, &user);
    assert!(cache.may_request_at(NOW, &number, &user) <= NOW);
    assert_eq!(cache.unanswered(&number, &user), Unanswered::Counted(1));
}

#[test]
fn two_unanswered_calls_warn_and_four_revoke() {
    let mut cache = Cache::new(10);
    let (number, user) = (number(), user(1));
    cache.decided(NOW, &number, &user, Grant::Permanent);
    let counted: Vec<_> = (0..4).map(|_| cache.unanswered(&number, &user)).collect();
    let warning = |left| Unanswered::Warning { left };
    assert_eq!(counted, [Unanswered::Counted(1), warning(2), warning(1), Unanswered::Revoked]);
    assert_eq!(cache.may_call(NOW, &number, &user), Verdict::Unknown, "Graph is asked again");
}

#[test]
fn a_request_that_graph_would_refuse_is_not_sent() {
    let mut cache = Cache::new(10);
    let (number, user) = (number(), user(1));
    cache.learned(NOW, &number, &user, used_up());
    assert_eq!(cache.may_request_at(NOW, &number, &user), NOW + 60);
    cache.learned(NOW, &number, &user, temporary());
    assert!(cache.may_request_at(NOW, &number, &user) <= NOW);
}

#[test]
fn a_request_that_did_not_go_out_may_follow_a_minute_later_and_costs_no_other() {
    let mut cache = Cache::new(10);
    let (number, user) = (number(), user(1));
    cache.request_failed(NOW, &number, &user);
    assert_eq!(cache.may_request_at(NOW, &number, &user), NOW + 60);
    cache.request_refused(NOW, &number, &user);
    cache.request_failed(NOW, &number, &user);
    assert_eq!(cache.may_request_at(NOW, &number, &user), NOW + DAY, "it shortens nothing");
}

#[test]
fn a_permission_that_stands_is_no_refusal_where_graph_does_not_say_why_not_now() {
    let mut cache = Cache::new(10);
    let (number, user) = (number(), user(1));
    let value = json!({
        "permission": {"status": "permanent"},
        "actions": [{"action_name": "start_call", "can_perform_action": false}]
    });
    cache.learned(NOW, &number, &user, Permission::read(&value).expect("a permission"));
    assert_eq!(cache.may_call(NOW, &number, &user), Verdict::Unknown);
}

#[test]
fn the_pair_not_heard_of_for_the_longest_is_forgotten() {
    let mut cache = Cache::new(3);
    let number = number();
    for at in 0..3 {
        cache.decided(NOW, &number, &user(at), Grant::Permanent);
    }
    cache.decided(NOW, &number, &user(0), Grant::Permanent);
    for at in 3..5 {
        cache.decided(NOW, &number, &user(at), Grant::Permanent);
    }
    assert_eq!(cache.len(), 3);
    let known: Vec<_> =
        (0..5).filter(|at| cache.may_call(NOW, &number, &user(*at)) == Verdict::May).collect();
    assert_eq!(known, [0, 3, 4]);
    for at in 0..10_000 {
        cache.unanswered(&number, &user(at));
    }
    assert_eq!(cache.len(), 3);
}

#[test]
fn two_numbers_have_permissions_of_their_own() {
    let mut cache = Cache::new(10);
    cache.decided(NOW, &number(), &user(1), Grant::Permanent);
    let other = "2".parse().expect("an id");
    assert_eq!(cache.may_call(NOW, &other, &user(1)), Verdict::Unknown);
}
