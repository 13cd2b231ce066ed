//! What a configuration will do, in words, for `wa-bridge check`.

use std::fmt::Write as _;

use super::trunk::{Targets, Trunk};
use super::valid::Config;

impl Config {
    /// One line a listener, one a trunk, and one for the journal.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = String::new();
        for listener in &self.sip.listeners {
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "listener {} on {}, known as {}",
                listener.transport.name(),
                listener.bind,
                listener.advertised
            );
        }
        for trunk in &self.trunks {
            let numbers = self.numbers.iter().filter(|number| number.trunk == trunk.name).count();
            let _ = writeln!(text, "trunk {:?}: {}, {numbers} number(s)", trunk.name, trunk.describe());
        }
        if let Some(path) = &self.journal.path {
            let _ = writeln!(text, "journal {}", path.display());
        }
        text
    }

    /// What is allowed and yet unwise, one text each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.journal.path.is_none() {
            warnings.push(
                "journal.enabled = false: calls that are open when the bridge crashes go on at WhatsApp, and cost money, until their users hang up"
                    .to_owned(),
            );
        }
        for trunk in &self.trunks {
            let name = &trunk.name;
            if !trunk.tls.verify {
                warnings.push(format!(
                    "trunk {name:?}: tls.verify = \"none\": whoever is between this bridge and the PBX can take its calls"
                ));
            }
            if trunk.shows_keys(&self.sip) {
                warnings.push(format!(
                    "trunk {name:?}: the keys of its SRTP stand in its SIP, which goes over UDP or TCP: whoever reads that can listen; give it a target like \"sips:pbx.example.com\" and a [[sip.listener]] with transport = \"tls\""
                ));
            }
            if trunk.auth.is_none() && trunk.sources.iter().any(super::Network::is_everything) {
                warnings.push(format!(
                    "trunk {name:?}: anybody may call at its cost: its sources are every address, and auth demands no password"
                ));
            }
        }
        warnings
    }
}

impl Trunk {
    fn describe(&self) -> String {
        let mut parts = vec![match &self.targets {
            Targets::Registered => "calls go to where the PBX has registered".to_owned(),
            Targets::List(aims) => {
                let targets: Vec<_> = aims.iter().map(|aim| aim.target.to_string()).collect();
                format!("calls go to {}", targets.join(", "))
            }
        }];
        parts.push(match &self.auth {
            None => "its calls are known by their address".to_owned(),
            Some(auth) => format!("its calls need a password ({} user(s))", auth.users.len()),
        });
        if let Some(register) = &self.register {
            parts.push(format!("registers as {} at {}", register.user, register.to));
        }
        if self.accept_register.is_some() {
            parts.push("takes registrations".to_owned());
        }
        if !self.health.interval.is_zero() {
            parts.push(format!("OPTIONS every {} s", self.health.interval.as_secs()));
        }
        for (limit, what) in [
            (self.limits.calls, "calls at a time"),
            (self.limits.calls_per_second, "calls a second"),
            (self.budget.minutes_a_day, "minutes a day"),
            (self.budget.calls_per_callee_a_day, "calls a day to one callee"),
        ] {
            if limit != 0 {
                parts.push(format!("at most {limit} {what}"));
            }
        }
        parts.join("; ")
    }
}
