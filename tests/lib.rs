//! What the end-to-end tests share: a desk to call on, and what must hold when all is over.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sandbox::desk::{Desk, DeskConfig};
use sandbox::metronome::{Metronome, without};
use sandbox::pbx::PhoneCall;
use sandbox::runner::heard_by;
use sandbox::tone::Heard;
use sandbox::whatsapp::{Action, CallHandle, CallState, GraphRequest, Timings, WhatsAppConfig};

/// How long anything that must happen may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// A gap in the sound that a listener would hear.
pub const GAP: Duration = Duration::from_millis(60);
/// How long a tone is listened to.
pub const LISTEN: Duration = Duration::from_secs(2);

/// A desk with short delays, whose bridge has these lines added to its configuration.
///
/// # Errors
/// When it does not start.
pub async fn desk_with(
    edit: impl FnOnce(String) -> String + Send + 'static,
    timings: Timings,
) -> Result<Desk> {
    let config = DeskConfig::default();
    let whatsapp = WhatsAppConfig { timings, ..config.whatsapp };
    Desk::start(DeskConfig { edit: Box::new(edit), whatsapp, ..config }).await
}

/// A desk with short delays.
///
/// # Errors
/// When it does not start.
pub async fn desk() -> Result<Desk> {
    desk_with(|text| text, Timings::quick()).await
}

/// Waits until the bridge has no call, then checks what holds after any calls: every WhatsApp call
/// is over, we ended none twice, and neither WhatsApp nor the PBX has anything to complain about.
///
/// # Errors
/// What does not hold.
pub async fn at_rest(desk: &Desk) -> Result<()> {
    wait_for("no call in the bridge", || desk.bridge.calls() == 0).await?;
    for call in desk.whatsapp.calls() {
        call.wait_for(CallState::Ended, PATIENCE).await.context("left open at WhatsApp")?;
        let ends = ends_of(desk, call.wacid());
        ensure!(ends.iter().filter(|end| end.status == 200).count() <= 1, "ended twice: {ends:?}");
        ensure!(call.violations().is_empty(), "WhatsApp complains: {:?}", call.violations());
    }
    ensure!(desk.phone.complaints().is_empty(), "the PBX: {:?}", desk.phone.complaints());
    Ok(())
}

/// Waits for a condition.
///
/// # Errors
/// When it has not come in time.
pub async fn wait_for(what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
    let limit = Instant::now() + PATIENCE;
    while !holds() {
        ensure!(Instant::now() < limit, "waited {PATIENCE:?} for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Our `reject` and `terminate` requests for a call.
#[must_use]
pub fn ends_of(desk: &Desk, wacid: &str) -> Vec<GraphRequest> {
    let is_end = |action| matches!(action, Some(Action::Reject | Action::Terminate));
    let requests = desk.whatsapp.requests().into_iter();
    requests.filter(|r| is_end(r.action) && r.wacid.as_deref() == Some(wacid)).collect()
}

/// Our requests with this action.
#[must_use]
pub fn requests(desk: &Desk, action: Action) -> usize {
    desk.whatsapp.requests().iter().filter(|request| request.action == Some(action)).count()
}

/// Lets both ends listen at once, each for its tone.
///
/// # Errors
/// When one hears another tone, nothing, or a gap.
pub async fn both_hear(call: &PhoneCall, user: &CallHandle, pbx_hz: f64) -> Result<()> {
    let metronome = Metronome::start();
    let at_pbx = call.hears(user.tone_hz(), LISTEN, PATIENCE);
    let at_user = user_hears(user, pbx_hz);
    let (heard, ()) = tokio::try_join!(async { Ok(at_pbx.await?) }, at_user)?;
    let hz = user.tone_hz();
    ensure!(heard.is_tone(hz), "the PBX heard {:.0} Hz, not {hz}", heard.hz);
    no_gaps("PBX", &heard, &metronome)
}

/// Pauses of the machine, seen by this metronome, are not held against anybody.
///
/// # Errors
/// When a gap is longer than the machine's part in it.
pub fn no_gaps(who: &str, heard: &Heard, metronome: &Metronome) -> Result<()> {
    let pauses = metronome.pauses();
    let gaps: Vec<_> = heard.gaps.iter().filter(|gap| without(**gap, &pauses) > GAP).collect();
    ensure!(gaps.is_empty(), "gaps at the {who}: {gaps:?}");
    Ok(())
}

/// The WhatsApp user listens for a tone.
///
/// # Errors
/// When it hears another tone, nothing, or a gap.
pub async fn user_hears(user: &CallHandle, hz: f64) -> Result<()> {
    let metronome = Metronome::start();
    let listening = || heard_by(&user.heard());
    wait_for("sound at the user", || listening().length() >= LISTEN).await?;
    let heard = listening().judged(GAP).await.context("the user heard silence")?;
    ensure!(heard.is_tone(hz), "the user heard {:.0} Hz, not {hz}", heard.hz);
    no_gaps("user", &heard, &metronome)
}
