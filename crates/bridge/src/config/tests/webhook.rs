//! Webhooks: several secrets, HTTPS of our own, pass-on.

use std::path::PathBuf;

use wa_signaling::webhook::pass_on::Fields;

use super::super::WebhookTls;
use super::{errors, good, parse, with};

const SECRET: &str = "webhook.app_secret = { env = \"SECRET\" }";

fn with_pass_on(list: &str) -> String {
    with(SECRET, &format!("{SECRET}\nwebhook.pass_on = {list}"))
}

#[test]
fn one_app_secret_or_a_list_of_them() {
    let secrets = |text: &str| {
        let secrets = good(&with(SECRET, text)).webhook.secrets();
        secrets.iter().map(|secret| secret.expose().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(secrets(SECRET), ["value of SECRET"]);
    let list = "webhook.app_secret = [{ env = \"SECRET\" }, { env = \"TOKEN\" }]";
    assert_eq!(secrets(list), ["value of SECRET", "value of TOKEN"]);
    let message = errors(&with(SECRET, "webhook.app_secret = []"));
    assert_eq!(message, "f:4: webhook.app_secret: lists 0 secrets: write 1 to 8");
    let message = errors(&with(SECRET, "webhook.app_secret = [{ env = \"SECRET\" },\n \"hunter2\"]"));
    let expected = "f:5: webhook.app_secret: a secret has no place in this file: write { env = \"NAME\" } or { file = \"PATH\" }";
    assert_eq!(message, expected);
    assert!(errors(&with(SECRET, "webhook.app_secret = [{ env = \"NONE\" }]")).contains("NONE is not set"));
}

#[test]
fn https_needs_a_certificate_and_its_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, kind: &str| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("-----BEGIN {kind}-----\n-----END {kind}-----\n")).expect("written");
        path
    };
    let (certificate, key) = (file("chain.pem", "CERTIFICATE"), file("key.pem", "PRIVATE KEY"));
    let tls = |text: &str| format!("{SECRET}\nwebhook.tls = {{ {text} }}");
    let both = format!("certificate = {certificate:?}, key = {key:?}");
    let config = good(&with(SECRET, &tls(&both)));
    assert_eq!(config.webhook.tls, Some(WebhookTls { certificate: certificate.clone(), key }));
    assert_eq!(good(super::LEAST).webhook.tls, None);
    let message = errors(&with(SECRET, &tls(&format!("certificate = {certificate:?}"))));
    assert_eq!(
        message,
        "f:5: webhook.tls.key: is missing: write the file of the key, like key = \"tls/key.pem\""
    );
    let message =
        errors(&with(SECRET, &tls(&format!("certificate = {certificate:?}, key = {certificate:?}"))));
    assert!(message.contains("holds no PRIVATE KEY"), "{message}");
}

#[test]
fn destinations_of_pass_on() {
    let config = good(&with_pass_on(
        "[{ url = \"https://crm.example/hook\" }, { url = \"https://crm.example/two\", fields = [\"messages\", \"calls\"] }, \
         { url = \"http://user:hunter2@10.0.0.9:8081/?key=hunter2\", fields = [\"*\"] }]",
    ));
    let shown: Vec<_> =
        config.webhook.pass_on.iter().map(|one| (one.label.as_str(), one.fields.clone())).collect();
    let these = ["messages", "calls"].map(ToOwned::to_owned).into();
    assert_eq!(
        shown,
        [
            ("https://crm.example", Fields::AllButCalls),
            ("https://crm.example (2)", Fields::These(these)),
            ("http://10.0.0.9:8081", Fields::All),
        ]
    );
    assert!(!format!("{config:?} {}", config.describe()).contains("hunter2"));
    assert!(good(super::LEAST).webhook.pass_on.is_empty());
}

#[test]
fn mistakes_of_pass_on_show_no_url() {
    let cases = [
        (
            "[{ fields = [\"messages\"] }]",
            "webhook.pass_on.url: is missing: write url = \"https://crm.example.com/webhook\"",
        ),
        (
            "[{ url = \"ftp://hunter2\" }]",
            "webhook.pass_on.url: is no http or https URL: write one like \"https://crm.example.com/webhook\"",
        ),
        (
            "[{ url = \"hunter2\" }]",
            "webhook.pass_on.url: is no http or https URL: write one like \"https://crm.example.com/webhook\"",
        ),
        (
            "[{ url = \"http://a\", fields = [] }]",
            "webhook.pass_on.fields: is empty: leave it out for all fields but \"calls\"",
        ),
        (
            "[{ url = \"http://a\", fields = [\"Messages!\"] }]",
            "webhook.pass_on.fields: \"Messages!\" is no webhook field: write one like \"messages\", or \"*\" for every one",
        ),
        (
            "[{ url = \"http://a\" }, { url = \"http://a/\" }]",
            "webhook.pass_on.url: stands here twice: list all its fields at once",
        ),
        ("\"http://a\"", "webhook.pass_on: is a string, must be tables, each under [[pass_on]]"),
    ];
    for (list, expected) in cases {
        assert_eq!(errors(&with_pass_on(list)), format!("f:5: {expected}"));
    }
    let many: Vec<_> = (0..9).map(|at| format!("{{ url = \"http://a{at}\" }}")).collect();
    let message = parse(&with_pass_on(&format!("[{}]", many.join(", ")))).map(|_| ()).expect_err("too many");
    assert_eq!(message, "f:5: webhook.pass_on: has 9 destinations: write 8 at most");
}
