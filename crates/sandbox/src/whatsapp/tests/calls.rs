//! Good calls, both ways, through the one port.

use std::sync::Arc;
use std::time::Duration;

use super::peer::{Bridge, LIMIT, Leg, connect_request, level};
use crate::whatsapp::hub::lock;
use crate::whatsapp::user::Notice;
use crate::whatsapp::{
    Behaviour, CallHandle, CallState, DtlsSetup, MediaState, Party, Pickup, UserCall, WhatsAppConfig,
};

const TALK: Duration = Duration::from_millis(1500);

fn assert_heard(call: &CallHandle, leg: &Leg, theirs: f64, ours: f64) {
    let heard = call.heard();
    assert!(level(heard.tail(0.5), theirs) > 5_000.0, "the user hears {theirs} Hz");
    assert!(level(heard.tail(0.5), ours) < 500.0, "the user does not hear {ours} Hz");
    let phone = lock(&leg.phone);
    assert!(level(phone.recording().tail(0.5), ours) > 5_000.0, "the business hears {ours} Hz");
    assert!(level(phone.recording().tail(0.5), theirs) < 500.0, "the business does not hear {theirs} Hz");
    assert_eq!(call.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_calls_and_both_hear_each_other() {
    let mut bridge = Bridge::start(|_| ()).await;
    let caller =
        UserCall { tone_hz: 600.0, cta_payload: Some("button".into()), ..UserCall::new("4915550001", "Ada") };
    let call = bridge.whatsapp.call_business(caller).unwrap();
    let hook = bridge.hook("connect").await;
    assert!(hook.signed);
    assert_eq!(hook.call()["session"]["sdp_type"], "offer");
    assert_eq!(hook.call()["direction"], "USER_INITIATED");
    assert_eq!(hook.call()["cta_payload"], "button");
    assert_eq!(hook.body["entry"][0]["changes"][0]["value"]["contacts"][0]["profile"]["name"], "Ada");
    let mut leg = Leg::new(bridge.whatsapp.media_addr(), 1_000.0).await;
    assert!(!leg.check(hook.sdp(), false).await, "checks are answered before pre_accept");
    let answer = leg.sdp("active");
    bridge.act("pre_accept", call.wacid(), Some(&answer)).await;
    leg.secure(hook.sdp(), true).await.unwrap();
    call.wait_media(MediaState::Secured, LIMIT).await.unwrap();
    bridge.act("accept", call.wacid(), Some(&answer)).await;
    call.wait_for(CallState::Accepted, LIMIT).await.unwrap();
    // Ten frames in which it could speak: it must not before it has heard us.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(call.sent_packets(), 0, "WhatsApp speaks first");
    lock(&leg.phone).press("1234#");
    call.send_digits("*90");
    leg.speak(TALK).await;
    assert_heard(&call, &leg, 1_000.0, 600.0);
    assert_eq!((call.digits().as_str(), lock(&leg.phone).digits()), ("1234#", "*90"));
    let bad: Vec<Notice> =
        lock(&leg.notices).drain(..).filter(|notice| matches!(notice, Notice::Violation(_))).collect();
    assert_eq!(bad, []);
    bridge.act("terminate", call.wacid(), None).await;
    let hook = bridge.hook("terminate").await;
    assert_eq!(hook.call()["status"], "COMPLETED");
    assert!(hook.call()["duration"].is_u64() && hook.call()["start_time"].is_string(), "{}", hook.body);
    assert_eq!(call.end().unwrap().by, Party::Business);
    let ladder = bridge.whatsapp.ladder().print("4915550001");
    for label in [
        "webhook connect",
        "POST pre_accept",
        "STUN nominates",
        "DTLS up",
        "first sound",
        "digit #",
        "POST terminate",
    ] {
        assert!(ladder.contains(label), "{label} is missing:\n{ladder}");
    }
    println!("{ladder}");
}

fn answering(
    config: &mut WhatsAppConfig,
    setup: DtlsSetup,
    tone: impl Fn(&str) -> f64 + Send + Sync + 'static,
) {
    config.directory = Arc::new(move |number| Behaviour {
        pickup: Pickup::After(Duration::from_millis(100)),
        setup,
        tone_hz: tone(number),
        ..Behaviour::default()
    });
}

async fn business_call(setup: DtlsSetup, we_are_client: bool) {
    let mut bridge = Bridge::start(|config| answering(config, setup, |_| 700.0)).await;
    let mut leg = Leg::new(bridge.whatsapp.media_addr(), 1_000.0).await;
    let (status, reply) = bridge.graph(connect_request("4915550002", &leg.sdp("actpass"))).await;
    assert_eq!(status, 200, "{reply}");
    let call = bridge.whatsapp.call_to("4915550002").await;
    assert_eq!(reply["calls"][0]["id"], call.wacid());
    let hook = bridge.hook("connect").await;
    assert_eq!(hook.call()["session"]["sdp_type"], "answer");
    leg.secure(hook.sdp(), we_are_client).await.unwrap();
    for what in ["RINGING", "ACCEPTED"] {
        let hook = bridge.hook(what).await;
        assert_eq!(hook.status()["id"], call.wacid());
        assert_eq!(hook.status()["biz_opaque_callback_data"], "data of 4915550002");
    }
    leg.speak(TALK).await;
    assert_heard(&call, &leg, 1_000.0, 700.0);
    call.hang_up();
    let hook = bridge.hook("terminate").await;
    assert_eq!(hook.call()["biz_opaque_callback_data"], "data of 4915550002");
    assert_eq!(call.end().unwrap().by, Party::User);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_active_answer_makes_whatsapp_the_dtls_client() {
    business_call(DtlsSetup::Active, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passive_answer_makes_it_the_server() {
    business_call(DtlsSetup::Passive, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_illegal_actpass_answer_it_is_the_client() {
    business_call(DtlsSetup::ActPass, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_calls_through_one_port_keep_apart() {
    let tone = |number: &str| 400.0 + 150.0 * f64::from(number.as_bytes()[9] - b'0');
    let mut bridge = Bridge::start(|config| answering(config, DtlsSetup::Active, tone)).await;
    let target = bridge.whatsapp.media_addr();
    let mut legs = Vec::new();
    for index in 0..5_u8 {
        let leg = Leg::new(target, 1_300.0 + 150.0 * f64::from(index)).await;
        let number = format!("491555000{index}");
        assert_eq!(bridge.graph(connect_request(&number, &leg.sdp("actpass"))).await.0, 200);
        let call = bridge.whatsapp.call_to(&number).await;
        legs.push((leg, call));
    }
    let mut answers = Vec::new();
    while answers.len() < 5 {
        let hook = tokio::time::timeout(LIMIT, bridge.hooks.recv()).await.unwrap().unwrap();
        if hook.what() == "connect" {
            answers.push((hook.call()["id"].as_str().unwrap().to_owned(), hook.sdp().to_owned()));
        }
    }
    let talks = legs.into_iter().map(|(mut leg, call)| {
        let sdp = answers.iter().find(|(id, _)| id == call.wacid()).unwrap().1.clone();
        tokio::spawn(async move {
            leg.secure(&sdp, false).await.unwrap();
            call.wait_for(CallState::Accepted, LIMIT).await.unwrap();
            leg.speak(TALK).await;
            (leg, call)
        })
    });
    for talk in talks.collect::<Vec<_>>() {
        let (leg, call) = talk.await.unwrap();
        let index = f64::from(call.number().as_bytes()[9] - b'0');
        assert_heard(&call, &leg, 1_300.0 + 150.0 * index, 400.0 + 150.0 * index);
        let heard = lock(&leg.phone).recording().tail(0.5).to_vec();
        for other in (0..5).map(f64::from).filter(|other| *other != index) {
            assert!(level(&heard, 400.0 + 150.0 * other) < 500.0, "another call is heard");
        }
    }
}

#[tokio::test]
async fn everything_ends_with_it() {
    let before = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let mut bridge = Bridge::start(|_| ()).await;
    let call = bridge.whatsapp.call_business(UserCall::new("4915550003", "Bob")).unwrap();
    let hook = bridge.hook("connect").await;
    let mut leg = Leg::new(bridge.whatsapp.media_addr(), 440.0).await;
    bridge.act("accept", call.wacid(), Some(&leg.sdp("active"))).await;
    leg.secure(hook.sdp(), true).await.unwrap();
    let address = bridge.whatsapp.media_addr();
    drop((leg, call, bridge));
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let ended = async {
        while alive() > before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, ended).await.expect("tasks are left");
    std::net::UdpSocket::bind(address).expect("the port is free again");
}

#[tokio::test]
async fn a_user_without_a_number_is_named_by_the_bsuid_only() {
    let mut bridge = Bridge::start(|_| ()).await;
    let offer = Leg::new(bridge.whatsapp.media_addr(), 440.0).await.sdp("actpass");
    let bsuid = "US.ENT.AbC123";
    let mut request = connect_request("", &offer);
    request["recipient"] = bsuid.into();
    request.as_object_mut().unwrap().remove("to");
    assert_eq!(bridge.graph(request).await.0, 200);
    let hook = bridge.hook("connect").await;
    assert_eq!((&hook.call()["to_user_id"], &hook.call()["to"]), (&bsuid.into(), &serde_json::Value::Null));
    let hook = bridge.hook("RINGING").await;
    assert_eq!(hook.status()["recipient_user_id"], bsuid);
    assert!(hook.status()["recipient_id"].is_null());
}
