//! SIP over TLS 1.2 and 1.3 (RFC 3261 26.3.1, RFC 5630): the files it is made of, which may change while we run.

pub(crate) mod client;
pub(crate) mod server;

mod insecure;
mod reload;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The versions that are spoken.
const VERSIONS: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

/// What a TLS listener shows, and what it asks for. The files are PEM, and are read again when they have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsServer {
    /// Our certificate, followed by those between it and its root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// With these roots every client must show a certificate that leads to one of them.
    pub client_ca: Option<PathBuf>,
}

/// How a TLS connection to the peer of a trunk is opened. The files are PEM, and are read again when they have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsClient {
    /// The roots that the peer's certificate must lead to; without, those of the machine.
    pub ca: Option<PathBuf>,
    /// The certificate that we show when asked, and its private key.
    pub identity: Option<TlsIdentity>,
    /// The name that the peer's certificate must be for, unless [`crate::Sip::name_peer`] says another; without either
    /// it is the peer's address.
    pub server_name: Option<String>,
    /// Whether the peer's certificate is looked at at all.
    pub verify: bool,
}

/// A certificate and its private key, as PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsIdentity {
    /// The certificate, followed by those between it and its root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Default for TlsClient {
    fn default() -> Self {
        Self { ca: None, identity: None, server_name: None, verify: true }
    }
}

/// Named here, so that no other crate decides which one is used.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| invalid(path, error))?;
    if certificates.is_empty() {
        return Err(invalid(path, "no certificate in it"));
    }
    Ok(certificates)
}

fn private_key(path: &Path) -> io::Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| invalid(path, error))
}

fn roots(path: &Path) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| invalid(path, error))?;
    }
    Ok(roots)
}

fn invalid(path: &Path, error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{}: {error}", path.display()))
}

fn refused(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}
