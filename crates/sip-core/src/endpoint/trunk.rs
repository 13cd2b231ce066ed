//! What the endpoint keeps for each trunk: who may come in, what challenges are answered with, who has registered.

use super::EndpointConfig;
use crate::auth::{Answerer, Authenticator};
use crate::profile::TrunkProfile;
use crate::registration::Bindings;

#[derive(Debug)]
pub(super) struct Trunk {
    /// None where the source address is enough.
    pub(super) authenticator: Option<Authenticator>,
    pub(super) answerer: Answerer,
    /// None where nobody may register.
    pub(super) bindings: Option<Bindings>,
}

impl Trunk {
    /// Of all trunks, in the order of the configuration.
    pub(super) fn all(config: &EndpointConfig) -> Vec<Self> {
        let one = |(index, profile): (usize, &TrunkProfile)| {
            let scope = format!("{index} {}", profile.name);
            let authenticator = |realm| Authenticator::new(realm, &scope, &config.seed);
            Self {
                authenticator: profile.inbound.as_ref().map(authenticator),
                answerer: Answerer::new(profile.outbound.clone()),
                bindings: profile.registrar.map(Bindings::new),
            }
        };
        config.trunks.iter().enumerate().map(one).collect()
    }
}
