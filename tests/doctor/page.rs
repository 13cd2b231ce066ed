//! docs/whatsapp-setup.md shows what the program prints.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::clinic::{Clinic, Outcome};

/// As a newcomer sees it, with names in place of this machine's addresses.
fn as_in_the_page(clinic: &Clinic, outcome: &Outcome) -> String {
    outcome
        .text
        .replace(&format!("http://{}:18080", clinic.ip), "https://calls.example.com")
        .replace(&clinic.whatsapp.graph_url(), "https://graph.facebook.com")
        .replace("Sandbox Ltd", "Example Ltd")
}

/// The block of the page after this line.
fn block(page: &str, command: &str) -> Result<String> {
    let (_, rest) =
        page.split_once(&format!("    $ {command}\n")).with_context(|| format!("no {command:?}"))?;
    let lines = rest.lines().take_while(|line| line.is_empty() || line.starts_with("    "));
    let text: Vec<_> = lines.map(|line| line.strip_prefix("    ").unwrap_or_default()).collect();
    Ok(text.join("\n").trim_end().to_owned() + "\n")
}

fn compare(page: &str, command: &str, shown: &str) -> Result<()> {
    let written = block(page, command).unwrap_or_default();
    ensure!(
        written == shown,
        "docs/whatsapp-setup.md shows for {command}\n{written}\nbut it prints\n{shown}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_what_is_printed() -> Result<()> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/whatsapp-setup.md");
    let page = fs::read_to_string(page)?;
    let clinic = Clinic::open().await?;
    let (whatsapp, id) = (&clinic.whatsapp, &clinic.meta.phone_number_id);
    let good = as_in_the_page(&clinic, &clinic.run(&["doctor"]).await?);
    let settings = as_in_the_page(&clinic, &clinic.run(&["call-settings", "get"]).await?);

    whatsapp.set_setting(id, "status", json!("DISABLED"));
    whatsapp.set_setting(id, "srtp_key_exchange_protocol", json!("SDES"));
    whatsapp.set_subscribed_apps(&[]);
    whatsapp.set_subscribed_fields(&["messages"]);
    let bad = as_in_the_page(&clinic, &clinic.run(&["doctor"]).await?);
    let fixed = as_in_the_page(&clinic, &clinic.run(&["doctor", "--fix", "--yes"]).await?);
    let (_, fixed) = fixed.split_once("Run it again").context("what to do")?;
    let (changes, _) = fixed.split_once("After the changes:").context("the changes")?;
    let (_, changes) = changes.split_once("\n\n").context("the changes")?;

    let command = "wa-bridge doctor --config wa-bridge.toml";
    compare(&page, &format!("{command}    # nothing is wrong"), &good)?;
    compare(&page, &format!("{command}    # a first try"), &bad)?;
    compare(&page, &format!("{command} --fix --yes"), &format!("...\n{}\n...\n", changes.trim_end()))?;
    compare(&page, "wa-bridge call-settings get --config wa-bridge.toml", &settings)
}
