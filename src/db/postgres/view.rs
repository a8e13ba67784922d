//! One read transaction: a snapshot, and what it has seen.

use super::cell::{self, CopyBinary, Form};
use super::connect::{Server, Session};
use super::digest;
use super::ledger;
use super::names::{MARKER, literal};
use super::place::{OrFault, state};
use super::sql::Tables;
use crate::db::canon::RowHasher;
use crate::db::{Read, ResultSet, View, refused};
use crate::domain::bulk::{Bulk, Lines, Seal, Sealed};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::{Nonce, TableId};
use crate::domain::key::{Bound, Key, Pick, Range};
use crate::domain::position::{Barrier, Position, Seen};
use crate::domain::unit::{Bytes, Rows, Span};
use crate::domain::value::{Row, Value};
use crate::domain::verdict::Digest;
use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::future::poll_immediate;
use sqlx::{Column as _, Executor as _, Row as _, TypeInfo as _, ValueRef as _};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

/// An operator's query finds tables where the application does; our own sessions have no search path.
const AS_APPLICATION: &str = "SELECT pg_catalog.set_config('search_path', coalesce((\
     SELECT substr(c, 13) FROM pg_catalog.pg_db_role_setting s, unnest(s.setconfig) AS c \
     WHERE c LIKE 'search_path=%' \
     AND s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())) \
     AND s.setrole IN (0, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user)) \
     ORDER BY s.setrole DESC, s.setdatabase DESC LIMIT 1), '\"$user\", public'), true)";
/// How often, and how long apart, a view is taken anew while something older than the stream is still open.
const LOOKS: u32 = 100;
const LOOK: Duration = Duration::from_millis(10);
/// A reader that waits for every piece is woken for every piece, which costs the server more than to send it. So once this many
/// bytes came, it sleeps before it waits for more, and finds many pieces when it wakes.
const GATHERED: usize = 32 << 10;
const NAP: Duration = Duration::from_millis(1);
/// Keys in one statement.
const KEYS: usize = 2_000;

/// A snapshot of one PostgreSQL database.
///
/// Dropped between two calls, its session is rolled back and kept; dropped in the middle of one, it is closed.
pub(super) struct PgView {
    server: Server,
    session: Option<Session>,
    /// The server's process of this session.
    pid: i32,
    /// Whether a call has begun and not come to its end.
    busy: bool,
    tables: Arc<Tables>,
    seen: Seen,
    applied: Option<Position>,
}

impl PgView {
    /// Opens the snapshot.
    ///
    /// A commit that was under way when a feed was opened may be in neither: decoded before the feed's start and not visible
    /// yet. So a view is used only once everything older than `least`, an own transaction begun after that, has ended: then
    /// what the feed does not deliver, the view sees.
    pub(super) async fn open(
        server: &Server,
        tables: Arc<Tables>,
        least: Option<u64>,
    ) -> Result<Self> {
        let mut session = server.session().await?;
        let place = session.shared_place();
        let mut left = LOOKS;
        let (seen, ledger, pid) = loop {
            session
                .run(
                    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                    "begin a read",
                )
                .await?;
            let (snapshot, ledger, pid): (String, bool, i32) = sqlx::query_as(
                "SELECT pg_catalog.pg_current_snapshot()::text, pg_catalog.to_regclass('tidegate.ledger') IS NOT NULL, \
                 pg_catalog.pg_backend_pid()",
            )
            .fetch_one(session.conn()?)
            .await
            .or_fault(&place, "begin a read")?;
            let seen = snapshot_of(&snapshot).ok_or_else(|| {
                Fault::new(
                    Kind::Own,
                    format!("can't read the snapshot {snapshot}: {place}"),
                )
            })?;
            let Some(xmin) = older(&seen, least) else {
                break (seen, ledger, pid);
            };
            left -= 1;
            if left == 0 {
                let oldest = oldest(&mut session).await;
                session.run("ROLLBACK", "end a read").await?;
                session.rest();
                return Err(Fault::new(
                    Kind::Transient,
                    format!(
                        "a transaction that is older than the stream has not ended yet: {place}"
                    ),
                )
                .code("OLD-TRANSACTION")
                .cause(oldest.unwrap_or_else(|| format!("transaction {xmin}")))
                .hint("rows are read once it has ended; end it if nobody needs it"));
            }
            session.run("ROLLBACK", "end a read").await?;
            tokio::time::sleep(LOOK).await;
        };
        let applied = if ledger {
            ledger::applied(&mut session).await?
        } else {
            None
        };
        Ok(Self {
            server: server.clone(),
            session: Some(session),
            pid,
            busy: false,
            tables,
            seen,
            applied,
        })
    }

    fn session(&mut self) -> Result<&mut Session> {
        let place = &self.server.place;
        self.session.as_mut().ok_or_else(|| {
            let what = format!("the read has ended: {place}");
            Fault::new(Kind::Transient, what).code("READ-ENDED")
        })
    }

    /// Runs a COPY in text form and hands over its lines, until told to break; says whether it was.
    async fn copy(
        &mut self,
        sql: &str,
        doing: &str,
        line: impl FnMut(&[u8]) -> ControlFlow<()> + Send,
    ) -> Result<bool> {
        self.copy_as(None, sql, doing, line).await
    }

    /// Runs a COPY, in binary form where that is given, and hands over its rows.
    async fn copy_as(
        &mut self,
        binary: Option<&CopyBinary>,
        sql: &str,
        doing: &str,
        mut line: impl FnMut(&[u8]) -> ControlFlow<()> + Send,
    ) -> Result<bool> {
        self.busy = true;
        let (server, pid) = (self.server.clone(), self.pid);
        let place = Arc::clone(&server.place);
        let session = self.session()?;
        session.run("SAVEPOINT tidegate", doing).await?;
        let mut cut = false;
        let mut ended = Ok(());
        {
            let mut lines = session
                .conn()?
                .copy_out_raw(sql)
                .await
                .or_fault(&place, doing)?;
            // The server sends a row in one piece; a line that came in several is put together again.
            let mut part: Vec<u8> = Vec::new();
            let mut head = binary.is_some();
            let mut since = 0;
            loop {
                let next = match poll_immediate(lines.next()).await {
                    Some(next) => next,
                    None => {
                        // What is on its way is let gather.
                        if std::mem::take(&mut since) >= GATHERED {
                            tokio::time::sleep(NAP).await;
                        }
                        lines.next().await
                    }
                };
                let Some(piece) = next else { break };
                since += piece.as_ref().map_or(0, |piece| piece.len());
                let piece = match piece {
                    Ok(piece) => piece,
                    Err(error) => {
                        ended = Err(error);
                        break;
                    }
                };
                if cut {
                    continue;
                }
                let mut piece = &piece[..];
                if std::mem::take(&mut head) {
                    piece = piece.strip_prefix(cell::BINARY_HEAD).unwrap_or(piece);
                }
                if let Some(form) = binary {
                    if piece == cell::BINARY_END {
                        continue;
                    }
                    if !form.is_row(piece) {
                        let what = format!("a row in binary form is not one: {place}");
                        return Err(Fault::new(Kind::Own, what));
                    }
                }
                let whole = binary.is_some() || piece.ends_with(b"\n");
                if !part.is_empty() || !whole {
                    part.extend_from_slice(piece);
                }
                if whole {
                    let flow = if part.is_empty() {
                        line(piece)
                    } else {
                        line(&part)
                    };
                    part.clear();
                    if flow.is_break() {
                        cut = true;
                        server.cancel(pid).await?;
                    }
                }
            }
        }
        let session = self.session()?;
        match ended {
            Ok(()) => {}
            Err(error) if cut && state(&error) == Some("57014") => {}
            Err(error) => return Err(place.fault(doing, &error)),
        }
        if cut {
            // The cancellation may have come after the last line: then it meets this.
            let _ = session.run("SELECT 1", doing).await;
        }
        let back = session
            .run("ROLLBACK TO tidegate; RELEASE tidegate", doing)
            .await;
        match back {
            Ok(()) => self.busy = false,
            // It met the COPY's very end: then the server says one thing more than is waited for, and nothing it says can be
            // told apart any more. What was read is whole; the session is not used again.
            Err(fault) if cut => {
                tracing::debug!(error = %fault, "a read was cut at its very end");
                self.session = None;
            }
            Err(fault) => return Err(fault),
        }
        Ok(cut)
    }

    async fn read(
        &mut self,
        table: TableId,
        pick: &Pick,
        most: Option<Rows>,
        budget: Bytes,
    ) -> Result<Read> {
        let tables = Arc::clone(&self.tables);
        let sql = tables.get(self.session()?, table).await?;
        let sqls: Vec<_> = match pick {
            Pick::Range(range) => vec![sql.copy_next(range, most, false)],
            Pick::Keys(keys) => keys.chunks(KEYS).map(|keys| sql.copy_keys(keys)).collect(),
        };
        let (forms, doing) = (sql.forms(), format!("read rows of {}", sql.table().source));
        let mut rows = match (sql.passes_on(), pick) {
            (None, _) => Bulk::default(),
            (Some(form), Pick::Range(_)) => Bulk::Lines(Lines::for_chunk(form)),
            (Some(form), Pick::Keys(_)) => Bulk::Lines(Lines::new(form)),
        };
        let mut end = None;
        let mut scratch = Vec::new();
        for copy in sqls {
            let mut cut = None;
            self.copy(&copy, &doing, |line| {
                match &mut rows {
                    Bulk::Lines(lines) => lines.push(line),
                    Bulk::Packed(rows) => cell::pack(rows, line, &forms, &mut scratch),
                    Bulk::Sealed(rows) => rows.push(line),
                }
                // The one behind the last: the server sends no more.
                if most.is_some_and(|most| rows.len() as u64 > most.0) {
                    cut = last(&mut rows);
                } else if rows.len() > 1 && rows.bytes() > budget {
                    cut = last(&mut rows);
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            })
            .await?;
            if let Some(row) = cut {
                end = Some(match pick {
                    Pick::Range(_) => sql.table().bound_of(&row),
                    // Keys are told apart as they were asked for.
                    Pick::Keys(_) => Bound(sql.table().key_of(&row).parts().into()),
                });
                break;
            }
        }
        Ok(Read { rows, cut: end })
    }

    /// The next rows, not looked into; none where the table's rows can't go so.
    async fn read_sealed(
        &mut self,
        table: TableId,
        range: &Range,
        most: Rows,
        budget: Bytes,
    ) -> Result<Option<Read>> {
        let tables = Arc::clone(&self.tables);
        let sql = tables.get(self.session()?, table).await?;
        let Some(form) = sql.seal().map(Arc::new) else {
            return Ok(None);
        };
        let doing = format!("read rows of {}", sql.table().source);
        let mut rows = Sealed::for_chunk(Arc::clone(&form) as Arc<dyn Seal>);
        let (mut read, mut bytes, mut cut) = (0, 0, None);
        let copy = sql.copy_next(range, Some(most), true);
        self.copy_as(Some(&form), &copy, &doing, |row| {
            let size = (row.len() + size_of::<usize>()) as u64;
            let full = bytes + size > budget.0 && read > 0;
            if full || read == most.0 {
                cut = Some(form.key(row));
                return match full && read < most.0 {
                    true => ControlFlow::Break(()),
                    // The one behind the last: the server sends no more.
                    false => ControlFlow::Continue(()),
                };
            }
            rows.push(row);
            (read, bytes) = (read + 1, bytes + size);
            ControlFlow::Continue(())
        })
        .await?;
        Ok(match cut {
            // Where the chunk ends can't be told.
            Some(None) => None,
            cut => Some(Read {
                rows: Bulk::Sealed(rows),
                cut: cut.flatten().map(|key| Bound(key.into())),
            }),
        })
    }
}

/// Takes the last row away again.
fn last(rows: &mut Bulk) -> Option<Row> {
    match rows {
        Bulk::Packed(rows) => rows.pop(),
        Bulk::Lines(lines) => lines.pop(),
        Bulk::Sealed(_) => None,
    }
}

impl Drop for PgView {
    fn drop(&mut self) {
        if self.busy {
            return;
        }
        if let (Some(mut session), Ok(runtime)) =
            (self.session.take(), tokio::runtime::Handle::try_current())
        {
            runtime.spawn(async move {
                if session.run("ROLLBACK", "end a read").await.is_ok() {
                    session.rest();
                }
            });
        }
    }
}

#[async_trait]
impl View for PgView {
    fn seen(&self) -> &Seen {
        &self.seen
    }

    fn applied(&self) -> Option<Position> {
        self.applied
    }

    /// A message in the stream, committed by a session of its own: this one only reads. Its commit does not wait for
    /// standbys, which could stand still.
    async fn barrier(&mut self) -> Result<Barrier> {
        let nonce = fastrand::u64(..);
        let mut session = self.server.session().await?;
        let emit = format!(
            "SELECT pg_catalog.set_config('synchronous_commit', 'local', true), \
             pg_catalog.pg_logical_emit_message(true, {}, '{nonce}'::text)",
            literal(MARKER)
        );
        session.run(&emit, "put a marker into the stream").await?;
        session.rest();
        Ok(Barrier::Marker(Nonce(nonce)))
    }

    async fn bound(
        &mut self,
        table: TableId,
        after: Option<&Bound>,
        rows: Rows,
    ) -> Result<Option<Bound>> {
        let tables = Arc::clone(&self.tables);
        let sql = tables.get(self.session()?, table).await?;
        let forms: Vec<Form> = sql.key_columns().map(|column| column.form).collect();
        let range = Range {
            lo: after.cloned(),
            hi: None,
        };
        let doing = format!("find the end of a chunk of {}", sql.table().source);
        let mut bound = None;
        self.copy(&sql.bound(&range, rows.0), &doing, |line| {
            let key = cell::copied(line)
                .zip(&forms)
                .map(|(text, form)| match text {
                    Some(text) => form.value(&text),
                    None => Value::Null,
                });
            bound = Some(Bound(key.collect()));
            ControlFlow::Continue(())
        })
        .await?;
        Ok(bound)
    }

    async fn rows(&mut self, table: TableId, pick: &Pick, budget: Bytes) -> Result<Read> {
        self.read(table, pick, None, budget).await
    }

    async fn chunk(
        &mut self,
        table: TableId,
        after: Option<&Bound>,
        rows: Rows,
        budget: Bytes,
        sealed: bool,
    ) -> Result<Read> {
        let range = Range {
            lo: after.cloned(),
            hi: None,
        };
        if sealed && let Some(read) = self.read_sealed(table, &range, rows, budget).await? {
            return Ok(read);
        }
        self.read(table, &Pick::Range(range), Some(rows), budget)
            .await
    }

    async fn inside(&mut self, table: TableId, range: &Range, keys: &[Key]) -> Result<Vec<bool>> {
        if range.lo.is_none() && range.hi.is_none() {
            return Ok(vec![true; keys.len()]);
        }
        let tables = Arc::clone(&self.tables);
        let sql = tables.get(self.session()?, table).await?;
        let doing = format!("place keys of {}", sql.table().source);
        let mut inside = Vec::with_capacity(keys.len());
        for keys in keys.chunks(KEYS) {
            self.copy(&sql.inside(range, keys), &doing, |line| {
                inside.push(line.starts_with(b"t"));
                ControlFlow::Continue(())
            })
            .await?;
        }
        Ok(inside)
    }

    async fn digest(&mut self, table: TableId, range: &Range) -> Result<Digest> {
        let tables = Arc::clone(&self.tables);
        let sql = tables.get(self.session()?, table).await?;
        let (forms, doing) = (sql.forms(), format!("hash rows of {}", sql.table().source));
        let mut digest = Digest::default();
        let (mut hasher, mut scratch) = (RowHasher::new(), Vec::new());
        self.copy(&sql.copy_range(range), &doing, |line| {
            hash(&mut hasher, line, &forms, &mut scratch);
            digest.rows.0 += 1;
            digest.sum = digest.sum.wrapping_add(hasher.finish());
            ControlFlow::Continue(())
        })
        .await?;
        Ok(digest)
    }

    async fn hashing(&mut self, table: TableId) -> Result<Option<String>> {
        let tables = Arc::clone(&self.tables);
        let sql = tables.get(self.session()?, table).await?;
        Ok(Some(sql.hashing.clone()))
    }

    async fn own_digest(&mut self, table: TableId, range: &Range) -> Result<Option<Digest>> {
        let tables = Arc::clone(&self.tables);
        let sql = tables.get(self.session()?, table).await?;
        let doing = format!("hash rows of {}", sql.table().source);
        self.busy = true;
        let found = digest::of(self.session()?, &sql.digest(range), &doing).await;
        self.busy = false;
        found
    }

    async fn hashes(&mut self, table: TableId, range: &Range) -> Result<Vec<(Key, u128)>> {
        let tables = Arc::clone(&self.tables);
        let sql = tables.get(self.session()?, table).await?;
        let (forms, doing) = (sql.forms(), format!("hash rows of {}", sql.table().source));
        let collations = sql
            .table()
            .key()
            .map(|key| key.collations.clone())
            .unwrap_or_default();
        let (mut hasher, mut scratch) = (RowHasher::new(), Vec::new());
        let mut hashes = Vec::new();
        self.copy(&sql.copy_next(range, None, false), &doing, |line| {
            let mut key = vec![Value::Null; sql.key.len()];
            for (at, text) in cell::copied(line).enumerate() {
                if let (Some(part), Some(text)) = (sql.key.iter().position(|k| *k == at), text) {
                    key[part] = forms[at].value(&text);
                }
            }
            hash(&mut hasher, line, &forms, &mut scratch);
            hashes.push((Key::normal(key, &collations), hasher.finish()));
            ControlFlow::Continue(())
        })
        .await?;
        Ok(hashes)
    }

    async fn query(&mut self, sql: &str, params: &[Value], limit: u32) -> Result<ResultSet> {
        let rows = reads(sql)?;
        let sql = super::params::filled(sql, params)?;
        let sql = sql.trim_end().trim_end_matches(';');
        self.busy = true;
        let place = Arc::clone(&self.server.place);
        let doing = "run the query";
        let session = self.session()?;
        session
            .run(&format!("SAVEPOINT tidegate; {AS_APPLICATION}"), doing)
            .await?;
        let found = ask(session, sql, rows, limit).await;
        // Also after an error, which has ended everything up to the savepoint.
        session
            .run("ROLLBACK TO tidegate; RELEASE tidegate", doing)
            .await?;
        self.busy = false;
        found.or_fault(&place, doing)
    }
}

/// Whether a statement gives rows, as an EXPLAIN does not.
///
/// # Errors
/// One that may write.
fn reads(sql: &str) -> Result<bool> {
    let first = sql.split_whitespace().next().unwrap_or_default();
    let first = first.to_ascii_lowercase();
    let first = first.split('(').next().unwrap_or_default();
    let rows = ["select", "values", "table", "with"].contains(&first);
    if !rows && first != "explain" {
        let words = "SELECT, VALUES, TABLE, WITH or EXPLAIN";
        return Err(refused::not_a_read("it begins with another word", words));
    }
    Ok(rows)
}

/// The one cell of one read, in a transaction of its own that can't write and that the server ends after `within`.
pub(super) async fn figure(session: &mut Session, sql: &str, within: Span) -> Result<Value> {
    let (rows, doing) = (reads(sql)?, "run the query");
    let (sql, place) = (sql.trim_end().trim_end_matches(';'), session.shared_place());
    let most = within.as_millis().max(1);
    session
        .run(
            &format!("BEGIN READ ONLY; SET LOCAL statement_timeout = {most}; {AS_APPLICATION}"),
            doing,
        )
        .await?;
    let found = ask(session, sql, rows, 1).await;
    session.run("ROLLBACK", doing).await?;
    refused::one_cell(found.or_fault(&place, doing)?)
}

/// Runs one statement; a prepared one can't be several. The rows themselves come as text.
async fn ask(session: &mut Session, sql: &str, rows: bool, limit: u32) -> sqlx::Result<ResultSet> {
    let conn = session
        .conn()
        .map_err(|fault| sqlx::Error::Protocol(fault.to_string()))?;
    let described = conn.describe(sql).await?;
    let columns: Vec<_> = described
        .columns()
        .iter()
        .map(|column| column.name().to_owned())
        .collect();
    let forms: Vec<_> = described
        .columns()
        .iter()
        .map(|column| match column.type_info().name() {
            "INT2" | "INT4" | "INT8" | "OID" => Form::Integer,
            "FLOAT4" | "FLOAT8" => Form::Real,
            "BOOL" => Form::Boolean,
            "BYTEA" => Form::Bytes,
            _ => Form::Text,
        })
        .collect();
    let wanted = u64::from(limit) + 1;
    let found = if rows {
        let declare = format!("DECLARE tidegate NO SCROLL CURSOR FOR {sql}");
        conn.execute(sqlx::raw_sql(&declare)).await?;
        conn.fetch_all(sqlx::raw_sql(&format!("FETCH {wanted} FROM tidegate")))
            .await?
    } else {
        conn.fetch_all(sqlx::raw_sql(sql)).await?
    };
    let mut result = ResultSet {
        columns,
        ..ResultSet::default()
    };
    for row in found {
        if result.rows.len() as u64 == u64::from(limit) {
            result.more = true;
            break;
        }
        let mut cells = Vec::with_capacity(forms.len());
        for (at, form) in forms.iter().enumerate() {
            let raw = row.try_get_raw(at)?;
            cells.push(if raw.is_null() {
                Value::Null
            } else {
                form.value(raw.as_bytes().map_err(sqlx::Error::Decode)?)
            });
        }
        result.rows.push(cells.into());
    }
    Ok(result)
}

fn hash(hasher: &mut RowHasher, line: &[u8], forms: &[Form], scratch: &mut Vec<u8>) {
    for (text, form) in cell::copied(line).zip(forms) {
        match text {
            None => hasher.null(),
            Some(text) => hasher.cell(form.cell(&text, scratch)),
        }
    }
}

/// The oldest transaction that the snapshot may not see, where that is older than it may be.
fn older(seen: &Seen, least: Option<u64>) -> Option<u64> {
    match (seen, least) {
        (Seen::Pg { xmin, .. }, Some(least)) if *xmin < least => Some(*xmin),
        _ => None,
    }
}

/// `10:20:12,15`: all below 10 have ended, none from 20 on is seen, nor 12 and 15.
pub(super) fn snapshot_of(text: &str) -> Option<Seen> {
    let mut parts = text.split(':');
    let (xmin, xmax, xip) = (parts.next()?, parts.next()?, parts.next()?);
    let xip = xip.split(',').filter(|xid| !xid.is_empty());
    Some(Seen::Pg {
        xmin: xmin.parse().ok()?,
        xmax: xmax.parse().ok()?,
        xip: xip.map(|xid| xid.parse().ok()).collect::<Option<_>>()?,
    })
}

/// Who holds the oldest transaction, as far as this user may see it.
async fn oldest(session: &mut Session) -> Option<String> {
    let found: (i32, String, String) = sqlx::query_as(
        "SELECT pid, coalesce(nullif(application_name, ''), 'no name'), \
         pg_catalog.date_trunc('second', pg_catalog.now() - xact_start)::text \
         FROM pg_catalog.pg_stat_activity WHERE backend_xid IS NOT NULL \
         ORDER BY pg_catalog.age(backend_xid) DESC LIMIT 1",
    )
    .fetch_optional(session.conn().ok()?)
    .await
    .ok()??;
    Some(format!(
        "process {} ({}), begun {} ago",
        found.0, found.1, found.2
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_read() {
        let seen = |xmin, xmax, xip| Some(Seen::Pg { xmin, xmax, xip });
        assert_eq!(snapshot_of("10:20:12,15"), seen(10, 20, vec![12, 15]));
        assert_eq!(
            snapshot_of("8589934602:8589934602:"),
            seen(8_589_934_602, 8_589_934_602, vec![])
        );
        assert_eq!(snapshot_of("10:20"), None);
        assert_eq!(snapshot_of("10:20:x"), None);
    }
}
