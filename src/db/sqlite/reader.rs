//! What every user of a plan's tables shares: their statements, made from the schema as it is now.

use super::catalog::Catalog;
use super::place::{OrFault, Place};
use super::sql::TableSql;
use crate::db::spill::Spill;
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::TableId;
use crate::domain::plan::Plan;
use rusqlite::Connection;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The schema as it was last read, shared by all connections to one file.
#[derive(Default)]
pub(super) struct SchemaCache(Mutex<Option<Arc<Catalog>>>);

impl SchemaCache {
    /// The schema as the connection sees it; read again only when its version moved.
    pub(super) fn read(&self, conn: &Connection, place: &Place) -> Result<Arc<Catalog>> {
        let doing = "read the schema";
        let version: i64 = conn
            .query_row("PRAGMA main.schema_version", [], |row| row.get(0))
            .or_fault(place, doing)?;
        let known = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(known) = known.filter(|known| known.schema_version == version) {
            return Ok(known);
        }
        let fresh = Arc::new(Catalog::read(conn).or_fault(place, doing)?);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&fresh));
        Ok(fresh)
    }

    /// Forgets it: the file under it was replaced.
    pub(super) fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Makes the statements of one plan's tables for one file.
pub(super) struct Reader {
    pub(super) place: Arc<Place>,
    pub(super) plan: Arc<Plan>,
    pub(super) schema: Arc<SchemaCache>,
    /// Where large transactions go.
    pub(super) spill: Spill,
    made: Mutex<Tables>,
}

/// The statements of the plan's tables, for one version of the schema.
#[derive(Clone)]
pub(super) struct Tables {
    /// The schema they were made from.
    pub(super) catalog: Arc<Catalog>,
    by_id: Arc<HashMap<TableId, Result<Arc<TableSql>>>>,
}

impl Reader {
    pub(super) fn new(
        place: Arc<Place>,
        plan: Arc<Plan>,
        schema: Arc<SchemaCache>,
        spill: Spill,
    ) -> Self {
        let none = Catalog {
            schema_version: -1,
            tables: Vec::new(),
            views: Vec::new(),
            triggers: Vec::new(),
        };
        let made = Mutex::new(Tables {
            catalog: Arc::new(none),
            by_id: Arc::default(),
        });
        Self {
            place,
            plan,
            schema,
            spill,
            made,
        }
    }

    /// The tables' statements for the schema that the connection sees.
    pub(super) fn tables(&self, conn: &Connection) -> Result<Tables> {
        let catalog = self.schema.read(conn, &self.place)?;
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.catalog.schema_version != catalog.schema_version {
            let side = self.place.side;
            let by_id = self
                .plan
                .ids()
                .filter(|(_, table)| table.key().is_some())
                .map(|(id, _)| {
                    (
                        id,
                        TableSql::new(&self.plan, id, side, &catalog).map(Arc::new),
                    )
                })
                .collect();
            *made = Tables {
                catalog,
                by_id: Arc::new(by_id),
            };
        }
        Ok(made.clone())
    }
}

impl Tables {
    /// The statements of a table; a table that is missing here is a fault of its own only.
    pub(super) fn get(&self, id: TableId) -> Result<Arc<TableSql>> {
        match self.by_id.get(&id) {
            Some(found) => found.clone(),
            None => Err(Fault::new(
                Kind::Usage,
                format!("table {id} of the plan is not moved live"),
            )),
        }
    }
}
