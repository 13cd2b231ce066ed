//! The fields of a record, in their order: docs/records.md tells the reader of each. Pure.

use serde::Serialize;

/// The version of the schema. A field that is added at the end does not change it.
pub(super) const VERSION: u64 = 1;

/// One cell of a line of CSV.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    /// There is no value.
    Empty,
    /// A number or a word of ours: nothing in it means anything to a reader of CSV.
    Plain(String),
    /// Text that somebody else may have written.
    Text(String),
}

/// What can be the value of a field.
pub(super) trait Value {
    fn cell(&self) -> Cell;
}

impl Value for u64 {
    fn cell(&self) -> Cell {
        Cell::Plain(self.to_string())
    }
}

impl Value for bool {
    fn cell(&self) -> Cell {
        Cell::Plain(self.to_string())
    }
}

impl Value for &'static str {
    fn cell(&self) -> Cell {
        Cell::Plain((*self).to_owned())
    }
}

impl Value for String {
    fn cell(&self) -> Cell {
        Cell::Text(self.clone())
    }
}

impl<T: Value> Value for Option<T> {
    fn cell(&self) -> Cell {
        self.as_ref().map_or(Cell::Empty, Value::cell)
    }
}

/// Declares the record: each field with its type, in the order in which it is written.
macro_rules! schema {
    ($($(#[$doc:meta])* $field:ident: $type:ty,)*) => {
        /// The record of a call.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
        pub struct Record {
            $($(#[$doc])* pub $field: $type,)*
        }

        impl Record {
            /// The names of the fields.
            pub const FIELDS: &'static [&'static str] = &[$(stringify!($field)),*];

            pub(super) fn cells(&self) -> Vec<Cell> {
                vec![$(self.$field.cell()),*]
            }
        }
    };
}

schema! {
    /// The version of the schema.
    version: u64,
    /// Our id of the call.
    call: String,
    /// The instance that led it.
    instance: String,
    /// WhatsApp's id of the call.
    wacid: Option<String>,
    /// The Call-ID of its first INVITE.
    sip_call_id: Option<String>,
    /// The name of the trunk.
    trunk: Option<String>,
    /// Who began it.
    direction: &'static str,
    /// Graph's id of the business number.
    phone_number_id: Option<String>,
    /// The business number.
    display: Option<String>,
    /// The WhatsApp user's number.
    user_phone: Option<String>,
    /// The user's business-scoped id.
    user_bsuid: Option<String>,
    /// The user's id in the linked portfolio.
    user_parent_bsuid: Option<String>,
    /// The name the user gave.
    user_name: Option<String>,
    /// What was dialled, before it was rewritten.
    dialled: Option<String>,
    /// Who dialled at the PBX.
    caller: Option<String>,
    /// When it began.
    began_at: String,
    /// When the far end rang.
    rang_at: Option<String>,
    /// When it was answered.
    answered_at: Option<String>,
    /// When it ended for its users.
    ended_at: String,
    /// From its begin until it rang.
    setup_ms: u64,
    /// From the ringing to the answer.
    ringing_ms: Option<u64>,
    /// From the answer to the end.
    talk_ms: Option<u64>,
    /// Who ended it.
    ended_by: &'static str,
    /// Why it ended.
    cause: &'static str,
    /// Whose fault that is.
    blame: &'static str,
    /// The final status of the INVITE.
    sip_status: Option<u64>,
    /// The Q.850 cause.
    q850: u64,
    /// WhatsApp's error code.
    whatsapp_error: Option<u64>,
    /// When it was picked up, as WhatsApp says.
    whatsapp_start: Option<String>,
    /// When it ended, as WhatsApp says.
    whatsapp_end: Option<String>,
    /// How long it lasted, as WhatsApp says.
    whatsapp_duration_s: Option<u64>,
    /// Whether WhatsApp's call is known to be over.
    whatsapp_ended: bool,
    /// INVITEs sent to targets of the trunk.
    targets: u64,
    /// How often another phone of the PBX took the call over.
    transfers: u64,
    /// From the start of ICE until DTLS was up.
    media_setup_ms: Option<u64>,
    /// RTP packets from the PBX.
    pbx_received: Option<u64>,
    /// RTP packets to the PBX.
    pbx_sent: Option<u64>,
    /// Packets missing from the PBX.
    pbx_lost: Option<u64>,
    /// Packets from the PBX that came too late.
    pbx_late: Option<u64>,
    /// RTP packets from WhatsApp.
    whatsapp_received: Option<u64>,
    /// RTP packets to WhatsApp.
    whatsapp_sent: Option<u64>,
    /// Packets missing from WhatsApp.
    whatsapp_lost: Option<u64>,
    /// Packets from WhatsApp that came too late.
    whatsapp_late: Option<u64>,
    /// Datagrams that were refused before they reached the audio.
    media_refused: Option<u64>,
    /// Packets from the PBX that came after a newer one.
    pbx_reordered: Option<u64>,
    /// Packets from the PBX that came twice.
    pbx_duplicated: Option<u64>,
    /// Frames made up in place of the PBX's.
    pbx_concealed: Option<u64>,
    /// Mean jitter of what came from the PBX.
    pbx_jitter_ms: Option<u64>,
    /// The highest jitter.
    pbx_jitter_max_ms: Option<u64>,
    /// Mean round trip to the PBX.
    pbx_round_trip_ms: Option<u64>,
    /// The longest round trip.
    pbx_round_trip_max_ms: Option<u64>,
    /// Mean delay of the jitter buffer of the PBX's packets.
    pbx_buffer_ms: Option<u64>,
    /// Mean opinion score of what came from the PBX, times 100.
    pbx_mos_x100: Option<u64>,
    /// The lowest opinion score.
    pbx_mos_min_x100: Option<u64>,
    /// Packets of ours that the PBX says it lost.
    pbx_reported_lost: Option<u64>,
    /// Mean jitter of ours, as the PBX says.
    pbx_reported_jitter_ms: Option<u64>,
    /// Mean opinion score of ours at the PBX, times 100.
    pbx_reported_mos_x100: Option<u64>,
    /// The lowest opinion score of ours.
    pbx_reported_mos_min_x100: Option<u64>,
    /// Packets from WhatsApp that came after a newer one.
    whatsapp_reordered: Option<u64>,
    /// Packets from WhatsApp that came twice.
    whatsapp_duplicated: Option<u64>,
    /// Frames made up in place of WhatsApp's.
    whatsapp_concealed: Option<u64>,
    /// Mean jitter of what came from WhatsApp.
    whatsapp_jitter_ms: Option<u64>,
    /// The highest jitter.
    whatsapp_jitter_max_ms: Option<u64>,
    /// Mean round trip to WhatsApp.
    whatsapp_round_trip_ms: Option<u64>,
    /// The longest round trip.
    whatsapp_round_trip_max_ms: Option<u64>,
    /// Mean delay of the jitter buffer of WhatsApp's packets.
    whatsapp_buffer_ms: Option<u64>,
    /// Mean opinion score of what came from WhatsApp, times 100.
    whatsapp_mos_x100: Option<u64>,
    /// The lowest opinion score.
    whatsapp_mos_min_x100: Option<u64>,
    /// Packets of ours that WhatsApp says it lost.
    whatsapp_reported_lost: Option<u64>,
    /// Mean jitter of ours, as WhatsApp says.
    whatsapp_reported_jitter_ms: Option<u64>,
    /// Mean opinion score of ours at WhatsApp, times 100.
    whatsapp_reported_mos_x100: Option<u64>,
    /// The lowest opinion score of ours.
    whatsapp_reported_mos_min_x100: Option<u64>,
}
