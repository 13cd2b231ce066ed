//! The file of the records on a disk.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::log::{Storage, is_ending};

/// Its owner writes, its group reads: a record names people.
const MODE: u32 = 0o640;
/// How often a file is opened that another writer takes away meanwhile.
const TRIES: usize = 3;
/// How much is looked at for the last line end, at a time.
const BLOCK: usize = 4096;

/// The file at a path.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    file: Option<File>,
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    fn file(&self) -> io::Result<&File> {
        self.file.as_ref().ok_or_else(|| io::Error::other("the file is not open"))
    }

    fn opened(&self) -> io::Result<File> {
        let file = OpenOptions::new().read(true).append(true).create(true).mode(MODE).open(&self.path)?;
        let is_file = file.metadata()?.is_file();
        if is_file { Ok(file) } else { Err(io::Error::other("is no regular file")) }
    }

    /// Whether the path still names this file: it may be deleted or renamed.
    fn is_current(&self, file: &File) -> io::Result<bool> {
        let ours = file.metadata()?;
        match fs::metadata(&self.path) {
            Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes the oldest of the full files but so many.
    fn clear(&self, keep: usize) -> io::Result<()> {
        let name = self.path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut full = Vec::new();
        for entry in fs::read_dir(folder.unwrap_or(Path::new(".")))? {
            let entry = entry?;
            let found = entry.file_name();
            let rest = found.to_str().and_then(|found| found.strip_prefix(name)?.strip_prefix('.'));
            if rest.is_some_and(is_ending) {
                full.push(entry.path());
            }
        }
        full.sort();
        let old = full.len().saturating_sub(keep);
        full.iter().take(old).try_for_each(fs::remove_file)
    }

    fn free_name(&self, ending: &str) -> PathBuf {
        let with = |ending: &str| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{ending}"));
            PathBuf::from(name)
        };
        let others = (2..).map(|number| with(&format!("{ending}-{number}")));
        std::iter::once(with(ending))
            .chain(others)
            .find(|path| !path.exists())
            .unwrap_or_else(|| with(ending))
    }
}

impl Storage for Folder {
    fn open(&mut self) -> io::Result<u64> {
        for _ in 0..TRIES {
            let file = match self.file.take() {
                Some(file) => file,
                None => self.opened()?,
            };
            // A version of this program that drains may write too. Where files can't be locked, lines
            // are still appended whole.
            if let Err(TryLockError::WouldBlock) = file.try_lock() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            if self.is_current(&file)? {
                let length = file.metadata()?.len();
                self.file = Some(file);
                return Ok(length);
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn whole(&mut self) -> io::Result<u64> {
        let file = self.file()?;
        let mut end = file.metadata()?.len();
        let mut block = [0; BLOCK];
        while end > 0 {
            let start = end.saturating_sub(BLOCK as u64);
            let size = usize::try_from(end - start).unwrap_or(BLOCK);
            let block = block.get_mut(..size).unwrap_or_default();
            file.read_exact_at(block, start)?;
            if let Some(at) = block.iter().rposition(|byte| *byte == b'\n') {
                return Ok(start + at as u64 + 1);
            }
            end = start;
        }
        Ok(0)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file()?.write(bytes)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file()?.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file()?.sync_data()
    }

    fn rotate(&mut self, ending: &str, keep: usize) -> io::Result<()> {
        fs::rename(&self.path, self.free_name(ending))?;
        self.file = None;
        if keep > 0
            && let Err(error) = self.clear(keep)
        {
            tracing::warn!(%error, "old files of records can't be deleted");
        }
        Ok(())
    }

    fn release(&mut self) {
        if let Some(file) = &self.file {
            // Not locked where files can't be.
            let _ = file.unlock();
        }
    }

    fn close(&mut self) {
        self.file = None;
    }
}
