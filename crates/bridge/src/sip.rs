//! From the configuration to `sip-core`: its listeners, its trunks, and whom it listens to.

use std::io;
use std::sync::Arc;

use sip_core::{
    Driver, Listener, ListenerId, Notice, Sip, SipConfig, StrangerAnswer, Strangers, TlsClient, TlsIdentity,
    TlsServer, TrunkId,
};
use tokio::sync::mpsc;

use crate::config::{Config, Strangers as Answer, Tls};
use crate::random;

/// Binds all listeners.
pub(crate) async fn bind(config: &Config) -> io::Result<(Sip, mpsc::Receiver<Notice>, Driver)> {
    sip_core::bind(sip_config(config)).await
}

fn sip_config(config: &Config) -> SipConfig {
    let listeners = config.sip.listeners.iter().map(|one| Listener {
        transport: one.transport,
        local: one.bind,
        advertised: one.advertised,
    });
    let sources: Vec<_> = trunks(config)
        .flat_map(|(id, trunk)| trunk.sources.iter().map(move |network| (*network, id)))
        .collect();
    let trunk_of = Arc::new(move |source| {
        let containing = sources.iter().filter(|(network, _)| network.contains(source));
        containing.max_by_key(|(network, _)| network.prefix()).map(|(_, trunk)| *trunk)
    });
    let mut sip = SipConfig::new(listeners.collect(), random::bytes(), trunk_of);
    sip.user_agent.clone_from(&config.sip.user_agent);
    sip.trunks = config.trunks.iter().map(crate::config::Trunk::profile).collect();
    sip.tls_clients = trunks(config).map(|(id, trunk)| (id, tls_client(&trunk.tls))).collect();
    sip.tls_servers = (0..)
        .map(ListenerId)
        .zip(&config.sip.listeners)
        .filter_map(|(id, listener)| {
            let tls = listener.tls.as_ref()?;
            let (certificate, key) = (tls.certificate.clone(), tls.key.clone());
            Some((id, TlsServer { certificate, key, client_ca: tls.client_ca.clone() }))
        })
        .collect();
    sip.strangers = strangers(config);
    sip
}

fn trunks(config: &Config) -> impl Iterator<Item = (TrunkId, &crate::config::Trunk)> {
    (0..).map(TrunkId).zip(&config.trunks)
}

fn tls_client(tls: &Tls) -> TlsClient {
    let identity = tls.identity.as_ref();
    TlsClient {
        ca: tls.ca.clone(),
        identity: identity
            .map(|one| TlsIdentity { certificate: one.certificate.clone(), key: one.key.clone() }),
        server_name: tls.server_name.clone(),
        verify: tls.verify,
    }
}

fn strangers(config: &Config) -> Strangers {
    Strangers {
        answer: match config.sip.strangers {
            Answer::Silence => StrangerAnswer::Silence,
            Answer::Forbidden => StrangerAnswer::Forbidden,
        },
        strikes: config.sip.ban_after,
        ban: config.sip.ban,
        rate: config.sip.rate,
        // Who must prove who he is may be anybody until then.
        untrusted: trunks(config).filter(|(_, trunk)| trunk.auth.is_some()).map(|(id, _)| id).collect(),
    }
}
