//! The side that opens a TLS connection.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::insecure::AnyCertificate;
use super::reload::Reload;
use super::{TlsClient, VERSIONS, certificates, private_key, provider, refused, roots};

/// Opens the client's side of TLS with what the files say at that moment.
#[derive(Debug)]
pub(crate) struct Connector {
    config: Reload<ClientConfig>,
    server_name: Option<String>,
}

impl Connector {
    pub(crate) fn new(settings: TlsClient) -> io::Result<Self> {
        let identity = settings.identity.iter().flat_map(|identity| [&identity.certificate, &identity.key]);
        let files: Vec<PathBuf> = identity.chain(&settings.ca).cloned().collect();
        let server_name = settings.server_name.clone();
        let config = Reload::new(files, move || config(&settings))?;
        Ok(Self { config, server_name })
    }

    /// `name` is what the peer at this address is known by.
    pub(crate) async fn connect(
        &self,
        stream: TcpStream,
        name: Option<String>,
        address: IpAddr,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = match name.or_else(|| self.server_name.clone()) {
            Some(name) => ServerName::try_from(name).map_err(io::Error::other)?,
            None => ServerName::from(address),
        };
        TlsConnector::from(self.config.current()).connect(name, stream).await
    }
}

fn config(settings: &TlsClient) -> io::Result<ClientConfig> {
    let builder =
        ClientConfig::builder_with_provider(provider()).with_protocol_versions(VERSIONS).map_err(refused)?;
    let builder = if settings.verify {
        builder.with_root_certificates(match &settings.ca {
            Some(path) => roots(path)?,
            None => roots_of_the_machine()?,
        })
    } else {
        tracing::warn!(
            server_name = settings.server_name,
            "TLS without a look at the peer's certificate: whoever is on the way can be the peer"
        );
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate::new(&provider())))
    };
    match &settings.identity {
        Some(identity) => builder
            .with_client_auth_cert(certificates(&identity.certificate)?, private_key(&identity.key)?)
            .map_err(|error| super::invalid(&identity.certificate, error)),
        None => Ok(builder.with_no_client_auth()),
    }
}

fn roots_of_the_machine() -> io::Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    match found.errors.into_iter().next() {
        Some(error) if usable == 0 => Err(io::Error::other(error)),
        _ => Ok(roots),
    }
}
