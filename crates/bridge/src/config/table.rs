//! Reading one table of the file: each key once, with its place, and what nobody asked for.
//!
//! Read from `toml`'s spanned tables and not by derived serde code, because that stops at the first
//! mistake. Here a wrong type, an unknown key and a missing table are all reported in one pass.
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Place, Report, nearest};
use super::raw::SecretTable;

pub(super) const SECRET_REMEDY: &str = "write { env = \"NAME\" } or { file = \"PATH\" }";

/// A value at its place.
#[derive(Debug)]
pub(super) struct Field<T> {
    pub(super) place: Place,
    pub(super) value: Given<T>,
}

/// What there is of a value.
#[derive(Debug)]
pub(super) enum Given<T> {
    Absent,
    /// Written, but wrong, and reported.
    Wrong,
    Good(T),
}

/// Where a secret is.
#[derive(Debug)]
pub(super) enum SecretAt {
    /// In this environment variable.
    Env(String),
    /// In this file.
    File(String),
}

impl<T> Field<T> {
    /// Makes a value into something better, or reports why it is refused.
    pub(super) fn check<U>(
        self,
        report: &mut Report,
        check: impl FnOnce(T) -> Result<U, String>,
    ) -> Field<U> {
        let place = self.place.clone();
        self.then(|value| match check(value) {
            Ok(value) => Given::Good(value),
            Err(message) => {
                report.add(&place, message);
                Given::Wrong
            }
        })
    }

    /// Makes a value into something else; `then` reports what is wrong with it.
    fn then<U>(self, then: impl FnOnce(T) -> Given<U>) -> Field<U> {
        let value = match self.value {
            Given::Absent => Given::Absent,
            Given::Wrong => Given::Wrong,
            Given::Good(value) => then(value),
        };
        Field { place: self.place, value }
    }

    /// The value, or the default; nothing when it is wrong.
    pub(super) fn or(self, default: T) -> Option<T> {
        match self.value {
            Given::Absent => Some(default),
            Given::Wrong => None,
            Given::Good(value) => Some(value),
        }
    }

    /// The value; that there is none is a mistake.
    pub(super) fn required(self, report: &mut Report, remedy: &str) -> Option<T> {
        if let Given::Absent = self.value {
            report.add(&self.place, format!("is missing: {remedy}"));
        }
        self.good()
    }

    /// The value, if there is one; nothing when it is wrong.
    pub(super) fn optional(self) -> Option<Option<T>> {
        match self.value {
            Given::Absent => Some(None),
            Given::Wrong => None,
            Given::Good(value) => Some(Some(value)),
        }
    }

    /// The value, if there is a good one.
    pub(super) fn good(self) -> Option<T> {
        match self.value {
            Given::Absent | Given::Wrong => None,
            Given::Good(value) => Some(value),
        }
    }
}

/// A table of the file.
pub(super) trait Section: Sized {
    fn read(table: Table<'_>, report: &mut Report) -> Self;
}

/// A table that may be written as one text.
pub(super) trait FromText: Section {
    fn from_text(text: Field<String>) -> Self;
}

/// A table that is being read.
pub(super) struct Table<'a> {
    text: &'a str,
    place: Place,
    /// What was not asked for yet.
    values: DeTable<'a>,
    /// What was asked for.
    known: Vec<&'static str>,
}

impl<'a> Table<'a> {
    pub(super) fn text(&mut self, key: &'static str, report: &mut Report) -> Field<String> {
        self.take(key).check(report, text)
    }

    pub(super) fn integer(&mut self, key: &'static str, report: &mut Report) -> Field<i64> {
        self.take(key).check(report, integer)
    }

    pub(super) fn flag(&mut self, key: &'static str, report: &mut Report) -> Field<bool> {
        self.take(key).check(report, |value| match value {
            DeValue::Boolean(flag) => Ok(flag),
            other => Err(format!("is {}, must be true or false, without quotes", named(&other))),
        })
    }

    pub(super) fn texts(&mut self, key: &'static str, report: &mut Report) -> Field<Vec<Field<String>>> {
        self.list(key, "[\"...\", \"...\"]", text, report)
    }

    /// One text, or a list of them.
    pub(super) fn text_or_texts(
        &mut self,
        key: &'static str,
        report: &mut Report,
    ) -> Field<Vec<Field<String>>> {
        if matches!(self.values.get(key).map(Spanned::get_ref), Some(DeValue::Array(_))) {
            return self.texts(key, report);
        }
        let field = self.text(key, report);
        let place = field.place.clone();
        field.then(|text| Given::Good(vec![Field { place, value: Given::Good(text) }]))
    }

    pub(super) fn integers(&mut self, key: &'static str, report: &mut Report) -> Field<Vec<Field<i64>>> {
        self.list(key, "[500, 503]", integer, report)
    }

    fn list<T>(
        &mut self,
        key: &'static str,
        like: &str,
        read: impl Fn(DeValue<'a>) -> Result<T, String>,
        report: &mut Report,
    ) -> Field<Vec<Field<T>>> {
        self.items(key, like, report, |_, item, report| item.check(report, &read))
    }

    /// The items of a list that are texts or tables.
    pub(super) fn texts_or_tables<T: FromText>(
        &mut self,
        key: &'static str,
        report: &mut Report,
    ) -> Field<Vec<T>> {
        self.items(key, "[\"...\", \"...\"]", report, |table, item, report| {
            let place = item.place.clone();
            match item.value {
                Given::Good(DeValue::Table(values)) => T::read(table.inner(place, values), report),
                _ => T::from_text(item.check(report, text)),
            }
        })
    }

    fn items<T>(
        &mut self,
        key: &'static str,
        like: &str,
        report: &mut Report,
        mut read: impl FnMut(&Self, Field<DeValue<'a>>, &mut Report) -> T,
    ) -> Field<Vec<T>> {
        let field = self.take(key);
        let key = field.place.key.clone();
        let list = field.check(report, |value| match value {
            DeValue::Array(items) => Ok(items),
            other => Err(format!("is {}, must be a list like {like}", named(&other))),
        });
        list.then(|items| {
            let item = |item: Spanned<DeValue<'a>>| {
                let place = Place { key: key.clone(), line: self.line(&item) };
                read(self, Field { place, value: Given::Good(item.into_inner()) }, report)
            };
            Given::Good(items.into_iter().map(item).collect())
        })
    }

    /// A table with keys of the user's own, each a text.
    pub(super) fn pairs(
        &mut self,
        key: &'static str,
        report: &mut Report,
    ) -> Field<Vec<Field<(String, String)>>> {
        let field = self.take(key).check(report, |value| match value {
            DeValue::Table(values) => Ok(values),
            other => Err(format!("is {}, must be a table like {{ name = \"value\" }}", named(&other))),
        });
        let path = field.place.key.clone();
        field.then(|values| {
            let pair = |(name, value): (Spanned<_>, Spanned<_>)| {
                let place = Place { key: format!("{path}.{}", name.get_ref()), line: self.line(&name) };
                let name = String::from(name.into_inner());
                Field { place, value: Given::Good(value.into_inner()) }
                    .check(report, |value| Ok((name, text(value)?)))
            };
            Given::Good(values.into_iter().map(pair).collect())
        })
    }

    /// `{ env = "NAME" }` or `{ file = "PATH" }`. What else stands there is not repeated: it may be
    /// the secret.
    pub(super) fn secret(&mut self, key: &'static str, report: &mut Report) -> Field<SecretAt> {
        let field = self.take(key);
        self.secret_at(field, report)
    }

    /// One secret, or a list of them.
    pub(super) fn secrets(&mut self, key: &'static str, report: &mut Report) -> Field<Vec<Field<SecretAt>>> {
        let field = self.take(key);
        let place = field.place.clone();
        field.then(|value| match value {
            DeValue::Array(items) => {
                let item = |item: Spanned<DeValue<'a>>| {
                    let place = Place { key: place.key.clone(), line: self.line(&item) };
                    self.secret_at(Field { place, value: Given::Good(item.into_inner()) }, report)
                };
                Given::Good(items.into_iter().map(item).collect())
            }
            single => {
                let single = Field { place, value: Given::Good(single) };
                Given::Good(vec![self.secret_at(single, report)])
            }
        })
    }

    fn secret_at(&self, field: Field<DeValue<'a>>, report: &mut Report) -> Field<SecretAt> {
        let place = field.place.clone();
        let table = field.check(report, |value| match value {
            DeValue::Table(values) => Ok(values),
            DeValue::String(_) => Err(format!("a secret has no place in this file: {SECRET_REMEDY}")),
            other => Err(format!("is {}: {SECRET_REMEDY}", named(&other))),
        });
        table.then(|values| {
            let SecretTable { env, file } = SecretTable::read(self.inner(place.clone(), values), report);
            let message = match (env.value, file.value) {
                (Given::Good(name), Given::Absent) => return Given::Good(SecretAt::Env(name)),
                (Given::Absent, Given::Good(path)) => return Given::Good(SecretAt::File(path)),
                (Given::Wrong, _) | (_, Given::Wrong) => return Given::Wrong,
                (Given::Good(_), Given::Good(_)) => "names two places",
                (Given::Absent, Given::Absent) => "names no place",
            };
            report.add(&place, format!("{message}: {SECRET_REMEDY}"));
            Given::Wrong
        })
    }

    /// The table in `key`; an empty one when it is absent, so that its keys have their defaults.
    pub(super) fn table<T: Section>(&mut self, key: &'static str, report: &mut Report) -> T {
        let field = self.take(key).check(report, |value| match value {
            DeValue::Table(values) => Ok(values),
            other => Err(format!("is {}, must be a table like [{key}]", named(&other))),
        });
        // An absent table has no line, whatever the line of the table around it.
        let is_given = matches!(field.value, Given::Good(_));
        let place = Place { line: field.place.line.filter(|_| is_given), ..field.place.clone() };
        T::read(self.inner(place, field.good().unwrap_or_default()), report)
    }

    /// The table in `key`, if it is written.
    pub(super) fn optional<T: Section>(&mut self, key: &'static str, report: &mut Report) -> Option<T> {
        let field = self.take(key).check(report, |value| match value {
            DeValue::Table(values) => Ok(values),
            other => Err(format!("is {}, must be a table like [{key}]", named(&other))),
        });
        let place = field.place.clone();
        Some(T::read(self.inner(place, field.good()?), report))
    }

    /// The tables of an array of tables.
    pub(super) fn tables<T: Section>(&mut self, key: &'static str, report: &mut Report) -> Vec<T> {
        let wrong =
            |value: &DeValue<'_>| format!("is {}, must be tables, each under [[{key}]]", named(value));
        let field = self.take(key);
        let place = field.place.clone();
        let items = field.check(report, |value| match value {
            DeValue::Array(items) => Ok(items),
            other => Err(wrong(&other)),
        });
        let mut tables = Vec::new();
        for item in items.good().into_iter().flatten() {
            let place = Place { line: self.line(&item), ..place.clone() };
            match item.into_inner() {
                DeValue::Table(values) => tables.push(T::read(self.inner(place, values), report)),
                other => report.add(&place, wrong(&other)),
            }
        }
        tables
    }

    fn take(&mut self, key: &'static str) -> Field<DeValue<'a>> {
        self.known.push(key);
        match self.values.remove_entry(key) {
            Some((name, value)) => {
                let place = Place { key: self.path(key), line: self.line(&name) };
                Field { place, value: Given::Good(value.into_inner()) }
            }
            None => {
                let place = Place { key: self.path(key), line: self.place.line };
                Field { place, value: Given::Absent }
            }
        }
    }

    /// Reports what nobody asked for.
    pub(super) fn finish(self, report: &mut Report) {
        for (name, _) in &self.values {
            let place = Place { key: self.path(name.get_ref()), line: self.line(name) };
            let remedy = match nearest(name.get_ref(), self.known.iter().copied()) {
                Some(known) => format!("did you mean {known:?}?"),
                None => format!("here are known: {}", self.known.join(", ")),
            };
            report.add(&place, format!("unknown key; {remedy}"));
        }
    }

    /// The root of a file.
    pub(super) fn root(text: &'a str, values: DeTable<'a>) -> Self {
        let place = Place { key: String::new(), line: None };
        Self { text, place, values, known: Vec::new() }
    }

    fn inner(&self, place: Place, values: DeTable<'a>) -> Self {
        Self { text: self.text, place, values, known: Vec::new() }
    }

    fn path(&self, key: &str) -> String {
        if self.place.key.is_empty() { key.to_owned() } else { format!("{}.{key}", self.place.key) }
    }

    fn line<T>(&self, item: &Spanned<T>) -> Option<usize> {
        Some(line_of(self.text, item.span().start))
    }
}

fn integer(value: DeValue<'_>) -> Result<i64, String> {
    match value {
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_err(|_| format!("{number} is too large a number")),
        other => Err(format!("is {}, must be a whole number", named(&other))),
    }
}

fn text(value: DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.into_owned()),
        other => Err(format!("is {}, must be a string in quotes", named(&other))),
    }
}

/// The type of a value, with its article. The value itself may be a secret.
fn named(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

pub(super) fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}
