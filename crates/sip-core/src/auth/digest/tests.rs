//! RFC 7616 3.9.1, RFC 2617 3.5, and what the field writes into these headers.

use proptest::prelude::*;

use super::*;
use crate::auth::Secret;

fn mufasa(password: &str) -> Credentials {
    Credentials { user: "Mufasa".into(), password: Secret::new(password) }
}

const GET: Protected<'_> = Protected { method: "GET", uri: "/dir/index.html", body: b"" };

/// The challenges of RFC 7616 3.9.1, in one header field.
const RFC7616: &str = r#"Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256,
    nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS",
    Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=MD5,
    nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#;

#[test]
fn the_vectors_of_rfc_7616() {
    let [sha256, md5] = &challenges(RFC7616)[..] else { panic!("two challenges") };
    assert_eq!((sha256.algorithm, md5.algorithm), (Algorithm::Sha256, Algorithm::Md5));
    assert_eq!(sha256.qop, Some(Qop::Auth));
    let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
    let answer = |challenge: &Challenge| challenge.answer(&mufasa("Circle of Life"), GET, 1, cnonce);
    assert_eq!(answer(md5).response, "8ca523f5e9506fed4657c9700eebdbec");
    assert_eq!(answer(sha256).response, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
    let again = authorization(&answer(md5).to_string()).unwrap();
    assert_eq!(again, answer(md5), "what is written is read again");
    assert_eq!(again.opaque, md5.opaque);
    assert!(again.is_by(&Secret::new("Circle of Life"), "GET", b""));
    for (password, method) in [("Circle of life", "GET"), ("Circle of Life", "POST"), ("", "GET")] {
        assert!(!again.is_by(&Secret::new(password), method, b""));
    }
}

#[test]
fn the_vector_of_rfc_2617() {
    let answer = authorization(
        r#"Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",
           uri="/dir/index.html", qop=auth, nc=00000001, cnonce="0a4f113b",
           response="6629fae49393a05397450978507c4ef1", opaque="5ccc069c403ebaf9f0171e9517f40e41""#,
    )
    .unwrap();
    assert!(answer.is_by(&Secret::new("Circle Of Life"), "GET", b""));
    let shouted = Authorization { response: answer.response.to_ascii_uppercase(), ..answer };
    assert!(shouted.is_by(&Secret::new("Circle Of Life"), "GET", b""));
}

#[test]
fn without_a_qop_the_hash_is_that_of_rfc_2069() {
    let value = r#"Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093""#;
    let [challenge] = &challenges(value)[..] else { panic!() };
    let answer = challenge.answer(&mufasa("Circle Of Life"), GET, 1, "unused");
    assert_eq!(answer.response, "670fd8c2df070c60b045671b8b24ff02");
    assert!(!answer.to_string().contains("nc="));
    assert_eq!(authorization(&answer.to_string()), Some(answer));
}

#[test]
fn auth_int_protects_the_body() {
    let [challenge] = &challenges(r#"Digest realm="r", nonce="n", qop="auth-int""#)[..] else { panic!() };
    let request = Protected { body: b"v=0", ..GET };
    let answer = challenge.answer(&mufasa("x"), request, 1, "c");
    assert_eq!(answer.counted.as_ref().unwrap().qop, Qop::AuthInt);
    assert!(answer.is_by(&Secret::new("x"), "GET", b"v=0"));
    assert!(!answer.is_by(&Secret::new("x"), "GET", b"v=1"));
}

#[test]
fn commas_in_quotes_and_other_schemes_do_not_mislead() {
    let value = r#"Negotiate, Basic realm="a, Digest realm=b", NTLM dG9r==, digest NONCE = "n,\"1\"" , realm="r=,<",
        domain="sip:a, sip:b",new-param=7, stale=TRUE, qop="auth-conf,auth" ,, Bearer realm="x", nonce="not ours""#;
    let [challenge] = &challenges(value)[..] else { panic!("{:?}", challenges(value)) };
    assert_eq!((challenge.nonce.as_str(), challenge.realm.as_str()), (r#"n,\"1\""#, "r=,<"));
    assert!(challenge.stale);
    let answer = challenge.answer(&mufasa("x"), GET, 1, "c").to_string();
    assert_eq!(authorization(&answer).unwrap().nonce, challenge.nonce, "echoed as it was");
}

#[test]
fn what_could_not_be_answered_is_no_challenge() {
    for bad in [
        "",
        "Digest",
        r#"Basic realm="r""#,
        r#"Digest realm="r""#,
        r#"Digest nonce="n""#,
        r#"Digest realm="r", nonce="n", algorithm=MD5-sess"#,
        r#"Digest realm="r", nonce="n", algorithm=SHA-512-256"#,
        r#"Digest realm="r", nonce="n", algorithm=MD5, algorithm=SHA-256"#,
        r#"Digest realm="r", nonce="n", qop="auth-conf""#,
        r#"Digest realm="r", nonce="n", nonce="m""#,
        r#"Digest realm="r", nonce="open"#,
        r#"Digest realm="r", nonce="n\""#,
        r#"realm="r", nonce="n""#,
    ] {
        assert_eq!(challenges(bad), [], "{bad}");
    }
}

#[test]
fn what_is_no_answer() {
    let good = r#"Digest username="u", realm="r", nonce="n", uri="sip:h", response="0", qop=auth, nc=00000001, cnonce="c""#;
    assert!(authorization(good).is_some());
    for (from, to) in [
        ("Digest", "Basic"),
        ("username=\"u\", ", ""),
        ("nc=00000001", "nc=1"),
        ("nc=00000001", "nc=+0000001"),
        ("nc=00000001, ", ""),
        ("cnonce=\"c\"", "opaque=\"o\""),
        ("qop=auth", "qop=auth, qop=auth"),
        ("qop=auth", "qop=auth, algorithm=MD5-sess"),
        ("response=\"0\"", "response=\"0\", response=\"1\""),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_eq!(authorization(&bad), None, "{bad}");
    }
    assert_eq!(authorization(&format!("{good}, {good}")), None, "one header field, one answer");
}

#[test]
fn names_of_ours_cannot_break_out_of_their_quotes() {
    let [challenge] = &challenges(r#"Digest realm="r", nonce="n""#)[..] else { panic!() };
    let evil = Credentials { user: r#"a", realm="x\"#.into(), password: Secret::new("p") };
    let answer = challenge.answer(&evil, Protected { uri: r#"sip:"@h"#, ..GET }, 1, "c");
    assert_eq!(authorization(&answer.to_string()), Some(answer));
}

#[test]
fn only_so_many_schemes_are_looked_at() {
    let one = r#"Digest realm="r", nonce="n""#;
    assert_eq!(challenges(&[one; 100].join(", ")).len(), MAX_SCHEMES);
}

proptest! {
    #[test]
    fn nothing_panics(text in r#"(Digest |Basic |realm=|nonce=|qop=|nc=|"|\\|,| |=|ä|[a-z0-9<>]){0,40}"#) {
        for challenge in challenges(&text) {
            let answer = challenge.answer(&mufasa("x"), GET, 1, "c");
            prop_assert_eq!(authorization(&answer.to_string()), Some(answer));
        }
        if let Some(answer) = authorization(&text) {
            prop_assert_eq!(authorization(&answer.to_string()), Some(answer));
        }
    }

    #[test]
    fn any_text_at_all(text in any::<String>()) {
        challenges(&text);
        authorization(&text);
    }
}
