//! The calls: each chair has one after another, until the soak is over.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use end_to_end::PATIENCE;
use sandbox::pbx::{Codec, DialOptions, Direction, PhoneCall};
use sandbox::runner::heard_by;
use sandbox::tone::Recording;
use sandbox::whatsapp::{CallHandle, CallState, UserCall};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::noise::Dice;
use crate::stage::{ATTENTION, ROUGH, Stage, is_ours, manner, user_hz};

/// How long a call lives, in seconds.
const LIVES: (u32, u32) = (20, 90);
/// How many users a chair has, in turn: some are called again while their last call is remembered. By when half an hour
/// is judged they have called, so that what the bridge knows of users hardly grows any more.
const USERS: u32 = 4;
/// The chairs fill one after another in this time.
const FILLING: Duration = Duration::from_secs(25);
/// How many packets of each direction must come, of 50 a second that both loss and holds thin out.
const ENOUGH: f64 = 0.85;
/// The tone of the phone in calls that come in.
const PHONE_HZ: f64 = 440.0;
/// Faults that are kept.
const FAULTS: usize = 50;

/// The PBX's end of a call and WhatsApp's.
type Ends = (PhoneCall, CallHandle);

/// What became of the calls.
#[derive(Default)]
pub(crate) struct Tally {
    made: AtomicU64,
    faults: Mutex<Vec<String>>,
}

impl Tally {
    pub(crate) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    pub(crate) fn faults(&self) -> Vec<String> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, outcome: Result<()>) {
        self.made.fetch_add(1, Ordering::Relaxed);
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Err(error), true) = (outcome, faults.len() < FAULTS) {
            // At once, too: half an hour is a long time to wait for what went wrong in its fifth minute.
            println!("{error:#}");
            faults.push(format!("{error:#}"));
        }
    }
}

/// The chairs.
pub(crate) struct Chairs(JoinSet<()>);

impl Chairs {
    /// Waits for the last calls.
    pub(crate) async fn finish(mut self) -> Result<()> {
        while let Some(chair) = self.0.join_next().await {
            chair.context("a chair broke")?;
        }
        Ok(())
    }
}

/// So many chairs, each with a call until the time is over; calls that are up then are cut short.
pub(crate) fn start(stage: &Arc<Stage>, tally: &Arc<Tally>, count: usize, end: Instant) -> Chairs {
    let mut chairs = JoinSet::new();
    for chair in 0..count {
        let (stage, tally) = (Arc::clone(stage), Arc::clone(tally));
        chairs.spawn(async move {
            sleep(FILLING.mul_f64(chair as f64 / count as f64)).await;
            let mut dice = Dice(chair as u64);
            let mut nth = 0;
            while Instant::now() < end {
                let outcome = one(&stage, (chair, nth), &mut dice, end).await;
                tally.note(outcome.with_context(|| format!("chair {chair}, call {nth}")));
                nth += 1;
            }
        });
    }
    Chairs(chairs)
}

/// One call, from its first message to its last.
async fn one(stage: &Stage, (chair, nth): (usize, u32), dice: &mut Dice, end: Instant) -> Result<()> {
    let (least, most) = LIVES;
    let life = Duration::from_secs(u64::from(least + dice.below(most - least)));
    let over = (Instant::now() + life).min(end);
    let number = format!("1777{:04}{chair:03}", nth % USERS);
    let (ends, hz) = if dice.below(2) == 0 {
        let hz = 600.0 + 20.0 * chair as f64;
        (outward(stage, &number, hz, dice).await.context("to WhatsApp")?, hz)
    } else {
        (inward(stage, &number).await.context("from WhatsApp")?, PHONE_HZ)
    };
    let (call, user) = &ends;
    let spoken = talk(&ends, hz, dice, over).await.with_context(|| format!("{:?}", call.codec()));
    if dice.below(2) == 0 {
        call.hang_up();
    } else {
        user.hang_up();
    }
    call.ended(PATIENCE).await.context("the PBX's end")?;
    user.wait_for(CallState::Ended, PATIENCE).await.map_err(|error| anyhow!("the user's end: {error}"))?;
    let violations: Vec<_> = user.violations().into_iter().filter(|what| is_ours(what)).collect();
    ensure!(violations.is_empty(), "WhatsApp: {violations:?}");
    spoken
}

async fn outward(stage: &Stage, number: &str, hz: f64, dice: &mut Dice) -> Result<Ends> {
    let codec = [Codec::Opus, Codec::Pcmu, Codec::Pcma, Codec::G722][dice.below(4) as usize];
    let options = DialOptions {
        codecs: Some(vec![codec]),
        tone_hz: Some(hz),
        manner: Some(manner(dice)),
        ..DialOptions::default()
    };
    let call = stage.phone.dial_with(number, options).await?;
    call.answered(PATIENCE).await?;
    let user = stage.whatsapp.call_to(number).await;
    Ok((call, user))
}

async fn inward(stage: &Stage, number: &str) -> Result<Ends> {
    let comes = stage.call_from(number);
    let user = UserCall {
        tone_hz: user_hz(number),
        rough: ROUGH,
        attention: ATTENTION,
        ..UserCall::new(number, "Soak")
    };
    let user = stage.whatsapp.call_business(user).map_err(anyhow::Error::msg)?;
    let call = tokio::time::timeout(PATIENCE, comes).await.context("no INVITE at the PBX")??;
    call.answered(PATIENCE).await?;
    user.wait_for(CallState::Accepted, PATIENCE).await.map_err(|error| anyhow!("{error}"))?;
    Ok((call, user))
}

/// Sound both ways, digits, perhaps a hold, until the call is over.
async fn talk((call, user): &Ends, pbx_hz: f64, dice: &mut Dice, over: Instant) -> Result<()> {
    let begun = Instant::now();
    sleep(ATTENTION + Duration::from_secs(2)).await;
    hears(&call.recording(), user.tone_hz()).context("the PBX")?;
    hears(&heard_by(&user.heard()), pbx_hz).context("the user")?;
    let mut held = Duration::ZERO;
    while Instant::now() < over {
        match dice.below(4) {
            0 => call.press("12#").await,
            1 => user.send_digits("34*"),
            2 if held.is_zero() => {
                let start = Instant::now();
                call.change(Direction::SendOnly).await.context("hold")?;
                sleep(Duration::from_secs(2)).await;
                call.change(Direction::SendRecv).await.context("back from hold")?;
                held = start.elapsed();
            }
            _ => {}
        }
        sleep(Duration::from_secs(4).min(over.saturating_duration_since(Instant::now()))).await;
    }
    let lasted = begun.elapsed().saturating_sub(held).as_secs_f64();
    let least = lasted * 50.0 * ENOUGH;
    let (at_pbx, at_user) = (call.packets(), user.received_packets());
    ensure!(at_pbx as f64 >= least, "the PBX got {at_pbx} packets in {lasted:.0} s");
    ensure!(at_user as f64 >= least, "the user got {at_user} packets in {lasted:.0} s");
    Ok(())
}

/// The tone, and not just now and then: what is lost and overtaken leaves neither its phase nor all of its pieces whole.
fn hears(recording: &Recording, hz: f64) -> Result<()> {
    let (length, lasting) = (recording.length(), recording.lasting(hz));
    ensure!(length >= ATTENTION / 2, "heard {length:?} of sound");
    ensure!(lasting >= length.mul_f64(0.3), "heard {hz} Hz for {lasting:?} of {length:?}");
    Ok(())
}
