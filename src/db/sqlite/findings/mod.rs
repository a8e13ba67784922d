//! What preflight has to say about a plan on a SQLite file. Changes nothing, and takes no lock that a writer waits for.
//!
//! What shows only when both ends are laid side by side (rows on the target, its columns and key, space) is the engine's.

mod source;
mod target;

pub(super) use target::source_pragma;

use super::catalog::Catalog;
use super::place::{OrFault, Place};
use crate::db::refused;
use crate::domain::fault::Result;
use crate::domain::finding::{Finding, Stage};
use crate::domain::plan::{EndPlan, Engine, Plan, Side};
use nix::unistd::{AccessFlags, access};
use rusqlite::Connection;
use std::path::PathBuf;

/// About the file as it is.
pub(super) fn findings(conn: &Connection, place: &Place, plan: &Plan) -> Result<Vec<Finding>> {
    let tx = conn
        .unchecked_transaction()
        .or_fault(place, "look at the database")?;
    let catalog = Catalog::read(&tx).or_fault(place, "read the schema")?;
    let mut found = writable(place);
    found.extend(other_migration(&tx, place, plan)?);
    found.extend(match place.side {
        Side::Source => source::findings(&tx, place, plan, &catalog)?,
        Side::Target => target::findings(&tx, place, plan, &catalog)?,
    });
    Ok(found)
}

/// About a target that is not there yet.
pub(super) fn without_file(place: &Place) -> Vec<Finding> {
    let directory = place.directory();
    if !directory.is_dir() {
        return vec![Finding {
            evidence: format!("{} is no directory", directory.display()),
            remedy: "make the directory, or name another place for the target".to_owned(),
            ..finding(
                place,
                "NO-DIRECTORY",
                Stage::BlocksCopy,
                "the target's directory is not there",
            )
        }];
    }
    writable(place)
}

/// SQLite writes beside the file too: its log and its lock file.
fn writable(place: &Place) -> Vec<Finding> {
    let mut paths = vec![place.directory().to_path_buf()];
    if place.path.exists() {
        paths.push(place.path.clone());
    }
    let refused: Vec<_> = paths
        .into_iter()
        .filter_map(|path| Some((access(&path, AccessFlags::W_OK).err()?, path)))
        .map(|(error, path)| format!("{}: {}", path.display(), error.desc()))
        .collect();
    if refused.is_empty() {
        return Vec::new();
    }
    vec![Finding {
        evidence: refused.join("; "),
        remedy: "give this user write access to the file and its directory: SQLite writes beside the file too".to_owned(),
        ..finding(
            place,
            "NOT-WRITABLE",
            Stage::BlocksCopy,
            format!("the {} can't be written by this user", place.side.label()),
        )
    }]
}

fn other_migration(conn: &Connection, place: &Place, plan: &Plan) -> Result<Option<Finding>> {
    let owner = super::ledger::owner(conn).or_fault(place, "read the ledger")?;
    Ok(owner
        .filter(|owner| owner != plan.name.as_str())
        .map(|owner| Finding {
            evidence: format!("its ledger belongs to \"{owner}\""),
            remedy: "finish or abort that migration; `tidegate clean` removes what a lost one left"
                .to_owned(),
            ..finding(
                place,
                "OTHER-MIGRATION",
                Stage::BlocksCopy,
                format!(
                    "another migration has landed rows in the {}",
                    place.side.label()
                ),
            )
        }))
}

/// A finding of this side with its fixed parts.
fn finding(place: &Place, code: &str, stage: Stage, what: impl Into<String>) -> Finding {
    refused::finding(place.side, code, stage, what)
}

/// The file of a SQLite end, from the URL that a plan shows: `sqlite://` and the path, with `%25` and `%3F`.
pub(super) fn file_of(end: &EndPlan) -> Option<PathBuf> {
    if end.engine != Engine::Sqlite {
        return None;
    }
    let path = end.url.strip_prefix("sqlite://")?;
    Some(path.replace("%3F", "?").replace("%25", "%").into())
}
