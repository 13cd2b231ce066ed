//! Brings lines into a file so that it never holds a broken one. Pure but for its storage.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::config::RecordFormat;

/// The file and its folder.
pub(super) trait Storage {
    /// Opens the file that the path names now, or creates it, and keeps other writers out until
    /// [`Self::release`]. Gives its length.
    fn open(&mut self) -> io::Result<u64>;
    /// The length of the file up to and with its last line end.
    fn whole(&mut self) -> io::Result<u64>;
    /// Appends; may do so with a part only.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Cuts the file off.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
    /// Brings all to the disk.
    fn sync(&mut self) -> io::Result<()>;
    /// Gives the file this ending, deletes the oldest of those that have one but so many (0: none), and
    /// closes it.
    fn rotate(&mut self, ending: &str, keep: usize) -> io::Result<()>;
    /// Lets others write.
    fn release(&mut self);
    /// Closes the file.
    fn close(&mut self);
}

/// A file of lines.
#[derive(Debug)]
pub(super) struct Log<S> {
    pub(super) storage: S,
    pub(super) head: Vec<u8>,
    /// The longest file.
    pub(super) rotate: Option<u64>,
    pub(super) keep: usize,
}

/// How far an attempt came.
#[derive(Debug, Default)]
struct Progress {
    /// Lines that are in the file.
    lines: usize,
    /// The length of the file behind them.
    length: u64,
    /// Of those, the lines that are on the disk, and the length behind them.
    safe: (usize, u64),
}

impl<S: Storage> Log<S> {
    pub(super) fn new(storage: S, format: RecordFormat, rotate: Option<u64>, keep: usize) -> Self {
        Self { storage, head: format.head(), rotate, keep }
    }

    /// Writes lines, the first ones first; gives how many are on the disk now, and what was wrong.
    /// `wall` is the time of day since 1970.
    pub(super) fn write(&mut self, wall: Duration, lines: &[Arc<[u8]>]) -> (usize, io::Result<()>) {
        let mut progress = Progress::default();
        let result = self.attempt(wall, lines, &mut progress);
        if result.is_ok() {
            self.storage.release();
        } else {
            // Whatever became of it: the next attempt looks at the path anew.
            self.storage.close();
        }
        (progress.safe.0, result)
    }

    fn attempt(&mut self, wall: Duration, lines: &[Arc<[u8]>], progress: &mut Progress) -> io::Result<()> {
        progress.length = self.begin()?;
        progress.safe.1 = progress.length;
        let mut rotated = Ok(());
        for line in lines {
            if rotated.is_ok() && self.is_full(progress.length, line) {
                self.settle(progress)?;
                // Where it can't be renamed it grows: a record is worth more than a limit.
                rotated = self.turn_over(wall, progress);
            }
            if let Err(error) = self.append(line, progress.length) {
                self.settle(progress)?;
                return Err(error);
            }
            progress.lines += 1;
            progress.length += line.len() as u64;
        }
        self.settle(progress)?;
        rotated
    }

    /// Opens the file, without the broken line that a crash may have left, and with its head.
    fn begin(&mut self) -> io::Result<u64> {
        let length = self.storage.open()?;
        let whole = self.storage.whole()?;
        if whole < length {
            self.storage.truncate(whole)?;
        }
        if whole > 0 || self.head.is_empty() {
            return Ok(whole);
        }
        let head = self.head.clone();
        self.append(&head, 0)?;
        Ok(head.len() as u64)
    }

    fn is_full(&self, length: u64, line: &[u8]) -> bool {
        let has_lines = length > self.head.len() as u64;
        self.rotate.is_some_and(|most| has_lines && length + line.len() as u64 > most)
    }

    fn turn_over(&mut self, wall: Duration, progress: &mut Progress) -> io::Result<()> {
        let rotated = self.storage.rotate(&ending(wall), self.keep);
        if rotated.is_ok() {
            progress.length = self.begin()?;
            progress.safe.1 = progress.length;
        }
        rotated
    }

    /// A whole line, or nothing of it.
    fn append(&mut self, line: &[u8], length: u64) -> io::Result<()> {
        let mut rest = line;
        while !rest.is_empty() {
            match self.storage.write(rest) {
                Ok(0) => return self.undo(length, io::ErrorKind::WriteZero.into()),
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.undo(length, error),
            }
        }
        Ok(())
    }

    /// Where even this fails, the next [`Self::begin`] finds the broken line.
    fn undo(&mut self, length: u64, error: io::Error) -> io::Result<()> {
        self.storage.truncate(length)?;
        Err(error)
    }

    /// What is in the file is on the disk; else it is taken out again, to be written once more.
    fn settle(&mut self, progress: &mut Progress) -> io::Result<()> {
        if progress.lines == progress.safe.0 {
            return Ok(());
        }
        if let Err(error) = self.storage.sync() {
            return self.undo(progress.safe.1, error);
        }
        progress.safe = (progress.lines, progress.length);
        Ok(())
    }
}

/// What a full file gets behind its name.
fn ending(wall: Duration) -> String {
    let seconds = i64::try_from(wall.as_secs()).unwrap_or(0);
    let at = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// Whether a text begins as [`ending`] writes it.
pub(super) fn is_ending(text: &str) -> bool {
    let shape = text.bytes().take(16).map(|byte| if byte.is_ascii_digit() { b'0' } else { byte });
    shape.eq(*b"00000000T000000Z")
}

#[cfg(test)]
mod tests;
