//! TLS 1.2 and 1.3, certificates of both sides, and certificates that change.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use sip_core::{
    Command, Event, ListenerId, Rejection, SipChange, SipConfig, TlsClient, TlsIdentity, TlsServer,
    Transport, TrunkId, TrunkProfile,
};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::common::*;

const TLS: &[(Transport, &str)] = &[(Transport::Tls, "127.0.0.1:0")];

/// A certificate authority with a folder for what it has signed.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { issuer, folder: tempfile::tempdir().unwrap() };
        fs::write(authority.path("ca"), authority.issuer.pem()).unwrap();
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A certificate for these names, in files that are called so.
    fn issue(&self, file: &str, names: &[&str]) -> TlsIdentity {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        let paths = TlsIdentity { certificate: self.path(file), key: self.path(&format!("{file}.key")) };
        fs::write(&paths.certificate, certificate.pem()).unwrap();
        fs::write(&paths.key, key.serialize_pem()).unwrap();
        paths
    }

    fn server(&self, seed: u8, names: &[&str], client_ca: Option<PathBuf>) -> SipConfig {
        let TlsIdentity { certificate, key } = self.issue(&format!("server{seed}"), names);
        let mut config = config(seed, TLS);
        config.tls_servers.insert(ListenerId(0), TlsServer { certificate, key, client_ca });
        config
    }

    fn client(&self) -> TlsClient {
        TlsClient { ca: Some(self.path("ca")), ..TlsClient::default() }
    }

    /// An endpoint whose trunk is called with these settings.
    async fn caller(&self, client: TlsClient) -> Running {
        // Each with ids of its own.
        static SEED: AtomicU8 = AtomicU8::new(10);
        let mut config = self.server(SEED.fetch_add(1, Ordering::Relaxed), &["127.0.0.1"], None);
        config.tls_clients.insert(TrunkId(0), client);
        run(config).await
    }
}

/// A client that is not ours.
async fn connect(
    authority: &Authority,
    to: SocketAddr,
    version: &'static SupportedProtocolVersion,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.path("ca")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(to).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::from(to.ip()), stream).await
}

async fn fails(a: &mut Running, to: SocketAddr) {
    let leg = a.sip.new_leg();
    a.sip.send(Command::Invite { leg, invite: invite(flow(Transport::Tls, 0, to)) }).await;
    assert_eq!(a.next().await.event, Event::Rejected(Rejection::Transport));
    assert_eq!(a.next().await.event, Event::Ended);
}

#[tokio::test]
async fn a_call_over_tls() {
    let authority = Authority::new();
    let mut a = authority.caller(authority.client()).await;
    let mut b = run(authority.server(2, &["127.0.0.1"], None)).await;
    let there = flow(Transport::Tls, 0, b.address());
    let seen = call(&mut a, &mut b, there).await;
    assert_eq!((seen.transport, b.sip.counters().connections_in), (Transport::Tls, 1));
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken() {
    let authority = Authority::new();
    let b = run(authority.server(2, &["127.0.0.1"], None)).await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut stream = connect(&authority, b.address(), version).await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
        stream.write_all(options("x").as_bytes()).await.unwrap();
        assert_eq!(response(&mut stream).await.status, 200);
    }
}

#[tokio::test]
async fn without_a_demanded_client_certificate_there_is_no_call() {
    let authority = Authority::new();
    let mut b = run(authority.server(2, &["127.0.0.1"], Some(authority.path("ca")))).await;
    let mut bare = authority.caller(authority.client()).await;
    // With TLS 1.3 the client is done, and has sent its INVITE, before the server has looked at its certificate.
    fails(&mut bare, b.address()).await;
    assert_eq!(b.sip.counters().datagrams_in, 0);
    let foreign = Authority::new();
    let identity = Some(foreign.issue("client", &["a.example"]));
    let mut other = authority.caller(TlsClient { identity, ..authority.client() }).await;
    fails(&mut other, b.address()).await;
    let identity = Some(authority.issue("client", &["a.example"]));
    let mut a = authority.caller(TlsClient { identity, ..authority.client() }).await;
    let there = flow(Transport::Tls, 0, b.address());
    call(&mut a, &mut b, there).await;
}

#[tokio::test]
async fn the_peer_s_certificate_must_be_for_its_name() {
    let authority = Authority::new();
    let mut b = run(authority.server(2, &["pbx.example"], None)).await;
    let there = b.address();
    let mut by_address = authority.caller(authority.client()).await;
    fails(&mut by_address, there).await;
    by_address.sip.name_peer(there, "pbx.example");
    call(&mut by_address, &mut b, flow(Transport::Tls, 0, there)).await;
    let server_name = Some("pbx.example".to_owned());
    let mut by_trunk = authority.caller(TlsClient { server_name, ..authority.client() }).await;
    call(&mut by_trunk, &mut b, flow(Transport::Tls, 0, there)).await;
    let mut stranger = authority.caller(Authority::new().client_of("pbx.example")).await;
    fails(&mut stranger, there).await;
    let mut careless = authority.caller(TlsClient { verify: false, ..TlsClient::default() }).await;
    call(&mut careless, &mut b, flow(Transport::Tls, 0, there)).await;
}

impl Authority {
    /// Settings that trust this authority, written to a file that stays.
    fn client_of(self, name: &str) -> TlsClient {
        let ca = Some(self.path("ca"));
        let _ = self.folder.keep();
        TlsClient { ca, server_name: Some(name.to_owned()), ..TlsClient::default() }
    }
}

#[tokio::test]
async fn a_changed_certificate_is_shown_to_the_next_connection() {
    let authority = Authority::new();
    let b = run(authority.server(2, &["127.0.0.1"], None)).await;
    let shown = async || {
        let stream = connect(&authority, b.address(), &rustls::version::TLS13).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    };
    let first = shown().await;
    assert_eq!(shown().await, first);
    authority.issue("server2", &["127.0.0.1", "new.example"]);
    let second = shown().await;
    assert_ne!(second, first);
    fs::write(authority.path("server2"), "no certificate").unwrap();
    assert_eq!(shown().await, second, "the old one stays as long as the new one makes no sense");
}

#[tokio::test]
async fn other_tls_files_are_put_in_force_and_unusable_ones_change_nothing() {
    let (old, new) = (Authority::new(), Authority::new());
    let mut b = run(old.server(2, &["127.0.0.1"], None)).await;
    let mut a = old.caller(new.client()).await;
    let there = b.address();
    fails(&mut a, there).await;
    let change = |one: &Authority| {
        let TlsIdentity { certificate, key } = one.issue("other", &["127.0.0.1"]);
        let tls_servers = [(ListenerId(0), TlsServer { certificate, key, client_ca: None })].into();
        SipChange { tls_servers, trunks: vec![(TrunkId(0), TrunkProfile::default())], ..SipChange::default() }
    };
    let broken = change(&new);
    fs::write(new.path("other"), "no certificate").unwrap();
    let error = b.sip.reconfigure(broken).await.unwrap_err();
    assert!(error.to_string().contains("other"), "{error}");
    fails(&mut a, there).await;
    b.sip.reconfigure(change(&new)).await.unwrap();
    call(&mut a, &mut b, flow(Transport::Tls, 0, there)).await;
    // And the side that calls: the old authority's certificate is trusted, the new one's no longer.
    let mut back = change(&old);
    back.tls_clients.insert(TrunkId(0), old.client());
    a.sip.reconfigure(back).await.unwrap();
    let c = run(new.server(3, &["127.0.0.1"], None)).await;
    fails(&mut a, c.address()).await;
    let mut d = run(old.server(4, &["127.0.0.1"], None)).await;
    let there = flow(Transport::Tls, 0, d.address());
    call(&mut a, &mut d, there).await;
}

#[tokio::test]
async fn half_a_handshake_is_closed() {
    let authority = Authority::new();
    let mut slow = authority.server(2, &["127.0.0.1"], None);
    slow.connections.handshake = Duration::from_millis(100);
    let b = run(slow).await;
    let mut stream = TcpStream::connect(b.address()).await.unwrap();
    stream.write_all(&[22, 3, 1]).await.unwrap();
    assert!(is_closed(&mut stream).await);
}

#[tokio::test]
async fn a_tls_listener_without_usable_files_does_not_start() {
    assert!(sip_core::bind(config(1, TLS)).await.is_err());
    let authority = Authority::new();
    let config = authority.server(1, &["127.0.0.1"], None);
    fs::write(authority.path("server1"), "").unwrap();
    let error = sip_core::bind(config).await.unwrap_err();
    assert!(error.to_string().contains("server1"), "{error}");
}
