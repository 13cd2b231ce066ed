//! `wa-bridge call-settings`: reads and writes the calling settings of a number. This is IO.

pub mod change;
pub mod show;

use anyhow::Context as _;

use crate::config::{Config, Number};
use crate::doctor::ask::client;
use change::Wanted;

/// The number that is meant, by its id or as it is displayed; the only one where none is named.
///
/// # Errors
/// What to write instead.
pub fn number<'a>(config: &'a Config, named: Option<&str>) -> Result<&'a Number, String> {
    let known = || {
        let numbers = config.numbers.iter();
        let known: Vec<_> =
            numbers.map(|number| format!("{} (+{})", number.phone_number_id, number.display)).collect();
        known.join(", ")
    };
    let Some(named) = named else {
        return match config.numbers.as_slice() {
            [number] => Ok(number),
            _ => Err(format!("there are several numbers: write --number with one of {}", known())),
        };
    };
    let digits = named.strip_prefix('+').unwrap_or(named);
    let is_it = |number: &&Number| number.phone_number_id.as_str() == named || number.display == digits;
    let found = config.numbers.iter().find(is_it);
    found.ok_or_else(|| format!("--number {named:?} is not configured: write one of {}", known()))
}

/// Prints them.
///
/// # Errors
/// What Graph says.
pub async fn get(config: &Config, number: &Number, json: bool) -> anyhow::Result<()> {
    // Two providers are compiled in by different libraries; rustls wants to be told.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let settings = client(config)?.settings(&number.phone_number_id, &number.token.current()).await?;
    if json {
        println!("{:#}", show::json(&settings));
    } else {
        println!("Number +{} ({})", number.display, number.phone_number_id);
        print!("{}", show::text(&settings));
    }
    Ok(())
}

/// Changes them, one request each, showing before and after; then prints what Graph has now.
///
/// # Errors
/// The first change that Graph refuses; those before it are made.
pub async fn set(config: &Config, number: &Number, wanted: &Wanted) -> anyhow::Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (client, token) = (client(config)?, number.token.current());
    let id = &number.phone_number_id;
    let before = client.settings(id, &token).await?;
    let changes = change::changes(wanted, &before, number.hours.as_deref()).map_err(anyhow::Error::msg)?;
    if changes.is_empty() {
        println!("Nothing to change.");
    }
    for change in &changes {
        println!("{}: {} -> {}", change.name, change.before, change.after);
        client.set_settings(id, &token, &change.change).await.context(change.name)?;
    }
    get(config, number, false).await
}
