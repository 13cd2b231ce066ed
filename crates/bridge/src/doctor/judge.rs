//! Facts to findings. Pure.

use wa_signaling::graph::error::{ErrorKind, GraphError};

use super::facts::{Facts, Number, Reached, Step, Unreached};
use super::{Finding, Report, Section, Subject, account, settings, subscriptions, token, webhook};

/// Seconds that the clocks may differ.
const CLOCK: i64 = 60;

/// Everything that the facts say.
#[must_use]
pub fn judge(facts: &Facts) -> Report {
    let graph = Section { subject: Subject::Graph(facts.graph_url.clone()), findings: reach(&facts.graph) };
    let webhook = Section {
        subject: Subject::Webhook(facts.webhook.url.clone()),
        findings: webhook::findings(&facts.webhook, facts.graph_url.starts_with("https:")),
    };
    let mut sections = vec![graph];
    if facts.graph.is_ok() {
        let findings = subscriptions::app(facts);
        sections.push(Section { subject: Subject::App(facts.app.id.clone()), findings });
    }
    sections.push(webhook);
    if facts.graph.is_ok() {
        for waba in &facts.wabas {
            let findings = subscriptions::waba(waba, facts);
            sections.push(Section { subject: Subject::Waba(waba.id.clone()), findings });
        }
        sections.extend(facts.numbers.iter().map(|number| self::number(number, facts)));
    }
    Report { sections }
}

fn reach(graph: &Result<Reached, Unreached>) -> Vec<Finding> {
    match graph {
        Ok(reached) => vec![Finding::ok("reachable", "it answers"), clock(reached.ahead)],
        Err(unreached) => {
            let (what, remedy) = unreached_text(unreached);
            vec![
                Finding::fault("reachable", what, format!("{remedy}; the rest was not asked")),
                Finding::skipped("app and numbers", "not asked: the Graph API is not reached"),
            ]
        }
    }
}

/// What failed, and where to look.
pub(super) fn unreached_text(unreached: &Unreached) -> (String, &'static str) {
    let (step, remedy) = match unreached.step {
        Step::Dns => ("its name has no address (DNS)", "mend the name or this machine's DNS"),
        Step::Tcp => (
            "no connection (TCP)",
            "see that something listens there, and that firewalls and proxies let it through",
        ),
        Step::Tls => (
            "no trust (TLS)",
            "give it a certificate of a public authority for this very name, with the chain behind it",
        ),
        Step::Http => ("no answer (HTTP)", "see what answers there, and its log"),
    };
    (format!("{step}: {}", unreached.why), remedy)
}

fn clock(ahead: Option<i64>) -> Finding {
    match ahead {
        None => Finding::ok("clock", "not known: the answer has no date"),
        Some(ahead) if ahead.abs() <= CLOCK => Finding::ok("clock", "as that of the Graph API"),
        Some(ahead) => {
            let how = if ahead > 0 { "ahead of" } else { "behind" };
            Finding::fault(
                "clock",
                format!("ours is {} s {how} that of the Graph API", ahead.abs()),
                "set this machine's clock, by NTP: calls that seem old ring nobody",
            )
        }
    }
}

fn number(number: &Number, facts: &Facts) -> Section {
    let is_dead = matches!(&number.token, Some(Ok(info)) if !info.valid);
    let findings = match token::refusal(number).filter(|_| !is_dead) {
        Some(error) => vec![token::refused(error), unasked()],
        None if is_dead => [token::findings(number, facts), vec![unasked()]].concat(),
        None => {
            let token = token::findings(number, facts);
            [token, account::findings(number), settings::findings(number, facts)].concat()
        }
    };
    let subject = Subject::Number(number.display.clone(), number.id.clone());
    Section { subject, findings }
}

fn unasked() -> Finding {
    Finding::skipped("number and settings", "not asked: the token does not work")
}

/// A request that Graph has refused, for people.
pub(super) fn refused(check: &'static str, error: &GraphError, remedy: &str) -> Finding {
    let remedy = match error.kind() {
        ErrorKind::TokenInvalid => "write a token that works: make a new one for the system user",
        ErrorKind::NotAuthorized => {
            "give the token the scope whatsapp_business_management, and the system user the account as an asset"
        }
        ErrorKind::RateLimited => "try again later",
        ErrorKind::Outage | ErrorKind::Maintenance | ErrorKind::Unavailable | ErrorKind::Timeout => {
            "the Graph API has a problem of its own: try again later"
        }
        _ => remedy,
    };
    Finding::fault(check, error.to_string(), remedy)
}
