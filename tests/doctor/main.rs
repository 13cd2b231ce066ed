//! `wa-bridge doctor` and `wa-bridge call-settings`, as a person runs them, against the sandbox's WhatsApp.

mod clinic;
mod page;
#[path = "../sipp/program.rs"]
#[allow(dead_code, reason = "the scenarios of SIPp use all of it")]
mod program;
mod settings;

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sandbox::whatsapp::{ApiError, GraphFault, MANAGEMENT, MESSAGING, Operation, WhatsApp};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use clinic::{Clinic, Outcome};

/// What is wrong at WhatsApp, the check that finds it, and words of the finding and its remedy.
type Fault = (fn(&WhatsApp, &str), &'static str, &'static [&'static str]);

/// What `--fix` mends.
const MENDED: &[Fault] = &[
    (|w, id| w.set_setting(id, "status", json!("DISABLED")), "calling", &["138000", "DISABLED -> ENABLED"]),
    (
        |w, id| {
            w.set_setting(
                id,
                "sip",
                json!({ "status": "ENABLED", "servers": [{ "hostname": "sip.example" }] }),
            );
        },
        "SIP mode",
        &["on to sip.example", "131055", "ENABLED -> DISABLED"],
    ),
    (
        |w, id| w.set_setting(id, "srtp_key_exchange_protocol", json!("SDES")),
        "key exchange",
        &["what the bridge speaks", "SDES -> DTLS"],
    ),
    (|w, _| w.set_subscribed_apps(&[]), "subscribed app", &["tells nobody", "none -> the app of the token"]),
    (
        |w, _| w.set_subscribed_apps(&["77"]),
        "subscribed app",
        &["sandbox (77), and not ours", "sandbox (77), the app of the token"],
    ),
    (|w, _| w.set_subscribed_fields(&["messages"]), "webhook fields", &["messages -> messages, calls"]),
    (|w, _| w.set_subscribed_fields(&["calls"]), "webhook fields", &["calls -> calls, messages"]),
    (|w, _| w.set_subscribed_fields(&[]), "webhook fields", &["none -> calls, messages"]),
    (
        |w, id| {
            w.set_setting(id, "status", json!("DISABLED"));
            w.set_setting(id, "sip", json!({ "status": "ENABLED" }));
            w.set_setting(id, "srtp_key_exchange_protocol", json!("SDES"));
            w.set_subscribed_fields(&["messages"]);
            w.set_subscribed_apps(&[]);
        },
        "calling",
        &["5 fault(s), 0 warning(s)"],
    ),
];

fn is_well(outcome: &Outcome) -> bool {
    let findings = outcome.text.lines().filter(|line| line.starts_with("  ")).collect::<Vec<_>>();
    outcome.status == 0
        && findings.len() > 15
        && findings.iter().all(|line| line.starts_with("  ok "))
        && outcome.text.ends_with("All is well.\n")
}

fn ensure_says(outcome: &Outcome, check: &str, level: &str, words: &[&str]) -> Result<()> {
    let line = outcome.line(check).with_context(|| format!("no {check} in\n{}", outcome.text))?;
    ensure!(line.trim_start().starts_with(level), "{check} is no {level}:\n{}", outcome.text);
    for word in words {
        ensure!(outcome.text.contains(word), "{word:?} is not in\n{}", outcome.text);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_set_up_is_all_ok_and_is_not_touched() -> Result<()> {
    let clinic = Clinic::open().await?;
    let outcome = clinic.run(&["doctor"]).await?;
    ensure!(is_well(&outcome), "{outcome:?}");
    let fixed = clinic.run(&["doctor", "--fix", "--yes"]).await?;
    ensure!(fixed.text == outcome.text && fixed.status == 0, "{fixed:?}");
    let posts = clinic.whatsapp.requests().into_iter().filter(|request| request.method == "POST").count();
    ensure!(posts == 0, "{posts} changes were made");
    let json = clinic.run(&["doctor", "--json"]).await?;
    let value: serde_json::Value = serde_json::from_str(&json.text)?;
    ensure!(value["faults"] == 0 && value["warnings"] == 0 && json.status == 0, "{value}");
    ensure!(clinic.whatsapp.webhooks().is_empty(), "a probe is no webhook of WhatsApp");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_at_whatsapp_is_found_with_its_remedy_and_fix_mends_it() -> Result<()> {
    let clinic = Clinic::open().await?;
    for (plant, check, words) in MENDED {
        plant(&clinic.whatsapp, &clinic.meta.phone_number_id);
        let outcome = clinic.run(&["doctor"]).await?;
        ensure_says(&outcome, check, "FAULT", words)?;
        ensure!(outcome.status == 1 && outcome.text.contains("--fix"), "{outcome:?}");
        let fixed = clinic.run(&["doctor", "--fix", "--yes"]).await?;
        ensure!(fixed.status == 0, "{check} is not mended:\n{}", fixed.text);
        ensure!(
            fixed.text.contains("  changed\n") && fixed.text.ends_with("All is well.\n"),
            "{}",
            fixed.text
        );
        ensure!(is_well(&clinic.run(&["doctor"]).await?), "{check} came back");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_made_only_when_a_person_says_yes() -> Result<()> {
    let clinic = Clinic::open().await?;
    let id = &clinic.meta.phone_number_id;
    clinic.whatsapp.set_setting(id, "status", json!("DISABLED"));
    for typed in ["", "n\n", "what?\n"] {
        let outcome = clinic.run_with(&["doctor", "--fix"], clinic.config(), &[], typed).await?;
        ensure!(outcome.status == 1 && outcome.text.contains("DISABLED -> ENABLED"), "{outcome:?}");
        ensure!(clinic.whatsapp.settings(id)["status"] == "DISABLED", "changed for {typed:?}");
    }
    let outcome = clinic.run_with(&["doctor", "--fix"], clinic.config(), &[], "y\n").await?;
    ensure!(outcome.status == 0 && clinic.whatsapp.settings(id)["status"] == "ENABLED", "{outcome:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_webhooks_of_another_program_are_not_taken_without_a_person() -> Result<()> {
    let clinic = Clinic::open().await?;
    let url = format!("http://{}:18081/crm", clinic.ip);
    clinic.whatsapp.set_webhook_url(&url);
    let outcome = clinic.run(&["doctor", "--fix", "--yes"]).await?;
    ensure_says(&outcome, "callback URL", "FAULT", &["webhook.pass_on", "run without --yes"])?;
    ensure!(outcome.status == 1);
    let outcome = clinic.run_with(&["doctor", "--fix"], clinic.config(), &[], "y\n").await?;
    ensure!(outcome.status == 0 && is_well(&clinic.run(&["doctor"]).await?), "{outcome:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_changed_says_why_and_stays_a_fault() -> Result<()> {
    let clinic = Clinic::open().await?;
    let (whatsapp, id) = (&clinic.whatsapp, &clinic.meta.phone_number_id);
    whatsapp.set_low_limit(id, true);
    ensure_says(&clinic.run(&["doctor"]).await?, "quality and limit", "WARNING", &["TIER_250", "2000"])?;
    whatsapp.set_setting(id, "status", json!("DISABLED"));
    let outcome = clinic.run(&["doctor", "--fix", "--yes"]).await?;
    ensure_says(&outcome, "calling", "FAULT", &["not changed: Graph error 138015"])?;
    ensure!(outcome.status == 1);
    whatsapp.set_low_limit(id, false);
    whatsapp.set_setting(id, "status", json!("ENABLED"));

    whatsapp.restrict(id, Some("RESTRICTED_BUSINESS_INITIATED_CALLING"));
    let outcome = clinic.run(&["doctor"]).await?;
    ensure_says(
        &outcome,
        "restrictions",
        "FAULT",
        &["may not call users (138014) until 20", "wait for the end"],
    )?;
    whatsapp.restrict(id, None);

    let never = json!({ "status": "ENABLED", "timezone_id": "UTC", "weekly_operating_hours": [] });
    whatsapp.set_setting(id, "call_hours", never);
    let outcome = clinic.run(&["doctor"]).await?;
    ensure_says(&outcome, "call hours", "WARNING", &["closed now", "call-settings set --hours"])?;
    ensure!(outcome.status == 0, "a warning is no fault");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_end_lack_rights_or_are_dead_are_found() -> Result<()> {
    let clinic = Clinic::open().await?;
    let whatsapp = &clinic.whatsapp;
    whatsapp.expire_token_in(Duration::from_secs(3 * 24 * 3600 + 60));
    let outcome = clinic.run(&["doctor"]).await?;
    ensure_says(&outcome, "token expiry", "WARNING", &["ends in 3 day(s)", "system user"])?;
    ensure!(outcome.status == 0);

    whatsapp.expire_token_in(Duration::ZERO);
    let outcome = clinic.run(&["doctor"]).await?;
    ensure_says(&outcome, "token", "FAULT", &["does not work", "new token"])?;
    whatsapp.set_token(clinic.meta.token.clone());

    whatsapp.set_scopes(&[MESSAGING]);
    let outcome = clinic.run(&["doctor"]).await?;
    ensure_says(&outcome, "token scopes", "FAULT", &["lack whatsapp_business_management", "both scopes"])?;
    whatsapp.set_scopes(&[MANAGEMENT]);
    let outcome = clinic.run(&["doctor"]).await?;
    ensure_says(&outcome, "token scopes", "FAULT", &["lack whatsapp_business_messaging"])?;
    whatsapp.set_scopes(&[MESSAGING, MANAGEMENT]);

    whatsapp.set_token("another");
    for config in [clinic.config().to_owned(), clinic.edited("app_id = ", "# app_id = ")?] {
        let outcome = clinic.run_with(&["doctor"], &config, &[], "").await?;
        ensure_says(&outcome, "token", "FAULT", &["does not work", "new token"])?;
        ensure!(outcome.status == 1 && outcome.text.contains("not asked: the token does not work"));
    }
    Ok(())
}

/// What is wrong in the file, the check that finds it, and words of the finding and its remedy.
const WRITTEN: &[(&str, &str, &str, &str, &[&str])] = &[
    ("app_id = ", "# app_id = ", "app ", "WARNING", &["write graph.app_id"]),
    ("waba_id = ", "# waba_id = ", "subscribed app", "WARNING", &["write graph.waba_id"]),
    ("public_url = ", "# public_url = ", "public URL", "WARNING", &["write webhook.public_url"]),
    ("app_id = \"6", "app_id = \"7", "app secret", "FAULT", &["webhook.app_secret"]),
    (
        "waba_id = \"1",
        "waba_id = \"2",
        "subscribed app",
        "FAULT",
        &["that graph.waba_id is the account's id"],
    ),
    ("display = \"+1555", "display = \"+1666", "number", "FAULT", &["not +1666", "one and the same number"]),
    ("id = \"1065", "id = \"1066", "number", "FAULT", &["the id that the app dashboard shows"]),
    (
        "18080/webhook\"",
        "18081/webhook\"",
        "verification",
        "FAULT",
        &["(TCP)", "the bridge and the proxy run"],
    ),
    ("18080/webhook\"", "18080/hook\"", "verification", "FAULT", &["404", "let the proxy pass this URL on"]),
    ("18080/webhook\"", "19090/metrics\"", "verification", "FAULT", &["another program answers"]),
    ("_url = \"http:", "_url = \"https:", "verification", "FAULT", &["no trust (TLS)", "public authority"]),
    ("url = \"http://", "url = \"http://no.invalid/", "reachable", "FAULT", &["(DNS): no.invalid"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_in_the_file_is_found_with_its_remedy() -> Result<()> {
    let clinic = Clinic::open().await?;
    for (from, to, check, level, words) in WRITTEN {
        let config = clinic.edited(from, to)?;
        let outcome = clinic.run_with(&["doctor"], &config, &[], "").await?;
        ensure_says(&outcome, check, level, words).with_context(|| format!("{from} as {to}"))?;
        ensure!(outcome.status == i32::from(*level == "FAULT"), "{to}: {outcome:?}");
    }
    for (name, check, words) in [
        ("SIPP_APP_SECRET", "signed probe", &["401", "restart the bridge"][..]),
        ("SIPP_APP_SECRET", "app secret", &["not that of this app", "webhook.app_secret"]),
        ("SIPP_VERIFY_TOKEN", "verification", &["403: the verify token"]),
    ] {
        let outcome = clinic.run_with(&["doctor"], clinic.config(), &[(name, "elsewhere")], "").await?;
        ensure_says(&outcome, check, "FAULT", words)?;
        ensure!(!outcome.text.contains("elsewhere"), "a secret is in\n{}", outcome.text);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_and_an_unknown_number_end_with_2() -> Result<()> {
    let clinic = Clinic::open().await?;
    let config = clinic.edited("[graph]", "[grape]")?;
    let outcome = clinic.run_with(&["doctor"], &config, &[], "").await?;
    ensure!(outcome.status == 2 && outcome.text.contains("did you mean \"graph\"?"), "{outcome:?}");
    let outcome = clinic.run(&["doctor", "--number", "4711"]).await?;
    ensure!(outcome.status == 2 && outcome.text.contains(&clinic.meta.phone_number_id), "{outcome:?}");
    let display = format!("+{}", clinic.meta.display_number);
    ensure!(is_well(&clinic.run(&["doctor", "--number", &display]).await?));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_api_that_fails_or_is_gone_and_a_bridge_that_does_not_run_are_told_apart() -> Result<()> {
    let mut clinic = Clinic::open().await?;
    let outage = GraphFault::Error(ApiError::of(2));
    clinic.whatsapp.fault(Operation::Settings, &outage, 1);
    let outcome = clinic.run(&["doctor"]).await?;
    ensure_says(&outcome, "settings", "FAULT", &["a problem of its own: try again later"])?;
    clinic.stop_bridge().await?;
    let outcome = clinic.run(&["doctor"]).await?;
    ensure_says(&outcome, "verification", "FAULT", &["(TCP)", "the bridge and the proxy run"])?;
    ensure!(outcome.line("reachable").is_some_and(|line| line.contains("ok")), "{outcome:?}");
    let config = clinic.edited(&clinic.whatsapp.graph_url(), &format!("http://{}:9", clinic.ip))?;
    let outcome = clinic.run_with(&["doctor"], &config, &[], "").await?;
    ensure_says(&outcome, "reachable", "FAULT", &["(TCP)", "the rest was not asked"])?;
    ensure!(outcome.status == 1 && !outcome.text.contains("Number"), "{outcome:?}");
    Ok(())
}

/// A way to the Graph API on which every answer is from another time.
async fn through_time(clinic: &Clinic) -> Result<String> {
    let graph = clinic.whatsapp.graph_url().trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind((clinic.ip, 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let graph = graph.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(client.read_u8().await?);
                }
                head.truncate(head.len() - 2);
                head.extend_from_slice(b"connection: close\r\n\r\n");
                let mut server = TcpStream::connect(&graph).await?;
                server.write_all(&head).await?;
                let mut answer = String::new();
                server.read_to_string(&mut answer).await?;
                let (before, rest) = answer.split_once("date: ").unwrap_or((&answer, "\r\n\r\n"));
                let (_, after) = rest.split_once("\r\n").unwrap_or_default();
                let answer = format!("{before}date: Thu, 01 Jan 2026 00:00:00 GMT\r\n{after}");
                client.write_all(answer.as_bytes()).await
            });
        }
    });
    Ok(url)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong_is_found() -> Result<()> {
    let clinic = Clinic::open().await?;
    let config = clinic.edited(&clinic.whatsapp.graph_url(), &through_time(&clinic).await?)?;
    let outcome = clinic.run_with(&["doctor"], &config, &[], "").await?;
    ensure_says(&outcome, "clock", "FAULT", &["s ahead of that of the Graph API", "by NTP", "1 fault(s)"])?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_our_own_making_is_no_certificate() -> Result<()> {
    let made = rcgen::generate_simple_self_signed(["calls.example.com".to_owned()])?;
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let clinic = Clinic::open_with(|text, folder| {
        let (chain_file, key_file) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
        fs::write(&chain_file, chain)?;
        fs::write(&key_file, key)?;
        let tls =
            format!("tls = {{ certificate = {chain_file:?}, key = {key_file:?} }}\npublic_url = \"https:");
        Ok(text.replace("public_url = \"http:", &tls))
    })
    .await?;
    let outcome = clinic.run(&["doctor"]).await?;
    ensure_says(&outcome, "verification", "FAULT", &["no trust (TLS): invalid peer certificate"])?;
    Ok(())
}
