//! Several listeners.

use sip_core::Transport;

use super::*;

#[test]
fn several_listeners_can_be_written() {
    let folder = tempfile::tempdir().expect("a folder");
    for (file, kind) in [("chain.pem", "CERTIFICATE"), ("key.pem", "PRIVATE KEY"), ("ca.pem", "CERTIFICATE")]
    {
        std::fs::write(folder.path().join(file), format!("-----BEGIN {kind}-----\n")).expect("written");
    }
    let listeners = r#"
        [[sip.listener]]
        transport = "udp"
        bind = "10.0.0.2:5060"
        [[sip.listener]]
        transport = "tcp"
        bind = "[2001:db8::2]:5060"
        [[sip.listener]]
        transport = "tls"
        bind = "0.0.0.0:5061"
        advertised = "192.0.2.1"
        certificate = "chain.pem"
        key = "key.pem"
        client_ca = "ca.pem"
        [[trunk]]"#;
    let text = with("sip.bind = \"10.0.0.2:5060\"\n", "").replacen("[[trunk]]", listeners, 1);
    let config =
        Config::parse(&text, &folder.path().join("f"), &env).unwrap_or_else(|errors| panic!("{errors}"));
    let shown: Vec<_> = config
        .sip
        .listeners
        .iter()
        .map(|listener| format!("{} {} {}", listener.transport.name(), listener.bind, listener.advertised))
        .collect();
    let expected = [
        "udp 10.0.0.2:5060 10.0.0.2:5060",
        "tcp [2001:db8::2]:5060 [2001:db8::2]:5060",
        "tls 0.0.0.0:5061 192.0.2.1:5061",
    ];
    assert_eq!(shown, expected);
    let tls = config.sip.listeners[2].tls.as_ref().expect("its files");
    assert_eq!(tls.client_ca, Some(folder.path().join("ca.pem")));
    assert!(config.sip.listeners[0].tls.is_none());
    let means = config.sip.means();
    let reach = |transport, ip: &str| means.reach(transport, ip.parse().expect(ip));
    assert!(reach(Transport::Udp, "10.0.0.9") && !reach(Transport::Udp, "2001:db8::9"));
    assert!(reach(Transport::Tcp, "2001:db8::9") && !reach(Transport::Tcp, "10.0.0.9"));
}

#[test]
fn mistakes_of_listeners() {
    let with_listener = |keys: &str| {
        let text = with("sip.bind = \"10.0.0.2:5060\"\n", "");
        let listener = format!("[[sip.listener]]\n{keys}\n[[trunk]]");
        errors(&text.replacen("[[trunk]]", &listener, 1))
    };
    let cases = [
        (
            "bind = \"10.0.0.2:5060\"",
            "f:5: sip.listener.transport: is missing: write transport = \"udp\", \"tcp\" or \"tls\"",
        ),
        (
            "transport = \"sctp\"\nbind = \"10.0.0.2:5060\"",
            "f:6: sip.listener.transport: \"sctp\" is not known: write one of \"udp\", \"tcp\", \"tls\"",
        ),
        (
            "transport = \"udp\"",
            "f:5: sip.listener.advertised: is missing: bind 0.0.0.0 is no address PBXs reach; write the one that is, like advertised = \"192.0.2.10\"",
        ),
        (
            "transport = \"tls\"\nbind = \"10.0.0.2:5061\"",
            "f:5: sip.listener.certificate: is missing: write the file of the chain, like certificate = \"tls/chain.pem\"\n\
             f:5: sip.listener.key: is missing: write the file of the key, like key = \"tls/key.pem\"",
        ),
        (
            "transport = \"udp\"\nbind = \"10.0.0.2:5060\"\nkey = \"key.pem\"",
            "f:8: sip.listener.key: is for transport = \"tls\" alone: write that, or leave this out",
        ),
        (
            "transport = \"udp\"\nbind = \"10.0.0.2:5060\"\n[[sip.listener]]\ntransport = \"udp\"\nbind = \"0.0.0.0:5060\"\nadvertised = \"10.0.0.2\"",
            "f:10: sip.listener.bind: port 5060 collides with sip.listener.bind (port 5060): choose ports apart, or give each its own bind address",
        ),
        (
            "transport = \"tcp\"\nbind = \"10.0.0.2:5060\"",
            "f:11: trunk.target: goes by udp, and no listener does: add a [[sip.listener]] with transport = \"udp\", for the PBX calls back there",
        ),
    ];
    for (keys, expected) in cases {
        assert_eq!(with_listener(keys), expected);
    }
    let both =
        with("[[trunk]]", "[[sip.listener]]\ntransport = \"tcp\"\nbind = \"10.0.0.2:5060\"\n[[trunk]]");
    assert!(
        errors(&both).starts_with("f:1: sip.bind: is the short form for one UDP listener: "),
        "{}",
        errors(&both)
    );
    // TCP and UDP share a number, TCP and HTTP do not.
    let http = with("sip.bind = \"10.0.0.2:5060\"", "admin.listen = \"10.0.0.2:5060\"").replacen(
        "[[trunk]]",
        "[[sip.listener]]\ntransport = \"tcp\"\nbind = \"10.0.0.2:5060\"\n[[sip.listener]]\ntransport = \"udp\"\nbind = \"10.0.0.2:5060\"\n[[trunk]]",
        1,
    );
    assert_eq!(errors(&http).lines().count(), 1, "{}", errors(&http));
}

#[test]
fn a_number_says_how_its_audio_is_spoken_at_whatsapp() {
    let audio = |keys: &str| good(&with("display =", &format!("{keys}\ndisplay ="))).numbers[0].audio.clone();
    let default = audio("");
    assert_eq!((default.keying, default.prefers_g711), (media_relay::Keying::Dtls, false));
    assert!(default.additional_codecs.is_empty());
    let all = audio("srtp = \"sdes\"\nadditional_codecs = [\"pcma\", \"pcmu\"]\nprefer = \"g711\"");
    assert_eq!((all.keying, all.prefers_g711), (media_relay::Keying::Sdes, true));
    assert_eq!(all.additional_codecs, [Codec::Pcma, Codec::Pcmu]);
    assert_eq!(all.graph_codecs(), ["PCMA", "PCMU"]);
}

#[test]
fn one_socket_towards_whatsapp_takes_both_ip_versions() {
    let cases: [(&str, &str, &[&str]); 5] = [
        ("advertised = \"192.0.2.10\"", "0.0.0.0", &["192.0.2.10"]),
        ("advertised = \"2001:db8::10\"", "::", &["2001:db8::10"]),
        ("advertised = [\"192.0.2.10\", \"2001:db8::10\"]", "::", &["192.0.2.10", "2001:db8::10"]),
        ("bind = \"::\", advertised = \"192.0.2.10\"", "::", &["192.0.2.10"]),
        ("bind = \"2001:db8::2\"", "2001:db8::2", &["2001:db8::2"]),
    ];
    for (keys, bind, advertised) in cases {
        let text = with("media.whatsapp.bind = \"10.0.0.3\"", &format!("media.whatsapp = {{ {keys} }}"));
        let whatsapp = good(&text).media.whatsapp;
        assert_eq!(whatsapp.bind.to_string(), bind, "{keys}");
        assert_eq!(whatsapp.advertised.iter().map(ToString::to_string).collect::<Vec<_>>(), advertised);
    }
}
