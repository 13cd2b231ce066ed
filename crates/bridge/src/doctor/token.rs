//! Findings about an access token. Pure.

use jiff::Timestamp;
use wa_signaling::graph::account::TokenInfo;
use wa_signaling::graph::error::{ErrorKind, GraphError};

use super::Finding;
use super::facts::{Facts, Number};

/// The check whether it works.
const VALID: &str = "token";
/// The scopes that the bridge needs.
const SCOPES: [&str; 2] = ["whatsapp_business_messaging", "whatsapp_business_management"];
/// Seconds before its end at which somebody should see to it.
const SOON: i64 = 14 * 24 * 3600;
const RENEW: &str =
    "make a new token for the system user, best one that never expires, and put it where number.token says";

pub(super) fn findings(number: &Number, facts: &Facts) -> Vec<Finding> {
    match &number.token {
        None if facts.app.id.is_some() => {
            vec![Finding::skipped(VALID, "its scopes and its end were not asked: the app's secret is needed")]
        }
        None => vec![Finding::warning(
            VALID,
            "its scopes and its end are not known",
            "write graph.app_id (and the app's secret in webhook.app_secret): with them doctor can ask",
        )],
        Some(Err(error)) => vec![super::judge::refused(VALID, error, RENEW)],
        Some(Ok(info)) if !info.valid => {
            let why = info.error.as_deref().unwrap_or("Graph says that it is not valid");
            vec![Finding::fault(VALID, format!("does not work: {why}"), RENEW)]
        }
        Some(Ok(info)) => {
            let mut findings = vec![app(info, facts), expiry(info, facts.now)];
            findings.push(scopes(info, number.waba.as_deref()));
            findings
        }
    }
}

/// What Graph says of it when it is used and refused.
pub(super) fn refusal(number: &Number) -> Option<&GraphError> {
    let info = number.info.as_ref().and_then(|info| info.as_ref().err());
    let settings = number.settings.as_ref().and_then(|settings| settings.as_ref().err());
    info.into_iter().chain(settings).find(|error| error.kind() == ErrorKind::TokenInvalid)
}

pub(super) fn refused(error: &GraphError) -> Finding {
    Finding::fault(VALID, format!("does not work: {error}"), RENEW)
}

fn app(info: &TokenInfo, facts: &Facts) -> Finding {
    match (&info.app_id, &facts.app.id) {
        (Some(of), Some(ours)) if of != ours => Finding::fault(
            VALID,
            format!("works, but is one of the app {of}, not of {ours}"),
            "make the token with the app of graph.app_id, or write the other app there",
        ),
        _ => Finding::ok(VALID, "works"),
    }
}

fn expiry(info: &TokenInfo, now: i64) -> Finding {
    const CHECK: &str = "token expiry";
    let ends = [(info.expires, "it"), (info.data_access_expires, "its access to data")];
    let ends = ends.into_iter().filter_map(|(end, what)| Some((i64::try_from(end?).ok()?, what)));
    match ends.min() {
        None => Finding::ok(CHECK, "never"),
        Some((end, what)) if end - now <= SOON => {
            let days = (end - now).max(0) / (24 * 3600);
            let what = format!("{what} ends in {days} day(s), {}", date(end));
            Finding::warning(CHECK, what, RENEW)
        }
        Some((end, _)) => Finding::ok(CHECK, date(end)),
    }
}

/// A moment for people, in UTC.
pub(super) fn date(unix: i64) -> String {
    let moment = Timestamp::from_second(unix).unwrap_or(Timestamp::MAX);
    moment.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

fn scopes(info: &TokenInfo, waba: Option<&str>) -> Finding {
    const CHECK: &str = "token scopes";
    let missing: Vec<_> =
        SCOPES.into_iter().filter(|scope| !info.scopes.iter().any(|known| known == scope)).collect();
    if !missing.is_empty() {
        return Finding::fault(
            CHECK,
            format!("lack {}", missing.join(" and ")),
            "make a new token for the system user with both scopes, whatsapp_business_messaging (calls) and \
             whatsapp_business_management (settings)",
        );
    }
    let elsewhere = |(scope, ids): &&(String, Vec<String>)| {
        SCOPES.contains(&scope.as_str())
            && !ids.is_empty()
            && waba.is_some_and(|waba| !ids.iter().any(|id| id == waba))
    };
    if let Some((scope, _)) = info.granular.iter().find(elsewhere) {
        return Finding::fault(
            CHECK,
            format!("{scope} is not for the account {}", waba.unwrap_or_default()),
            "give the system user this WhatsApp Business Account as an asset, then make a new token",
        );
    }
    Finding::ok(CHECK, "messaging and management")
}
