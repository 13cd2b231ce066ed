//! Each mistake with what is said of it.

use super::{errors, with};

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
    ("sip.bind", "sip.transport = 1\nsip.bind", "f:1: sip.transport: unknown key; here are known: bind, advertised, listener, user_agent, strangers, rate, ban_after, ban_s, max_calls, max_calls_per_second"),
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
    ("sip.bind", "media.jitter = { least_ms = -1 }\nsip.bind", "f:1: media.jitter.least_ms: -1 is out of range: write 0 to 200"),
    ("sip.bind", "media.jitter = { most_ms = 201 }\nsip.bind", "f:1: media.jitter.most_ms: 201 is out of range: write 0 to 200"),
    ("sip.bind", "media.jitter = { least_ms = 130 }\nsip.bind", "f:1: media.jitter.least_ms: 130 ms are more than media.jitter.most_ms, 120: write less"),
    ("sip.bind", "media.workers = -1\nsip.bind", "f:1: media.workers: -1 is out of range: write 0 to 256"),
    ("media.whatsapp.bind = \"10.0.0.3\"", "media.whatsapp.advertised = []", "f:3: media.whatsapp.advertised: is empty: write an address, or one of each IP version, like advertised = [\"192.0.2.10\", \"2001:db8::10\"]"),
    ("media.whatsapp.bind = \"10.0.0.3\"", "media.whatsapp.advertised = [\"192.0.2.10\", \"192.0.2.11\"]", "f:3: media.whatsapp.advertised: 192.0.2.11 is a second address of its IP version: write one of each, like advertised = [\"192.0.2.10\", \"2001:db8::10\"]"),
    ("media.whatsapp.bind = \"10.0.0.3\"", "media.whatsapp.advertised = [\"192.0.2.10\", \"[2001:db8::10]:9\"]", "f:3: media.whatsapp.advertised: \"[2001:db8::10]:9\" has a port, media has many: write \"2001:db8::10\""),
    ("media.whatsapp.bind = \"10.0.0.3\"", "media.whatsapp = { bind = \"0.0.0.0\", advertised = [\"192.0.2.10\", \"2001:db8::10\"] }", "f:3: media.whatsapp.advertised: is of both IP versions, and bind 0.0.0.0 is not: leave bind out, or write bind = \"::\", which takes both"),
    ("media.whatsapp.bind = \"10.0.0.3\"", "media.whatsapp = { bind = \"10.0.0.3\", advertised = \"2001:db8::10\" }", "f:3: media.whatsapp.advertised: 2001:db8::10 and bind 10.0.0.3 are of different IP versions: nothing sent there would arrive"),
    ("display =", "srtp = \"zrtp\"\ndisplay =", "f:12: number.srtp: \"zrtp\" is not known: write one of \"dtls\", \"sdes\""),
    ("display =", "additional_codecs = \"pcmu\"\ndisplay =", "f:12: number.additional_codecs: is a string, must be a list like [\"...\", \"...\"]"),
    ("display =", "additional_codecs = [\"opus\"]\ndisplay =", "f:12: number.additional_codecs: \"opus\" is not known: write one of \"pcmu\", \"pcma\""),
    ("display =", "additional_codecs = [\"pcma\", \"pcma\"]\ndisplay =", "f:12: number.additional_codecs: names a codec twice: once is enough"),
    ("display =", "prefer = \"g729\"\ndisplay =", "f:12: number.prefer: \"g729\" is not known: write one of \"opus\", \"g711\""),
    ("display =", "prefer = \"g711\"\ndisplay =", "f:12: number.prefer: \"g711\" is nothing that this number has: write additional_codecs = [\"pcmu\", \"pcma\"] too, and enable them at WhatsApp"),
    // Ports claimed twice.
    ("media.whatsapp.bind = \"10.0.0.3\"", "media.whatsapp = { advertised = [\"192.0.2.10\", \"2001:db8::10\"], ports = \"29000-39999\" }", "f:3: media.whatsapp.ports: 29000-39999 collides with media.pbx.ports (20000-29999): choose ports apart, or give each its own bind address"),
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
    ("sip.bind", "calls.stale_after_s = 4\nsip.bind", "f:1: calls.stale_after_s: 4 is out of range: write 5 to 300"),
    ("sip.bind", "calls.remember_h = 0\nsip.bind", "f:1: calls.remember_h: 0 is out of range: write 1 to 168"),
    ("sip.bind", "calls.unknown_calls = \"kill\"\nsip.bind", "f:1: calls.unknown_calls: \"kill\" is not known: write one of \"leave\", \"end\""),
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
    ("target = \"10.0.0.5:5060\"", "target = \"pbx 1\"", "f:9: trunk.target: \"pbx 1\" names no host: write one like \"10.0.0.5:5060\", \"sip:pbx.example.com;transport=tcp\" or \"sips:pbx.example.com\""),
    ("target = \"10.0.0.5:5060\"", "target = \"10.0.0.5:0\"", "f:9: trunk.target: \"10.0.0.5:0\" has no port from 1 to 65535 behind its colon: write one like \"10.0.0.5:5060\", \"sip:pbx.example.com;transport=tcp\" or \"sips:pbx.example.com\""),
    ("target = \"10.0.0.5:5060\"", "target = \"[::1]:5060\"", "f:9: trunk.target: [::1]:5060 cannot be reached from the udp listener: both must be of one IP version"),
    ("target =", "codecs = [\"g729\"]\ntarget =", "f:9: trunk.codecs: \"g729\" is not known: write one of \"opus\", \"g722\", \"pcmu\", \"pcma\""),
    ("target =", "codecs = [\"opus\", \"opus\"]\ntarget =", "f:9: trunk.codecs: names a codec twice: once is enough"),
    ("target =", "codecs = []\ntarget =", "f:9: trunk.codecs: is empty: write some of \"opus\", \"g722\", \"pcmu\", \"pcma\", or leave it out for the usual ones"),
    ("target =", "default_number = \"1066\"\ntarget =", "f:9: trunk.default_number: no [[number]] has phone_number_id \"1066\" and trunk \"office\""),
    ("[[number]]", "[[trunk]]\nname = \"office\"\nsources = [\"10.0.0.6\"]\ntarget = \"10.0.0.6:5060\"\n[[number]]", "f:11: trunk.name: \"office\" is taken, on line 7: each must have its own"),
    ("[[number]]", "[[trunk]]\nname = \"home\"\nsources = [\"10.0.0.5/32\"]\ntarget = \"10.0.0.6:5060\"\n[[number]]", "f:12: trunk.sources: \"10.0.0.5/32\" is a source of another trunk too: whose call would it be? Give each its own sources"),
    // Numbers.
    ("phone_number_id = \"1065\"", "phone_number_id = 1065", "f:11: number.phone_number_id: is a whole number, must be a string in quotes"),
    ("phone_number_id = \"1065\"", "phone_number_id = \"+1555\"", "f:11: number.phone_number_id: \"+1555\" is no phone number id: write the digits the app dashboard shows, like \"106540352242922\""),
    ("\"+15550001234\"", "\"555-0001\"", "f:12: number.display: \"555-0001\" is no international number: write one like \"+15550001234\""),
    ("trunk = \"office\"", "trunk = \"ofice\"", "f:14: number.trunk: \"ofice\" is no trunk; did you mean \"office\"?"),
    ("trunk = \"office\"", "trunk = \"warehouse\"", "f:14: number.trunk: \"warehouse\" is no trunk; there are: \"office\""),
    ("destination = \"100\"", "destination = \"100@pbx\"", "f:15: number.destination: \"100@pbx\" is no user part of a SIP address: write what the PBX routes, like \"100\""),
];
