//! Tables as the catalog has them: columns, constraints, indexes, statistics. What is not a table is in `objects`.
//!
//! Everything is read in a few queries, whatever the number of tables. Definitions are the server's own words with complete
//! names (there is no search path), so that two tables that are the same read the same.

use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Decode, Postgres, Row as _, Type};

/// Schemas that are no application's: the server's own, and ours.
pub(super) const FOREIGN_SCHEMAS: &str =
    r"(n.nspname LIKE 'pg\_%' OR n.nspname IN ('information_schema', 'tidegate'))";

/// A table.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    pub(super) oid: Oid,
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) unlogged: bool,
    /// `d`, `n`, `f`, `i`, as the catalog has it.
    pub(super) identity: Identity,
    /// The table it is a partition of.
    pub(super) partition_of: Option<Oid>,
    /// Whether it inherits from a table, or is inherited from, other than as a partition.
    pub(super) inherits: bool,
    pub(super) inherited: bool,
    /// Rows by the last ANALYZE; negative when there was none.
    pub(super) estimate: f32,
    /// Bytes of its rows.
    pub(super) bytes: i64,
    pub(super) options: Option<String>,
    pub(super) partition_key: Option<String>,
    pub(super) partition_bound: Option<String>,
    /// Whether this role may read it.
    pub(super) readable: bool,
    /// The fingerprint of what a row is; see `shape`.
    pub(super) shape: String,
    pub(super) columns: Vec<Column>,
    pub(super) constraints: Vec<Constraint>,
    pub(super) indexes: Vec<Index>,
    /// CREATE STATISTICS, by name.
    pub(super) statistics: Vec<(String, String)>,
}

/// What a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Ordinary,
    Partitioned,
    Foreign,
}

/// What names a row in the change stream (REPLICA IDENTITY).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    Default,
    Nothing,
    Full,
    Index,
}

/// A column that was not dropped.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) number: i16,
    pub(super) name: String,
    pub(super) declared: String,
    pub(super) not_null: bool,
    /// `GENERATED … AS IDENTITY`: always or by default.
    pub(super) identity: Option<&'static str>,
    /// `STORED` or `VIRTUAL`, of a generated column.
    pub(super) generated: Option<&'static str>,
    /// Its default, or what it is generated from.
    pub(super) expression: Option<String>,
    /// Its collation, where it is not its type's.
    pub(super) collation: Option<String>,
    /// Whether texts that differ in their bytes may be equal: a collation that folds, citext.
    pub(super) folds: bool,
    /// Whether its type brings operators of its own, which our sessions don't look for: ltree, isbn.
    pub(super) outside: bool,
    /// Whether a value can be written in more than one way: `1.0` and `1.00` of a numeric without a scale.
    pub(super) loose: bool,
}

/// A constraint.
#[derive(Debug, Clone)]
pub(super) struct Constraint {
    pub(super) name: String,
    /// `c`heck, `f`oreign key, `p`rimary key, `u`nique, e`x`clusion.
    pub(super) kind: char,
    pub(super) definition: String,
    pub(super) valid: bool,
    /// Whether it is there because its parent has it.
    pub(super) inherited: bool,
    pub(super) index: Oid,
    /// The table a foreign key refers to.
    pub(super) refers: Oid,
}

/// An index.
#[derive(Debug, Clone)]
pub(super) struct Index {
    pub(super) oid: Oid,
    pub(super) name: String,
    pub(super) definition: String,
    pub(super) primary: bool,
    /// Whether it is the table's replica identity.
    pub(super) identity: bool,
    /// Whether uniqueness is checked at once: a deferrable index names no row.
    pub(super) immediate: bool,
    /// Whether a constraint makes it.
    pub(super) constraint: bool,
    /// Whether it is there because the parent's index is.
    pub(super) inherited: bool,
    /// Numbers of its key's columns; 0 for an expression.
    pub(super) columns: Vec<i16>,
}

impl Relation {
    /// The index that names a row, where one does.
    pub(super) fn key(&self) -> Option<&Index> {
        self.indexes.iter().find(|index| match self.identity {
            Identity::Index => index.identity,
            Identity::Default | Identity::Full => index.primary && index.immediate,
            Identity::Nothing => false,
        })
    }
}

/// Reads all tables, or these.
pub(super) async fn relations(
    conn: &mut PgConnection,
    only: Option<&[Oid]>,
) -> sqlx::Result<Vec<Relation>> {
    let sql = format!(
        "SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind, \
           c.relpersistence::text AS persistence, c.relreplident::text AS identity, \
           CASE WHEN c.relispartition THEN (SELECT i.inhparent FROM pg_inherits i WHERE i.inhrelid = c.oid LIMIT 1) END AS parent, \
           NOT c.relispartition AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid) AS inherits, \
           c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid) AS inherited, \
           c.reltuples AS estimate, \
           CASE WHEN c.relkind = 'r' THEN coalesce(pg_relation_size(c.oid), 0) ELSE 0 END AS bytes, \
           (SELECT string_agg(split_part(o, '=', 1) || '=' || quote_literal(substr(o, strpos(o, '=') + 1)), ', ') \
            FROM unnest(c.reloptions) o) AS options, \
           CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END AS partition_key, \
           pg_get_expr(c.relpartbound, c.oid) AS partition_bound, \
           has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE') AS readable, \
           ({shape}) AS shape \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't' AND NOT {FOREIGN_SCHEMAS} \
           AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') \
           AND ($1::oid[] IS NULL OR c.oid = ANY($1)) \
         ORDER BY n.nspname, c.relname",
        shape = super::shape::SHAPE,
    );
    let rows = sqlx::query(&sql).bind(only).fetch_all(&mut *conn).await?;
    let mut found = rows
        .iter()
        .map(relation)
        .collect::<sqlx::Result<Vec<_>>>()?;
    let oids: Vec<Oid> = found.iter().map(|relation| relation.oid).collect();
    let mut places = std::collections::HashMap::new();
    for (place, oid) in oids.iter().enumerate() {
        places.insert(*oid, place);
    }
    let of = |row: &PgRow| -> sqlx::Result<Option<usize>> {
        Ok(places.get(&row.try_get::<Oid, _>("of")?).copied())
    };
    for row in sqlx::query(COLUMNS)
        .bind(&oids)
        .fetch_all(&mut *conn)
        .await?
    {
        if let Some(place) = of(&row)? {
            found[place].columns.push(column(&row)?);
        }
    }
    for row in sqlx::query(CONSTRAINTS)
        .bind(&oids)
        .fetch_all(&mut *conn)
        .await?
    {
        if let Some(place) = of(&row)? {
            found[place].constraints.push(constraint(&row)?);
        }
    }
    for row in sqlx::query(INDEXES)
        .bind(&oids)
        .fetch_all(&mut *conn)
        .await?
    {
        if let Some(place) = of(&row)? {
            found[place].indexes.push(index(&row)?);
        }
    }
    for row in sqlx::query(STATISTICS)
        .bind(&oids)
        .fetch_all(&mut *conn)
        .await?
    {
        if let Some(place) = of(&row)? {
            found[place]
                .statistics
                .push((get(&row, "name")?, get(&row, "definition")?));
        }
    }
    Ok(found)
}

/// The oid of a table or index, where it is there.
pub(super) async fn oid_of(
    conn: &mut PgConnection,
    schema: &str,
    name: &str,
) -> sqlx::Result<Option<Oid>> {
    sqlx::query_scalar(
        "SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND c.relname = $2",
    )
    .bind(schema)
    .bind(name)
    .fetch_optional(conn)
    .await
}

/// A table with its partitions, where it is there.
pub(super) async fn family(
    conn: &mut PgConnection,
    schema: &str,
    name: &str,
) -> sqlx::Result<Vec<Relation>> {
    let Some(oid) = oid_of(conn, schema, name).await? else {
        return Ok(Vec::new());
    };
    let mut oids: Vec<Oid> =
        sqlx::query_scalar("SELECT relid::oid FROM pg_partition_tree($1::oid::regclass)")
            .bind(oid)
            .fetch_all(&mut *conn)
            .await?;
    oids.push(oid);
    relations(conn, Some(&oids)).await
}

const COLUMNS: &str = "SELECT a.attrelid AS of, a.attnum AS number, a.attname::text AS name, \
       format_type(a.atttypid, a.atttypmod) AS declared, a.attnotnull AS not_null, \
       a.attidentity::text AS identity, a.attgenerated::text AS generated, \
       pg_get_expr(d.adbin, d.adrelid) AS expression, \
       CASE WHEN a.attcollation <> t.typcollation THEN quote_ident(cn.nspname) || '.' || quote_ident(co.collname) END AS collation, \
       NOT coalesce(co.collisdeterministic, true) OR b.typname = 'citext' AS folds, \
       b.typtype = 'b' AND b.typcategory <> 'A' AND b.typnamespace <> 'pg_catalog'::regnamespace AS outside, \
       b.typname = 'interval' OR b.typname = 'numeric' AND greatest(a.atttypmod, t.typtypmod) < 0 AS loose \
     FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
       JOIN pg_type b ON b.oid = CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END \
       LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
       LEFT JOIN pg_collation co ON co.oid = a.attcollation \
       LEFT JOIN pg_namespace cn ON cn.oid = co.collnamespace \
     WHERE a.attrelid = ANY($1) AND a.attnum > 0 AND NOT a.attisdropped \
     ORDER BY a.attrelid, a.attnum";

const CONSTRAINTS: &str = "SELECT k.conrelid AS of, k.conname::text AS name, k.contype::text AS kind, \
       pg_get_constraintdef(k.oid) AS definition, k.convalidated AS valid, \
       k.conparentid <> 0 OR k.coninhcount > 0 AND NOT k.conislocal AS inherited, \
       k.conindid AS index, k.confrelid AS refers \
     FROM pg_constraint k WHERE k.conrelid = ANY($1) AND k.contype IN ('c', 'f', 'p', 'u', 'x') \
     ORDER BY k.conrelid, k.conname";

// The root's index is written for the root alone (ON ONLY); made again, it goes to the partitions as well.
const INDEXES: &str = "SELECT i.indrelid AS of, i.indexrelid AS oid, c.relname::text AS name, \
       CASE c.relkind WHEN 'I' THEN replace(pg_get_indexdef(c.oid), ' ON ONLY ', ' ON ') ELSE pg_get_indexdef(c.oid) END AS definition, \
       i.indisprimary AS primary, i.indisreplident AS identity, i.indimmediate AS immediate, \
       EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x')) AS constraint, \
       c.relispartition AS inherited, \
       (string_to_array(i.indkey::text, ' ')::int2[])[1:i.indnkeyatts] AS columns \
     FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
     WHERE i.indrelid = ANY($1) AND i.indisvalid \
     ORDER BY i.indrelid, c.relname";

const STATISTICS: &str = "SELECT s.stxrelid AS of, quote_ident(n.nspname) || '.' || quote_ident(s.stxname) AS name, \
       pg_get_statisticsobjdef(s.oid) AS definition \
     FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace \
     WHERE s.stxrelid = ANY($1) ORDER BY s.stxrelid, n.nspname, s.stxname";

/// One field of a row.
pub(super) fn get<'r, T: Decode<'r, Postgres> + Type<Postgres>>(
    row: &'r PgRow,
    name: &str,
) -> sqlx::Result<T> {
    row.try_get(name)
}

fn relation(row: &PgRow) -> sqlx::Result<Relation> {
    Ok(Relation {
        oid: get(row, "oid")?,
        schema: get(row, "schema")?,
        name: get(row, "name")?,
        kind: match get(row, "kind")? {
            "p" => Kind::Partitioned,
            "f" => Kind::Foreign,
            _ => Kind::Ordinary,
        },
        unlogged: get::<&str>(row, "persistence")? == "u",
        identity: match get(row, "identity")? {
            "n" => Identity::Nothing,
            "f" => Identity::Full,
            "i" => Identity::Index,
            _ => Identity::Default,
        },
        partition_of: get(row, "parent")?,
        inherits: get(row, "inherits")?,
        inherited: get(row, "inherited")?,
        estimate: get(row, "estimate")?,
        bytes: get(row, "bytes")?,
        options: get(row, "options")?,
        partition_key: get(row, "partition_key")?,
        partition_bound: get(row, "partition_bound")?,
        readable: get(row, "readable")?,
        shape: get(row, "shape")?,
        columns: Vec::new(),
        constraints: Vec::new(),
        indexes: Vec::new(),
        statistics: Vec::new(),
    })
}

fn column(row: &PgRow) -> sqlx::Result<Column> {
    Ok(Column {
        number: get(row, "number")?,
        name: get(row, "name")?,
        declared: get(row, "declared")?,
        not_null: get(row, "not_null")?,
        identity: match get(row, "identity")? {
            "a" => Some("ALWAYS"),
            "d" => Some("BY DEFAULT"),
            _ => None,
        },
        generated: match get(row, "generated")? {
            "s" => Some("STORED"),
            "v" => Some("VIRTUAL"),
            _ => None,
        },
        expression: get(row, "expression")?,
        collation: get(row, "collation")?,
        folds: get(row, "folds")?,
        outside: get(row, "outside")?,
        loose: get(row, "loose")?,
    })
}

fn constraint(row: &PgRow) -> sqlx::Result<Constraint> {
    Ok(Constraint {
        name: get(row, "name")?,
        kind: get::<&str>(row, "kind")?.chars().next().unwrap_or_default(),
        definition: get(row, "definition")?,
        valid: get(row, "valid")?,
        inherited: get(row, "inherited")?,
        index: get(row, "index")?,
        refers: get(row, "refers")?,
    })
}

fn index(row: &PgRow) -> sqlx::Result<Index> {
    Ok(Index {
        oid: get(row, "oid")?,
        name: get(row, "name")?,
        definition: get(row, "definition")?,
        primary: get(row, "primary")?,
        identity: get(row, "identity")?,
        immediate: get(row, "immediate")?,
        constraint: get(row, "constraint")?,
        inherited: get(row, "inherited")?,
        columns: get(row, "columns")?,
    })
}
