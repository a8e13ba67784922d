//! What a PostgreSQL database holds, as far as a plan needs to know.

use super::catalog::{self, Identity, Kind, Relation, get};
use super::connect::Session;
use super::later;
use super::names::{literal, qualified, shown};
use super::objects::{self, Comment, Needs, Object, Sequence};
use super::outline::outline;
use super::place::OrFault;
use super::render::{Source, name_of};
use crate::db::IDENTITY;
use crate::db::{Ddl, Sizes, Survey, Surveyed};
use crate::domain::fault::{Fault, Kind as FaultKind, Result};
use crate::domain::key::Collation;
use crate::domain::table::{Column, KeySpec, Mode, Table};
use crate::domain::unit::{Bytes, Rows};
use sqlx::postgres::PgConnection;
use sqlx::postgres::types::Oid;
use std::collections::{HashMap, HashSet};

/// Tables up to this many bytes are counted: a few milliseconds, for which a stream that resumes waits.
const COUNTED: i64 = 4 << 20;

/// The oldest version that is supported: older catalogs lack what is read here.
pub(super) const OLDEST: i32 = 140_000;

/// Looks at everything in one read transaction.
///
/// # Errors
/// `Blocked`: a server older than 14. A database that can't be read.
pub(super) async fn survey(session: &mut Session, sizes: Sizes) -> Result<Survey> {
    let doing = "look at the database";
    session
        .run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", doing)
        .await?;
    let place = session.place().clone();
    let version: i32 = sqlx::query_scalar("SELECT current_setting('server_version_num')::int")
        .fetch_one(session.conn()?)
        .await
        .or_fault(&place, doing)?;
    if version < OLDEST {
        return Err(Fault::new(
            FaultKind::Blocked,
            format!("the server of {place} is too old"),
        )
        .code("PG-VERSION")
        .cause(format!("it is PostgreSQL {}", version / 10_000))
        .hint("14 and newer are supported"));
    }
    let survey = look(session.conn()?, sizes).await.or_fault(&place, doing)?;
    session.run("COMMIT", doing).await?;
    Ok(survey)
}

async fn look(conn: &mut PgConnection, sizes: Sizes) -> sqlx::Result<Survey> {
    let (version, properties, bytes) = properties(conn).await?;
    let relations = catalog::relations(conn, None).await?;
    let sequences = objects::sequences(conn, None).await?;
    let comments = objects::comments(conn).await?;
    let needs = objects::needs(conn).await?;
    let rows = match sizes {
        Sizes::Told => rows(conn, &relations).await?,
        Sizes::Untold => HashMap::new(),
    };
    let noted = later::noted(conn).await?;
    let source = Source {
        relations: &relations,
        sequences: &sequences,
    };
    let tables = relations
        .iter()
        .filter(|relation| relation.partition_of.is_none())
        .map(|relation| {
            let found = surveyed(source, relation, &rows, &comments);
            Surveyed {
                key: source.key(relation).or_else(|| put_off(relation, &noted)),
                exact: found.exact && sizes == Sizes::Told,
                ..found
            }
        })
        .collect();
    let extensions = objects::extensions(conn).await?;
    let functions = objects::functions(conn, None).await?;
    let early = early(&needs, &relations, &functions);
    let before = before(conn, &needs, &extensions, &functions, &early, &sequences).await?;
    let rest = rest(
        conn, &needs, extensions, functions, &early, source, &comments,
    )
    .await?;
    let extensions =
        sqlx::query_scalar("SELECT name::text FROM pg_available_extensions ORDER BY 1")
            .fetch_all(conn)
            .await?;
    Ok(Survey {
        version,
        properties,
        before,
        tables,
        rest,
        extensions,
        bytes,
    })
}

/// Version, facts worth showing, bytes.
async fn properties(
    conn: &mut PgConnection,
) -> sqlx::Result<(String, Vec<(String, String)>, Bytes)> {
    let row = sqlx::query(
        "SELECT split_part(current_setting('server_version'), ' ', 1) AS version, pg_encoding_to_char(d.encoding)::text AS encoding, \
           concat(coalesce(to_jsonb(d)->>'datlocale', to_jsonb(d)->>'daticulocale', d.datcollate), \
             CASE WHEN to_jsonb(d)->>'datlocprovider' = 'i' THEN ' (icu)' WHEN to_jsonb(d)->>'datlocprovider' = 'b' THEN ' (builtin)' END) AS collation, \
           coalesce(to_jsonb(d)->>'datcollversion', '') AS collation_version, \
           CASE WHEN d.datctype = d.datcollate THEN '' ELSE d.datctype::text END AS ctype, pg_database_size(d.oid) AS bytes, \
           current_setting('wal_level') AS wal_level, current_setting('data_checksums') AS data_checksums, \
           CASE WHEN pg_is_in_recovery() THEN 'yes' ELSE '' END AS standby, current_user::text AS role, \
           concat(extract(epoch FROM pg_postmaster_start_time()), '/', d.oid) AS identity \
         FROM pg_database d WHERE d.datname = current_database()",
    )
    .fetch_one(conn)
    .await?;
    let mut properties = Vec::new();
    for name in [
        "encoding",
        "collation",
        "collation_version",
        "ctype",
        "wal_level",
        "data_checksums",
        "standby",
        "role",
    ] {
        let value: String = get(&row, name)?;
        if !value.is_empty() {
            properties.push((name.to_owned(), value));
        }
    }
    properties.push((IDENTITY.to_owned(), get(&row, "identity")?));
    let version = format!("PostgreSQL {}", get::<&str>(&row, "version")?);
    let bytes = Bytes(get::<i64>(&row, "bytes")?.cast_unsigned());
    Ok((version, properties, bytes))
}

/// Rows of tables and partitions: counted where that is quick, else what the planner thinks.
async fn rows(
    conn: &mut PgConnection,
    relations: &[Relation],
) -> sqlx::Result<HashMap<Oid, (Rows, bool)>> {
    let stored = || {
        relations
            .iter()
            .filter(|relation| relation.kind == Kind::Ordinary)
    };
    let mut rows: HashMap<Oid, (Rows, bool)> = HashMap::new();
    // So many in one statement, that the planner has an easy time.
    let small: Vec<&Relation> = stored()
        .filter(|r| r.readable && r.bytes <= COUNTED)
        .collect();
    for some in small.chunks(100) {
        let counts: Vec<String> = some
            .iter()
            .map(|r| {
                format!(
                    "SELECT {}::oid, count(*) FROM ONLY {}",
                    r.oid.0,
                    qualified(&name_of(r))
                )
            })
            .collect();
        let counts: Vec<(Oid, i64)> = sqlx::query_as(&counts.join(" UNION ALL "))
            .persistent(false)
            .fetch_all(&mut *conn)
            .await?;
        rows.extend(
            counts
                .into_iter()
                .map(|(oid, n)| (oid, (Rows(n.cast_unsigned()), true))),
        );
    }
    for relation in stored() {
        if rows.contains_key(&relation.oid) {
            continue;
        }
        // An ANALYZE of the empty table says nothing of what came since.
        let estimate = if relation.estimate <= 0.0 && relation.bytes > 0 && relation.readable {
            planned(conn, relation).await?
        } else {
            relation.estimate.max(0.0) as u64
        };
        rows.insert(relation.oid, (Rows(estimate), false));
    }
    Ok(rows)
}

/// The planner's guess, from the table's size and the width of its columns.
async fn planned(conn: &mut PgConnection, relation: &Relation) -> sqlx::Result<u64> {
    let sql = format!("EXPLAIN SELECT FROM ONLY {}", qualified(&name_of(relation)));
    let line: String = sqlx::query_scalar(&sql)
        .persistent(false)
        .fetch_one(conn)
        .await?;
    let rows = line
        .split("rows=")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    Ok(rows.and_then(|rows| rows.parse().ok()).unwrap_or_default())
}

/// The key that a table of ours is still to get.
fn put_off(relation: &Relation, noted: &HashMap<String, String>) -> Option<Ddl> {
    let name = name_of(relation);
    let sql = noted.get(&name)?.clone();
    let kind = "key".to_owned();
    Some(Ddl { kind, name, sql })
}

fn surveyed(
    source: Source<'_>,
    relation: &Relation,
    rows: &HashMap<Oid, (Rows, bool)>,
    comments: &[Comment],
) -> Surveyed {
    let partitions = source.partitions(relation.oid);
    let family: HashSet<Oid> = std::iter::once(relation.oid)
        .chain(partitions.iter().map(|partition| partition.oid))
        .collect();
    let counted = family.iter().filter_map(|oid| rows.get(oid));
    let exact = counted.clone().all(|(_, exact)| *exact);
    let mut after = source.after(relation);
    let ours = |comment: &&Comment| comment.table.is_some_and(|table| family.contains(&table));
    after.extend(
        comments
            .iter()
            .filter(ours)
            .map(|comment| comment.ddl.clone()),
    );
    Surveyed {
        table: table(relation, &partitions),
        rows: counted.map(|(rows, _)| *rows).sum(),
        exact,
        create: source.create(relation),
        key: None,
        after,
        outline: outline(source, relation),
    }
}

/// The table as a plan has it; the target computes generated columns itself.
fn table(relation: &Relation, partitions: &[&Relation]) -> Table {
    let stored: Vec<&catalog::Column> = relation
        .columns
        .iter()
        .filter(|column| column.generated.is_none())
        .collect();
    let mode = match (left_out(relation, partitions), relation.key()) {
        (None, Some(key)) => {
            let columns: Vec<u16> = key
                .columns
                .iter()
                .filter_map(|number| stored.iter().position(|column| column.number == *number))
                .map(|place| place as u16)
                .collect();
            if columns.len() == key.columns.len() {
                Mode::Live(KeySpec {
                    collations: vec![Collation::Binary; columns.len()],
                    columns,
                })
            } else {
                Mode::LeftOut("its key has a generated column, which is not copied".to_owned())
            }
        }
        (Some(why), _) => Mode::LeftOut(why),
        (None, None) => Mode::LeftOut(keyless(relation).to_owned()),
    };
    let name = name_of(relation);
    Table {
        source: name.clone(),
        target: name,
        columns: stored
            .iter()
            .map(|column| Column {
                name: column.name.clone(),
                declared: column.declared.clone(),
                masked: false,
                becomes: String::new(),
            })
            .collect(),
        mode,
        shape: relation.shape.clone(),
    }
}

/// Why a table can't be moved live, whatever its key.
fn left_out(relation: &Relation, partitions: &[&Relation]) -> Option<String> {
    let named =
        |found: &Relation, why: &str| Some(format!("its partition {} {why}", name_of(found)));
    match relation.kind {
        Kind::Foreign => return Some("it is a foreign table: its rows are elsewhere".to_owned()),
        _ if relation.unlogged => {
            return Some("it is unlogged: its changes are in no stream".to_owned());
        }
        _ if relation.inherits => {
            return Some("it inherits from another table, which shows its rows as well".to_owned());
        }
        _ if relation.inherited => {
            return Some(
                "other tables inherit from it, and it shows their rows as well".to_owned(),
            );
        }
        Kind::Ordinary | Kind::Partitioned => {}
    }
    for partition in partitions {
        if partition.kind == Kind::Foreign {
            return named(partition, "is a foreign table");
        }
        if partition.unlogged {
            return named(partition, "is unlogged: its changes are in no stream");
        }
        let named_rows = partition.kind == Kind::Partitioned
            || partition.identity == Identity::Full
            || partition.key().is_some();
        if !named_rows {
            return named(partition, "has no replica identity");
        }
    }
    None
}

fn keyless(relation: &Relation) -> &'static str {
    match relation.identity {
        Identity::Nothing => {
            "its replica identity is NOTHING: a change does not say which row it changed"
        }
        Identity::Index => "the index that was its replica identity is gone",
        Identity::Full => "it has no primary key: its replica identity FULL names no single row",
        Identity::Default if relation.indexes.iter().any(|index| index.primary) => {
            "its primary key is deferrable, which makes it no replica identity"
        }
        Identity::Default => "it has no primary key and no other replica identity",
    }
}

/// Functions that tables and types are made of, and that need no table themselves.
fn early(needs: &Needs, relations: &[Relation], functions: &[Object]) -> HashSet<Oid> {
    let tables: HashSet<Oid> = relations.iter().map(|relation| relation.oid).collect();
    let used = needs.closure(tables.iter().copied());
    functions
        .iter()
        .map(|function| function.oid)
        .filter(|oid| used.contains(oid))
        .filter(|oid| needs.closure([*oid]).is_disjoint(&tables))
        .collect()
}

/// What must be there before any table, each after what it needs.
async fn before(
    conn: &mut PgConnection,
    needs: &Needs,
    extensions: &[(Ddl, bool)],
    functions: &[Object],
    early: &HashSet<Oid>,
    sequences: &[Sequence],
) -> sqlx::Result<Vec<Ddl>> {
    let mut before = objects::schemas(conn).await?;
    before.extend(
        extensions
            .iter()
            .filter(|(_, used)| *used)
            .map(|(ddl, _)| ddl.clone()),
    );
    before.extend(
        objects::collations(conn, None)
            .await?
            .into_iter()
            .map(|object| object.ddl),
    );
    let identity = |sequence: &&Sequence| !sequence.owner.is_some_and(|(_, _, identity)| identity);
    before.extend(sequences.iter().filter(identity).map(Sequence::create));
    let mut made = objects::types(conn, None).await?;
    made.extend(
        functions
            .iter()
            .filter(|function| early.contains(&function.oid))
            .cloned(),
    );
    before.extend(needs.in_order(made).into_iter().map(|object| object.ddl));
    Ok(before)
}

/// What looks at the tables, and what goes on counting. Counters come last: they are read when the survey is made, so a survey
/// behind the fence has their final values.
async fn rest(
    conn: &mut PgConnection,
    needs: &Needs,
    extensions: Vec<(Ddl, bool)>,
    functions: Vec<Object>,
    early: &HashSet<Oid>,
    source: Source<'_>,
    comments: &[Comment],
) -> sqlx::Result<Vec<Ddl>> {
    let mut rest: Vec<Ddl> = extensions
        .into_iter()
        .filter(|(_, used)| !used)
        .map(|(ddl, _)| ddl)
        .collect();
    let mut made: Vec<Object> = functions
        .into_iter()
        .filter(|function| !early.contains(&function.oid))
        .collect();
    made.extend(objects::views(conn, None).await?);
    rest.extend(needs.in_order(made).into_iter().map(|object| object.ddl));
    rest.extend(objects::triggers(conn, None).await?);
    let tables: HashSet<Oid> = source
        .relations
        .iter()
        .map(|relation| relation.oid)
        .collect();
    rest.extend(
        comments
            .iter()
            .filter(|comment| !comment.table.is_some_and(|table| tables.contains(&table)))
            .map(|comment| comment.ddl.clone()),
    );
    rest.extend(
        source
            .sequences
            .iter()
            .filter_map(|sequence| raise(sequence, source)),
    );
    Ok(rest)
}

/// Raises a sequence to the last number given out; never lowers it.
fn raise(sequence: &Sequence, source: Source<'_>) -> Option<Ddl> {
    let last = sequence.last?;
    let name = shown(&sequence.schema, &sequence.name);
    // An identity's sequence is found by its column: it may have another name there.
    let which = match sequence.owner {
        Some((table, number, true)) => {
            let relation = source.relations.iter().find(|r| r.oid == table)?;
            let column = relation.columns.iter().find(|c| c.number == number)?;
            format!(
                "pg_get_serial_sequence({}, {})::regclass",
                literal(&name_of(relation)),
                literal(&column.name)
            )
        }
        _ => format!("{}::regclass", literal(&name)),
    };
    let behind = if sequence.step > 0 { "<" } else { ">" };
    Some(Ddl {
        kind: "sequence".to_owned(),
        sql: format!(
            "SELECT setval(s.seqrelid, {last}) FROM pg_sequence s WHERE s.seqrelid = {which} \
             AND coalesce(pg_sequence_last_value(s.seqrelid), s.seqstart - s.seqincrement) {behind} {last}"
        ),
        name,
    })
}
