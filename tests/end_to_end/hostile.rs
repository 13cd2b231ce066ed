//! Garbage from every side, while a call goes on.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use end_to_end::{GAP, PATIENCE, at_rest, desk, ends_of};
use sandbox::desk::Desk;
use sandbox::pbx::{Codec, DialOptions, PhoneCall};
use sandbox::runner::heard_by;
use sandbox::whatsapp::{
    Action, ApiError, CallHandle, CallState, GraphFault, UserCall, WebhookFaults, WhatsAppConfig,
};
use tokio::net::UdpSocket;

const PBX_HZ: f64 = 620.0;

/// Longer than the garbage lasts.
const LISTEN: Duration = Duration::from_secs(3);
/// How often each piece of garbage is sent.
const ROUNDS: usize = 100;

async fn talking(desk: &Desk) -> Result<(PhoneCall, CallHandle)> {
    let options =
        DialOptions { codecs: Some(vec![Codec::Pcmu]), tone_hz: Some(PBX_HZ), ..DialOptions::default() };
    let call = desk.phone.dial_with("15550000001", options).await?;
    call.answered(PATIENCE).await?;
    Ok((call, desk.whatsapp.call_to("15550000001").await))
}

/// The media addresses of the bridge, from the SDP that it sent.
fn media_ports(desk: &Desk) -> Vec<u16> {
    let messages = desk.phone.messages().into_iter();
    let answers: String = messages.filter(|message| message.starts_with("SIP/2.0 200")).collect();
    let offers: String = desk.whatsapp.requests().iter().map(|r| r.body.to_string()).collect();
    let text = format!("{answers}\n{}", offers.replace("\\r\\n", "\n"));
    let ports = text.lines().filter_map(|line| line.strip_prefix("m=audio "));
    ports.filter_map(|line| line.split(' ').next()?.parse().ok()).collect()
}

async fn metric(desk: &Desk, name: &str) -> Result<f64> {
    let url = format!("http://{}/metrics", desk.bridge.admin_addr());
    let text = reqwest::get(url).await?.text().await?;
    let line = text.lines().find(|line| line.starts_with(name)).context(name.to_owned())?;
    line.rsplit(' ').next().unwrap_or_default().parse().context("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_leaves_a_call_undisturbed() -> Result<()> {
    let desk = desk().await?;
    let (call, user) = talking(&desk).await?;
    let stranger = UdpSocket::bind("127.0.0.1:0").await?;
    let rtp: Vec<u8> = [0x80, 0, 0, 1, 0, 0, 0, 160, 9, 9, 9, 9].into_iter().chain([0x55; 160]).collect();
    let pieces: [&[u8]; 7] = [
        b"",
        b"\r\n\r\n",
        b"INVITE sip:x SIP/2.0\r\n\r\n",
        b"BYE sip:1001@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: nobody\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
        &[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
        &[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0],
        &rtp,
    ];
    let ports = media_ports(&desk);
    ensure!(ports.len() >= 2, "one towards the PBX and one towards WhatsApp: {ports:?}");
    let garbage = async {
        // Spread over the time that is listened to.
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        for _ in 0..ROUNDS {
            pace.tick().await;
            for piece in pieces {
                stranger.send_to(piece, desk.bridge.sip_addr()).await?;
                for port in &ports {
                    stranger.send_to(piece, ("127.0.0.1", *port)).await?;
                }
            }
        }
        Ok(())
    };
    let listening = async { Ok::<_, anyhow::Error>(call.hears(user.tone_hz(), LISTEN, PATIENCE).await?) };
    let (at_pbx, ()) = tokio::try_join!(listening, garbage)?;
    ensure!(at_pbx.is_tone(user.tone_hz()) && at_pbx.gaps.is_empty(), "{at_pbx:?}");
    let at_user = heard_by(&user.heard()).judged(GAP).await.context("silence")?;
    ensure!(at_user.is_tone(PBX_HZ) && at_user.gaps.is_empty(), "{at_user:?}");
    for (counter, at_least) in [
        ("wa_bridge_traffic_total{part=\"sip\",what=\"unparsable\"}", 1.0),
        ("wa_bridge_traffic_total{part=\"media\",what=\"stranger\"}", 100.0),
    ] {
        let value = metric(&desk, counter).await?;
        ensure!(value >= at_least, "{counter} {value}");
    }
    call.hang_up();
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_webhooks_are_refused_and_counted() -> Result<()> {
    let desk = desk().await?;
    let send = |body: &'static [u8], signature: Option<&str>| {
        desk.whatsapp.send_raw_webhook(body.to_vec(), signature.map(str::to_owned))
    };
    let answer = |result: Result<u16, String>| result.map_err(|error| anyhow::anyhow!(error));
    ensure!(answer(send(b"{", None).await)? == 400);
    ensure!(answer(send(b"{}", Some("sha256=00")).await)? == 401);
    ensure!(answer(send(b"{}", Some("")).await)? == 401);
    ensure!(desk.whatsapp.verify_webhook_with("wrong").await.is_err());
    // A call that nobody here knows is none of our business.
    let unknown =
        br#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"calls","value":
        {"messaging_product":"whatsapp","metadata":{"phone_number_id":"1","display_phone_number":"1"},
         "calls":[{"id":"wacid.unknown","event":"terminate","direction":"USER_INITIATED","timestamp":"1"}],
         "statuses":[{"id":"wacid.unknown","type":"call","status":"RINGING","timestamp":"1"}]}}]}]}"#;
    ensure!(answer(send(unknown, None).await)? == 200);
    let refused = metric(&desk, "wa_bridge_traffic_total{part=\"webhook\",what=\"bad_signature\"}");
    ensure!(refused.await? >= 2.0);
    let (call, _) = talking(&desk).await?;
    call.hang_up();
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_that_is_none_is_rejected_until_the_call_is_over() -> Result<()> {
    let desk = desk().await?;
    // The user's own webhook is refused for its signature; the one with the broken offer takes its place.
    let webhooks = WebhookFaults { bad_signature: true, ..WebhookFaults::default() };
    let user = UserCall { webhooks, ..UserCall::new("15550000100", "Ada Lovelace") };
    let user = desk.whatsapp.call_business(user).map_err(|error| anyhow::anyhow!(error))?;
    let outage = ApiError::new(503, 2, "Service temporarily unavailable", "try again");
    desk.whatsapp.fail_next(Action::Reject, 1, &GraphFault::Error(outage));
    let broken = r#"{"entry":[{"changes":[{"field":"calls","value":{"metadata":{"phone_number_id":"NUMBER"},
        "calls":[{"id":"WACID","event":"connect","direction":"USER_INITIATED","from":"15550000100",
        "session":{"sdp_type":"offer","sdp":"v=0\\r\\nm=audio nonsense"}}]}}]}]}"#;
    let number = WhatsAppConfig::new("").phone_number_id;
    let broken = broken.replace("NUMBER", &number).replace("WACID", user.wacid());
    let answer = desk.whatsapp.send_raw_webhook(broken.into_bytes(), None).await;
    ensure!(answer == Ok(200), "{answer:?}");
    user.wait_for(CallState::Ended, PATIENCE).await?;
    at_rest(&desk).await?;
    let ends = ends_of(&desk, user.wacid());
    ensure!(ends.iter().map(|end| end.status).collect::<Vec<_>>() == [503, 200], "{ends:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unlisted_source_gets_no_answer() -> Result<()> {
    let desk = Desk::start(sandbox::desk::DeskConfig {
        sources: vec!["127.0.0.1".to_owned()],
        ..sandbox::desk::DeskConfig::default()
    })
    .await?;
    let stranger = UdpSocket::bind("127.0.0.9:0").await?;
    let options = b"OPTIONS sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.9;branch=z9hG4bKx;rport\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: scan\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n";
    stranger.send_to(options, desk.bridge.sip_addr()).await?;
    // The answer to a listed one comes after the stranger's would have.
    ensure!(desk.phone.options(PATIENCE).await? == 200);
    let mut buffer = [0; 2048];
    let byte = stranger.try_recv(&mut buffer);
    ensure!(byte.is_err(), "the stranger got an answer");
    ensure!(metric(&desk, "wa_bridge_traffic_total{part=\"sip\",what=\"not_allowed\"}").await? == 1.0);
    Ok(())
}
