//! Pass-on: webhooks that are not for calling go to whom they are for, a chatbot or a CRM that shares the
//! number.
//!
//! A whole POST is passed on as it came, body and signature untouched, so that the other side verifies it as if
//! WhatsApp had sent it. Each destination has an [`outbox`] of its own, in memory: what WhatsApp was told is
//! taken is tried until it arrives or [`outbox::LIFE`] is over. Posts begin in the order of their arrival;
//! up to [`outbox::UNDER_WAY`] are under way at once, one while the destination fails.

pub mod delivery;
pub mod outbox;

use std::collections::BTreeSet;
use std::fmt;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use reqwest::Url;

use super::signature;

/// Says that a webhook was passed on already: then it is not passed on again.
pub const PASSED_ON: HeaderName = HeaderName::from_static("x-wa-bridge-passed-on");
/// Of WhatsApp's headers, those that go along: what the body is, and both of its signatures.
const KEPT: [HeaderName; 3] = [
    header::CONTENT_TYPE,
    HeaderName::from_static(signature::HEADER),
    HeaderName::from_static("x-hub-signature"),
];

/// Where webhooks are passed on to.
#[derive(Clone)]
pub struct Destination {
    /// The URL. It may hold credentials, so nothing shows it.
    pub url: Url,
    /// What logs and alarms call it.
    pub label: String,
    /// What is passed on.
    pub fields: Fields,
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Destination");
        shown.field("label", &self.label).field("fields", &self.fields).finish_non_exhaustive()
    }
}

/// Which webhooks a destination gets: those with at least one change of such a field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fields {
    /// Every one.
    All,
    /// Every one but those of `calls` alone.
    AllButCalls,
    /// These.
    These(BTreeSet<String>),
}

impl Fields {
    /// Whether a webhook with changes of these fields is wanted.
    #[must_use]
    pub fn want(&self, fields: &BTreeSet<String>) -> bool {
        match self {
            Self::All => true,
            Self::AllButCalls => fields.iter().any(|field| field != "calls"),
            Self::These(wanted) => !wanted.is_disjoint(fields),
        }
    }
}

/// One webhook as it came. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Letter {
    /// The headers that go along.
    pub(crate) headers: HeaderMap,
    /// The body, byte for byte.
    pub(crate) body: Bytes,
}

impl Letter {
    /// The webhook of this request; nothing when it was passed on to us.
    pub(crate) fn new(headers: &HeaderMap, body: Bytes) -> Option<Self> {
        if headers.contains_key(&PASSED_ON) {
            return None;
        }
        let mut kept: HeaderMap =
            KEPT.into_iter().filter_map(|name| Some((name.clone(), headers.get(name)?.clone()))).collect();
        kept.insert(PASSED_ON, HeaderValue::from_static("1"));
        Some(Self { headers: kept, body })
    }

    /// What it takes of an outbox.
    fn size(&self) -> usize {
        self.body.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
        names.map(ToOwned::to_owned).into()
    }

    #[test]
    fn calls_are_not_passed_on_unless_asked_for() {
        let cases = [
            (fields(["calls"]), [true, false, false, true]),
            (fields(["messages"]), [true, true, true, false]),
            (fields(["calls", "messages"]), [true, true, true, true]),
            (fields(["flows"]), [true, true, false, false]),
            (fields([""]), [true, true, false, false]),
        ];
        for (of_webhook, expected) in cases {
            let wanted = [
                Fields::All,
                Fields::AllButCalls,
                Fields::These(fields(["messages", "statuses"])),
                Fields::These(fields(["calls"])),
            ];
            assert_eq!(wanted.map(|wanted| wanted.want(&of_webhook)), expected, "{of_webhook:?}");
        }
    }

    #[test]
    fn a_letter_keeps_what_the_other_side_verifies_and_nothing_else() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "us.example"),
            ("x-hub-signature-256", "sha256=AB"),
            ("x-hub-signature", "sha1=cd"),
            ("content-type", "application/json; odd"),
            ("authorization", "Basic x"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let letter = Letter::new(&headers, Bytes::from_static(b"{}")).expect("a letter");
        let shown =
            |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().expect("text"));
        let mut kept: Vec<_> = letter.headers.iter().map(shown).collect();
        kept.sort();
        assert_eq!(
            kept,
            [
                "content-type: application/json; odd",
                "x-hub-signature-256: sha256=AB",
                "x-hub-signature: sha1=cd",
                "x-wa-bridge-passed-on: 1",
            ]
        );
        headers.insert(PASSED_ON, HeaderValue::from_static("1"));
        assert!(Letter::new(&headers, Bytes::new()).is_none(), "a loop");
    }

    #[test]
    fn a_destination_does_not_show_its_url() {
        let url = Url::parse("https://user:hunter2@crm.example/hunter2?key=hunter2").expect("a URL");
        let destination = Destination { url, label: "https://crm.example".into(), fields: Fields::All };
        assert!(!format!("{destination:?} {destination:#?}").contains("hunter2"));
    }
}
