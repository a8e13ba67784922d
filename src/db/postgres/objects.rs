//! What a schema has beside its tables: schemas, extensions, types, sequences, functions, views, triggers, comments; each with
//! the statement that makes it.
//!
//! Where a statement can be written by the server, it is. What belongs to an extension is made by the extension.

use super::catalog::{FOREIGN_SCHEMAS, get};
use super::names::{qualified, shown};
use crate::db::Ddl;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgConnection, PgRow};
use std::collections::{HashMap, HashSet};

/// Something that can be made by a statement.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) oid: Oid,
    pub(super) ddl: Ddl,
}

/// Which objects of a kind: all, or the one with this schema and name.
pub(super) type Only<'a> = Option<(&'a str, &'a str)>;

/// A sequence that no identity column owns; those are made with their column.
#[derive(Debug, Clone)]
pub(super) struct Sequence {
    pub(super) schema: String,
    pub(super) name: String,
    /// Type, start, step, bounds, cache, cycle: as CREATE SEQUENCE takes them.
    pub(super) options: String,
    pub(super) step: i64,
    /// The column it belongs to, and whether as its identity.
    pub(super) owner: Option<(Oid, i16, bool)>,
    /// The last number given out, where any was.
    pub(super) last: Option<i64>,
}

/// What needs what, by oid: tables (with their defaults, checks and indexes), types, functions, views.
#[derive(Debug, Default)]
pub(super) struct Needs(HashMap<Oid, Vec<Oid>>);

/// A comment.
#[derive(Debug, Clone)]
pub(super) struct Comment {
    /// The table it is on, or whose column, index or constraint it is on.
    pub(super) table: Option<Oid>,
    pub(super) ddl: Ddl,
}

fn ddl(kind: &str, name: impl Into<String>, sql: impl Into<String>) -> Ddl {
    Ddl {
        kind: kind.to_owned(),
        name: name.into(),
        sql: sql.into(),
    }
}

/// A condition: the row of `catalog` with this oid belongs to no extension.
fn own(catalog: &str, oid: &str) -> String {
    format!(
        "NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = '{catalog}'::regclass AND d.objid = {oid} AND d.deptype = 'e')"
    )
}

async fn all(conn: &mut PgConnection, sql: &str, only: Only<'_>) -> sqlx::Result<Vec<PgRow>> {
    sqlx::query(sql)
        .bind(only.map(|only| only.0))
        .bind(only.map(|only| only.1))
        .fetch_all(conn)
        .await
}

/// `kind` with the columns oid, schema, name, sql.
async fn objects(
    conn: &mut PgConnection,
    kind: &str,
    sql: &str,
    only: Only<'_>,
) -> sqlx::Result<Vec<Object>> {
    let rows = all(conn, sql, only).await?;
    rows.iter()
        .map(|row| {
            Ok(Object {
                oid: get(row, "oid")?,
                ddl: ddl(
                    kind,
                    shown(get(row, "schema")?, get(row, "name")?),
                    get::<String>(row, "sql")?,
                ),
            })
        })
        .collect()
}

/// Schemas of the application.
pub(super) async fn schemas(conn: &mut PgConnection) -> sqlx::Result<Vec<Ddl>> {
    let sql = format!(
        "SELECT n.nspname::text FROM pg_namespace n WHERE NOT {FOREIGN_SCHEMAS} AND {} ORDER BY n.nspname",
        own("pg_namespace", "n.oid")
    );
    let names: Vec<String> = sqlx::query_scalar(&sql).fetch_all(conn).await?;
    Ok(names
        .iter()
        .map(|name| {
            ddl(
                "schema",
                name,
                format!("CREATE SCHEMA {}", super::names::quote(name)),
            )
        })
        .collect())
}

/// Extensions, with whether something of the application is made of them. Without `plpgsql`, which every database has.
pub(super) async fn extensions(conn: &mut PgConnection) -> sqlx::Result<Vec<(Ddl, bool)>> {
    let sql = format!(
        "SELECT e.extname::text AS name, n.nspname::text AS schema, \
           e.extnamespace IN (SELECT m.objid FROM pg_depend m WHERE m.classid = 'pg_namespace'::regclass \
             AND m.deptype = 'e' AND m.refobjid = e.oid) AS own_schema, \
           {FOREIGN_SCHEMAS} AS fixed, \
           EXISTS (SELECT FROM pg_depend m JOIN pg_depend u ON u.refclassid = m.classid AND u.refobjid = m.objid \
             WHERE m.refclassid = 'pg_extension'::regclass AND m.refobjid = e.oid AND m.deptype = 'e' AND u.deptype IN ('n', 'a') \
               AND NOT EXISTS (SELECT FROM pg_depend o WHERE o.classid = u.classid AND o.objid = u.objid AND o.deptype IN ('e', 'i'))) \
             AS used \
         FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace \
         WHERE e.extname <> 'plpgsql' ORDER BY e.oid"
    );
    let rows = sqlx::query(&sql).fetch_all(conn).await?;
    rows.iter()
        .map(|row| {
            let name: String = get(row, "name")?;
            let quoted = super::names::quote(&name);
            let fixed = get::<bool>(row, "own_schema")? || get::<bool>(row, "fixed")?;
            let sql = if fixed {
                format!("CREATE EXTENSION {quoted} CASCADE")
            } else {
                let schema = super::names::quote(get(row, "schema")?);
                format!("CREATE EXTENSION {quoted} SCHEMA {schema} CASCADE")
            };
            Ok((ddl("extension", name, sql), get(row, "used")?))
        })
        .collect()
}

/// Enums, domains, composite types, ranges, and collations.
pub(super) async fn types(conn: &mut PgConnection, only: Only<'_>) -> sqlx::Result<Vec<Object>> {
    let name = "format_type(t.oid, NULL)";
    let sql = format!(
        "SELECT t.oid, n.nspname::text AS schema, t.typname::text AS name, CASE t.typtype \
           WHEN 'e' THEN 'CREATE TYPE ' || {name} || ' AS ENUM (' || coalesce((SELECT string_agg(quote_literal(e.enumlabel), ', ' \
             ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid), '') || ')' \
           WHEN 'd' THEN concat_ws(' ', 'CREATE DOMAIN', {name}, 'AS', format_type(t.typbasetype, t.typtypmod), \
             (SELECT 'COLLATE ' || quote_ident(cn.nspname) || '.' || quote_ident(co.collname) FROM pg_collation co \
               JOIN pg_namespace cn ON cn.oid = co.collnamespace JOIN pg_type b ON b.oid = t.typbasetype \
               WHERE co.oid = t.typcollation AND t.typcollation <> b.typcollation), \
             'DEFAULT ' || t.typdefault, CASE WHEN t.typnotnull THEN 'NOT NULL' END, \
             (SELECT string_agg('CONSTRAINT ' || quote_ident(k.conname) || ' ' || pg_get_constraintdef(k.oid), ' ' ORDER BY k.conname) \
               FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c')) \
           WHEN 'r' THEN (SELECT 'CREATE TYPE ' || {name} || ' AS RANGE (' || concat_ws(', ', \
             'SUBTYPE = ' || format_type(r.rngsubtype, NULL), \
             (SELECT 'SUBTYPE_OPCLASS = ' || quote_ident(opn.nspname) || '.' || quote_ident(op.opcname) FROM pg_opclass op \
               JOIN pg_namespace opn ON opn.oid = op.opcnamespace WHERE op.oid = r.rngsubopc AND NOT op.opcdefault), \
             (SELECT 'COLLATION = ' || quote_ident(cn.nspname) || '.' || quote_ident(co.collname) FROM pg_collation co \
               JOIN pg_namespace cn ON cn.oid = co.collnamespace JOIN pg_type b ON b.oid = r.rngsubtype \
               WHERE co.oid = r.rngcollation AND r.rngcollation <> b.typcollation), \
             'SUBTYPE_DIFF = ' || nullif(r.rngsubdiff::oid, 0)::regproc::text, \
             'MULTIRANGE_TYPE_NAME = ' || format_type(r.rngmultitypid, NULL)) || ')' FROM pg_range r WHERE r.rngtypid = t.oid) \
           WHEN 'c' THEN 'CREATE TYPE ' || {name} || ' AS (' || coalesce((SELECT string_agg(concat_ws(' ', quote_ident(a.attname), \
               format_type(a.atttypid, a.atttypmod), CASE WHEN a.attcollation <> b.typcollation THEN \
               'COLLATE ' || quote_ident(cn.nspname) || '.' || quote_ident(co.collname) END), ', ' ORDER BY a.attnum) \
             FROM pg_attribute a JOIN pg_type b ON b.oid = a.atttypid LEFT JOIN pg_collation co ON co.oid = a.attcollation \
               LEFT JOIN pg_namespace cn ON cn.oid = co.collnamespace \
             WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped), '') || ')' END AS sql \
         FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace \
         WHERE NOT {FOREIGN_SCHEMAS} AND t.typtype IN ('e', 'd', 'r', 'c') \
           AND (t.typrelid = 0 OR (SELECT c.relkind = 'c' FROM pg_class c WHERE c.oid = t.typrelid)) \
           AND {} AND ($1::text IS NULL OR n.nspname = $1 AND t.typname = $2) ORDER BY t.oid",
        own("pg_type", "t.oid")
    );
    objects(conn, "type", &sql, only).await
}

/// Collations that the application made.
pub(super) async fn collations(
    conn: &mut PgConnection,
    only: Only<'_>,
) -> sqlx::Result<Vec<Object>> {
    // The locale's column has another name in 14, 15 and 17.
    let sql = format!(
        "SELECT t.oid, n.nspname::text AS schema, t.collname::text AS name, 'CREATE COLLATION ' || quote_ident(n.nspname) || '.' \
             || quote_ident(t.collname) || ' (' || concat_ws(', ', \
           'PROVIDER = ' || CASE t.collprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END, \
           CASE WHEN t.collprovider = 'c' THEN 'LC_COLLATE = ' || quote_literal(t.collcollate) || ', LC_CTYPE = ' || quote_literal(t.collctype) \
             ELSE 'LOCALE = ' || quote_literal(coalesce(j->>'colllocale', j->>'colliculocale', j->>'collcollate')) END, \
           'RULES = ' || quote_literal(j->>'collicurules'), \
           'DETERMINISTIC = ' || t.collisdeterministic) || ')' AS sql \
         FROM pg_collation t JOIN pg_namespace n ON n.oid = t.collnamespace, to_jsonb(t) AS j \
         WHERE NOT {FOREIGN_SCHEMAS} AND {} AND ($1::text IS NULL OR n.nspname = $1 AND t.collname = $2) ORDER BY t.oid",
        own("pg_collation", "t.oid")
    );
    objects(conn, "collation", &sql, only).await
}

/// Functions and procedures; aggregates have no statement that the server would write. A range type makes functions of its
/// own: made again by a statement, they would not belong to it any more, and stay when it is dropped.
pub(super) async fn functions(
    conn: &mut PgConnection,
    only: Only<'_>,
) -> sqlx::Result<Vec<Object>> {
    let sql = format!(
        "SELECT p.oid, p.oid::regprocedure::text AS name, pg_get_functiondef(p.oid) AS sql \
         FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace \
         WHERE NOT {FOREIGN_SCHEMAS} AND p.prokind IN ('f', 'p', 'w') AND {} \
           AND NOT EXISTS (SELECT FROM pg_depend i WHERE i.classid = 'pg_proc'::regclass AND i.objid = p.oid AND i.deptype = 'i') \
           AND ($1::text IS NULL OR n.nspname = $1 AND p.oid::regprocedure::text = $2) ORDER BY p.oid",
        own("pg_proc", "p.oid")
    );
    let rows = all(conn, &sql, only).await?;
    rows.iter()
        .map(|row| {
            Ok(Object {
                oid: get(row, "oid")?,
                ddl: ddl(
                    "function",
                    get::<String>(row, "name")?,
                    get::<String>(row, "sql")?,
                ),
            })
        })
        .collect()
}

/// Views and materialized views, these with their indexes.
pub(super) async fn views(conn: &mut PgConnection, only: Only<'_>) -> sqlx::Result<Vec<Object>> {
    let sql = format!(
        "SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name, concat('CREATE ', \
           CASE c.relkind WHEN 'm' THEN 'MATERIALIZED ' END, 'VIEW ', quote_ident(n.nspname), '.', quote_ident(c.relname), \
           (SELECT ' WITH (' || string_agg(split_part(o, '=', 1) || '=' || quote_literal(substr(o, strpos(o, '=') + 1)), ', ') || ')' \
             FROM unnest(c.reloptions) o), \
           ' AS ', rtrim(pg_get_viewdef(c.oid), ';'), \
           CASE WHEN c.relkind = 'm' AND NOT c.relispopulated THEN ' WITH NO DATA' END, \
           (SELECT string_agg('; ' || pg_get_indexdef(i.indexrelid), '' ORDER BY i.indexrelid) FROM pg_index i \
             WHERE i.indrelid = c.oid AND c.relkind = 'm' AND i.indisvalid)) AS sql \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('v', 'm') AND c.relpersistence <> 't' AND NOT {FOREIGN_SCHEMAS} AND {} \
           AND ($1::text IS NULL OR n.nspname = $1 AND c.relname = $2) ORDER BY c.oid",
        own("pg_class", "c.oid")
    );
    objects(conn, "view", &sql, only).await
}

/// Triggers over tables and views, with whether they fire for everybody. With `only`, those of one table.
pub(super) async fn triggers(conn: &mut PgConnection, only: Only<'_>) -> sqlx::Result<Vec<Ddl>> {
    let sql = format!(
        "SELECT quote_ident(t.tgname) || ' on ' || quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name, \
           pg_get_triggerdef(t.oid) || CASE t.tgenabled WHEN 'O' THEN '' ELSE '; ALTER TABLE ' || quote_ident(n.nspname) || '.' || \
             quote_ident(c.relname) || CASE t.tgenabled WHEN 'D' THEN ' DISABLE' WHEN 'R' THEN ' ENABLE REPLICA' ELSE ' ENABLE ALWAYS' END \
             || ' TRIGGER ' || quote_ident(t.tgname) END AS sql \
         FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND NOT {FOREIGN_SCHEMAS} AND {} AND {} AND t.tgname NOT LIKE 'tidegate\\_%' \
           AND ($1::text IS NULL OR n.nspname = $1 AND c.relname = $2) ORDER BY n.nspname, c.relname, t.tgname",
        own("pg_class", "c.oid"),
        own("pg_trigger", "t.oid")
    );
    let rows = all(conn, &sql, only).await?;
    rows.iter()
        .map(|row| {
            Ok(ddl(
                "trigger",
                get::<String>(row, "name")?,
                get::<String>(row, "sql")?,
            ))
        })
        .collect()
}

/// Sequences, those of identity columns too.
pub(super) async fn sequences(
    conn: &mut PgConnection,
    only: Only<'_>,
) -> sqlx::Result<Vec<Sequence>> {
    let sql = format!(
        "SELECT n.nspname::text AS schema, c.relname::text AS name, s.seqincrement AS step, \
           concat('START WITH ', s.seqstart, ' INCREMENT BY ', s.seqincrement, ' MINVALUE ', s.seqmin, ' MAXVALUE ', s.seqmax, \
             ' CACHE ', s.seqcache, CASE WHEN s.seqcycle THEN ' CYCLE' END) AS options, \
           format_type(s.seqtypid, NULL) AS type, d.refobjid AS owner, d.refobjsubid::int2 AS owner_column, d.deptype = 'i' AS identity, \
           CASE WHEN has_sequence_privilege(c.oid, 'SELECT, USAGE') THEN pg_sequence_last_value(c.oid) END AS last \
         FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
           LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass \
             AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i') \
         WHERE c.relpersistence <> 't' AND NOT {FOREIGN_SCHEMAS} AND NOT EXISTS (SELECT FROM pg_depend x \
             WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid AND x.deptype = 'e') \
           AND ($1::text IS NULL OR n.nspname = $1 AND c.relname = $2) ORDER BY n.nspname, c.relname"
    );
    let rows = all(conn, &sql, only).await?;
    rows.iter()
        .map(|row| {
            let owner: Option<Oid> = get(row, "owner")?;
            let identity = get::<Option<bool>>(row, "identity")?.unwrap_or_default();
            let column: Option<i16> = get(row, "owner_column")?;
            Ok(Sequence {
                schema: get(row, "schema")?,
                name: get(row, "name")?,
                options: if identity {
                    get(row, "options")?
                } else {
                    // An identity's sequence has its column's type.
                    format!(
                        "AS {} {}",
                        get::<&str>(row, "type")?,
                        get::<&str>(row, "options")?
                    )
                },
                step: get(row, "step")?,
                owner: owner
                    .zip(column)
                    .map(|(table, column)| (table, column, identity)),
                last: get(row, "last")?,
            })
        })
        .collect()
}

impl Sequence {
    pub(super) fn create(&self) -> Ddl {
        ddl(
            "sequence",
            shown(&self.schema, &self.name),
            format!(
                "CREATE SEQUENCE {} {}",
                qualified(&shown(&self.schema, &self.name)),
                self.options
            ),
        )
    }
}

/// Comments on what the application made.
pub(super) async fn comments(conn: &mut PgConnection) -> sqlx::Result<Vec<Comment>> {
    let sql = format!(
        "SELECT i.type, i.identity, d.description, \
           CASE WHEN d.classoid = 'pg_class'::regclass THEN coalesce((SELECT x.indrelid FROM pg_index x WHERE x.indexrelid = d.objoid), d.objoid) \
                WHEN d.classoid = 'pg_constraint'::regclass THEN (SELECT nullif(k.conrelid, 0) FROM pg_constraint k WHERE k.oid = d.objoid) END AS of \
         FROM pg_description d CROSS JOIN LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) AS i \
           LEFT JOIN pg_namespace n ON n.nspname = i.schema \
         WHERE d.classoid IN ('pg_class'::regclass, 'pg_constraint'::regclass, 'pg_type'::regclass, 'pg_proc'::regclass, \
             'pg_namespace'::regclass, 'pg_trigger'::regclass) \
           AND d.objoid >= 16384 AND (n.oid IS NULL OR NOT {FOREIGN_SCHEMAS}) \
           AND i.type IN ('table', 'table column', 'index', 'table constraint', 'domain constraint', 'view', 'materialized view', 'view column', \
             'materialized view column', 'sequence', 'type', 'composite type', 'composite type column', 'function', 'procedure', 'schema', 'trigger') \
           AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = d.classoid AND e.objid = d.objoid AND e.deptype = 'e') \
           AND i.identity <> 'tidegate' \
         ORDER BY i.type, i.identity"
    );
    let rows = sqlx::query(&sql).fetch_all(conn).await?;
    rows.iter()
        .map(|row| {
            let (kind, identity): (&str, &str) = (get(row, "type")?, get(row, "identity")?);
            let on = match kind {
                "table column"
                | "view column"
                | "materialized view column"
                | "composite type column" => {
                    format!("COLUMN {identity}")
                }
                "table constraint" => format!("CONSTRAINT {identity}"),
                // `name on type`, where the statement wants `name on domain type`.
                "domain constraint" => {
                    format!("CONSTRAINT {}", identity.replacen(" on ", " ON DOMAIN ", 1))
                }
                "composite type" => format!("TYPE {identity}"),
                _ => format!("{} {identity}", kind.to_uppercase()),
            };
            let text = super::names::literal(get(row, "description")?);
            Ok(Comment {
                table: get(row, "of")?,
                ddl: ddl(
                    "comment",
                    format!("on {kind} {identity}"),
                    format!("COMMENT ON {on} IS {text}"),
                ),
            })
        })
        .collect()
}

/// What needs what.
pub(super) async fn needs(conn: &mut PgConnection) -> sqlx::Result<Needs> {
    let edges: Vec<(Oid, Oid)> = sqlx::query_as(
        "SELECT DISTINCT who, needs FROM (SELECT \
           CASE d.classid \
             WHEN 'pg_rewrite'::regclass THEN (SELECT r.ev_class FROM pg_rewrite r WHERE r.oid = d.objid) \
             WHEN 'pg_attrdef'::regclass THEN (SELECT a.adrelid FROM pg_attrdef a WHERE a.oid = d.objid) \
             WHEN 'pg_constraint'::regclass THEN (SELECT CASE k.contypid WHEN 0 THEN k.conrelid ELSE k.contypid END \
               FROM pg_constraint k WHERE k.oid = d.objid) \
             WHEN 'pg_class'::regclass THEN (SELECT CASE WHEN c.relkind = 'c' THEN c.reltype WHEN c.relkind IN ('i', 'I') THEN i.indrelid \
               WHEN c.relkind = 'S' THEN NULL ELSE c.oid END FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid WHERE c.oid = d.objid) \
             ELSE d.objid END AS who, \
           CASE d.refclassid \
             WHEN 'pg_type'::regclass THEN (SELECT CASE WHEN e.oid IS NOT NULL THEN e.oid WHEN c.relkind <> 'c' THEN c.oid ELSE t.oid END \
               FROM pg_type t LEFT JOIN pg_type e ON e.typarray = t.oid LEFT JOIN pg_class c ON c.oid = t.typrelid WHERE t.oid = d.refobjid) \
             WHEN 'pg_class'::regclass THEN (SELECT CASE c.relkind WHEN 'c' THEN c.reltype ELSE c.oid END FROM pg_class c WHERE c.oid = d.refobjid) \
             ELSE d.refobjid END AS needs \
         FROM pg_depend d \
         WHERE d.deptype IN ('n', 'a') AND d.refobjid >= 16384 \
           AND d.classid IN ('pg_rewrite'::regclass, 'pg_attrdef'::regclass, 'pg_constraint'::regclass, 'pg_class'::regclass, \
             'pg_type'::regclass, 'pg_proc'::regclass) \
           AND d.refclassid IN ('pg_type'::regclass, 'pg_class'::regclass, 'pg_proc'::regclass)) AS x \
         WHERE who IS NOT NULL AND needs IS NOT NULL AND who <> needs ORDER BY 1, 2",
    )
    .fetch_all(conn)
    .await?;
    let mut needs = Needs::default();
    for (who, what) in edges {
        needs.0.entry(who).or_default().push(what);
    }
    Ok(needs)
}

impl Needs {
    /// These and everything they need, directly or not.
    pub(super) fn closure(&self, from: impl IntoIterator<Item = Oid>) -> HashSet<Oid> {
        let mut seen: HashSet<Oid> = HashSet::new();
        let mut open: Vec<Oid> = from.into_iter().collect();
        while let Some(oid) = open.pop() {
            if seen.insert(oid) {
                open.extend(self.0.get(&oid).into_iter().flatten());
            }
        }
        seen
    }

    /// What is needed comes first; otherwise the order stays.
    pub(super) fn in_order(&self, objects: Vec<Object>) -> Vec<Object> {
        let places: HashMap<Oid, usize> = objects
            .iter()
            .enumerate()
            .map(|(i, o)| (o.oid, i))
            .collect();
        let mut seen = HashSet::new();
        let mut order: Vec<usize> = Vec::with_capacity(objects.len());
        for object in &objects {
            // Depth first, with a stack of its own: what is needed leaves it before what needs it.
            let mut open = vec![(object.oid, false)];
            while let Some((oid, done)) = open.pop() {
                if done {
                    order.extend(places.get(&oid));
                } else if seen.insert(oid) {
                    open.push((oid, true));
                    open.extend(
                        self.0
                            .get(&oid)
                            .into_iter()
                            .flatten()
                            .map(|oid| (*oid, false)),
                    );
                }
            }
        }
        order
            .into_iter()
            .filter_map(|place| objects.get(place).cloned())
            .collect()
    }
}
