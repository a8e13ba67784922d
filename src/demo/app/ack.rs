//! The application's own record of what it had acknowledged: a file of fixed-size records outside both databases.
//!
//! A record is written after COMMIT returned and before the next transaction begins, straight to the kernel without a buffer
//! of our own, so a killed application has at most one commit that is not in it, and never a record without a commit.

use std::{
    fs::{File, OpenOptions},
    io::{BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use crate::demo::error::{DemoError, Doing, Result};

/// One acknowledged write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Its number; grows by itself and is never used again.
    pub op: u64,
    /// What the transaction did, as the application saw it; the `activity` row holds the same.
    pub digest: i64,
    /// From the first attempt to the COMMIT that worked, in microseconds.
    pub latency_us: u32,
    /// Which of [`super::status::Status::databases`] committed it.
    pub database: u32,
}

const SIZE: usize = 24;

impl Acknowledgement {
    fn to_bytes(self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[..8].copy_from_slice(&self.op.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.digest.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.latency_us.to_le_bytes());
        bytes[20..].copy_from_slice(&self.database.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; SIZE]) -> Self {
        let [
            a,
            b,
            c,
            d,
            e,
            f,
            g,
            h,
            i,
            j,
            k,
            l,
            m,
            n,
            o,
            p,
            q,
            r,
            s,
            t,
            u,
            v,
            w,
            x,
        ] = *bytes;
        Self {
            op: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            digest: i64::from_le_bytes([i, j, k, l, m, n, o, p]),
            latency_us: u32::from_le_bytes([q, r, s, t]),
            database: u32::from_le_bytes([u, v, w, x]),
        }
    }
}

/// Where the record of an application with this control directory is.
pub fn path(control_dir: &Path) -> PathBuf {
    control_dir.join("acknowledged")
}

/// The record, open for adding to it.
pub(crate) struct Acknowledgements {
    file: File,
    last: u64,
}

impl Acknowledgements {
    /// Opens or makes the record. Half a record at its end, left by a machine that went down, is cut off.
    pub fn open(path: &Path) -> Result<Self> {
        let sentence = || format!("cannot write the acknowledgements to {}", path.display());
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .doing(sentence)?;
        let length = file.metadata().doing(sentence)?.len();
        let whole = length - length % SIZE as u64;
        file.set_len(whole).doing(sentence)?;
        let mut last = 0;
        if let Some(at) = whole.checked_sub(SIZE as u64) {
            let mut bytes = [0; SIZE];
            file.seek(SeekFrom::Start(at)).doing(sentence)?;
            file.read_exact(&mut bytes).doing(sentence)?;
            last = Acknowledgement::from_bytes(&bytes).op;
        }
        Ok(Self { file, last })
    }

    /// The number of the last write in it, 0 when it is empty.
    pub fn last(&self) -> u64 {
        self.last
    }

    pub fn append(&mut self, acknowledgement: &Acknowledgement) -> Result<()> {
        self.file
            .write_all(&acknowledgement.to_bytes())
            .doing(|| "cannot write an acknowledgement".to_owned())?;
        self.last = acknowledgement.op;
        Ok(())
    }
}

/// Reads a record that may still be growing, from the beginning or on from where another reader was.
pub struct AckReader {
    file: BufReader<File>,
    offset: u64,
    /// Whole records there were when it was opened; what is added later is for the next reader.
    end: u64,
    last: u64,
}

impl AckReader {
    /// Begins after the first `skip` acknowledgements.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn open(path: &Path, skip: u64) -> Result<Self> {
        let sentence = || format!("cannot read the acknowledgements in {}", path.display());
        let mut file = File::open(path).doing(sentence)?;
        let length = file.metadata().doing(sentence)?.len();
        let offset = skip * SIZE as u64;
        file.seek(SeekFrom::Start(offset)).doing(sentence)?;
        Ok(Self {
            file: BufReader::with_capacity(1 << 16, file),
            offset,
            end: length - length % SIZE as u64,
            last: 0,
        })
    }

    fn read(&mut self) -> Result<Option<Acknowledgement>> {
        if self.offset >= self.end {
            return Ok(None);
        }
        let mut bytes = [0; SIZE];
        self.file
            .read_exact(&mut bytes)
            .doing(|| "cannot read an acknowledgement".to_owned())?;
        self.offset += SIZE as u64;
        let record = Acknowledgement::from_bytes(&bytes);
        if record.op <= self.last {
            return Err(DemoError::new(format!(
                "the acknowledgements are damaged: number {} follows {}",
                record.op, self.last
            )));
        }
        self.last = record.op;
        Ok(Some(record))
    }
}

impl Iterator for AckReader {
    type Item = Result<Acknowledgement>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(op: u64) -> Acknowledgement {
        Acknowledgement {
            op,
            digest: -(op as i64) << 40,
            latency_us: 3_000 + op as u32,
            database: 1,
        }
    }

    #[test]
    fn what_was_written_is_read_again_and_half_a_record_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = path(dir.path());
        let mut acks = Acknowledgements::open(&path).unwrap();
        (1..=1_000).for_each(|op| acks.append(&ack(op)).unwrap());
        let read = |skip| {
            AckReader::open(&path, skip)
                .unwrap()
                .collect::<Result<Vec<_>>>()
                .unwrap()
        };
        assert_eq!(read(0), (1..=1_000).map(ack).collect::<Vec<_>>());
        assert_eq!(read(998), [ack(999), ack(1_000)]);
        OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(&[7; 10])
            .unwrap();
        assert_eq!(read(0).len(), 1_000);
        let mut acks = Acknowledgements::open(&path).unwrap();
        assert_eq!(acks.last(), 1_000);
        acks.append(&ack(1_001)).unwrap();
        assert_eq!(read(1_000), [ack(1_001)]);
    }

    #[test]
    fn a_record_out_of_order_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        let path = path(dir.path());
        let mut acks = Acknowledgements::open(&path).unwrap();
        [1, 3, 3]
            .into_iter()
            .for_each(|op| acks.append(&ack(op)).unwrap());
        let error = AckReader::open(&path, 0)
            .unwrap()
            .find_map(Result::err)
            .unwrap();
        assert!(error.to_string().contains("number 3 follows 3"));
    }
}
