//! The header fields of a message (RFC 3261 section 7.3): in order, with the names and values that were received.

use super::{Method, NameAddr, Uri, Via, text};

/// Header fields in order. Names compare without case and a compact form equals its long form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<Field>);

/// One header field. A value that is not UTF-8 is kept as Latin-1 and written back so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) latin1: bool,
}

/// The CSeq header field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CSeq {
    /// The sequence number.
    pub number: u32,
    /// The method.
    pub method: Method,
}

impl Headers {
    /// No fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of the first field of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let field = self.0.iter().find(|field| same_name(&field.name, name))?;
        Some(&field.value)
    }

    /// The values of all fields of this name, one for each field line.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.named(name).map(|field| field.value.as_str())
    }

    /// The comma separated elements of all fields of this name, trimmed; empty ones are left out.
    pub fn list<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.get_all(name)
            .flat_map(|value| text::split_top(value, ','))
            .map(str::trim)
            .filter(|element| !element.is_empty())
    }

    /// Every field as (name, value), in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|field| (field.name.as_str(), field.value.as_str()))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Is there no field at all?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends a field.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.push_field(Field { name: name.into(), value: value.into(), latin1: false });
    }

    /// Puts a field before all others.
    pub(crate) fn push_first(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let (name, value) = (name.into(), value.into());
        let latin1 = false;
        self.0.insert(0, Field { name, value, latin1 });
    }

    /// Puts this value in the place of the first field of this name and removes the others; appends it if there is none.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        let Some(first) = self.0.iter().position(|field| same_name(&field.name, name)) else {
            return self.push(name, value);
        };
        let mut at = 0;
        self.0.retain_mut(|field| {
            let here = at;
            at += 1;
            if here == first {
                field.value.clone_from(&value);
            }
            here == first || !same_name(&field.name, name)
        });
    }

    /// Takes every field of this name away.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|field| !same_name(&field.name, name));
    }

    /// The topmost Via.
    pub fn via(&self) -> Option<Via> {
        self.list("Via").next()?.parse().ok()
    }

    /// From.
    pub fn from(&self) -> Option<NameAddr> {
        self.get("From")?.parse().ok()
    }

    /// To.
    pub fn to(&self) -> Option<NameAddr> {
        self.get("To")?.parse().ok()
    }

    /// The first Contact; `None` for `*`.
    pub fn contact(&self) -> Option<NameAddr> {
        self.list("Contact").next()?.parse().ok()
    }

    /// CSeq.
    pub fn cseq(&self) -> Option<CSeq> {
        let (number, method) = self.get("CSeq")?.split_once(|c: char| c.is_ascii_whitespace())?;
        Some(CSeq { number: text::number(number)?, method: Method::parse(method.trim())? })
    }

    /// Call-ID.
    pub fn call_id(&self) -> Option<&str> {
        self.get("Call-ID").filter(|id| !id.is_empty())
    }

    /// Max-Forwards.
    pub fn max_forwards(&self) -> Option<u8> {
        text::number(self.get("Max-Forwards")?)
    }

    /// The media type of Content-Type, in lower case and without its parameters.
    pub fn content_type(&self) -> Option<String> {
        let value = self.get("Content-Type")?;
        let media_type = value.split(';').next()?.trim();
        Some(media_type.to_ascii_lowercase())
    }

    /// All Reason values (RFC 3326) as one text.
    pub fn reason(&self) -> Option<String> {
        let all: Vec<_> = self.get_all("Reason").collect();
        (!all.is_empty()).then(|| all.join(", "))
    }

    /// Route or Record-Route, the elements that parse.
    pub fn routes(&self, name: &str) -> Vec<NameAddr> {
        self.list(name).filter_map(|element| element.parse().ok()).collect()
    }

    pub(crate) fn push_field(&mut self, field: Field) {
        self.0.push(field);
    }

    pub(crate) fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Field> {
        self.0.iter().filter(move |field| same_name(&field.name, name))
    }

    /// Appends copies of all fields of this name.
    pub(crate) fn copy(&mut self, from: &Self, name: &str) {
        self.0.extend(from.named(name).cloned());
    }

    /// Replaces the topmost Via element and leaves the others of its line alone.
    pub(crate) fn set_top_via(&mut self, via: &Via) {
        let Some(field) = self.0.iter_mut().find(|field| same_name(&field.name, "Via")) else {
            return;
        };
        field.value = match text::split_once_top(&field.value, ',') {
            Some((_, rest)) => format!("{via}, {}", rest.trim()),
            None => via.to_string(),
        };
    }

    /// Adds a tag to the To field, which keeps its text otherwise.
    pub(crate) fn add_to_tag(&mut self, tag: &str) {
        if let Some(field) = self.0.iter_mut().find(|field| same_name(&field.name, "To")) {
            field.value.push_str(";tag=");
            field.value.push_str(tag);
        }
    }

    pub(crate) fn fields(&self) -> &[Field] {
        &self.0
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        let mut headers = Self::new();
        for (name, value) in fields {
            headers.push(name, value);
        }
        headers
    }
}

/// Do these two names mean the same header field?
pub(crate) fn same_name(a: &str, b: &str) -> bool {
    long_name(a).eq_ignore_ascii_case(long_name(b))
}

/// The long form of a compact name (RFC 3261 7.3.3 and the registry since).
fn long_name(name: &str) -> &str {
    let mut bytes = name.bytes();
    let (Some(letter), None) = (bytes.next(), bytes.next()) else {
        return name;
    };
    match letter.to_ascii_lowercase() {
        b'a' => "Accept-Contact",
        b'b' => "Referred-By",
        b'c' => "Content-Type",
        b'd' => "Request-Disposition",
        b'e' => "Content-Encoding",
        b'f' => "From",
        b'i' => "Call-ID",
        b'j' => "Reject-Contact",
        b'k' => "Supported",
        b'l' => "Content-Length",
        b'm' => "Contact",
        b'o' => "Event",
        b'r' => "Refer-To",
        b's' => "Subject",
        b't' => "To",
        b'u' => "Allow-Events",
        b'v' => "Via",
        b'x' => "Session-Expires",
        b'y' => "Identity",
        _ => name,
    }
}

/// `<uri>` as a Contact value.
pub(crate) fn contact_value(uri: &Uri) -> String {
    NameAddr::new(uri.clone()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers() -> Headers {
        Headers::from_iter([
            ("v", "SIP/2.0/UDP a;branch=1, SIP/2.0/UDP b;branch=2"),
            ("Via", "SIP/2.0/UDP c;branch=3"),
            ("t", "<sip:t@h>"),
            ("CSeq", "0009  INVITE"),
            ("X-Other", "1"),
        ])
    }

    #[test]
    fn compact_and_long_names_are_one() {
        let headers = headers();
        assert_eq!(headers.get("to"), Some("<sip:t@h>"));
        assert_eq!(headers.list("VIA").count(), 3);
        assert_eq!(headers.via().unwrap().host, "a");
        assert_eq!(headers.cseq(), Some(CSeq { number: 9, method: Method::Invite }));
        assert_eq!(headers.get("x"), None);
    }

    #[test]
    fn set_keeps_the_place() {
        let mut headers = headers();
        headers.set("Via", "x");
        headers.set("New", "y");
        let all: Vec<_> = headers.iter().collect();
        assert_eq!(all[0], ("v", "x"));
        assert_eq!(all[1].0, "t");
        assert_eq!(all.last(), Some(&("New", "y")));
    }

    #[test]
    fn the_top_via_alone_is_replaced() {
        let mut headers = headers();
        let mut via = headers.via().unwrap();
        via.note_source("192.0.2.9:7".parse().unwrap());
        headers.set_top_via(&via);
        assert_eq!(
            headers.get("Via"),
            Some("SIP/2.0/UDP a;branch=1;received=192.0.2.9;rport=7, SIP/2.0/UDP b;branch=2")
        );
    }
}
