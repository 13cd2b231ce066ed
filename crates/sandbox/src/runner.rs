//! The two demonstration calls, one each way, and the verdict on them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use tokio::time::sleep;

use crate::desk::Desk;
use crate::metronome::{self, Metronome};
use crate::pbx::{Codec, DialOptions, Ending, PhoneCall};
use crate::tone::{Heard, Recording};
use crate::whatsapp::{self, CallHandle, CallState, UserCall};

/// The user who is called, and the user who calls.
pub const CALLED: &str = "15550000001";
const CALLER: &str = "15550000100";
/// Digits that are pressed at both ends.
const DIGITS: &str = "1234#";
/// Tones: each end speaks its own, and another towards the end to measure the delay.
pub const PBX_HZ: f64 = 620.0;
const USER_HZ: f64 = 440.0;
const PBX_LATER_HZ: f64 = 1500.0;
const USER_LATER_HZ: f64 = 1000.0;
/// How long the tones are listened to.
const LISTEN: Duration = Duration::from_millis(3500);
/// Longer times without sound are faults, after the first second.
pub const GAP: Duration = Duration::from_millis(60);
/// How long anything that must happen may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// A thing to go wrong on purpose, to see that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// The WhatsApp user speaks another tone.
    WrongTone,
    /// The WhatsApp user says nothing.
    Silence,
}

impl Fault {
    /// The tone the user speaks under this fault.
    #[must_use]
    pub fn user_hz(fault: Option<Self>) -> f64 {
        match fault {
            None => USER_HZ,
            Some(Self::WrongTone) => 700.0,
            Some(Self::Silence) => 0.0,
        }
    }
}

/// What became of one call.
#[derive(Debug)]
pub struct Report {
    /// What it was.
    pub title: String,
    /// Key of its ladder.
    pub key: String,
    /// Codec on the PBX side.
    pub codec: Option<Codec>,
    /// From its first message to its answer.
    pub set_up: Option<Duration>,
    /// Sound and digits, each way.
    pub ways: Vec<Way>,
    /// What was wrong; a good call has nothing here.
    pub faults: Vec<String>,
}

/// One direction of a call.
#[derive(Debug, Clone)]
pub struct Way {
    /// Who listens.
    pub listener: &'static str,
    /// The tone that was spoken at the other end.
    pub sent_hz: f64,
    /// What was heard of it.
    pub heard: Option<Heard>,
    /// From the answer to the first sound.
    pub first_after: Option<Duration>,
    /// One way through the bridge.
    pub delay: Option<Duration>,
    /// Digits heard.
    pub digits: String,
}

/// Both calls.
pub async fn demonstrate(desk: &Desk, fault: Option<Fault>) -> Vec<Report> {
    vec![to_whatsapp(desk).await, from_whatsapp(desk, fault).await]
}

/// The PBX calls a WhatsApp user, and hangs up.
pub async fn to_whatsapp(desk: &Desk) -> Report {
    let mut report = Report::new("PBX calls WhatsApp", CALLED);
    let started = Instant::now();
    let options =
        DialOptions { codecs: Some(vec![Codec::Pcmu]), tone_hz: Some(PBX_HZ), ..DialOptions::default() };
    let outcome = async {
        let call = desk.phone.dial_with(CALLED, options).await.context("the phone cannot dial")?;
        call.status(180, PATIENCE).await.context("no ringing")?;
        call.answered(PATIENCE).await.context("no answer")?;
        let user = desk.whatsapp.call_to(CALLED).await;
        converse(&mut report, started, &call, &user).await?;
        call.hang_up();
        expect_end(&call, &user, &Ending::HungUp).await
    };
    let outcome = outcome.await;
    report.close(desk, outcome)
}

/// A WhatsApp user calls the business, and hangs up.
pub async fn from_whatsapp(desk: &Desk, fault: Option<Fault>) -> Report {
    let mut report = Report::new("WhatsApp calls the PBX", CALLER);
    let started = Instant::now();
    let user_call = UserCall { tone_hz: Fault::user_hz(fault), ..UserCall::new(CALLER, "Ada Lovelace") };
    let outcome = async {
        desk.phone.set_tone(PBX_HZ);
        let user = desk.whatsapp.call_business(user_call).map_err(|error| anyhow!(error))?;
        let call = desk.phone.incoming(PATIENCE).await.context("no INVITE at the PBX")?;
        call.answered(PATIENCE).await.context("no ACK at the PBX")?;
        user.wait_for(CallState::Accepted, PATIENCE).await.context("the user was not answered")?;
        converse(&mut report, started, &call, &user).await?;
        user.hang_up();
        let bye = call.ended(PATIENCE).await.context("no BYE after the user hung up")?;
        match bye {
            Ending::Bye { .. } => Ok(()),
            other => Err(anyhow!("the call ended with {other:?} where a BYE was expected")),
        }
    };
    let outcome = outcome.await;
    report.close(desk, outcome)
}

/// Sound, digits and the delay of an answered call.
async fn converse(report: &mut Report, started: Instant, call: &PhoneCall, user: &CallHandle) -> Result<()> {
    let metronome = Metronome::start();
    let answered = call.answered(PATIENCE).await?;
    let accepted = user.accepted_at().context("WhatsApp knows of no answer")?;
    report.set_up = Some(answered.max(accepted) - started);
    report.codec = call.codec();
    sleep(LISTEN).await;
    let listened = Instant::now();

    user.send_digits(DIGITS);
    call.press(DIGITS).await;
    // Whether they came is judged below; here it is only time that passes.
    let _ = call.heard_digits(DIGITS, Duration::from_secs(3)).await;
    // The last digit is heard when it begins, and no tone is spoken while it is held.
    sleep(Duration::from_millis(250)).await;

    let user_changed = Instant::now();
    user.set_tone(USER_LATER_HZ);
    let phone_changed = call.change_tone(PBX_LATER_HZ).await;
    sleep(Duration::from_millis(600)).await;

    let at_pbx = call.recording();
    let at_user = heard_by(&user.heard());
    let pauses = metronome.pauses();
    let way = |listener, sent_hz, recording: &Recording, since, digits| {
        let mut heard = recording.between(started, listened).analyse(GAP);
        if let Some(heard) = &mut heard {
            heard.gaps.retain(|gap| metronome::without(*gap, &pauses) > GAP);
        }
        let first_after = heard.as_ref().map(|heard| heard.first.saturating_duration_since(since));
        Way { listener, sent_hz, heard, first_after, delay: None, digits }
    };
    let delay = |recording: &Recording, hz, since: Instant| recording.onset(hz, since).map(|at| at - since);
    let pbx = way("PBX phone", USER_HZ, &at_pbx, answered, call.digits());
    let whatsapp = way("WhatsApp user", PBX_HZ, &at_user, accepted, user.digits());
    report.ways = vec![
        Way { delay: delay(&at_pbx, USER_LATER_HZ, user_changed), ..pbx },
        Way { delay: delay(&at_user, PBX_LATER_HZ, phone_changed), ..whatsapp },
    ];
    Ok(())
}

async fn expect_end(call: &PhoneCall, user: &CallHandle, wanted: &Ending) -> Result<()> {
    let ending = call.ended(PATIENCE).await?;
    user.wait_for(CallState::Ended, PATIENCE).await.context("the WhatsApp call goes on after the BYE")?;
    if ending == *wanted {
        Ok(())
    } else {
        Err(anyhow!("the call ended with {ending:?} where {wanted:?} was expected"))
    }
}

/// The user's recording as the analysis wants it.
#[must_use]
pub fn heard_by(recording: &whatsapp::Recording) -> Recording {
    let mut out = Recording::new(recording.rate());
    for packet in &recording.packets {
        match recording.pcm.get(packet.offset..packet.offset + packet.samples) {
            Some(samples) if packet.samples > 0 => out.audio(packet.at, samples),
            _ => out.event(packet.at),
        }
    }
    out
}

impl Report {
    fn new(title: &str, key: &str) -> Self {
        let (title, key) = (title.to_owned(), key.to_owned());
        Self { title, key, codec: None, set_up: None, ways: Vec::new(), faults: Vec::new() }
    }

    /// Judges the call, and what the two simulations hold against the bridge.
    fn close(mut self, desk: &Desk, outcome: Result<()>) -> Self {
        self.faults.extend(outcome.err().map(|error| format!("{error:#}")));
        self.faults.extend(self.ways.iter().flat_map(judge));
        self.faults.extend(desk.phone.complaints().into_iter().map(|c| format!("the PBX complains: {c}")));
        let calls = desk.whatsapp.calls();
        let violations =
            calls.iter().filter(|call| call.number() == self.key).flat_map(CallHandle::violations);
        self.faults.extend(violations.map(|v| format!("WhatsApp complains: {v}")));
        self
    }

    /// Nothing was wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.faults.is_empty()
    }
}

/// What is wrong with one direction, a sentence each.
#[must_use]
pub fn judge(way: &Way) -> Vec<String> {
    let (who, sent) = (way.listener, way.sent_hz);
    let mut faults = Vec::new();
    match &way.heard {
        None => faults.push(format!("the {who} heard nothing, a tone of {sent} Hz was sent")),
        Some(heard) if !heard.is_tone(sent) => faults.push(format!(
            "the {who} heard {:.0} Hz ({:.0} % of the sound), a tone of {sent} Hz was sent",
            heard.hz,
            heard.share * 100.0
        )),
        Some(heard) if !heard.gaps.is_empty() => {
            let longest = heard.gaps.iter().map(|gap| gap.length).max().unwrap_or_default();
            let (count, longest) = (heard.gaps.len(), longest.as_millis());
            faults.push(format!("the {who} heard {count} gap(s), the longest of {longest} ms"));
        }
        Some(heard) if heard.packets < 100 => {
            faults.push(format!("the {who} heard {} packets in {LISTEN:?}", heard.packets));
        }
        Some(_) => {}
    }
    if way.digits != DIGITS {
        faults.push(format!("the {who} heard the digits {:?}, {DIGITS:?} were pressed", way.digits));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tone::Sine;

    fn way(tone: f64, digits: &str) -> Way {
        let start = Instant::now();
        let (mut sine, mut recording) = (Sine::new(tone, 8000), Recording::new(8000));
        for i in 0..150 {
            let mut samples = [0; 160];
            sine.fill(&mut samples);
            recording.audio(start + Duration::from_millis(20 * i), &samples);
        }
        let heard = recording.analyse(GAP);
        Way {
            listener: "PBX phone",
            sent_hz: 440.0,
            heard,
            first_after: None,
            delay: None,
            digits: digits.to_owned(),
        }
    }

    #[test]
    fn the_right_tone_and_digits_are_good() {
        assert_eq!(judge(&way(440.0, DIGITS)), Vec::<String>::new());
    }

    #[test]
    fn a_wrong_or_missing_tone_fails_with_a_sentence() {
        assert_eq!(
            judge(&way(700.0, DIGITS)),
            ["the PBX phone heard 700 Hz (100 % of the sound), a tone of 440 Hz was sent"]
        );
        assert_eq!(judge(&way(0.0, DIGITS)), ["the PBX phone heard nothing, a tone of 440 Hz was sent"]);
    }

    #[test]
    fn lost_digits_and_gaps_fail() {
        assert_eq!(
            judge(&way(440.0, "124#")),
            ["the PBX phone heard the digits \"124#\", \"1234#\" were pressed"]
        );
        let mut gap = way(440.0, DIGITS);
        let heard = gap.heard.as_mut().unwrap();
        heard.gaps.push(crate::tone::Gap { at: heard.first, length: Duration::from_millis(90) });
        assert_eq!(judge(&gap), ["the PBX phone heard 1 gap(s), the longest of 90 ms"]);
    }
}
