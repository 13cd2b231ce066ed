//! One audio path per call: RTP on one side, ICE and DTLS-SRTP on the other.
//!
//! [`Relay`] owns the worker threads; [`Relay::open`] gives an [`AudioSession`],
//! the handle of one call's path. What happens on it comes back as [`MediaEvent`]s.

mod announcement;
mod codec;
mod complexity;
mod event;
#[doc(hidden)]
pub mod fuzzing;
mod hold;
#[doc(hidden)]
pub mod measuring;
mod options;
mod path;
mod peer;
mod ports;
mod quality;
mod relay;
mod rtp;
pub mod sdp;
mod session;
mod side;
mod srtp;
mod tap;
pub mod tone;
mod worker;

pub use announcement::Announcement;
pub use complexity::Complexity;
pub use event::{MediaEvent, MediaFailure, Summary};
pub use hold::HoldSound;
pub use options::{JitterLimits, Keying, MediaTimeouts, SessionOptions};
pub use path::{DigitMode, Party, PathCounters, SideCounters};
pub use quality::{CallQuality, Figure, SideQuality};
pub use relay::{OpenError, Relay, RelayConfig, StartError};
pub use session::{AudioSession, WaRole};
pub use side::{Side, WhatsAppSide};
pub use tap::{Tap, TappedPacket};
pub use worker::RelayCounters;
