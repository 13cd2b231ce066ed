//! What the journal keeps of a call: enough to end it in another life.
//!
//! JSON, so that people can read it and later versions can add to it: fields that are not known are passed
//! over, and those that this version needs are the ones that the first one wrote.

use serde::{Deserialize, Serialize};
use wa_signaling::{PhoneNumberId, Wacid};

use crate::call::action::End;
use crate::id::CallId;
use crate::mark::Mark;
use crate::record::Direction;

/// The version of what is written.
const VERSION: u32 = 1;

/// A WhatsApp call that may be open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its mark, by which its webhooks find it.
    pub(crate) mark: Mark,
    pub(crate) direction: Direction,
    /// The business number whose token ends it.
    pub(crate) number: PhoneNumberId,
    /// WhatsApp's id; not known between `connect` and its reply.
    pub(crate) wacid: Option<Wacid>,
    /// How it is ended.
    pub(crate) end: End,
    /// When it began: milliseconds since 1970 by the wall clock.
    pub(crate) began_ms: u64,
    pub(crate) trunk: String,
    /// The WhatsApp user, for the record.
    pub(crate) user: Option<String>,
}

/// An entry that can't be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("not the JSON of a call: {0}")]
    Json(#[from] serde_json::Error),
    #[error("its {0} makes no sense")]
    Field(&'static str),
}

/// As it is written.
#[derive(Serialize, Deserialize)]
struct Written {
    v: u32,
    call: String,
    instance: String,
    direction: String,
    number: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wacid: Option<String>,
    end: String,
    began_ms: u64,
    #[serde(default)]
    trunk: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sip_call_id: Option<String>,
}

impl Entry {
    /// The bytes of the journal.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let written = Written {
            v: VERSION,
            call: self.mark.call.to_string(),
            instance: self.mark.instance.as_str().to_owned(),
            direction: self.direction.label().to_owned(),
            number: self.number.to_string(),
            wacid: self.wacid.as_ref().map(ToString::to_string),
            end: word(self.end).to_owned(),
            began_ms: self.began_ms,
            trunk: self.trunk.clone(),
            user: self.user.clone(),
            sip_call_id: self.mark.sip_call_id.clone(),
        };
        // Texts and a number: this cannot fail.
        serde_json::to_vec(&written).unwrap_or_default()
    }

    /// Reads what this version or another one wrote.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Unreadable> {
        let written: Written = serde_json::from_slice(bytes)?;
        let direction = [Direction::SipToWa, Direction::WaToSip];
        let direction = direction.into_iter().find(|one| one.label() == written.direction);
        let end = [End::Reject, End::Terminate].into_iter().find(|one| word(*one) == written.end);
        let mark = Mark {
            call: CallId::parse(&written.call).ok_or(Unreadable::Field("call"))?,
            instance: written.instance.parse().map_err(|_| Unreadable::Field("instance"))?,
            sip_call_id: written.sip_call_id,
        };
        let wacid = written.wacid.map(|wacid| wacid.parse()).transpose();
        Ok(Self {
            mark,
            direction: direction.ok_or(Unreadable::Field("direction"))?,
            number: written.number.parse().map_err(|_| Unreadable::Field("number"))?,
            wacid: wacid.map_err(|_| Unreadable::Field("wacid"))?,
            // `terminate` ends every call.
            end: end.unwrap_or(End::Terminate),
            began_ms: written.began_ms,
            trunk: written.trunk,
            user: written.user,
        })
    }
}

fn word(end: End) -> &'static str {
    match end {
        End::Reject => "reject",
        End::Terminate => "terminate",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::mark::Instance;

    pub(in crate::journal) fn entry(number: u8) -> Entry {
        Entry {
            mark: Mark {
                call: CallId::from_bytes([number; 16]),
                instance: Instance::from_bytes([1; 4]),
                sip_call_id: Some("a84b4c76e66710@pc33".to_owned()),
            },
            direction: Direction::SipToWa,
            number: "106540352242922".parse().expect("an id"),
            wacid: Some(format!("wacid.{number}").parse().expect("an id")),
            end: End::Terminate,
            began_ms: 1_700_000_000_000,
            trunk: "office".to_owned(),
            user: Some("15550000101".to_owned()),
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let bare = Entry { wacid: None, user: None, end: End::Reject, ..entry(2) };
        for entry in [entry(1), bare] {
            assert_eq!(Entry::parse(&entry.to_bytes()).expect("an entry"), entry);
        }
    }

    #[test]
    fn what_a_later_version_adds_is_passed_over() {
        let mut json: serde_json::Value = serde_json::from_slice(&entry(1).to_bytes()).expect("JSON");
        json["v"] = 9.into();
        json["recording"] = serde_json::json!({ "on": true });
        json["end"] = "vanish".into();
        assert_eq!(Entry::parse(json.to_string().as_bytes()).expect("an entry"), entry(1));
    }

    #[test]
    fn what_is_no_entry_is_an_error() {
        let good = String::from_utf8(entry(1).to_bytes()).expect("text");
        for text in ["", "{}", "null", &good.replace("wab-", "abc-"), &good.replace("sip_to_wa", "up")] {
            assert!(Entry::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
