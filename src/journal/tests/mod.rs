//! The journal under concurrency, crashes, full disks and forgers.

mod audit;
mod beside;
mod commit;
mod crash;
mod full;

use super::paths::StateDir;
use super::{Draft, Journal, Opening};
use crate::domain::event::{Body, Event, Fact};
use crate::domain::id::{CommandId, MigrationName, SessionId, Who};
use crate::domain::unit::{At, Tick};
use std::path::Path;
use std::process::Command;

fn state_dir(root: &Path) -> StateDir {
    let dir = StateDir::new(root, &MigrationName::new("shop").unwrap());
    dir.create().unwrap();
    dir
}

async fn fresh(root: &Path) -> Journal {
    Journal::open(&state_dir(root), Opening::Create)
        .await
        .unwrap()
}

fn note(text: impl Into<String>) -> Draft {
    Draft {
        at: At(1_700_000_000_000),
        tick: Tick(1),
        cause: Some((SessionId(u64::MAX), CommandId(7))),
        body: Body::Fact(Fact::Noted {
            text: text.into(),
            by: Who::Engine,
        }),
    }
}

fn text(event: &Event) -> &str {
    match &event.body {
        Body::Fact(Fact::Noted { text, .. }) => text,
        other => panic!("not a note: {other:?}"),
    }
}

/// This test binary again, running one ignored test as a process of its own.
fn child(program: &[&str], test: &str, dir: &Path) -> Command {
    let exe = std::env::current_exe().unwrap();
    let mut command = match program {
        [] => Command::new(&exe),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(&exe);
            command
        }
    };
    command
        .args([test, "--exact", "--ignored", "--nocapture"])
        .env("TIDEGATE_TEST_DIR", dir);
    command
}

fn child_dir() -> std::path::PathBuf {
    std::env::var_os("TIDEGATE_TEST_DIR")
        .expect("run by its parent test only")
        .into()
}
