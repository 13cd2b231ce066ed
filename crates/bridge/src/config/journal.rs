//! The `[journal]` table: where open calls are written down.

use std::path::{Path, PathBuf};

use super::raw;
use super::valid::Checker;
use crate::mark::Instance;

/// The file's name where none is written.
const NAME: &str = "wa-bridge.redb";

/// Where open calls are written down, so that a crash leaves none behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    /// The file; nothing where there is no journal.
    pub path: Option<PathBuf>,
    /// What this instance is called; nothing: as the journal says, which is random the first time.
    pub instance: Option<Instance>,
}

impl Checker<'_> {
    pub(super) fn journal(&mut self, raw: raw::Journal) -> Option<Journal> {
        let enabled = raw.enabled.or(true);
        let folder = self.folder;
        let path = raw.path.check(self.report, |text| match text.as_str() {
            "" => Err("is empty: write a file, or journal.enabled = false for none".to_owned()),
            text => Ok(folder.join(text)),
        });
        let path = path.or(default_path(self.env))?;
        let instance = raw.instance.check(self.report, |text| {
            text.parse::<Instance>().map_err(|error| format!("{text:?}: {error}"))
        });
        Some(Journal { path: enabled?.then_some(path), instance: instance.optional()? })
    }
}

/// Where systemd lets a service write (`StateDirectory=`, the first of them), else where it runs.
fn default_path(env: &dyn Fn(&str) -> Option<String>) -> PathBuf {
    let folders = env("STATE_DIRECTORY").unwrap_or_default();
    let folder = folders.split(':').next().unwrap_or_default();
    Path::new(folder).join(NAME)
}
