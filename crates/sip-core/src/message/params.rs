//! `;name=value` parameters of URIs and header fields, kept raw and in order.

use std::fmt;

use super::text;

/// A list of parameters. Names compare without case; values are kept as written, quotes included.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Params(Vec<(String, Option<String>)>);

impl Params {
    /// Parses `name[=value][;name[=value]...]`, without the leading semicolon. `None` when a parameter is empty.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        text::split_top(text, ';').into_iter().map(parse_one).collect::<Option<Vec<_>>>().map(Self)
    }

    /// The value of the first parameter of this name; empty for a parameter without one (such as `;lr`).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.unwrap_or_default())
    }

    /// Is there a parameter of this name?
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Sets the parameter in its place, or appends it. `None` sets it without a value.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        let value = value.map(str::to_owned);
        match self.0.iter_mut().find(|(found, _)| found.eq_ignore_ascii_case(name)) {
            Some(param) => param.1 = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// Takes every parameter of this name away.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(found, _)| !found.eq_ignore_ascii_case(name));
    }

    /// All parameters in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_deref()))
    }
}

fn parse_one(text: &str) -> Option<(String, Option<String>)> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name.trim(), Some(value.trim())),
        None => (text.trim(), None),
    };
    // What could not be written again as it was read is no parameter; only quotes hold anything (RFC 3261 25.1).
    let unreadable = |c: char| c.is_ascii_control() || c == ' ';
    if name.is_empty() || name.contains(['"', '<', '>', ',']) || name.contains(unreadable) {
        return None;
    }
    match value {
        Some(quoted) if quoted.starts_with('"') => {
            let (_, rest) = text::take_quoted(quoted)?;
            if !rest.trim().is_empty() {
                return None;
            }
        }
        Some(token) if token.contains(|c: char| c.is_ascii_control()) => return None,
        Some(_) | None => {}
    }
    Some((name.to_owned(), value.map(str::to_owned)))
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.iter() {
            write!(f, ";{name}")?;
            if let Some(value) = value {
                write!(f, "={value}")?;
            }
        }
        Ok(())
    }
}
