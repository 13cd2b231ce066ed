use std::fs;
use std::path::Path;

use super::*;
use crate::config::RecordFormat;

const PATIENCE: Duration = Duration::from_secs(20);

fn records(path: &Path) -> (Arc<Records>, Arc<Alarms>) {
    let alarms = Arc::new(Alarms::default());
    let settings = config::Records {
        path: Some(path.to_owned()),
        format: RecordFormat::Json,
        rotate: None,
        keep: 0,
        mask_numbers: false,
    };
    let records = Records::new(settings, Arc::clone(&alarms));
    tokio::spawn(Arc::clone(&records).run());
    (records, alarms)
}

fn record(number: usize) -> Record {
    Record { call: number.to_string(), ..Record::default() }
}

async fn wait_for(holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("in time");
}

/// The ids of the calls in the file.
fn calls(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let id = |line| {
        serde_json::from_str::<serde_json::Value>(line).expect("JSON")["call"].as_str().map(str::to_owned)
    };
    text.lines().map(|line| id(line).expect("an id")).collect()
}

/// A path below a file stands for a disk that takes nothing: nobody, not even root, can write there.
#[tokio::test]
async fn failure_28_records_wait_with_an_alarm_until_the_folder_can_be_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let blocked = folder.path().join("records");
    fs::write(&blocked, "no folder").expect("written");
    let path = blocked.join("calls.jsonl");
    let (records, alarms) = records(&path);
    for number in 0..100 {
        records.write(record(number));
    }
    wait_for(|| !alarms.active().is_empty()).await;
    let (alarm, subject, text) = alarms.active().remove(0);
    assert_eq!((alarm, subject), (Alarm::Records, path.display().to_string()));
    assert!(text.contains("wait in memory"), "{text}");
    assert_eq!(records.counts(), [("written", 0), ("waiting", 100), ("lost", 0)]);

    fs::remove_file(&blocked).expect("removed");
    fs::create_dir(&blocked).expect("a folder");
    tokio::time::timeout(PATIENCE, records.flushed()).await.expect("in time");
    assert_eq!(calls(&path), (0..100).map(|number| number.to_string()).collect::<Vec<_>>());
    wait_for(|| alarms.active().is_empty()).await;
    assert_eq!(records.counts(), [("written", 100), ("waiting", 0), ("lost", 0)]);
}

#[tokio::test]
async fn a_path_that_cannot_be_written_is_an_alarm_before_the_first_call() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_records, alarms) = records(&folder.path().join("missing/calls.jsonl"));
    wait_for(|| alarms.active().iter().any(|(alarm, ..)| *alarm == Alarm::Records)).await;
}

#[tokio::test]
async fn whats_app_tells_the_length_of_a_call_after_its_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("calls.jsonl");
    let (records, _alarms) = records(&path);
    let answered_at = Some("2026-11-22T05:25:58.123Z".to_owned());
    let wacid = Some("wacid.A".to_owned());
    records.write(Record { wacid, answered_at, whatsapp_ended: true, ..record(1) });
    records.write(record(2));
    wait_for(|| calls(&path) == ["2"]).await;
    let terminate = Terminate {
        number: "1".parse().expect("an id"),
        wacid: "wacid.A".parse().expect("an id"),
        direction: None,
        completed: true,
        start_time: Some(1_795_325_158),
        end_time: Some(1_795_325_218),
        duration: Some(60),
        errors: Vec::new(),
        callback_data: None,
        timestamp: None,
        user: wa_signaling::identity::Caller::default(),
    };
    records.terminated(&terminate);
    records.terminated(&terminate);
    wait_for(|| calls(&path) == ["2", "1"]).await;
    let text = fs::read_to_string(&path).expect("a file");
    assert!(
        text.contains("\"whatsapp_end\":\"2026-11-22T05:26:58.000Z\",\"whatsapp_duration_s\":60"),
        "{text}"
    );
}

/// The end of the program does not wait for WhatsApp's last word.
#[tokio::test]
async fn the_farewell_writes_what_still_waits() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("calls.jsonl");
    let (records, _alarms) = records(&path);
    let answered_at = Some("2026-11-22T05:25:58.123Z".to_owned());
    let wacid = Some("wacid.A".to_owned());
    records.write(Record { wacid, answered_at, whatsapp_ended: true, ..record(1) });
    let began = Instant::now();
    records.flushed().await;
    assert_eq!(calls(&path), ["1"]);
    assert!(began.elapsed() < Duration::from_secs(4));
}
