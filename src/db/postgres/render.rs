//! The statements that make a table again, as the catalog has it: what must be there before its rows, and what comes after.

use super::catalog::{Column, Constraint, Identity, Index, Kind, Relation};
use super::names::{qualified, quote, shown};
use super::objects::Sequence;
use crate::db::Ddl;
use sqlx::postgres::types::Oid;

/// What a table's statements are made from.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    /// Every table that was read, partitions too.
    pub(super) relations: &'a [Relation],
    pub(super) sequences: &'a [Sequence],
}

/// A table's name as a plan has it.
pub(super) fn name_of(relation: &Relation) -> String {
    shown(&relation.schema, &relation.name)
}

fn ddl(kind: &str, name: String, sql: String) -> Ddl {
    Ddl {
        kind: kind.to_owned(),
        name,
        sql,
    }
}

impl<'a> Source<'a> {
    /// The table's partitions at every level, a parent before its own.
    pub(super) fn partitions(self, of: Oid) -> Vec<&'a Relation> {
        let mut all = Vec::new();
        let mut open = vec![of];
        while let Some(parent) = open.pop() {
            for child in self
                .relations
                .iter()
                .filter(|r| r.partition_of == Some(parent))
            {
                all.push(child);
                open.push(child.oid);
            }
        }
        all
    }

    /// CREATE TABLE with its key, unless that is a statement of its own ([`Source::key`]), and whatever a row needs to be put
    /// there and found again.
    pub(super) fn create(self, relation: &Relation) -> Ddl {
        let mut statements = vec![self.table(relation)];
        for partition in self.partitions(relation.oid) {
            statements.push(self.partition(partition));
            statements.extend(identity(partition, true));
        }
        if let Some(index) = relation.key().filter(|index| !index.constraint) {
            statements.push(index.definition.clone());
        }
        statements.extend(identity(relation, false));
        for sequence in self.sequences {
            if let Some((owner, column, false)) = sequence.owner
                && owner == relation.oid
                && let Some(column) = relation.columns.iter().find(|c| c.number == column)
            {
                statements.push(format!(
                    "ALTER SEQUENCE {} OWNED BY {}.{}",
                    qualified(&shown(&sequence.schema, &sequence.name)),
                    qualified(&name_of(relation)),
                    quote(&column.name)
                ));
            }
        }
        ddl("table", name_of(relation), statements.join(";\n"))
    }

    /// The primary key, where it can be added when the rows are there: of a table without partitions that is known by it.
    pub(super) fn key(self, relation: &Relation) -> Option<Ddl> {
        let index = relation.key().filter(|index| index.primary)?;
        let plain = relation.kind == Kind::Ordinary
            && relation.partition_of.is_none()
            && matches!(relation.identity, Identity::Default);
        let mut constraints = relation.constraints.iter();
        let constraint = constraints.find(|c| c.kind == 'p' && c.index == index.oid)?;
        plain.then(|| ddl("key", name_of(relation), add(relation, constraint, "")))
    }

    fn table(self, relation: &Relation) -> String {
        let columns = relation
            .columns
            .iter()
            .map(|column| self.column(relation, column));
        let key = relation.key().map(|index| index.oid);
        let apart = self.key(relation).is_some();
        let constraints = relation
            .constraints
            .iter()
            .filter(|constraint| in_body(constraint, key) && !(apart && constraint.kind == 'p'))
            .map(|c| format!("CONSTRAINT {} {}", quote(&c.name), c.definition));
        let body: Vec<String> = columns.chain(constraints).collect();
        let body = body.join(",\n  ");
        let mut sql = format!(
            "CREATE TABLE {} (\n  {body}\n)",
            qualified(&name_of(relation))
        );
        tail(&mut sql, relation);
        sql
    }

    fn column(self, relation: &Relation, column: &Column) -> String {
        let mut sql = format!("{} {}", quote(&column.name), column.declared);
        if let Some(collation) = &column.collation {
            sql.push_str(&format!(" COLLATE {collation}"));
        }
        match (column.identity, column.generated, &column.expression) {
            (Some(when), _, _) => {
                sql.push_str(&format!(" GENERATED {when} AS IDENTITY"));
                let sequence = self
                    .sequences
                    .iter()
                    .find(|s| s.owner == Some((relation.oid, column.number, true)));
                if let Some(s) = sequence {
                    let name = qualified(&shown(&s.schema, &s.name));
                    sql.push_str(&format!(" (SEQUENCE NAME {name} {})", s.options));
                }
            }
            (None, Some(how), Some(from)) => {
                sql.push_str(&format!(" GENERATED ALWAYS AS ({from}) {how}"));
            }
            (None, None, Some(default)) => sql.push_str(&format!(" DEFAULT {default}")),
            (None, _, None) => {}
        }
        if column.not_null {
            sql.push_str(" NOT NULL");
        }
        sql
    }

    fn partition(self, partition: &Relation) -> String {
        let parent = self
            .relations
            .iter()
            .find(|r| Some(r.oid) == partition.partition_of);
        let own: Vec<String> = partition
            .constraints
            .iter()
            .filter(|constraint| in_body(constraint, None))
            .map(|c| format!("CONSTRAINT {} {}", quote(&c.name), c.definition))
            .collect();
        let own = if own.is_empty() {
            String::new()
        } else {
            format!(" ({})", own.join(", "))
        };
        let mut sql = format!(
            "CREATE TABLE {} PARTITION OF {}{own} {}",
            qualified(&name_of(partition)),
            qualified(&parent.map(name_of).unwrap_or_default()),
            partition.partition_bound.as_deref().unwrap_or("DEFAULT")
        );
        tail(&mut sql, partition);
        sql
    }

    /// What is built once the rows are there, of the table and its partitions: indexes, statistics, checks that were never
    /// validated, foreign keys, ANALYZE. In this order.
    pub(super) fn after(self, relation: &Relation) -> Vec<Ddl> {
        let key = relation.key().map(|index| index.oid);
        let mut family = vec![relation];
        family.extend(self.partitions(relation.oid));
        let mut after: Vec<Ddl> = family.iter().flat_map(|r| indexes(r, key)).collect();
        after.extend(
            relation
                .statistics
                .iter()
                .map(|(name, definition)| ddl("statistics", name.clone(), definition.clone())),
        );
        after.push(ddl(
            "analyze",
            name_of(relation),
            format!("ANALYZE {}", qualified(&name_of(relation))),
        ));
        after.extend(family.iter().flat_map(|r| constraints(r)));
        after
    }
}

/// Whether a constraint is part of CREATE TABLE.
fn in_body(constraint: &Constraint, key: Option<Oid>) -> bool {
    !constraint.inherited
        && match constraint.kind {
            'p' => true,
            'c' => constraint.valid,
            'u' => Some(constraint.index) == key,
            _ => false,
        }
}

fn tail(sql: &mut String, relation: &Relation) {
    if let Some(key) = &relation.partition_key {
        sql.push_str(&format!(" PARTITION BY {key}"));
    }
    if let Some(options) = &relation.options {
        sql.push_str(&format!(" WITH ({options})"));
    }
}

/// What names a row where it is not the primary key. A partition's index gets a name of the server's making, so a partition
/// that is known by one is known by its whole row instead.
fn identity(relation: &Relation, partition: bool) -> Option<String> {
    let by = match relation.identity {
        Identity::Default => return None,
        Identity::Nothing => "NOTHING".to_owned(),
        Identity::Index if !partition => {
            format!("USING INDEX {}", quote(&relation.key()?.name))
        }
        Identity::Full | Identity::Index => "FULL".to_owned(),
    };
    let name = qualified(&name_of(relation));
    Some(format!("ALTER TABLE {name} REPLICA IDENTITY {by}"))
}

/// Indexes, and the constraints that are indexes: other tables' foreign keys rest on them.
fn indexes(relation: &Relation, key: Option<Oid>) -> Vec<Ddl> {
    let wanted = |index: &&Index| !index.inherited && !index.primary && Some(index.oid) != key;
    let named = |name: &str| shown(&relation.schema, name);
    relation
        .indexes
        .iter()
        .filter(wanted)
        .filter_map(|index| {
            let sql = if index.constraint {
                let constraint = relation
                    .constraints
                    .iter()
                    .find(|c| c.index == index.oid && matches!(c.kind, 'u' | 'x'))?;
                add(relation, constraint, "")
            } else {
                index.definition.clone()
            };
            Some(ddl("index", named(&index.name), sql))
        })
        .collect()
}

fn add(relation: &Relation, constraint: &Constraint, end: &str) -> String {
    format!(
        "ALTER TABLE {} ADD CONSTRAINT {} {}{end}",
        qualified(&name_of(relation)),
        quote(&constraint.name),
        constraint.definition
    )
}

/// Foreign keys, and checks that may not hold for old rows. A key is added without a look at the rows, then validated, so that
/// each of the two locks as little as it can; a partitioned table can't have it in two steps before PostgreSQL 18.
fn constraints(relation: &Relation) -> Vec<Ddl> {
    let mut out = Vec::new();
    for constraint in relation.constraints.iter().filter(|c| !c.inherited) {
        let name = format!("{} on {}", shown_name(&constraint.name), name_of(relation));
        let two = constraint.kind == 'f' && constraint.valid && relation.kind != Kind::Partitioned;
        match constraint.kind {
            'f' => out.push(ddl(
                "constraint",
                name.clone(),
                add(relation, constraint, if two { " NOT VALID" } else { "" }),
            )),
            'c' if !constraint.valid => {
                out.push(ddl("constraint", name, add(relation, constraint, "")))
            }
            _ => continue,
        }
        if two {
            let table = qualified(&name_of(relation));
            out.push(ddl(
                "constraint",
                format!(
                    "{} on {}, validated",
                    shown_name(&constraint.name),
                    name_of(relation)
                ),
                format!(
                    "ALTER TABLE {table} VALIDATE CONSTRAINT {}",
                    quote(&constraint.name)
                ),
            ));
        }
    }
    out
}

/// A name alone, quoted where it must be.
fn shown_name(name: &str) -> String {
    let shown = shown("", name);
    shown.strip_prefix("\"\".").unwrap_or(&shown).to_owned()
}
