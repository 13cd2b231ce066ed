#![expect(clippy::disallowed_methods, reason = "a test runs its own listener")]

use std::fs;
use std::path::PathBuf;

use axum::Router;
use axum::routing::get;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::config::WebhookTls;

/// An authority, and the files that the listener reads.
struct Office {
    folder: tempfile::TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Office {
    fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let office = Self { folder: tempfile::tempdir().expect("a folder"), authority: authority() };
        office.renew();
        office
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a new certificate of its authority, and its key.
    fn renew(&self) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(["webhook.test".to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, "webhook.test");
        let certificate = params.signed_by(&key, &self.authority).expect("signed");
        fs::write(self.file("key.pem"), key.serialize_pem()).expect("written");
        fs::write(self.file("chain.pem"), certificate.pem()).expect("written");
    }

    fn tls(&self) -> WebhookTls {
        WebhookTls { certificate: self.file("chain.pem"), key: self.file("key.pem") }
    }

    async fn listen(&self) -> SocketAddr {
        serve(Some(Certificates::new(self.tls()).expect("a certificate"))).await
    }

    /// A client that trusts this authority alone, and keeps no connection.
    fn client(&self, address: SocketAddr) -> reqwest::Client {
        let root = reqwest::Certificate::from_pem(self.authority.pem().as_bytes()).expect("a root");
        let client = reqwest::Client::builder().tls_certs_only([root]).resolve("webhook.test", address);
        client.pool_max_idle_per_host(0).build().expect("a client")
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "authority");
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority")
}

async fn serve(tls: Option<Certificates>) -> SocketAddr {
    let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = tcp.local_addr().expect("bound");
    let router = Router::new().route("/", get(|| async { "hello" }));
    tokio::spawn(async move { axum::serve(Listener::new(tcp, tls), router).await });
    address
}

async fn hello(client: &reqwest::Client, port: u16) -> Result<String, reqwest::Error> {
    client.get(format!("https://webhook.test:{port}/")).send().await?.text().await
}

#[tokio::test]
async fn https_is_spoken_and_a_new_certificate_needs_no_restart() {
    let mut office = Office::new();
    let address = office.listen().await;
    let old = office.client(address);
    assert_eq!(hello(&old, address.port()).await.expect("HTTPS"), "hello");
    // Renewed by another authority: who trusts that one alone gets in now, and who trusts the old one does not.
    office.authority = authority();
    office.renew();
    let new = office.client(address);
    assert_eq!(hello(&new, address.port()).await.expect("the new certificate"), "hello");
    assert!(hello(&old, address.port()).await.is_err_and(|error| error.is_connect()));
}

#[tokio::test]
async fn files_that_make_no_sense_leave_the_old_certificate_in_force() {
    let office = Office::new();
    let address = office.listen().await;
    let client = office.client(address);
    for broken in ["", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"] {
        fs::write(office.file("key.pem"), broken).expect("written");
        assert_eq!(hello(&client, address.port()).await.expect("the old one"), "hello");
    }
    // Key and certificate change one after the other: together they count.
    office.renew();
    assert_eq!(hello(&client, address.port()).await.expect("the new one"), "hello");
    fs::remove_file(office.file("chain.pem")).expect("removed");
    assert_eq!(hello(&client, address.port()).await.expect("still the new one"), "hello");
}

#[test]
fn what_cannot_be_used_at_the_start_is_an_error_that_names_the_file() {
    let office = Office::new();
    fs::write(office.file("key.pem"), "").expect("written");
    let error = Certificates::new(office.tls()).map(|_| ()).expect_err("no key");
    assert!(error.to_string().contains("key.pem"), "{error}");
}

/// Handshakes that go nowhere hold up neither the others nor, for long, their places.
#[tokio::test]
async fn who_says_nothing_does_not_hold_up_the_others() {
    let office = Office::new();
    let address = office.listen().await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(address).await.expect("listening"));
    }
    let client = office.client(address);
    assert_eq!(hello(&client, address.port()).await.expect("HTTPS"), "hello");
    let mut first = silent.swap_remove(0);
    let mut buffer = [0; 1];
    let end = timeout(HANDSHAKE_LIMIT * 4, first.read(&mut buffer)).await.expect("its time is over");
    assert!(matches!(end, Ok(0) | Err(_)), "closed");
}

#[tokio::test]
async fn plain_http_is_plain() {
    let address = serve(None).await;
    let mut stream = TcpStream::connect(address).await.expect("listening");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("hello"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_over_which_nothing_comes_is_closed() {
    let (ours, mut theirs) = tokio::io::duplex(64);
    let place = Arc::new(Semaphore::new(1)).acquire_owned().await.ok();
    let mut connection = Connection::new(ours, place);
    let mut buffer = [0; 8];
    let start = Instant::now();
    sleep(IDLE_LIMIT - Duration::from_secs(1)).await;
    theirs.write_all(b"x").await.expect("written");
    assert_eq!(connection.read(&mut buffer).await.expect("a byte"), 1);
    let error = connection.read(&mut buffer).await.expect_err("nothing more comes");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(start.elapsed().as_secs(), 2 * IDLE_LIMIT.as_secs() - 1);
}
