//! The part of `valid` about the records of calls.

use std::path::PathBuf;

use super::raw;
use super::valid::Checker;
use super::value::within;

/// Bytes of a megabyte.
const MEGABYTE: u64 = 1_000_000;

/// Where the records of calls go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Records {
    /// The file; nothing: a call has a line in the log, and no more.
    pub path: Option<PathBuf>,
    /// How a record looks.
    pub format: RecordFormat,
    /// How many bytes the file may have before another is begun; nothing: any number.
    pub rotate: Option<u64>,
    /// How many full files are kept; 0 is all of them.
    pub keep: usize,
    /// Whether what names a user is masked.
    pub mask_numbers: bool,
}

/// How a record looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordFormat {
    /// One JSON object a line.
    Json,
    /// RFC 4180, with a line of names on top.
    Csv,
}

impl Checker<'_> {
    pub(super) fn records(&mut self, raw: raw::Records) -> Option<Records> {
        let folder = self.folder;
        let path = raw.path.check(self.report, |text| {
            let path = folder.join(&text);
            let is_file = !text.is_empty() && !text.ends_with('/') && path.file_name().is_some();
            let remedy = "names no file: write one like \"/var/lib/wa-bridge/calls.jsonl\"";
            if is_file { Ok(path) } else { Err(remedy.to_owned()) }
        });
        let format = self.choice(raw.format, &[("json", RecordFormat::Json), ("csv", RecordFormat::Csv)]);
        let rotate = raw.rotate_mb.check(self.report, within(0..=1_000_000)).or(100_u64);
        let keep = raw.keep.check(self.report, within(0..=100_000)).or(0);
        let (format, mask_numbers) = (format.or(RecordFormat::Json), raw.mask_numbers.or(false));
        let rotate = rotate.map(|megabytes| Some(megabytes * MEGABYTE).filter(|bytes| *bytes > 0));
        let path = path.optional();
        Some(Records {
            path: path?,
            format: format?,
            rotate: rotate?,
            keep: keep?,
            mask_numbers: mask_numbers?,
        })
    }
}
