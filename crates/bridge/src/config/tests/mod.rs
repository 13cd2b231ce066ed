use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use media_relay::sdp::pbx::Codec;
use media_relay::{Complexity, JitterLimits};

use super::*;
use crate::call::machine::{AnswerOn, InviteAfter};
use crate::unknown::UnknownCalls;

mod graph;
mod journal;
mod listeners;
mod mistakes;
mod permission;
mod routing;
mod trunks;
mod webhook;

const EXAMPLE: &str = include_str!("../../../../../config/wa-bridge.example.toml");
const REFERENCE: &str = include_str!("../../../../../docs/configuration.md");

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
    let [listener] = &config.sip.listeners[..] else { panic!("one listener: {:?}", config.sip) };
    assert_eq!((listener.transport.name(), listener.bind.to_string().as_str()), ("udp", "10.0.0.2:5060"));
    assert_eq!(listener.advertised, listener.bind);
    assert!(config.sip.user_agent.starts_with("wa-bridge/"));
    assert_eq!(config.media.pbx.advertised.to_string(), "10.0.0.2");
    assert_eq!((config.media.pbx.ports, config.media.whatsapp.ports), (20000..=29999, 30000..=39999));
    assert_eq!((config.media.workers, config.media.opus_complexity), (0, Complexity::Measured));
    assert_eq!(config.media.port_rest, Duration::from_secs(5));
    assert_eq!(config.media.jitter, JitterLimits::default());
    assert_eq!(
        (config.graph.url.as_str(), config.graph.version.as_str()),
        ("https://graph.facebook.com", "v25.0")
    );
    assert_eq!(
        (config.webhook.listen.to_string().as_str(), config.webhook.path.as_str()),
        ("127.0.0.1:8080", "/webhook")
    );
    assert_eq!(config.webhook.secrets()[0].expose(), "value of SECRET");
    assert_eq!(config.webhook.verify_token.current().expose(), "value of VERIFY");
    assert_eq!(config.admin.listen.to_string(), "127.0.0.1:9090");
    assert_eq!(config.calls.ring_limit_out, Duration::from_secs(60));
    assert_eq!(config.calls.ring_limit_in, Duration::from_secs(55));
    assert_eq!(config.calls.answer_on, AnswerOn::Accepted);
    assert_eq!(config.calls.invite_after, InviteAfter::DtlsUp);
    assert!(!config.calls.rejected_is_603);
    assert_eq!(config.order, Order::default());
    let trunk = &config.trunks[0];
    let Targets::List(aims) = &trunk.targets else { panic!("a list of targets") };
    let target = aims[0].target.literal().expect("an address").address.to_string();
    assert_eq!((trunk.name.as_str(), target.as_str()), ("office", "10.0.0.5:5060"));
    assert_eq!(trunk.codecs, [Codec::Opus, Codec::G722, Codec::Pcmu, Codec::Pcma]);
    assert_eq!(trunk.default_number, None);
    let number = &config.numbers[0];
    assert_eq!((number.phone_number_id.as_str(), number.display.as_str()), ("1065", "15550001234"));
    assert_eq!((number.trunk.as_str(), number.destination.as_deref()), ("office", Some("100")));
    assert_eq!(number.token.current().expose(), "value of TOKEN");
    assert_eq!(
        (config.log.level.as_str(), config.log.format, config.log.mask_numbers),
        ("info", LogFormat::Text, true)
    );
    let life = Life { drain_limit: Duration::from_secs(120), new_calls: NewCalls::Reject, watch: true };
    assert_eq!(config.life, life);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a line for each key")]
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
        jitter = { least_ms = 20, most_ms = 200 }
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
        stale_after_s = 20
        remember_h = 48
        unknown_calls = "end"
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
    assert_eq!(config.sip.listeners[0].advertised.to_string(), "192.0.2.10:5062");
    assert_eq!(config.sip.user_agent, "our bridge");
    assert_eq!(
        (config.media.workers, config.media.opus_complexity, config.media.port_rest),
        (3, Complexity::Fixed(10), Duration::ZERO)
    );
    let (least, most) = (config.media.jitter.least, config.media.jitter.most);
    assert_eq!((least.as_millis(), most.as_millis()), (20, 200));
    assert_eq!(config.media.pbx.ports, 10000..=10019);
    assert_eq!(config.media.whatsapp.advertised, [IpAddr::from([198, 51, 100, 7])]);
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
    assert_eq!(
        config.order,
        Order {
            stale_after: Duration::from_secs(20),
            remember: Duration::from_secs(48 * 3600),
            unknown_calls: UnknownCalls::End,
        }
    );
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
    // What is set in further, or is a sentence, is a hint and no default.
    let is_key = |line: &str| {
        let key = line.strip_prefix("# ").and_then(|rest| rest.split_once(" = "));
        key.is_some_and(|(key, _)| !key.contains(' '))
    };
    let written: Vec<_> =
        EXAMPLE.lines().map(|line| if is_key(line) { line.trim_start_matches("# ") } else { line }).collect();
    assert!(written.len() > 80 && written.join("\n") != EXAMPLE);
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
