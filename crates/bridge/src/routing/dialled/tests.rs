use proptest::prelude::*;

use super::*;

fn dialling(country: Option<&str>, rules: &[(&str, &str)]) -> Dialling {
    let rule = |(prefix, replace): &(&str, &str)| Rewrite {
        prefix: (*prefix).to_owned(),
        replace: (*replace).to_owned(),
    };
    Dialling {
        rewrite: rules.iter().map(rule).collect(),
        country: country.map(|country| country.parse().expect(country)),
        number_header: None,
    }
}

/// The number that is called, or why none is.
fn called(dialling: &Dialling, dialled: &str) -> Result<String, NotDiallable> {
    dialling.callee(&dialling.rewritten(dialled)).map(|callee| callee.to_string())
}

#[test]
fn without_a_country_a_number_is_international() {
    let plain = dialling(None, &[]);
    for (dialled, expected) in [
        ("+4915112345678", Ok("4915112345678")),
        ("4915112345678", Ok("4915112345678")),
        // Not assigned to anybody: that is WhatsApp's to say.
        ("15550000001", Ok("15550000001")),
        ("015112345678", Err(NotDiallable::National)),
        ("004915112345678", Err(NotDiallable::National)),
        ("+04915112345678", Err(NotDiallable::National)),
        ("12345", Err(NotDiallable::Length)),
        ("1234567890123456", Err(NotDiallable::Length)),
        ("reception", Err(NotDiallable::Neither)),
        ("", Err(NotDiallable::Neither)),
        ("+", Err(NotDiallable::Neither)),
        ("++4915112345678", Err(NotDiallable::Neither)),
    ] {
        assert_eq!(called(&plain, dialled), expected.map(str::to_owned), "{dialled}");
    }
}

#[test]
fn national_numbers_of_several_countries() {
    for (country, dialled, expected) in [
        // Germany: 0 in front, mobiles and area codes of any length.
        ("DE", "015112345678", "4915112345678"),
        ("DE", "030901820", "4930901820"),
        ("DE", "08912345678", "498912345678"),
        // Brazil: 0 and a carrier in front, or neither.
        ("BR", "011987654321", "5511987654321"),
        ("BR", "11987654321", "5511987654321"),
        ("BR", "01511987654321", "5511987654321"),
        // India.
        ("IN", "09876543210", "919876543210"),
        ("IN", "9876543210", "919876543210"),
        // The United States: ten digits, or a 1 in front.
        ("US", "2015550123", "12015550123"),
        ("US", "12015550123", "12015550123"),
        // Italy: the 0 is part of a landline number, and no mobile has one.
        ("IT", "0612345678", "390612345678"),
        ("IT", "3123456789", "393123456789"),
        // Britain, France, Russia with its 8, Argentina with a 15 that becomes a 9.
        ("GB", "07400123456", "447400123456"),
        ("FR", "0612345678", "33612345678"),
        ("RU", "89123456789", "79123456789"),
        ("RU", "88123012345", "78123012345"),
        ("AR", "01123456789", "541123456789"),
    ] {
        let dialling = dialling(Some(country), &[]);
        assert_eq!(called(&dialling, dialled).as_deref(), Ok(expected), "{country} {dialled}");
    }
}

#[test]
fn a_country_does_not_stand_in_the_way_of_international_numbers() {
    for (country, dialled, expected) in [
        ("DE", "+14085551234", "14085551234"),
        ("DE", "0014085551234", "14085551234"),
        ("US", "0114915112345678", "4915112345678"),
        ("US", "4915112345678", "4915112345678"),
        ("IT", "+390612345678", "390612345678"),
        ("IT", "390612345678", "390612345678"),
        // With a + nothing is looked up: what is not assigned is called all the same.
        ("DE", "+15550000001", "15550000001"),
    ] {
        let dialling = dialling(Some(country), &[]);
        assert_eq!(called(&dialling, dialled).as_deref(), Ok(expected), "{country} {dialled}");
    }
}

#[test]
fn a_prefix_is_never_taken_away_twice() {
    // The library made +49 5112345678 of the first, and nothing of the second.
    assert_eq!(called(&dialling(Some("US"), &[]), "0114915112345678").as_deref(), Ok("4915112345678"));
    assert_eq!(called(&dialling(Some("RU"), &[]), "88123012345").as_deref(), Ok("78123012345"));
    assert_eq!(called(&dialling(Some("US"), &[]), "4165550123").as_deref(), Ok("14165550123"), "Canada");
}

#[test]
fn what_is_no_number_of_the_country_is_refused() {
    for (country, dialled) in [("DE", "0151"), ("DE", "12345678"), ("US", "5550123"), ("US", "0012")] {
        let dialling = dialling(Some(country), &[]);
        assert_eq!(called(&dialling, dialled), Err(NotDiallable::Invalid), "{country} {dialled}");
    }
    let long = "1".repeat(200);
    assert_eq!(called(&dialling(Some("DE"), &[]), &long), Err(NotDiallable::Length));
}

#[test]
fn the_first_rule_that_matches_rewrites_once() {
    let rules = dialling(None, &[("00", "+"), ("0", "+49"), ("9", ""), ("wa-", "")]);
    for (dialled, expected) in [
        ("0014085551234", "14085551234"),
        ("015112345678", "4915112345678"),
        ("914085551234", "14085551234"),
        ("9004915112345", "4915112345"),
        ("wa-4915112345678", "4915112345678"),
        ("4915112345678", "4915112345678"),
    ] {
        let result = called(&rules, dialled);
        if dialled == "9004915112345" {
            assert_eq!(result, Err(NotDiallable::National), "one rule, and no other after it");
        } else {
            assert_eq!(result.as_deref(), Ok(expected), "{dialled}");
        }
    }
    let everything = dialling(None, &[("+", "+"), ("", "+49")]);
    assert_eq!(called(&everything, "15112345678").as_deref(), Ok("4915112345678"));
    assert_eq!(called(&everything, "+14085551234").as_deref(), Ok("14085551234"));
}

#[test]
fn a_user_id_is_called_as_it_is_written() {
    let rules = dialling(Some("DE"), &[("wa-", ""), ("US", "49"), ("", "0")]);
    for id in ["US.13491208655302741918", "br.AbC123", "US.ENT.11815799212886844830", "uS.ENT.aB"] {
        assert_eq!(rules.callee(&rules.rewritten(id)), Ok(Callee::Bsuid(id.to_owned())));
        let prefixed = format!("wa-{id}");
        assert_eq!(rules.callee(&rules.rewritten(&prefixed)), Ok(Callee::Bsuid(id.to_owned())));
    }
}

#[test]
fn the_country_of_a_number() {
    for (digits, country) in [
        ("4915112345678", Some(Id::DE)),
        ("12015550123", Some(Id::US)),
        ("14165550123", Some(Id::CA)),
        ("393123456789", Some(Id::IT)),
        // Nobody has it; the code has a country all the same.
        ("15550000001", Some(Id::US)),
        ("999", None),
        ("", None),
        ("DE.1", None),
        ("1234567890123456789", None),
    ] {
        assert_eq!(country_of(digits), country, "{digits}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_text_is_too_strange(text in ".{0,40}", country in 0_usize..4) {
        let country = [None, Some("DE"), Some("IT"), Some("US")][country];
        let dialling = dialling(country, &[("0", ""), ("\u{e9}", "+")]);
        let _ = called(&dialling, &text);
        let _ = country_of(&text);
    }

    #[test]
    fn what_is_called_is_a_number_or_the_id_that_was_dialled(text in "[+0-9a-zA-Z.;*#]{0,30}") {
        match dialling(Some("BR"), &[("9", "")]).callee(&text) {
            Ok(Callee::Phone(digits)) => {
                prop_assert!((6..=15).contains(&digits.len()) && !digits.starts_with('0'));
                prop_assert!(digits.bytes().all(|byte| byte.is_ascii_digit()));
            }
            Ok(Callee::Bsuid(id)) => prop_assert_eq!(id, text),
            Err(_) => {}
        }
    }

    #[test]
    fn digits_of_any_length_do_no_harm(digits in "[+]?[0-9]{0,40}", country in 0_usize..6) {
        let country = ["DE", "BR", "IN", "US", "IT", "AR"][country];
        let _ = called(&dialling(Some(country), &[]), &digits);
    }

    #[test]
    fn the_case_of_a_user_id_is_kept(id in "[A-Za-z]{2}\\.(ENT\\.)?[A-Za-z0-9]{1,128}") {
        prop_assert_eq!(called(&dialling(Some("US"), &[]), &id), Ok(id));
    }
}
