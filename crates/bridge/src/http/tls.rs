//! The certificate of HTTPS, read again when its files change. They are looked at once a handshake.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::WebhookTls;

/// What HTTPS is spoken with.
pub(crate) struct Certificates {
    files: WebhookTls,
    held: Mutex<Held>,
}

struct Held {
    stamps: [Stamp; 2],
    config: Arc<ServerConfig>,
}

/// Tells one state of a file from another; `None` while it can't be looked at.
type Stamp = Option<(SystemTime, u64)>;

impl Certificates {
    /// # Errors
    /// When the files can't be read, or do not belong together.
    pub(crate) fn new(files: WebhookTls) -> io::Result<Self> {
        // Before they are read: what changes in between is seen at the next look.
        let stamps = stamps(&files);
        let config = Arc::new(server(&files)?);
        Ok(Self { files, held: Mutex::new(Held { stamps, config }) })
    }

    /// What the files say now; what they said before as long as they make no sense.
    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        let stamps = stamps(&self.files);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.stamps != stamps {
            match server(&self.files) {
                Ok(config) => {
                    tracing::info!(certificate = %self.files.certificate.display(), "webhook certificate read again");
                    held.config = Arc::new(config);
                }
                Err(error) => {
                    tracing::warn!(%error, "the changed webhook certificate can't be used: the old one stays");
                }
            }
            held.stamps = stamps;
        }
        Arc::clone(&held.config)
    }
}

fn stamps(files: &WebhookTls) -> [Stamp; 2] {
    [&files.certificate, &files.key].map(|path| {
        let about = fs::metadata(path).ok()?;
        Some((about.modified().ok()?, about.len()))
    })
}

fn server(files: &WebhookTls) -> io::Result<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| invalid(&files.certificate, error))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| invalid(&files.key, error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| invalid(&files.certificate, error))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| invalid(&files.certificate, error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn invalid(path: &Path, error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{}: {error}", path.display()))
}
