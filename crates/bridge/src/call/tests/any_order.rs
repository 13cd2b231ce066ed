//! Any events in any order, each perhaps repeated: what must hold holds.

use std::time::Duration;

use media_relay::Party;
use proptest::prelude::*;
use sip_core::{LegId, Lost};
use wa_signaling::ErrorKind;

use super::world::World;
use super::{Bench, FIRST};
use crate::call::action::Action;
use crate::call::announce::Plan;
use crate::call::cause::Cause;
use crate::call::event::{Event, SipEvent, SipRefusal};
use crate::call::machine::{AnswerOn, InviteAfter, Ringback, Settings};

/// One step of a script.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Give(Event),
    /// On one of the legs that there are by then.
    Sip(usize, SipEvent),
    Pass(Duration),
}

/// A leg that does not exist yet; the world names it.
pub(super) const NEW: LegId = LegId(u64::MAX);

fn reply() -> impl Strategy<Value = Result<(), ErrorKind>> {
    prop_oneof![
        4 => Just(Ok(())),
        1 => Just(Err(ErrorKind::AlreadyEnded)),
        1 => Just(Err(ErrorKind::Timeout)),
        1 => Just(Err(ErrorKind::Outage)),
        1 => Just(Err(ErrorKind::NoCallPermission)),
        1 => Just(Err(ErrorKind::SdpRefused)),
    ]
}

fn sip_event() -> impl Strategy<Value = SipEvent> {
    let usable = || prop::bool::weighted(0.8);
    prop_oneof![
        1 => Just(SipEvent::Cancelled),
        3 => Just(SipEvent::Bye),
        1 => Just(SipEvent::AckTimeout),
        1 => Just(SipEvent::Ended),
        2 => usable().prop_map(|usable| SipEvent::Acked { usable }),
        3 => (180_u16..184).prop_map(SipEvent::Ringing),
        9 => usable().prop_map(|usable| SipEvent::Answered { usable }),
        2 => Just(SipEvent::Refused(SipRefusal::Status(486))),
        3 => Just(SipEvent::Refused(SipRefusal::Status(503))),
        1 => Just(SipEvent::Refused(SipRefusal::Timeout)),
        1 => Just(SipEvent::Refused(SipRefusal::Silence)),
        2 => Just(SipEvent::Refused(SipRefusal::Redirected(NEW))),
        6 => Just(SipEvent::Refer { target: NEW }),
        4 => Just(SipEvent::Replaced { by: NEW }),
        1 => Just(SipEvent::Lost(Lost::Expired)),
        1 => Just(SipEvent::Lost(Lost::Gone)),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => reply().prop_map(Event::ConnectReply),
        3 => reply().prop_map(Event::PermissionReply),
        3 => reply().prop_map(Event::PreAcceptReply),
        3 => reply().prop_map(Event::AcceptReply),
        3 => reply().prop_map(Event::EndReply),
        4 => Just(Event::Identified),
        6 => prop::bool::weighted(0.9).prop_map(|usable| Event::WaConnect { usable }),
        4 => Just(Event::WaRinging),
        5 => Just(Event::WaAccepted),
        1 => Just(Event::WaRejected),
        1 => Just(Event::WaTerminated { error: None }),
        1 => Just(Event::WaTerminated { error: Some(138_021) }),
        1 => Just(Event::WaHungUp),
        6 => Just(Event::MediaConnected),
        2 => Just(Event::MediaHeard),
        2 => Just(Event::MediaAnnounced),
        1 => Just(Event::MediaFailed),
        1 => prop::sample::select(&[Party::Pbx, Party::WhatsApp]).prop_map(Event::MediaSilent),
        1 => Just(Event::Shutdown),
    ]
}

pub(super) fn script() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => event().prop_map(Step::Give),
        6 => (any::<usize>(), sip_event()).prop_map(|(leg, event)| Step::Sip(leg, event)),
        1 => (0_u64..3_000).prop_map(|ms| Step::Pass(Duration::from_millis(ms))),
        1 => (0_u64..70_000).prop_map(|ms| Step::Pass(Duration::from_millis(ms))),
    ];
    prop::collection::vec(step, 0..80)
}

pub(super) fn settings() -> impl Strategy<Value = Settings> {
    let answer_on =
        prop_oneof![Just(AnswerOn::Accepted), Just(AnswerOn::AcceptedOrMedia), Just(AnswerOn::Connect)];
    let longest = prop::option::weighted(0.3, (1_u64..60).prop_map(Duration::from_secs));
    (answer_on, any::<bool>(), any::<bool>(), any::<bool>(), longest).prop_map(
        |(answer_on, webhook, declined, tone, longest)| Settings {
            answer_on,
            invite_after: if webhook { InviteAfter::Webhook } else { InviteAfter::DtlsUp },
            rejected_is_603: declined,
            ringback: if tone { Ringback::Tone } else { Ringback::Ringing },
            longest,
            ..Settings::default()
        },
    )
}

/// Plays a script, and lets the world come to rest; the first `failing` tries to end WhatsApp's call
/// fail. What the call wanted done.
pub(super) fn run(mut bench: Bench, mut world: World, script: &[Step], failing: u32) -> Vec<Action> {
    let mut wanted = Vec::new();
    let mut take = |actions: Vec<Action>, world: &mut World| {
        for action in actions {
            world.wants(&action);
            wanted.push(action);
        }
    };
    take(bench.actions(), &mut world);
    for step in script {
        let actions = match step.clone() {
            Step::Give(event) if world.gives(&event) => bench.give(event),
            Step::Sip(which, event) => match world.gives_sip(which, event) {
                Some((leg, event)) => bench.give(Event::Sip(leg, event)),
                None => continue,
            },
            Step::Give(_) => continue,
            Step::Pass(time) => bench.pass(time),
        };
        take(actions, &mut world);
    }
    // Whatever happened, the world comes to rest: requests get replies, and the PBX leaves.
    take(bench.give(Event::Shutdown), &mut world);
    for round in 0..100 {
        if bench.call.is_over() {
            break;
        }
        let end = if round < failing { Err(ErrorKind::Outage) } else { Ok(()) };
        for event in [Event::ConnectReply(Err(ErrorKind::Timeout)), Event::EndReply(end)] {
            if world.gives(&event) {
                take(bench.give(event), &mut world);
            }
        }
        take(bench.pass(Duration::from_secs(10)), &mut world);
    }
    check(&bench, &world);
    wanted
}

fn check(bench: &Bench, world: &World) {
    assert!(bench.call.is_over(), "the call ends");
    assert_eq!(bench.call.deadline(), None);
    world.is_at_rest();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn from_the_pbx(settings in settings(), script in script()) {
        let world = World::from_pbx(FIRST);
        run(Bench::from_pbx(settings), world, &script, 0);
    }

    #[test]
    fn from_whatsapp(settings in settings(), script in script()) {
        let world = World::from_whatsapp();
        run(Bench::from_whatsapp(settings), world, &script, 0);
    }

    #[test]
    fn an_announcement(settings in settings(), script in script()) {
        let plan = Plan { cause: Cause::NoTarget, length: Duration::from_secs(5) };
        run(Bench::announcing(settings, plan), World::from_whatsapp(), &script, 0);
    }
}
