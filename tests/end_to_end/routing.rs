//! Who calls whom: announcements as they are heard, routes, user ids, the number that calls.

use std::f64::consts::TAU;
use std::io;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use end_to_end::{PATIENCE, at_rest, desk, desk_with, requests, wait_for};
use sandbox::desk::{Desk, DeskConfig};
use sandbox::pbx::{DialOptions, Ending};
use sandbox::runner::heard_by;
use sandbox::whatsapp::{Action, BusinessNumber, CallHandle, CallState, Timings, UserCall, WhatsAppConfig};

const CALLER: &str = "15550000100";
const ANNOUNCED_HZ: f64 = 620.0;
const ANNOUNCED_MS: u32 = 1600;

fn user_call() -> UserCall {
    UserCall::new(CALLER, "Ada Lovelace")
}

fn calls(desk: &Desk, call: UserCall) -> Result<CallHandle> {
    desk.whatsapp.call_business(call).map_err(|error| anyhow!(error))
}

/// A WAV file with a tone: PCM of 16 bits, mono.
fn recording(rate: u32) -> io::Result<tempfile::NamedTempFile> {
    let count = rate / 1000 * ANNOUNCED_MS;
    let mut bytes = Vec::new();
    for part in [&b"RIFF"[..], &(36 + 2 * count).to_le_bytes(), b"WAVEfmt ", &16_u32.to_le_bytes()] {
        bytes.extend_from_slice(part);
    }
    let (pcm, mono, frame, bits) = (1_u16, 1_u16, 2_u16, 16_u16);
    bytes.extend([pcm, mono].iter().flat_map(|value| value.to_le_bytes()));
    bytes.extend([rate, 2 * rate].iter().flat_map(|value| value.to_le_bytes()));
    bytes.extend([frame, bits].iter().flat_map(|value| value.to_le_bytes()));
    bytes.extend_from_slice(b"data");
    bytes.extend((2 * count).to_le_bytes());
    let step = TAU * ANNOUNCED_HZ / f64::from(rate);
    let samples = (0..count).map(|at| ((f64::from(at) * step).sin() * 8000.0) as i16);
    bytes.extend(samples.flat_map(i16::to_le_bytes));
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), bytes)?;
    Ok(file)
}

/// The user hears the recording from its beginning to its end, once, and then the call is terminated.
async fn hears_the_announcement(desk: &Desk, user: &CallHandle) -> Result<()> {
    user.wait_for(CallState::Ended, PATIENCE).await?;
    at_rest(desk).await?;
    let heard = heard_by(&user.heard());
    let lasts = heard.lasting(ANNOUNCED_HZ).as_millis();
    let whole = u128::from(ANNOUNCED_MS);
    ensure!((whole - 60..=whole + 60).contains(&lasts), "{lasts} ms of the announcement were heard");
    ensure!(requests(desk, Action::Terminate) == 1 && requests(desk, Action::Reject) == 0);
    Ok(())
}

async fn metrics(desk: &Desk) -> Result<String> {
    Ok(reqwest::get(format!("http://{}/metrics", desk.bridge.admin_addr())).await?.text().await?)
}

/// Calls from WhatsApp that ended so.
async fn ended(desk: &Desk, cause: &str) -> Result<bool> {
    Ok(metrics(desk).await?.contains(&format!("{{cause=\"{cause}\",direction=\"wa_to_sip\"")))
}

fn invites(desk: &Desk) -> usize {
    desk.phone.messages().iter().filter(|message| message.starts_with("INVITE ")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn outside_of_the_hours_the_caller_hears_so() -> Result<()> {
    let file = recording(16_000)?;
    let path = file.path().display().to_string();
    let edit = move |text: String| {
        let hours = "[[hours]]\nname = \"never\"\ntimezone = \"Europe/Berlin\"\n";
        text.replace(
            "destination = \"1001\"",
            &format!("hours = \"never\"\nclosed_announcement = \"{path}\"\n{hours}"),
        )
    };
    let desk = desk_with(edit, Timings::quick()).await?;
    let user = calls(&desk, user_call())?;
    hears_the_announcement(&desk, &user).await?;
    ensure!(invites(&desk) == 0, "nobody rings");
    ensure!(ended(&desk, "closed_hours").await?, "{}", metrics(&desk).await?);
    Ok(())
}

/// A desk whose only target refuses connections; `more` is added to its number.
async fn without_pbx(more: String) -> Result<Desk> {
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    let edit = move |text: String| {
        let line = |line: &str| match line.split(" = ").next() {
            Some("target") => format!(
                "target = \"sip:{nobody};transport=tcp\"\nhealth = {{ interval_s = 5, down_after = 1 }}\n"
            ),
            Some("destination") => format!("{more}\n"),
            _ => format!("{line}\n"),
        };
        let listeners = "[[sip.listener]]\ntransport = \"udp\"\nbind = \"127.0.0.1:0\"\n\
                         [[sip.listener]]\ntransport = \"tcp\"\n";
        text.replacen("[sip]\n", listeners, 1).lines().map(line).collect()
    };
    let desk = desk_with(edit, Timings::quick()).await?;
    for _ in 0..200 {
        if metrics(&desk).await?.contains("wa_bridge_trunk_up{trunk=\"pbx\"} 0") {
            return Ok(desk);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("the target never was down: {}", metrics(&desk).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn when_no_pbx_is_up_the_caller_hears_so() -> Result<()> {
    for rate in [8000, 48_000] {
        let file = recording(rate)?;
        let path = file.path().display();
        let desk =
            without_pbx(format!("no_pbx = \"announcement\"\nno_pbx_announcement = \"{path}\"")).await?;
        let user = calls(&desk, user_call())?;
        hears_the_announcement(&desk, &user).await?;
        ensure!(ended(&desk, "no_target").await?, "{}", metrics(&desk).await?);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn when_no_pbx_is_up_the_caller_is_rejected_at_once() -> Result<()> {
    let desk = without_pbx(String::new()).await?;
    let user = calls(&desk, user_call())?;
    user.wait_for(CallState::Ended, Duration::from_secs(3)).await?;
    at_rest(&desk).await?;
    ensure!(requests(&desk, Action::Reject) == 1 && requests(&desk, Action::PreAccept) == 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_hangs_up_during_the_announcement_ends_it() -> Result<()> {
    let file = recording(8000)?;
    let route = format!("[[route]]\nannouncement = \"{}\"\n", file.path().display());
    let desk = desk_with(move |text| text + &route, Timings::quick()).await?;
    let user = calls(&desk, user_call())?;
    wait_for("the announcement", || {
        heard_by(&user.heard()).lasting(ANNOUNCED_HZ) > Duration::from_millis(300)
    })
    .await?;
    user.hang_up();
    at_rest(&desk).await?;
    ensure!(requests(&desk, Action::Terminate) == 0, "the call is over");
    ensure!(ended(&desk, "announced").await?, "{}", metrics(&desk).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_by_the_payload_of_a_button_leads_elsewhere() -> Result<()> {
    let routes = "[[route]]\ncta_payload = \"support*\"\ndestination = \"300\"\n";
    let desk = desk_with(|text| text + routes, Timings::quick()).await?;
    for (payload, destination) in
        [(Some("support-de"), "sip:300@"), (Some("sales"), "sip:1001@"), (None, "sip:1001@")]
    {
        let user = calls(&desk, UserCall { cta_payload: payload.map(str::to_owned), ..user_call() })?;
        let call = desk.phone.incoming(PATIENCE).await?;
        let messages = desk.phone.messages();
        let invite = messages.iter().rfind(|message| message.starts_with("INVITE ")).context("no INVITE")?;
        ensure!(invite.starts_with(&format!("INVITE {destination}")), "{payload:?}: {invite}");
        ensure!(call.invite_header("x-wa-meta-cta-payload").as_deref() == payload);
        user.hang_up();
        call.ended(PATIENCE).await?;
        at_rest(&desk).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_a_number_is_called_back() -> Result<()> {
    let desk = desk().await?;
    let bsuid = "br.ENT.AbC123xYz";
    let user = calls(&desk, UserCall { bsuid: Some(bsuid.to_owned()), ..user_call() })?;
    let call = desk.phone.incoming(PATIENCE).await?;
    let from = call.number().to_owned();
    ensure!(from == bsuid, "From is {from}");
    ensure!(call.invite_header("P-Asserted-Identity").is_none(), "there is no number to assert");
    user.hang_up();
    call.ended(PATIENCE).await?;
    // As the phone's list of missed calls does it, and once with every letter that may be escaped.
    for dialled in [from, "br%2EENT%2E%41bC123xYz".to_owned()] {
        let back = desk.phone.dial(&dialled).await?;
        back.answered(PATIENCE).await?;
        let user = desk.whatsapp.call_to(bsuid).await;
        let asked = desk.whatsapp.requests();
        let connect = asked.iter().rfind(|one| one.action == Some(Action::Connect)).context("no connect")?;
        ensure!(connect.body["recipient"] == bsuid && connect.body["to"].is_null(), "{}", connect.body);
        back.hang_up();
        user.wait_for(CallState::Ended, PATIENCE).await?;
    }
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_chooses_the_number_that_calls() -> Result<()> {
    let default = WhatsAppConfig::new(String::new());
    let more_numbers =
        vec![BusinessNumber { phone_number_id: "1067".to_owned(), display_number: "15559990002".to_owned() }];
    let more = "\n[[number]]\nphone_number_id = \"1067\"\ndisplay = \"15559990002\"\n\
                token = { env = \"SANDBOX_TOKEN\" }\ntrunk = \"pbx\"\n";
    let edit = Box::new(move |text: String| {
        text.replacen("[[number]]", "number_header = \"X-WA-Number\"\ncountry = \"DE\"\n[[number]]", 1) + more
    });
    let whatsapp = WhatsAppConfig { more_numbers, timings: Timings::quick(), ..default };
    let first = whatsapp.display_number.clone();
    let desk = Desk::start(DeskConfig { edit, whatsapp, ..DeskConfig::default() }).await?;
    let second = "15559990002";
    for (value, expected) in [(Some("+15559990002"), second), (Some("1067"), second), (None, first.as_str())]
    {
        let headers = value.map(|value| ("X-WA-Number".to_owned(), value.to_owned())).into_iter().collect();
        let options = DialOptions { headers, ..DialOptions::default() };
        // A national number, because the trunk has a country.
        let call = desk.phone.dial_with("015112345678", options).await?;
        call.answered(PATIENCE).await?;
        let user = desk.whatsapp.call_to("4915112345678").await;
        ensure!(user.business_number() == expected, "{value:?}: {}", user.business_number());
        call.hang_up();
        user.wait_for(CallState::Ended, PATIENCE).await?;
    }
    let headers = vec![("X-WA-Number".to_owned(), "+15559990003".to_owned())];
    let call =
        desk.phone.dial_with("015112345678", DialOptions { headers, ..DialOptions::default() }).await?;
    ensure!(matches!(call.ended(PATIENCE).await?, Ending::Rejected { status: 403, .. }));
    ensure!(requests(&desk, Action::Connect) == 3, "nobody was called with another number");
    at_rest(&desk).await
}
