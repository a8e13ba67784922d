//! The fingerprint of a table's definition: what a row is, and what names it.
//!
//! Indexes, checks, foreign keys and triggers may change while a table is copied; columns and the key may not. Dropped columns
//! and oids are no part of it, so that a table and what was made after it have the same one.

use super::connect::Session;
use super::names::split;
use super::place::OrFault;
use crate::domain::fault::Result;
use crate::domain::id::TableId;
use crate::domain::plan::{Plan, Side};

/// The fingerprint of the table whose `pg_class` row is `c`.
pub(super) const SHAPE: &str = "SELECT md5(concat_ws(E'\\n', c.relreplident::text, \
     (SELECT string_agg(concat_ws(' ', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod), a.attnotnull, \
        a.attgenerated::text, quote_ident(co.collname)), E'\\n' ORDER BY a.attnum) \
      FROM pg_attribute a LEFT JOIN pg_collation co ON co.oid = a.attcollation \
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), \
     (SELECT string_agg(quote_ident(a.attname), ' ' ORDER BY k.place) \
      FROM pg_index i, unnest(string_to_array(i.indkey::text, ' ')::int2[]) WITH ORDINALITY AS k(number, place) \
        JOIN pg_attribute a ON a.attnum = k.number \
      WHERE i.indrelid = c.oid AND a.attrelid = c.oid AND k.place <= i.indnkeyatts \
        AND CASE c.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary AND i.indimmediate END)))";

/// Fingerprints of the plan's tables as they are now on a side. A table that is not there is absent.
///
/// # Errors
/// A database that can't be read.
pub(super) async fn shapes(
    session: &mut Session,
    plan: &Plan,
    side: Side,
) -> Result<Vec<(TableId, String)>> {
    let (mut ids, mut schemas, mut names) = (Vec::new(), Vec::new(), Vec::new());
    for (id, table) in plan.ids() {
        let (schema, name) = split(match side {
            Side::Source => &table.source,
            Side::Target => &table.target,
        });
        ids.push(i32::from(id.0));
        schemas.push(schema);
        names.push(name);
    }
    let sql = format!(
        "SELECT p.id, ({SHAPE}) FROM unnest($1::int4[], $2::text[], $3::text[]) AS p(id, schema, name) \
           JOIN pg_namespace n ON n.nspname = p.schema \
           JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.name AND c.relkind IN ('r', 'p', 'f') \
         ORDER BY p.id"
    );
    let place = session.place().clone();
    let found: Vec<(i32, String)> = sqlx::query_as(&sql)
        .bind(&ids)
        .bind(&schemas)
        .bind(&names)
        .fetch_all(session.conn()?)
        .await
        .or_fault(&place, "read the tables' definitions")?;
    // The numbers are those that went in.
    Ok(found
        .into_iter()
        .map(|(id, shape)| (TableId(id as u16), shape))
        .collect())
}
