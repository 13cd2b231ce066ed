//! What becomes of a WhatsApp call that webhooks tell of and that does not live here. Pure.
//!
//! The mark in its echo says whose it is. One that is ours and does not live is left from a crash, or
//! from a `connect` whose reply said that there was no call: it is ended, or it would ring on and be
//! paid for. One that somebody else made with the same business number (a CRM, another instance) is
//! theirs, unless the setting says that nobody else has any business there. One without an echo may be
//! ours all the same, as long as the reply to a `connect` is missing: it waits.

use wa_signaling::identity::{Callee, Caller};
use wa_signaling::webhook::event::CallStatus;
use wa_signaling::{PhoneNumberId, Wacid, WebhookEvent};

use crate::call::cause::Cause;
use crate::mark::{Instance, Mark};

/// What is done with calls that somebody else made with one of our numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownCalls {
    /// Nothing.
    #[default]
    Leave,
    /// They are ended.
    End,
}

/// Whose a call is, by its echo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Echo {
    /// There is none.
    Absent,
    /// It is a mark as bridges give them.
    Mark(Mark),
    /// It is somebody else's.
    Foreign,
}

/// What a webhook says of a call, as far as finding it needs.
#[derive(Debug)]
pub(crate) struct News<'a> {
    pub(crate) number: &'a PhoneNumberId,
    pub(crate) wacid: &'a Wacid,
    pub(crate) echo: Echo,
    /// The call is over by this.
    pub(crate) is_over: bool,
    user: Option<&'a Caller>,
    to: Option<&'a str>,
}

impl<'a> News<'a> {
    /// Nothing, when the webhook is about no call.
    pub(crate) fn of(event: &'a WebhookEvent) -> Option<Self> {
        let (number, wacid, echo, is_over, user, to) = match event {
            WebhookEvent::Connect(connect) => {
                let (user, to) = (Some(&connect.caller), connect.to.as_deref());
                (&connect.number, &connect.wacid, &connect.callback_data, false, user, to)
            }
            WebhookEvent::Status(status) => {
                let is_over = status.status == CallStatus::Rejected;
                let user = Some(&status.user);
                (&status.number, &status.wacid, &status.callback_data, is_over, user, None)
            }
            WebhookEvent::Terminate(over) => {
                (&over.number, &over.wacid, &over.callback_data, true, Some(&over.user), None)
            }
            _ => return None,
        };
        let echo = match echo {
            None => Echo::Absent,
            Some(echo) => Mark::parse(echo).map_or(Echo::Foreign, Echo::Mark),
        };
        Some(Self { number, wacid, echo, is_over, user, to })
    }

    /// Whether this is of a call to that user.
    pub(crate) fn is_to(&self, callee: &Callee) -> bool {
        let same = |text: Option<&str>| text.and_then(|text| text.parse().ok()).as_ref() == Some(callee);
        let user = self.user.is_some_and(|user| {
            [&user.phone, &user.bsuid, &user.parent_bsuid].into_iter().any(|name| same(name.as_deref()))
        });
        user || same(self.to)
    }
}

/// What to do about a call that does not live here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is ended, and this is why.
    End(Cause),
    /// It is given time to be found.
    Wait,
    /// It is not ours to touch.
    Leave,
    /// It is over; its other webhooks may still come.
    Remember,
}

/// What the verdict depends on, beside the webhook.
pub(crate) struct Rules<'a> {
    pub(crate) instance: &'a Instance,
    pub(crate) unknown_calls: UnknownCalls,
    /// Whether the configuration has this number.
    pub(crate) has: &'a dyn Fn(&PhoneNumberId) -> bool,
}

impl Rules<'_> {
    /// When the webhook comes, and no call here has its mark or its id.
    pub(crate) fn first(&self, news: &News<'_>) -> Verdict {
        match &news.echo {
            _ if news.is_over => Verdict::Remember,
            _ if !(self.has)(news.number) => Verdict::Leave,
            Echo::Mark(mark) if mark.instance == *self.instance => Verdict::End(Cause::Crash),
            Echo::Mark(_) | Echo::Foreign => self.of_others(),
            Echo::Absent => Verdict::Wait,
        }
    }

    /// When it has waited, and no call turned out to be its own.
    pub(crate) fn overdue(&self, news: &News<'_>) -> Verdict {
        match self.first(news) {
            Verdict::Wait => self.of_others(),
            verdict @ (Verdict::End(_) | Verdict::Leave | Verdict::Remember) => verdict,
        }
    }

    fn of_others(&self) -> Verdict {
        match self.unknown_calls {
            UnknownCalls::Leave => Verdict::Leave,
            UnknownCalls::End => Verdict::End(Cause::UnknownCall),
        }
    }
}

#[cfg(test)]
mod tests;
