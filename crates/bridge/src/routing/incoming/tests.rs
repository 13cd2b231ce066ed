use std::path::Path;

use wa_signaling::webhook::event::Direction;

use super::*;

/// A Monday, noon UTC.
const MONDAY_NOON: i64 = 1_768_219_200;
const HOUR: i64 = 3600;

/// Two trunks and two numbers, of which the second has hours; and these routes.
fn config(routes: &str) -> Config {
    let text = r#"
        [sip]
        bind = "127.0.0.1:0"
        [media.pbx]
        bind = "127.0.0.1"
        [media.whatsapp]
        bind = "127.0.0.1"
        [webhook]
        app_secret = { env = "S" }
        verify_token = { env = "S" }
        [[hours]]
        name = "office"
        timezone = "UTC"
        open = ["mon-fri 09:00-18:00"]
        [[trunk]]
        name = "office"
        sources = ["10.0.0.0/24"]
        target = "10.0.0.5:5060"
        [[trunk]]
        name = "spare"
        sources = ["10.1.0.5"]
        target = "10.1.0.5:5060"
        headers = { plus = false }
        [[number]]
        phone_number_id = "1"
        display = "+15550000001"
        token = { env = "S" }
        trunk = "office"
        [[number]]
        phone_number_id = "2"
        display = "+15550000002"
        token = { env = "S" }
        trunk = "office"
        destination = "200"
        hours = "office"
    "#;
    let env = |_: &str| Some("secret".to_owned());
    Config::parse(&format!("{text}{routes}"), Path::new("wa-bridge.toml"), &env)
        .unwrap_or_else(|errors| panic!("{errors}"))
}

fn call(number: &str) -> Connect {
    Connect {
        number: number.parse().expect("an id"),
        display_number: String::new(),
        wacid: "wacid.1".parse().expect("an id"),
        direction: Direction::UserInitiated,
        timestamp: None,
        caller: Caller { phone: Some("4915112345678".to_owned()), ..Caller::default() },
        to: None,
        session: None,
        callback_data: None,
        cta_payload: None,
        deeplink_payload: None,
    }
}

/// Trunk and user part; or the cause of one that is turned away.
fn lands(config: &Config, call: &Connect, unix: i64) -> Result<(String, String), Cause> {
    let incoming = incoming(config, call, unix).expect("a configured number");
    match incoming.landing {
        Landing::Pbx(user) => Ok((incoming.trunk.name.clone(), user)),
        Landing::Turned(turned) => Err(turned.cause),
    }
}

fn at(trunk: &str, user: &str) -> Result<(String, String), Cause> {
    Ok((trunk.to_owned(), user.to_owned()))
}

#[test]
fn without_routes_a_number_leads_to_its_trunk_and_destination() {
    let config = config("");
    assert_eq!(lands(&config, &call("1"), 0), at("office", "+15550000001"));
    assert_eq!(lands(&config, &call("2"), MONDAY_NOON), at("office", "200"));
    assert!(incoming(&config, &call("3"), 0).is_none());
}

#[test]
fn outside_of_its_hours_a_number_turns_its_callers_away() {
    let config = config("");
    assert_eq!(lands(&config, &call("2"), MONDAY_NOON + 7 * HOUR), Err(Cause::ClosedHours));
    assert_eq!(lands(&config, &call("1"), MONDAY_NOON + 7 * HOUR), at("office", "+15550000001"));
}

#[test]
fn the_first_route_that_matches_decides_alone() {
    let config = config(
        r#"
        [[route]]
        number = "+15550000001"
        cta_payload = "support*"
        destination = "300"
        [[route]]
        cta_payload = "support-gold"
        trunk = "spare"
        [[route]]
        deeplink_payload = "spam"
        reject = true
        [[route]]
        number = "2"
        hours = "office"
        country = ["at", "DE"]
        trunk = "spare"
        destination = "400"
        [[route]]
        number = "2"
        country = ["DE"]
        destination = "voicemail"
        "#,
    );
    let with = |number, cta: Option<&str>, deeplink: Option<&str>| Connect {
        cta_payload: cta.map(str::to_owned),
        deeplink_payload: deeplink.map(str::to_owned),
        ..call(number)
    };
    for (call, expected) in [
        (with("1", Some("support"), None), at("office", "300")),
        (with("1", Some("support-gold"), Some("spam")), at("office", "300")),
        // The number of the first route is another; the trunk's own way of writing the number counts.
        (with("2", Some("support-gold"), None), at("spare", "200")),
        (with("1", Some("Support"), None), at("office", "+15550000001")),
        (with("1", None, Some("spam")), Err(Cause::RouteRejected)),
        (with("1", None, Some("spam2")), at("office", "+15550000001")),
        (with("2", None, None), at("spare", "400")),
    ] {
        assert_eq!(lands(&config, &call, MONDAY_NOON), expected, "{call:?}");
    }
    // Closed, but a route takes the call before the number's own hours are looked at.
    let night = MONDAY_NOON + 12 * HOUR;
    assert_eq!(lands(&config, &call("2"), night), at("office", "voicemail"));
    let french = Caller { phone: Some("33612345678".to_owned()), ..Caller::default() };
    let french = Connect { caller: french, ..call("2") };
    assert_eq!(lands(&config, &french, MONDAY_NOON), at("office", "200"));
    assert_eq!(lands(&config, &french, night), Err(Cause::ClosedHours));
}

#[test]
fn a_trunk_writes_the_number_in_its_own_way() {
    let config = config("[[route]]\nnumber = \"1\"\ntrunk = \"spare\"");
    assert_eq!(lands(&config, &call("1"), 0), at("spare", "15550000001"));
}

#[test]
fn a_user_without_a_number_is_of_the_country_of_the_id() {
    let of = |phone: Option<&str>, bsuid: Option<&str>, parent: Option<&str>| {
        let own = |text: Option<&str>| text.map(str::to_owned);
        let user =
            Caller { phone: own(phone), bsuid: own(bsuid), parent_bsuid: own(parent), ..Caller::default() };
        country(&user)
    };
    assert_eq!(of(Some("4915112345678"), Some("US.1"), None), Some(Id::DE));
    assert_eq!(of(None, Some("br.AbC"), None), Some(Id::BR));
    assert_eq!(of(None, None, Some("US.ENT.1")), Some(Id::US));
    assert_eq!(of(None, Some("ZZ.1"), None), None);
    assert_eq!(of(None, Some("\u{e9}\u{e9}"), None), None);
    assert_eq!(of(None, None, None), None);
}
