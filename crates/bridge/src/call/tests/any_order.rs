//! Any events in any order, each perhaps repeated: what must hold holds.

use std::time::Duration;

use proptest::prelude::*;
use wa_signaling::ErrorKind;

use super::Bench;
use crate::call::action::Action;
use crate::call::event::{Event, SipRefusal};
use crate::call::machine::{AnswerOn, InviteAfter, Settings};

/// One step of a script.
#[derive(Clone, Debug)]
enum Step {
    Give(Event),
    Pass(Duration),
}

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

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        1 => Just(Event::SipCancelled),
        1 => Just(Event::SipBye),
        1 => Just(Event::SipAckTimeout),
        1 => Just(Event::SipEnded),
        4 => any::<bool>().prop_map(|usable| Event::SipAnswered { usable }),
        1 => Just(Event::SipRefused(SipRefusal::Status(486))),
        1 => Just(Event::SipRefused(SipRefusal::Timeout)),
        3 => reply().prop_map(Event::ConnectReply),
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
        6 => Just(Event::MediaConnected),
        2 => Just(Event::MediaHeard),
        1 => Just(Event::MediaFailed),
        1 => Just(Event::Shutdown),
    ]
}

fn script() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => event().prop_map(Step::Give),
        1 => (0_u64..70_000).prop_map(|ms| Step::Pass(Duration::from_millis(ms))),
    ];
    prop::collection::vec(step, 0..40)
}

fn settings() -> impl Strategy<Value = Settings> {
    let answer_on =
        prop_oneof![Just(AnswerOn::Accepted), Just(AnswerOn::AcceptedOrMedia), Just(AnswerOn::Connect)];
    (answer_on, any::<bool>(), any::<bool>()).prop_map(|(answer_on, webhook, declined)| Settings {
        answer_on,
        invite_after: if webhook { InviteAfter::Webhook } else { InviteAfter::DtlsUp },
        rejected_is_603: declined,
        ..Settings::default()
    })
}

/// The world around a call, as far as the promises need it.
#[derive(Debug, Default)]
struct World {
    from_pbx: bool,
    /// The PBX ended its leg itself.
    pbx_left: bool,
    finals: u32,
    invites: u32,
    cancels: u32,
    byes: u32,
    identified: bool,
    /// WhatsApp's call is over, and the call machine was told so.
    wa_over: bool,
    /// Certain ends of WhatsApp's call, by us or by WhatsApp.
    ends_confirmed: u32,
    connect_refused: bool,
    connect_in_flight: bool,
    pre_accept_in_flight: bool,
    accept_in_flight: bool,
    end_in_flight: bool,
    media_open: bool,
    media_closed: u32,
    finished: u32,
}

impl World {
    /// Notes an event; false when it can't happen in this world (a reply to nothing).
    fn gives(&mut self, event: &Event) -> bool {
        match event {
            Event::EndReply(reply) => {
                if !std::mem::take(&mut self.end_in_flight) {
                    return false;
                }
                if matches!(reply, Ok(()) | Err(ErrorKind::AlreadyEnded)) {
                    self.over();
                }
            }
            Event::PreAcceptReply(_) => return std::mem::take(&mut self.pre_accept_in_flight),
            Event::AcceptReply(_) => return std::mem::take(&mut self.accept_in_flight),
            Event::ConnectReply(reply) => {
                if !std::mem::take(&mut self.connect_in_flight) {
                    return false;
                }
                self.connect_refused = reply.is_err();
            }
            // After the end there is no call to know.
            Event::Identified => self.identified |= self.finished == 0,
            Event::WaRejected | Event::WaTerminated { .. } => self.over(),
            Event::SipBye | Event::SipEnded | Event::SipRefused(_) => self.pbx_left = true,
            _ => {}
        }
        true
    }

    fn over(&mut self) {
        if !self.wa_over {
            self.wa_over = true;
            self.ends_confirmed += 1;
        }
    }

    fn wants(&mut self, action: &Action) {
        assert_eq!(self.finished, 0, "nothing follows Finished: {action:?}");
        match action {
            Action::SipRing => assert_eq!(self.finals, 0),
            Action::SipAnswer | Action::SipRefuse(_) => {
                assert!(self.from_pbx);
                self.finals += 1;
            }
            Action::SipInvite => self.invites += 1,
            Action::SipCancel(_) => self.cancels += 1,
            Action::SipBye(_) => {
                assert!(!self.pbx_left, "BYE to a PBX that has left");
                self.byes += 1;
            }
            Action::GraphConnect => self.connect_in_flight = true,
            Action::GraphPreAccept => self.pre_accept_in_flight = true,
            Action::GraphAccept => {
                assert!(!self.wa_over && !self.accept_in_flight);
                self.accept_in_flight = true;
            }
            Action::GraphEnd(_) => {
                assert!(!self.wa_over, "an end for a call that is over");
                assert!(!self.end_in_flight, "two ends at once");
                assert!(self.identified, "an end without an id");
                self.end_in_flight = true;
            }
            Action::MediaConnect => assert_eq!(self.media_closed, 0),
            Action::MediaOpen => {
                assert!(!self.media_open && self.media_closed == 0);
                self.media_open = true;
            }
            Action::MediaClose => self.media_closed += 1,
            Action::Finished(_) => self.finished += 1,
        }
    }
}

fn run(mut bench: Bench, mut world: World, script: Vec<Step>) {
    let take = |actions: Vec<Action>, world: &mut World| {
        for action in &actions {
            world.wants(action);
        }
    };
    take(bench.actions(), &mut world);
    for step in script {
        let actions = match step {
            Step::Give(event) if world.gives(&event) => bench.give(event),
            Step::Give(_) => continue,
            Step::Pass(time) => bench.pass(time),
        };
        take(actions, &mut world);
    }
    // Whatever happened, the world comes to rest: requests get replies, and the PBX leaves.
    take(bench.give(Event::Shutdown), &mut world);
    for _ in 0..100 {
        if bench.call.is_over() {
            break;
        }
        for event in [Event::ConnectReply(Err(ErrorKind::Timeout)), Event::EndReply(Ok(()))] {
            if world.gives(&event) {
                take(bench.give(event), &mut world);
            }
        }
        take(bench.pass(Duration::from_secs(10)), &mut world);
    }
    check(&bench, &world);
}

fn check(bench: &Bench, world: &World) {
    assert!(bench.call.is_over(), "the call ends");
    assert_eq!(bench.call.deadline(), None);
    assert_eq!(world.finished, 1);
    assert_eq!(world.media_closed, 1, "the audio path is closed once");
    assert!(world.invites <= 1 && world.cancels <= 1 && world.byes <= 1);
    if world.from_pbx {
        assert!(world.finals <= 1, "at most one final response");
        assert!(world.finals == 1 || world.pbx_left, "a waiting PBX gets a final response");
    }
    if world.identified {
        assert_eq!(world.ends_confirmed, 1, "a known WhatsApp call is ended once: {world:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn from_the_pbx(settings in settings(), script in script()) {
        let world = World { from_pbx: true, ..World::default() };
        run(Bench::from_pbx(settings), world, script);
    }

    #[test]
    fn from_whatsapp(settings in settings(), script in script()) {
        let world = World { identified: true, ..World::default() };
        run(Bench::from_whatsapp(settings), world, script);
    }
}
