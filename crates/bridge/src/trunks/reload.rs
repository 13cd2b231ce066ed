//! Other trunks while calls live: those that stay keep what is known of them, those that go are served
//! until their last call has ended.
#![expect(clippy::disallowed_methods, reason = "the clock of the trunks")]

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use sip_core::{Command, TrunkId};

use super::{Gone, Outcome, State, Trunks, lock};
use crate::config::{Config, Trunk};

/// How long a trunk without a configuration and without a call is still heard: for so long its last BYE
/// may be repeated (RFC 3261 Timer F and H), and our registration there takes its farewell.
const LINGER: Duration = Duration::from_secs(40);

impl Trunks {
    /// The trunks that are served, those that are gone among them: each id with its name.
    pub(crate) fn known(&self) -> Vec<(TrunkId, String)> {
        self.each().iter().map(|state| (state.id, state.config.name.clone())).collect()
    }

    /// The trunks that would be gone with this configuration, and those that are already.
    pub(crate) fn gone_with(&self, config: &Config) -> Vec<Arc<Trunk>> {
        let each = self.each();
        let gone = each.iter().filter(|state| config.trunk(state.id).is_none());
        gone.map(|state| Arc::clone(&state.config)).collect()
    }

    /// Takes another configuration. Its new trunks take no calls before [`Self::listen`].
    pub(crate) fn change(&self, config: &Config) {
        let before = self.each();
        let find = |id: TrunkId| before.iter().find(|state| state.id == id);
        let configured = config.trunks.iter().map(|trunk| {
            Arc::new(find(trunk.id).map_or_else(|| State::new(trunk), |state| state.succeeded(trunk)))
        });
        let gone = before.iter().filter(|state| config.trunk(state.id).is_none()).map(State::leaving);
        let each: Arc<[Arc<State>]> = configured.chain(gone).collect();
        lock(&self.all).set_limits(config.sip.limits);
        *self.each.write().unwrap_or_else(PoisonError::into_inner) = each;
        self.tell_ready(Instant::now());
    }

    /// Whose messages are read from now on.
    pub(crate) fn listen(&self) {
        let each = self.each();
        let of = |gone: bool| {
            each.iter().filter(move |state| state.gone.is_some() == gone).map(|state| &*state.config)
        };
        self.sources.set_networks(of(false), of(true));
        self.know_addresses();
        self.outcome(Outcome::Changed);
    }

    /// Forgets the trunks that are gone with their last call.
    pub(super) fn forget_gone(&self, now: Instant) {
        let is_over = |state: &State| {
            state.gone.as_ref().is_some_and(|gone| gone.is_over(now, lock(&state.gate).calls()))
        };
        let each = self.each();
        let over: Vec<TrunkId> = each.iter().filter(|state| is_over(state)).map(|state| state.id).collect();
        if over.is_empty() {
            return;
        }
        let kept = each.iter().filter(|state| !over.contains(&state.id)).cloned().collect();
        *self.each.write().unwrap_or_else(PoisonError::into_inner) = kept;
        for trunk in over {
            // The id may be another's one day.
            self.sip.tell(Command::Ready { trunk: Some(trunk), ready: !self.is_draining() });
        }
        self.listen();
    }
}

impl State {
    /// The same trunk, configured otherwise.
    fn succeeded(&self, trunk: &Trunk) -> Self {
        lock(&self.watch).set_policy(trunk.health);
        lock(&self.gate).set_limits(trunk.limits);
        lock(&self.ledger).set_budget(trunk.budget);
        Self { config: Arc::new(trunk.clone()), id: self.id, gone: None, live: Arc::clone(&self.live) }
    }

    /// The same trunk, configured no longer.
    fn leaving(self: &Arc<Self>) -> Arc<Self> {
        if self.gone.is_some() {
            return Arc::clone(self);
        }
        let (config, live) = (Arc::clone(&self.config), Arc::clone(&self.live));
        Arc::new(Self { config, id: self.id, gone: Some(Gone::default()), live })
    }
}

impl Gone {
    fn is_over(&self, now: Instant, calls: u32) -> bool {
        let mut idle = lock(&self.idle);
        if calls > 0 {
            *idle = None;
            return false;
        }
        let since = *idle.get_or_insert(now);
        now.saturating_duration_since(since) >= LINGER
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::path::Path;

    use super::*;
    use crate::call::cause::Cause;

    const FILE: &str = r#"
        [sip]
        bind = "127.0.0.1:0"
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
        target = "127.0.0.1:5060"
        limits = { calls = 1 }
        [[trunk]]
        name = "spare"
        sources = ["10.0.0.5"]
        target = "127.0.0.1:5070"
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

    struct Bench {
        trunks: Arc<Trunks>,
        config: Config,
        now: Instant,
    }

    impl Bench {
        async fn new() -> Self {
            let config = parsed(FILE);
            let (sip, _notices, _driver, sources) = crate::sip::bind(&config, None).await.expect("a port");
            Self { trunks: Trunks::new(&config, sip, sources).0, config, now: Instant::now() }
        }

        fn load(&mut self, text: &str) {
            self.config = parsed(text).succeeding(&self.config, &self.trunks.known()).expect("few");
            self.trunks.change(&self.config);
            self.trunks.listen();
        }

        fn id(&self, name: &str) -> TrunkId {
            self.config.trunks.iter().find(|one| one.name == name).expect(name).id
        }

        fn admit(&self, trunk: TrunkId) -> Result<super::super::Ticket, Cause> {
            self.trunks.admit(self.now, trunk)
        }

        fn owner(&self, address: &str) -> Option<TrunkId> {
            self.trunks.sources.trunk(address.parse::<IpAddr>().expect("an address"))
        }

        fn forget_gone_after(&self, after: Duration) {
            self.trunks.forget_gone(self.now + after);
        }
    }

    fn without_spare() -> String {
        let start = FILE.rfind("[[trunk]]").expect("it");
        let end = FILE.find("[[number]]").expect("numbers");
        format!("{}{}", &FILE[..start], &FILE[end..])
    }

    #[tokio::test]
    async fn a_changed_limit_counts_the_calls_that_are_there() {
        let mut bench = Bench::new().await;
        let office = bench.id("office");
        let first = bench.admit(office).expect("the first");
        assert_eq!(bench.admit(office).err(), Some(Cause::TooManyCalls));
        bench.load(&FILE.replace("calls = 1", "calls = 2"));
        let second = bench.admit(office).expect("the second");
        assert_eq!(bench.admit(office).err(), Some(Cause::TooManyCalls));
        drop((first, second));
        assert_eq!(bench.trunks.read()[0], ("office".to_owned(), 0, true));
    }

    #[tokio::test]
    async fn a_removed_trunk_is_heard_until_its_last_call_has_been_over_for_a_while() {
        let mut bench = Bench::new().await;
        let spare = bench.id("spare");
        let call = bench.admit(spare).expect("a call");
        bench.load(&without_spare());
        assert_eq!(bench.admit(spare).err(), Some(Cause::NoRoute), "it takes no more");
        assert_eq!(bench.owner("10.0.0.5"), Some(spare), "its BYE is heard");
        assert_eq!(bench.trunks.gone_with(&bench.config).len(), 1);
        bench.forget_gone_after(LINGER * 10);
        assert_eq!(bench.owner("10.0.0.5"), Some(spare), "the call lives");
        drop(call);
        bench.forget_gone_after(LINGER * 10);
        assert_eq!(bench.owner("10.0.0.5"), Some(spare), "its BYE may be repeated");
        bench.forget_gone_after(LINGER * 11);
        assert_eq!(bench.owner("10.0.0.5"), None);
        assert_eq!(bench.trunks.known(), [(TrunkId(0), "office".to_owned())]);
    }

    #[tokio::test]
    async fn a_new_trunk_has_the_addresses_of_a_removed_one_and_not_its_id() {
        let mut bench = Bench::new().await;
        let call = bench.admit(bench.id("spare")).expect("a call");
        bench.load(&FILE.replace("\"spare\"", "\"other\""));
        let other = bench.id("other");
        assert_eq!((other, bench.owner("10.0.0.5")), (TrunkId(2), Some(other)));
        assert_eq!(bench.trunks.read()[1], ("other".to_owned(), 0, true), "the call is not one of it");
        drop(call);
        bench.load(FILE);
        assert_eq!(bench.id("spare"), TrunkId(1), "back before it was forgotten");
        assert!(bench.admit(TrunkId(1)).is_ok());
    }

    #[tokio::test]
    async fn a_reload_keeps_what_is_known_of_a_target_that_stays() {
        let mut bench = Bench::new().await;
        let flow = bench.trunks.targets(bench.now, bench.id("spare"))[0];
        let rest = Some(Duration::from_secs(60));
        bench.trunks.call_failed(bench.now, flow, crate::trunk::failover::Refusal::Silence, rest);
        assert_eq!(bench.trunks.targets(bench.now, bench.id("spare")), [], "it rests");
        bench.load(&FILE.replace("calls = 1", "calls = 2"));
        assert_eq!(bench.trunks.targets(bench.now, bench.id("spare")), [], "it still does");
        bench.load(&FILE.replace("127.0.0.1:5070", "127.0.0.1:5071"));
        assert_eq!(bench.trunks.targets(bench.now, bench.id("spare"))[0].peer.port(), 5071);
    }
}
