//! Where a transaction of the stream goes that has outgrown memory: a temporary file without a name, which is gone with its last
//! reader, whatever becomes of this process.
//!
//! Each change is its length and then its table, image, key and cells, as [`Cell`] writes them. What is forgotten again (a
//! table that was emptied further on) stays in the file and is passed over when it is read.

use crate::domain::change::{Change, Image, Overflow, Txn};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::TableId;
use crate::domain::key::Key;
use crate::domain::packed::{Cell, Cells};
use crate::domain::position::Head;
use crate::domain::value::{Row, Value};
use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::sync::Arc;

/// The code of a fault in reading or writing such a file. A stream that meets it is opened anew.
pub const FAILED: &str = "SPILL-FAILED";
/// The code where the disk is full.
pub const FULL: &str = "SPILL-FULL";

/// What one transaction weighs in memory at most: as much as one batch of small ones.
const KEEP: u64 = 4 << 20;
/// What is read back and applied at once.
const PIECE: u64 = 1 << 20;
/// Bytes written and read in one go.
const BLOCK: usize = 64 << 10;

const INSERTED: u8 = 0;
const UPDATED: u8 = 1;
const PARTIAL: u8 = 2;
const PRESENT: u8 = 3;
const GONE: u8 = 4;

/// Where to, and from when on.
#[derive(Debug, Clone)]
pub struct Spill {
    folder: Option<PathBuf>,
    keep: u64,
    piece: u64,
}

impl Default for Spill {
    /// Into the folder for temporary files.
    fn default() -> Self {
        Self {
            folder: None,
            keep: KEEP,
            piece: PIECE,
        }
    }
}

impl Spill {
    /// Into this folder; as long as it is not there, into that for temporary files.
    pub fn into_folder(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: Some(folder.into()),
            ..Self::default()
        }
    }

    /// Sooner or later: transactions heavier than `keep`, read back in pieces of about `piece`.
    pub fn sized(self, keep: u64, piece: u64) -> Self {
        Self {
            keep,
            piece,
            ..self
        }
    }

    fn folder(&self) -> PathBuf {
        let own = self.folder.clone().filter(|folder| folder.is_dir());
        own.unwrap_or_else(std::env::temp_dir)
    }

    /// A new file.
    ///
    /// # Errors
    /// `SPILL-FULL`, `SPILL-FAILED`: it can't be made.
    pub fn begin(&self) -> Result<Writing> {
        let folder = self.folder();
        let made = tempfile::tempfile_in(&folder).and_then(|file| {
            // Whatever the umask is: these are rows.
            file.set_permissions(Permissions::from_mode(0o600))?;
            Ok(file)
        });
        let file = made.map_err(|error| unwritten(&folder, &error))?;
        Ok(Writing {
            file,
            folder,
            buffer: Vec::new(),
            flushed: 0,
            counts: BTreeMap::new(),
            forgotten: BTreeMap::new(),
            keep: self.keep,
            piece: self.piece,
        })
    }

    /// How many parts a transaction is parted into, so that each comes to about a piece.
    pub(super) fn parts(&self, written: u64) -> usize {
        // More files at once would need more buffers than one large part does.
        usize::try_from(written / self.piece.max(1)).map_or(128, |parts| parts.clamp(1, 128))
    }
}

/// Changes of one transaction as they come: in memory, and from some weight on in a file.
#[derive(Debug)]
pub struct Gathered {
    spill: Spill,
    changes: Vec<Change>,
    bytes: u64,
    file: Option<Writing>,
}

impl Gathered {
    /// None yet.
    pub fn new(spill: &Spill) -> Self {
        Self {
            spill: spill.clone(),
            changes: Vec::new(),
            bytes: 0,
            file: None,
        }
    }

    /// Adds the next change.
    ///
    /// # Errors
    /// `SPILL-FULL`, `SPILL-FAILED`: it can't be kept, and the transaction is not whole any more.
    pub fn push(&mut self, change: Change) -> Result<()> {
        if let Some(file) = &mut self.file {
            return file.push(&change);
        }
        self.bytes += change.weight();
        self.changes.push(change);
        if self.bytes > self.spill.keep {
            let mut file = self.spill.begin()?;
            for change in std::mem::take(&mut self.changes) {
                file.push(&change)?;
            }
            self.file = Some(file);
        }
        Ok(())
    }

    /// Leaves out all changes of a table so far.
    pub fn forget(&mut self, table: TableId) {
        self.changes.retain(|change| change.table != table);
        self.bytes = self.changes.iter().map(Change::weight).sum();
        if let Some(file) = &mut self.file {
            file.forget(table);
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.file.as_ref().is_none_or(|file| file.counts.is_empty())
    }

    /// All of them as one transaction.
    ///
    /// # Errors
    /// `SPILL-FULL`, `SPILL-FAILED`: the last of them can't be kept.
    pub fn txn(self, head: Head) -> Result<Txn> {
        let overflow = match self.file.filter(|file| !file.counts.is_empty()) {
            Some(file) => Some(file.finish()? as Arc<dyn Overflow>),
            None => None,
        };
        Ok(Txn {
            head,
            changes: self.changes,
            overflow,
            read_before: None,
        })
    }
}

/// A file that is being written.
#[derive(Debug)]
pub struct Writing {
    file: File,
    folder: PathBuf,
    buffer: Vec<u8>,
    flushed: u64,
    /// How many changes of each table count.
    counts: BTreeMap<TableId, u64>,
    /// Changes of these tables before these places don't count.
    forgotten: BTreeMap<TableId, u64>,
    keep: u64,
    piece: u64,
}

impl Writing {
    /// Adds a change.
    ///
    /// # Errors
    /// `SPILL-FULL`, `SPILL-FAILED`.
    pub fn push(&mut self, change: &Change) -> Result<()> {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0; 8]);
        encode(change, &mut self.buffer);
        let length = (self.buffer.len() - start - 8) as u64;
        self.buffer[start..start + 8].copy_from_slice(&length.to_le_bytes());
        *self.counts.entry(change.table).or_default() += 1;
        if self.buffer.len() >= BLOCK {
            self.flush()?;
        }
        Ok(())
    }

    fn forget(&mut self, table: TableId) {
        if self.counts.remove(&table).is_some() {
            let here = self.flushed + self.buffer.len() as u64;
            self.forgotten.insert(table, here);
        }
    }

    fn flush(&mut self) -> Result<()> {
        let written = self.file.write_all(&self.buffer);
        written.map_err(|error| unwritten(&self.folder, &error))?;
        self.flushed += self.buffer.len() as u64;
        self.buffer.clear();
        // One large row must not be remembered by a large buffer.
        self.buffer.shrink_to(2 * BLOCK);
        Ok(())
    }

    /// Nothing more comes: from now on it is read.
    ///
    /// # Errors
    /// `SPILL-FULL`, `SPILL-FAILED`.
    pub fn finish(mut self) -> Result<Arc<Spilled>> {
        self.flush()?;
        Ok(Arc::new(Spilled {
            file: self.file,
            folder: self.folder,
            length: self.flushed,
            counts: self.counts,
            forgotten: self.forgotten,
            keep: self.keep,
            piece: self.piece,
        }))
    }
}

/// A file that is written.
#[derive(Debug)]
pub struct Spilled {
    file: File,
    folder: PathBuf,
    length: u64,
    counts: BTreeMap<TableId, u64>,
    forgotten: BTreeMap<TableId, u64>,
    keep: u64,
    piece: u64,
}

impl Overflow for Spilled {
    fn count(&self) -> u64 {
        self.counts.values().sum()
    }

    fn weight(&self) -> u64 {
        self.length.min(self.keep)
    }

    fn length(&self) -> u64 {
        self.length
    }

    fn tables(&self) -> Vec<TableId> {
        self.counts.keys().copied().collect()
    }

    fn pieces(&self) -> Box<dyn Iterator<Item = Result<Vec<Change>>> + Send + '_> {
        Box::new(Pieces {
            of: self,
            at: 0,
            buffer: Vec::new(),
            taken: 0,
            over: false,
        })
    }
}

/// A way through such a file.
struct Pieces<'a> {
    of: &'a Spilled,
    /// How far it was read, and what of that is not taken yet: `buffer` from `taken` on.
    at: u64,
    buffer: Vec<u8>,
    taken: usize,
    over: bool,
}

impl Iterator for Pieces<'_> {
    type Item = Result<Vec<Change>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let (mut piece, mut weight) = (Vec::new(), 0);
        while weight < self.of.piece.max(1) {
            match self.change() {
                Ok(Some(change)) => {
                    weight += change.weight();
                    piece.push(change);
                }
                Ok(None) => {
                    self.over = true;
                    break;
                }
                Err(error) => {
                    self.over = true;
                    return Some(Err(unread(&self.of.folder, &error)));
                }
            }
        }
        (!piece.is_empty()).then_some(Ok(piece))
    }
}

impl Pieces<'_> {
    /// The next change that counts.
    fn change(&mut self) -> io::Result<Option<Change>> {
        loop {
            let place = self.at - (self.buffer.len() - self.taken) as u64;
            if place >= self.of.length {
                return Ok(None);
            }
            let mut length = [0; 8];
            length.copy_from_slice(self.take(8)?);
            let length = usize::try_from(u64::from_le_bytes(length)).map_err(|_| broken())?;
            let forgotten = &self.of.forgotten;
            let record = take(
                self.of,
                &mut self.at,
                &mut self.buffer,
                &mut self.taken,
                length,
            )?;
            let (table, _) = table(record).ok_or_else(broken)?;
            if forgotten.get(&table).is_some_and(|upto| place < *upto) {
                continue;
            }
            return decode(record).ok_or_else(broken).map(Some);
        }
    }

    fn take(&mut self, bytes: usize) -> io::Result<&[u8]> {
        take(
            self.of,
            &mut self.at,
            &mut self.buffer,
            &mut self.taken,
            bytes,
        )
    }
}

/// The next so many bytes, read where they are not here.
fn take<'b>(
    of: &Spilled,
    at: &mut u64,
    buffer: &'b mut Vec<u8>,
    taken: &mut usize,
    bytes: usize,
) -> io::Result<&'b [u8]> {
    let here = buffer.len() - *taken;
    if here < bytes {
        buffer.drain(..*taken);
        *taken = 0;
        buffer.shrink_to(bytes.max(2 * BLOCK));
        let left = usize::try_from(of.length - *at).unwrap_or(usize::MAX);
        let more = (bytes - here).max(BLOCK).min(left);
        if here + more < bytes {
            return Err(broken());
        }
        buffer.resize(here + more, 0);
        of.file.read_exact_at(&mut buffer[here..], *at)?;
        *at += more as u64;
    }
    let from = *taken;
    *taken += bytes;
    Ok(&buffer[from..from + bytes])
}

fn broken() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "it is not what was written")
}

fn unwritten(folder: &std::path::Path, error: &io::Error) -> Fault {
    let full = matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
    );
    let code = if full { FULL } else { FAILED };
    let what = format!(
        "a large transaction can't be kept aside in {}",
        folder.display()
    );
    Fault::new(Kind::Blocked, what)
        .code(code)
        .cause(error)
        .hint(
            "make room there, then resume: the stream goes on where it stands, and nothing is lost",
        )
}

fn unread(folder: &std::path::Path, error: &io::Error) -> Fault {
    let what = format!(
        "a large transaction that was kept aside in {} can't be read any more",
        folder.display()
    );
    Fault::new(Kind::Transient, what).code(FAILED).cause(error)
}

fn encode(change: &Change, out: &mut Vec<u8>) {
    out.extend_from_slice(&change.table.0.to_le_bytes());
    let tag = match &change.image {
        Image::Inserted(_) => INSERTED,
        Image::Updated(_) => UPDATED,
        Image::Partial(_) => PARTIAL,
        Image::Present(_) => PRESENT,
        Image::Gone => GONE,
    };
    out.push(tag);
    let key = change.key.parts();
    out.extend_from_slice(&(key.len() as u32).to_le_bytes());
    key.iter().for_each(|part| Cell::from(part).write(out));
    match &change.image {
        Image::Inserted(row) | Image::Updated(row) | Image::Present(row) => {
            row.iter().for_each(|cell| Cell::from(cell).write(out));
        }
        Image::Partial(cells) => {
            for cell in cells {
                out.push(u8::from(cell.is_some()));
                if let Some(cell) = cell {
                    Cell::from(cell).write(out);
                }
            }
        }
        Image::Gone => {}
    }
}

fn table(record: &[u8]) -> Option<(TableId, &[u8])> {
    let (table, rest) = record.split_first_chunk::<2>()?;
    Some((TableId(u16::from_le_bytes(*table)), rest))
}

/// Reads what [`encode`] wrote.
fn decode(record: &[u8]) -> Option<Change> {
    let (table, rest) = table(record)?;
    let (tag, rest) = rest.split_first()?;
    let (parts, rest) = rest.split_first_chunk::<4>()?;
    let parts = u32::from_le_bytes(*parts) as usize;
    let mut cells = Cells::written(rest);
    let key: Vec<Value> = cells.by_ref().take(parts).map(Value::from).collect();
    if key.len() < parts {
        return None;
    }
    let rest = cells.rest();
    let image = match *tag {
        INSERTED => Image::Inserted(row(rest)?),
        UPDATED => Image::Updated(row(rest)?),
        PRESENT => Image::Present(row(rest)?),
        PARTIAL => Image::Partial(partial(rest)?),
        GONE if rest.is_empty() => Image::Gone,
        _ => return None,
    };
    Some(Change {
        table,
        // Made normal when it was made: once more changes nothing.
        key: Key::normal(key, &[]),
        image,
    })
}

fn row(rest: &[u8]) -> Option<Row> {
    let mut cells = Cells::written(rest);
    let row = cells.by_ref().map(Value::from).collect();
    cells.rest().is_empty().then_some(row)
}

fn partial(mut rest: &[u8]) -> Option<Box<[Option<Value>]>> {
    let mut all = Vec::new();
    while let Some((given, after)) = rest.split_first() {
        let mut cells = Cells::written(after);
        let cell = match *given {
            0 => None,
            _ => Some(cells.next()?.into()),
        };
        all.push(cell);
        rest = cells.rest();
    }
    Some(all.into())
}

#[cfg(test)]
mod tests;
