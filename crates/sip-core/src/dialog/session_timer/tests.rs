//! RFC 4028: the header fields, the table of section 9, and the clock of section 10.

use super::*;
use crate::testing::start;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn headers(fields: &[(&str, &str)]) -> Headers {
    Headers::from_iter(fields.iter().copied())
}

fn asked(supported: bool, expires: &str, min_se: &str) -> Asked {
    let mut fields = Vec::new();
    if supported {
        fields.push(("k", "100rel, Timer"));
    }
    if !expires.is_empty() {
        fields.push(("x", expires));
    }
    if !min_se.is_empty() {
        fields.push(("Min-SE", min_se));
    }
    Asked::of(&headers(&fields))
}

fn ours(expires: u64, min_se: u64) -> Option<profile::SessionTimer> {
    Some(profile::SessionTimer { expires: secs(expires), min_se: secs(min_se) })
}

/// `1800 uac supported`, or what else there is to say.
fn verdict(asked: &Asked, ours: Option<profile::SessionTimer>) -> String {
    match Agreed::as_uas(asked, ours, None) {
        Err(TooShort(least)) => format!("422 {}", least.as_secs()),
        Ok(None) => "none".to_owned(),
        Ok(Some(agreed)) => {
            agreed.headers().into_iter().map(|(_, value)| value).collect::<Vec<_>>().join(" ")
        }
    }
}

#[test]
fn session_expires_is_read_and_written() {
    for (text, seconds, refresher) in [
        ("1800;refresher=uac", 1800, Some(Side::Uac)),
        (" 90 ; x=y ; Refresher=UAS", 90, Some(Side::Uas)),
        ("4294967295", 4_294_967_295, None),
        ("120;refresher=me", 120, None),
    ] {
        let read = SessionExpires::of(&headers(&[("Session-Expires", text)])).unwrap();
        assert_eq!(read, SessionExpires { interval: secs(seconds), refresher });
    }
    for broken in ["", "-1", "x", "4294967296", "1 2"] {
        assert_eq!(SessionExpires::of(&headers(&[("Session-Expires", broken)])), None, "{broken}");
    }
    let written = SessionExpires { interval: secs(90), refresher: Some(Side::Uas) };
    assert_eq!(written.to_string(), "90;refresher=uas");
    assert_eq!(min_se(&headers(&[("Min-SE", "120;x")])), Some(secs(120)));
}

#[test]
fn the_uas_takes_what_the_peer_asks_for() {
    for (asked, expected) in [
        (asked(true, "1800;refresher=uac", ""), "1800;refresher=uac timer"),
        (asked(true, "1800;refresher=uas", ""), "1800;refresher=uas timer"),
        (asked(true, "1800", ""), "1800;refresher=uac timer"),
        (asked(true, "90", ""), "90;refresher=uac timer"),
        (asked(true, "89", ""), "422 90"),
        (asked(true, "", ""), "none"),
        (asked(false, "", ""), "none"),
        // A proxy asks for it, the peer does not know it: the refreshing is ours, and 422 would mean nothing to it.
        (asked(false, "1800", ""), "1800;refresher=uas"),
        (asked(false, "0", ""), "90;refresher=uas"),
    ] {
        assert_eq!(verdict(&asked, None), expected);
    }
}

#[test]
fn the_uas_brings_its_own_wish() {
    for (asked, expected) in [
        (asked(true, "1800;refresher=uas", ""), "600;refresher=uas timer"),
        (asked(true, "1800", "900"), "900;refresher=uac timer"),
        (asked(true, "300", "200"), "300;refresher=uac timer"),
        (asked(true, "199", ""), "422 200"),
        (asked(true, "", ""), "600;refresher=uac timer"),
        (asked(true, "", "700"), "700;refresher=uac timer"),
        (asked(false, "", ""), "600;refresher=uas"),
        (asked(false, "100", ""), "100;refresher=uas"),
    ] {
        assert_eq!(verdict(&asked, ours(600, 200)), expected);
    }
}

#[test]
fn a_peer_that_does_not_repeat_the_timer_does_not_end_it() {
    let agreed = Agreed::as_uas(&asked(true, "", ""), None, Some(secs(300))).unwrap().unwrap();
    assert_eq!((agreed.interval, agreed.refresher), (secs(300), Side::Uas));
    let agreed = Agreed::as_uas(&asked(true, "500", ""), None, Some(secs(300))).unwrap().unwrap();
    assert_eq!((agreed.interval, agreed.refresher), (secs(500), Side::Uac));
}

#[test]
fn the_uac_reads_the_2xx() {
    let read = |value: &str, asked| {
        let agreed = Agreed::as_uac(&headers(&[("Session-Expires", value)]), asked)?;
        Some((agreed.interval.as_secs(), agreed.refresher))
    };
    assert_eq!(read("1800;refresher=uas", Some(secs(600))), Some((1800, Side::Uas)));
    assert_eq!(read("1800;refresher=uac", None), Some((1800, Side::Uac)));
    assert_eq!(read("1800", None), Some((1800, Side::Uac)));
    assert_eq!(read("1", None), Some((90, Side::Uac)), "no peer makes us refresh in a loop");
    assert_eq!(read("", Some(secs(600))), Some((600, Side::Uac)), "it knows none: ours alone");
    assert_eq!(read("", None), None);
}

#[test]
fn the_refresher_refreshes_at_half_of_the_interval() {
    let now = start();
    let agreed = Agreed { interval: secs(1800), refresher: Side::Uac, supported: true };
    let mut timer = SessionTimer::start(now, &agreed, Side::Uac);
    assert_eq!(timer.deadline(), now + secs(900));
    assert_eq!(timer.due(now + secs(899)), Due::Nothing);
    assert_eq!(timer.due(now + secs(900)), Due::Refresh);
    assert_eq!(timer.due(now + secs(900)), Due::Nothing, "once");
    timer.try_again(now + secs(908));
    assert_eq!(timer.deadline(), now + secs(908 + 215));
    assert_eq!(timer.due(timer.deadline()), Due::Refresh);
    assert_eq!(timer.deadline(), now + secs(1768));
    assert_eq!(timer.due(now + secs(1768)), Due::Expired);
}

#[test]
fn the_other_side_gives_up_a_third_of_the_interval_or_32_s_before_its_end() {
    let now = start();
    for (interval, end) in [(1800, 1768), (96, 64), (90, 60)] {
        let agreed = Agreed { interval: secs(interval), refresher: Side::Uac, supported: true };
        let mut timer = SessionTimer::start(now, &agreed, Side::Uas);
        assert_eq!(timer.deadline(), now + secs(end));
        assert_eq!(timer.due(now + secs(end - 1)), Due::Nothing);
        assert_eq!(timer.due(now + secs(end)), Due::Expired);
    }
}
