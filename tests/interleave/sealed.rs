//! Rows that go sealed: what the lane may not look into, the databases in memory do.

use std::sync::Arc;
use tidegate::db::Landing;
use tidegate::domain::bulk::{Bulk, Seal, Sealed};
use tidegate::domain::value::{Row, Value};

/// Rows of which the lane can tell nothing but their keys.
struct InJson;

impl Seal for InJson {
    fn key(&self, row: &[u8]) -> Option<Vec<Value>> {
        let row: Row = serde_json::from_slice(row).ok()?;
        Some(vec![row.first()?.clone()])
    }
    fn types(&self) -> &[String] {
        &[]
    }
}

/// The same rows, sealed.
pub fn sealed(rows: &Bulk) -> Bulk {
    let mut sealed = Sealed::for_chunk(Arc::new(InJson));
    for row in rows.iter() {
        let mut line = serde_json::to_vec(&row).unwrap();
        line.push(b'\n');
        sealed.push(&line);
    }
    Bulk::Sealed(sealed)
}

/// What the target makes of it.
pub fn opened(landing: &Landing) -> Landing {
    let Bulk::Sealed(rows) = &*landing.rows else {
        return landing.clone();
    };
    let lines = rows.as_bytes().split(|b| *b == b'\n');
    let rows = lines.filter(|line| !line.is_empty());
    let rows = rows.map(|line| serde_json::from_slice::<Row>(line).unwrap());
    Landing {
        rows: Arc::new(rows.collect()),
        ..landing.clone()
    }
}
