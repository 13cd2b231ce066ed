//! One call as WhatsApp sees it, and the handle by which tests watch and steer it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use dtls::crypto::Certificate;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::config::BusinessNumber;
use super::hub::Hub;
use super::random;
use super::recording::Recording;
use super::scenario::{Behaviour, MediaFault, UserCall};
use super::sdp::{Local, Remote};
use super::secure;
use super::user::Phone;
use crate::ladder::Lane;
use crate::rtcp::Reports;
use crate::tone::Sound;

/// DTLS datagrams waiting for the handshake; more are dropped, as UDP may.
const DTLS_QUEUE: usize = 32;
/// Violations kept of a call.
const MAX_VIOLATIONS: usize = 100;

/// Who calls whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The user calls the business.
    UserInitiated,
    /// The business calls the user.
    BusinessInitiated,
}

/// How far the signalling of a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallState {
    /// The call exists.
    Started,
    /// The user's phone rings (business-initiated).
    Ringing,
    /// The business has sent `pre_accept` (user-initiated).
    PreAccepted,
    /// Answered.
    Accepted,
    /// Over.
    Ended,
}

/// How far the media of a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MediaState {
    /// Nothing yet.
    New,
    /// An authenticated check has nominated an address.
    Checked,
    /// DTLS is up and the bridge's certificate is the one of its SDP.
    Secured,
    /// The bridge's first good packet has come.
    Flowing,
    /// DTLS failed.
    Failed,
}

/// Who ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// The WhatsApp user.
    User,
    /// The business: `reject` or `terminate`.
    Business,
    /// WhatsApp: a limit or a watchdog.
    WhatsApp,
}

/// How a call ended.
#[derive(Clone, Debug)]
pub struct End {
    /// Who ended it.
    pub by: Party,
    /// Why.
    pub why: String,
    /// The error code where the call FAILED.
    pub failed: Option<u32>,
    /// Seconds since the pickup, where there was one.
    pub duration: Option<u32>,
    /// When.
    pub at: Instant,
}

/// It did not happen in time.
#[derive(Debug, thiserror::Error)]
#[error("the call is {state:?}, its media {media:?}, after waiting for {wanted}")]
pub struct TimedOut {
    wanted: String,
    state: CallState,
    media: MediaState,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    pub(crate) state: CallState,
    pub(crate) media: MediaState,
}

#[derive(Default)]
pub(crate) struct Facts {
    pub(crate) remote: Option<Remote>,
    /// The bytes of the SDP answer in `pre_accept`.
    pub(crate) answer: Option<String>,
    pub(crate) callback_data: Option<String>,
    pub(crate) accepted_at: Option<(Instant, SystemTime)>,
    pub(crate) end: Option<End>,
    pub(crate) ended_at: Option<SystemTime>,
    violations: Vec<String>,
}

pub(crate) struct Call {
    pub(crate) wacid: String,
    /// The user's number in digits (or BSUID): the key in the ladder.
    pub(crate) user: String,
    /// The number of the business.
    pub(crate) number: BusinessNumber,
    pub(crate) caller: Option<UserCall>,
    pub(crate) direction: Direction,
    pub(crate) behaviour: Behaviour,
    pub(crate) local: Local,
    pub(crate) certificate: Certificate,
    pub(crate) progress: watch::Sender<Progress>,
    /// Where media goes: the address of the bridge's checks.
    pub(crate) peer: watch::Sender<Option<SocketAddr>>,
    pub(crate) phone: Mutex<Phone>,
    pub(crate) dtls: mpsc::Sender<Vec<u8>>,
    pub(crate) dtls_inbox: Mutex<Option<mpsc::Receiver<Vec<u8>>>>,
    pub(crate) dark: AtomicBool,
    /// Cancelled when the call ends.
    pub(crate) over: CancellationToken,
    /// The user's decision by hand.
    pub(crate) hand: watch::Sender<Option<bool>>,
    facts: Mutex<Facts>,
}

impl Call {
    pub(crate) fn new(
        direction: Direction,
        user: String,
        number: BusinessNumber,
        behaviour: Behaviour,
        media: SocketAddr,
        over: CancellationToken,
    ) -> Result<Self, String> {
        let (certificate, fingerprint) = secure::certificate().map_err(|error| error.to_string())?;
        let advertised =
            if behaviour.media == MediaFault::WrongFingerprint { random::bytes() } else { fingerprint };
        let local = Local::new(media, advertised);
        let mut phone = Phone::new(local.ssrc, behaviour.tone_hz).map_err(|error| error.to_string())?;
        phone.attend(behaviour.attention);
        let (dtls, inbox) = mpsc::channel(DTLS_QUEUE);
        Ok(Self {
            wacid: random::wacid(),
            user,
            number,
            caller: None,
            direction,
            behaviour,
            local,
            certificate,
            progress: watch::Sender::new(Progress { state: CallState::Started, media: MediaState::New }),
            peer: watch::Sender::new(None),
            phone: Mutex::new(phone),
            dtls,
            dtls_inbox: Mutex::new(Some(inbox)),
            dark: AtomicBool::new(false),
            over,
            hand: watch::Sender::new(None),
            facts: Mutex::default(),
        })
    }

    pub(crate) fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn phone(&self) -> MutexGuard<'_, Phone> {
        self.phone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state(&self) -> CallState {
        self.progress.borrow().state
    }

    pub(crate) fn media(&self) -> MediaState {
        self.progress.borrow().media
    }

    /// States only go forward.
    pub(crate) fn advance(&self, state: CallState) -> bool {
        self.progress.send_if_modified(|now| {
            let later = state > now.state;
            now.state = now.state.max(state);
            later
        })
    }

    pub(crate) fn advance_media(&self, media: MediaState) -> bool {
        self.progress.send_if_modified(|now| {
            let later = media > now.media;
            now.media = now.media.max(media);
            later
        })
    }

    pub(crate) fn accept(&self) -> bool {
        self.facts().accepted_at.get_or_insert((Instant::now(), SystemTime::now()));
        self.advance(CallState::Accepted)
    }

    pub(crate) fn accepted_at(&self) -> Option<Instant> {
        self.facts().accepted_at.map(|(at, _)| at)
    }

    /// Waits until the state is reached, or any later one.
    pub(crate) async fn reached(&self, state: CallState) {
        // The sender lives as long as the call: this cannot fail.
        let _ = self.progress.subscribe().wait_for(|now| now.state >= state).await;
    }

    pub(crate) fn violation(&self, text: String) -> bool {
        let violations = &mut self.facts().violations;
        let new = violations.len() < MAX_VIOLATIONS && violations.last() != Some(&text);
        if new {
            violations.push(text);
        }
        new
    }
}

/// A call, to be watched and steered.
#[derive(Clone)]
pub struct CallHandle {
    pub(crate) call: Arc<Call>,
    pub(crate) hub: Arc<Hub>,
}

impl std::fmt::Debug for CallHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Progress { state, media } = *self.call.progress.borrow();
        write!(f, "{} {:?} {state:?} {media:?}", self.call.wacid, self.call.direction)
    }
}

impl CallHandle {
    /// WhatsApp's id of the call.
    #[must_use]
    pub fn wacid(&self) -> &str {
        &self.call.wacid
    }

    /// The business's number in digits.
    #[must_use]
    pub fn business_number(&self) -> &str {
        &self.call.number.display_number
    }

    /// The user's number in digits: the call's key in the ladder.
    #[must_use]
    pub fn number(&self) -> &str {
        &self.call.user
    }

    /// Who calls whom.
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.call.direction
    }

    /// The tone the user speaks.
    #[must_use]
    pub fn tone_hz(&self) -> f64 {
        self.call.behaviour.tone_hz
    }

    /// How far the signalling has come.
    #[must_use]
    pub fn state(&self) -> CallState {
        self.call.state()
    }

    /// How far the media has come.
    #[must_use]
    pub fn media(&self) -> MediaState {
        self.call.media()
    }

    /// Waits until the signalling is at `state` or later.
    ///
    /// # Errors
    /// It is not after `limit`.
    pub async fn wait_for(&self, state: CallState, limit: Duration) -> Result<(), TimedOut> {
        self.wait(format!("{state:?}"), limit, |now| now.state >= state).await
    }

    /// Waits until the media is at `media` or later (`Failed` is later than all).
    ///
    /// # Errors
    /// It is not after `limit`.
    pub async fn wait_media(&self, media: MediaState, limit: Duration) -> Result<(), TimedOut> {
        self.wait(format!("{media:?}"), limit, |now| now.media >= media).await
    }

    async fn wait(
        &self,
        wanted: String,
        limit: Duration,
        done: impl Fn(&Progress) -> bool,
    ) -> Result<(), TimedOut> {
        let mut progress = self.call.progress.subscribe();
        let waited = tokio::time::timeout(limit, progress.wait_for(done)).await;
        let reached = matches!(waited, Ok(Ok(_)));
        drop(waited);
        if reached { Ok(()) } else { Err(TimedOut { wanted, state: self.state(), media: self.media() }) }
    }

    /// How the call ended, once it has.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.call.facts().end.clone()
    }

    /// What the user has heard so far.
    #[must_use]
    pub fn heard(&self) -> Recording {
        self.call.phone().recording().clone()
    }

    /// The digits heard from the business, each once.
    #[must_use]
    pub fn digits(&self) -> String {
        self.call.phone().digits().to_owned()
    }

    /// What the bridge did that the real WhatsApp does not bear.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.call.facts().violations.clone()
    }

    /// `biz_opaque_callback_data` of the call.
    #[must_use]
    pub fn callback_data(&self) -> Option<String> {
        self.call.facts().callback_data.clone()
    }

    /// When the call was answered.
    #[must_use]
    pub fn accepted_at(&self) -> Option<Instant> {
        self.call.accepted_at()
    }

    /// When the user's first packet went out.
    #[must_use]
    pub fn speaking_since(&self) -> Option<Instant> {
        self.call.phone().speaking_since()
    }

    /// RTP packets the user has sent.
    #[must_use]
    pub fn sent_packets(&self) -> u64 {
        self.call.phone().sent()
    }

    /// The user presses keys (`0-9*#A-D`), 100 ms each.
    pub fn send_digits(&self, digits: &str) {
        self.call.phone().press(digits);
        self.hub.config.ladder.log(&self.call.user, Lane::User, Lane::WhatsApp, format!("presses {digits}"));
    }

    /// RTP packets the user has received.
    #[must_use]
    pub fn received_packets(&self) -> u64 {
        self.call.phone().received()
    }

    /// What has come and gone by RTCP.
    #[must_use]
    pub fn reports(&self) -> Reports {
        self.call.phone().reports()
    }

    /// Changes the tone; 0 for silence.
    pub fn set_tone(&self, hz: f64) {
        self.say(Sound::Tone(hz));
    }

    /// Goes on with another sound.
    pub fn say(&self, sound: Sound) {
        self.call.phone().say(sound);
    }

    /// The user hangs up.
    pub fn hang_up(&self) {
        self.hub.end(&self.call, Party::User, None, "the user hung up");
    }

    /// The user answers, where the scenario waits for it.
    pub fn answer(&self) {
        self.call.hand.send_replace(Some(true));
    }

    /// The user rejects, where the scenario waits for it.
    pub fn decline(&self) {
        self.call.hand.send_replace(Some(false));
    }

    /// From now on neither STUN answers nor media come from WhatsApp, and nothing is heard.
    pub fn go_dark(&self) {
        self.call.dark.store(true, Ordering::Relaxed);
    }
}
