//! About the plan's tables: what names their rows, who may see them, how much room their numbers have, what ties them.

use super::{About, finding};
use crate::db::postgres::catalog::{Identity, Kind, Relation};
use crate::db::postgres::names::{qualified, quote};
use crate::db::postgres::objects;
use crate::db::postgres::render::{Source, name_of};
use crate::domain::finding::{Finding, Stage};
use crate::domain::table::Table;
use sqlx::postgres::PgConnection;
use sqlx::postgres::types::Oid;

/// The part of a number's range from which on it is told.
const NEARLY: f64 = 0.8;

pub(super) async fn findings(
    conn: &mut PgConnection,
    about: &About<'_>,
) -> sqlx::Result<Vec<Finding>> {
    let mut found = row_security(conn, about).await?;
    for (_, table, relation) in &about.tables {
        found.extend(identity(about, table, relation));
        found.extend(folding(about, table, relation));
        found.extend(outside(about, table, relation));
    }
    if about.source() {
        found.extend(
            about
                .tables
                .iter()
                .filter_map(|(_, table, found)| missing(about, table, found)),
        );
        found.extend(ties(about));
        found.extend(headroom(conn, about).await?);
    }
    Ok(found)
}

/// Published without an identity, every UPDATE and DELETE of the application fails at once.
fn identity(about: &About<'_>, table: &Table, relation: &Relation) -> Option<Finding> {
    let family = Source {
        relations: &about.all,
        sequences: &[],
    };
    let stored = |found: &&Relation| found.kind == Kind::Ordinary;
    let nameless = |found: &Relation| found.identity != Identity::Full && found.key().is_none();
    let bad = std::iter::once(relation)
        .filter(|found| found.kind == Kind::Partitioned || stored(found))
        .chain(family.partitions(relation.oid).into_iter().filter(stored))
        .find(|found| nameless(found))?;
    let name = qualified(&name_of(bad));
    let primary = bad
        .indexes
        .iter()
        .any(|index| index.primary && index.immediate);
    Some(Finding {
        table: Some(table.source.clone()),
        evidence: format!("replica identity of {}: {:?}, and no usable index", name_of(bad), bad.identity).to_lowercase(),
        remedy: "give it a primary key, or name a unique index over NOT NULL columns; until then leave the table out".to_owned(),
        sql: vec![if primary {
            format!("ALTER TABLE {name} REPLICA IDENTITY DEFAULT")
        } else {
            format!("ALTER TABLE {name} REPLICA IDENTITY USING INDEX …")
        }],
        ..finding(
            about.place,
            "REPLICA-ID",
            about.streaming(),
            format!("publishing {} would make the application's UPDATEs and DELETEs fail", table.name_on(about.place.side)),
        )
    })
}

/// The key is another than the plan's: the table was changed since the plan was made.
fn missing(about: &About<'_>, table: &Table, relation: &Relation) -> Option<Finding> {
    (table.shape != relation.shape).then(|| Finding {
        table: Some(table.source.clone()),
        evidence: "columns, key or replica identity differ from those in the plan".to_owned(),
        remedy: "make the plan anew: tidegate check reads the config and both databases again"
            .to_owned(),
        ..finding(
            about.place,
            "SCHEMA-DIFFERS",
            Stage::BlocksCopy,
            format!("{} is no longer what the plan says", table.source),
        )
    })
}

/// Keys that are equal though they are written in other ways.
fn folding(about: &About<'_>, table: &Table, relation: &Relation) -> Option<Finding> {
    let key = relation.key()?;
    let columns = || {
        relation
            .columns
            .iter()
            .filter(|column| key.columns.contains(&column.number))
    };
    let folds = columns().find(|column| column.folds);
    let column = folds.or_else(|| columns().find(|column| column.loose))?;
    let (stage, what, remedy) = if folds.is_some() {
        (
            Stage::BlocksCopy,
            format!(
                "the key of {} takes texts for equal that are written differently",
                table.source
            ),
            "leave the table out, or give it a key over a type and collation that tell all texts apart",
        )
    } else {
        (
            Stage::KnowBefore,
            format!(
                "a key of {} can be written in more than one way, such as 1 and 1.0",
                table.source
            ),
            "nothing, as long as a row's key never changes from one way of writing to the other",
        )
    };
    Some(Finding {
        table: Some(table.source.clone()),
        evidence: format!("{} {}", column.name, column.declared),
        remedy: remedy.to_owned(),
        ..finding(about.place, "KEY-FOLDS", stage, what)
    })
}

/// Keys of types whose `=` is not one of the server's own. Our sessions look for operators nowhere else, so that nobody can put
/// one in their way; no row would be found by such a key.
fn outside(about: &About<'_>, table: &Table, relation: &Relation) -> Option<Finding> {
    let key = relation.key()?;
    let mut columns = relation.columns.iter();
    let column = columns
        .find(|column| column.outside && !column.folds && key.columns.contains(&column.number))?;
    let what = format!(
        "the key of {} is of a type that an extension brings, and its rows can't be found by it",
        table.source
    );
    Some(Finding {
        table: Some(table.source.clone()),
        evidence: format!("{} {}", column.name, column.declared),
        remedy: "leave the table out, or give it a key of a type of the server's own".to_owned(),
        ..finding(about.place, "KEY-OPERATORS", Stage::BlocksCopy, what)
    })
}

/// Rows that policies hide from us would be missing on the target, and nobody would see it.
async fn row_security(conn: &mut PgConnection, about: &About<'_>) -> sqlx::Result<Vec<Finding>> {
    let oids: Vec<Oid> = about.tables.iter().map(|(_, _, found)| found.oid).collect();
    let hidden: Vec<Oid> = sqlx::query_scalar(
        "SELECT oid FROM pg_class WHERE oid = ANY($1) AND row_security_active(oid)",
    )
    .bind(&oids)
    .fetch_all(conn)
    .await?;
    Ok(about
        .tables
        .iter()
        .filter(|(_, _, found)| hidden.contains(&found.oid))
        .map(|(_, table, _)| Finding {
            table: Some(table.source.clone()),
            evidence: format!("row level security is active for {}", about.role),
            remedy: "let our role see every row".to_owned(),
            sql: vec![format!("ALTER ROLE {} BYPASSRLS", quote(&about.role))],
            ..finding(
                about.place,
                "ROW-SECURITY",
                Stage::BlocksCopy,
                format!(
                    "policies may hide rows of {} from {}",
                    table.name_on(about.place.side),
                    about.role
                ),
            )
        })
        .collect())
}

/// Foreign keys between what moves and what stays.
fn ties(about: &About<'_>) -> Vec<Finding> {
    let moved = |oid: Oid| about.tables.iter().any(|(_, _, found)| found.oid == oid);
    let mut out = Vec::new();
    for child in about
        .all
        .iter()
        .filter(|found| found.partition_of.is_none())
    {
        for key in child
            .constraints
            .iter()
            .filter(|c| c.kind == 'f' && !c.inherited)
        {
            let Some(parent) = about.all.iter().find(|found| found.oid == key.refers) else {
                continue;
            };
            let (child_name, parent_name) = (name_of(child), name_of(parent));
            let (stage, what) = match (moved(child.oid), moved(parent.oid)) {
                (true, false) => (
                    Stage::BlocksCutover,
                    format!(
                        "{child_name} refers to {parent_name}, which stays behind: its foreign key can't be made on the target"
                    ),
                ),
                (false, true) => (
                    Stage::KnowBefore,
                    format!("{child_name} stays behind and refers to {parent_name}, which moves"),
                ),
                _ => continue,
            };
            out.push(Finding {
                table: Some(child_name),
                evidence: format!("{}: {}", key.name, key.definition),
                remedy: "move both tables, or drop the foreign key".to_owned(),
                ..finding(about.place, "FOREIGN-KEY-TIE", stage, what)
            });
        }
    }
    out
}

/// Numbers that are nearly used up: of sequences, and of integer keys that no sequence gives out.
async fn headroom(conn: &mut PgConnection, about: &About<'_>) -> sqlx::Result<Vec<Finding>> {
    let sequences = objects::sequences(conn, None).await?;
    let mut out = Vec::new();
    for (_, table, relation) in &about.tables {
        for column in &relation.columns {
            let most = match column.declared.as_str() {
                "smallint" => f64::from(i16::MAX),
                "integer" => f64::from(i32::MAX),
                "bigint" => i64::MAX as f64,
                _ => continue,
            };
            let counter = sequences.iter().find(|s| {
                s.owner
                    .is_some_and(|(of, number, _)| of == relation.oid && number == column.number)
            });
            let leads = relation
                .key()
                .is_some_and(|key| key.columns.first() == Some(&column.number));
            let used = match counter {
                Some(sequence) if sequence.step > 0 => sequence.last,
                // An index on the key has its end at hand.
                None if leads && relation.readable => {
                    let sql = format!(
                        "SELECT max({})::int8 FROM {}",
                        quote(&column.name),
                        qualified(&name_of(relation))
                    );
                    sqlx::query_scalar(&sql)
                        .persistent(false)
                        .fetch_one(&mut *conn)
                        .await?
                }
                _ => continue,
            };
            let Some(used) = used
                .map(|used| used as f64)
                .filter(|used| used / most > NEARLY)
            else {
                continue;
            };
            out.push(Finding {
                table: Some(table.source.clone()),
                evidence: format!("{} {}: {:.0} % used", column.name, column.declared, used / most * 100.0),
                remedy: "widen the column to bigint before its numbers run out; a migration is a good moment".to_owned(),
                sql: vec![format!(
                    "ALTER TABLE {} ALTER COLUMN {} TYPE bigint",
                    qualified(&name_of(relation)),
                    quote(&column.name)
                )],
                ..finding(
                    about.place,
                    "ID-HEADROOM",
                    Stage::KnowBefore,
                    format!("the numbers of {}.{} are nearly used up", table.source, column.name),
                )
            });
        }
    }
    Ok(out)
}
