//! SIP by TCP. The SIPp of Debian knows no TLS: that is in the end-to-end tests.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use end_to_end::PATIENCE;
use sandbox::whatsapp::Action::{Accept, Connect, PreAccept, Terminate};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::sipp::{When, skipped};
use crate::stage::Stage;
use crate::users;

/// The same port by UDP and TCP; the PBX is rung by TCP.
fn by_tcp(config: String) -> String {
    let listener =
        |transport| format!("[[sip.listener]]\ntransport = \"{transport}\"\nbind = \"{{ip}}:15060\"\n");
    let target = "target = \"sip:{pbx};transport=tcp\"";
    config
        .replace("[sip]\nbind = \"{ip}:15060\"\n", &format!("{}\n{}", listener("udp"), listener("tcp")))
        .replace("target = \"{pbx}\"", target)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_by_tcp_is_answered_and_hung_up() -> Result<()> {
    if skipped("uac_basic", When::Always) {
        return Ok(());
    }
    let stage = Stage::set_with(users::answers(), by_tcp).await?;
    stage.play_with("uac_basic", &stage.by_tcp()).await?;
    stage.at_rest(&[Connect, Terminate]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pbx_is_rung_by_tcp() -> Result<()> {
    if skipped("uas_user_hangs_up", When::Always) {
        return Ok(());
    }
    let stage = Stage::set_with(users::answers(), by_tcp).await?;
    let user = users::hangs_up_after(Duration::from_millis(500));
    stage.ring_with("uas_user_hangs_up", user, &stage.by_tcp()).await?;
    stage.at_rest(&[PreAccept, Accept]).await
}

/// RFC 5626 4.4.1: within 10 s.
#[tokio::test(flavor = "multi_thread")]
async fn a_double_crlf_gets_one_back() -> Result<()> {
    if skipped("CRLF keepalive", When::Always) {
        return Ok(());
    }
    let stage = Stage::set_with(users::answers(), by_tcp).await?;
    // From the PBX's address: a stranger would not be taken on.
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(stage.pbx.ip(), 0))?;
    let mut stream = socket.connect(stage.sip).await?;
    stream.write_all(b"\r\n\r\n").await?;
    let mut pong = [0; 8];
    let length = tokio::time::timeout(PATIENCE, stream.read(&mut pong)).await.context("no pong")??;
    ensure!(pong[..length] == *b"\r\n", "{:?}", &pong[..length]);
    stage.at_rest(&[]).await
}
