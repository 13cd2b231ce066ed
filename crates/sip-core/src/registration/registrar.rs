//! The contacts that the peers of one trunk have registered with us (RFC 3261 10.3, RFC 5626 6).

use std::time::{Duration, Instant};

use super::{expires_of, same_contact};
use crate::message::{Headers, NameAddr, Request, Scheme, Uri, text};
use crate::profile::Registrar;
use crate::transport::Flow;

/// What is granted where nothing is asked for, if the trunk allows that much.
const DEFAULT_EXPIRES: Duration = Duration::from_secs(3600);
/// The longest contact that is kept, in bytes; a longer one gets 400.
const MAX_CONTACT: usize = 1024;
/// An interval from here on is never too brief (RFC 3261 10.3 step 7).
const NEVER_BRIEF: Duration = Duration::from_secs(3600);

/// A contact that requests can be sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The user of the address-of-record; empty where it has none.
    pub user: String,
    /// The contact, for the Request-URI.
    pub contact: Uri,
    /// The path that it registered by: the one that gets through to it, whatever its contact says.
    pub flow: Flow,
    /// Its preference in thousandths, 1000 where it says nothing.
    pub q: u16,
}

/// What a REGISTER gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The status code.
    pub status: u16,
    /// The header fields that go with it.
    pub headers: Vec<(&'static str, String)>,
    /// Is [`Bindings::list`] another one now?
    pub changed: bool,
}

type Refusal = (u16, Vec<(&'static str, String)>);

/// The bindings of one trunk.
#[derive(Debug)]
pub struct Bindings {
    limits: Registrar,
    entries: Vec<Entry>,
    /// Counts the updates: what was registered last is tried first.
    updates: u64,
}

#[derive(Debug, Clone)]
struct Entry {
    binding: Binding,
    contact: NameAddr,
    expires: Instant,
    call_id: String,
    cseq: u32,
    /// The user who registered it, where the trunk asks who it is.
    owner: Option<String>,
    updated: u64,
}

/// What all contacts of one REGISTER have in common.
struct Update<'a> {
    now: Instant,
    flow: Flow,
    user: String,
    call_id: &'a str,
    cseq: u32,
    owner: Option<&'a str>,
    /// The Expires header field.
    expires: Option<u32>,
}

impl Bindings {
    /// No binding.
    pub fn new(limits: Registrar) -> Self {
        Self { limits, entries: Vec::new(), updates: 0 }
    }

    /// Other limits; what was granted stays granted.
    pub fn set_limits(&mut self, limits: Registrar) {
        self.limits = limits;
    }

    /// Takes a REGISTER that `owner`, if that is known, has sent by `flow`: all of it or nothing.
    pub fn register(&mut self, now: Instant, flow: Flow, request: &Request, owner: Option<&str>) -> Outcome {
        let before = self.list();
        self.expire(now);
        let user = user_of(request);
        let (status, headers) = match self.update(now, flow, request, owner) {
            Ok(()) => (200, self.answer(now, &user, request)),
            Err(refusal) => refusal,
        };
        Outcome { status, headers, changed: self.list() != before }
    }

    /// Forgets what has expired. Is [`Bindings::list`] another one now?
    pub fn expire(&mut self, now: Instant) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.expires > now);
        self.entries.len() != before
    }

    /// When the next binding expires.
    pub fn deadline(&self) -> Option<Instant> {
        self.entries.iter().map(|entry| entry.expires).min()
    }

    /// The bindings in the order in which they are to be tried: by preference, the latest first.
    pub fn list(&self) -> Vec<Binding> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|entry| std::cmp::Reverse((entry.binding.q, entry.updated)));
        entries.into_iter().map(|entry| entry.binding.clone()).collect()
    }

    fn update(
        &mut self,
        now: Instant,
        flow: Flow,
        request: &Request,
        owner: Option<&str>,
    ) -> Result<(), Refusal> {
        let headers = &request.headers;
        let (call_id, cseq) = headers.call_id().zip(headers.cseq()).ok_or_else(|| refused(400))?;
        let expires = headers.get("Expires").and_then(text::number);
        let update = Update { now, flow, user: user_of(request), call_id, cseq: cseq.number, owner, expires };
        if self.entries.iter().any(|entry| entry.is_of(&update) && entry.owner.as_deref() != owner) {
            return Err(refused(403));
        }
        let contacts: Vec<_> = headers.list("Contact").collect();
        if contacts.contains(&"*") {
            return self.remove_all(&update, contacts.len());
        }
        let mut entries = self.entries.clone();
        for contact in contacts {
            self.updates += 1;
            bind(&mut entries, &self.limits, &update, contact, self.updates)?;
        }
        self.entries = entries;
        Ok(())
    }

    /// `Contact: *` (RFC 3261 10.2.2).
    fn remove_all(&mut self, update: &Update<'_>, contacts: usize) -> Result<(), Refusal> {
        if contacts != 1 || update.expires != Some(0) {
            return Err(refused(400));
        }
        let mut of_user = self.entries.iter().filter(|entry| entry.is_of(update));
        if of_user.any(|entry| entry.is_later_than(update)) {
            return Err(refused(500));
        }
        self.entries.retain(|entry| !entry.is_of(update));
        Ok(())
    }

    /// All contacts of the user, each with what is left to it.
    fn answer(&self, now: Instant, user: &str, request: &Request) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        let of_user = self.entries.iter().filter(|entry| entry.binding.user == user);
        for entry in of_user {
            let left = entry.expires.saturating_duration_since(now);
            let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
            let mut contact = entry.contact.clone();
            contact.params.set("expires", Some(&seconds.to_string()));
            headers.push(("Contact", contact.to_string()));
        }
        if keeps_flow(&request.headers) {
            headers.push(("Require", "outbound".to_owned()));
        }
        headers
    }
}

/// Adds, refreshes or removes one contact.
fn bind(
    entries: &mut Vec<Entry>,
    limits: &Registrar,
    update: &Update<'_>,
    contact: &str,
    updated: u64,
) -> Result<(), Refusal> {
    let contact: NameAddr = contact.parse().map_err(|_| refused(400))?;
    if !matches!(contact.uri.scheme, Scheme::Sip | Scheme::Sips) || contact.to_string().len() > MAX_CONTACT {
        return Err(refused(400));
    }
    let granted = grant(limits, expires_of(&contact).or(update.expires))?;
    let known = entries.iter().position(|entry| entry.is_of(update) && entry.is_same(&contact));
    if let Some(known) = known {
        let old = entries.swap_remove(known);
        if old.is_later_than(update) {
            return Err(refused(500));
        }
    }
    let Some(granted) = granted else {
        return Ok(());
    };
    if entries.len() >= limits.max_contacts {
        return Err(refused(403));
    }
    let q = contact.params.get("q").and_then(thousandths).unwrap_or(1000);
    let binding = Binding { user: update.user.clone(), contact: contact.uri.clone(), flow: update.flow, q };
    entries.push(Entry {
        binding,
        contact,
        expires: update.now + granted,
        call_id: update.call_id.to_owned(),
        cseq: update.cseq,
        owner: update.owner.map(str::to_owned),
        updated,
    });
    Ok(())
}

/// For how long: `None` removes the binding. What is no number counts as nothing said (RFC 3261 20.19).
fn grant(limits: &Registrar, asked: Option<u32>) -> Result<Option<Duration>, Refusal> {
    let Some(asked) = asked.map(|seconds| Duration::from_secs(seconds.into())) else {
        return Ok(Some(
            DEFAULT_EXPIRES.clamp(limits.min_expires.min(limits.max_expires), limits.max_expires),
        ));
    };
    if asked.is_zero() {
        return Ok(None);
    }
    if asked < limits.min_expires.min(NEVER_BRIEF) {
        return Err((423, vec![("Min-Expires", limits.min_expires.as_secs().to_string())]));
    }
    Ok(Some(asked.min(limits.max_expires)))
}

fn refused(status: u16) -> Refusal {
    (status, Vec::new())
}

fn user_of(request: &Request) -> String {
    request.headers.to().and_then(|to| to.uri.user_unescaped()).unwrap_or_default()
}

/// Does the client keep its flow open for us to use (RFC 5626 6)? It is told that we will use it.
fn keeps_flow(headers: &Headers) -> bool {
    let supported = headers.list("Supported").any(|option| option.eq_ignore_ascii_case("outbound"));
    let named = |contact: NameAddr| contact.params.has("+sip.instance") && contact.params.has("reg-id");
    supported && headers.list("Contact").filter_map(|contact| contact.parse().ok()).any(named)
}

/// `q` in thousandths: 0, 1, or a fraction of up to three digits.
fn thousandths(q: &str) -> Option<u16> {
    let (whole, fraction) = q.split_once('.').unwrap_or((q, ""));
    let digits = format!("{fraction:0<3}");
    let value = text::number::<u16>(whole)?.checked_mul(1000)?.checked_add(text::number(&digits)?)?;
    (fraction.len() <= 3 && value <= 1000).then_some(value)
}

impl Entry {
    fn is_of(&self, update: &Update<'_>) -> bool {
        self.binding.user == update.user
    }

    /// The same client again, wherever it is now, or the same place (RFC 5626 6).
    fn is_same(&self, contact: &NameAddr) -> bool {
        match (instance(&self.contact), instance(contact)) {
            (Some(known), Some(new)) => known == new,
            _ => same_contact(&self.contact.uri, &contact.uri),
        }
    }

    /// Requests of one registration must not go back (RFC 3261 10.3 step 7).
    fn is_later_than(&self, update: &Update<'_>) -> bool {
        self.call_id == update.call_id && self.cseq >= update.cseq
    }
}

/// Which client a contact is of, and which of its flows.
fn instance(contact: &NameAddr) -> Option<(&str, Option<&str>)> {
    Some((contact.params.get("+sip.instance")?, contact.params.get("reg-id")))
}

#[cfg(test)]
mod tests;
