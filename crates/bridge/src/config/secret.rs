//! Secrets from the environment or a file; a file is read again when it changes.
//!
//! This is IO: it reads files and the clock.

use std::fmt;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use wa_signaling::Secret;
use wa_signaling::webhook::server::SecretSource;

/// How often a file is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Largest file taken for a secret, in bytes; tokens have some hundred.
const MAX_LEN: u64 = 16 * 1024;

/// A secret as it is now. Clones share what they know.
#[derive(Clone)]
pub struct LiveSecret(Origin);

#[derive(Clone)]
enum Origin {
    Fixed(Secret),
    File(Arc<SecretFile>),
}

struct SecretFile {
    path: PathBuf,
    held: Mutex<Held>,
}

/// What was last read of a file.
struct Held {
    secret: Secret,
    /// Of the file that `secret` was read from.
    metadata: Metadata,
    looked: Option<Instant>,
    /// The file as it is now was complained of.
    is_warned: bool,
}

impl LiveSecret {
    /// The secret in an environment variable that holds `value`.
    pub(super) fn from_env(name: &str, value: Option<String>) -> Result<Self, String> {
        let value = value.ok_or_else(|| {
            format!("environment variable {name} is not set: set it where the program starts, or use {{ file = \"PATH\" }}")
        })?;
        let secret = trimmed(&value).map_err(|problem| format!("environment variable {name} {problem}"))?;
        Ok(Self::from(secret))
    }

    /// The secret in a file.
    pub(super) fn from_file(path: PathBuf) -> Result<Self, String> {
        let (secret, metadata) =
            read(&path).map_err(|problem| format!("secret file {} {problem}", path.display()))?;
        let held = Mutex::new(Held { secret, metadata, looked: None, is_warned: false });
        Ok(Self(Origin::File(Arc::new(SecretFile { path, held }))))
    }

    /// The secret as it is now. When its file is gone or unusable, the last good one stays in force.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "asked for at unforeseeable times by those who have no clock"
    )]
    pub fn current(&self) -> Secret {
        self.at(Instant::now())
    }

    /// [`Self::current`] as a function, for who takes one.
    #[must_use]
    pub fn source(&self) -> SecretSource {
        let secret = self.clone();
        Arc::new(move || secret.current())
    }

    fn at(&self, now: Instant) -> Secret {
        match &self.0 {
            Origin::Fixed(secret) => secret.clone(),
            Origin::File(file) => file.at(now),
        }
    }
}

impl SecretFile {
    fn at(&self, now: Instant) -> Secret {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.looked.is_none_or(|looked| now.saturating_duration_since(looked) >= LOOK) {
            held.looked = Some(now);
            held.look(&self.path);
        }
        held.secret.clone()
    }
}

impl Held {
    fn look(&mut self, path: &Path) {
        let is_same = |metadata: &Metadata| {
            metadata.len() == self.metadata.len() && metadata.modified().ok() == self.metadata.modified().ok()
        };
        if !self.is_warned && fs::metadata(path).is_ok_and(|metadata| is_same(&metadata)) {
            return;
        }
        match read(path) {
            Ok((secret, metadata)) => {
                tracing::info!(path = %path.display(), "secret read again");
                *self = Self { secret, metadata, looked: self.looked, is_warned: false };
            }
            Err(problem) if !self.is_warned => {
                tracing::warn!(path = %path.display(), "secret file {problem}: the last secret stays in force");
                self.is_warned = true;
            }
            Err(_) => {}
        }
    }
}

impl From<Secret> for LiveSecret {
    /// A secret that never changes.
    fn from(secret: Secret) -> Self {
        Self(Origin::Fixed(secret))
    }
}

impl fmt::Debug for LiveSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LiveSecret(..)")
    }
}

/// The secret and the state of the file before it was read: what changes in between is seen at the
/// next look.
fn read(path: &Path) -> Result<(Secret, Metadata), String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err("is not a file".to_owned());
    }
    if metadata.len() > MAX_LEN {
        return Err(format!("is larger than {MAX_LEN} bytes"));
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    Ok((trimmed(&text)?, metadata))
}

fn trimmed(text: &str) -> Result<Secret, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err("holds more than one line".to_owned());
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    struct Bench {
        _folder: tempfile::TempDir,
        path: PathBuf,
        start: Instant,
    }

    impl Bench {
        #[expect(clippy::disallowed_methods, reason = "some instant to count from")]
        fn new(text: &str) -> (Self, LiveSecret) {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("token");
            fs::write(&path, text).expect("written");
            let secret = LiveSecret::from_file(path.clone()).expect("a secret");
            (Self { _folder: folder, path, start: Instant::now() }, secret)
        }

        fn at(&self, secret: &LiveSecret, milliseconds: u64) -> String {
            secret.at(self.start + Duration::from_millis(milliseconds)).expose().to_owned()
        }

        /// Replaces the text and makes the file an hour newer, whatever the grain of its times.
        fn write(&self, text: &str) {
            let before = fs::metadata(&self.path).and_then(|metadata| metadata.modified());
            fs::write(&self.path, text).expect("written");
            let later = before.expect("a time") + Duration::from_secs(3600);
            let file = File::options().write(true).open(&self.path).expect("opened");
            file.set_modified(later).expect("newer");
        }
    }

    #[test]
    fn a_file_is_trimmed() {
        let (bench, secret) = Bench::new("\n  token one \r\n");
        assert_eq!(bench.at(&secret, 0), "token one");
    }

    #[test]
    fn a_changed_file_is_read_again_after_a_second() {
        let (bench, secret) = Bench::new("one");
        assert_eq!(bench.at(&secret, 0), "one");
        bench.write("two");
        assert_eq!(bench.at(&secret, 999), "one");
        assert_eq!(bench.at(&secret, 1000), "two");
        bench.write("three");
        assert_eq!(bench.at(&secret.clone(), 1999), "two");
        assert_eq!(bench.at(&secret, 2000), "three");
    }

    #[test]
    fn a_new_length_is_enough() {
        let (bench, secret) = Bench::new("one");
        let time = fs::metadata(&bench.path).and_then(|metadata| metadata.modified()).expect("a time");
        fs::write(&bench.path, "three").expect("written");
        File::options().write(true).open(&bench.path).and_then(|file| file.set_modified(time)).expect("set");
        assert_eq!(bench.at(&secret, 0), "three");
    }

    #[test]
    fn the_last_good_secret_stays_in_force() {
        let (bench, secret) = Bench::new("one");
        for (second, broken) in ["", " \n", "two\nlines", &"x".repeat(20_000)].iter().enumerate() {
            bench.write(broken);
            assert_eq!(bench.at(&secret, second as u64 * 1000), "one", "{broken:?}");
        }
        fs::remove_file(&bench.path).expect("removed");
        assert_eq!(bench.at(&secret, 10_000), "one");
        fs::write(&bench.path, "two").expect("written");
        assert_eq!(bench.at(&secret, 11_000), "two");
    }

    #[test]
    fn a_file_that_comes_back_as_it_was_is_good_again() {
        let (bench, secret) = Bench::new("one");
        let aside = bench.path.with_extension("aside");
        fs::rename(&bench.path, &aside).expect("moved");
        assert_eq!(bench.at(&secret, 0), "one");
        fs::rename(&aside, &bench.path).expect("moved back");
        assert_eq!(bench.at(&secret, 1000), "one");
        bench.write("two");
        assert_eq!(bench.at(&secret, 2000), "two");
    }

    #[test]
    fn nothing_is_shown() {
        let (_bench, file) = Bench::new("hidden");
        let fixed = LiveSecret::from(Secret::new("hidden"));
        assert_eq!(format!("{file:?} {fixed:?}"), "LiveSecret(..) LiveSecret(..)");
        assert_eq!(fixed.source()().expose(), "hidden");
        assert_eq!(file.source()().expose(), "hidden");
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        let env = |value: Option<&str>| LiveSecret::from_env("T", value.map(ToOwned::to_owned)).map(|_| ());
        assert_eq!(env(Some(" x ")), Ok(()));
        assert_eq!(env(Some(" \n")), Err("environment variable T is empty".to_owned()));
        assert_eq!(env(Some("a\nb")), Err("environment variable T holds more than one line".to_owned()));
        assert!(env(None).is_err_and(|message| message.starts_with("environment variable T is not set: ")));
        let folder = tempfile::tempdir().expect("a folder");
        let message = LiveSecret::from_file(folder.path().to_owned()).map(|_| ()).expect_err("no file");
        assert_eq!(message, format!("secret file {} is not a file", folder.path().display()));
    }
}
