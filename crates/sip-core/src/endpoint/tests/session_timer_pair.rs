//! Two endpoints that keep a session alive, or lose each other (RFC 4028 10).

use super::bench::*;
use super::own_request::results;
use super::pair::{LEG, Loss, Pair, nothing_lost};
use super::session_timer::{sdp, timed};
use crate::endpoint::*;

/// Two that talk for a while; whatever is asked is answered.
fn talk(pair: &mut Pair, minutes: u64, lose: Loss) -> Vec<String> {
    let mut heard = Vec::new();
    for _ in 0..minutes * 6 {
        pair.run(10_000, lose);
        for (bench, leg) in [(&mut pair.a, LEG), (&mut pair.b, LegId(1))] {
            let asked: Vec<_> = bench.events.iter().map(|event| event.event.clone()).collect();
            for event in asked {
                if let Event::Request { id, .. } = event {
                    let reply = Reply { body: sdp("v=0 answer"), ..Reply::new(200) };
                    bench.command(Command::Answer { leg, request: id, reply });
                }
            }
            heard.extend(results(bench));
        }
    }
    heard
}

fn call_between(ours: TrunkProfile, theirs: TrunkProfile) -> Pair {
    let mut pair = Pair::call_between([ours, theirs], nothing_lost);
    let reply = Reply { body: sdp("v=0 b"), ..Reply::new(200) };
    pair.b.command(Command::Respond { leg: LegId(1), reply });
    pair.run(1000, nothing_lost);
    pair.events();
    pair
}

#[test]
fn a_session_is_kept_alive_for_ten_hours() {
    let none = TrunkProfile::default;
    for (ours, theirs) in
        [(timed(1800, 90), none()), (none(), timed(600, 90)), (timed(90, 90), timed(1800, 300))]
    {
        let mut pair = call_between(ours, theirs);
        let sent = |bench: &Bench| bench.endpoint.ids.clone();
        let (a, b) = (format!("{:?}", sent(&pair.a)), format!("{:?}", sent(&pair.b)));
        assert_eq!(talk(&mut pair, 600, nothing_lost), [""; 0], "nobody is lost, nobody is bothered");
        let (later_a, later_b) = (format!("{:?}", sent(&pair.a)), format!("{:?}", sent(&pair.b)));
        assert!(a != later_a || b != later_b, "it was refreshed");
        pair.a.bye(LEG);
        pair.run(1000, nothing_lost);
        pair.assert_forgotten();
    }
}

#[test]
fn a_dead_peer_is_lost_on_both_sides() {
    for (ours, theirs) in
        [(timed(600, 90), TrunkProfile::default()), (TrunkProfile::default(), timed(600, 90))]
    {
        let mut pair = call_between(ours, theirs);
        talk(&mut pair, 60, nothing_lost);
        let mut heard = talk(&mut pair, 12, |_, _| true);
        heard.sort();
        assert_eq!(heard, ["Expired", "Gone"], "the one watches, the other one asks");
        pair.a.bye(LEG);
        pair.b.bye(LegId(1));
        pair.run(40_000, |_, _| true);
        pair.assert_forgotten();
    }
}
