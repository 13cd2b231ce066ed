//! The file of the journal.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{
    Builder, Database, DatabaseError, Durability, ReadableDatabase as _, ReadableTable as _, StorageError,
    TableDefinition, TableError,
};

use super::{Bytes, Key};
use crate::id::CallId;
use crate::mark::Instance;

const CALLS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("calls");
const LEGS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("legs");
const META: TableDefinition<'_, &str, &str> = TableDefinition::new("meta");
const INSTANCE: &str = "instance";

/// Pages that redb keeps in memory, in bytes: the journal is small.
const CACHE: usize = 4 * 1024 * 1024;
/// Numbers and dialogs stand in it: nobody else's business.
const MODE: u32 = 0o600;

/// Why the file can't be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Another process has it.
    #[error("another process has it open")]
    Locked,
    /// It is no journal, or a broken one.
    #[error("it is broken: {0}")]
    Broken(String),
    /// Nothing can be read or written now.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Failure {
    /// What to do about it.
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::Locked => "stop the other instance, or give this one a journal.path of its own",
            Self::Broken(_) => "the file is moved aside and a new one is begun",
            Self::Io(error) => match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free space on that disk",
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                    "create its folder, or set journal.path to a file in a folder that exists"
                }
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    "let the service write there (systemd: StateDirectory=), or set journal.path to where it may"
                }
                _ => "look at that disk",
            },
        }
    }
}

impl From<redb::Error> for Failure {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::DatabaseAlreadyOpen => Self::Locked,
            redb::Error::Io(error) if is_broken(&error) => Self::Broken(error.to_string()),
            redb::Error::Io(error) => Self::Io(error),
            redb::Error::PreviousIo | redb::Error::DatabaseClosed => Self::Io(io::Error::other("see before")),
            other => Self::Broken(other.to_string()),
        }
    }
}

/// How redb says that a file is none of its own, or was cut off.
fn is_broken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

macro_rules! from_redb {
    ($($error:ty),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                redb::Error::from(error).into()
            }
        }
    )*};
}

from_redb!(DatabaseError, StorageError, TableError, redb::TransactionError, redb::CommitError);

/// What stood in the file.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) instance: Option<Instance>,
    pub(super) rows: Vec<(Key, Bytes)>,
}

/// Where a journal is: a file, or for tests what behaves like one.
pub(super) trait Place: Send + 'static {
    /// Opens the database, or begins it.
    fn open(&self) -> Result<Database, Failure>;
    /// Takes a broken one out of the way.
    fn set_aside(&self) -> io::Result<PathBuf>;
}

impl Place for PathBuf {
    fn open(&self) -> Result<Database, Failure> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(MODE).open(self)?;
        Ok(Builder::new().set_cache_size(CACHE).create_file(file)?)
    }

    fn set_aside(&self) -> io::Result<PathBuf> {
        let aside = (0..1000).map(|number| numbered(self, number)).find(|aside| !aside.exists());
        let aside = aside.ok_or_else(|| io::Error::other("too many broken journals lie beside it"))?;
        std::fs::rename(self, &aside)?;
        Ok(aside)
    }
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".broken-{number}"));
    name.into()
}

/// An open journal.
pub(super) struct Store(Database);

impl Store {
    pub(super) fn open(place: &impl Place) -> Result<Self, Failure> {
        contained(|| Ok(Self(place.open()?)))
    }

    /// Everything in it.
    pub(super) fn read(&self) -> Result<Content, Failure> {
        contained(|| {
            let transaction = self.0.begin_read()?;
            let mut content = Content::default();
            if let Some(meta) = existing(transaction.open_table(META))? {
                let instance = meta.get(INSTANCE)?;
                content.instance = instance.and_then(|name| name.value().parse().ok());
            }
            if let Some(calls) = existing(transaction.open_table(CALLS))? {
                for row in calls.iter()? {
                    let (id, entry) = row?;
                    let id = CallId::parse(id.value());
                    content.rows.extend(id.map(|id| (Key::Call(id), entry.value().into())));
                }
            }
            if let Some(legs) = existing(transaction.open_table(LEGS))? {
                for row in legs.iter()? {
                    let (number, record) = row?;
                    content.rows.push((Key::Leg(number.value()), record.value().into()));
                }
            }
            Ok(content)
        })
    }

    /// Writes rows and takes others out, all or nothing; when it returns they are on disk. `whole`: what
    /// stood in it before goes.
    pub(super) fn write(
        &self,
        instance: Option<&Instance>,
        rows: &[(Key, Option<Bytes>)],
        whole: bool,
    ) -> Result<(), Failure> {
        contained(|| {
            let mut transaction = self.0.begin_write()?;
            // Immediate is what it is without asking as well; the journal depends on it.
            let _ = transaction.set_durability(Durability::Immediate);
            if whole {
                transaction.delete_table(CALLS)?;
                transaction.delete_table(LEGS)?;
            }
            if let Some(instance) = instance {
                transaction.open_table(META)?.insert(INSTANCE, instance.as_str())?;
            }
            {
                let (mut calls, mut legs) = (transaction.open_table(CALLS)?, transaction.open_table(LEGS)?);
                for (key, value) in rows {
                    match (key, value) {
                        (Key::Call(id), Some(bytes)) => drop(calls.insert(id.as_str(), &**bytes)?),
                        (Key::Call(id), None) => drop(calls.remove(id.as_str())?),
                        (Key::Leg(number), Some(bytes)) => drop(legs.insert(number, &**bytes)?),
                        (Key::Leg(number), None) => drop(legs.remove(number)?),
                    }
                }
            }
            Ok(transaction.commit()?)
        })
    }
}

fn existing<T>(table: Result<T, TableError>) -> Result<Option<T>, Failure> {
    match table {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A broken file may well make the library panic: that is a broken file, and no more.
fn contained<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let broken = |_| Err(Failure::Broken("the database gave up on it".to_owned()));
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(broken)
}
