//! The part of `valid` about who has permitted calls, and who is asked to.

use wa_signaling::PermissionRequest;

use super::error::Place;
use super::raw;
use super::table::Field;
use super::valid::Checker;

/// Longest text of a request, in characters: WhatsApp's limit.
const MAX_TEXT: usize = 1024;
/// Longest name of a template: WhatsApp's limit.
const MAX_NAME: usize = 512;

/// What is done about the users' permission to be called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Permission {
    /// Nothing: WhatsApp refuses whom it must.
    #[default]
    Off,
    /// It is looked at before WhatsApp is told to call.
    Check,
    /// And a user who has not given it is asked for it.
    Request(Asking),
}

/// How a user is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asking {
    /// At first.
    pub first: PermissionRequest,
    /// Where that is refused because the user has not written of late.
    pub instead: Option<PermissionRequest>,
}

impl Permission {
    /// Whether the permission is looked at before the call.
    #[must_use]
    pub fn is_checked(&self) -> bool {
        !matches!(self, Self::Off)
    }

    /// How a user without it is asked, if at all.
    #[must_use]
    pub fn asking(&self) -> Option<&Asking> {
        match self {
            Self::Request(asking) => Some(asking),
            Self::Off | Self::Check => None,
        }
    }
}

/// The words of the file.
#[derive(Clone, Copy)]
enum Mode {
    Off,
    Check,
    Request,
}

impl Checker<'_> {
    pub(super) fn permission(
        &mut self,
        mode: Field<String>,
        request: Option<raw::PermissionRequest>,
    ) -> Option<Permission> {
        let place = mode.place.clone();
        let choices = [("off", Mode::Off), ("check", Mode::Check), ("request", Mode::Request)];
        let mode = self.choice(mode, &choices).or(Mode::Off);
        let at = request.as_ref().map(|request| request.text.place.clone());
        let asking = request.map(|request| self.asking(request));
        match (mode?, asking) {
            (Mode::Off, None) => Some(Permission::Off),
            (Mode::Check, None) => Some(Permission::Check),
            (Mode::Request, Some(asking)) => Some(Permission::Request(asking?)),
            (Mode::Request, None) => {
                let message = "\"request\" needs what is sent: write permission_request = { text = \"May we call you?\" } or { template = \"NAME\", language = \"en\" }";
                self.report.add(&place, message);
                None
            }
            (Mode::Off | Mode::Check, Some(_)) => {
                let at = at.unwrap_or(place);
                let key = at.key.trim_end_matches(".text").to_owned();
                let message = "is never sent: write permission = \"request\" with it, or leave it out";
                self.report.add(&Place { key, ..at }, message);
                None
            }
        }
    }

    fn asking(&mut self, raw: raw::PermissionRequest) -> Option<Asking> {
        let place = raw.text.place.clone();
        let text = raw.text.check(self.report, text).optional();
        let template = self.template(raw.template, raw.language);
        let free_form = text?.map(|body| PermissionRequest::FreeForm { body });
        match (free_form, template?) {
            (Some(first), instead) => Some(Asking { first, instead }),
            (None, Some(first)) => Some(Asking { first, instead: None }),
            (None, None) => {
                self.report.add(
                    &place,
                    "is missing: write text = \"May we call you?\", or template and language, or all three",
                );
                None
            }
        }
    }

    fn template(
        &mut self,
        name: Field<String>,
        language: Field<String>,
    ) -> Option<Option<PermissionRequest>> {
        let (name_at, language_at) = (name.place.clone(), language.place.clone());
        let name = name.check(self.report, template_name).optional();
        let language = language.check(self.report, language_code).optional();
        match (name?, language?) {
            (None, None) => Some(None),
            (Some(name), Some(language)) => {
                Some(Some(PermissionRequest::Template { name, language, body: Vec::new() }))
            }
            (Some(_), None) => {
                self.report
                    .add(&language_at, "is missing: write the template's language, like language = \"en\"");
                None
            }
            (None, Some(_)) => {
                self.report.add(&name_at, "is missing: language is that of a template");
                None
            }
        }
    }
}

fn text(text: String) -> Result<String, String> {
    match text.trim().chars().count() {
        0 => Err("is empty: write what the user reads above the buttons".to_owned()),
        1..=MAX_TEXT => Ok(text),
        count => Err(format!("has {count} characters: write {MAX_TEXT} at most")),
    }
}

fn template_name(name: String) -> Result<String, String> {
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    match (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_name) {
        true => Ok(name),
        false => Err(format!("{name:?} is no name of a template: they have a-z, 0-9 and _ alone")),
    }
}

/// A language as WhatsApp writes it: `en`, `en_US`.
fn language_code(code: String) -> Result<String, String> {
    let (language, country) = code.split_once('_').unwrap_or((&code, "XX"));
    let is_language =
        (2..=3).contains(&language.len()) && language.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_country =
        (2..=3).contains(&country.len()) && country.bytes().all(|byte| byte.is_ascii_uppercase());
    match is_language && is_country {
        true => Ok(code),
        false => Err(format!("{code:?} is no language of a template: write one like \"en\" or \"en_US\"")),
    }
}
