use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use media_relay::sdp::pbx::Codec;

use super::*;
use crate::call::machine::{AnswerOn, InviteAfter};

const EXAMPLE: &str = include_str!("../../../../config/wa-bridge.example.toml");
const REFERENCE: &str = include_str!("../../../../docs/configuration.md");

/// The least there can be. Line numbers of the table below count in here.
const LEAST: &str = r#"sip.bind = "10.0.0.2:5060"
media.pbx.bind = "10.0.0.2"
media.whatsapp.bind = "10.0.0.3"
webhook.app_secret = { env = "SECRET" }
webhook.verify_token = { env = "VERIFY" }
[[trunk]]
name = "office"
sources = ["10.0.0.5"]
target = "10.0.0.5:5060"
[[number]]
phone_number_id = "1065"
display = "+15550001234"
token = { env = "TOKEN" }
trunk = "office"
destination = "100"
"#;

fn env(name: &str) -> Option<String> {
    match name {
        "SECRET" | "VERIFY" | "TOKEN" | "WA_APP_SECRET" | "WA_VERIFY_TOKEN" | "WA_TOKEN" => {
            Some(format!(" value of {name}\n"))
        }
        "EMPTY" => Some(" ".to_owned()),
        _ => None,
    }
}

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, Path::new("f"), &env).map_err(|errors| errors.to_string())
}

fn good(text: &str) -> Config {
    parse(text).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

fn errors(text: &str) -> String {
    parse(text).map(|_| ()).expect_err(text)
}

/// [`LEAST`] with one text replaced.
fn with(from: &str, to: &str) -> String {
    assert!(LEAST.contains(from), "{from}");
    LEAST.replacen(from, to, 1)
}

#[test]
fn the_least_has_every_default() {
    let config = good(LEAST);
    assert_eq!(config.sip.bind.to_string(), "10.0.0.2:5060");
    assert_eq!(config.sip.advertised, config.sip.bind);
    assert!(config.sip.user_agent.starts_with("wa-bridge/"));
    assert_eq!(config.media.pbx.advertised.to_string(), "10.0.0.2");
    assert_eq!((config.media.pbx.ports, config.media.whatsapp.ports), (20000..=29999, 30000..=39999));
    assert_eq!((config.media.workers, config.media.opus_complexity), (0, 5));
    assert_eq!(config.media.port_rest, Duration::from_secs(5));
    assert_eq!(
        (config.graph.url.as_str(), config.graph.version.as_str()),
        ("https://graph.facebook.com", "v25.0")
    );
    assert_eq!(
        (config.webhook.listen.to_string().as_str(), config.webhook.path.as_str()),
        ("127.0.0.1:8080", "/webhook")
    );
    assert_eq!(config.webhook.app_secret.current().expose(), "value of SECRET");
    assert_eq!(config.webhook.verify_token.current().expose(), "value of VERIFY");
    assert_eq!(config.admin.listen.to_string(), "127.0.0.1:9090");
    assert_eq!(config.calls.ring_limit_out, Duration::from_secs(60));
    assert_eq!(config.calls.ring_limit_in, Duration::from_secs(55));
    assert_eq!(config.calls.answer_on, AnswerOn::Accepted);
    assert_eq!(config.calls.invite_after, InviteAfter::DtlsUp);
    assert!(!config.calls.rejected_is_603);
    let trunk = &config.trunks[0];
    assert_eq!((trunk.name.as_str(), trunk.target.to_string().as_str()), ("office", "10.0.0.5:5060"));
    assert_eq!(trunk.codecs, [Codec::Opus, Codec::Pcmu, Codec::Pcma]);
    assert_eq!(trunk.default_number, None);
    let number = &config.numbers[0];
    assert_eq!((number.phone_number_id.as_str(), number.display.as_str()), ("1065", "15550001234"));
    assert_eq!((number.trunk.as_str(), number.destination.as_str()), ("office", "100"));
    assert_eq!(number.token.current().expose(), "value of TOKEN");
    assert_eq!(
        (config.log.level.as_str(), config.log.format, config.log.mask_numbers),
        ("info", LogFormat::Text, true)
    );
}

#[test]
fn every_key_can_be_written() {
    let config = good(
        r#"
        [sip]
        bind = "[::]:5070"
        advertised = "192.0.2.10:5062"
        user_agent = "our bridge"
        [media]
        workers = 3
        opus_complexity = 10
        port_rest_s = 0
        [media.pbx]
        bind = "::"
        advertised = "192.0.2.10"
        ports = "10000-10019"
        [media.whatsapp]
        bind = "192.0.2.11"
        advertised = "198.51.100.7"
        ports = "40001-40011"
        [graph]
        url = "http://127.0.0.1:8000/"
        version = "v26.0"
        [webhook]
        listen = "0.0.0.0:8081"
        path = "/hooks/wa"
        app_secret = { env = "SECRET" }
        verify_token = { env = "VERIFY" }
        [admin]
        listen = "[::1]:9091"
        [calls]
        ring_limit_out_s = 30
        ring_limit_in_s = 20
        answer_on = "accepted_or_media"
        rejected_as = 603
        invite_after = "webhook"
        [[trunk]]
        name = "office"
        sources = ["10.0.0.5", "10.0.1.0/24", "2001:db8::/32"]
        target = "[2001:db8::5]:5080"
        codecs = ["pcma", "opus"]
        default_number = "1067"
        [[number]]
        phone_number_id = "1065"
        display = "15550001234"
        token = { env = "TOKEN" }
        trunk = "office"
        destination = "100"
        [[number]]
        phone_number_id = "1067"
        display = "+4930123456"
        token = { env = "TOKEN" }
        trunk = "office"
        destination = "sales.team"
        [log]
        level = "debug"
        format = "json"
        mask_numbers = false
        "#,
    );
    assert_eq!(config.sip.advertised.to_string(), "192.0.2.10:5062");
    assert_eq!(config.sip.user_agent, "our bridge");
    assert_eq!(
        (config.media.workers, config.media.opus_complexity, config.media.port_rest),
        (3, 10, Duration::ZERO)
    );
    assert_eq!(config.media.pbx.ports, 10000..=10019);
    assert_eq!(config.media.whatsapp.advertised.to_string(), "198.51.100.7");
    assert_eq!(
        (config.graph.url.as_str(), config.graph.version.as_str()),
        ("http://127.0.0.1:8000", "v26.0")
    );
    assert_eq!(
        (config.webhook.path.as_str(), config.admin.listen.to_string().as_str()),
        ("/hooks/wa", "[::1]:9091")
    );
    assert_eq!(config.calls.answer_on, AnswerOn::AcceptedOrMedia);
    assert_eq!(config.calls.invite_after, InviteAfter::Webhook);
    assert!(config.calls.rejected_is_603);
    assert_eq!(config.trunks[0].codecs, [Codec::Pcma, Codec::Opus]);
    assert_eq!(config.trunks[0].default_number.as_ref(), Some(&config.numbers[1].phone_number_id));
    let from = |ip: &str| {
        let ip: IpAddr = ip.parse().expect(ip);
        config.trunks[0].sources.iter().any(|network| network.contains(ip))
    };
    assert_eq!(["10.0.0.5", "10.0.0.6", "10.0.1.9", "2001:db8::9"].map(from), [true, false, true, true]);
    assert_eq!(
        (config.log.level.as_str(), config.log.format, config.log.mask_numbers),
        ("debug", LogFormat::Json, false)
    );
}

#[test]
fn mistakes_and_their_remedies() {
    let said = MISTAKES.iter().map(|(from, to, _)| errors(&with(from, to)));
    let wrong: Vec<_> = said.zip(MISTAKES).filter(|(said, (.., expected))| said != expected).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What is replaced in [`LEAST`], by what, and what is said then.
#[rustfmt::skip]
const MISTAKES: &[(&str, &str, &str)] = &[
    // Not TOML, unknown keys, wrong types.
    ("sip.bind = \"10.0.0.2:5060\"", "sip.bind = 10.0.0.2", "f:1: not TOML: invalid float; do all texts stand in quotes?"),
    ("media.pbx.bind", "sip.bind", "f:2: not TOML: duplicate key"),
    ("sip.bind", "sip.bnd = 1\nsip.bind", "f:1: sip.bnd: unknown key; did you mean \"bind\"?"),
    ("sip.bind", "sip.transport = 1\nsip.bind", "f:1: sip.transport: unknown key; here are known: bind, advertised, user_agent"),
    ("sip.bind", "logs.level = \"info\"\nsip.bind", "f:1: logs: unknown key; did you mean \"log\"?"),
    ("trunk = \"office\"", "trunks = \"office\"\ntrunk = \"office\"", "f:14: number.trunks: unknown key; did you mean \"trunk\"?"),
    ("\"10.0.0.2:5060\"", "5060", "f:1: sip.bind: is a whole number, must be a string in quotes"),
    ("sip.bind", "log.mask_numbers = \"no\"\nsip.bind", "f:1: log.mask_numbers: is a string, must be true or false, without quotes"),
    ("sip.bind", "media.workers = \"2\"\nsip.bind", "f:1: media.workers: is a string, must be a whole number"),
    ("sip.bind", "media.workers = 99999999999999999999\nsip.bind", "f:1: media.workers: 99999999999999999999 is too large a number"),
    ("sip.bind", "log = \"info\"\nsip.bind", "f:1: log: is a string, must be a table like [log]"),
    ("[\"10.0.0.5\"]", "\"10.0.0.5\"", "f:8: trunk.sources: is a string, must be a list like [\"...\", \"...\"]"),
    ("[\"10.0.0.5\"]", "[\"10.0.0.5\",\n5]", "f:9: trunk.sources: is a whole number, must be a string in quotes"),
    // SIP.
    ("10.0.0.2:5060", "10.0.0.2", "f:1: sip.bind: \"10.0.0.2\" is no address with a port: write one like \"0.0.0.0:5060\""),
    ("10.0.0.2:5060", "224.0.0.1:5060", "f:1: sip.bind: \"224.0.0.1:5060\" is a multicast address: write one of this machine's"),
    ("10.0.0.2:5060", "0.0.0.0:5060", "f:1: sip.advertised: is missing: bind 0.0.0.0 is no address PBXs reach; write the one that is, like advertised = \"192.0.2.10\""),
    ("sip.bind", "sip.advertised = \"0.0.0.0\"\nsip.bind", "f:1: sip.advertised: nobody can send to \"0.0.0.0\": write the address that others reach, like \"192.0.2.10\""),
    ("sip.bind", "sip.advertised = \"pbx.example\"\nsip.bind", "f:1: sip.advertised: \"pbx.example\" is no IP address: write one like \"192.0.2.10\""),
    ("sip.bind", "sip.advertised = \"::1\"\nsip.bind", "f:1: sip.advertised: ::1 and bind 10.0.0.2 are of different IP versions: nothing sent there would arrive"),
    ("sip.bind", "sip.user_agent = \"a\\r\\nX: y\"\nsip.bind", "f:1: sip.user_agent: \"a\\r\\nX: y\" must have 1 to 100 plain ASCII characters, like \"wa-bridge\""),
    // Media.
    ("media.pbx.bind = \"10.0.0.2\"", "media.pbx.bind = \"lan\"", "f:2: media.pbx.bind: \"lan\" is no IP address: write one like \"192.0.2.10\""),
    ("media.whatsapp.bind = \"10.0.0.3\"", "media.whatsapp.ports = \"40000-49999\"", "f:3: media.whatsapp.advertised: is missing: bind 0.0.0.0 is no address audio can be sent to; write the one that is, like advertised = \"192.0.2.10\""),
    ("sip.bind", "media.pbx.advertised = \"10.0.0.2:9\"\nsip.bind", "f:1: media.pbx.advertised: \"10.0.0.2:9\" has a port, media has many: write \"10.0.0.2\""),
    ("sip.bind", "media.pbx.ports = \"20000\"\nsip.bind", "f:1: media.pbx.ports: \"20000\" is no range of ports: write one like \"20000-29999\""),
    ("sip.bind", "media.pbx.ports = \"20000-70000\"\nsip.bind", "f:1: media.pbx.ports: \"20000-70000\" is no range of ports: write one like \"20000-29999\""),
    ("sip.bind", "media.pbx.ports = \"20001-29999\"\nsip.bind", "f:1: media.pbx.ports: \"20001-29999\" cuts a pair of RTP (even) and RTCP (odd) ports: write \"20002-29999\""),
    ("sip.bind", "media.pbx.ports = \"20000-20007\"\nsip.bind", "f:1: media.pbx.ports: \"20000-20007\" has less than 10 ports: choose one like \"20000-29999\""),
    ("sip.bind", "media.whatsapp.ports = \"30000-3999\"\nsip.bind", "f:1: media.whatsapp.ports: \"30000-3999\" runs backwards: write \"3999-30000\""),
    ("sip.bind", "media.whatsapp.ports = \"500-3999\"\nsip.bind", "f:1: media.whatsapp.ports: \"500-3999\" begins below 1024: choose one like \"20000-29999\""),
    ("sip.bind", "media.opus_complexity = 11\nsip.bind", "f:1: media.opus_complexity: 11 is out of range: write 0 to 10"),
    ("sip.bind", "media.workers = -1\nsip.bind", "f:1: media.workers: -1 is out of range: write 0 to 256"),
    // Ports claimed twice.
    ("media.whatsapp.bind = \"10.0.0.3\"", "media.whatsapp = { bind = \"10.0.0.2\", ports = \"29000-39999\" }", "f:3: media.whatsapp.ports: 29000-39999 collides with media.pbx.ports (20000-29999): choose ports apart, or give each its own bind address"),
    ("10.0.0.2:5060", "10.0.0.2:20000", "f:2: media.pbx.ports: 20000-29999 collides with sip.bind (port 20000): choose ports apart, or give each its own bind address"),
    ("sip.bind", "webhook.listen = \"0.0.0.0:35000\"\nsip.bind", "f:1: webhook.listen: port 35000 collides with media.whatsapp.ports (30000-39999): choose ports apart, or give each its own bind address"),
    ("sip.bind", "admin.listen = \"127.0.0.1:8080\"\nsip.bind", "f:1: admin.listen: port 8080 collides with webhook.listen (port 8080): choose ports apart, or give each its own bind address"),
    // Graph and webhook.
    ("sip.bind", "graph.url = \"graph.facebook.com\"\nsip.bind", "f:1: graph.url: \"graph.facebook.com\" is no http or https URL: write one like \"https://graph.facebook.com\""),
    ("sip.bind", "graph.version = \"25.0\"\nsip.bind", "f:1: graph.version: \"25.0\" is no version of the Graph API: write one like \"v25.0\""),
    ("sip.bind", "webhook.path = \"{hook}\"\nsip.bind", "f:1: webhook.path: \"{hook}\" is no plain path: write one like \"/webhook\""),
    // Secrets.
    ("token = { env = \"TOKEN\" }", "token = \"EAAG123\"", "f:13: number.token: a secret has no place in this file: write { env = \"NAME\" } or { file = \"PATH\" }"),
    ("token = { env = \"TOKEN\" }", "token = 123", "f:13: number.token: is a whole number: write { env = \"NAME\" } or { file = \"PATH\" }"),
    ("token = { env = \"TOKEN\" }", "token = {}", "f:13: number.token: names no place: write { env = \"NAME\" } or { file = \"PATH\" }"),
    ("token = { env = \"TOKEN\" }", "token = { env = \"TOKEN\", file = \"x\" }", "f:13: number.token: names two places: write { env = \"NAME\" } or { file = \"PATH\" }"),
    ("token = { env = \"TOKEN\" }", "token = { env = 5 }", "f:13: number.token.env: is a whole number, must be a string in quotes"),
    ("token = { env = \"TOKEN\" }", "token = { env = \"NONE\" }", "f:13: number.token: environment variable NONE is not set: set it where the program starts, or use { file = \"PATH\" }"),
    ("token = { env = \"TOKEN\" }", "token = { env = \"EMPTY\" }", "f:13: number.token: environment variable EMPTY is empty"),
    ("token = { env = \"TOKEN\" }", "token = { file = \"/no/such\" }", "f:13: number.token: secret file /no/such cannot be read: No such file or directory (os error 2)"),
    ("token = { env = \"TOKEN\" }", "", "f:10: number.token: is missing: write { env = \"NAME\" } or { file = \"PATH\" }"),
    ("webhook.app_secret = { env = \"SECRET\" }", "", "f:5: webhook.app_secret: is missing: write { env = \"NAME\" } or { file = \"PATH\" }"),
    // Calls and log.
    ("sip.bind", "calls.ring_limit_out_s = 0\nsip.bind", "f:1: calls.ring_limit_out_s: 0 is out of range: write 1 to 180"),
    ("sip.bind", "calls.ring_limit_in_s = 61\nsip.bind", "f:1: calls.ring_limit_in_s: 61 is out of range: write 1 to 60"),
    ("sip.bind", "calls.answer_on = \"pickup\"\nsip.bind", "f:1: calls.answer_on: \"pickup\" is not known: write one of \"accepted\", \"accepted_or_media\", \"connect\""),
    ("sip.bind", "calls.rejected_as = 600\nsip.bind", "f:1: calls.rejected_as: 600 is not offered: write 486 (busy) or 603 (decline)"),
    ("sip.bind", "calls.invite_after = \"dtls\"\nsip.bind", "f:1: calls.invite_after: \"dtls\" is not known: write one of \"dtls_up\", \"webhook\""),
    ("sip.bind", "log.level = \"verbose\"\nsip.bind", "f:1: log.level: \"verbose\" is not known: write one of \"error\", \"warn\", \"info\", \"debug\", \"trace\""),
    ("sip.bind", "log.format = \"xml\"\nsip.bind", "f:1: log.format: \"xml\" is not known: write one of \"text\", \"json\""),
    // Trunks.
    ("name = \"office\"\n", "", "f:6: trunk.name: is missing: write one like name = \"office\"\nf:13: number.trunk: \"office\" is no trunk; there are: "),
    ("sources = [\"10.0.0.5\"]", "", "f:6: trunk.sources: is missing: list the addresses this PBX sends from, like sources = [\"10.0.0.5\"]"),
    ("[\"10.0.0.5\"]", "[]", "f:8: trunk.sources: is empty: list the addresses this PBX sends from, like sources = [\"10.0.0.5\"]"),
    ("[\"10.0.0.5\"]", "[\"pbx.lan\"]", "f:8: trunk.sources: \"pbx.lan\" is no address or network: write one like \"10.0.0.5\" or \"10.0.1.0/24\""),
    ("[\"10.0.0.5\"]", "[\"10.0.0.0/33\"]", "f:8: trunk.sources: \"10.0.0.0/33\" has a prefix over 32"),
    ("[\"10.0.0.5\"]", "[\"10.0.1.5/24\"]", "f:8: trunk.sources: \"10.0.1.5/24\" has bits behind its prefix: write \"10.0.1.0/24\" for the network or \"10.0.1.5\" for the address"),
    ("target = \"10.0.0.5:5060\"", "", "f:6: trunk.target: is missing: write where its calls go, like target = \"10.0.0.5:5060\""),
    ("target = \"10.0.0.5:5060\"", "target = \"pbx:5060\"", "f:9: trunk.target: \"pbx:5060\" is no address with a port: write one like \"10.0.0.5:5060\" (names are not resolved)"),
    ("target = \"10.0.0.5:5060\"", "target = \"10.0.0.5:0\"", "f:9: trunk.target: nothing can be sent to \"10.0.0.5:0\": write one like \"10.0.0.5:5060\""),
    ("target = \"10.0.0.5:5060\"", "target = \"[::1]:5060\"", "f:9: trunk.target: [::1]:5060 cannot be reached from sip.bind 10.0.0.2:5060: both must be of one IP version"),
    ("target =", "codecs = [\"g722\"]\ntarget =", "f:9: trunk.codecs: \"g722\" is not known: write one of \"opus\", \"pcmu\", \"pcma\""),
    ("target =", "codecs = [\"opus\", \"opus\"]\ntarget =", "f:9: trunk.codecs: names a codec twice: once is enough"),
    ("target =", "codecs = []\ntarget =", "f:9: trunk.codecs: is empty: write some of \"opus\", \"pcmu\", \"pcma\", or leave it out for all"),
    ("target =", "default_number = \"1066\"\ntarget =", "f:9: trunk.default_number: no [[number]] has phone_number_id \"1066\" and trunk \"office\""),
    ("[[number]]", "[[trunk]]\nname = \"office\"\nsources = [\"10.0.0.6\"]\ntarget = \"10.0.0.6:5060\"\n[[number]]", "f:11: trunk.name: \"office\" is taken, on line 7: each must have its own"),
    ("[[number]]", "[[trunk]]\nname = \"home\"\nsources = [\"10.0.0.0/24\"]\ntarget = \"10.0.0.6:5060\"\n[[number]]", "f:12: trunk.sources: \"10.0.0.0/24\" overlaps 10.0.0.5/32 of another trunk: whose call would it be? Give each its own sources"),
    // Numbers.
    ("phone_number_id = \"1065\"", "phone_number_id = 1065", "f:11: number.phone_number_id: is a whole number, must be a string in quotes"),
    ("phone_number_id = \"1065\"", "phone_number_id = \"+1555\"", "f:11: number.phone_number_id: \"+1555\" is no phone number id: write the digits the app dashboard shows, like \"106540352242922\""),
    ("\"+15550001234\"", "\"555-0001\"", "f:12: number.display: \"555-0001\" is no international number: write one like \"+15550001234\""),
    ("trunk = \"office\"", "trunk = \"ofice\"", "f:14: number.trunk: \"ofice\" is no trunk; did you mean \"office\"?"),
    ("trunk = \"office\"", "trunk = \"warehouse\"", "f:14: number.trunk: \"warehouse\" is no trunk; there are: \"office\""),
    ("destination = \"100\"", "destination = \"100@pbx\"", "f:15: number.destination: \"100@pbx\" is no user part of a SIP address: write what the PBX routes, like \"100\""),
    ("destination = \"100\"", "", "f:10: number.destination: is missing: write whom the PBX is to ring, like destination = \"100\""),
];

#[test]
fn numbers_are_told_apart() {
    let second = LEAST.split("[[number]]").nth(1).expect("a number");
    let text = format!("{LEAST}[[number]]{second}");
    let taken = "is taken, on line";
    assert_eq!(
        errors(&text),
        format!(
            "f:17: number.phone_number_id: \"1065\" {taken} 11: each must have its own\n\
             f:18: number.display: \"+15550001234\" {taken} 12: each must have its own"
        )
    );
}

#[test]
fn an_empty_file_says_what_is_wanted() {
    let expected = "\
f: sip.advertised: is missing: bind 0.0.0.0 is no address PBXs reach; write the one that is, like advertised = \"192.0.2.10\"
f: media.pbx.advertised: is missing: bind 0.0.0.0 is no address audio can be sent to; write the one that is, like advertised = \"192.0.2.10\"
f: media.whatsapp.advertised: is missing: bind 0.0.0.0 is no address audio can be sent to; write the one that is, like advertised = \"192.0.2.10\"
f: webhook.app_secret: is missing: write { env = \"NAME\" } or { file = \"PATH\" }
f: webhook.verify_token: is missing: write { env = \"NAME\" } or { file = \"PATH\" }
f: trunk: there is no [[trunk]]: add one for each PBX: without it nobody may call
f: number: there is no [[number]]: add one for each business number: without it there is nothing to call with";
    assert_eq!(errors(""), expected);
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_their_lines() {
    let text = with("sources = [\"10.0.0.5\"]", "sources = [\"a\", \"b\"]\ncodec = 1")
        .replace("destination = \"100\"", "destination = \"\"")
        .replace("10.0.0.2:5060", "x");
    let lines: Vec<_> =
        errors(&text).lines().map(|line| line.split(": ").take(2).collect::<Vec<_>>().join(" ")).collect();
    let expected = [
        "f:1 sip.bind",
        "f:8 trunk.sources",
        "f:8 trunk.sources",
        "f:9 trunk.codec",
        "f:16 number.destination",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn broken_syntax_shows_nothing_of_the_line() {
    let message = errors("[webhook]\napp_secret = \"hunter2\nx = 1\n");
    assert!(message.starts_with("f:2: not TOML: "), "{message}");
    assert!(!message.contains("hunter2"), "{message}");
}

#[test]
fn secrets_are_never_shown() {
    let config = good(LEAST);
    assert!(!format!("{config:?} {config:#?}").contains("value of"));
    for from in ["webhook.app_secret = { env = \"SECRET\" }", "token = { env = \"TOKEN\" }"] {
        let key = from.split(' ').next().expect("a key");
        for value in ["\"hunter2\"", "[\"hunter2\"]", "{ value = \"hunter2\" }", "{ env = [\"hunter2\"] }"] {
            let message = errors(&with(from, &format!("{key} = {value}")));
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}

#[test]
fn secret_files_are_found_beside_the_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("token"), "from a file\n").expect("written");
    let path = folder.path().join("wa-bridge.toml");
    std::fs::write(&path, with("{ env = \"TOKEN\" }", "{ file = \"token\" }")).expect("written");
    let config = Config::load(&path, &env).expect("a configuration");
    assert_eq!(config.numbers[0].token.current().expose(), "from a file");
    std::fs::write(folder.path().join("token"), " ").expect("written");
    let message = Config::load(&path, &env).map(|_| ()).expect_err("empty").to_string();
    let expected = format!(
        "{}:13: number.token: secret file {} is empty",
        path.display(),
        folder.path().join("token").display()
    );
    assert_eq!(message, expected);
}

#[test]
fn a_file_that_is_not_there() {
    let errors = Config::load(Path::new("/no/such.toml"), &env).map(|_| ()).expect_err("none");
    assert_eq!(errors.to_string(), "/no/such.toml: cannot be read: No such file or directory (os error 2)");
    assert_eq!(errors.errors().len(), 1);
}

#[test]
fn the_example_loads() {
    let config = good(EXAMPLE);
    assert_eq!((config.trunks.len(), config.numbers.len()), (1, 1));
}

/// What is commented out in the example is the default, so it may be written as well.
#[test]
fn the_example_shows_the_defaults() {
    let is_key = |line: &str| line.strip_prefix("# ").is_some_and(|rest| rest.contains(" = "));
    let written: Vec<_> =
        EXAMPLE.lines().map(|line| if is_key(line) { line.trim_start_matches("# ") } else { line }).collect();
    assert!(written.len() > 40 && written.join("\n") != EXAMPLE);
    assert_eq!(format!("{:?}", good(&written.join("\n"))), format!("{:?}", good(EXAMPLE)));
}

#[test]
fn every_key_is_in_the_reference() {
    let keys = raw::keys();
    assert!(keys.len() > 35, "{keys:?}");
    for key in keys {
        assert!(REFERENCE.contains(&format!("| `{key}` |")), "docs/configuration.md lacks `{key}`");
    }
}

#[test]
fn the_reference_names_no_key_that_is_not() {
    let keys = raw::keys();
    let named = REFERENCE.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    for key in named {
        assert!(keys.iter().any(|known| known == key), "docs/configuration.md names `{key}`");
    }
}
