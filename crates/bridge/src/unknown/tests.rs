use wa_signaling::webhook::event::Status;

use super::*;
use crate::id::CallId;

/// Who says it, and what it says: each verdict when it comes, and after its wait.
#[test]
fn the_table_of_verdicts() {
    use CallStatus::{Accepted, Rejected, Ringing};
    let us = "ours".parse().expect("a name");
    let mark = |instance: &str| {
        let (call, instance) = (CallId::from_bytes([7; 16]), instance.parse().expect("a name"));
        Some(Mark { call, instance, sip_call_id: None }.to_string())
    };
    let crash = Verdict::End(Cause::Crash);
    let unknown = Verdict::End(Cause::UnknownCall);
    // echo, status, configured, setting: at once, after the wait
    let rows = [
        (mark("ours"), Ringing, true, UnknownCalls::Leave, crash, crash),
        (mark("ours"), Accepted, true, UnknownCalls::Leave, crash, crash),
        (mark("ours"), Rejected, true, UnknownCalls::End, Verdict::Remember, Verdict::Remember),
        (mark("ours"), Ringing, false, UnknownCalls::End, Verdict::Leave, Verdict::Leave),
        (mark("theirs"), Ringing, true, UnknownCalls::Leave, Verdict::Leave, Verdict::Leave),
        (mark("theirs"), Ringing, true, UnknownCalls::End, unknown, unknown),
        (Some("crm-7".to_owned()), Ringing, true, UnknownCalls::Leave, Verdict::Leave, Verdict::Leave),
        (Some("crm-7".to_owned()), Ringing, true, UnknownCalls::End, unknown, unknown),
        (None, Ringing, true, UnknownCalls::Leave, Verdict::Wait, Verdict::Leave),
        (None, Ringing, true, UnknownCalls::End, Verdict::Wait, unknown),
        (None, Ringing, false, UnknownCalls::End, Verdict::Leave, Verdict::Leave),
        (None, Rejected, true, UnknownCalls::End, Verdict::Remember, Verdict::Remember),
    ];
    for (echo, status, configured, unknown_calls, at_once, after) in rows {
        let event = WebhookEvent::Status(Status {
            number: "1".parse().expect("an id"),
            wacid: "wacid.1".parse().expect("an id"),
            status,
            user: Caller::default(),
            timestamp: None,
            callback_data: echo,
        });
        let news = News::of(&event).expect("of a call");
        let rules = Rules { instance: &us, unknown_calls, has: &|_| configured };
        assert_eq!((rules.first(&news), rules.overdue(&news)), (at_once, after), "{event:?}");
    }
}

#[test]
fn a_callee_is_known_by_any_of_their_names() {
    let names = Caller {
        phone: Some("491711234567".to_owned()),
        bsuid: Some("DE.1a".to_owned()),
        parent_bsuid: Some("DE.ENT.2b".to_owned()),
        ..Caller::default()
    };
    let event = WebhookEvent::Status(Status {
        number: "1".parse().expect("an id"),
        wacid: "wacid.1".parse().expect("an id"),
        status: CallStatus::Ringing,
        user: names,
        timestamp: None,
        callback_data: None,
    });
    let news = News::of(&event).expect("of a call");
    for callee in ["491711234567", "+491711234567", "DE.1a", "DE.ENT.2b"] {
        assert!(news.is_to(&callee.parse().expect(callee)), "{callee}");
    }
    for callee in ["491711234568", "DE.1A", "DE.ENT.1a"] {
        assert!(!news.is_to(&callee.parse().expect(callee)), "{callee}");
    }
}
