//! Findings about the webhook URL. Pure.

use super::Finding;
use super::facts::{Reply, Step, Unreached, Webhook};
use super::judge::unreached_text;

/// What none of these checks can know.
const FROM_HERE: &str = "seen from here, not from Meta";

/// `real` is whether the Graph API is one that calls by HTTPS alone.
pub(super) fn findings(webhook: &Webhook, real: bool) -> Vec<Finding> {
    let Some(url) = &webhook.url else {
        return vec![Finding::warning(
            "public URL",
            "not known: nobody has tried it",
            "write webhook.public_url: the URL that is registered with WhatsApp",
        )];
    };
    let mut findings = vec![];
    if real && url.starts_with("http:") {
        findings.push(Finding::fault(
            "public URL",
            "is http: WhatsApp calls https alone",
            "put a proxy with a certificate in front, or write webhook.tls; then write the https URL",
        ));
    }
    let verification = verification(webhook);
    let is_there = verification.remedy.is_none();
    findings.push(verification);
    match &webhook.verification {
        Some(Err(_)) => findings.push(Finding::skipped("signed probe", "not sent: the URL is not reached")),
        _ => findings.extend(probes(webhook, is_there)),
    }
    findings
}

fn verification(webhook: &Webhook) -> Finding {
    const CHECK: &str = "verification";
    match &webhook.verification {
        None => Finding::skipped(CHECK, "not asked"),
        Some(Err(unreached)) => {
            let (what, remedy) = unreached_text(unreached);
            Finding::fault(CHECK, format!("{what} ({FROM_HERE})"), remedy_for(unreached, webhook, remedy))
        }
        Some(Ok(Reply { status: 200, is_right: true })) => {
            Finding::ok(CHECK, format!("answers with our verify token ({FROM_HERE})"))
        }
        Some(Ok(Reply { status: 403, .. })) => Finding::fault(
            CHECK,
            "403: the verify token is not that of the bridge that runs there",
            "restart the bridge with this configuration, or write the verify token that it has",
        ),
        Some(Ok(Reply { status: 200, .. })) => Finding::fault(
            CHECK,
            "200, but not what was asked for: another program answers",
            format!("let the proxy pass this URL on to http://{}{}", webhook.listen, webhook.path),
        ),
        Some(Ok(Reply { status, .. })) => Finding::fault(
            CHECK,
            format!("HTTP status {status}: another program answers, or another path"),
            format!("let the proxy pass this URL on to http://{}{}", webhook.listen, webhook.path),
        ),
    }
}

fn remedy_for(unreached: &Unreached, webhook: &Webhook, general: &str) -> String {
    let (step, listen) = (unreached.step, &webhook.listen);
    match step {
        Step::Tcp if webhook.own_tls => {
            format!(
                "see that the bridge runs (it listens on {listen}), and that firewalls let requests through"
            )
        }
        Step::Tcp => format!(
            "see that the bridge and the proxy run (the bridge listens on {listen}), and that firewalls let requests through"
        ),
        _ => general.to_owned(),
    }
}

fn probes(webhook: &Webhook, is_there: bool) -> Vec<Finding> {
    const CHECK: &str = "signed probe";
    if !is_there || webhook.probes.is_empty() {
        return vec![Finding::skipped(CHECK, "not sent: the verification failed")];
    }
    let mut findings = vec![];
    for (place, probe) in webhook.probes.iter().enumerate() {
        let whose = if webhook.probes.len() == 1 {
            "the app secret".to_owned()
        } else {
            format!("app secret {}", place + 1)
        };
        findings.push(match probe {
            Ok(Reply { status: 200, .. }) => Finding::ok(CHECK, format!("taken with {whose} ({FROM_HERE})")),
            Ok(Reply { status: 401, .. }) => Finding::fault(
                CHECK,
                format!("401: the bridge that runs there does not know {whose}"),
                "restart the bridge with this configuration; let no proxy change the body of a request",
            ),
            Ok(Reply { status: 503, .. }) => Finding::warning(
                CHECK,
                "503: the bridge has no room for webhooks now",
                "see its log and its load",
            ),
            Ok(Reply { status, .. }) => Finding::fault(
                CHECK,
                format!("HTTP status {status}, not 200"),
                "see what is between WhatsApp and the bridge: a POST must reach it as it is",
            ),
            Err(unreached) => {
                let (what, remedy) = unreached_text(unreached);
                Finding::fault(CHECK, what, remedy)
            }
        });
    }
    findings
}
