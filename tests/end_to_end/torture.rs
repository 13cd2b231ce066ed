//! The messages of RFC 4475 and RFC 5118, each as one datagram to the real bridge.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use end_to_end::{PATIENCE, at_rest, desk, requests};
use sandbox::desk::Desk;
use sandbox::whatsapp::Action;
use tokio::net::UdpSocket;
use tokio::time::timeout;

#[path = "../../crates/sip-core/tests/torture/table.rs"]
mod table;

use table::{Answer, ROWS, Row};

/// An OPTIONS of the same socket: what the bridge owes to what came before it has been sent when this is answered.
const AFTERWARDS: &str = "OPTIONS sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKafterwards;rport\r\n\
    From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:x@127.0.0.1>\r\nCall-ID: afterwards\r\nCSeq: 1 OPTIONS\r\n\
    Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n";

/// A call's final answer comes from the bridge's routing, after that OPTIONS perhaps.
async fn received(socket: &UdpSocket) -> Result<String> {
    let mut buffer = [0; 8192];
    let length = timeout(PATIENCE, socket.recv(&mut buffer)).await.context("no answer")??;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

fn status(answer: &str) -> Result<u16> {
    answer.get(8..11).context("too short")?.parse().with_context(|| answer.to_owned())
}

/// The different final answers to one message. A refusal of a call is sent again until its ACK, which never comes here.
async fn finals(desk: &Desk, row: &Row) -> Result<Vec<u16>> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.connect(desk.bridge.sip_addr()).await?;
    socket.send(row.bytes).await?;
    socket.send(AFTERWARDS.as_bytes()).await?;
    let mut finals: Vec<String> = Vec::new();
    let mut awaits_call = matches!(row.answer, Answer::Call(_));
    let mut awaits_options = true;
    while awaits_call || awaits_options {
        let answer = received(&socket).await.with_context(|| row.file)?;
        if answer.contains("Call-ID: afterwards\r\n") {
            ensure!(status(&answer)? == 200, "{answer}");
            awaits_options = false;
        } else if status(&answer)? >= 200 && !finals.contains(&answer) {
            awaits_call = false;
            finals.push(answer);
        }
    }
    finals.iter().map(|answer| status(answer)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bridge_gives_each_torture_message_its_answer_and_calls_nobody() -> Result<()> {
    let desk = desk().await?;
    let mut wrong = Vec::new();
    for row in ROWS {
        let finals = finals(&desk, row).await?;
        let expected = match row.answer {
            Answer::Status(status) | Answer::Call(status) => vec![status],
            Answer::Silence => Vec::new(),
        };
        if finals != expected || !row.allowed.allows(finals.first().copied()) {
            wrong.push(format!("{} ({}): {finals:?}, not {:?}", row.file, row.section, row.answer));
        }
    }
    ensure!(wrong.is_empty(), "{wrong:#?}");
    ensure!(requests(&desk, Action::Connect) == 0, "somebody was called");
    ensure!(timeout(Duration::from_secs(30), desk.phone.options(PATIENCE)).await?? == 200);
    at_rest(&desk).await
}
