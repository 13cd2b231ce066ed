//! From one configuration to the next while the program runs: what has changed, what of it can be taken, and which trunk
//! is which.

use std::collections::{BTreeMap, BTreeSet};

use sip_core::TrunkId;
use toml::{Table, Value};

use super::sip::Sip;
use super::valid::Config;

/// What is bound or begun once: it changes with a restart alone. Each is a key or the beginning of keys.
const RESTART: &[&str] = &[
    "sip.bind",
    "sip.advertised",
    "sip.listener",
    "media",
    "graph",
    "webhook.listen",
    "webhook.path",
    "webhook.pass_on",
    "webhook.tls",
    "admin",
    "journal",
    "records",
    "capture",
    "log.format",
];
/// What of a listener can be taken all the same.
const LISTENER_FILES: [&str; 3] = [".certificate", ".key", ".client_ca"];
/// Tables of which there are many, and the key that tells them apart.
const NAMED: [(&str, &str); 2] = [("trunk", "name"), ("number", "phone_number_id")];

/// What differs between two configuration files: names of keys, and never a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// What is in force now.
    pub taken: Vec<String>,
    /// What needs a restart.
    pub restart: Vec<String>,
}

impl Difference {
    /// Compares two files that were both read well.
    #[must_use]
    pub fn of(before: &str, after: &str) -> Self {
        let (before, after) = (leaves(before), leaves(after));
        let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let changed = keys.into_iter().filter(|key| before.get(*key) != after.get(*key));
        let (restart, taken) = changed.cloned().partition(|key| needs_restart(key));
        Self { taken, restart }
    }

    /// Whether both say the same.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.taken.is_empty() && self.restart.is_empty()
    }
}

fn needs_restart(key: &str) -> bool {
    let begins = |start: &str| {
        key.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let is_file = key.starts_with("sip.listener") && LISTENER_FILES.iter().any(|file| key.ends_with(file));
    RESTART.iter().any(|start| begins(start)) && !is_file
}

/// Every value by its key.
fn leaves(text: &str) -> BTreeMap<String, Value> {
    let mut leaves = BTreeMap::new();
    // Read well before: nothing is lost by taking a broken one for an empty one.
    collect(String::new(), Value::Table(text.parse::<Table>().unwrap_or_default()), &mut leaves);
    leaves
}

fn collect(key: String, value: Value, leaves: &mut BTreeMap<String, Value>) {
    match value {
        Value::Table(table) if !table.is_empty() => {
            let dot = if key.is_empty() { "" } else { "." };
            for (name, value) in table {
                collect(format!("{key}{dot}{name}"), value, leaves);
            }
        }
        Value::Array(items) if items.iter().all(Value::is_table) => {
            for (index, item) in items.into_iter().enumerate() {
                collect(format!("{key}[{}]", name_of(&key, &item, index)), item, leaves);
            }
        }
        value => drop(leaves.insert(key, value)),
    }
}

/// What a table of many is called: a trunk by its name, so that its place does not matter.
fn name_of(key: &str, item: &Value, index: usize) -> String {
    let by = NAMED.iter().find(|(table, _)| *table == key);
    let name = by.and_then(|(_, by)| item.get(by)).and_then(Value::as_str);
    name.map_or_else(|| index.to_string(), ToOwned::to_owned)
}

impl Config {
    /// This configuration as it can be taken where `before` is in force: what needs a restart stays as it was, and each
    /// trunk that is among the `known` keeps its id by its name. The others get ids that none of those has, so that no
    /// call of a trunk that is gone becomes one of another; `None` when there are too many.
    #[must_use]
    pub fn succeeding(mut self, before: &Self, known: &[(TrunkId, String)]) -> Option<Self> {
        keep_listeners(&mut self.sip, &before.sip);
        self.media = before.media.clone();
        self.graph = before.graph.clone();
        self.webhook.listen = before.webhook.listen;
        self.webhook.path.clone_from(&before.webhook.path);
        self.webhook.tls.clone_from(&before.webhook.tls);
        self.webhook.pass_on.clone_from(&before.webhook.pass_on);
        self.journal.clone_from(&before.journal);
        self.admin = before.admin.clone();
        self.log.format = before.log.format;
        self.records = before.records.clone();
        self.capture = before.capture.clone();
        let mut used: BTreeSet<TrunkId> = known.iter().map(|(id, _)| *id).collect();
        // Above those that were given last, so that an id rests as long as it can.
        let last = used.last().map_or(0, |last| last.0);
        for trunk in &mut self.trunks {
            if let Some((id, _)) = known.iter().find(|(_, name)| *name == trunk.name) {
                trunk.id = *id;
                continue;
            }
            trunk.id = (last..u16::MAX).chain(0..last).map(TrunkId).find(|id| !used.contains(id))?;
            used.insert(trunk.id);
        }
        Some(self)
    }
}

/// The listeners stay; where they are the same ones, with the TLS files of now.
fn keep_listeners(now: &mut Sip, before: &Sip) {
    let files: Vec<_> = now.listeners.iter().map(|one| one.tls.clone()).collect();
    let place = |sip: &Sip| -> Vec<_> {
        sip.listeners.iter().map(|one| (one.transport, one.bind, one.advertised)).collect()
    };
    let is_same = place(now) == place(before);
    now.listeners.clone_from(&before.listeners);
    if is_same {
        for (listener, tls) in now.listeners.iter_mut().zip(files) {
            listener.tls = tls;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const FILE: &str = r#"
        [sip]
        bind = "127.0.0.1:5060"
        max_calls = 10
        [media.pbx]
        bind = "127.0.0.1"
        [media.whatsapp]
        bind = "127.0.0.1"
        [webhook]
        app_secret = { env = "S" }
        verify_token = { env = "S" }
        [[trunk]]
        name = "office"
        sources = ["10.0.0.4"]
        target = "10.0.0.4"
        limits = { calls = 1 }
        [[trunk]]
        name = "spare"
        sources = ["10.0.0.5"]
        target = "10.0.0.5"
        [[number]]
        phone_number_id = "1"
        display = "+15550000001"
        token = { env = "S" }
        trunk = "office"
    "#;

    fn parsed(text: &str) -> Config {
        let secret = |_: &str| Some("secret".to_owned());
        Config::parse(text, Path::new("wa-bridge.toml"), &secret).unwrap_or_else(|errors| panic!("{errors}"))
    }

    fn known(config: &Config) -> Vec<(TrunkId, String)> {
        config.trunks.iter().map(|one| (one.id, one.name.clone())).collect()
    }

    #[test]
    fn what_has_changed_is_named_by_its_key_and_what_needs_a_restart_apart() {
        assert!(Difference::of(FILE, &format!("# a comment\n{FILE}")).is_nothing());
        let after = FILE
            .replace("max_calls = 10", "max_calls = 20")
            .replace("127.0.0.1:5060", "127.0.0.1:5070")
            .replace("calls = 1 }", "calls = 2 }")
            .replace("{ env = \"S\" }\n        trunk", "{ env = \"T\" }\n        trunk")
            .replace("name = \"spare\"", "name = \"other\"");
        let after = format!(
            "{after}\n[admin]\nlisten = \"127.0.0.1:9091\"\n[log]\nlevel = \"debug\"\nformat = \"json\""
        );
        let found = Difference::of(FILE, &after);
        assert_eq!(found.restart, ["admin.listen", "log.format", "sip.bind"]);
        assert_eq!(
            found.taken,
            [
                "log.level",
                "number[1].token.env",
                "sip.max_calls",
                "trunk[office].limits.calls",
                "trunk[other].name",
                "trunk[other].sources",
                "trunk[other].target",
                "trunk[spare].name",
                "trunk[spare].sources",
                "trunk[spare].target",
            ]
        );
    }

    #[test]
    fn the_order_of_trunks_is_nothing() {
        let (start, end) = FILE.split_at(FILE.find("[[trunk]]").expect("trunks"));
        let (first, rest) = end.split_at(end.rfind("[[trunk]]").expect("trunks"));
        let (second, numbers) = rest.split_at(rest.find("[[number]]").expect("numbers"));
        let turned = format!("{start}{second}{first}{numbers}");
        assert!(Difference::of(FILE, &turned).is_nothing());
        let before = parsed(FILE);
        let config = parsed(&turned).succeeding(&before, &known(&before)).expect("few");
        let ids: Vec<_> = config.trunks.iter().map(|one| (one.name.as_str(), one.id.0)).collect();
        assert_eq!(ids, [("spare", 1), ("office", 0)]);
        assert_eq!(config.trunk(TrunkId(1)).map(|one| one.name.as_str()), Some("spare"));
    }

    #[test]
    fn the_certificate_of_a_listener_can_be_another_one_and_its_address_not() {
        for (key, expected) in [
            ("certificate", false),
            ("key", false),
            ("client_ca", false),
            ("bind", true),
            ("transport", true),
        ] {
            assert_eq!(needs_restart(&format!("sip.listener[0].{key}")), expected, "{key}");
        }
        assert!(
            needs_restart("media.pbx.ports") && !needs_restart("mediation") && !needs_restart("sip.rate")
        );
    }

    #[test]
    fn what_is_bound_stays_and_the_rest_is_taken() {
        let before = parsed(FILE);
        let text =
            FILE.replace("127.0.0.1:5060", "127.0.0.1:5070").replace("max_calls = 10", "max_calls = 20");
        let text = format!(
            "{text}\n[media]\nport_rest_s = 60\n[life]\ndrain_limit_s = 1\n[records]\npath = \"calls\""
        );
        let config = parsed(&text).succeeding(&before, &known(&before)).expect("few");
        assert_eq!(config.sip.listeners[0].bind.port(), 5060);
        assert_eq!(config.media.port_rest, before.media.port_rest);
        assert_eq!(config.sip.limits.calls, 20);
        assert_eq!(config.life.drain_limit.as_secs(), 1);
        assert_eq!(config.records, before.records);
    }

    #[test]
    fn the_id_of_a_removed_trunk_rests_as_long_as_calls_of_it_live() {
        let before = parsed(FILE);
        let renamed = parsed(&FILE.replace("\"spare\"", "\"other\""));
        let config = renamed.succeeding(&before, &known(&before)).expect("few");
        assert_eq!(config.trunks[1].id, TrunkId(2), "that of \"spare\" is not taken over");
        let living = [known(&config), vec![(TrunkId(1), "spare".to_owned())]].concat();
        let again = parsed(FILE).succeeding(&config, &living).expect("few");
        assert_eq!(again.trunks[1].id, TrunkId(1), "it is back before its last call has ended");
        let all: Vec<_> = (0..u16::MAX).map(|id| (TrunkId(id), "another".to_owned())).collect();
        assert!(parsed(FILE).succeeding(&config, &all).is_none(), "there is no id left");
    }
}
