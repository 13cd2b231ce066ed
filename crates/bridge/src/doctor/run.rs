//! The command: asks, shows, mends, and asks again. This is IO.

use std::io::{self, BufRead as _, Write};

use anyhow::Context as _;
use wa_signaling::{GraphClient, PhoneNumberId};

use super::ask::{self, app_tokens, is_token};
use super::{Action, Level, Report, Subject, clean, json, judge, text};
use crate::config::Config;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// One number alone.
    pub number: Option<PhoneNumberId>,
    /// Change what can be changed.
    pub fix: bool,
    /// Without asking a person.
    pub yes: bool,
    /// For programs.
    pub json: bool,
}

/// Runs it: whether there is no fault, in the end.
///
/// # Errors
/// When nothing can be asked at all, or nothing can be written.
pub async fn run(config: &Config, options: &Options) -> anyhow::Result<bool> {
    let mut report = judge(&ask::ask(config, options.number.as_ref()).await?);
    if options.fix && !report.fixes().is_empty() {
        if !options.json {
            println!("{}", text(&report));
        }
        if mend(config, options, &report).await? {
            report = judge(&ask::ask(config, options.number.as_ref()).await?);
            say(options, "\nAfter the changes:\n")?;
        } else {
            return Ok(done(options, &report, false));
        }
    }
    Ok(done(options, &report, true))
}

fn done(options: &Options, report: &Report, show: bool) -> bool {
    if options.json {
        println!("{:#}", json(report));
    } else if show {
        print!("{}", text(report));
    }
    report.count(Level::Fault) == 0
}

/// Tells a person; for programs, beside their output.
fn say(options: &Options, line: &str) -> io::Result<()> {
    if options.json { writeln!(io::stderr(), "{line}") } else { writeln!(io::stdout(), "{line}") }
}

/// Makes the changes that are wanted: whether any was made.
async fn mend(config: &Config, options: &Options, report: &Report) -> anyhow::Result<bool> {
    let client = ask::client(config)?;
    let mut changed = false;
    for (subject, finding, fix) in report.fixes() {
        let (before, after) = (clean(&fix.before), clean(&fix.after));
        say(options, &format!("{}, {}: {before} -> {after}", subject.title(), finding.check))?;
        if !is_wanted(options, &fix.action)? {
            continue;
        }
        match apply(config, &client, subject, &fix.action).await {
            Ok(()) => say(options, "  changed")?,
            Err(error) => say(options, &format!("  not changed: {}", clean(&format!("{error:#}"))))?,
        }
        changed = true;
    }
    Ok(changed)
}

fn is_wanted(options: &Options, action: &Action) -> io::Result<bool> {
    if options.yes {
        let takes_over = matches!(action, Action::Subscribe { takes_over: true, .. });
        if takes_over {
            say(options, "  left: it takes the webhooks from another program; run without --yes to do that")?;
        }
        return Ok(!takes_over);
    }
    say(options, "  Change it? [y/N] ")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}

async fn apply(
    config: &Config,
    client: &GraphClient,
    subject: &Subject,
    action: &Action,
) -> anyhow::Result<()> {
    match action {
        Action::Setting(change) => {
            let Subject::Number(_, id) = subject else { anyhow::bail!("no number") };
            let id: PhoneNumberId = id.parse().context("the number's id")?;
            let number = config.number(&id).context("the number is not configured")?;
            Ok(client.set_settings(&id, &number.token.current(), change).await?)
        }
        Action::SubscribeApp { waba } => {
            let of_waba = |number: &&crate::config::Number| {
                number.waba_id.as_ref().or(config.graph.waba_id.as_ref()) == Some(waba)
            };
            let number = config.numbers.iter().find(of_waba).context("no number of this account")?;
            Ok(client.subscribe_app(waba, &number.token.current()).await?)
        }
        Action::Subscribe { url, fields, .. } => subscribe(config, client, url, fields).await,
    }
}

async fn subscribe(
    config: &Config,
    client: &GraphClient,
    url: &str,
    fields: &[String],
) -> anyhow::Result<()> {
    let id = config.graph.app_id.as_deref().context("graph.app_id is not written")?;
    let verify_token = config.webhook.verify_token.current();
    let fields: Vec<_> = fields.iter().map(String::as_str).collect();
    for token in app_tokens(config) {
        match client.set_subscription(id, &token, url, &verify_token, &fields).await {
            Err(error) if is_token(&error) => {}
            result => return Ok(result?),
        }
    }
    anyhow::bail!("no app secret is that of the app")
}
