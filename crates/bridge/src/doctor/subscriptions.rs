//! Findings about who gets webhooks: the app's fields and URL, and the apps of a WABA. Pure.

use wa_signaling::graph::account::{SubscribedApp, Subscription};
use wa_signaling::graph::error::ErrorKind;

use super::facts::{Facts, Waba};
use super::judge::refused;
use super::{Action, Finding, Fix};

/// What the app must hear of: calls, and in `messages` the users' replies to permission requests.
const FIELDS: [&str; 2] = ["calls", "messages"];
const OBJECT: &str = "whatsapp_business_account";

pub(super) fn app(facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "app secret";
    if facts.app.id.is_none() {
        return vec![Finding::warning(
            "app",
            "its webhooks and the scopes of tokens are not looked at",
            "write graph.app_id: the app's id, from its dashboard",
        )];
    }
    match &facts.app.subscriptions {
        None => vec![Finding::skipped(CHECK, "not asked")],
        Some(Err(error)) if error.kind() == ErrorKind::TokenInvalid => {
            let what = match facts.app.secrets {
                1 => "the secret is not that of this app: its webhooks are refused (401)".to_owned(),
                count => {
                    format!("none of the {count} secrets is that of this app: its webhooks are refused (401)")
                }
            };
            vec![
                Finding::fault(
                    CHECK,
                    what,
                    "put the app's secret, from its dashboard, where webhook.app_secret says, or mend graph.app_id",
                ),
                Finding::skipped("webhook fields", "not asked: the app's secret is needed"),
            ]
        }
        Some(Err(error)) => vec![refused(CHECK, error, "see that graph.app_id is the id of the app")],
        Some(Ok(all)) => {
            let known = all.iter().find(|one| one.object == OBJECT);
            let mut findings = vec![Finding::ok(CHECK, "is that of the app"), fields(known, facts)];
            findings.extend(callback(known, facts));
            findings
        }
    }
}

fn fields(known: Option<&Subscription>, facts: &Facts) -> Finding {
    const CHECK: &str = "webhook fields";
    let has = known.map(|one| one.fields.as_slice()).unwrap_or_default();
    let missing: Vec<_> =
        FIELDS.into_iter().filter(|field| !has.iter().any(|known| known == field)).collect();
    let is_inactive = known.is_some_and(|one| !one.active);
    if missing.is_empty() && !is_inactive {
        return Finding::ok(CHECK, FIELDS.join(" and "));
    }
    let what = match missing.as_slice() {
        [] => "the subscription is not active".to_owned(),
        missing => {
            format!("the app is not subscribed to {}: WhatsApp does not tell of them", missing.join(" and "))
        }
    };
    let finding = Finding::fault(
        CHECK,
        what,
        "subscribe the app to the fields calls and messages of whatsapp_business_account (its dashboard, WhatsApp, \
         Configuration)",
    );
    // Graph takes the URL together with the fields: where it has another one, that stays.
    let url = known.and_then(|one| one.callback_url.clone());
    match facts.webhook.url.clone().filter(|ours| url.as_ref().is_none_or(|url| url == ours)) {
        Some(url) => {
            let before = if has.is_empty() { "none".to_owned() } else { has.join(", ") };
            let fields: Vec<_> =
                has.iter().cloned().chain(missing.iter().map(|field| (*field).to_owned())).collect();
            let after = fields.join(", ");
            finding.with(Fix { before, after, action: Action::Subscribe { url, fields, takes_over: false } })
        }
        None => finding,
    }
}

fn callback(known: Option<&Subscription>, facts: &Facts) -> Option<Finding> {
    const CHECK: &str = "callback URL";
    let theirs = known?.callback_url.as_ref()?;
    let Some(ours) = &facts.webhook.url else {
        return Some(Finding::skipped(
            CHECK,
            format!("{theirs}; not compared: webhook.public_url is not written"),
        ));
    };
    if theirs == ours {
        return Some(Finding::ok(CHECK, "ours"));
    }
    let overridden = |waba: &Waba| {
        let apps = waba.apps.as_ref().and_then(|apps| apps.as_ref().ok());
        apps.and_then(|apps| own(apps, facts)).and_then(|app| app.override_url.as_ref()) == Some(ours)
    };
    if !facts.wabas.is_empty() && facts.wabas.iter().all(overridden) {
        return Some(Finding::ok(CHECK, format!("{theirs}, but the accounts have ours")));
    }
    let mut fields = known?.fields.clone();
    fields.extend(
        FIELDS
            .into_iter()
            .filter(|new| !known.is_some_and(|one| one.fields.iter().any(|f| f == new)))
            .map(str::to_owned),
    );
    let finding = Finding::fault(
        CHECK,
        format!("WhatsApp calls {theirs}, not {ours}"),
        "register ours; if another program needs what goes there now (chats), write its URL in webhook.pass_on first",
    );
    Some(finding.with(Fix {
        before: theirs.clone(),
        after: ours.clone(),
        action: Action::Subscribe { url: ours.clone(), fields, takes_over: true },
    }))
}

/// Our app among those of a WABA.
fn own<'a>(apps: &'a [SubscribedApp], facts: &Facts) -> Option<&'a SubscribedApp> {
    apps.iter().find(|app| Some(&app.id) == facts.app.id.as_ref())
}

pub(super) fn waba(waba: &Waba, facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "subscribed app";
    let Some(id) = &waba.id else {
        return vec![Finding::warning(
            CHECK,
            "whether the account tells the app of calls is not known",
            "write graph.waba_id: the account's id, from the WhatsApp Manager",
        )];
    };
    let apps = match &waba.apps {
        None => return vec![Finding::skipped(CHECK, "not asked: no token works")],
        Some(Err(error)) => {
            let remedy =
                "see that graph.waba_id is the account's id, and that the system user has it as an asset";
            return vec![refused(CHECK, error, remedy)];
        }
        Some(Ok(apps)) => apps,
    };
    let fix = |apps: &[SubscribedApp]| Fix {
        before: listed(apps),
        after: format!(
            "{}the app of the token",
            if apps.is_empty() { String::new() } else { format!("{}, ", listed(apps)) }
        ),
        action: Action::SubscribeApp { waba: id.clone() },
    };
    let remedy = "subscribe the app to the account: POST /{WABA}/subscribed_apps with the token";
    match (own(apps, facts), &facts.app.id) {
        (Some(app), _) => vec![overriding(app, facts)],
        (None, None) if !apps.is_empty() => vec![Finding::warning(
            CHECK,
            format!("{}; whether one of them is ours is not known", listed(apps)),
            "write graph.app_id",
        )],
        (None, _) => {
            let what = match apps.as_slice() {
                [] => "none: WhatsApp tells nobody of calls".to_owned(),
                apps => format!("{}, and not ours: WhatsApp does not tell us of calls", listed(apps)),
            };
            vec![Finding::fault(CHECK, what, remedy).with(fix(apps))]
        }
    }
}

fn overriding(app: &SubscribedApp, facts: &Facts) -> Finding {
    const CHECK: &str = "subscribed app";
    match (&app.override_url, &facts.webhook.url) {
        (Some(theirs), Some(ours)) if theirs != ours => Finding::fault(
            CHECK,
            format!("ours, but the account sends its webhooks to {theirs}"),
            "take the override away: POST /{WABA}/subscribed_apps without override_callback_uri",
        ),
        _ => Finding::ok(CHECK, "ours"),
    }
}

fn listed(apps: &[SubscribedApp]) -> String {
    if apps.is_empty() {
        return "none".to_owned();
    }
    let names: Vec<_> = apps
        .iter()
        .map(|app| app.name.as_ref().map_or_else(|| app.id.clone(), |name| format!("{name} ({})", app.id)))
        .collect();
    names.join(", ")
}
