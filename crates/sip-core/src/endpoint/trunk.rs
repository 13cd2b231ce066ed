//! What the endpoint keeps for each trunk: its manners, who may come in, what challenges are answered with, who has
//! registered.

use std::collections::{HashMap, HashSet};

use super::alarms::Owner;
use super::{Endpoint, EndpointConfig, Notice, Output};
use crate::auth::{Answerer, Authenticator};
use crate::profile::TrunkProfile;
use crate::registration::Bindings;
use crate::transport::TrunkId;

#[derive(Debug)]
pub(super) struct Trunk {
    pub(super) profile: TrunkProfile,
    /// None where the source address is enough.
    pub(super) authenticator: Option<Authenticator>,
    pub(super) answerer: Answerer,
    /// None where nobody may register.
    pub(super) bindings: Option<Bindings>,
}

impl Trunk {
    /// Of all trunks, in the order of the configuration.
    pub(super) fn all(config: &EndpointConfig) -> HashMap<TrunkId, Self> {
        let ids = (0..).map(TrunkId);
        ids.zip(&config.trunks)
            .map(|(id, profile)| (id, Self::new(id, profile.clone(), &config.seed)))
            .collect()
    }

    fn new(id: TrunkId, profile: TrunkProfile, seed: &[u8; 32]) -> Self {
        Self {
            authenticator: authenticator(id, &profile, seed),
            answerer: Answerer::new(profile.outbound.clone()),
            bindings: profile.registrar.map(Bindings::new),
            profile,
        }
    }

    /// Other manners: what has not changed keeps its state, so that a nonce or a binding of before is still good.
    fn change(&mut self, id: TrunkId, profile: TrunkProfile, seed: &[u8; 32]) {
        let before = &self.profile;
        if before.inbound != profile.inbound || before.name != profile.name {
            self.authenticator = authenticator(id, &profile, seed);
        }
        if before.outbound != profile.outbound {
            self.answerer = Answerer::new(profile.outbound.clone());
        }
        match (profile.registrar, &mut self.bindings) {
            (Some(limits), Some(bindings)) => bindings.set_limits(limits),
            (limits, bindings) => *bindings = limits.map(Bindings::new),
        }
        self.profile = profile;
    }
}

fn authenticator(id: TrunkId, profile: &TrunkProfile, seed: &[u8; 32]) -> Option<Authenticator> {
    let scope = format!("{} {}", id.0, profile.name);
    profile.inbound.as_ref().map(|realm| Authenticator::new(realm, &scope, seed))
}

impl Endpoint {
    /// These are all the trunks from now on. Calls of one that is no longer among them live on with the default manners.
    pub(super) fn set_trunks(&mut self, trunks: Vec<(TrunkId, TrunkProfile)>) {
        let listed: HashSet<TrunkId> = trunks.iter().map(|(id, _)| *id).collect();
        let had: Vec<TrunkId> =
            self.trunks.iter().filter(|(_, one)| has_bindings(one)).map(|(id, _)| *id).collect();
        self.trunks.retain(|id, _| listed.contains(id));
        for (id, profile) in trunks {
            match self.trunks.get_mut(&id) {
                Some(trunk) => trunk.change(id, profile, &self.config.seed),
                None => drop(self.trunks.insert(id, Trunk::new(id, profile, &self.config.seed))),
            }
        }
        for trunk in had {
            if !self.trunks.get(&trunk).is_some_and(has_bindings) {
                self.alarms.set(Owner::Registrar(trunk), None);
                self.outputs.push_back(Output::Notice(Notice::Bindings { trunk, bindings: Vec::new() }));
            }
        }
    }
}

fn has_bindings(trunk: &Trunk) -> bool {
    trunk.bindings.as_ref().is_some_and(|bindings| bindings.deadline().is_some())
}
