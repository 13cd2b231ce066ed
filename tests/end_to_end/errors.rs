//! Every error code of WhatsApp, on each operation that it belongs to: what the PBX hears of it, what is counted,
//! who is alarmed, and that no call is left anywhere.

mod answers;
mod connect;
mod coverage;
mod others;
mod table;
mod webhooks;

use anyhow::{Context, Result, anyhow, ensure};
use end_to_end::{PATIENCE, at_rest};
use sandbox::desk::{Desk, DeskConfig};
use sandbox::pbx::{DialOptions, PhoneCall};
use sandbox::whatsapp::{BusinessNumber, CallHandle, Timings, UserCall, WhatsAppConfig};
use table::Case;

/// Business numbers, one for each case: what WhatsApp refuses one for holds no other.
fn numbers(count: usize) -> Vec<BusinessNumber> {
    let number = |index| BusinessNumber {
        phone_number_id: format!("2{index:05}"),
        display_number: format!("1555600{index:04}"),
    };
    (0..count).map(number).collect()
}

/// A desk with these numbers; the PBX chooses one by a header.
async fn desk_with(numbers: &[BusinessNumber], more: &str) -> Result<Desk> {
    let entry = |number: &BusinessNumber| {
        let BusinessNumber { phone_number_id, display_number } = number;
        format!(
            "\n[[number]]\nphone_number_id = \"{phone_number_id}\"\ndisplay = \"{display_number}\"\n\
             token = {{ env = \"SANDBOX_TOKEN\" }}\ntrunk = \"pbx\"\ndestination = \"1001\"\n"
        )
    };
    let more = numbers.iter().map(entry).collect::<String>() + more;
    let edit = Box::new(move |text: String| {
        text.replacen("[[number]]", "number_header = \"X-WA-Number\"\n[[number]]", 1) + &more
    });
    let default = WhatsAppConfig::new(String::new());
    let whatsapp = WhatsAppConfig { more_numbers: numbers.to_vec(), timings: Timings::quick(), ..default };
    Desk::start(DeskConfig { edit, whatsapp, ..DeskConfig::default() }).await
}

/// The PBX calls a user with one of the business numbers.
async fn dial(desk: &Desk, number: &BusinessNumber, user: &str) -> Result<PhoneCall> {
    let headers = vec![("X-WA-Number".to_owned(), number.phone_number_id.clone())];
    Ok(desk.phone.dial_with(user, DialOptions { headers, ..DialOptions::default() }).await?)
}

/// A user of his own calls one of the business numbers.
fn user_calls(
    desk: &Desk,
    number: &BusinessNumber,
    change: impl FnOnce(&mut UserCall),
) -> Result<CallHandle> {
    let mut call = UserCall::new(format!("15551{}", number.phone_number_id), "Ada Lovelace");
    call.to = Some(number.phone_number_id.clone());
    change(&mut call);
    desk.whatsapp.call_business(call).map_err(|error| anyhow!(error))
}

async fn metrics(desk: &Desk) -> Result<String> {
    Ok(reqwest::get(format!("http://{}/metrics", desk.bridge.admin_addr())).await?.text().await?)
}

/// How many calls have ended, of all and of those with these labels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Ended {
    all: u64,
    such: u64,
}

impl Ended {
    async fn count(desk: &Desk, cause: &str, direction: &str, outcome: &str) -> Result<Self> {
        let text = metrics(desk).await?;
        let labels = format!("{{cause=\"{cause}\",direction=\"{direction}\",outcome=\"{outcome}\"}} ");
        let sum = |labels: &str| {
            let counters = text.lines().filter_map(|line| line.strip_prefix("wa_bridge_calls_ended_total"));
            let counters = counters.filter(|rest| rest.starts_with(labels));
            counters.filter_map(|rest| rest.rsplit(' ').next()?.parse::<u64>().ok()).sum()
        };
        Ok(Self { all: sum("{"), such: sum(&labels) })
    }

    /// Waits until one more call has ended, and was counted under this cause.
    async fn one_more(self, desk: &Desk, cause: &str, direction: &str, outcome: &str) -> Result<()> {
        let expected = Self { all: self.all + 1, such: self.such + 1 };
        let limit = tokio::time::Instant::now() + PATIENCE;
        loop {
            let now = Self::count(desk, cause, direction, outcome).await?;
            if now == expected {
                return Ok(());
            }
            ensure!(now.all <= self.all && tokio::time::Instant::now() < limit, "{now:?}, not {expected:?}");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

/// The subject has the alarm of the case, and no other.
async fn alarmed(desk: &Desk, subject: &str, case: &Case) -> Result<()> {
    let text = metrics(desk).await?;
    let label = format!("subject=\"{subject}\"");
    let is_alarm = |line: &&str| line.starts_with("wa_bridge_alarm{") && line.contains(&label);
    let found: Vec<_> = text.lines().filter(is_alarm).collect();
    let expected: Vec<_> = case
        .alarm
        .iter()
        .map(|alarm| format!("wa_bridge_alarm{{alarm=\"{alarm}\",subject=\"{subject}\"}} 1"))
        .collect();
    ensure!(found == expected, "alarms {found:?}, not {expected:?}");
    Ok(())
}

/// The final response of a refused call says all that the case says: status, phrase, Reason, Retry-After and a
/// Warning for people.
fn refusal(desk: &Desk, call: &PhoneCall, case: &Case) -> Result<()> {
    let finals = call.finals();
    ensure!(finals == [case.status], "{finals:?}, not {}", case.status);
    let header = |name| call.header_of(case.status, name);
    ensure!(header("Reason") == Some(case.reason()), "{:?}", header("Reason"));
    let wait = case.retry_after.map(|seconds| seconds.to_string());
    ensure!(header("Retry-After") == wait, "Retry-After: {:?}", header("Retry-After"));
    let warning = header("Warning").context("no Warning")?;
    let text = warning.strip_prefix(&format!("399 wa-bridge \"{}. ", case.phrase));
    ensure!(text.is_some_and(|text| text.len() > 4 && text.ends_with('"')), "{warning}");
    let line = format!("SIP/2.0 {} {}\r\n", case.status, case.phrase);
    let messages = desk.phone.messages();
    let is_it = |message: &&String| message.starts_with(&line) && message.contains(call.call_id());
    ensure!(messages.iter().any(|message| is_it(&message)), "no {line:?}");
    Ok(())
}

/// Nothing is left of any call.
async fn over(desk: &Desk) -> Result<()> {
    at_rest(desk).await.context("not at rest")
}
