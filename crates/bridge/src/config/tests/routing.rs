//! Who calls whom: dialling, routes, hours, announcements.

use hound::{SampleFormat, WavSpec, WavWriter};

use super::*;
use crate::routing::incoming::{NoPbx, Towards};

/// A folder with a recording of one second in it, as `sound.wav`.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let spec =
        WavSpec { channels: 1, sample_rate: 8000, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let mut writer = WavWriter::create(folder.path().join("sound.wav"), spec).expect("a writer");
    (0..8000).for_each(|_| writer.write_sample(1000_i16).expect("written"));
    writer.finalize().expect("a whole file");
    folder
}

fn load(text: &str) -> Result<Config, String> {
    let folder = folder();
    let path = folder.path().join("f");
    let said =
        |errors: ConfigErrors| errors.to_string().replace(&format!("{}/", folder.path().display()), "");
    Config::parse(text, &path, &env).map_err(said)
}

fn refused(text: &str) -> String {
    load(text).map(|_| ()).expect_err(text)
}

#[test]
fn a_trunk_says_how_it_dials() {
    let text = with(
        "[[number]]",
        "country = \"it\"\nnumber_header = \"X-WA-Number\"\nrewrite = [{ prefix = \"00\", replace = \"+\" }, { prefix = \"9\", replace = \"\" }]\n[[number]]",
    );
    let dialling = &good(&text).trunks[0].dialling;
    assert_eq!(dialling.country.map(|country| country.as_ref().to_owned()).as_deref(), Some("IT"));
    assert_eq!(dialling.number_header.as_deref(), Some("X-WA-Number"));
    assert_eq!(dialling.rewritten("00491234"), "+491234");
    let wrong = "country = \"ITA\"\nnumber_header = \"From\"\nrewrite = [{ prefix = \"0 0\" }]\n[[number]]";
    assert_eq!(
        errors(&with("[[number]]", wrong)),
        "f:10: trunk.country: \"ITA\" is no country: write an ISO 3166 code of two letters like \"DE\"\n\
         f:11: trunk.number_header: \"From\" is a header of the bridge itself: choose another, like \"X-Tenant\"\n\
         f:12: trunk.rewrite.prefix: \"0 0\" is no beginning of a number: write digits, like \"00\" or \"+49\"\n\
         f:12: trunk.rewrite.replace: is missing: write what takes its place: \"\" for nothing"
    );
}

#[test]
fn routes_hours_and_announcements_are_read() {
    let hours = "[[hours]]\nname = \"office\"\ntimezone = \"Europe/Berlin\"\nopen = [\"mon-fri 09:00-18:00\"]\nclosed_on = [\"2026-12-25\"]\n";
    let number = "hours = \"office\"\nclosed_announcement = \"sound.wav\"\nno_pbx = \"announcement\"\nno_pbx_announcement = \"sound.wav\"\n";
    let routes = "[[route]]\nnumber = \"1065\"\nhours = \"office\"\ncountry = [\"de\"]\ncta_payload = \"a*\"\ntrunk = \"office\"\n[[route]]\nannouncement = \"sound.wav\"\n";
    let config = load(&format!("{LEAST}{number}{hours}{routes}")).expect("a configuration");
    let number = &config.numbers[0];
    assert!(number.hours.as_ref().is_some_and(|hours| !hours.is_open(0)));
    let second = Some(Duration::from_secs(1));
    assert_eq!(number.closed_announcement.as_ref().map(media_relay::Announcement::length), second);
    assert!(matches!(&number.no_pbx, NoPbx::Announcement(sound) if Some(sound.length()) == second));
    assert_eq!(config.routes.len(), 2);
    assert!(matches!(config.routes[1].to, Towards::Announcement(_)));
    let least = good(LEAST);
    assert!(least.routes.is_empty() && least.numbers[0].hours.is_none());
    assert!(matches!(least.numbers[0].no_pbx, NoPbx::Reject));
}

#[test]
fn what_is_wrong_with_hours_and_routes_is_said() {
    for (more, message) in [
        ("[[hours]]\nname = \"o\"", "hours.timezone: is missing: write where the clock hangs"),
        ("[[hours]]\nname = \"o\"\ntimezone = \"Berlin\"", "hours.timezone: \"Berlin\" is no time zone"),
        (
            "[[hours]]\nname = \"o\"\ntimezone = \"UTC\"\nopen = [\"mon\"]",
            "hours.open: \"mon\": no days, or no times",
        ),
        (
            "[[hours]]\nname = \"o\"\ntimezone = \"UTC\"\nclosed_on = [\"25.12.\"]",
            "hours.closed_on: \"25.12.\" is no date",
        ),
        ("[[route]]\ncta_payload = \"a\"", "route.trunk: is missing: write trunk or destination, reject"),
        ("[[route]]\nreject = true\ndestination = \"1\"", "not several"),
        ("[[route]]\nnumber = \"+999\"\nreject = true", "route.number: \"+999\" is no [[number]]"),
        ("[[route]]\ntrunk = \"ofice\"", "route.trunk: \"ofice\" is no trunk; did you mean \"office\"?"),
        (
            "[[route]]\nhours = \"o\"\nreject = true",
            "route.hours: \"o\" is no schedule: write a table [[hours]]",
        ),
        ("[[route]]\ncountry = [\"xx\"]\nreject = true", "route.country: \"xx\" is no country"),
        ("[[route]]\ncountry = []\nreject = true", "route.country: is empty"),
        ("[[route]]\ncta_payload = \"*\"\nreject = true", "route.cta_payload: matches every payload"),
        (
            "[[route]]\nannouncement = \"no.wav\"",
            "route.announcement: no.wav is no WAV file that can be read",
        ),
        ("hours = \"o\"", "number.hours: \"o\" is no schedule"),
        ("closed_announcement = \"sound.wav\"", "number.closed_announcement: is never heard"),
        ("no_pbx = \"announcement\"", "number.no_pbx_announcement: is missing"),
        ("no_pbx_announcement = \"sound.wav\"", "number.no_pbx_announcement: is never heard"),
        ("no_pbx = \"ring\"", "number.no_pbx: \"ring\" is not known"),
    ] {
        let said = refused(&format!("{LEAST}{more}\n"));
        assert!(said.contains(message), "{more}:\n{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

/// Every block of TOML of the page, each in a file of its own behind what every file has.
#[test]
fn every_example_of_the_routing_page_is_read() {
    const PAGE: &str = include_str!("../../../../../docs/routing.md");
    let folder = folder();
    for name in ["closed.wav", "no-pbx.wav", "moved.wav"] {
        std::fs::copy(folder.path().join("sound.wav"), folder.path().join(name)).expect("a recording");
    }
    let blocks: Vec<_> =
        PAGE.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 6, "{}", blocks.len());
    for block in blocks {
        // What a block says of a trunk or number goes into that of the page.
        let text = with_block(block);
        let result = Config::parse(&text, &folder.path().join("f"), &env);
        result.unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    }
}

fn with_block(block: &str) -> String {
    let is_table = |name: &str| block.contains(&format!("[[{name}]]"));
    let head = LEAST.split("[[trunk]]").next().expect("a beginning");
    let trunk = "[[trunk]]\nname = \"office\"\nsources = [\"10.0.0.5\"]\ntarget = \"10.0.0.5:5060\"\n";
    let number = LEAST.split("[[number]]").nth(1).expect("a number");
    let hours =
        "[[hours]]\nname = \"office\"\ntimezone = \"Europe/Berlin\"\nopen = [\"mon-fri 09:00-18:00\"]\n";
    let mut text = head.to_owned();
    for (name, own) in [("trunk", trunk), ("number", &format!("[[number]]{number}")), ("hours", hours)] {
        if !is_table(name) {
            text.push_str(own);
        }
    }
    text + block
}
