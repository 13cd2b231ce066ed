//! `wa-bridge call-settings`.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::clinic::Clinic;

#[tokio::test(flavor = "multi_thread")]
async fn all_settings_are_shown_and_each_can_be_set() -> Result<()> {
    let clinic = Clinic::open().await?;
    let id = clinic.meta.phone_number_id.clone();
    let holidays = json!([{ "date": "2026-12-25", "start_time": "0000", "end_time": "2359" }]);
    let hours = json!({ "status": "DISABLED", "holiday_schedule": holidays });
    clinic.whatsapp.set_setting(&id, "call_hours", hours);
    let outcome = clinic.run(&["call-settings", "get"]).await?;
    ensure!(outcome.status == 0 && outcome.text.contains("  calling              ENABLED\n"), "{outcome:?}");

    let all = [
        "call-settings",
        "set",
        "--number",
        &id,
        "--status",
        "off",
        "--icon",
        "disable_all",
        "--callback",
        "off",
        "--codecs",
        "pcma,pcmu",
        "--key-exchange",
        "sdes",
        "--hours",
        "configured",
    ];
    let outcome = clinic.run(&all).await?;
    ensure!(outcome.status == 0 && outcome.text.contains("calling: ENABLED -> DISABLED\n"), "{outcome:?}");
    let settings = clinic.whatsapp.settings(&id);
    ensure!(
        settings["status"] == "DISABLED" && settings["call_icon_visibility"] == "DISABLE_ALL",
        "{settings}"
    );
    ensure!(settings["callback_permission_status"] == "DISABLED", "{settings}");
    ensure!(settings["audio"]["additional_codecs"] == json!(["PCMA", "PCMU"]), "{settings}");
    ensure!(settings["srtp_key_exchange_protocol"] == "SDES", "{settings}");
    let hours = &settings["call_hours"];
    ensure!(hours["timezone_id"] == "Europe/Berlin" && hours["holiday_schedule"] == holidays, "{hours}");
    let friday = json!({ "day_of_week": "FRIDAY", "open_time": "0900", "close_time": "1800" });
    ensure!(hours["weekly_operating_hours"][4] == friday, "{hours}");

    let outcome = clinic.run(&["call-settings", "get", "--json"]).await?;
    let shown: serde_json::Value = serde_json::from_str(&outcome.text)?;
    ensure!(shown["calling"]["call_hours"]["holiday_schedule"] == holidays, "{shown}");
    let outcome = clinic.run(&all).await?;
    ensure!(outcome.status == 0 && outcome.text.starts_with("Nothing to change."), "{outcome:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_whatsapp_refuses_and_what_is_not_asked_for_end_badly() -> Result<()> {
    let clinic = Clinic::open().await?;
    let id = clinic.meta.phone_number_id.clone();
    clinic.whatsapp.set_setting(&id, "status", json!("DISABLED"));
    clinic.whatsapp.set_low_limit(&id, true);
    let outcome = clinic.run(&["call-settings", "set", "--status", "on"]).await?;
    ensure!(outcome.status == 1 && outcome.text.contains("138015"), "{outcome:?}");
    let outcome = clinic.run(&["call-settings", "set"]).await?;
    ensure!(outcome.status == 2 && outcome.text.contains("--status"), "{outcome:?}");
    let outcome = clinic.run(&["call-settings", "get", "--number", "1"]).await?;
    ensure!(outcome.status == 2 && outcome.text.contains(&id), "{outcome:?}");
    let config = clinic.edited("hours = \"office\"", "")?;
    let set = ["call-settings", "set", "--hours", "configured"];
    let outcome = clinic.run_with(&set, &config, &[], "").await?;
    ensure!(outcome.status == 1 && outcome.text.contains("number.hours"), "{outcome:?}");
    Ok(())
}
