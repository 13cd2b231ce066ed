//! The record of a call: one line in the log when it is over, and one in a file by setting.
//!
//! `schema` names the fields, `assembly` fills them, `format` writes them down, `queue` holds what is
//! not written yet. All that is pure; `writer` brings it into the file, `folder` is the file system.

pub(crate) mod assembly;
mod folder;
mod format;
mod held;
mod log;
mod queue;
mod schema;
mod times;
pub(crate) mod writer;

use media_relay::Summary;
use tracing::info;

pub(crate) use assembly::{Facts, Tally, WhatsAppEnd};
pub use schema::Record;
pub(crate) use writer::Records;

use crate::call::action::Outcome;

/// Who began the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The PBX: business-initiated.
    SipToWa,
    /// The WhatsApp user: user-initiated.
    WaToSip,
}

impl Direction {
    /// The word in records and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::SipToWa => "sip_to_wa",
            Self::WaToSip => "wa_to_sip",
        }
    }
}

/// Writes an ended call into the log. The span it is called in names the call.
pub(crate) fn tell(direction: Direction, outcome: &Outcome, media: Option<&Summary>) {
    let row = outcome.cause.row();
    let millis =
        |at: Option<std::time::Instant>| at.map(|at| at.saturating_duration_since(outcome.began).as_millis());
    let talked = outcome.answered.map(|at| outcome.ended.saturating_duration_since(at).as_secs_f64());
    info!(
        direction = direction.label(),
        cause = row.label,
        blame = ?row.blame,
        rang_after_ms = millis(outcome.rang),
        answered_after_ms = millis(outcome.answered),
        talked_s = talked,
        lasted_ms = millis(Some(outcome.ended)),
        whatsapp_ended = outcome.whatsapp_ended,
        media = media.map(tracing::field::display),
        "call ended: {}",
        row.phrase
    );
}
