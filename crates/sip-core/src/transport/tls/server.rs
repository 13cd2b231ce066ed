//! The side that a TLS connection is opened to.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::reload::Reload;
use super::{TlsServer, VERSIONS, certificates, private_key, provider, refused, roots};

/// Opens the server's side of TLS with what the files say at that moment.
#[derive(Debug)]
pub(crate) struct Acceptor(Reload<ServerConfig>);

impl Acceptor {
    pub(crate) fn new(settings: TlsServer) -> io::Result<Self> {
        let files = [Some(&settings.certificate), Some(&settings.key), settings.client_ca.as_ref()];
        let files: Vec<PathBuf> = files.into_iter().flatten().cloned().collect();
        Reload::new(files, move || config(&settings)).map(Self)
    }

    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(self.0.current()).accept(stream).await
    }
}

fn config(settings: &TlsServer) -> io::Result<ServerConfig> {
    let builder =
        ServerConfig::builder_with_provider(provider()).with_protocol_versions(VERSIONS).map_err(refused)?;
    let builder = match &settings.client_ca {
        Some(path) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(path)?), provider());
            builder.with_client_cert_verifier(verifier.build().map_err(|error| super::invalid(path, error))?)
        }
        None => builder.with_no_client_auth(),
    };
    builder
        .with_single_cert(certificates(&settings.certificate)?, private_key(&settings.key)?)
        .map_err(|error| super::invalid(&settings.certificate, error))
}
