//! The demonstration tells good sound from bad: it passes as it is, and fails when a tone is wrong or missing.

use std::sync::Arc;
use std::time::Duration;

use sandbox::desk::{Desk, DeskConfig};
use sandbox::runner::{self, CALLED, Fault};
use sandbox::whatsapp::{Behaviour, WhatsAppConfig, scenario};
use tokio::time::{interval, timeout};

async fn desk(fault: Option<Fault>) -> Desk {
    let directory = move |number: &str| match number {
        CALLED => Behaviour { tone_hz: Fault::user_hz(fault), ..scenario::by_number(number) },
        other => scenario::by_number(other),
    };
    let whatsapp = WhatsAppConfig { directory: Arc::new(directory), ..WhatsAppConfig::new(String::new()) };
    Desk::start(DeskConfig { whatsapp, ..DeskConfig::default() }).await.unwrap()
}

/// No call may be left over; then everything stops.
async fn close(desk: Desk) {
    let mut tick = interval(Duration::from_millis(20));
    let idle = async {
        while desk.bridge.calls() > 0 {
            tick.tick().await;
        }
    };
    timeout(Duration::from_secs(5), idle).await.expect("a call is left over");
    desk.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_calls_are_good() {
    let desk = desk(None).await;
    for report in runner::demonstrate(&desk, None).await {
        assert!(report.is_good(), "{}: {:?}", report.title, report.faults);
        assert_eq!(report.ways.len(), 2);
    }
    close(desk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_tone_is_found() {
    let fault = Some(Fault::WrongTone);
    let desk = desk(fault).await;
    let report = runner::from_whatsapp(&desk, fault).await;
    let expected = "the PBX phone heard 700 Hz (100 % of the sound), a tone of 440 Hz was sent";
    assert!(!report.is_good() && report.faults.contains(&expected.to_owned()), "{:?}", report.faults);
    close(desk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_found() {
    let desk = desk(Some(Fault::Silence)).await;
    let report = runner::to_whatsapp(&desk).await;
    let expected = "the PBX phone heard nothing, a tone of 440 Hz was sent";
    assert!(!report.is_good() && report.faults.contains(&expected.to_owned()), "{:?}", report.faults);
    close(desk).await;
}
