//! What the stream says of tables, held against the plan.
//!
//! A Relation message comes before a table's first change in a connection, and again after whatever may have changed the table,
//! an index or a comment included. What counts is whether its columns, their types and its key are those of the plan.

use super::connect::{Server, Session};
use super::names::{SCHEMA, split};
use super::place::OrFault;
use super::slot;
use super::tuple::Shape;
use crate::domain::fault::Result;
use crate::domain::id::TableId;
use crate::domain::plan::{Plan, Side};
use crate::domain::table::Table;
use pg_walstream::protocol::{ColumnInfo, RelationInfo};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Under this identity the old row is complete, and every column is called part of the key.
const FULL: u8 = b'f';

/// What a relation of the stream is to us.
#[derive(Debug, Clone)]
pub(super) enum Known {
    /// A table of the plan.
    Ours(Arc<Shape>),
    /// Our ledger: a transaction that begins with it is our own.
    Ledger,
    /// Not of the plan, or left out since its definition changed.
    Other,
}

/// The relations that the stream told of.
pub(super) struct Relations {
    server: Server,
    plan: Arc<Plan>,
    name: String,
    /// Schema and name of the plan's live tables.
    names: HashMap<(String, String), TableId>,
    told: HashMap<u32, (RelationInfo, Known)>,
    /// Tables whose definition changed.
    left_out: BTreeSet<TableId>,
}

impl Relations {
    pub(super) fn new(server: Server, plan: Arc<Plan>, name: String) -> Self {
        let side = server.place.side;
        let names = plan
            .ids()
            .filter(|(_, table)| table.key().is_some())
            .map(|(id, table)| {
                let name = match side {
                    Side::Source => &table.source,
                    Side::Target => &table.target,
                };
                (split(name), id)
            })
            .collect();
        Self {
            server,
            plan,
            name,
            names,
            told: HashMap::new(),
            left_out: BTreeSet::new(),
        }
    }

    /// What a relation is. One that was never told of is not ours.
    pub(super) fn known(&self, relation: u32) -> &Known {
        self.told
            .get(&relation)
            .map_or(&Known::Other, |(_, known)| known)
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The table of the plan that a relation is.
    fn table(&self, relation: u32) -> Option<TableId> {
        match self.known(relation) {
            Known::Ours(shape) => Some(shape.table),
            _ => None,
        }
    }

    /// Schema and name of a table that was told of.
    pub(super) fn named(&self, table: TableId) -> Option<(&str, &str)> {
        self.told.values().find_map(|(told, known)| match known {
            Known::Ours(shape) if shape.table == table => {
                Some((&*told.namespace, &*told.relation_name))
            }
            _ => None,
        })
    }

    /// Tables of the plan that the publication does not have (any more), left out from here on.
    pub(super) async fn unpublished(&mut self, session: &mut Session) -> Result<Vec<TableId>> {
        let tables = self.names.iter().map(|(name, id)| (*id, name));
        let missing = slot::unpublished(session, &self.name, tables).await?;
        Ok(missing
            .into_iter()
            .filter(|table| self.leave_out(*table))
            .collect())
    }

    /// Takes a Relation message. Gives the tables whose definition it shows to be changed, each once.
    pub(super) async fn learn(&mut self, told: RelationInfo) -> Result<Vec<TableId>> {
        let id = told.relation_id;
        let before = self.told.get(&id);
        if before.is_some_and(|(before, _)| same(before, &told)) {
            return Ok(Vec::new());
        }
        let was = self.table(id);
        let name = (told.namespace.to_string(), told.relation_name.to_string());
        let now = self.names.get(&name).copied();
        let mut changed = Vec::new();
        // Renamed: what is called so now may be another table, and its changes are not in the stream.
        if let Some(was) = was
            && now != Some(was)
            && self.leave_out(was)
        {
            changed.push(was);
        }
        let known = match now {
            Some(table) if self.left_out.contains(&table) => Known::Other,
            Some(table) => match self.shape(table, &told).await? {
                Some(shape) => Known::Ours(Arc::new(shape)),
                None => {
                    self.leave_out(table);
                    changed.push(table);
                    Known::Other
                }
            },
            None if &*told.namespace == SCHEMA && &*told.relation_name == "ledger" => Known::Ledger,
            None => {
                // The publication has our tables only: this is one that was renamed before the stream came here.
                let mut session = self.server.session().await?;
                changed.extend(self.unpublished(&mut session).await?);
                session.rest();
                Known::Other
            }
        };
        self.told.insert(id, (told, known));
        Ok(changed)
    }

    /// Leaves a table out from here on; whether it was not before.
    pub(super) fn leave_out(&mut self, table: TableId) -> bool {
        for (_, known) in self.told.values_mut() {
            if matches!(known, Known::Ours(shape) if shape.table == table) {
                *known = Known::Other;
            }
        }
        self.left_out.insert(table)
    }

    /// How the relation lies on the plan's table; none when it does not.
    async fn shape(&self, id: TableId, told: &RelationInfo) -> Result<Option<Shape>> {
        let Some(table) = self.plan.table(id) else {
            return Ok(None);
        };
        let types = self.types(told).await?;
        let side = self.server.place.side;
        let mut places = Vec::with_capacity(told.columns.len());
        for (column, (declared, generated)) in told.columns.iter().zip(&types) {
            let place = table.columns.iter().position(|c| c.name == *column.name);
            let fits = match place {
                Some(place) => table
                    .columns
                    .get(place)
                    .is_some_and(|c| c.declared_on(side) == declared),
                // A server can be told to publish them (18 and newer).
                None => *generated,
            };
            if !fits {
                return Ok(None);
            }
            places.push(place);
        }
        let there = places.iter().flatten().count();
        if there != table.columns.len() || !same_key(table, told) {
            return Ok(None);
        }
        Ok(Shape::new(side, id, table, places))
    }

    /// The types of a relation's columns as people write them, and whether a column is generated now.
    async fn types(&self, told: &RelationInfo) -> Result<Vec<(String, bool)>> {
        let mut session = self.server.session().await?;
        let of = |f: fn(&ColumnInfo) -> i64| told.columns.iter().map(f).collect::<Vec<i64>>();
        let names: Vec<&str> = told.columns.iter().map(|column| &*column.name).collect();
        let types = sqlx::query_as(
            "SELECT coalesce(format_type(c.type::oid, c.modifier::int4), ''), \
               coalesce(a.attgenerated <> '', false) \
             FROM unnest($1::text[], $2::int8[], $3::int8[]) WITH ORDINALITY AS c (name, type, modifier, no) \
             LEFT JOIN pg_attribute a ON a.attrelid = $4::int8::oid AND a.attname = c.name AND NOT a.attisdropped \
             ORDER BY c.no",
        )
        .bind(names)
        .bind(of(|column| column.type_id.into()))
        .bind(of(|column| column.type_modifier.into()))
        .bind(i64::from(told.relation_id))
        .fetch_all(session.conn()?)
        .await
        .or_fault(&self.server.place, "read the types of a table")?;
        session.rest();
        Ok(types)
    }
}

/// Whether a message says what was said before.
fn same(before: &RelationInfo, now: &RelationInfo) -> bool {
    before.namespace == now.namespace
        && before.relation_name == now.relation_name
        && before.replica_identity == now.replica_identity
        && before.columns == now.columns
}

/// Whether a row is told by the plan's key. Under [`FULL`] the message does not say what the key is.
fn same_key(table: &Table, told: &RelationInfo) -> bool {
    let Some(spec) = table.key() else {
        return false;
    };
    let planned: BTreeSet<&str> = spec
        .columns
        .iter()
        .filter_map(|column| table.columns.get(usize::from(*column)))
        .map(|column| column.name.as_str())
        .collect();
    let told_key = told.columns.iter().filter(|column| column.is_key());
    let now: BTreeSet<&str> = told_key.map(|column| &*column.name).collect();
    told.replica_identity == FULL || planned == now
}
