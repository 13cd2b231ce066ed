//! From the configuration to `sip-core`: its listeners, its trunks, and whom it listens to.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use sip_core::{
    Driver, ListenerId, Notice, Sip, SipChange, SipConfig, SipTap, StrangerAnswer, Strangers, TlsClient,
    TlsIdentity, TlsServer, TrunkId,
};
use tokio::sync::mpsc;

use crate::config::{Config, Network, Strangers as Answer, Tls, Trunk};
use crate::random;

/// Whose messages are read: the networks of the configuration, and the targets wherever DNS has found
/// them, for they answer from there. Last come the networks of trunks that are gone while calls of
/// theirs live.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    networks: RwLock<Networks>,
    targets: RwLock<HashMap<IpAddr, TrunkId>>,
}

#[derive(Debug, Default)]
struct Networks {
    configured: Vec<(Network, TrunkId)>,
    gone: Vec<(Network, TrunkId)>,
}

impl Sources {
    pub(crate) fn new(config: &Config) -> Self {
        let sources = Self::default();
        sources.set_networks(config.trunks.iter(), std::iter::empty());
        sources
    }

    /// The trunk of an address: of several networks the one with the longest prefix has it.
    pub(crate) fn trunk(&self, source: IpAddr) -> Option<TrunkId> {
        let networks = self.networks.read().unwrap_or_else(PoisonError::into_inner);
        let target = || self.targets.read().unwrap_or_else(PoisonError::into_inner).get(&source).copied();
        longest(&networks.configured, source).or_else(target).or_else(|| longest(&networks.gone, source))
    }

    /// The networks of the trunks that are configured, and of those that are gone.
    pub(crate) fn set_networks<'a>(
        &self,
        configured: impl Iterator<Item = &'a Trunk>,
        gone: impl Iterator<Item = &'a Trunk>,
    ) {
        let networks = Networks { configured: of_trunks(configured), gone: of_trunks(gone) };
        *self.networks.write().unwrap_or_else(PoisonError::into_inner) = networks;
    }

    /// Where more targets are; the others stay until [`Self::set_targets`].
    pub(crate) fn add_targets(&self, targets: HashMap<IpAddr, TrunkId>) {
        self.targets.write().unwrap_or_else(PoisonError::into_inner).extend(targets);
    }

    /// Where the targets of all trunks are now.
    pub(crate) fn set_targets(&self, targets: HashMap<IpAddr, TrunkId>) {
        *self.targets.write().unwrap_or_else(PoisonError::into_inner) = targets;
    }
}

fn longest(networks: &[(Network, TrunkId)], source: IpAddr) -> Option<TrunkId> {
    let containing = networks.iter().filter(|(network, _)| network.contains(source));
    containing.max_by_key(|(network, _)| network.prefix()).map(|(_, trunk)| *trunk)
}

fn of_trunks<'a>(trunks: impl Iterator<Item = &'a Trunk>) -> Vec<(Network, TrunkId)> {
    trunks.flat_map(|trunk| trunk.sources.iter().map(|network| (*network, trunk.id))).collect()
}

/// Binds all listeners.
pub(crate) async fn bind(
    config: &Config,
    tap: Option<SipTap>,
) -> io::Result<(Sip, mpsc::Receiver<Notice>, Driver, Arc<Sources>)> {
    let sources = Arc::new(Sources::new(config));
    let mut settings = sip_config(config, Arc::clone(&sources));
    settings.tap = tap;
    let (sip, notices, driver) = sip_core::bind(settings).await?;
    Ok((sip, notices, driver, sources))
}

fn sip_config(config: &Config, sources: Arc<Sources>) -> SipConfig {
    let trunk_of = Arc::new(move |source| sources.trunk(source));
    let mut sip = SipConfig::new(config.sip.endpoint_listeners(), random::bytes(), trunk_of);
    let SipChange { tls_servers, tls_clients, user_agent, strangers, .. } = change(config, &[]);
    // At the start the id of a trunk is its place.
    sip.trunks = config.trunks.iter().map(Trunk::profile).collect();
    sip.record = config.journal.path.is_some();
    SipConfig { tls_servers, tls_clients, user_agent, strangers, ..sip }
}

/// What a configuration says to the endpoint that runs, which goes on serving the trunks that are `gone`.
pub(crate) fn change(config: &Config, gone: &[Arc<Trunk>]) -> SipChange {
    let trunks = || config.trunks.iter().chain(gone.iter().map(Arc::as_ref));
    let tls_servers = (0..)
        .map(ListenerId)
        .zip(&config.sip.listeners)
        .filter_map(|(id, listener)| {
            let tls = listener.tls.as_ref()?;
            let (certificate, key) = (tls.certificate.clone(), tls.key.clone());
            Some((id, TlsServer { certificate, key, client_ca: tls.client_ca.clone() }))
        })
        .collect();
    SipChange {
        trunks: trunks().map(|trunk| (trunk.id, trunk.profile())).collect(),
        tls_servers,
        tls_clients: trunks().map(|trunk| (trunk.id, tls_client(&trunk.tls))).collect(),
        user_agent: config.sip.user_agent.clone(),
        strangers: strangers(config),
    }
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
        untrusted: config.trunks.iter().filter(|trunk| trunk.auth.is_some()).map(|trunk| trunk.id).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_answers_from_where_dns_found_it_and_no_network_loses_an_address() {
        let networks = [("10.0.0.0/8", 0), ("10.0.0.5", 1)];
        let networks = networks.map(|(text, id)| (text.parse().expect("a network"), TrunkId(id))).to_vec();
        let gone = vec![("192.0.2.0/24".parse().expect("a network"), TrunkId(3))];
        let networks = RwLock::new(Networks { configured: networks, gone });
        let sources = Sources { networks, targets: RwLock::default() };
        let at = |address: &str| sources.trunk(address.parse().expect("an address"));
        assert_eq!((at("10.0.0.5"), at("10.0.0.6")), (Some(TrunkId(1)), Some(TrunkId(0))));
        assert_eq!(at("192.0.2.1"), Some(TrunkId(3)), "the calls of a trunk that is gone are still heard");
        assert_eq!(at("198.51.100.1"), None);
        let found = ["192.0.2.1", "10.0.0.6"].map(|ip| (ip.parse().expect("an address"), TrunkId(2)));
        sources.set_targets(found.into());
        assert_eq!((at("192.0.2.1"), at("10.0.0.6")), (Some(TrunkId(2)), Some(TrunkId(0))));
        sources.set_targets(HashMap::new());
        assert_eq!(at("192.0.2.1"), Some(TrunkId(3)), "it has moved");
    }
}
