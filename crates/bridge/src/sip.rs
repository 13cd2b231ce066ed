//! From the configuration to `sip-core`: its listeners, its trunks, and whom it listens to.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use sip_core::{
    Driver, ListenerId, Notice, Sip, SipConfig, StrangerAnswer, Strangers, TlsClient, TlsIdentity, TlsServer,
    TrunkId,
};
use tokio::sync::mpsc;

use crate::config::{Config, Network, Strangers as Answer, Tls, Trunk};
use crate::random;

/// Whose messages are read: the networks of the configuration, and the targets wherever DNS has found
/// them, for they answer from there.
#[derive(Debug)]
pub(crate) struct Sources {
    networks: Vec<(Network, TrunkId)>,
    targets: RwLock<HashMap<IpAddr, TrunkId>>,
}

impl Sources {
    pub(crate) fn new(config: &Config) -> Self {
        let of_trunk = |(id, trunk): (TrunkId, &Trunk)| -> Vec<_> {
            trunk.sources.iter().map(|network| (*network, id)).collect()
        };
        Self { networks: trunks(config).flat_map(of_trunk).collect(), targets: RwLock::default() }
    }

    /// The trunk of an address: of several networks the one with the longest prefix has it.
    pub(crate) fn trunk(&self, source: IpAddr) -> Option<TrunkId> {
        let containing = self.networks.iter().filter(|(network, _)| network.contains(source));
        let network = containing.max_by_key(|(network, _)| network.prefix());
        network.map(|(_, trunk)| *trunk).or_else(|| {
            let targets = self.targets.read().unwrap_or_else(PoisonError::into_inner);
            targets.get(&source).copied()
        })
    }

    /// Where the targets of all trunks are now.
    pub(crate) fn set_targets(&self, targets: HashMap<IpAddr, TrunkId>) {
        *self.targets.write().unwrap_or_else(PoisonError::into_inner) = targets;
    }
}

/// Binds all listeners.
pub(crate) async fn bind(config: &Config) -> io::Result<(Sip, mpsc::Receiver<Notice>, Driver, Arc<Sources>)> {
    let sources = Arc::new(Sources::new(config));
    let (sip, notices, driver) = sip_core::bind(sip_config(config, Arc::clone(&sources))).await?;
    Ok((sip, notices, driver, sources))
}

fn sip_config(config: &Config, sources: Arc<Sources>) -> SipConfig {
    let trunk_of = Arc::new(move |source| sources.trunk(source));
    let mut sip = SipConfig::new(config.sip.endpoint_listeners(), random::bytes(), trunk_of);
    sip.user_agent.clone_from(&config.sip.user_agent);
    sip.trunks = config.trunks.iter().map(Trunk::profile).collect();
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
    sip.record = config.journal.path.is_some();
    sip
}

fn trunks(config: &Config) -> impl Iterator<Item = (TrunkId, &Trunk)> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_answers_from_where_dns_found_it_and_no_network_loses_an_address() {
        let networks = [("10.0.0.0/8", 0), ("10.0.0.5", 1)];
        let networks = networks.map(|(text, id)| (text.parse().expect("a network"), TrunkId(id))).to_vec();
        let sources = Sources { networks, targets: RwLock::default() };
        let at = |address: &str| sources.trunk(address.parse().expect("an address"));
        assert_eq!((at("10.0.0.5"), at("10.0.0.6")), (Some(TrunkId(1)), Some(TrunkId(0))));
        assert_eq!(at("192.0.2.1"), None);
        let found = ["192.0.2.1", "10.0.0.6"].map(|ip| (ip.parse().expect("an address"), TrunkId(2)));
        sources.set_targets(found.into());
        assert_eq!((at("192.0.2.1"), at("10.0.0.6")), (Some(TrunkId(2)), Some(TrunkId(0))));
        sources.set_targets(HashMap::new());
        assert_eq!(at("192.0.2.1"), None, "it has moved");
    }
}
