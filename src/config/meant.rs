//! The config as it is meant: URLs resolved, defaults filled in, every value in its unit and within its limits.

use super::amount::WrittenSpan;
use super::url::{self, Url};
use super::wording::Source;
use super::written::{self, Written};
use crate::domain::fault::Result;
use crate::domain::id::MigrationName;
use crate::domain::plan::{
    Backfill, Environment, Prune, ShadowQuery, SignalPlan, Throttle, Verify,
};
use crate::domain::unit::{Bytes, Span};
use crate::signal::Probe;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// How long reading one chunk should take, unless the config says otherwise: short enough for a busy source.
const CHUNK_TIME: Span = Span::millis(500);
/// Most bytes in one chunk: several must fit into the buffers at once.
const CHUNK_BYTES: Bytes = Bytes(8_000_000);
/// Parallel readers, unless the config says otherwise.
const WORKERS: u16 = 2;
/// The age at which a check must be renewed, unless the config says otherwise.
const MAX_AGE: Span = Span::seconds(3_600);

/// A config, resolved.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from.
    pub path: PathBuf,
    /// The migration's name.
    pub name: MigrationName,
    /// Where it runs.
    pub environment: Environment,
    /// Where rows come from.
    pub source: Url,
    /// Where they go.
    pub target: Url,
    /// When the source's log is pruned.
    pub prune: Prune,
    /// Tables that stay behind.
    pub leave_out: Vec<Placed>,
    /// Tables that were named; none: every table of the source.
    pub tables: Vec<TableWish>,
    /// How the copy goes.
    pub backfill: Backfill,
    /// What slows it.
    pub throttle: Throttle,
    /// Figures from elsewhere that it heeds.
    pub signals: Vec<SignalPlan>,
    /// How those are read, with whatever secret that takes.
    pub probes: Vec<Probe>,
    /// How much log the source may keep for us.
    pub wal_space: Option<Bytes>,
    /// How equality is proven.
    pub verify: Verify,
    /// Reads compared on both sides.
    pub shadow: Vec<ShadowQuery>,
    /// A group of this machine whose members may attach.
    pub group: Option<String>,
    /// Where journal, log and socket lie, where the config says so.
    pub state_dir: Option<PathBuf>,
    /// How the console draws.
    pub console: written::Console,
    /// Remapped keys; the console knows what they mean.
    pub keys: toml::Table,
}

/// A name with the place it was written at, for errors that are found when the catalogs are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The name.
    pub name: String,
    /// `FILE:LINE`.
    pub place: String,
}

/// What was written about one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableWish {
    /// Its name on the source.
    pub source: Placed,
    /// Its name on the target.
    pub target: String,
    /// Columns whose values are never shown.
    pub mask: Vec<Placed>,
    /// Whether its rows on the target are compared and repaired instead of copied.
    pub adopt: bool,
}

impl Config {
    /// Resolves what was written.
    pub(super) fn resolve(
        written: Written,
        source: &Source,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        let base = folder_of(source.path());
        let name = MigrationName::new(written.migration.name.get_ref().as_str())
            .map_err(|why| source.about(&written.migration.name.span(), why))?;
        let resolver = Resolver {
            source,
            base: &base,
            env,
        };
        let from = resolver.url(&written.source.url)?;
        let to = resolver.url(&written.target.url)?;
        if from == to {
            return Err(source
                .about(
                    &written.target.url.span(),
                    format!("source and target are the same database: {to}"),
                )
                .code("SAME-DATABASE"));
        }
        resolver.heeded(&written, from.engine())?;
        let (signals, probes) = resolver.signals(written.signal)?;
        Ok(Self {
            path: source.path().to_owned(),
            name,
            environment: written.migration.environment.unwrap_or(Environment::Prod),
            source: from,
            target: to,
            prune: written
                .source
                .prune
                .map_or(Prune::Auto, |prune| *prune.get_ref()),
            leave_out: written
                .source
                .leave_out
                .iter()
                .map(|name| resolver.placed(name))
                .collect(),
            tables: resolver.tables(&written.table)?,
            backfill: resolver.backfill(&written.backfill)?,
            throttle: resolver.throttle(&written.throttle)?,
            signals,
            probes,
            wal_space: written.source.wal_space.map(|space| space.get_ref().0),
            verify: resolver.verify(&written.verify)?,
            shadow: resolver.shadow(written.shadow)?,
            group: written.control.group,
            state_dir: written
                .control
                .state_dir
                .map(|dir| resolver.text(&dir).map(|dir| base.join(dir)))
                .transpose()?,
            console: written.console,
            keys: written.keys,
        })
    }
}

fn folder_of(path: &Path) -> PathBuf {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())
}

pub(super) struct Resolver<'a> {
    pub(super) source: &'a Source,
    pub(super) base: &'a Path,
    env: &'a dyn Fn(&str) -> Option<String>,
}

impl Resolver<'_> {
    fn placed(&self, name: &Spanned<String>) -> Placed {
        Placed {
            name: name.get_ref().clone(),
            place: self.source.place(name.span().start),
        }
    }

    pub(super) fn text(&self, text: &Spanned<String>) -> Result<String> {
        url::expand(text.get_ref(), self.base, self.env)
            .map_err(|why| self.source.about(&text.span(), why))
    }

    fn url(&self, written: &Spanned<String>) -> Result<Url> {
        Url::parse(&self.text(written)?, self.base).map_err(|fault| {
            let mut placed = self.source.about(&written.span(), &fault.what);
            placed.hint = fault.hint;
            placed
        })
    }

    fn tables(&self, written: &[written::Table]) -> Result<Vec<TableWish>> {
        let (mut sources, mut targets) = (HashSet::new(), HashSet::new());
        let mut wishes = Vec::with_capacity(written.len());
        for table in written {
            let target = table.target.as_ref().unwrap_or(&table.source);
            if !sources.insert(table.source.get_ref()) {
                let what = format!("the table \"{}\" is there twice", table.source.get_ref());
                return Err(self.source.about(&table.source.span(), what));
            }
            if !targets.insert(target.get_ref()) {
                let what = format!("two tables would land in \"{}\"", target.get_ref());
                return Err(self.source.about(&target.span(), what));
            }
            wishes.push(TableWish {
                source: self.placed(&table.source),
                target: target.get_ref().clone(),
                mask: table.mask.iter().map(|name| self.placed(name)).collect(),
                adopt: table.existing.is_some(),
            });
        }
        Ok(wishes)
    }

    fn backfill(&self, written: &written::Backfill) -> Result<Backfill> {
        let workers = match &written.workers {
            Some(workers) if !(1..=64).contains(workers.get_ref()) => {
                return Err(self.source.about(&workers.span(), "is from 1 to 64"));
            }
            Some(workers) => *workers.get_ref(),
            None => WORKERS,
        };
        Ok(Backfill {
            chunk_time: self.span(
                written.chunk_time.as_ref(),
                CHUNK_TIME,
                Span::millis(10),
                Span::seconds(60),
            )?,
            chunk_bytes: CHUNK_BYTES,
            workers,
            max_rows_per_second: written.max_rows_per_second.map(|rate| rate.0),
        })
    }

    fn verify(&self, written: &written::Verify) -> Result<Verify> {
        Ok(Verify {
            max_age: self.span(
                written.max_age.as_ref(),
                MAX_AGE,
                Span::seconds(1),
                Span::seconds(31 * 86_400),
            )?,
            max_rows_per_second: written.max_rows_per_second.map(|rate| rate.0),
        })
    }

    fn shadow(&self, written: Vec<written::Shadow>) -> Result<Vec<ShadowQuery>> {
        let mut names = HashSet::new();
        let mut queries = Vec::with_capacity(written.len());
        for query in written {
            if query.sql.get_ref().trim().is_empty() {
                return Err(self.source.about(&query.sql.span(), "is empty"));
            }
            let span = query.name.span();
            let name = query.name.into_inner();
            if !names.insert(name.clone()) {
                return Err(self
                    .source
                    .about(&span, format!("\"{name}\" is there twice")));
            }
            queries.push(ShadowQuery {
                name,
                sql: query.sql.into_inner(),
                params: query.params,
                ordered: query.ordered,
            });
        }
        Ok(queries)
    }

    pub(super) fn span(
        &self,
        written: Option<&Spanned<WrittenSpan>>,
        default: Span,
        least: Span,
        most: Span,
    ) -> Result<Span> {
        let Some(written) = written else {
            return Ok(default);
        };
        let span = written.get_ref().0;
        if (least..=most).contains(&span) {
            return Ok(span);
        }
        let what = format!("{span} is out of range; it is from {least} to {most}");
        Err(self.source.about(&written.span(), what))
    }
}
