//! `name-addr` and `addr-spec` with parameters: From, To, Contact, Route, Record-Route (RFC 3261 section 20.10).

use std::fmt;
use std::str::FromStr;

use super::{params::Params, text, uri::Uri};

/// A display name, a URI and the header parameters behind it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NameAddr {
    /// The display name without its quotes.
    pub display: Option<String>,
    /// The URI.
    pub uri: Uri,
    /// The parameters of the header field (not of the URI), such as `tag`.
    pub params: Params,
}

/// The text is neither a name-addr nor an addr-spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a name-addr")]
pub struct NameAddrError;

impl NameAddr {
    /// `<uri>` alone.
    pub fn new(uri: Uri) -> Self {
        Self { display: None, uri, params: Params::default() }
    }

    /// The `tag` parameter; an empty one counts as none.
    pub fn tag(&self) -> Option<&str> {
        self.params.get("tag").filter(|tag| !tag.is_empty())
    }

    /// The same with this tag.
    #[must_use]
    pub fn with_tag(mut self, tag: &str) -> Self {
        self.params.set("tag", Some(tag));
        self
    }

    /// `addr-spec *(;param)`: without brackets the parameters belong to the header, and `?` is not allowed.
    fn parse_bare(input: &str) -> Option<Self> {
        let (uri, params) = match input.split_once(';') {
            Some((uri, params)) => (uri, Params::parse(params)?),
            None => (input, Params::default()),
        };
        let uri: Uri = uri.trim().parse().ok()?;
        if uri.headers.is_some() {
            return None;
        }
        Some(Self { display: None, uri, params })
    }

    fn parse_bracketed(display: Option<String>, after: &str) -> Option<Self> {
        let (uri, rest) = after.split_once('>')?;
        let params = match rest.trim().strip_prefix(';') {
            Some(params) => Params::parse(params)?,
            None if rest.trim().is_empty() => Params::default(),
            None => return None,
        };
        Some(Self { display, uri: uri.trim().parse().ok()?, params })
    }

    fn parse(input: &str) -> Option<Self> {
        let input = input.trim();
        if input.starts_with('"') {
            let (display, rest) = text::take_quoted(input)?;
            let display = Some(display).filter(|display| !display.is_empty());
            return Self::parse_bracketed(display, rest.trim_start().strip_prefix('<')?);
        }
        // The first semicolon ends an addr-spec: an angle bracket behind it is part of a parameter.
        match (input.find('<'), input.find(';')) {
            (Some(open), semicolon) if semicolon.is_none_or(|at| open < at) => {
                let (display, after) = input.split_at_checked(open)?;
                let display = Some(display.trim()).filter(|display| !display.is_empty());
                Self::parse_bracketed(display.map(str::to_owned), after.strip_prefix('<')?)
            }
            _ => Self::parse_bare(input),
        }
    }
}

impl FromStr for NameAddr {
    type Err = NameAddrError;

    fn from_str(input: &str) -> Result<Self, NameAddrError> {
        Self::parse(input).ok_or(NameAddrError)
    }
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = &self.display {
            write!(f, "{} ", text::quote(display))?;
        }
        write!(f, "<{}>{}", self.uri, self.params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> NameAddr {
        text.parse().unwrap()
    }

    #[test]
    fn display_names() {
        let doe = parse(r#""Doe, \"J\" <x>" <sip:j@h;lr>;tag=1"#);
        assert_eq!(doe.display.as_deref(), Some(r#"Doe, "J" <x>"#));
        assert_eq!((doe.tag(), doe.uri.params.has("lr")), (Some("1"), true));
        assert_eq!(doe.to_string(), r#""Doe, \"J\" <x>" <sip:j@h;lr>;tag=1"#);
        assert_eq!(parse("caller<sip:c@h>").display.as_deref(), Some("caller"));
        assert_eq!(parse("Two Words  < sip:c@h >").display.as_deref(), Some("Two Words"));
        assert_eq!(parse(r#""" <sip:c@h>"#).display, None);
    }

    #[test]
    fn without_brackets_the_parameters_are_the_headers() {
        let bare = parse("sip:vivekg@chair.example.com ;   tag    = 1918181833n");
        assert_eq!(bare.tag(), Some("1918181833n"));
        assert_eq!(bare.uri.to_string(), "sip:vivekg@chair.example.com");
        assert_eq!(parse("tel:+1;x=\"<a>\"").params.get("x"), Some("\"<a>\""));
    }

    #[test]
    fn what_is_none() {
        for bad in [
            "",
            "*",
            "\"open <sip:a@b>",
            "<sip:a@b",
            "<sip:a@b> x",
            "\"a\" sip:a@b",
            "sip:a@b?x=y",
            "<>",
            "<sip:a@b>;",
        ] {
            assert_eq!(bad.parse::<NameAddr>(), Err(NameAddrError), "{bad}");
        }
    }
}
