//! Our relay in a process of its own: the product's `Relay` and nothing in front of it. It is told what to do by
//! lines on its standard input, and answers each with a line.

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result, bail};
use media_relay::sdp::{pbx, whatsapp};
use media_relay::{AudioSession, Complexity, Relay, RelayConfig, SessionOptions, Side, WaRole};

struct Call {
    session: AudioSession,
    plain: pbx::Media,
    plain_answer: String,
}

/// Serves until the input ends.
pub(crate) fn serve(complexity: Option<u8>) -> Result<()> {
    let relay = Relay::start(config(complexity))?;
    let mut calls = HashMap::new();
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let answer = command(&relay, &mut calls, &line?)?;
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

/// One worker, because the process has one core.
fn config(complexity: Option<u8>) -> RelayConfig {
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let side = |ports| Side { bind: here, advertised: here, ports };
    RelayConfig {
        pbx: side(20_000..=29_999),
        whatsapp: side(10_000..=19_999).into(),
        workers: 1,
        opus_complexity: complexity.map_or(Complexity::Measured, Complexity::Fixed),
        port_rest: RelayConfig::DEFAULT_PORT_REST,
    }
}

fn command(relay: &Relay, calls: &mut HashMap<u32, Call>, line: &str) -> Result<String> {
    let mut words = line.split(' ');
    let name = words.next().unwrap_or_default();
    let mut number = || words.next().unwrap_or_default().parse::<u32>();
    match name {
        "offer" => {
            let (number, sdp) = (number()?, sdp(words.next())?);
            let call = offer(relay, number, &sdp)?;
            let theirs = hex::encode(call.session.whatsapp_offer());
            calls.insert(number, call);
            Ok(theirs)
        }
        "answer" => {
            let (number, sdp) = (number()?, sdp(words.next())?);
            let call = calls.get(&number).context("an unknown call")?;
            call.session.connect_whatsapp(whatsapp::parse(&sdp)?, WaRole::WeOffered);
            call.session.connect_pbx(call.plain.clone());
            Ok(hex::encode(&call.plain_answer))
        }
        "open" => {
            calls.values().for_each(|call| call.session.open());
            Ok("ok".to_owned())
        }
        "close" => {
            calls.clear();
            Ok("ok".to_owned())
        }
        other => bail!("an unknown command: {other}"),
    }
}

fn offer(relay: &Relay, number: u32, sdp: &str) -> Result<Call> {
    let session = relay.open(&SessionOptions::default(), Box::new(|_| {}))?;
    let offer = pbx::parse_offer(sdp.as_bytes())?;
    let preference = [pbx::Codec::Opus, pbx::Codec::Pcmu];
    let origin = pbx::Origin::first(number.into());
    let (plain_answer, plain) = pbx::answer(&offer, session.pbx_address(), origin, &preference)?;
    Ok(Call { session, plain, plain_answer })
}

fn sdp(word: Option<&str>) -> Result<String> {
    Ok(String::from_utf8(hex::decode(word.context("no session description")?)?)?)
}
