//! Room that is kept free for the last facts.

use super::trouble;
use crate::domain::fault::Result;
use std::path::Path;
use tokio::io::AsyncWriteExt as _;

/// Enough for some thousand facts and a checkpoint of SQLite's write-ahead log.
const SIZE: usize = 1 << 20;

/// Makes sure that the reserve is there in full. Its content does not shrink where a file system compresses.
pub(super) async fn take(path: &Path) -> Result<()> {
    if tokio::fs::metadata(path)
        .await
        .is_ok_and(|m| m.len() == SIZE as u64)
    {
        return Ok(());
    }
    let made = write(path).await;
    if made.is_err() {
        // A part of a reserve is no reserve: what could be written of it is given back.
        give_up(path).await;
    }
    made.map_err(|e| trouble::io(path, &e))
}

async fn write(path: &Path) -> std::io::Result<()> {
    let mut noise = vec![0; SIZE];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    let mut file = tokio::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .await?;
    file.write_all(&noise).await?;
    file.flush().await?;
    file.sync_all().await
}

/// Gives the room back to the file system. One that is not there any more was given up before.
pub(super) async fn give_up(path: &Path) {
    let _ = tokio::fs::remove_file(path).await;
}
