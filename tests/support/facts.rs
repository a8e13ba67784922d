//! What the journal says, read beside or after an engine.

use super::World;
use std::collections::BTreeMap;
use std::path::Path;
use tidegate::domain::event::{Body, Event, Fact};
use tidegate::domain::id::{ChunkId, Seq};
use tidegate::journal::{Reader, chain};
use tidegate::state::migration::Migration;

/// The kind of a fact, as it is written: `chunk-landed`.
pub fn kind(fact: &Fact) -> String {
    match serde_json::to_value(fact).unwrap() {
        serde_json::Value::String(kind) => kind,
        serde_json::Value::Object(map) => map.keys().next().unwrap().clone(),
        other => panic!("{other}"),
    }
}

/// Every kind of fact there is, read from the source of the enum: one that is added is among them at once.
pub fn all_kinds() -> Vec<String> {
    let source = include_str!("../../src/domain/event.rs");
    let body = source.split("pub enum Fact {").nth(1).unwrap();
    let body = body.split("\n}").next().unwrap();
    let variants = body.lines().filter_map(|line| {
        let line = line.strip_prefix("    ")?;
        let first = line.chars().next()?;
        let name: String = line
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric())
            .collect();
        first.is_ascii_uppercase().then_some(name)
    });
    let kebab = |name: String| {
        let mut out = String::new();
        for c in name.chars() {
            if c.is_ascii_uppercase() && !out.is_empty() {
                out.push('-');
            }
            out.push(c.to_ascii_lowercase());
        }
        out
    };
    let kinds: Vec<String> = variants.map(kebab).collect();
    assert!(kinds.len() >= 36, "{kinds:?}");
    kinds
}

/// Follows a journal, folding it.
#[derive(Default)]
pub struct Follower {
    reader: Option<Reader>,
    pub state: Migration,
}

impl Follower {
    /// The events since the last call; none while there is no journal.
    pub async fn new_events(&mut self, journal: &Path) -> Vec<Event> {
        if self.reader.is_none() {
            // Not there yet, or being made at this moment.
            self.reader = Reader::open(journal).await.ok();
        }
        let Some(reader) = &mut self.reader else {
            return Vec::new();
        };
        let events = reader
            .events(Seq(self.state.seq.0 + 1), 4_096)
            .await
            .unwrap();
        events.iter().for_each(|event| self.state.apply(event));
        events
    }
}

/// Every event of a world's journal.
pub async fn events(world: &World) -> Vec<Event> {
    let mut follower = Follower::default();
    let mut all = Vec::new();
    loop {
        let some = follower.new_events(&world.dir().journal()).await;
        if some.is_empty() {
            return all;
        }
        all.extend(some);
    }
}

/// Every fact of a world's journal.
pub async fn facts(world: &World) -> Vec<Fact> {
    let events = events(world).await;
    let facts = events.into_iter().filter_map(|event| match event.body {
        Body::Fact(fact) => Some(fact),
        Body::Sample(_) => None,
    });
    facts.collect()
}

/// The journal is whole: the chain holds, no record that can't follow, each chunk landed exactly once, in order, and the
/// target's ledger knows the same chunks.
pub async fn assert_whole(world: &World) {
    let audited = chain::audit(&world.dir().journal(), None).await.unwrap();
    assert!(audited.verdict.holds(), "{}", audited.verdict);
    let mut state = Migration::default();
    let mut landed: BTreeMap<ChunkId, u32> = BTreeMap::new();
    for event in events(world).await {
        state.apply(&event);
        assert_eq!(state.illegal, 0, "{event:?}");
        if let Body::Fact(Fact::ChunkLanded { chunk, .. }) = &event.body {
            *landed.entry(*chunk).or_default() += 1;
        }
    }
    let twice: Vec<_> = landed.iter().filter(|(_, times)| **times != 1).collect();
    assert!(
        twice.is_empty(),
        "chunks recorded more than once: {twice:?}"
    );
    if state.over() || landed.is_empty() {
        return;
    }
    let plan = state.plan.clone().unwrap();
    let target = world.target();
    let mut marks = target
        .prepare("SELECT tbl, no FROM tidegate_chunk")
        .unwrap();
    let marks: Vec<(String, u32)> = marks
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(marks.len(), landed.len(), "ledger and journal");
    for (table, no) in marks {
        let table = plan.find(&table).unwrap();
        assert!(landed.contains_key(&ChunkId { table, no }), "{table}/{no}");
    }
}
