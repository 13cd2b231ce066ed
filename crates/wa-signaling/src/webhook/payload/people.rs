//! Who is meant: users of a `value`, completed from its contacts.
//!
//! A user with a username may have no number: then `from`, `to`, `wa_id` and `recipient_id` are left
//! out, and the user ids stand for them.

use serde_json::Value;

use super::{digits, owned};
use crate::identity::Caller;
use crate::json;

/// The people of one `value`.
pub(super) struct People<'a> {
    value: &'a Value,
    /// One call or message only: the only contact is its user.
    is_single: bool,
}

impl<'a> People<'a> {
    pub(super) fn new(value: &'a Value, is_single: bool) -> Self {
        Self { value, is_single }
    }

    /// The user whose number is in `phone_key` and whose ids are in `{side}_user_id` and
    /// `{side}_parent_user_id`.
    pub(super) fn user(&self, item: &Value, phone_key: &str, side: &str) -> Caller {
        let mut user = Caller {
            phone: json::text(item, phone_key).and_then(digits),
            bsuid: owned(item, &format!("{side}_user_id")),
            parent_bsuid: owned(item, &format!("{side}_parent_user_id")),
            ..Caller::default()
        };
        if let Some(contact) = self.contact(&user) {
            let profile = contact.get("profile").unwrap_or(&Value::Null);
            user.name = owned(profile, "name");
            user.username = owned(profile, "username");
            user.phone = user.phone.or_else(|| json::text(contact, "wa_id").and_then(digits));
            user.bsuid = user.bsuid.or_else(|| owned(contact, "user_id"));
            user.parent_bsuid = user.parent_bsuid.or_else(|| owned(contact, "parent_user_id"));
        }
        user
    }

    /// The contact of this user: the one with the same id, or the only one of
    /// the only call (a `wa_id` may be written differently from the number).
    fn contact(&self, user: &Caller) -> Option<&'a Value> {
        let contacts = json::list(self.value, "contacts");
        let same = |contact: &&Value| {
            let by_number = json::text(contact, "wa_id").and_then(digits);
            let by_id = json::text(contact, "user_id");
            (by_number.is_some() && by_number == user.phone)
                || (by_id.is_some() && by_id == user.bsuid.as_deref())
        };
        let only = || contacts.first().filter(|_| self.is_single && contacts.len() == 1);
        contacts.iter().find(same).or_else(only)
    }

    /// The number of the business, as received.
    pub(super) fn display_number(&self) -> Option<&'a str> {
        json::text(self.value.get("metadata")?, "display_phone_number")
    }
}
