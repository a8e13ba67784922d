//! What a fact costs: the journal's one writer under 1 to 512 callers, each fact synced to disk before its caller goes on.
//!
//! `cargo bench --bench journal`

mod machine;

use std::time::Instant;
use tidegate::domain::event::{Body, Fact};
use tidegate::domain::id::{MigrationName, Who};
use tidegate::domain::unit::{At, Tick};
use tidegate::journal::paths::StateDir;
use tidegate::journal::{Draft, Journal, Opening};

const FACTS: usize = 20_000;

fn note() -> Draft {
    Draft {
        at: At(1_700_000_000_000),
        tick: Tick(1),
        cause: None,
        body: Body::Fact(Fact::Noted {
            text: "a fact of usual size, so to say".into(),
            by: Who::Engine,
        }),
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    machine::print();
    println!("callers   facts/s  commits/s  facts a commit");
    for callers in [1, 8, 64, 512] {
        // Beside the build, on a real disk: /tmp may be memory, where a sync costs nothing.
        let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let dir = StateDir::new(root.path(), &MigrationName::new("bench").unwrap());
        dir.create().unwrap();
        let journal = Journal::open(&dir, Opening::Create).await.unwrap();
        let start = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..callers {
            let journal = journal.clone();
            tasks.spawn(async move {
                for _ in 0..FACTS / callers {
                    journal.append(vec![note()]).await.unwrap();
                }
            });
        }
        tasks.join_all().await;
        let took = start.elapsed().as_secs_f64();
        let written = journal.written();
        println!(
            "{callers:>7} {:>9.0} {:>10.0} {:>15.1}",
            written.records as f64 / took,
            written.commits as f64 / took,
            written.records as f64 / written.commits as f64,
        );
        journal.close().await.unwrap();
    }
}
