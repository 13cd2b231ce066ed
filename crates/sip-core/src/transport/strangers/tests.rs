//! What strangers get, and that no flood of them makes anything grow.

use super::*;
use crate::testing::{ms, start};

const TRUNK: TrunkId = TrunkId(3);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn gate(answer: StrangerAnswer) -> Gate {
    Gate::new(Strangers { answer, untrusted: vec![TRUNK], ..Strangers::default() })
}

fn reports(gate: &mut Gate) -> Vec<Report> {
    std::iter::from_fn(|| gate.poll()).collect()
}

fn is_banned(gate: &mut Gate, now: Instant, address: &str) -> bool {
    match gate.admit(now, ip(address), Some(TRUNK), What::Request) {
        Verdict::Drop(why) => why == Why::Banned,
        Verdict::Read(_) | Verdict::Forbid => false,
    }
}

#[test]
fn a_source_on_no_trunk_gets_silence() {
    let mut gate = gate(StrangerAnswer::Silence);
    assert_eq!(gate.admit(start(), ip("203.0.113.1"), None, What::Request), Verdict::Drop(Why::OnNoTrunk));
    assert_eq!(gate.admit(start(), ip("192.0.2.1"), Some(TRUNK), What::Request), Verdict::Read(TRUNK));
}

#[test]
fn by_setting_it_gets_403_but_not_without_end() {
    let (mut gate, now) = (gate(StrangerAnswer::Forbidden), start());
    let mut forbidden = |now, address| {
        (0..100).filter(|_| gate.admit(now, address, None, What::Request) == Verdict::Forbid).count()
    };
    assert_eq!(forbidden(now, ip("203.0.113.1")), 5);
    assert_eq!(forbidden(now + ms(2000), ip("203.0.113.1")), 2);
    let many: usize =
        (0..100).map(|last| forbidden(now + ms(60_000), ip(&format!("203.0.113.{last}")))).sum();
    assert_eq!(many, 50, "all together");
}

#[test]
fn there_is_one_line_a_source_and_minute_with_a_count() {
    let (mut gate, now) = (gate(StrangerAnswer::Silence), start());
    let address = ip("203.0.113.1");
    let line = |count| vec![Report { source: address, why: Why::OnNoTrunk, count, others: 0 }];
    for second in 0..60 {
        gate.admit(now + ms(second * 1000), address, None, What::Request);
    }
    assert_eq!(reports(&mut gate), line(1), "at once");
    gate.admit(now + ms(60_000), address, None, What::Request);
    assert_eq!(reports(&mut gate), line(60), "what came since");
}

#[test]
fn two_hundred_thousand_forged_sources_leave_nothing_behind_but_bounded_tables() {
    let (mut gate, now) = (gate(StrangerAnswer::Forbidden), start());
    gate.bans.insert(ip("192.0.2.1"), now + ms(600_000));
    let mut lines = 0;
    for number in 0..200_000_u32 {
        let v4 = IpAddr::from(number.wrapping_mul(2_654_435_761).to_be_bytes());
        let v6 = IpAddr::V6(Ipv6Addr::from_bits(u128::from(number) << 64));
        let at = now + ms(u64::from(number) / 1000);
        gate.admit(at, v4, None, What::Request);
        gate.admit(at, v6, None, What::Request);
        gate.admit(at, v4, Some(TRUNK), What::Request);
        gate.strike(at, v6, TRUNK);
        lines += reports(&mut gate).len();
    }
    for table in
        [gate.rates.len(), gate.unproven.len(), gate.forbidden.len(), gate.notes.len(), gate.strikes.len()]
    {
        assert_eq!(table, MAX_SOURCES);
    }
    assert!(lines <= 61, "{lines} lines in a fifth of a second");
    assert!(is_banned(&mut gate, now + ms(1000), "192.0.2.1"), "strangers push no ban out");
    let later = now + ms(120_000);
    gate.admit(later, ip("203.0.113.7"), None, What::Request);
    assert!(reports(&mut gate)[0].others > 300_000, "they are counted all the same");
}

#[test]
fn strikes_ban_a_source_for_a_while() {
    let (mut gate, now) = (gate(StrangerAnswer::Silence), start());
    for _ in 0..19 {
        gate.strike(now, ip("192.0.2.1"), TRUNK);
    }
    assert!(!is_banned(&mut gate, now, "192.0.2.1"));
    gate.strike(now + ms(59_000), ip("192.0.2.1"), TRUNK);
    assert!(is_banned(&mut gate, now + ms(60_000), "192.0.2.1"));
    assert!(!is_banned(&mut gate, now + ms(60_000), "192.0.2.2"));
    assert!(is_banned(&mut gate, now + ms(658_000), "192.0.2.1"));
    assert!(!is_banned(&mut gate, now + ms(659_000), "192.0.2.1"), "ten minutes later");
}

#[test]
fn old_strikes_are_forgiven() {
    let (mut gate, now) = (gate(StrangerAnswer::Silence), start());
    for second in 0..19 * 60 {
        gate.strike(now + ms(second * 1000 * 4), ip("192.0.2.1"), TRUNK);
    }
    assert!(!is_banned(&mut gate, now + ms(5_000_000), "192.0.2.1"));
}

#[test]
fn the_sources_of_a_trusted_trunk_are_never_banned() {
    let (mut gate, now) = (gate(StrangerAnswer::Silence), start());
    for _ in 0..1000 {
        gate.strike(now, ip("192.0.2.1"), TrunkId(0));
    }
    assert_eq!(gate.admit(now, ip("192.0.2.1"), Some(TrunkId(0)), What::Request), Verdict::Read(TrunkId(0)));
}

#[test]
fn an_ipv6_source_is_its_64() {
    let (mut gate, now) = (gate(StrangerAnswer::Silence), start());
    for host in 0..20 {
        gate.strike(now, ip(&format!("2001:db8:0:1::{host}")), TRUNK);
    }
    assert!(is_banned(&mut gate, now, "2001:db8:0:1:ffff::1"));
    assert!(!is_banned(&mut gate, now, "2001:db8:0:2::1"));
    assert_eq!(source(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
}

#[test]
fn a_source_of_a_trunk_has_a_generous_rate() {
    let (mut gate, now) = (gate(StrangerAnswer::Silence), start());
    let mut read = |now, address| {
        let read = Verdict::Read(TrunkId(0));
        let from = Some(TrunkId(0));
        (0..100_000).filter(|_| gate.admit(now, address, from, What::Request) == read).count()
    };
    assert_eq!(read(now, ip("192.0.2.1")), 40_000);
    assert_eq!(read(now, ip("192.0.2.2")), 40_000, "each for itself");
    assert_eq!(read(now + ms(1000), ip("192.0.2.1")), 20_000);
}

#[test]
fn until_it_has_authenticated_a_source_of_an_untrusted_trunk_asks_slowly() {
    let (mut gate, now) = (gate(StrangerAnswer::Silence), start());
    let read = |gate: &mut Gate, now, address, what| {
        let read = Verdict::Read(TRUNK);
        (0..1000).filter(|_| gate.admit(now, ip(address), Some(TRUNK), what) == read).count()
    };
    assert_eq!(read(&mut gate, now, "192.0.2.1", What::Request), 50, "five seconds' worth at once");
    assert_eq!(read(&mut gate, now + ms(1000), "192.0.2.1", What::Request), 10);
    assert_eq!(read(&mut gate, now, "192.0.2.1", What::Response), 1000, "it may be one that we called");
    gate.prove(now + ms(1000), ip("192.0.2.1"));
    assert_eq!(read(&mut gate, now + ms(1000), "192.0.2.1", What::Request), 1000);
    assert_eq!(read(&mut gate, now + ms(3_602_000), "192.0.2.1", What::Request), 50, "an hour later");
}

#[test]
fn authentication_forgives_strikes() {
    let (mut gate, now) = (gate(StrangerAnswer::Silence), start());
    for _ in 0..100 {
        for _ in 0..19 {
            gate.strike(now, ip("192.0.2.1"), TRUNK);
        }
        gate.prove(now, ip("192.0.2.1"));
    }
    assert!(!is_banned(&mut gate, now, "192.0.2.1"));
}

#[test]
fn the_first_bytes_tell_a_response() {
    assert_eq!(What::of(b"SIP/2.0 200 OK"), What::Response);
    for other in [&b"INVITE sip:x SIP/2.0"[..], b"SIP/2.0", b"\r\n", b""] {
        assert_eq!(What::of(other), What::Request);
    }
}
