//! Sound through real sockets, both ways, in each pair of codecs: tones at their frequency and without a gap, chirps
//! with their time untouched, and how long it takes from one end to the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use end_to_end::{GAP, PATIENCE, at_rest, desk_with, wait_for};
use sandbox::chirp::SPEECH;
use sandbox::desk::Desk;
use sandbox::metronome::{self, Metronome};
use sandbox::pbx::{Codec, DialOptions, Manner, PhoneCall, Security, Suite};
use sandbox::runner::heard_by;
use sandbox::tone::{Recording, Sound};
use sandbox::whatsapp::{CallHandle, CallState, Timings, UserCall};
use serde_json::json;
use tokio::sync::Mutex;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;

const PBX_HZ: f64 = 620.0;
const USER_HZ: f64 = 700.0;
const PBX_LATER_HZ: f64 = 1500.0;
const USER_LATER_HZ: f64 = 1000.0;
/// How long each tone and the chirp are listened to.
const TONE: Duration = Duration::from_millis(2500);
const LATER: Duration = Duration::from_millis(900);
const CHIRP: Duration = Duration::from_millis(4500);
/// How often a call is made before a pause of the machine is no excuse.
const ATTEMPTS: u32 = 3;
/// Between two tones the codecs and the network settle.
const SETTLED: Duration = Duration::from_millis(500);
/// From one end to the other beyond the packets on both sides (ITU-T G.114): some 25 ms where a dozen calls do not
/// share two cores.
const DELAY: Duration = Duration::from_millis(150);
/// What a window of a chirp may stand off: 1 to 5 ms as codecs hear it, and a few frames after a pause of the machine.
const OFF: Duration = GAP;

/// What may come at WhatsApp, beside 126 for digits, of which there are none here.
const PCMU: &[u8] = &[0];
const PCMA: &[u8] = &[8];
const OPUS: &[u8] = &[111];

/// One call: the PBX's end of it, who begins it, and the formats that WhatsApp may get.
#[derive(Clone)]
struct Row {
    codec: Codec,
    manner: Manner,
    comes_in: bool,
    /// RTP payload types; none where any will do.
    formats: &'static [u8],
}

fn row(codec: Codec, ptime: u8) -> Row {
    Row { codec, manner: Manner { ptime, ..Manner::default() }, comes_in: false, formats: &[] }
}

impl Row {
    /// The same call, begun at WhatsApp.
    fn inward(&self) -> Self {
        Self { comes_in: true, ..self.clone() }
    }
}

/// A desk, and the calls from WhatsApp one after another, for all of them are the one phone's.
struct Studio {
    desk: Desk,
    door: Mutex<()>,
}

impl Studio {
    /// One whose trunk takes all codecs, with these lines more in the trunk's and in the number's table.
    async fn open(trunk: &'static str, number: &'static str) -> Result<Arc<Self>> {
        const CODECS: &str = "codecs = [\"opus\", \"pcma\", \"pcmu\"]";
        let codecs = format!("codecs = [\"opus\", \"g722\", \"pcma\", \"pcmu\"]\n{trunk}");
        let edit = move |text: String| {
            text.replace(CODECS, &codecs).replacen("[[number]]\n", &format!("[[number]]\n{number}\n"), 1)
        };
        Ok(Arc::new(Self { desk: desk_with(edit, Timings::quick()).await?, door: Mutex::new(()) }))
    }

    /// Both ends of a new call.
    async fn connect(&self, number: &str, row: &Row) -> Result<(PhoneCall, CallHandle)> {
        let Desk { phone, whatsapp, .. } = &self.desk;
        if row.comes_in {
            let one_at_a_time = self.door.lock().await;
            phone.set_codecs(vec![row.codec]);
            phone.set_manner(row.manner.clone());
            phone.set_tone(PBX_HZ);
            let caller = UserCall { tone_hz: USER_HZ, ..UserCall::new(number, "Sound") };
            let user = whatsapp.call_business(caller).map_err(|error| anyhow!(error))?;
            let call = phone.incoming(PATIENCE).await?;
            drop(one_at_a_time);
            call.answered(PATIENCE).await?;
            user.wait_for(CallState::Accepted, PATIENCE).await?;
            return Ok((call, user));
        }
        let options = DialOptions {
            codecs: Some(vec![row.codec]),
            tone_hz: Some(PBX_HZ),
            manner: Some(row.manner.clone()),
            ..DialOptions::default()
        };
        let call = phone.dial_with(number, options).await?;
        call.answered(PATIENCE).await?;
        Ok((call, whatsapp.call_to(number).await))
    }
}

/// What one end heard of the other, and when the other changed.
struct Ear {
    name: &'static str,
    recording: Recording,
    first: (f64, Instant),
    later: (f64, Instant),
    chirp: Instant,
    end: Instant,
    /// The longest packet on the way.
    packet: Duration,
}

impl Ear {
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
    // Beside the ends and the bridge, not in their place: listening takes longer than a packet does.
    spawn_blocking(move || at_pbx.judge(&pauses).and_then(|()| at_user.judge(&pauses))).await?
}

async fn one(studio: &Studio, number: &str, row: &Row) -> Result<()> {
    let (call, user) = studio.connect(number, row).await?;
    ensure!(call.codec() == Some(row.codec), "{:?}", call.codec());
    let judged = listen(&call, &user, Duration::from_millis(row.manner.ptime.into())).await;
    call.hang_up();
    call.ended(PATIENCE).await?;
    judged?;
    let heard = user.heard();
    // Before the PBX has chosen, silence of ours is Opus.
    let settled = heard.first_at().context("the user heard nothing")? + SETTLED;
    let formats =
        heard.packets.iter().filter(|packet| packet.at >= settled).map(|packet| packet.payload_type);
    let (wanted, others): (Vec<u8>, Vec<u8>) = formats.partition(|format| row.formats.contains(format));
    let untouched = row.formats.is_empty() || others.is_empty();
    ensure!(untouched, "WhatsApp got {} of {:?}, {} others", wanted.len(), row.formats, others.len());
    Ok(())
}

/// One row, and again where it fails: the two ends, the bridge between them and what listens share two cores here, and
/// a pause of any of them moves a piece of a chirp. What is wrong with a codec is wrong each time.
async fn proven(studio: &Studio, number: &str, row: &Row) -> Result<()> {
    for attempt in 1.. {
        let Err(error) = one(studio, &format!("{number}{attempt}"), row).await else { break };
        ensure!(attempt < ATTEMPTS, "{error:#}");
        println!("again: {error:#}");
    }
    Ok(())
}

/// All rows, a few at once: more would be heard as gaps on a small machine.
async fn all(studio: Arc<Studio>, rows: Vec<Row>) -> Result<()> {
    const AT_ONCE: usize = 2;
    let (mut calls, mut faults) = (JoinSet::new(), Vec::new());
    for (index, row) in rows.into_iter().enumerate() {
        if calls.len() == AT_ONCE {
            faults.extend(calls.join_next().await.map(Result::unwrap).and_then(Result::err));
        }
        let studio = Arc::clone(&studio);
        calls.spawn(async move {
            let Row { codec, manner, comes_in, .. } = &row;
            let what = format!("{codec} {} ms {:?} in {comes_in}", manner.ptime, manner.suites);
            // Scenarios of their own have the numbers from 1555 on.
            proven(&studio, &format!("188800{index:04}"), &row).await.context(what)
        });
    }
    faults.extend(calls.join_all().await.into_iter().filter_map(Result::err));
    ensure!(faults.is_empty(), "{}", faults.iter().map(|e| format!("{e:#}\n")).collect::<String>());
    at_rest(&studio.desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn g711_and_g722_in_packets_of_every_length_carry_tones_and_time_both_ways() -> Result<()> {
    let codecs = [Codec::Pcmu, Codec::Pcma, Codec::G722];
    let rows = codecs.iter().flat_map(|codec| [10, 20, 30, 60].map(|ptime| row(*codec, ptime)));
    all(Studio::open("", "").await?, rows.collect()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn opus_in_packets_of_every_length_carries_tones_and_time_both_ways() -> Result<()> {
    let rows = [10, 20, 40, 60].map(|ptime| row(Codec::Opus, ptime));
    all(Studio::open("", "").await?, rows.into()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_whatsapp_begins_carry_tones_and_time_both_ways() -> Result<()> {
    let codecs = [Codec::Opus, Codec::Pcmu, Codec::Pcma, Codec::G722];
    all(Studio::open("", "").await?, codecs.map(|codec| row(codec, 20).inward()).into()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn srtp_in_each_suite_carries_tones_and_time_both_ways() -> Result<()> {
    let secure = |(suite, codec): (Suite, Codec)| {
        let security = Security::Required;
        let manner = Manner { security, suites: vec![suite], feedback: true, ..Manner::default() };
        let row = Row { manner, ..row(codec, 20) };
        [row.inward(), row]
    };
    let codecs = [Codec::Pcma, Codec::Opus, Codec::G722, Codec::Pcmu];
    let rows = Suite::ALL.into_iter().zip(codecs).flat_map(secure).collect();
    all(Studio::open("srtp = \"require\"", "").await?, rows).await
}

#[tokio::test(flavor = "multi_thread")]
async fn srtp_that_is_offered_is_taken_by_who_has_it_and_the_others_speak_plainly() -> Result<()> {
    let of = |security| Row { manner: Manner { security, ..Manner::default() }, ..row(Codec::Pcmu, 20) };
    let (plain, both, secure) = (of(Security::Off), of(Security::Optional), of(Security::Required));
    // Our own offer is RTP/AVP with keys, which a phone that wants RTP/SAVP alone does not take.
    let rows = vec![plain.inward(), plain, both.inward(), both, secure];
    all(Studio::open("srtp = \"offer\"", "").await?, rows).await
}

/// What the PBX speaks comes there untouched where WhatsApp takes it, else as Opus.
#[tokio::test(flavor = "multi_thread")]
async fn g711_at_whatsapp_carries_tones_and_time_from_every_codec_both_ways() -> Result<()> {
    let keys = "additional_codecs = [\"pcmu\", \"pcma\"]\nprefer = \"g711\"";
    let studio = Studio::open("", keys).await?;
    let audio = json!({ "additional_codecs": ["PCMA", "PCMU"] });
    studio.desk.whatsapp.set_setting("106540352242922", "audio", audio);
    let rows = [(Codec::Pcmu, PCMU), (Codec::Pcma, PCMA), (Codec::G722, OPUS), (Codec::Opus, OPUS)];
    let rows = rows.into_iter().flat_map(|(codec, formats)| {
        let row = Row { formats, ..row(codec, 20) };
        [row.inward(), row]
    });
    all(studio, rows.collect()).await
}
