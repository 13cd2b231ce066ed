//! A crash with calls by TCP: the connections are gone, and the next life opens new ones to where the peer listens.

use sip_core::{Command, Event, LegEvent, LegRecord, Notice, Rejection, Reply, Transport};
use tokio::time::timeout;

use crate::common::*;

const TCP: &[(Transport, &str)] = &[(Transport::Tcp, "127.0.0.1:0")];

/// Takes notices until this event of a leg; keeps the last record.
async fn until(b: &mut Running, wanted: impl Fn(&Event) -> bool, record: &mut Option<LegRecord>) -> LegEvent {
    loop {
        match timeout(PATIENCE, b.events.recv()).await.expect("no event came").expect("the driver ended") {
            Notice::Record { record: new, .. } => *record = new,
            Notice::Leg(event) if wanted(&event.event) => return event,
            _ => {}
        }
    }
}

/// Waits for a record, or for the end of it.
async fn recorded(b: &mut Running) -> Option<LegRecord> {
    match timeout(PATIENCE, b.events.recv()).await.expect("no notice came").expect("the driver ended") {
        Notice::Record { record, .. } => record,
        other => panic!("{other:?}"),
    }
}

/// The next life listens where the last one did: the peer's ACK goes there.
async fn crash(b: Running, record: &LegRecord) -> Running {
    let address = b.address().to_string();
    b.driver.abort();
    let _ = b.driver.await;
    let next = run(config(3, &[(Transport::Tcp, &address)])).await;
    let record = LegRecord::from_bytes(record.as_bytes()).unwrap();
    let headers = vec![("Reason".to_owned(), "SIP;cause=503".to_owned())];
    next.sip.send(Command::Recover { leg: next.sip.new_leg(), record, headers }).await;
    next
}

/// A calls B, which crashes in the middle of the call, or as it rings.
async fn called(answered: bool) -> (Running, Running) {
    let (a, mut b) = (run(config(1, TCP)).await, {
        let mut config = config(2, TCP);
        config.record = true;
        run(config).await
    });
    let leg = a.sip.new_leg();
    let there = flow(Transport::Tcp, 0, b.address());
    a.sip.send(Command::Invite { leg, invite: invite(there) }).await;
    let mut record = None;
    let theirs = until(&mut b, |event| matches!(event, Event::Invite { .. }), &mut record).await.leg;
    record = recorded(&mut b).await;
    if answered {
        b.sip.send(Command::Respond { leg: theirs, reply: Reply::new(200) }).await;
        until(&mut b, |event| matches!(event, Event::Acked { .. }), &mut record).await;
        record = recorded(&mut b).await;
    }
    let next = crash(b, &record.expect("no record")).await;
    (a, next)
}

#[tokio::test]
async fn the_bye_of_the_next_life_comes_by_a_connection_of_its_own() {
    let (mut a, mut next) = called(true).await;
    assert!(matches!(a.next().await.event, Event::Answered(_)));
    assert_eq!(a.next().await.event, Event::Bye { reason: Some("SIP;cause=503".into()) });
    assert_eq!(a.sip.counters().connections_in, 1);
    assert!(recorded(&mut next).await.is_some());
    assert_eq!(recorded(&mut next).await, None);
}

#[tokio::test]
async fn the_503_of_the_next_life_comes_by_a_connection_of_its_own() {
    let (mut a, mut next) = called(false).await;
    match a.next().await.event {
        Event::Rejected(Rejection::Response(response)) => assert_eq!(response.status, 503),
        other => panic!("{other:?}"),
    }
    assert!(recorded(&mut next).await.is_some());
    assert_eq!(recorded(&mut next).await, None, "its ACK came");
}
