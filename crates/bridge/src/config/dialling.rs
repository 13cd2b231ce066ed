//! The part of `valid` that says what a trunk means by what it dials.

use phonenumber::country::Id;

use super::header;
use super::raw;
use super::table::Field;
use super::valid::Checker;
use crate::routing::dialled::{Dialling, Rewrite};

/// Most rules of one trunk.
const MAX_RULES: usize = 100;
/// Longest prefix, and what takes its place.
const MAX_LEN: usize = 32;

impl Checker<'_> {
    pub(super) fn dialling(
        &mut self,
        rewrite: Vec<raw::Rewrite>,
        country: Field<String>,
        number_header: Field<String>,
    ) -> Option<Dialling> {
        let count = rewrite.len();
        let rules: Vec<_> = rewrite.into_iter().filter_map(|raw| self.rule(raw)).collect();
        if count > MAX_RULES {
            let mut place = country.place.clone();
            place.key = place.key.replace("country", "rewrite");
            self.report.add(&place, format!("has more than {MAX_RULES} rules"));
        }
        let country = country.check(self.report, |text| self::country(&text)).optional();
        let number_header = number_header.check(self.report, |text| header::name(&text)).optional();
        let rewrite = (rules.len() == count).then_some(rules);
        Some(Dialling { rewrite: rewrite?, country: country?, number_header: number_header? })
    }

    fn rule(&mut self, raw: raw::Rewrite) -> Option<Rewrite> {
        let prefix = raw.prefix.check(self.report, |text| digits(&text));
        let prefix = prefix
            .required(self.report, "write what is dialled first, like { prefix = \"00\", replace = \"+\" }");
        let replace = raw.replace.check(self.report, |text| digits(&text));
        let replace = replace.required(self.report, "write what takes its place: \"\" for nothing");
        Some(Rewrite { prefix: prefix?, replace: replace? })
    }
}

/// A country, by its two letters.
pub(super) fn country(text: &str) -> Result<Id, String> {
    let is_code = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    let country = text.to_ascii_uppercase().parse().ok().filter(|_| is_code);
    country
        .ok_or_else(|| format!("{text:?} is no country: write an ISO 3166 code of two letters like \"DE\""))
}

/// What may stand at the beginning of a user part.
fn digits(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+*#-_.".contains(&byte);
    if text.len() <= MAX_LEN && text.bytes().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no beginning of a number: write digits, like \"00\" or \"+49\""))
    }
}
