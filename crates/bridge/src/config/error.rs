//! What is wrong with a configuration file: every mistake, with its place and its remedy.

use std::fmt;
use std::path::Path;

/// Where something stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The path of the key, such as `sip.bind`.
    pub(super) key: String,
    /// Its line; for a key that is missing, that of its table, if there is one.
    pub(super) line: Option<usize>,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The line, if the mistake has one.
    pub line: Option<usize>,
    /// The path of the key, such as `sip.bind`; empty when the file itself is the matter.
    pub key: String,
    /// What is wrong, and what to write instead.
    pub message: String,
}

/// All mistakes of a configuration file, in the order of their lines.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    file: String,
    errors: Vec<ConfigError>,
}

impl ConfigErrors {
    /// The mistakes, at least one.
    #[must_use]
    pub fn errors(&self) -> &[ConfigError] {
        &self.errors
    }
}

impl fmt::Display for ConfigErrors {
    /// One line a mistake: `FILE:LINE: KEY: what is wrong`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&self.file)?;
            if let Some(line) = error.line {
                write!(f, ":{line}")?;
            }
            if !error.key.is_empty() {
                write!(f, ": {}", error.key)?;
            }
            write!(f, ": {}", error.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Collects mistakes while a file is read.
#[derive(Debug, Default)]
pub(super) struct Report {
    errors: Vec<ConfigError>,
}

impl Report {
    pub(super) fn add(&mut self, place: &Place, message: impl Into<String>) {
        self.errors.push(ConfigError { line: place.line, key: place.key.clone(), message: message.into() });
    }

    pub(super) fn len(&self) -> usize {
        self.errors.len()
    }

    /// The mistakes found in `file`; those without a line come last.
    pub(super) fn into_errors(mut self, file: &Path) -> ConfigErrors {
        self.errors.sort_by_key(|error| error.line.unwrap_or(usize::MAX));
        ConfigErrors { file: file.display().to_string(), errors: self.errors }
    }
}

/// Names in quotes, to choose from.
pub(super) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.into_iter().map(|name| format!("{name:?}")).collect();
    names.join(", ")
}

/// The known word that `word` was probably meant to be.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, nearest) =
        known.into_iter().map(|one| (edits(word, one), one)).min_by_key(|(edits, _)| *edits)?;
    (distance <= word.chars().count() / 3 + 1).then_some(nearest)
}

/// How many letters must change to make `a` into `b` (Levenshtein).
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        let mut left = i + 1;
        for ((above, above_left), to) in row.iter().skip(1).zip(&row).zip(&b) {
            left = (left + 1).min(above + 1).min(above_left + usize::from(from != *to));
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        for (a, b, expected) in
            [("", "", 0), ("", "abc", 3), ("bind", "bind", 0), ("bnd", "bind", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!((edits(a, b), edits(b, a)), (expected, expected), "{a} {b}");
        }
    }

    #[test]
    fn only_something_near_is_suggested() {
        let known = ["bind", "advertised", "user_agent"];
        assert_eq!(nearest("advertise", known), Some("advertised"));
        assert_eq!(nearest("useragent", known), Some("user_agent"));
        assert_eq!(nearest("port", known), None);
        assert_eq!(nearest("x", []), None);
    }
}
