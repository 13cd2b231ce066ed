//! Findings about the calling settings of a number. Pure.

use media_relay::Keying;
use wa_signaling::graph::settings::{CallingSettings, KeyExchange, Restriction, SettingsChange};

use super::facts::{Facts, Number};
use super::hours;
use super::judge::refused;
use super::token::date;
use super::{Action, Finding, Fix};
use crate::config::NumberAudio;

pub(super) fn findings(number: &Number, facts: &Facts) -> Vec<Finding> {
    let settings = match &number.settings {
        None => return vec![Finding::skipped("settings", "not asked")],
        Some(Err(error)) => {
            return vec![refused("settings", error, "see that the number is one of the Cloud API")];
        }
        Some(Ok(settings)) => settings,
    };
    let mut findings = vec![
        calling(settings),
        sip_mode(settings),
        key_exchange(settings, &number.audio),
        codecs(settings, &number.audio),
    ];
    findings.extend(restrictions(&settings.restrictions, facts.now));
    findings.push(call_hours(settings, facts.now));
    findings.push(visibility(settings));
    findings.push(callback(settings));
    findings.extend(voicemail(settings, facts.ring_limit_s));
    findings
}

fn setting(before: &str, after: &str, change: SettingsChange) -> Fix {
    Fix { before: before.to_owned(), after: after.to_owned(), action: Action::Setting(change) }
}

fn calling(settings: &CallingSettings) -> Finding {
    const CHECK: &str = "calling";
    if settings.enabled == Some(true) {
        return Finding::ok(CHECK, "enabled");
    }
    let what = if settings.enabled.is_some() { "disabled" } else { "never enabled" };
    Finding::fault(
        CHECK,
        format!("{what}: no call works (138000)"),
        "enable it: wa-bridge call-settings set --status on (the number needs a messaging limit of 2000, 138015, and \
         the app the field calls, 138018)",
    )
    .with(setting("DISABLED", "ENABLED", SettingsChange::Calling(true)))
}

fn sip_mode(settings: &CallingSettings) -> Finding {
    const CHECK: &str = "SIP mode";
    let Some(sip) = settings.sip.as_ref().filter(|sip| sip.enabled) else {
        return Finding::ok(CHECK, "off");
    };
    let servers: Vec<_> = sip.servers.iter().map(|(host, _)| host.as_str()).collect();
    let whither = if servers.is_empty() { String::new() } else { format!(" to {}", servers.join(", ")) };
    Finding::fault(
        CHECK,
        format!("on{whither}: WhatsApp sends calls by SIP, and ours fail (131055)"),
        "turn SIP mode off, unless another program takes these calls: then the bridge cannot have the number",
    )
    .with(setting("ENABLED", "DISABLED", SettingsChange::SipMode(false)))
}

fn key_exchange(settings: &CallingSettings, audio: &NumberAudio) -> Finding {
    const CHECK: &str = "key exchange";
    let there = settings.key_exchange.unwrap_or(KeyExchange::Dtls);
    let (here, remedy) = match audio.keying {
        Keying::Dtls => (KeyExchange::Dtls, "set it to DTLS, which is what the bridge speaks"),
        Keying::Sdes => {
            (KeyExchange::Sdes, "set it to SDES, as number.srtp says, or write number.srtp = \"dtls\"")
        }
    };
    if there == here {
        return Finding::ok(CHECK, there.name());
    }
    let what = format!("{}: the bridge and WhatsApp do not agree on the keys of the audio", there.name());
    Finding::fault(CHECK, what, remedy).with(setting(
        there.name(),
        here.name(),
        SettingsChange::KeyExchange(here),
    ))
}

fn codecs(settings: &CallingSettings, audio: &NumberAudio) -> Finding {
    const CHECK: &str = "codecs";
    let (here, there) = (audio.graph_codecs(), &settings.additional_codecs);
    let without = |all: &[String], others: &[String]| -> Vec<String> {
        all.iter().filter(|codec| !others.contains(codec)).cloned().collect()
    };
    let shown = |codecs: &[String]| {
        std::iter::once("Opus").chain(codecs.iter().map(String::as_str)).collect::<Vec<_>>().join(", ")
    };
    let (missing, more) = (without(&here, there), without(there, &here));
    if !missing.is_empty() {
        let missing = missing.join(", ");
        let after = [there.as_slice(), &without(&here, there)].concat();
        return Finding::fault(
            CHECK,
            format!(
                "{}: WhatsApp refuses offers with {missing}, which number.additional_codecs has",
                shown(there)
            ),
            "enable it: wa-bridge call-settings set --codecs, or take it out of number.additional_codecs",
        )
        .with(setting(
            &shown(there),
            &shown(&after),
            SettingsChange::AdditionalCodecs(after.clone()),
        ));
    }
    if more.is_empty() {
        return Finding::ok(CHECK, shown(&here));
    }
    let more = more.join(", ");
    Finding::ok(CHECK, format!("{}; {more} too, which the bridge does not need: it takes Opus", shown(&here)))
}

fn restrictions(all: &[Restriction], now: i64) -> Vec<Finding> {
    const CHECK: &str = "restrictions";
    let ends = |one: &Restriction| one.expires.and_then(|end| i64::try_from(end).ok());
    let in_force = all.iter().filter(|one| ends(one).is_none_or(|end| end > now));
    let finding = |one: &Restriction| {
        let what = match one.kind.as_str() {
            "RESTRICTED_BUSINESS_INITIATED_CALLING" => "the number may not call users (138014)",
            "RESTRICTED_USER_INITIATED_CALLING" => "users may not call the number",
            "RESTRICTED_USER_INITIATED_CALLING_CALL_BUTTON_HIDDEN" => "users do not see the call button",
            other => other,
        };
        let until =
            ends(one).map_or_else(|| "with no end named".to_owned(), |end| format!("until {}", date(end)));
        let why = one.reason.as_deref().map(|why| format!(" ({why})")).unwrap_or_default();
        Finding::fault(
            CHECK,
            format!("{what} {until}{why}"),
            "wait for the end; to avoid the next one, answer users' calls, and call only who expects it",
        )
    };
    let findings: Vec<_> = in_force.map(finding).collect();
    if findings.is_empty() { vec![Finding::ok(CHECK, "none")] } else { findings }
}

fn call_hours(settings: &CallingSettings, now: i64) -> Finding {
    const CHECK: &str = "call hours";
    let Some(hours) = &settings.call_hours else {
        return Finding::ok(CHECK, "always open");
    };
    let what = hours::describe(hours);
    match hours::is_open(hours, now) {
        Some(true) if hours.enabled => Finding::ok(CHECK, format!("{what}; open now")),
        Some(true) => Finding::ok(CHECK, what),
        None => Finding::ok(CHECK, format!("{what}; today is a holiday, or the time zone is not known here")),
        Some(false) => Finding::warning(
            CHECK,
            format!("{what}; closed now"),
            "users cannot call before they open; wa-bridge call-settings set --hours changes them",
        ),
    }
}

fn visibility(settings: &CallingSettings) -> Finding {
    const CHECK: &str = "call button";
    let countries = match settings.call_icon_countries.as_slice() {
        [] => String::new(),
        countries => format!(", in {} only", countries.join(", ")),
    };
    match settings.call_icon_visibility.as_deref() {
        None | Some("DEFAULT") => Finding::ok(CHECK, format!("shown{countries}")),
        Some(other) => Finding::warning(
            CHECK,
            format!("{other}{countries}: users do not see it, or not everywhere"),
            "if they should: wa-bridge call-settings set --icon default (phones take up to 7 days to show it)",
        ),
    }
}

fn callback(settings: &CallingSettings) -> Finding {
    const CHECK: &str = "callback permission";
    Finding::ok(
        CHECK,
        match settings.callback_permission {
            Some(true) => "a user who calls may be called back",
            _ => "off: users must permit calls in another way",
        },
    )
}

/// WhatsApp's voicemail and the PBX want the same call.
fn voicemail(settings: &CallingSettings, ring_limit_s: u64) -> Option<Finding> {
    const CHECK: &str = "voicemail";
    let voicemail = settings.voicemail.as_ref().filter(|voicemail| voicemail.enabled)?;
    let on = |trigger: &str| voicemail.triggers.iter().any(|known| known == trigger);
    let early = voicemail.timeout_s.filter(|limit| on("TIMEOUT") && *limit < ring_limit_s);
    Some(match early {
        Some(limit) => Finding::warning(
            CHECK,
            format!(
                "WhatsApp's own takes a call after {limit} s, while the PBX may ring for {ring_limit_s} s"
            ),
            "write a smaller calls.ring_limit_in_s, or turn the voicemail off",
        ),
        None => Finding::ok(CHECK, format!("WhatsApp's own is on ({})", voicemail.triggers.join(", "))),
    })
}
