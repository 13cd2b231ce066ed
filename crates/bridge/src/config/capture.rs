//! The `[capture]` table: where captured calls go, and how much of them.

use std::path::PathBuf;

use super::raw;
use super::valid::Checker;
use super::value::within;

/// Bytes of a megabyte.
const MEGABYTE: u64 = 1_000_000;

/// Captures of calls, which are made on order alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// Where they go; nothing: there are none.
    pub folder: Option<PathBuf>,
    /// No file becomes longer.
    pub most_bytes: u64,
    /// At a time.
    pub max_calls: u32,
    /// With so many in the folder no more are made.
    pub max_files: u32,
}

impl Checker<'_> {
    pub(super) fn capture(&mut self, raw: raw::Capture) -> Option<Capture> {
        let within_folder = self.folder;
        let folder = raw.folder.check(self.report, |text| {
            let folder = within_folder.join(&text);
            let is_folder = !text.is_empty() && folder.is_dir();
            let problem =
                || format!("{} is no folder: make it, for the program's user alone", folder.display());
            is_folder.then(|| folder.clone()).ok_or_else(problem)
        });
        let folder = folder.optional();
        let most = raw.max_mb.check(self.report, within(1..=10_000)).or(20_u64);
        let max_calls = raw.max_calls.check(self.report, within(1..=100)).or(10);
        let max_files = raw.max_files.check(self.report, within(1..=10_000)).or(100);
        Some(Capture {
            folder: folder?,
            most_bytes: most? * MEGABYTE,
            max_calls: max_calls?,
            max_files: max_files?,
        })
    }
}
