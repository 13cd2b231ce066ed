//! What the sandbox prints of its calls.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use crate::ladder::Ladder;
use crate::runner::{GAP, Report, Way};
use crate::whatsapp::scenario;

/// One call: its ladder and its measurements.
#[must_use]
pub fn call(number: usize, report: &Report, ladder: &Ladder) -> String {
    let codec = report.codec.map_or("-".to_owned(), |codec| codec.to_string());
    let set_up = report
        .set_up
        .map_or("not answered".to_owned(), |time| format!("answered after {:.2} s", time.as_secs_f64()));
    let mut text = format!("Call {number}: {} ({}), {codec}, {set_up}\n\n", report.title, report.key);
    text.push_str(&ladder.print(&report.key));
    text.push('\n');
    if !report.ways.is_empty() {
        text.push_str(&table(&report.ways));
    }
    for fault in &report.faults {
        let _ = writeln!(text, "  WRONG: {fault}");
    }
    text
}

fn table(ways: &[Way]) -> String {
    let gaps = format!("gaps>{}", GAP.as_millis());
    let mut text =
        row(["listener", "sent", "heard", "share", "level", &gaps, "1st sound", "delay", "digits"]);
    for way in ways {
        let heard =
            |write: &dyn Fn(&crate::tone::Heard) -> String| way.heard.as_ref().map_or("-".to_owned(), write);
        text.push_str(&row([
            way.listener,
            &format!("{:.0} Hz", way.sent_hz),
            &heard(&|heard| format!("{:.1} Hz", heard.hz)),
            &heard(&|heard| format!("{:.1} %", heard.share * 100.0)),
            &heard(&|heard| format!("{:.0} dB", heard.level_dbfs)),
            &heard(&|heard| heard.gaps.len().to_string()),
            &time(way.first_after),
            &time(way.delay),
            &way.digits,
        ]));
    }
    text
}

fn row(cells: [&str; 9]) -> String {
    let [listener, sent, heard, share, level, gaps, first, delay, digits] = cells;
    format!(
        "  {listener:<14} {sent:>7} {heard:>10} {share:>8} {level:>7} {gaps:>8} {first:>10} {delay:>7}  {digits}\n"
    )
}

fn time(time: Option<Duration>) -> String {
    time.map_or("-".to_owned(), |time| format!("{} ms", time.as_millis()))
}

/// The last word on the demonstration.
#[must_use]
pub fn verdict(reports: &[Report]) -> String {
    let bad = reports.iter().filter(|report| !report.is_good()).count();
    match bad {
        0 => "GOOD: sound and digits crossed both ways in both calls.".to_owned(),
        1 => "BAD: one of the calls went wrong, see WRONG above.".to_owned(),
        _ => "BAD: both calls went wrong, see WRONG above.".to_owned(),
    }
}

/// How to use the sandbox with a telephone of one's own.
#[must_use]
pub fn invitation(sip: SocketAddr, calls_go_to: &str) -> String {
    let mut text = format!(
        "The sandbox stays up. Point a PBX or a softphone at it:\n\n  \
         SIP over UDP    {sip}  (no registration, no password, any user name)\n  \
         codecs          Opus, PCMA, PCMU; digits by RFC 4733\n  \
         from WhatsApp   calls go to {calls_go_to}\n\nNumbers to dial:\n"
    );
    for (number, what) in scenario::NUMBERS {
        let _ = writeln!(text, "  {number}     {what}");
    }
    text.push_str(
        "\nAny error code: 15559CCCCCC (six digits of Meta's code), 15558CCCCCC after the pickup.\n",
    );
    text.push_str(
        "\nc + Enter: the WhatsApp user calls in.  l + Enter: ladder of the latest call.  Ctrl-C: end.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(faults: &[&str]) -> Report {
        Report {
            title: "PBX calls WhatsApp".to_owned(),
            key: "1".to_owned(),
            codec: None,
            set_up: None,
            ways: vec![Way {
                listener: "PBX phone",
                sent_hz: 440.0,
                heard: None,
                first_after: None,
                delay: None,
                digits: String::new(),
            }],
            faults: faults.iter().map(|&fault| fault.to_owned()).collect(),
        }
    }

    #[test]
    fn a_fault_is_printed_and_makes_the_verdict_bad() {
        let text = call(1, &report(&["no sound"]), &Ladder::new());
        assert!(text.contains("WRONG: no sound") && text.contains("not answered"), "{text}");
        assert!(verdict(&[report(&[]), report(&["x"])]).starts_with("BAD: one"));
        assert!(verdict(&[report(&[])]).starts_with("GOOD"));
    }

    #[test]
    fn lines_fit_a_terminal() {
        let text = call(1, &report(&[]), &Ladder::new())
            + &invitation("127.0.0.1:5060".parse().unwrap(), "the built-in phone");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }
}
