use super::super::folder::Folder;
use super::super::queue::Queue;
use super::*;

/// 2026-11-22T05:25:58Z.
const WALL: Duration = Duration::from_secs(1_795_325_158);

/// A disk with room for so many bytes.
#[derive(Debug, Default)]
struct Disk {
    content: Vec<u8>,
    room: usize,
    /// How many more times `sync` fails.
    sync_fails: usize,
    full: Vec<(String, Vec<u8>)>,
    rotation_fails: bool,
}

impl Storage for Disk {
    fn open(&mut self) -> io::Result<u64> {
        Ok(self.content.len() as u64)
    }

    fn whole(&mut self) -> io::Result<u64> {
        let end = self.content.iter().rposition(|byte| *byte == b'\n');
        Ok(end.map_or(0, |at| at as u64 + 1))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.room - self.content.len());
        if count == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.content.extend(&bytes[..count]);
        Ok(count)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.content.truncate(usize::try_from(length).expect("small"));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.sync_fails > 0 {
            self.sync_fails -= 1;
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn rotate(&mut self, ending: &str, _: usize) -> io::Result<()> {
        if self.rotation_fails {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.full.push((ending.to_owned(), std::mem::take(&mut self.content)));
        Ok(())
    }

    fn release(&mut self) {}

    fn close(&mut self) {}
}

impl Disk {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.content).expect("UTF-8")
    }
}

fn line(number: usize) -> String {
    format!("{{\"call\":{number}}}\n")
}

fn lines(numbers: std::ops::Range<usize>) -> Vec<Arc<[u8]>> {
    numbers.map(|number| line(number).into_bytes().into()).collect()
}

fn text(numbers: std::ops::Range<usize>) -> String {
    numbers.map(line).collect()
}

fn log(room: usize) -> Log<Disk> {
    Log::new(Disk { room, ..Disk::default() }, RecordFormat::Json, None, 0)
}

/// What a disk without room holds up waits in memory, and is there in order when there is room again.
#[test]
fn failure_28_no_record_is_lost_or_broken_while_the_disk_is_full() {
    for room in 0..120 {
        let (mut log, mut queue) = (log(room), Queue::default());
        let write = |log: &mut Log<Disk>, queue: &mut Queue| {
            let (from, batch) = queue.batch(7);
            let (count, result) = log.write(WALL, &batch);
            queue.written(from, count);
            result
        };
        for number in 0..100 {
            queue.push(line(number).into_bytes());
            let result = write(&mut log, &mut queue);
            assert_eq!(result.is_err(), queue.len() > 0, "an error is told as long as something waits");
            let whole = log.storage.text();
            assert!(whole.is_empty() || whole.ends_with('\n'), "a broken line with room for {room}: {whole}");
        }
        assert!(queue.len() > 80);
        log.storage.room = usize::MAX;
        while queue.len() > 0 {
            write(&mut log, &mut queue).expect("there is room");
        }
        assert_eq!(log.storage.text(), text(0..100));
        assert!(
            log.storage.text().lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok())
        );
    }
}

#[test]
fn what_did_not_come_to_the_disk_is_written_again_and_once() {
    let mut log = log(usize::MAX);
    log.storage.sync_fails = 1;
    let (count, result) = log.write(WALL, &lines(0..3));
    assert!(count == 0 && result.is_err());
    assert_eq!(log.storage.text(), "");
    let (count, result) = log.write(WALL, &lines(0..3));
    assert!(count == 3 && result.is_ok());
    assert_eq!(log.storage.text(), text(0..3));
}

#[test]
fn a_line_that_a_crash_has_broken_is_cut_off() {
    let mut log = log(usize::MAX);
    log.storage.content = format!("{}{{\"call\":1", line(0)).into_bytes();
    log.write(WALL, &lines(1..2)).1.expect("written");
    assert_eq!(log.storage.text(), text(0..2));
    log.storage.content = b"{\"ca".to_vec();
    log.write(WALL, &lines(0..1)).1.expect("written");
    assert_eq!(log.storage.text(), text(0..1));
}

#[test]
fn every_file_of_csv_begins_with_the_names_and_only_once() {
    let mut log = Log::new(Disk { room: usize::MAX, ..Disk::default() }, RecordFormat::Csv, Some(1), 0);
    let head = String::from_utf8(RecordFormat::Csv.head()).expect("UTF-8");
    log.write(WALL, &[]).1.expect("written");
    log.write(WALL, &lines(0..1)).1.expect("written");
    assert_eq!(log.storage.text(), format!("{head}{}", line(0)));
    log.write(WALL, &lines(1..2)).1.expect("written");
    assert_eq!(log.storage.text(), format!("{head}{}", line(1)));
    assert_eq!(log.storage.full.len(), 1, "a file with nothing but the names is not full");
    // There is room for a part of the names only.
    let mut log = Log::new(Disk { room: 10, ..Disk::default() }, RecordFormat::Csv, None, 0);
    assert!(log.write(WALL, &lines(0..1)).1.is_err());
    assert_eq!(log.storage.text(), "");
}

#[test]
fn a_full_file_gives_way_to_another_and_no_line_is_cut() {
    let size = u64::try_from(line(0).len()).expect("small");
    let mut log = log(usize::MAX);
    log.rotate = Some(3 * size);
    let (count, result) = log.write(WALL, &lines(0..8));
    assert!(count == 8 && result.is_ok());
    let full: Vec<_> = log.storage.full.iter().map(|(_, content)| content.clone()).collect();
    assert_eq!(full, [text(0..3).into_bytes(), text(3..6).into_bytes()]);
    assert_eq!(log.storage.text(), text(6..8));
    assert_eq!(log.storage.full[0].0, "20261122T052558Z");
    assert!(is_ending("20261122T052558Z") && is_ending("20261122T052558Z-2"));
    assert!(!is_ending("gz") && !is_ending("20261122"));
}

#[test]
fn a_file_that_cannot_be_renamed_grows_and_the_fault_is_told() {
    let mut log = log(usize::MAX);
    log.rotate = Some(1);
    log.storage.rotation_fails = true;
    let (count, result) = log.write(WALL, &lines(0..5));
    assert!(count == 5 && result.is_err());
    assert_eq!(log.storage.text(), text(0..5));
}

/// On a real disk.
mod on_disk {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn log(path: &Path) -> Log<Folder> {
        Log::new(Folder::new(path.to_owned()), RecordFormat::Json, None, 0)
    }

    fn write(log: &mut Log<Folder>, numbers: std::ops::Range<usize>) {
        let (count, result) = log.write(WALL, &lines(numbers.clone()));
        result.expect("written");
        assert_eq!(count, numbers.len());
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).expect("a file")
    }

    #[test]
    fn a_file_that_is_renamed_or_deleted_is_begun_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, other) = (folder.path().join("calls.jsonl"), folder.path().join("calls.old"));
        let mut log = log(&path);
        write(&mut log, 0..1);
        fs::rename(&path, &other).expect("renamed");
        write(&mut log, 1..2);
        fs::remove_file(&path).expect("deleted");
        write(&mut log, 2..3);
        assert_eq!((read(&other), read(&path)), (text(0..1), text(2..3)));
    }

    #[test]
    fn a_broken_line_is_found_however_long_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("calls.jsonl");
        for broken in [1, 4095, 4096, 4097, 20_000] {
            fs::write(&path, format!("{}{}", line(0), "x".repeat(broken))).expect("written");
            write(&mut log(&path), 1..2);
            assert_eq!(read(&path), text(0..2));
            fs::write(&path, "x".repeat(broken)).expect("written");
            write(&mut log(&path), 0..1);
            assert_eq!(read(&path), text(0..1));
        }
    }

    #[test]
    fn two_writers_of_one_file_do_not_disturb_each_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("calls.jsonl");
        let (mut one, mut other) = (log(&path), log(&path));
        one.rotate = Some(30);
        write(&mut one, 0..1);
        write(&mut other, 1..2);
        write(&mut one, 2..3);
        write(&mut other, 3..4);
        assert_eq!(read(&path), text(2..4), "the other one has seen that the file was turned over");
        one.storage.open().expect("locked");
        let (count, busy) = other.write(WALL, &lines(4..5));
        assert_eq!((count, busy.map_err(|error| error.kind())), (0, Err(io::ErrorKind::WouldBlock)));
    }

    #[test]
    fn only_so_many_full_files_are_kept_and_nothing_else_is_deleted() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("calls.jsonl");
        fs::write(folder.path().join("calls.jsonl.bak"), "mine").expect("written");
        let mut log = log(&path);
        (log.rotate, log.keep) = (Some(1), 2);
        for number in 0..5 {
            log.write(WALL + Duration::from_secs(number), &lines(0..1)).1.expect("written");
        }
        let mut names: Vec<_> = fs::read_dir(folder.path())
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
            .collect();
        names.sort();
        assert_eq!(
            names,
            [
                "calls.jsonl",
                "calls.jsonl.20261122T052601Z",
                "calls.jsonl.20261122T052602Z",
                "calls.jsonl.bak"
            ]
        );
        // The same second again, and all are kept.
        log.keep = 0;
        for _ in 0..2 {
            log.write(WALL + Duration::from_secs(4), &lines(0..1)).1.expect("written");
        }
        let exists = |name| folder.path().join(name).exists();
        assert!(exists("calls.jsonl.20261122T052602Z") && exists("calls.jsonl.20261122T052602Z-2"));
        assert!(exists("calls.jsonl.20261122T052602Z-3") && exists("calls.jsonl.20261122T052601Z"));
    }
}
