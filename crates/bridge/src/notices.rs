//! Webhooks that belong to no call: what they change, and whom they alarm.

mod watch;

use tracing::{info, warn};
use wa_signaling::webhook::event::{
    AccountUpdate, NumberErrors, PermissionReply, SettingsUpdate, Voicemail, WebhookError,
};
use wa_signaling::{PhoneNumberId, WebhookEvent};

use crate::alarm::Alarm;
use crate::shared::Shared;
use watch::{Finding, Watch};

/// The business can't pay (131042, 131044): calls of users are not delivered.
const UNPAID: [u32; 2] = [131_042, 131_044];

/// Reads them, and remembers what still holds.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    watch: Watch,
}

impl Notices {
    /// Takes back the alarms that end by themselves.
    pub(crate) fn expire(&mut self, shared: &Shared) {
        let now = shared.wall().as_secs();
        while let Some(subject) = self.watch.expired(now) {
            shared.alarms.clear(Alarm::Restricted, &subject);
        }
    }

    /// A user's call came for this number, so calls are delivered.
    pub(crate) fn delivered(&mut self, shared: &Shared, number: &PhoneNumberId) {
        if self.watch.delivered(number) {
            shared.alarms.clear(Alarm::NumberRefused, number.as_str());
        }
    }

    /// Takes an event that belongs to no call; gives back one that does.
    pub(crate) fn take(&mut self, shared: &Shared, event: WebhookEvent) -> Option<WebhookEvent> {
        match event {
            WebhookEvent::Recording(media) => {
                shared.metrics.webhook("recording");
                info!(wacid = %media.wacid, number = %media.number, "a recording of the call can be fetched");
            }
            WebhookEvent::Transcription(media) => {
                shared.metrics.webhook("transcription");
                info!(wacid = %media.wacid, number = %media.number, "a transcription of the call can be fetched");
            }
            WebhookEvent::Voicemail(voicemail) => voicemail_left(shared, &voicemail),
            WebhookEvent::PermissionReply(reply) => shared.permission_reply(&reply),
            WebhookEvent::SettingsUpdate(update) => self.settings(shared, &update),
            WebhookEvent::AccountUpdate(update) => self.account(shared, &update),
            WebhookEvent::NumberErrors(errors) => self.errors(shared, &errors),
            other => return Some(other),
        }
        None
    }

    fn settings(&mut self, shared: &Shared, update: &SettingsUpdate) {
        shared.metrics.webhook("settings_update");
        let number = update.number.as_str();
        info!(number, calling = ?update.calling, "calling settings of a number have changed");
        if !is_ours(shared, &update.number) {
            return;
        }
        match self.watch.settings(&update.number, &update.calling) {
            Finding::Nothing => {}
            Finding::Mended => shared.alarms.clear(Alarm::Settings, number),
            Finding::Wrong(text) => shared.alarms.raise(Alarm::Settings, number, text),
        }
    }

    fn account(&mut self, shared: &Shared, update: &AccountUpdate) {
        shared.metrics.webhook("account_update");
        let config = shared.config();
        let is_meant = |display: &str| update.phone_number.as_deref() == Some(display);
        let number = config.numbers.iter().find(|number| is_meant(&number.display));
        let waba = update.waba.as_deref().unwrap_or_default();
        // A number that is not of the configuration is not shown: its account stands for it.
        let subject = number.map_or(waba, |number| number.phone_number_id.as_str());
        info!(subject, event = update.event, "WhatsApp has something to say of the account");
        if let Some(text) = self.watch.restricted(shared.wall().as_secs(), subject, update) {
            shared.alarms.raise(Alarm::Restricted, subject, text);
        }
    }

    fn errors(&mut self, shared: &Shared, errors: &NumberErrors) {
        shared.metrics.webhook("errors");
        let number = errors.number.as_str();
        for WebhookError { code, title, details } in &errors.errors {
            warn!(number, code, title, details, "WhatsApp tells of an error without a call");
        }
        let unpaid = errors.errors.iter().find(|error| UNPAID.contains(&error.code));
        if let Some(error) = unpaid.filter(|_| is_ours(shared, &errors.number)) {
            self.watch.undeliverable(&errors.number);
            let text = format!(
                "WhatsApp delivers no calls ({}): add a payment method to the WhatsApp Business account",
                error.code
            );
            shared.alarms.raise(Alarm::NumberRefused, number, text);
        }
    }
}

impl Shared {
    /// A user may be called, or no longer.
    pub(crate) fn permission_reply(&self, reply: &PermissionReply) {
        self.metrics.webhook("permission_reply");
        info!(
            number = %reply.number,
            user = self.masked(&reply.user.user().unwrap_or_default()),
            accepted = reply.accepted,
            permanent = reply.is_permanent,
            automatic = reply.is_automatic,
            expires = reply.expires,
            "a user's permission to be called"
        );
        if !is_ours(self, &reply.number) {
            return;
        }
        self.permissions.decided(self.wall().as_secs(), reply);
        let is_revoked = reply.is_automatic && !reply.accepted;
        if is_revoked {
            warn!(
                number = %reply.number,
                user = self.masked(&reply.user.user().unwrap_or_default()),
                "WhatsApp has taken back the permission to call: too many calls were not answered"
            );
        }
        self.metrics.permission(match reply.accepted {
            true => "granted",
            false if is_revoked => "revoked",
            false => "denied",
        });
    }
}

fn voicemail_left(shared: &Shared, voicemail: &Voicemail) {
    shared.metrics.webhook("voicemail");
    let user = shared.masked(&voicemail.user.user().unwrap_or_default());
    info!(wacid = %voicemail.wacid, number = %voicemail.number, user, "a user has left a voicemail");
}

fn is_ours(shared: &Shared, number: &PhoneNumberId) -> bool {
    shared.config().number(number).is_some()
}
