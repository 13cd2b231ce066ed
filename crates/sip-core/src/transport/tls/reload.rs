//! What is made of files, made again when they have changed. A file is looked at whenever its product is wanted, which
//! is once a connection.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// Tells one state of a file from another; `None` while it cannot be looked at.
type Stamp = Option<(SystemTime, u64)>;

pub(crate) struct Reload<T> {
    files: Vec<PathBuf>,
    make: Box<dyn Fn() -> io::Result<T> + Send + Sync>,
    made: Mutex<(Vec<Stamp>, Arc<T>)>,
}

impl<T> fmt::Debug for Reload<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reload").field("files", &self.files).finish_non_exhaustive()
    }
}

impl<T> Reload<T> {
    /// Makes it for the first time.
    pub(crate) fn new(
        files: Vec<PathBuf>,
        make: impl Fn() -> io::Result<T> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let stamps = stamps(&files);
        let made = Arc::new(make()?);
        Ok(Self { files, make: Box::new(make), made: Mutex::new((stamps, made)) })
    }

    /// What the files say now; what they said before as long as they make no sense.
    pub(crate) fn current(&self) -> Arc<T> {
        let stamps = stamps(&self.files);
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.0 != stamps {
            match (self.make)() {
                Ok(new) => {
                    tracing::info!(files = ?self.files, "TLS files read again");
                    made.1 = Arc::new(new);
                }
                Err(error) => tracing::warn!(%error, "changed TLS files cannot be used; the old ones stay"),
            }
            made.0 = stamps;
        }
        Arc::clone(&made.1)
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |path: &PathBuf| {
        let about = std::fs::metadata(path).ok()?;
        Some((about.modified().ok()?, about.len()))
    };
    files.iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_changed_file_is_read_again_and_a_bad_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        fs::write(&path, "1").unwrap();
        let file = path.clone();
        let make = move || fs::read_to_string(&file)?.parse::<u32>().map_err(io::Error::other);
        let number = Reload::new(vec![path.clone()], make).unwrap();
        assert_eq!(*number.current(), 1);
        fs::write(&path, "22").unwrap();
        assert_eq!(*number.current(), 22);
        for bad in ["none", ""] {
            fs::write(&path, bad).unwrap();
            assert_eq!(*number.current(), 22);
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(*number.current(), 22);
        fs::write(&path, "333").unwrap();
        assert_eq!(*number.current(), 333);
    }

    #[test]
    fn what_cannot_be_made_at_first_is_an_error() {
        assert!(Reload::<u8>::new(vec![], || Err(io::ErrorKind::InvalidInput.into())).is_err());
    }
}
