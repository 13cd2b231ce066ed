//! What can be written of a trunk.

use media_relay::HoldSound;
use media_relay::sdp::pbx::Security;
use sip_core::auth::Algorithm;
use sip_core::{Nat, Reliable, SessionTimer, TrunkId};

use super::*;
use crate::trunk::failover;

/// [`LEAST`] with lines added to its trunk.
fn trunk(lines: &str) -> String {
    with("[[number]]", &format!("{lines}\n[[number]]"))
}

/// The errors of a trunk with these lines, without their places.
fn complaints(lines: &str) -> Vec<String> {
    errors(&trunk(lines)).lines().map(|line| line.split_once(": ").expect("a place").1.to_owned()).collect()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_trunk_has_defaults() {
    let config = good(LEAST);
    let trunk = &config.trunks[0];
    assert_eq!((config.sip.strangers, config.sip.rate), (Strangers::Silence, 10));
    assert_eq!((config.sip.ban_after, config.sip.ban), (20, seconds(300)));
    assert_eq!((config.sip.limits.calls, config.sip.limits.calls_per_second), (1000, 100));
    assert_eq!((trunk.nat, trunk.advertised, trunk.tcp_for_large), (Nat::Auto, None, false));
    assert_eq!(trunk.tls, Tls { ca: None, identity: None, server_name: None, verify: true });
    assert!(trunk.auth.is_none() && trunk.credentials.is_none());
    assert!(trunk.register.is_none() && trunk.accept_register.is_none());
    assert_eq!((trunk.health.interval, trunk.health.down_after, trunk.health.up_after), (seconds(30), 2, 1));
    assert_eq!((trunk.failover.silence, &trunk.failover.on[..]), (seconds(4), &[500, 502, 503, 504][..]));
    assert_eq!((trunk.limits, trunk.longest_call, trunk.budget), Default::default());
    assert!(trunk.dial.emergency.iter().any(|number| number == "112"));
    let headers = &trunk.headers;
    assert!(headers.plus && headers.identity && headers.meta == MetaHeaders::Both);
    assert!(headers.add.is_empty() && headers.pass.is_empty());
    let timer = Some(SessionTimer { expires: seconds(1800), min_se: seconds(90) });
    assert_eq!(trunk.session, Session { timer, reliable: Reliable::Supported, offer: Offer::Early });
    assert!(trunk.transfer && !trunk.redirect);
    assert_eq!((trunk.dtmf, trunk.ringback), (Dtmf::Rfc4733, Ringback::Pbx));
    let media = &trunk.media;
    assert_eq!((media.timeouts.pbx, media.timeouts.whatsapp), (seconds(30), seconds(0)));
    assert_eq!((&media.hold_sound, &media.transfer_sound), (&HoldSound::Silence, &None));
    assert_eq!(trunk.srtp, Security::Refuse);
}

#[test]
fn holds_transfers_and_silence_of_a_trunk() {
    let sounds = |hold: &str, transfer: &str| {
        let lines = format!(
            "media = {{ timeout_s = 0, whatsapp_timeout_s = 60, hold_sound = {hold:?}, transfer_sound = {transfer:?} }}"
        );
        good(&trunk(&lines)).trunks[0].media.clone()
    };
    let media = sounds("tone", "silence");
    assert_eq!((media.timeouts.pbx, media.timeouts.whatsapp), (seconds(0), seconds(60)));
    assert_eq!(media.hold_sound, HoldSound::Tone(media_relay::tone::HOLD));
    assert_eq!(media.transfer_sound, Some(HoldSound::Silence));
    assert_eq!(sounds("silence", "tone").transfer_sound, None);
    for (lines, complaint) in [
        ("media = { timeout_s = 9 }", "trunk.media.timeout_s: 9 is out of range: write 10 to 3600, or 0"),
        ("media = { whatsapp_timeout_s = -1 }", "trunk.media.whatsapp_timeout_s: -1 is out of range"),
        ("media = { hold_sound = \"no.wav\" }", "no.wav is no WAV file that can be read"),
        ("media = { transfer_sound = \"ton\" }", "write \"silence\", \"tone\" or a WAV file"),
    ] {
        let found = complaints(lines);
        assert!(found.len() == 1 && found[0].contains(complaint), "{lines}: {found:?}");
    }
}

#[test]
fn everything_about_a_trunk_can_be_written() {
    let config = good(&trunk(
        r#"
        advertised = "192.0.2.1"
        nat = "source"
        tcp_for_large = true
        dtmf = "info"
        srtp = "require"
        ringback = "183"
        ringback_country = "de"
        transfer = false
        redirect = true
        tls = { server_name = "PBX.example.com", verify = "none" }
        credentials = { user = "bridge", password = { env = "TOKEN" }, realm = "pbx" }
        register = { to = "sip:pbx.example.com:5070", user = "wa", expires_s = 600 }
        accept_register = { max_contacts = 2, min_expires_s = 30, max_expires_s = 120 }
        health = { interval_s = 0, down_after = 3, up_after = 2 }
        failover = { silence_s = 2, on = [503, 408] }
        limits = { calls = 5, calls_per_second = 2, longest_call_s = 3600, minutes_a_day = 60, calls_per_callee_a_day = 3 }
        dial = { allowed = ["+49", "US."], refused = ["4990"], emergency = ["112"] }
        session = { expires_s = 600, min_se_s = 120, reliable = "required", offer = "delayed" }
        [trunk.headers]
        plus = false
        identity = "none"
        meta = "meta"
        add = { X-Tenant = "seven", "X-Rate" = "low; really" }
        pass = ["X-Queue"]
        [trunk.auth]
        realm = "office"
        algorithms = ["md5"]
        [[trunk.auth.user]]
        name = "one"
        password = { env = "SECRET" }
        [[trunk.auth.user]]
        name = "two"
        password = { env = "TOKEN" }
        "#,
    ));
    let trunk = &config.trunks[0];
    assert_eq!(trunk.advertised.map(|ip| ip.to_string()).as_deref(), Some("192.0.2.1"));
    assert_eq!((trunk.nat, trunk.tcp_for_large, trunk.dtmf), (Nat::Source, true, Dtmf::InfoRelay));
    assert_eq!(trunk.srtp, Security::Require);
    assert_eq!(
        (trunk.ringback, trunk.transfer, trunk.redirect),
        (Ringback::Tone(media_relay::tone::ringback("de").expect("a tone")), false, true)
    );
    assert_eq!((trunk.tls.server_name.as_deref(), trunk.tls.verify), (Some("pbx.example.com"), false));
    let auth = trunk.auth.as_ref().expect("digest");
    assert_eq!((auth.realm.as_str(), &auth.algorithms[..]), ("office", &[Algorithm::Md5][..]));
    let users: Vec<_> = auth.users.iter().map(|user| (user.name.as_str(), user.password.current())).collect();
    assert_eq!(users.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(users[1].1.expose(), "value of TOKEN");
    let credentials = trunk.credentials.as_ref().expect("credentials");
    assert_eq!((credentials.user.as_str(), credentials.realm.as_deref()), ("bridge", Some("pbx")));
    let register = trunk.register.as_ref().expect("register");
    assert_eq!(
        (register.to.to_string().as_str(), register.user.as_str(), register.expires),
        ("sip:pbx.example.com:5070", "wa", seconds(600))
    );
    let accept = AcceptRegister { max_contacts: 2, min_expires: seconds(30), max_expires: seconds(120) };
    assert_eq!(trunk.accept_register, Some(accept));
    assert_eq!((trunk.health.interval, trunk.health.down_after, trunk.health.up_after), (seconds(0), 3, 2));
    assert_eq!(trunk.failover, failover::Policy { silence: seconds(2), on: vec![503, 408] });
    assert_eq!((trunk.limits.calls, trunk.limits.calls_per_second), (5, 2));
    assert_eq!(trunk.longest_call, Some(seconds(3600)));
    assert_eq!((trunk.budget.minutes_a_day, trunk.budget.calls_per_callee_a_day), (60, 3));
    assert_eq!(
        (&trunk.dial.allowed[..], &trunk.dial.refused[..]),
        (&["49", "US."].map(String::from)[..], &["4990".to_owned()][..])
    );
    assert_eq!(trunk.dial.emergency, ["112"]);
    let headers = &trunk.headers;
    assert!(!headers.plus && !headers.identity && headers.meta == MetaHeaders::Meta);
    let mut added = headers.add.clone();
    added.sort();
    assert_eq!(added, [("X-Rate", "low; really"), ("X-Tenant", "seven")].map(|(a, b)| (a.into(), b.into())));
    assert_eq!(headers.pass, ["X-Queue"]);
    let timer = Some(SessionTimer { expires: seconds(600), min_se: seconds(120) });
    let profile = trunk.profile();
    assert_eq!((profile.name.as_str(), profile.advertised), ("office", trunk.advertised));
    assert_eq!((profile.nat, profile.tcp_for_large, profile.transfer), (Nat::Source, true, false));
    assert_eq!((profile.reliable, profile.session_timer), (Reliable::Required, timer));
    assert_eq!(trunk.session, Session { timer, reliable: Reliable::Required, offer: Offer::Delayed });
}

#[test]
fn targets_keep_the_order_they_are_written_in() {
    let targets = |list: &str| {
        let text = with("target = \"10.0.0.5:5060\"", &format!("targets = {list}"));
        match &good(&text).trunks[0].targets {
            Targets::List(aims) => {
                aims.iter().map(|aim| format!("{} {}/{}", aim.target, aim.priority, aim.weight)).collect()
            }
            Targets::Registered => vec![],
        }
    };
    assert_eq!(targets("[\"10.0.0.5\", \"pbx.lan\"]"), ["sip:10.0.0.5 1/0", "sip:pbx.lan 2/0"]);
    let shared = "[{ uri = \"a.lan\", priority = 1, weight = 70 }, { uri = \"b.lan\", priority = 1, weight = 30 }, \"c.lan\"]";
    assert_eq!(targets(shared), ["sip:a.lan 1/70", "sip:b.lan 1/30", "sip:c.lan 3/0"]);
}

#[test]
fn mistakes_of_targets() {
    let said = |line: &str| errors(&with("target = \"10.0.0.5:5060\"", line));
    let cases = [
        (
            "targets = []",
            "f:9: trunk.targets: is empty: write where its calls go, like target = \"10.0.0.5:5060\"",
        ),
        ("targets = [5]", "f:9: trunk.targets: is a whole number, must be a string in quotes"),
        ("targets = [{ url = \"x\" }]", "f:9: trunk.targets.url: unknown key; did you mean \"uri\"?"),
        (
            "targets = [{ uri = \"a.lan\", weight = 5 }]",
            "f:9: trunk.targets.weight: shares calls among targets of one priority: write priority = 1 (or another) beside it",
        ),
        (
            "targets = [\"a.lan\"]\ntarget = \"b.lan\"",
            "f:10: trunk.target: and targets are both there: write one of them",
        ),
        (
            "targets = [\"a.lan\", \"sip:100@b.lan\"]",
            "f:9: trunk.targets: \"sip:100@b.lan\" has a user part: whom the PBX rings is said by number.destination",
        ),
        (
            "target = \"sips:a.lan\"",
            "f:9: trunk.target: goes by tls, and no listener does: add a [[sip.listener]] with transport = \"tls\", for the PBX calls back there",
        ),
        (
            "target = \"registered\"",
            "f:9: trunk.target: is \"registered\", but this trunk takes no registrations: add accept_register = {} and the users of auth",
        ),
    ];
    for (line, expected) in cases {
        let said = said(line);
        assert!(said.contains(expected), "{line}\n{said}");
    }
}

#[test]
fn calls_can_go_to_where_the_pbx_has_registered() {
    let text = with(
        "target = \"10.0.0.5:5060\"",
        "target = \"registered\"\naccept_register = {}\n[[trunk.auth.user]]\nname = \"phone\"\npassword = { env = \"TOKEN\" }",
    );
    let config = good(&text);
    assert_eq!(config.trunks[0].targets, Targets::Registered);
    let accept = AcceptRegister { max_contacts: 1, min_expires: seconds(60), max_expires: seconds(3600) };
    assert_eq!(config.trunks[0].accept_register, Some(accept));
    let auth = config.trunks[0].auth.as_ref().expect("digest");
    assert_eq!(auth.algorithms, [Algorithm::Sha256, Algorithm::Md5]);
}

#[test]
fn we_register_with_what_is_known_already() {
    let config =
        good(&trunk("credentials = { user = \"wa\", password = { env = \"TOKEN\" } }\nregister = {}"));
    let register = config.trunks[0].register.as_ref().expect("register");
    assert_eq!((register.to.to_string().as_str(), register.user.as_str()), ("sip:10.0.0.5:5060", "wa"));
}

#[test]
fn each_way_of_digits_has_a_word() {
    for (word, dtmf) in [
        ("rfc4733", Dtmf::Rfc4733),
        ("info", Dtmf::InfoRelay),
        ("info_dtmf", Dtmf::InfoDtmf),
        ("inband", Dtmf::InBand),
    ] {
        assert_eq!(good(&trunk(&format!("dtmf = \"{word}\""))).trunks[0].dtmf, dtmf);
    }
}

#[test]
fn mistakes_of_a_trunk_and_their_remedies() {
    let said = CASES.iter().map(|(lines, _)| complaints(lines));
    let wrong: Vec<_> = said.zip(CASES).filter(|(said, (_, expected))| said != expected).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Lines of a trunk, and what is said of them.
#[rustfmt::skip]
const CASES: &[(&str, &[&str])] = &[
    ("advertised = \"10.0.0.2:5060\"", &["trunk.advertised: \"10.0.0.2:5060\" has a port, that is the listener's: write \"10.0.0.2\""]),
    ("nat = \"yes\"", &["trunk.nat: \"yes\" is not known: write one of \"auto\", \"source\", \"contact\""]),
    ("dtmf = \"tones\"", &["trunk.dtmf: \"tones\" is not known: write one of \"rfc4733\", \"info\", \"info_dtmf\", \"inband\""]),
    ("dtmf = true", &["trunk.dtmf: is true or false, must be a string in quotes"]),
    ("srtp = \"optional\"", &["trunk.srtp: \"optional\" is not known: write one of \"refuse\", \"offer\", \"require\""]),
    ("srtp = true", &["trunk.srtp: is true or false, must be a string in quotes"]),
    (
        "dtmf = \"\"",
        &["trunk.dtmf: \"\" is not known: write one of \"rfc4733\", \"info\", \"info_dtmf\", \"inband\""],
    ),
    ("ringback = \"183\"", &["trunk.ringback_country: is missing: ringback = \"183\" plays the tone of a country, like \"de\""]),
    ("ringback_country = \"de\"", &["trunk.ringback_country: has no effect with ringback = \"180\": write \"183\" there, or leave it out"]),
    ("tls = { verify = \"off\" }", &["trunk.tls.verify: \"off\" is not known: write one of \"full\", \"none\""]),
    ("tls = { ca = \"/no/such\" }", &["trunk.tls.ca: /no/such cannot be read: No such file or directory (os error 2)"]),
    ("tls = { server_name = \"10.0.0.5\" }", &["trunk.tls.server_name: \"10.0.0.5\" is no host name: write one like \"pbx.example.com\""]),
    ("auth = {}", &["trunk.auth.user: must be 1 to 10000 users: write [[trunk.auth.user]] with name and password for each"]),
    ("auth = { user = [{ name = \"a\", password = \"b\" }] }", &["trunk.auth.user.password: a secret has no place in this file: write { env = \"NAME\" } or { file = \"PATH\" }"]),
    ("auth = { user = [{ name = \"a\\\"\", password = { env = \"TOKEN\" } }] }", &["trunk.auth.user.name: \"a\\\"\" must have 1 to 128 characters, without quotes and backslashes, like \"pbx\""]),
    ("auth = { algorithms = [\"md5\", \"md5\"], user = [{ name = \"a\", password = { env = \"TOKEN\" } }] }", &["trunk.auth.algorithms: names an algorithm twice: once is enough"]),
    ("credentials = { password = { env = \"TOKEN\" } }", &["trunk.credentials.user: is missing: write the name the PBX knows this bridge by"]),
    ("register = {}", &["trunk.register.user: is missing: write whom the PBX is to call here, or add credentials"]),
    ("register = { user = \"a\", expires_s = 30 }", &["trunk.register.expires_s: 30 is out of range: write 60 to 86400"]),
    ("accept_register = {}", &["trunk.accept_register: needs a password, or anybody could take the calls: write [[trunk.auth.user]] with name and password"]),
    ("accept_register = { min_expires_s = 600, max_expires_s = 60 }\n[[trunk.auth.user]]\nname = \"a\"\npassword = { env = \"TOKEN\" }", &["trunk.accept_register.max_expires_s: is less than min_expires_s: no registration would fit"]),
    ("health = { interval_s = 1 }", &["trunk.health.interval_s: 1 is out of range: write 5 to 3600, or 0 to send no OPTIONS"]),
    ("health = { down_after = 0 }", &["trunk.health.down_after: 0 is out of range: write 1 to 100"]),
    ("failover = { on = [486] }", &["trunk.failover.on: may hold 408, 480, 500, 502, 503, 504 alone: what else a PBX says is an answer for the call"]),
    ("failover = { on = [503, 503] }", &["trunk.failover.on: names a status twice: once is enough"]),
    ("failover = { on = [\"503\"] }", &["trunk.failover.on: is a string, must be a whole number"]),
    ("limits = { calls = -1 }", &["trunk.limits.calls: -1 is out of range: write 0 to 100000"]),
    ("dial = { allowed = [\"+49x\"] }", &["trunk.dial.allowed: \"+49x\" is no beginning of a number or user id: write one like \"+49\" or \"US.\""]),
    ("dial = { emergency = [\"+112\"] }", &["trunk.dial.emergency: \"+112\" is no number to dial: write digits, like \"112\""]),
    ("headers = { meta = \"on\" }", &["trunk.headers.meta: \"on\" is not known: write one of \"both\", \"meta\", \"off\""]),
    ("headers = { add = \"X-A: b\" }", &["trunk.headers.add: is a string, must be a table like { name = \"value\" }"]),
    ("headers = { add = { X-A = 5 } }", &["trunk.headers.add.X-A: is a whole number, must be a string in quotes"]),
    ("headers = { add = { Via = \"x\" } }", &["trunk.headers.add.Via: \"Via\" is a header of the bridge itself: choose another, like \"X-Tenant\""]),
    ("headers = { add = { v = \"x\" } }", &["trunk.headers.add.v: \"v\" is a header of the bridge itself: choose another, like \"X-Tenant\""]),
    ("headers = { add = { \"X A\" = \"x\" } }", &["trunk.headers.add.X A: \"X A\" is no name of a header: write one like \"X-Tenant\""]),
    ("headers = { add = { X-A = \"x\\r\\nVia: y\" } }", &["trunk.headers.add.X-A: \"x\\r\\nVia: y\" must be one line of 1 to 256 bytes, without white space around it"]),
    ("headers = { pass = [\"X-WA-Meta-WACID\"] }", &["trunk.headers.pass: \"X-WA-Meta-WACID\" is a header of the bridge itself: choose another, like \"X-Tenant\""]),
    ("session = { expires_s = 60 }", &["trunk.session.expires_s: 60 is out of range: write 90 to 86400, or 0 for no session timer"]),
    ("session = { expires_s = 90, min_se_s = 120 }", &["trunk.session.expires_s: is less than min_se_s: ask for no less than the PBX may"]),
];

#[test]
fn added_headers_stay_small() {
    let value = "x".repeat(250);
    let lines =
        format!("headers = {{ add = {{ X-A = \"{value}\", X-B = \"{value}\", X-C = \"{value}\" }} }}");
    let expected =
        "trunk.headers.add: adds 771 bytes to each INVITE: keep it within 512, so that it fits a datagram";
    assert_eq!(complaints(&lines), [expected]);
}

#[test]
fn the_longest_prefix_says_whose_call_it_is() {
    let config = good(&with(
        "[[number]]",
        "[[trunk]]\nname = \"all\"\nsources = [\"0.0.0.0/0\", \"2001:db8::/32\"]\ntarget = \"10.0.0.6\"\n\
         [[trunk]]\nname = \"lan\"\nsources = [\"10.0.0.0/24\"]\ntarget = \"10.0.0.7\"\n[[number]]",
    ));
    let sources = crate::sip::Sources::new(&config);
    let owner = |ip: &str| sources.trunk(ip.parse().expect(ip));
    assert_eq!(owner("10.0.0.5"), Some(TrunkId(0)));
    assert_eq!(owner("10.0.0.6"), Some(TrunkId(2)));
    assert_eq!(owner("::ffff:10.0.0.6"), Some(TrunkId(2)));
    assert_eq!(owner("192.0.2.1"), Some(TrunkId(1)));
    assert_eq!(owner("2001:db8::7"), Some(TrunkId(1)));
    assert_eq!(owner("2001:db9::7"), None);
}

#[test]
fn without_a_destination_the_business_number_is_rung() {
    let config = good(&with("destination = \"100\"\n", ""));
    let number = &config.numbers[0];
    assert_eq!(
        (number.user(true), number.user(false)),
        ("+15550001234".to_owned(), "15550001234".to_owned())
    );
    assert_eq!(good(LEAST).numbers[0].user(true), "100");
}

#[test]
fn check_says_what_each_trunk_will_do() {
    let config = good(&trunk(
        "register = {}\ncredentials = { user = \"wa\", password = { env = \"TOKEN\" } }\nlimits = { calls = 5 }",
    ));
    let expected = "listener udp on 10.0.0.2:5060, known as 10.0.0.2:5060\n\
        trunk \"office\": calls go to sip:10.0.0.5:5060; its calls are known by their address; registers as wa at sip:10.0.0.5:5060; \
        OPTIONS every 30 s; at most 5 calls at a time, 1 number(s)\n\
        journal wa-bridge.redb\n";
    assert_eq!(config.describe(), expected);
    assert_eq!(config.warnings(), [""; 0]);
}

#[test]
fn what_is_unwise_is_warned_of() {
    let open = with("[\"10.0.0.5\"]", "[\"0.0.0.0/0\"]").replacen(
        "[[number]]",
        "tls = { verify = \"none\" }\n[[number]]",
        1,
    );
    let warnings = good(&open).warnings();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings[0].contains("tls.verify = \"none\"") && warnings[1].contains("anybody may call"),
        "{warnings:?}"
    );
    let closed = open.replacen(
        "[[number]]",
        "[[trunk.auth.user]]\nname = \"a\"\npassword = { env = \"TOKEN\" }\n[[number]]",
        1,
    );
    assert_eq!(good(&closed).warnings().len(), 1);
}

/// RFC 4568 8: the SDP must be protected for the keys in it to be worth anything.
#[test]
fn keys_of_srtp_in_open_sip_are_warned_of() {
    for (lines, is_warned) in
        [("", false), ("srtp = \"refuse\"", false), ("srtp = \"offer\"", true), ("srtp = \"require\"", true)]
    {
        let warnings = good(&trunk(lines)).warnings();
        assert_eq!(warnings.iter().any(|text| text.contains("keys of its SRTP")), is_warned, "{lines}");
    }
}
