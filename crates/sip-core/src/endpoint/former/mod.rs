//! What is left of a life of the program that has crashed: a record of each leg, kept by the user, from which the next
//! life ends it. The record is taken at every step that changes how the leg is to be ended.

mod keep;
mod part;
mod recover;
mod take;

use std::fmt;

use bytes::Bytes;

pub(super) use keep::{Records, Thread};
use part::Part;
pub(crate) use recover::TrunkOf;

/// The first byte of every record.
const VERSION: u8 = 1;
/// The longest record; a leg that needs a longer one has none, and that is logged.
pub const MAX_RECORD: usize = 64 * 1024;
/// The most that one leg may have to end: its INVITE and the dialogs of its forks. What is beyond is not recorded.
const MAX_PARTS: usize = 20;

/// All that a later life of the program needs to end a leg: opaque to whoever keeps it. It holds addresses, names and
/// tags, but no body and no credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct LegRecord(Bytes);

impl fmt::Debug for LegRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LegRecord({} bytes)", self.0.len())
    }
}

/// Why bytes are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// There is nothing, or more than [`MAX_RECORD`].
    #[error("a record of {0} bytes")]
    Length(usize),
    /// A program of another version wrote it.
    #[error("a record of version {0}")]
    Version(u8),
    /// It is damaged.
    #[error("a damaged record: {0}")]
    Damaged(&'static str),
}

impl LegRecord {
    /// The bytes to keep.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// From the bytes that were kept.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let record = Self::checked(bytes)?;
        record.parts()?;
        Ok(record)
    }

    /// Of the right length and version.
    fn checked(bytes: &[u8]) -> Result<Self, RecordError> {
        match bytes.first() {
            None => Err(RecordError::Length(0)),
            Some(_) if bytes.len() > MAX_RECORD => Err(RecordError::Length(bytes.len())),
            Some(&VERSION) => Ok(Self(Bytes::copy_from_slice(bytes))),
            Some(version) => Err(RecordError::Version(*version)),
        }
    }

    /// From what each part says of itself.
    fn of<'a>(parts: impl Iterator<Item = &'a Bytes>) -> Result<Self, RecordError> {
        let mut bytes = vec![VERSION];
        parts.for_each(|part| bytes.extend_from_slice(part));
        Self::checked(&bytes)
    }

    /// What there is to end, in a word each.
    #[cfg(test)]
    pub(super) fn shape(&self) -> String {
        let kind = |part: Part| format!("{:?}", part.kind).to_lowercase();
        self.parts().unwrap().into_iter().map(kind).collect::<Vec<_>>().join("+")
    }

    /// What there is to end.
    fn parts(&self) -> Result<Vec<Part>, RecordError> {
        let mut rest = self.0.get(1..).unwrap_or_default();
        let mut parts = Vec::new();
        while !rest.is_empty() {
            if parts.len() == MAX_PARTS {
                return Err(RecordError::Damaged("too many parts"));
            }
            parts.push(Part::read(&mut rest)?);
        }
        if parts.is_empty() {
            return Err(RecordError::Damaged("no part"));
        }
        Ok(parts)
    }
}

#[cfg(test)]
mod tests;
