//! What a PBX dialled, to whom it means. Pure.
//!
//! The digits are rewritten first, by the trunk's own rules. Then they are, in this order: a user id of
//! WhatsApp; an international number with `+`; a number of the trunk's country as it is dialled there; an
//! international number without `+`. Nothing is guessed beyond that: a number that is none of these is
//! refused, because a wrong guess calls a stranger.

use phonenumber::country::Id;
use phonenumber::metadata::DATABASE;
use phonenumber::{Metadata, Mode};
use wa_signaling::Callee;
use wa_signaling::identity::is_bsuid;

/// The digits of the longest number (E.164 6.1).
const LONGEST_NUMBER: usize = 15;
/// The digits of the longest text that may be a number: with what is dialled before it to leave a
/// country and to choose a carrier.
const LONGEST_DIALLED: usize = 24;

/// How a trunk dials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dialling {
    /// The first whose prefix matches is used, once.
    pub rewrite: Vec<Rewrite>,
    /// Whose national numbers are understood.
    pub country: Option<Id>,
    /// The header that names the business number to call with.
    pub number_header: Option<String>,
}

/// What stands at the beginning of a dialled number, and what is to stand there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// Empty: whatever was dialled.
    pub prefix: String,
    /// May be empty.
    pub replace: String,
}

/// The text names nobody who can be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDiallable {
    /// Neither digits nor a user id.
    #[error("neither a number nor a WhatsApp user id such as US.134912086553")]
    Neither,
    /// More or fewer digits than a number has.
    #[error("no international number: those have 6 to 15 digits")]
    Length,
    /// Digits that begin with 0, where no country says what that means.
    #[error(
        "no international number, because it begins with 0: set the trunk's country, or a rewrite of the prefix"
    )]
    National,
    /// No number of the trunk's country, nor of another without `+`.
    #[error("no valid number of the trunk's country, nor an international one; a + in front settles it")]
    Invalid,
}

impl Dialling {
    /// The digits as the trunk's rules make them. A user id stays as it is.
    #[must_use]
    pub fn rewritten(&self, dialled: &str) -> String {
        let rule = self.rewrite.iter().find_map(|rule| {
            let rest = dialled.strip_prefix(rule.prefix.as_str())?;
            Some(format!("{}{rest}", rule.replace))
        });
        rule.filter(|_| !is_bsuid(dialled)).unwrap_or_else(|| dialled.to_owned())
    }

    /// Whom the digits mean, once they are rewritten.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn callee(&self, rewritten: &str) -> Result<Callee, NotDiallable> {
        if is_bsuid(rewritten) {
            return Ok(Callee::Bsuid(rewritten.to_owned()));
        }
        let (plus, digits) = match rewritten.strip_prefix('+') {
            Some(digits) => (true, digits),
            None => (false, rewritten),
        };
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NotDiallable::Neither);
        }
        if digits.len() > LONGEST_DIALLED {
            return Err(NotDiallable::Length);
        }
        let number = match (plus, self.country) {
            (false, Some(country)) => in_country(country, digits).ok_or(NotDiallable::Invalid)?,
            (true, _) | (false, None) => digits.to_owned(),
        };
        international(number).map(Callee::Phone)
    }
}

fn international(digits: String) -> Result<String, NotDiallable> {
    if digits.starts_with('0') {
        // Country codes begin with 1 to 9 (E.164).
        return Err(NotDiallable::National);
    }
    if (6..=LONGEST_NUMBER).contains(&digits.len()) { Ok(digits) } else { Err(NotDiallable::Length) }
}

/// The international number of what is dialled in a country.
fn in_country(country: Id, digits: &str) -> Option<String> {
    let data = DATABASE.by_id(country.as_ref())?;
    national(data, digits)
        .or_else(|| abroad(data, digits))
        .or_else(|| by_its_rules(data, country, digits))
        .or_else(|| is_valid(digits).then(|| digits.to_owned()))
}

/// Without the national prefix, then with it as part of the number. Digit by digit: the library's own
/// parser takes a prefix away twice where the number goes on with the same digits.
fn national(data: &Metadata, digits: &str) -> Option<String> {
    let without = data.national_prefix().and_then(|prefix| digits.strip_prefix(prefix));
    let numbers = [without, Some(digits)].into_iter().flatten();
    numbers.map(|rest| format!("{}{rest}", data.country_code())).find(|number| is_valid(number))
}

/// Behind the prefix that leaves the country.
fn abroad(data: &Metadata, digits: &str) -> Option<String> {
    let prefix = data.international_prefix()?.find(digits).filter(|prefix| prefix.start() == 0)?;
    let number = digits.get(prefix.end()..)?;
    is_valid(number).then(|| number.to_owned())
}

/// What a country makes of it where more than a prefix is taken away: a carrier is chosen, or digits stand
/// elsewhere in the international number.
fn by_its_rules(data: &Metadata, country: Id, digits: &str) -> Option<String> {
    data.national_prefix_transform_rule()?;
    let number = phonenumber::parse(Some(country), digits).ok()?;
    let text = number.format().mode(Mode::E164).to_string();
    let number = text.strip_prefix('+')?;
    let is_own = number.starts_with(&data.country_code().to_string());
    (is_own && is_valid(number)).then(|| number.to_owned())
}

/// Whether the digits, without `+`, are a number that is assigned anywhere.
fn is_valid(digits: &str) -> bool {
    split(digits).is_some_and(|(sharing, national)| sharing.iter().any(|data| is_assigned(data, national)))
}

/// The countries of a country code, and what follows it.
fn split(digits: &str) -> Option<(Vec<&'static Metadata>, &str)> {
    (1..=3).find_map(|length| {
        let (code, national) = digits.split_at_checked(length)?;
        Some((DATABASE.by_code(&code.parse::<u16>().ok()?)?, national))
    })
}

/// Whether a number without its country code is one that the country has.
fn is_assigned(data: &Metadata, national: &str) -> bool {
    let all = data.descriptors();
    let kinds = [
        all.fixed_line(),
        all.mobile(),
        all.toll_free(),
        all.premium_rate(),
        all.shared_cost(),
        all.personal_number(),
        all.voip(),
        all.pager(),
        all.uan(),
        all.voicemail(),
    ];
    all.general().is_match(national) && kinds.into_iter().flatten().any(|kind| kind.is_match(national))
}

/// The country of an international number, digits without `+`. Where several share a code and none has
/// the number, the largest of them.
#[must_use]
pub fn country_of(digits: &str) -> Option<Id> {
    if digits.len() > LONGEST_NUMBER || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (sharing, national) = split(digits)?;
    let own = sharing.iter().find(|data| is_assigned(data, national));
    let main = || sharing.iter().find(|data| data.is_main_country_for_code()).or(sharing.first());
    own.or_else(main)?.id().parse().ok()
}

#[cfg(test)]
mod tests;
