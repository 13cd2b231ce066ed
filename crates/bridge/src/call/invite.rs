//! The INVITE that brings a WhatsApp user to the PBX, or to whom the PBX transfers its call. Pure.
//!
//! The names that begin with `x-wa-meta-` are those of WhatsApp's own SIP mode, so that dialplans
//! written for it work here. What a user wrote about itself is text like any other: it stays in its
//! place and in its line. An INVITE is to fit in one datagram that no path cuts (RFC 3261 18.1.1), so
//! what is optional is left out where it gets too long, the longest first.

use std::net::SocketAddr;
use std::time::Duration;

use sip_core::message::{NameAddr, Uri};
use sip_core::{Body, Flow, OutgoingInvite};
use wa_signaling::webhook::event::Connect;
use wa_signaling::{Callee, identity::Caller};

use super::headers::{Field, field, sdp_body};
use super::manners::{InviteHeaders, MetaHeaders};
use super::refer::Refer;

/// Max-Forwards of a new INVITE (RFC 3261 8.1.1.6).
const MAX_FORWARDS: u8 = 70;
/// The size beyond which UDP is no longer safe (RFC 3261 18.1.1).
const LARGEST: usize = 1300;
/// What `sip-core` adds to what is written here, when nothing of it is unusually long: Via, tag, CSeq,
/// Contact, Allow, User-Agent, Supported, session timer.
const ADDED: usize = 400;
/// Longest value that a WhatsApp user or business wrote.
const LONGEST_VALUE: usize = 256;
/// Longest display name, in characters.
const LONGEST_NAME: usize = 64;

/// The WhatsApp user and call that an INVITE is about.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    pub(crate) user: Caller,
    pub(crate) wacid: Option<String>,
    pub(crate) phone_number_id: String,
    cta_payload: Option<String>,
    deeplink_payload: Option<String>,
}

impl About {
    /// A user who called.
    pub(crate) fn caller(connect: &Connect) -> Self {
        Self {
            user: connect.caller.clone(),
            wacid: Some(connect.wacid.as_str().to_owned()),
            phone_number_id: connect.number.as_str().to_owned(),
            cta_payload: connect.cta_payload.clone(),
            deeplink_payload: connect.deeplink_payload.clone(),
        }
    }

    /// A user who was called.
    pub(crate) fn callee(callee: &Callee, wacid: Option<&str>, phone_number_id: &str) -> Self {
        let user = match callee.clone() {
            Callee::Phone(phone) => Caller { phone: Some(phone), ..Caller::default() },
            Callee::Bsuid(bsuid) => Caller { bsuid: Some(bsuid), ..Caller::default() },
        };
        let wacid = wacid.map(str::to_owned);
        Self { user, wacid, phone_number_id: phone_number_id.to_owned(), ..Self::default() }
    }

    /// WhatsApp's own header fields; those that its documents spell in two ways, in both.
    fn meta(&self, which: MetaHeaders) -> Vec<Field> {
        let Caller { bsuid, parent_bsuid, username, .. } = &self.user;
        let (parent, username) = (parent_bsuid.as_deref(), username.as_deref());
        let all = [
            ("x-wa-meta-wacid", self.wacid.as_deref(), false),
            ("x-wa-meta-phone-number-id", Some(self.phone_number_id.as_str()), false),
            ("x-wa-meta-user-id", bsuid.as_deref(), false),
            ("x-wa-meta-parent-user-id", parent, false),
            ("x-wa_meta-parent-user-id", parent, true),
            ("x-wa-meta-username", username, false),
            ("x-wa-meta-user-name", username, true),
            ("x-wa-meta-cta-payload", self.cta_payload.as_deref(), false),
            ("x-wa-meta-deeplink-payload", self.deeplink_payload.as_deref(), false),
        ];
        let wanted = |is_other: bool| match which {
            MetaHeaders::Off => false,
            MetaHeaders::One => !is_other,
            MetaHeaders::Both => true,
        };
        let all = all.into_iter().filter(|(.., is_other)| wanted(*is_other));
        all.filter_map(|(name, value, _)| Some(field(name, header_value(value?)?))).collect()
    }

    /// The user part of From: the number, else the id.
    fn user_part(&self, plus: bool) -> String {
        match (&self.user.phone, self.user.user()) {
            (Some(phone), _) => number(phone, plus),
            (None, Some(id)) => escape_user(id),
            (None, None) => "anonymous".to_owned(),
        }
    }
}

/// Where an INVITE goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct To<'a> {
    pub(crate) flow: Flow,
    /// The user part, escaped.
    pub(crate) user: &'a str,
    /// Our address towards the PBX.
    pub(crate) local: SocketAddr,
    pub(crate) call_id: &'a str,
    /// How long there may be no response at all.
    pub(crate) silence: Duration,
}

/// The INVITE; `offer` is none where the PBX is to make it, `refer` asked for it.
pub(crate) fn invite(
    to: To<'_>,
    about: &About,
    manners: &InviteHeaders,
    offer: Option<&str>,
    refer: Option<&Refer>,
) -> OutgoingInvite {
    let destination = Uri::sip(Some(to.user), to.flow.peer);
    let mut from = NameAddr::new(Uri::sip(Some(&about.user_part(manners.plus)), to.local));
    from.display = about.user.name.as_deref().and_then(display_name);
    let body = offer.map(sdp_body);
    let mut needed: Vec<Field> = Vec::new();
    needed.extend(refer.and_then(|refer| Some(field("Replaces", refer.replaces.clone()?))));
    needed.extend(identity(about, manners, to.local));
    let mut optional: Vec<Field> = Vec::new();
    optional.extend(refer.and_then(|refer| Some(field("Referred-By", refer.referred_by.clone()?))));
    optional.extend(refer.map(|refer| refer.passed.clone()).unwrap_or_default());
    optional.extend(about.meta(manners.meta));
    optional.extend(manners.add.clone());
    let written = to.user.len() * 2 + from.to_string().len() + to.call_id.len();
    let written = written + needed.iter().map(line).sum::<usize>() + body.as_ref().map_or(0, body_size);
    fit(&mut optional, LARGEST.saturating_sub(ADDED + written));
    needed.append(&mut optional);
    OutgoingInvite {
        flow: to.flow,
        answer_within: Some(to.silence),
        request_uri: destination.clone(),
        from,
        to: NameAddr::new(destination),
        call_id: to.call_id.to_owned(),
        max_forwards: refer.map_or(MAX_FORWARDS, |refer| refer.max_forwards),
        headers: needed,
        body,
    }
}

/// The number that WhatsApp vouches for (RFC 3325 9.1).
fn identity(about: &About, manners: &InviteHeaders, local: SocketAddr) -> Option<Field> {
    let phone = about.user.phone.as_ref().filter(|_| manners.identity)?;
    let uri = Uri::sip(Some(&number(phone, manners.plus)), local);
    Some(field("P-Asserted-Identity", NameAddr::new(uri).to_string()))
}

/// Leaves out the longest until the rest has room.
fn fit(optional: &mut Vec<Field>, room: usize) {
    while optional.iter().map(line).sum::<usize>() > room {
        let longest = optional.iter().enumerate().max_by_key(|(_, field)| line(field)).map(|(at, _)| at);
        let Some(longest) = longest else { return };
        let (name, _) = optional.remove(longest);
        tracing::debug!(name, "left out: the INVITE would be too long");
    }
}

/// The bytes of a header line.
fn line((name, value): &Field) -> usize {
    name.len() + value.len() + ": \r\n".len()
}

fn body_size(body: &Body) -> usize {
    body.bytes.len() + body.content_type.len() + "Content-Type: \r\n".len()
}

/// A phone number as it stands in a URI.
pub(crate) fn number(digits: &str, plus: bool) -> String {
    let digits = digits.trim_start_matches('+');
    if plus { format!("+{digits}") } else { digits.to_owned() }
}

/// A user part whose characters mean nothing but themselves (RFC 3261 25.1, `user-unreserved`).
fn escape_user(text: &str) -> String {
    let is_plain = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')' | b'+')
    };
    text.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// A value that a WhatsApp user or business wrote, as far as it fits in one header line.
fn header_value(text: &str) -> Option<String> {
    let line: String = text.chars().filter(|c| !c.is_control()).collect();
    let line = line.trim();
    (!line.is_empty() && line.len() <= LONGEST_VALUE).then(|| line.to_owned())
}

/// A user's own name, without what could break the header it stands in.
fn display_name(name: &str) -> Option<String> {
    let clean: String = name
        .chars()
        .filter(|c| !c.is_control() && !matches!(c, '"' | '\\' | '<' | '>'))
        .take(LONGEST_NAME)
        .collect();
    let clean = clean.trim();
    (!clean.is_empty()).then(|| clean.to_owned())
}

#[cfg(test)]
mod tests;
