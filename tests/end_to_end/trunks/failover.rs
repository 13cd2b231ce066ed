//! Several targets: the next is tried where one takes no call, and only then.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use end_to_end::PATIENCE;
use sandbox::desk::{Desk, DeskConfig};
use sandbox::pbx::{Ending, Phone, Policy};
use tokio::net::UdpSocket;

use super::*;

/// A desk that calls this address first, and its own phone after.
async fn desk_after(first: SocketAddr) -> Result<Desk> {
    let edit = Box::new(move |text: String| {
        let line = |line: &str| match line.strip_prefix("target = ") {
            Some(own) => format!("targets = [\"{first}\", {own}]\nhealth = {{ interval_s = 0 }}\n"),
            None => format!("{line}\n"),
        };
        on_trunk(&text.lines().map(line).collect::<String>(), "failover = { silence_s = 1 }")
    });
    Desk::start(DeskConfig { edit, ..config(phone()) }).await
}

/// The desk's own phone takes a call with sound.
async fn the_second_takes_a_call(desk: &Desk) -> Result<()> {
    let (call, user) = a_call_from_whatsapp(desk, &desk.phone).await?;
    user.hang_up();
    ensure!(matches!(call.ended(PATIENCE).await?, Ending::Bye { .. }));
    Ok(())
}

fn refuse(phone: &Phone, status: u16, reason: &'static str) {
    phone.set_policy(Policy::Refuse { ring: Duration::ZERO, status, reason });
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_listens_the_second_takes_the_call() -> Result<()> {
    let nobody = UdpSocket::bind("127.0.0.1:0").await?.local_addr()?;
    let desk = desk_after(nobody).await?;
    the_second_takes_a_call(&desk).await?;
    finished(&desk, &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_first_is_silent_the_second_takes_the_call() -> Result<()> {
    let first = another_phone(phone()).await?;
    first.set_policy(Policy::Silence);
    let desk = desk_after(first.addr()).await?;
    let began = Instant::now();
    the_second_takes_a_call(&desk).await?;
    ensure!(began.elapsed() > Duration::from_secs(1) && !messages(&first, "INVITE ").is_empty());
    finished(&desk, &[&first]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_first_is_busy_the_second_never_rings() -> Result<()> {
    let first = another_phone(phone()).await?;
    refuse(&first, 486, "Busy Here");
    let desk = desk_after(first.addr()).await?;
    a_call_in_vain(&desk).await?;
    finished(&desk, &[&first]).await?;
    ensure!(messages(&first, "INVITE ").len() == 1 && messages(&desk.phone, "INVITE ").is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_target_that_rings_and_then_fails_has_no_second() -> Result<()> {
    let first = another_phone(phone()).await?;
    let ring = Duration::from_millis(100);
    first.set_policy(Policy::Refuse { ring, status: 503, reason: "Service Unavailable" });
    let desk = desk_after(first.addr()).await?;
    a_call_in_vain(&desk).await?;
    finished(&desk, &[&first]).await?;
    ensure!(messages(&desk.phone, "INVITE ").is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn after_503_with_retry_after_the_next_call_goes_to_the_second_at_once() -> Result<()> {
    let first = another_phone(phone()).await?;
    // Header lines after the reason phrase: the phone writes them as they are.
    refuse(&first, 503, "Service Unavailable\r\nRetry-After: 60");
    let desk = desk_after(first.addr()).await?;
    the_second_takes_a_call(&desk).await?;
    ensure!(messages(&first, "INVITE ").len() == 1);
    the_second_takes_a_call(&desk).await?;
    finished(&desk, &[&first]).await?;
    ensure!(messages(&first, "INVITE ").len() == 1, "it asked to be left alone");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_target_without_tcp_gives_way_at_once() -> Result<()> {
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    let edit = Box::new(move |text: String| {
        let line = |line: &str| match line.strip_prefix("target = ") {
            Some(own) => {
                format!("targets = [\"sip:{nobody};transport=tcp\", {own}]\nhealth = {{ interval_s = 0 }}\n")
            }
            None => format!("{line}\n"),
        };
        let listeners = "[[sip.listener]]\ntransport = \"udp\"\nbind = \"127.0.0.1:0\"\n\
                         [[sip.listener]]\ntransport = \"tcp\"\n";
        text.lines().map(line).collect::<String>().replacen("[sip]\n", listeners, 1)
    });
    let desk = Desk::start(DeskConfig { edit, ..config(phone()) }).await?;
    let began = Instant::now();
    let user = calling(&desk)?;
    let call = desk.phone.incoming(PATIENCE).await?;
    ensure!(began.elapsed() < Duration::from_secs(4), "a refused connection is no silence");
    call.answered(PATIENCE).await?;
    both_hear(&call, &user, PBX_HZ).await?;
    user.hang_up();
    finished(&desk, &[]).await
}
