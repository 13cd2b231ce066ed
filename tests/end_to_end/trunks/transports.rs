//! TCP, TLS and IPv6 between the bridge and the PBX.

use std::fs;
use std::net::{Ipv6Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use end_to_end::{PATIENCE, at_rest, both_hear};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use sandbox::desk::{Desk, DeskConfig};
use sandbox::pbx::{Direction, Ending, PhoneConfig, TlsFiles, Transport};
use tempfile::TempDir;

use super::*;

/// The configuration with its listener and its target on this transport.
pub(super) fn over(text: &str, transport: &str, listener: &str) -> String {
    let line = |line: &str| match line.strip_prefix("target = \"").and_then(|rest| rest.strip_suffix('"')) {
        Some(address) => format!("target = \"sip:{address};transport={transport}\"\n"),
        None => format!("{line}\n"),
    };
    let text: String = text.lines().map(line).collect();
    text.replacen("[sip]\n", &format!("[[sip.listener]]\ntransport = \"{transport}\"\n{listener}"), 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_each_way_over_a_tcp_trunk() -> Result<()> {
    let phone = PhoneConfig { transport: Transport::Tcp, ..phone() };
    let edit = Box::new(|text: String| over(&text, "tcp", ""));
    let desk = Desk::start(DeskConfig { edit, ..config(phone) }).await?;
    calls_both_ways(&desk, &desk.phone).await?;
    let invites = messages(&desk.phone, "INVITE ");
    ensure!(invites.len() == 2 && invites.iter().all(|invite| invite.contains("Via: SIP/2.0/TCP ")));
    ensure!(invites.iter().all(|invite| invite.contains(";transport=tcp>")), "{invites:?}");
    ensure!(desk.phone.counters().repeated == 0, "nothing is sent again on a connection");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_outlives_its_tcp_connection() -> Result<()> {
    let phone = PhoneConfig { transport: Transport::Tcp, ..phone() };
    let edit = Box::new(|text: String| over(&text, "tcp", ""));
    let desk = Desk::start(DeskConfig { edit, ..config(phone) }).await?;
    let (call, user) = a_call_to_whatsapp(&desk, &desk.phone).await?;
    desk.phone.close_connections();
    ensure!(call.change(Direction::SendRecv).await?.status == 200, "on a new connection of the PBX's");
    both_hear(&call, &user, PBX_HZ).await?;
    desk.phone.close_connections();
    user.hang_up();
    ensure!(matches!(call.ended(PATIENCE).await?, Ending::Bye { .. }), "on a new connection of the bridge's");
    let (call, user) = a_call_from_whatsapp(&desk, &desk.phone).await?;
    desk.phone.close_connections();
    user.hang_up();
    ensure!(matches!(call.ended(PATIENCE).await?, Ending::Bye { .. }));
    at_rest(&desk).await
}

/// A certificate authority and what it has signed, in files.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let authority = Self { issuer, folder: tempfile::tempdir()? };
        fs::write(authority.path("ca"), authority.issuer.pem())?;
        Ok(authority)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Certificate and key for this name.
    fn issue(&self, name: &str) -> Result<(PathBuf, PathBuf)> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec![name.to_owned()])?.signed_by(&key, &self.issuer)?;
        let (chain, secret) = (self.path(name), self.path(&format!("{name}.key")));
        fs::write(&chain, certificate.pem())?;
        fs::write(&secret, key.serialize_pem())?;
        Ok((chain, secret))
    }
}

/// A desk whose trunk goes by TLS: the bridge is `bridge.example`, and wants a PBX that is `pbx.example`.
async fn tls_desk(authority: &Authority, pbx: &str) -> Result<Desk> {
    let (certificate, key) = authority.issue(pbx)?;
    let server_name = "bridge.example".to_owned();
    let files = TlsFiles { certificate, key, ca: authority.path("ca"), server_name };
    let phone = PhoneConfig { transport: Transport::Tls(files), ..phone() };
    let (certificate, key) = authority.issue("bridge.example")?;
    let file = |path: &Path| path.display().to_string();
    let listener = format!("certificate = {:?}\nkey = {:?}\n", file(&certificate), file(&key));
    let tls = format!("tls = {{ ca = {:?}, server_name = \"pbx.example\" }}", file(&authority.path("ca")));
    let edit = Box::new(move |text: String| on_trunk(&over(&text, "tls", &listener), &tls));
    Desk::start(DeskConfig { edit, ..config(phone) }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_each_way_over_a_tls_trunk_where_both_verify_the_other() -> Result<()> {
    let desk = tls_desk(&Authority::new()?, "pbx.example").await?;
    calls_both_ways(&desk, &desk.phone).await?;
    let invites = messages(&desk.phone, "INVITE ");
    ensure!(invites.len() == 2 && invites.iter().all(|invite| invite.contains("Via: SIP/2.0/TLS ")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pbx_with_another_name_in_its_certificate_gets_no_call_and_the_user_is_rejected() -> Result<()> {
    let desk = tls_desk(&Authority::new()?, "other.example").await?;
    a_call_in_vain(&desk).await?;
    ensure!(messages(&desk.phone, "INVITE ").is_empty(), "nothing is said to a stranger");
    at_rest(&desk).await?;
    // It may call in all the same: its certificate is not asked for there.
    let (call, _) = a_call_to_whatsapp(&desk, &desk.phone).await?;
    call.hang_up();
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn another_certificate_is_shown_after_a_reload_and_the_call_goes_on() -> Result<()> {
    let authority = Authority::new()?;
    let desk = tls_desk(&authority, "pbx.example").await?;
    let (call, user) = a_call_to_whatsapp(&desk, &desk.phone).await?;
    authority.issue("elsewhere.example")?;
    desk.reload(|text| text.replace("bridge.example", "elsewhere.example")).await?;
    both_hear(&call, &user, PBX_HZ).await?;
    desk.phone.close_connections();
    ensure!(desk.phone.options(Duration::from_secs(2)).await.is_err(), "the phone wants another name");
    desk.reload(|text| text.replace("elsewhere.example", "bridge.example")).await?;
    ensure!(desk.phone.options(PATIENCE).await? == 200);
    call.hang_up();
    ensure!(call.ended(PATIENCE).await? == Ending::HungUp);
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_each_way_over_ipv6() -> Result<()> {
    if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        eprintln!("skipped: this machine has no IPv6");
        return Ok(());
    }
    let desk = Desk::start(DeskConfig {
        ip: Ipv6Addr::LOCALHOST.into(),
        sources: vec!["::1/128".to_owned()],
        ..config(phone())
    })
    .await?;
    calls_both_ways(&desk, &desk.phone).await?;
    let invites = messages(&desk.phone, "INVITE ");
    ensure!(invites.iter().all(|invite| invite.contains("c=IN IP6 ::1\r\n")), "{invites:?}");
    Ok(())
}
