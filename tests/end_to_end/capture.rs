//! A call is captured on order, and its file says what went over the wire.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use end_to_end::{PATIENCE, at_rest, both_hear, desk_with, wait_for};
use sandbox::desk::Desk;
use sandbox::opus::Decoder;
use sandbox::pbx::{Codec, DialOptions, PhoneCall};
use sandbox::tone::dominant;
use sandbox::whatsapp::{CallHandle, CallState, Timings};

const PBX_HZ: f64 = 620.0;
const WANTED: &str = "15550000001";
const OTHER: &str = "18880000001";

/// A UDP datagram of a capture.
struct Datagram {
    from: SocketAddr,
    to: SocketAddr,
    payload: Vec<u8>,
}

/// The datagrams of a classic pcap file of IPv4 packets.
fn read(file: &Path) -> Result<Vec<Datagram>> {
    let bytes = fs::read(file)?;
    ensure!(bytes.get(..4) == Some(&[0xd4, 0xc3, 0xb2, 0xa1]), "no pcap of microseconds");
    ensure!(bytes.get(20..24) == Some(&[101, 0, 0, 0]), "not of IP packets");
    let (mut rest, mut found) = (&bytes[24..], Vec::new());
    while !rest.is_empty() {
        let length = u32::from_le_bytes(rest.get(8..12).context("half a record")?.try_into()?) as usize;
        let packet = rest.get(16..16 + length).context("half a packet")?;
        ensure!(packet[0] == 0x45 && packet[9] == 17, "no UDP over IPv4");
        let address = |ip: usize, port: usize| {
            let ip = Ipv4Addr::new(packet[ip], packet[ip + 1], packet[ip + 2], packet[ip + 3]);
            SocketAddr::new(ip.into(), u16::from_be_bytes([packet[port], packet[port + 1]]))
        };
        let (from, to) = (address(12, 20), address(16, 22));
        found.push(Datagram { from, to, payload: packet[28..].to_vec() });
        rest = &rest[16 + length..];
    }
    Ok(found)
}

/// The RTP payloads of each stream, by its addresses and payload type.
fn streams(datagrams: &[Datagram]) -> BTreeMap<(SocketAddr, SocketAddr, u8), Vec<Vec<u8>>> {
    let mut streams = BTreeMap::<_, Vec<_>>::new();
    let is_rtp = |one: &&Datagram| one.payload[0] == 0x80 && !(64..96).contains(&(one.payload[1] & 0x7f));
    for one in datagrams.iter().filter(is_rtp) {
        let key = (one.from, one.to, one.payload[1] & 0x7f);
        streams.entry(key).or_default().push(one.payload[12..].to_vec());
    }
    streams
}

/// ITU-T G.711, mu-law.
fn linear(code: u8) -> i16 {
    let code = !code;
    let (exponent, mantissa) = ((code >> 4) & 7, i16::from(code & 15));
    let level = ((2 * mantissa + 33) << exponent) - 33;
    4 * if code & 0x80 == 0 { level } else { -level }
}

/// The loudest frequency of a stream.
fn hz(payload_type: u8, payloads: &[Vec<u8>]) -> Result<f64> {
    if payload_type == 0 {
        let samples: Vec<i16> = payloads.concat().into_iter().map(linear).collect();
        return Ok(dominant(&samples, 8000));
    }
    let (mut decoder, mut samples) = (Decoder::new(16_000)?, Vec::new());
    for payload in payloads {
        samples.extend_from_slice(decoder.decode(payload).context("this is no Opus in the clear")?);
    }
    Ok(dominant(&samples, 16_000))
}

async fn admin(desk: &Desk, method: reqwest::Method, query: &str) -> Result<(u16, String)> {
    let url = format!("http://{}/capture{query}", desk.bridge.admin_addr());
    let answer = reqwest::Client::new().request(method, url).send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

async fn talk(desk: &Desk, number: &str) -> Result<(PhoneCall, CallHandle)> {
    let options =
        DialOptions { codecs: Some(vec![Codec::Pcmu]), tone_hz: Some(PBX_HZ), ..DialOptions::default() };
    let call = desk.phone.dial_with(number, options).await?;
    call.answered(PATIENCE).await?;
    let user = desk.whatsapp.call_to(number).await;
    both_hear(&call, &user, PBX_HZ).await?;
    call.hang_up();
    call.ended(PATIENCE).await?;
    // Who is still in a call cannot be called.
    user.wait_for(CallState::Ended, PATIENCE).await?;
    Ok((call, user))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Both directions of both sides, each with the tone of its end.
fn judge_sound(datagrams: &[Datagram], user_hz: f64) -> Result<()> {
    let streams = streams(datagrams);
    let long: Vec<_> = streams.iter().filter(|(_, payloads)| payloads.len() >= 75).collect();
    ensure!(long.len() == 4, "{:?}", streams.iter().map(|(key, all)| (key, all.len())).collect::<Vec<_>>());
    let mut tones = Vec::new();
    for ((_, _, payload_type), payloads) in long {
        let hz = hz(*payload_type, payloads)?;
        tones.push((*payload_type == 0, (hz - PBX_HZ).abs() < 10.0));
        ensure!((hz - PBX_HZ).abs() < 10.0 || (hz - user_hz).abs() < 10.0, "{hz} of {payload_type}");
    }
    tones.sort_unstable();
    ensure!(tones == [(false, false), (false, true), (true, false), (true, true)], "{tones:?}");
    Ok(())
}

/// What Wireshark makes of it, where it is installed.
fn judge_by_tshark(file: &Path) -> Result<()> {
    let tshark = |arguments: &[&str]| Command::new("tshark").arg("-r").arg(file).args(arguments).output();
    let Ok(sip) = tshark(&["-Y", "sip", "-T", "fields", "-e", "sip.Method"]) else {
        return Ok(());
    };
    let methods = String::from_utf8_lossy(&sip.stdout);
    ensure!(["INVITE", "ACK", "BYE"].iter().all(|name| methods.contains(name)), "{methods}");
    let rtp = tshark(&["-q", "-z", "rtp,streams"]).context("tshark")?;
    let text = String::from_utf8_lossy(&rtp.stdout);
    let found = text.lines().filter(|line| line.contains("g711U")).count();
    ensure!(found == 2, "the two streams of the PBX are known by their SDP: {text}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_call_of_a_number_is_captured_with_its_sip_and_its_sound_in_the_clear() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().to_owned();
    let desk =
        desk_with(move |text| format!("{text}\n[capture]\nfolder = {path:?}\n"), Timings::quick()).await?;
    let (status, text) = admin(&desk, reqwest::Method::POST, "?calls=1&trunk=nowhere").await?;
    ensure!(status == 400 && text.contains("no trunk"), "{status} {text}");
    let (status, text) =
        admin(&desk, reqwest::Method::POST, &format!("?calls=1&trunk=pbx&number=%2B{WANTED}")).await?;
    ensure!(status == 200 && text.contains("1 are to be"), "{status} {text}");

    talk(&desk, OTHER).await?;
    ensure!(files(folder.path()).is_empty(), "another number was captured");
    let (call, user) = talk(&desk, WANTED).await?;
    let user_hz = user.tone_hz();
    talk(&desk, WANTED).await?;
    let (_, text) = admin(&desk, reqwest::Method::GET, "").await?;
    ensure!(text.contains("0 calls are captured, 0 are to be"), "{text}");
    at_rest(&desk).await?;

    let found = files(folder.path());
    let [file] = &found[..] else { anyhow::bail!("one call was ordered: {found:?}") };
    ensure!(fs::metadata(file)?.permissions().mode() & 0o777 == 0o600);
    let bye = format!("Call-ID: {}", call.call_id());
    let sip = |datagrams: &[Datagram]| -> Vec<String> {
        let all = datagrams.iter().map(|one| String::from_utf8_lossy(&one.payload).into_owned());
        all.filter(|text| text.contains("SIP/2.0") && text.contains(&bye)).collect()
    };
    let is_whole = || read(file).is_ok_and(|all| sip(&all).iter().any(|text| text.starts_with("BYE")));
    wait_for("the BYE in the file", is_whole).await?;
    let datagrams = read(file)?;
    let messages = sip(&datagrams);
    for begin in ["INVITE", "SIP/2.0 180", "SIP/2.0 200", "ACK", "BYE"] {
        ensure!(messages.iter().any(|text| text.starts_with(begin)), "no {begin}: {messages:#?}");
    }
    judge_sound(&datagrams, user_hz)?;
    judge_by_tshark(file)
}
