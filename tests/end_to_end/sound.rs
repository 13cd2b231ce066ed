//! Sound through real sockets, both ways, in each pair of codecs: tones at their frequency and without a gap, chirps
//! with their time untouched, and how long it takes from one end to the other.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use end_to_end::{GAP, PATIENCE, at_rest, desk_with, wait_for};
use sandbox::chirp::SPEECH;
use sandbox::desk::Desk;
use sandbox::metronome::{self, Metronome};
use sandbox::pbx::{Codec, DialOptions, Manner, PhoneCall};
use sandbox::runner::heard_by;
use sandbox::tone::{Recording, Sound};
use sandbox::whatsapp::{CallHandle, Timings};
use tokio::task::JoinSet;
use tokio::time::sleep;

const PBX_HZ: f64 = 620.0;
const PBX_LATER_HZ: f64 = 1500.0;
const USER_LATER_HZ: f64 = 1000.0;
/// How long each tone and the chirp are listened to.
const TONE: Duration = Duration::from_millis(2500);
const LATER: Duration = Duration::from_millis(900);
const CHIRP: Duration = Duration::from_millis(4500);
/// Between two tones the codecs and the network settle.
const SETTLED: Duration = Duration::from_millis(500);
/// From one end to the other beyond the packets on both sides: codecs look ahead, and two cores play all of it.
const DELAY: Duration = Duration::from_millis(90);
/// What a window of a chirp may stand off: its frequency is known to some 8 Hz through codecs that hear noise.
const OFF: Duration = Duration::from_millis(14);

/// One pair of codecs: the PBX's end of it.
#[derive(Clone)]
struct Row {
    codec: Codec,
    manner: Manner,
}

fn row(codec: Codec, ptime: u8) -> Row {
    Row { codec, manner: Manner { ptime, ..Manner::default() } }
}

/// A desk whose trunk takes all codecs.
async fn configured() -> Result<Desk> {
    const CODECS: &str = "codecs = [\"opus\", \"pcma\", \"pcmu\"]";
    let edit = |text: String| text.replace(CODECS, "codecs = [\"opus\", \"g722\", \"pcma\", \"pcmu\"]");
    desk_with(edit, Timings::quick()).await
}

/// What one end heard of the other, and when the other changed.
struct Ear<'a> {
    name: &'a str,
    recording: Recording,
    first: (f64, Instant),
    later: (f64, Instant),
    chirp: Instant,
    end: Instant,
    /// The longest packet on the way.
    packet: Duration,
}

impl Ear<'_> {
    fn judge(&self, pauses: &[sandbox::tone::Gap]) -> Result<()> {
        let Self { name, recording, first: (hz, since), .. } = self;
        let tone = recording.between(*since, self.later.1);
        let heard = tone.analyse(GAP).with_context(|| format!("the {name} heard silence"))?;
        ensure!(
            heard.is_tone(*hz),
            "the {name} heard {:.1} Hz of share {:.2}, not {hz}",
            heard.hz,
            heard.share
        );
        let gap = heard.gaps.iter().map(|gap| metronome::without(*gap, pauses)).max().unwrap_or_default();
        ensure!(gap <= GAP + self.packet, "the {name} heard a gap of {gap:?}");
        let (hz, since) = self.later;
        let onset = recording.onset(hz, since).with_context(|| format!("the {name} heard no {hz} Hz"))?;
        let paused = metronome::without(sandbox::tone::Gap { at: since, length: onset - since }, pauses);
        ensure!(paused <= DELAY + 2 * self.packet, "to the {name} it takes {paused:?}");
        let from = self.chirp + SETTLED;
        let timing = recording
            .timing(&SPEECH, from, self.end)
            .with_context(|| format!("the {name} heard no chirp"))?;
        ensure!(timing.is_straight(OFF), "the {name} heard the time {timing:?}");
        println!("{name:>5}: delay {:>3} ms, {timing:?}", (onset - since).as_millis());
        Ok(())
    }
}

/// Tone, another tone, a chirp: both ways at once.
async fn listen(call: &PhoneCall, user: &CallHandle, packet: Duration) -> Result<()> {
    let metronome = Metronome::start();
    wait_for("sound at both ends", || {
        !call.recording().length().is_zero() && !heard_by(&user.heard()).length().is_zero()
    })
    .await?;
    let began = Instant::now();
    sleep(TONE).await;
    let user_later = Instant::now();
    user.set_tone(USER_LATER_HZ);
    let pbx_later = call.change_tone(PBX_LATER_HZ).await;
    sleep(LATER).await;
    let user_chirp = Instant::now();
    user.say(Sound::Chirp(SPEECH));
    let pbx_chirp = call.say(Sound::Chirp(SPEECH)).await;
    sleep(CHIRP).await;
    let (end, pauses) = (Instant::now(), metronome.pauses());
    let user_hz = user.tone_hz();
    let at_pbx = Ear {
        name: "PBX",
        recording: call.recording(),
        first: (user_hz, began),
        later: (USER_LATER_HZ, user_later),
        chirp: user_chirp,
        end,
        packet,
    };
    let at_user = Ear {
        name: "user",
        recording: heard_by(&user.heard()),
        first: (PBX_HZ, began),
        later: (PBX_LATER_HZ, pbx_later),
        chirp: pbx_chirp,
        end,
        packet,
    };
    at_pbx.judge(&pauses)?;
    at_user.judge(&pauses)
}

async fn one(desk: &Desk, number: &str, row: Row) -> Result<()> {
    let packet = Duration::from_millis(row.manner.ptime.into());
    let options = DialOptions {
        codecs: Some(vec![row.codec]),
        tone_hz: Some(PBX_HZ),
        manner: Some(row.manner),
        ..DialOptions::default()
    };
    let call = desk.phone.dial_with(number, options).await?;
    call.answered(PATIENCE).await?;
    ensure!(call.codec() == Some(row.codec), "{:?}", call.codec());
    let user = desk.whatsapp.call_to(number).await;
    listen(&call, &user, packet).await?;
    call.hang_up();
    call.ended(PATIENCE).await?;
    Ok(())
}

/// All rows, a few at once: more would be heard as gaps on a small machine.
async fn all(rows: Vec<Row>) -> Result<()> {
    const AT_ONCE: usize = 3;
    let desk = std::sync::Arc::new(configured().await?);
    let (mut calls, mut faults) = (JoinSet::new(), Vec::new());
    for (index, row) in rows.into_iter().enumerate() {
        if calls.len() == AT_ONCE {
            faults.extend(calls.join_next().await.map(Result::unwrap).and_then(Result::err));
        }
        let desk = std::sync::Arc::clone(&desk);
        calls.spawn(async move {
            let what = format!("{} {} ms {:?}", row.codec, row.manner.ptime, row.manner.security);
            // Scenarios of their own have the numbers from 1555 on.
            one(&desk, &format!("1888000{index:04}"), row).await.context(what)
        });
    }
    faults.extend(calls.join_all().await.into_iter().filter_map(Result::err));
    ensure!(faults.is_empty(), "{}", faults.iter().map(|e| format!("{e:#}\n")).collect::<String>());
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn g711_and_g722_in_packets_of_every_length_carry_tones_and_time_both_ways() -> Result<()> {
    let codecs = [Codec::Pcmu, Codec::Pcma, Codec::G722];
    all(codecs.iter().flat_map(|codec| [10, 20, 30, 60].map(|ptime| row(*codec, ptime))).collect()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn opus_in_packets_of_every_length_carries_tones_and_time_both_ways() -> Result<()> {
    all([10, 20, 40, 60].map(|ptime| row(Codec::Opus, ptime)).into()).await
}
