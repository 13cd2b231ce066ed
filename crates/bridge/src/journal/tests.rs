//! The journal on good disks and bad ones.
#![allow(clippy::disallowed_methods, reason = "a thread is waited for")]

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use redb::{Builder, Database, StorageBackend};

use super::entry::tests::entry;
use super::*;

/// A disk that can be full, hang, or be cut off; it outlives the journals that are on it.
#[derive(Clone, Debug, Default)]
struct Disk {
    bytes: Arc<Mutex<Vec<u8>>>,
    is_full: Arc<AtomicBool>,
    hangs: Arc<AtomicBool>,
    syncs: Arc<AtomicU32>,
}

impl Disk {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().expect("bytes")
    }

    fn room(&self) -> io::Result<()> {
        while self.hangs.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        if self.is_full.load(Ordering::Relaxed) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let at = offset as usize;
        out.copy_from_slice(self.bytes().get(at..at + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.room()?;
        self.bytes().resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        // As a good SSD does.
        std::thread::sleep(Duration::from_millis(1));
        self.room()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.room()?;
        let at = offset as usize;
        self.bytes()[at..at + data.len()].copy_from_slice(data);
        Ok(())
    }
}

impl store::Place for Disk {
    fn open(&self) -> Result<Database, Failure> {
        Ok(Builder::new().create_with_backend(self.clone())?)
    }

    fn set_aside(&self) -> io::Result<PathBuf> {
        self.bytes().clear();
        Ok("aside".into())
    }
}

fn name(text: &str) -> Instance {
    text.parse().expect("a name")
}

async fn on_disk(disk: &Disk) -> (Journal, Former, Later, Arc<Alarms>) {
    let alarms = Arc::new(Alarms::default());
    let opened =
        Journal::open_at(disk.clone(), "disk".to_owned(), None, name("fresh"), Arc::clone(&alarms)).await;
    let (journal, former, later) = opened.expect("nobody else has it");
    (journal, former, later, alarms)
}

async fn in_file(path: &Path, fresh: &str) -> Result<(Journal, Former), Locked> {
    let alarms = Arc::new(Alarms::default());
    let (journal, former, _) = Journal::open(path.to_owned(), None, name(fresh), alarms).await?;
    Ok((journal, former))
}

/// What a process that starts now would find on the disk.
async fn found(disk: &Disk) -> Former {
    let copy = Disk { bytes: Arc::new(Mutex::new(disk.bytes().clone())), ..Disk::default() };
    on_disk(&copy).await.1
}

fn records(former: &Former) -> Vec<Vec<u8>> {
    former.legs.iter().map(|(_, record)| record.clone()).collect()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < limit, "waited for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn texts(alarms: &Alarms) -> Vec<String> {
    alarms.active().into_iter().map(|(_, _, text)| text).collect()
}

#[tokio::test]
async fn what_stood_behind_a_barrier_is_found_after_a_crash() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, copy) = (folder.path().join("a.redb"), folder.path().join("b.redb"));
    let (journal, former) = in_file(&path, "first").await.expect("free");
    assert!(former.is_empty());
    let unidentified = Entry { wacid: None, ..entry(2) };
    for entry in [&entry(1), &unidentified, &entry(3)] {
        journal.put(entry);
    }
    journal.remove(&entry(3).mark.call);
    journal.leg(LegId(1), Some(&[1]));
    journal.leg(LegId(2), Some(&[2]));
    journal.leg(LegId(1), Some(&[3]));
    journal.leg(LegId(2), None);
    journal.barrier().await;
    // The process is gone at this moment.
    std::fs::copy(&path, &copy).expect("copied");
    let (later, former) = in_file(&copy, "second").await.expect("free");
    assert_eq!(former.calls, [entry(1), unidentified]);
    assert_eq!(records(&former), [vec![3]]);
    assert_eq!(later.instance(), &name("first"), "the name is the same in every life");
}

#[tokio::test]
async fn what_is_open_stays_open_until_it_is_removed_however_often_the_bridge_crashes() {
    let disk = Disk::default();
    let (journal, ..) = on_disk(&disk).await;
    journal.put(&entry(1));
    journal.put(&entry(2));
    journal.barrier().await;
    for _ in 0..3 {
        assert_eq!(found(&disk).await.calls, [entry(1), entry(2)]);
    }
    journal.close().await;
    let (journal, former, ..) = on_disk(&disk).await;
    assert_eq!(former.calls, [entry(1), entry(2)]);
    journal.remove(&entry(1).mark.call);
    journal.barrier().await;
    assert_eq!(found(&disk).await.calls, [entry(2)]);
}

#[tokio::test]
async fn calls_that_come_together_share_their_fsyncs() {
    let disk = Disk::default();
    let (journal, ..) = on_disk(&disk).await;
    journal.barrier().await;
    let before = disk.syncs.load(Ordering::Relaxed);
    for number in 0..200 {
        journal.put(&entry(number));
    }
    journal.barrier().await;
    let syncs = disk.syncs.load(Ordering::Relaxed) - before;
    assert!(syncs <= 20, "{syncs} fsyncs for 200 calls");
    assert_eq!(found(&disk).await.calls.len(), 200);
}

#[tokio::test]
async fn on_a_full_disk_calls_go_on_with_an_alarm_until_there_is_room() {
    let disk = Disk::default();
    let (journal, _, _, alarms) = on_disk(&disk).await;
    journal.put(&entry(1));
    journal.barrier().await;
    disk.is_full.store(true, Ordering::Relaxed);
    journal.put(&entry(2));
    journal.barrier().await;
    until("the alarm", || texts(&alarms).iter().any(|text| text.contains("free space on that disk"))).await;
    // From now on nobody waits.
    let begun = Instant::now();
    journal.put(&entry(3));
    journal.barrier().await;
    assert!(begun.elapsed() < Duration::from_millis(200));
    journal.remove(&entry(1).mark.call);
    disk.is_full.store(false, Ordering::Relaxed);
    until("the end of the alarm", || texts(&alarms).is_empty()).await;
    journal.barrier().await;
    assert_eq!(found(&disk).await.calls, [entry(2), entry(3)], "all is written again");
}

#[tokio::test]
async fn a_disk_that_hangs_holds_a_call_up_for_a_short_time_only() {
    let disk = Disk::default();
    let (journal, _, _, alarms) = on_disk(&disk).await;
    journal.barrier().await;
    disk.hangs.store(true, Ordering::Relaxed);
    journal.put(&entry(1));
    let begun = Instant::now();
    journal.barrier().await;
    assert!((BARRIER..BARRIER * 4).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    assert!(texts(&alarms)[0].contains("look at that disk"), "{alarms:?}");
    disk.hangs.store(false, Ordering::Relaxed);
    until("the end of the alarm", || texts(&alarms).is_empty()).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_at_the_start_is_read_when_it_can() {
    let disk = Disk::default();
    let (journal, ..) = on_disk(&disk).await;
    journal.put(&entry(1));
    journal.leg(LegId(7), Some(&[7]));
    journal.close().await;
    disk.is_full.store(true, Ordering::Relaxed);
    let (journal, former, mut later, alarms) = on_disk(&disk).await;
    assert!(former.is_empty() && !texts(&alarms).is_empty());
    journal.put(&entry(2));
    journal.leg(LegId(1), Some(&[1]));
    disk.is_full.store(false, Ordering::Relaxed);
    let former = later.found().await.expect("it can be read now");
    assert_eq!((records(&former), former.calls), (vec![vec![7]], vec![entry(1)]));
    until("the end of the alarm", || texts(&alarms).is_empty()).await;
    let both = found(&disk).await;
    assert_eq!((both.calls.len(), both.legs.len()), (2, 2));
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_an_alarm_with_a_remedy() {
    let alarms = Arc::new(Alarms::default());
    let path = PathBuf::from("/proc/none/wa-bridge.redb");
    let opened = Journal::open(path, None, name("fresh"), Arc::clone(&alarms)).await;
    let (journal, former, _) = opened.expect("calls go on");
    assert!(former.is_empty());
    journal.put(&entry(1));
    journal.barrier().await;
    assert!(texts(&alarms)[0].contains("/proc/none/wa-bridge.redb"), "{alarms:?}");
    assert!(texts(&alarms)[0].contains("journal.path"), "{alarms:?}");
}

#[tokio::test]
async fn a_second_instance_is_refused_and_told_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.redb");
    let (journal, _) = in_file(&path, "first").await.expect("free");
    let refused = in_file(&path, "second").await.map(|_| ()).expect_err("locked").to_string();
    for part in ["journal.path", "a.redb", "another process", "stop the other instance"] {
        assert!(refused.contains(part), "{refused}");
    }
    journal.close().await;
    in_file(&path, "second").await.expect("free again");
}

#[tokio::test]
async fn a_broken_file_is_moved_aside_and_a_new_one_begun() {
    for text in ["no database at all".repeat(1000), "short".to_owned()] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.redb");
        std::fs::write(&path, &text).expect("written");
        let (journal, former) = in_file(&path, "first").await.expect("free");
        assert!(former.is_empty());
        let aside = folder.path().join("a.redb.broken-0");
        assert_eq!(std::fs::read_to_string(aside).expect("kept"), text);
        journal.put(&entry(1));
        journal.close().await;
        assert_eq!(in_file(&path, "second").await.expect("free").1.calls, [entry(1)]);
    }
}

#[tokio::test]
async fn a_file_cut_off_or_scrambled_anywhere_breaks_no_start() {
    let disk = Disk::default();
    let (journal, ..) = on_disk(&disk).await;
    (0..50).for_each(|number| journal.put(&entry(number)));
    journal.close().await;
    let good = disk.bytes().clone();
    for step in 1..24 {
        let at = good.len() * step / 24;
        let mut scrambled = good.clone();
        for (offset, byte) in scrambled[at - 600..at].iter_mut().enumerate() {
            *byte = byte.wrapping_mul(31).wrapping_add(offset as u8);
        }
        for bytes in [good[..at].to_vec(), scrambled] {
            let disk = Disk { bytes: Arc::new(Mutex::new(bytes)), ..Disk::default() };
            let (journal, ..) = on_disk(&disk).await;
            journal.put(&entry(99));
            journal.close().await;
            assert!(found(&disk).await.calls.contains(&entry(99)), "at {at}");
        }
    }
}

#[tokio::test]
async fn a_leg_of_a_former_life_keeps_its_row_until_it_is_over() {
    let disk = Disk::default();
    let (journal, ..) = on_disk(&disk).await;
    for leg in [1, 2, 3] {
        journal.leg(LegId(leg), Some(&[leg as u8]));
    }
    journal.close().await;
    let (journal, former, ..) = on_disk(&disk).await;
    assert_eq!(records(&former), [vec![1], vec![2], vec![3]]);
    for ((row, _), leg) in former.legs.iter().zip([4, 6, 8]) {
        journal.take_over(*row, LegId(leg));
    }
    // Leg 1 of this life is another one; of what was leg 1 nothing is heard yet.
    journal.leg(LegId(1), Some(&[9]));
    journal.leg(LegId(6), Some(&[22]));
    journal.leg(LegId(8), Some(&[3]));
    journal.leg(LegId(8), None);
    journal.barrier().await;
    assert_eq!(records(&found(&disk).await), [vec![1], vec![22], vec![9]]);
}

#[tokio::test]
async fn without_a_journal_nothing_is_waited_for() {
    let journal = Journal::none(name("a"));
    journal.put(&entry(1));
    journal.barrier().await;
    journal.close().await;
    assert_eq!(journal.instance(), &name("a"));
}

/// What a call costs: written before it is asked for, known by its id, over; and the same of its leg.
#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_calls_begin_and_end_in_a_second() {
    const CALLS: u8 = 250;
    let folder = tempfile::tempdir().expect("a folder");
    let (journal, _) = in_file(&folder.path().join("a.redb"), "first").await.expect("free");
    let begun = Instant::now();
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..CALLS {
        let journal = journal.clone();
        calls.spawn(async move {
            let (leg, kept) = (LegId(u64::from(number)), entry(number));
            journal.leg(leg, Some(&[number; 600]));
            journal.put(&Entry { wacid: None, ..kept.clone() });
            let asked = Instant::now();
            journal.barrier().await;
            let waited = asked.elapsed();
            journal.put(&kept);
            journal.leg(leg, None);
            journal.remove(&kept.mark.call);
            waited
        });
    }
    let waits = calls.join_all().await;
    journal.barrier().await;
    let took = begun.elapsed();
    let longest = waits.iter().max().expect("some");
    println!("{CALLS} calls in {took:?}, the longest wait before connect {longest:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
}
