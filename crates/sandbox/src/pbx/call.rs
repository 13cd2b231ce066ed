//! One call of the phone, and what can be asked of it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use super::change::{self, Change, Direction, Session};
use super::core::{Core, PATIENCE};
use super::manner::Manner;
use super::media::Media;
use super::sdp::{self, Ours, Remote};
use super::secure::Crypto;
use super::sip::Message;
use super::{Codec, Missed, outgoing};
use crate::ladder::Lane;
use crate::tone::{Heard, Recording, Sound};

/// Gaps shorter than this are not counted when a call is judged.
const GAP: Duration = Duration::from_millis(60);

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The phone's BYE was answered.
    HungUp,
    /// A BYE came.
    Bye {
        /// Its Reason header.
        reason: Option<String>,
    },
    /// The call came in, and a CANCEL took it back.
    Cancelled {
        /// Its Reason header.
        reason: Option<String>,
    },
    /// The phone's INVITE was refused.
    Rejected {
        /// Status of the final response; 487 after the phone's own CANCEL.
        status: u16,
        /// Its Reason header.
        reason: Option<String>,
    },
    /// The call came in, and the phone refused it.
    Refused {
        /// With this status.
        status: u16,
    },
    /// What should have come did not.
    Timeout(&'static str),
}

/// A call, going out or coming in. Clones are handles of the same call.
#[derive(Clone)]
pub struct PhoneCall(pub(super) Arc<Call>);

pub(super) struct Call {
    pub(super) core: Arc<Core>,
    pub(super) id: String,
    pub(super) number: String,
    pub(super) key: String,
    pub(super) invite: Message,
    pub(super) peer: SocketAddr,
    pub(super) local_tag: String,
    pub(super) codecs: Vec<Codec>,
    pub(super) manner: Manner,
    /// Its keys, one for each suite.
    pub(super) keys: Vec<Crypto>,
    pub(super) media: Media,
    pub(super) dialog: OnceLock<Dialog>,
    /// CSeq of the last request the phone sent in the dialog; 0 before the first.
    pub(super) cseq: AtomicU32,
    /// What was agreed on; held locked through a change, for there is one at a time (RFC 3261 14.1).
    pub(super) session: Mutex<Option<Session>>,
    pub(super) progress: watch::Sender<Progress>,
}

/// What a request in the dialog needs to know (RFC 3261 12.2.1.1).
#[derive(Debug, Clone)]
pub(super) struct Dialog {
    pub(super) local: String,
    pub(super) remote: String,
    pub(super) remote_tag: String,
    pub(super) target: String,
    pub(super) contact: String,
    pub(super) address: SocketAddr,
    pub(super) codec: Codec,
}

#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Responses to the INVITE, received or sent, repeats left out.
    pub(super) responses: Vec<(Instant, Message)>,
    pub(super) cancel_wanted: bool,
    pub(super) hang_up_wanted: bool,
    pub(super) acked: bool,
    /// The bodies of the NOTIFYs that came.
    pub(super) notified: Vec<String>,
    pub(super) answered: Option<Instant>,
    pub(super) ending: Option<Ending>,
}

impl Progress {
    pub(super) fn statuses(&self) -> Vec<u16> {
        self.responses.iter().filter_map(|(_, message)| message.status()).collect()
    }

    pub(super) fn final_status(&self) -> Option<u16> {
        self.statuses().into_iter().find(|status| *status >= 200)
    }
}

impl Call {
    /// What it says of its own end in a first description.
    pub(super) fn ours(&self) -> Ours<'_> {
        let session = self.core.draw() >> 1;
        Ours { local: self.media.local, session, manner: &self.manner, keys: &self.keys }
    }

    /// Begins to speak to what was agreed on.
    pub(super) async fn connect(&self, remote: Remote) {
        let ours = self.ours();
        let keys = sdp::pair(&ours, &remote).map(|(ours, theirs)| (ours.clone(), theirs.clone()));
        self.media.connect(remote, keys, self.core.draw()).await;
    }

    pub(super) fn is_over(&self) -> bool {
        self.progress.borrow().ending.is_some()
    }

    /// The call is over: the first to say so is right.
    pub(super) fn end(&self, ending: Ending) {
        self.progress.send_modify(|progress| {
            progress.ending.get_or_insert(ending);
        });
        self.media.stop();
    }

    /// Waits for something to be so.
    pub(super) async fn until(&self, probe: impl Fn(&Progress) -> bool) {
        let mut changes = self.progress.subscribe();
        // The sender lives as long as `self`.
        let _ = changes.wait_for(|progress| probe(progress)).await;
    }

    /// A new request in the dialog.
    pub(super) fn request(&self, dialog: &Dialog, method: &str) -> Message {
        let number = self.cseq.fetch_add(1, Ordering::Relaxed) + 1;
        Message::request(method, &dialog.target)
            .with("Via", self.core.via())
            .with("From", &dialog.local)
            .with("To", &dialog.remote)
            .with("Call-ID", &self.id)
            .with("CSeq", format!("{number} {method}"))
    }

    async fn wait<T>(
        &self,
        wanted: impl Into<String>,
        within: Duration,
        probe: impl Fn(&Progress) -> Option<T>,
    ) -> Result<T, Missed> {
        // In time or not: what counts is what is there now.
        let _ = timeout(within, self.until(|progress| probe(progress).is_some())).await;
        let found = probe(&self.progress.borrow());
        found.ok_or_else(|| Missed { wanted: wanted.into(), within, instead: self.story() })
    }

    pub(super) fn story(&self) -> String {
        let progress = self.progress.borrow();
        format!("responses {:?}, ending {:?}", progress.statuses(), progress.ending)
    }
}

impl PhoneCall {
    /// SIP Call-ID.
    #[must_use]
    pub fn call_id(&self) -> &str {
        &self.0.id
    }

    /// Key of the call's ladder: the other number in digits.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.0.key
    }

    /// The number dialled; of a call that came in, the caller's user part.
    #[must_use]
    pub fn number(&self) -> &str {
        &self.0.number
    }

    /// A header of the INVITE, sent or received.
    #[must_use]
    pub fn invite_header(&self, name: &str) -> Option<String> {
        self.0.invite.header(name).map(str::to_owned)
    }

    /// Responses to the INVITE in order, repeats left out.
    #[must_use]
    pub fn statuses(&self) -> Vec<u16> {
        self.0.progress.borrow().statuses()
    }

    /// The final ones among them.
    #[must_use]
    pub fn finals(&self) -> Vec<u16> {
        self.statuses().into_iter().filter(|status| *status >= 200).collect()
    }

    /// A header of the response with this status.
    #[must_use]
    pub fn header_of(&self, status: u16, name: &str) -> Option<String> {
        let progress = self.0.progress.borrow();
        let (_, response) =
            progress.responses.iter().find(|(_, message)| message.status() == Some(status))?;
        response.header(name).map(str::to_owned)
    }

    /// Waits for a response; gives the time at which it came.
    ///
    /// # Errors
    /// It did not come in time.
    pub async fn status(&self, code: u16, within: Duration) -> Result<Instant, Missed> {
        let probe = |progress: &Progress| {
            progress.responses.iter().find(|(_, message)| message.status() == Some(code)).map(|(at, _)| *at)
        };
        self.0.wait(format!("response {code}"), within, probe).await
    }

    /// Waits for the final response.
    ///
    /// # Errors
    /// It did not come in time.
    pub async fn final_status(&self, within: Duration) -> Result<u16, Missed> {
        self.0.wait("a final response", within, Progress::final_status).await
    }

    /// Waits until the call is answered and acknowledged; gives the time of the 200.
    ///
    /// # Errors
    /// It was not answered in time.
    pub async fn answered(&self, within: Duration) -> Result<Instant, Missed> {
        self.0.wait("the answer", within, |progress| progress.answered).await
    }

    /// Waits for the end of the call.
    ///
    /// # Errors
    /// It did not end in time.
    pub async fn ended(&self, within: Duration) -> Result<Ending, Missed> {
        self.0.wait("the end of the call", within, |progress| progress.ending.clone()).await
    }

    /// Sends CANCEL, as soon as RFC 3261 9.1 allows it.
    pub fn cancel(&self) {
        self.0.progress.send_modify(|progress| progress.cancel_wanted = true);
    }

    /// Sends BYE. A call that has come in and is not yet answered is refused with 486.
    pub fn hang_up(&self) {
        let mut is_answered = false;
        self.0.progress.send_modify(|progress| {
            is_answered = self.0.dialog.get().is_some() && progress.answered.is_some();
            progress.hang_up_wanted |= !is_answered;
        });
        if is_answered {
            tokio::spawn(outgoing::bye(Arc::clone(&self.0)));
        }
    }

    /// Sends a re-INVITE that says which way sound is to go from now on, as seen from the phone:
    /// with [`Direction::SendOnly`] the other end is on hold and hears the phone's tone. An offer
    /// that changes nothing is the last one again, with its version (RFC 3264 8).
    ///
    /// # Errors
    /// The call is not up, or no final response came.
    pub async fn change(&self, direction: Direction) -> Result<Change, Missed> {
        change::change(&self.0, direction).await
    }

    /// Sends REFER (RFC 3515) to whom the other end is to call instead, and gives the status of its
    /// final response.
    ///
    /// # Errors
    /// The call is not up, or no final response came.
    pub async fn refer(&self, to: &str) -> Result<u16, Missed> {
        let call = &self.0;
        let missed =
            || Missed { wanted: "an answer to REFER".to_owned(), within: PATIENCE, instead: call.story() };
        let dialog = call.dialog.get().filter(|_| !call.is_over()).ok_or_else(missed)?;
        let refer = call.request(dialog, "REFER").with("Contact", &dialog.contact);
        let refer = refer.with("Refer-To", format!("<{to}>"));
        let response = call.core.request(dialog.address, refer, &call.key).await;
        response.and_then(|response| response.status()).ok_or_else(missed)
    }

    /// Waits for a NOTIFY whose body begins with this.
    ///
    /// # Errors
    /// None came in time.
    pub async fn notified(&self, line: &str, within: Duration) -> Result<(), Missed> {
        let came = |p: &Progress| p.notified.iter().any(|body| body.starts_with(line)).then_some(());
        self.0.wait(format!("NOTIFY with {line}"), within, came).await
    }

    /// The codec in use, once it is agreed.
    #[must_use]
    pub fn codec(&self) -> Option<Codec> {
        self.0.dialog.get().map(|dialog| dialog.codec)
    }

    /// Presses digits, 100 ms each; returns when all are out or the call is over.
    pub async fn press(&self, digits: &str) {
        self.0.core.config.ladder.note(&self.0.key, Lane::Pbx, format!("presses {digits}"));
        for digit in digits.chars() {
            self.0.media.press(digit).await;
        }
    }

    /// Digits heard so far.
    #[must_use]
    pub fn digits(&self) -> String {
        self.0.media.ear().borrow().keypad.digits.clone()
    }

    /// Waits until these are the digits heard.
    ///
    /// # Errors
    /// Others were heard, or not all.
    pub async fn heard_digits(&self, digits: &str, within: Duration) -> Result<(), Missed> {
        let mut ear = self.0.media.ear();
        let heard = timeout(within, ear.wait_for(|ear| ear.keypad.digits == digits)).await;
        match heard {
            Ok(Ok(_)) => Ok(()),
            _ => {
                let instead = format!("heard {:?}", self.digits());
                Err(Missed { wanted: format!("digits {digits}"), within, instead })
            }
        }
    }

    /// Goes on with another tone; gives the time at which the first packet with it went out.
    pub async fn change_tone(&self, hz: f64) -> Instant {
        self.say(Sound::Tone(hz)).await
    }

    /// Sends no packet any more, reports neither, as a phone that has died with its dialog alive.
    pub async fn fall_silent(&self) {
        self.0.media.die().await;
    }

    /// Goes on with another sound; gives the time at which the first packet with it went out.
    pub async fn say(&self, sound: Sound) -> Instant {
        self.0.media.say(sound).await
    }

    /// Packets heard so far, keypad events and those of sound that was not listened to as well.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.0.media.ear().borrow().packets
    }

    /// What has been heard so far, 8 kHz; 16 kHz of G.722.
    #[must_use]
    pub fn recording(&self) -> Recording {
        self.0.media.ear().borrow().recording.clone()
    }

    /// Waits until `length` of sound has been heard, and judges whether it is this tone.
    ///
    /// # Errors
    /// Not enough sound came, or it was another.
    pub async fn hears(&self, hz: f64, length: Duration, within: Duration) -> Result<Heard, Missed> {
        let missed =
            |instead: String| Missed { wanted: format!("{length:?} of a {hz} Hz tone"), within, instead };
        let mut ear = self.0.media.ear();
        let waiting = timeout(within, ear.wait_for(|ear| ear.recording.length() >= length)).await;
        let has_come = matches!(waiting, Ok(Ok(_)));
        drop(waiting);
        let recording = self.recording();
        if !has_come {
            return Err(missed(format!("{:?} of sound came; {}", recording.length(), self.0.story())));
        }
        match recording.judged(GAP).await {
            Some(heard) if heard.is_tone(hz) => Ok(heard),
            Some(heard) => {
                Err(missed(format!("heard {:.0} Hz with {:.2} of the energy", heard.hz, heard.share)))
            }
            None => Err(missed("heard silence".to_owned())),
        }
    }
}
