//! A tap on a journal that nobody writes any more.

use super::player::{Player, To};
use crate::domain::command::{Answer, Drifted, Query, Reply};
use crate::domain::fault::{Fault, Kind, Result};
use crate::tap::{Ask, QueryId, Tap, Tapped};
use async_trait::async_trait;
use std::collections::VecDeque;
use std::path::Path;

/// Queries that wait for their answer.
const ASKED: usize = 64;

/// Most bounds or keys in one answer.
const MOST: u32 = 2_000;

/// The last state of a recording, what its file can answer, and a refusal for everything that would act. Time travel is the
/// [`Player`]'s, beside it.
pub struct Recording {
    player: Player,
    begun: bool,
    refused: VecDeque<Tapped>,
    asked: VecDeque<(QueryId, Query)>,
}

impl Recording {
    /// Opens the journal in `file`.
    pub async fn open(file: impl AsRef<Path>) -> Result<Self> {
        Ok(Self {
            player: Player::open(file).await?,
            begun: false,
            refused: VecDeque::new(),
            asked: VecDeque::new(),
        })
    }

    async fn answer(&mut self, query: Query) -> Result<Answer> {
        let now = self.player.state().tick;
        Ok(match query {
            Query::Bounds {
                table,
                first,
                count,
            } => {
                let count = count.min(MOST);
                let ranges = self
                    .player
                    .reader()
                    .bounds_from(table, first, count)
                    .await?;
                let lower = ranges.into_iter().map(|(_, range)| range.lo);
                Answer::Bounds(
                    lower
                        .map(|b| b.map_or_else(String::new, |b| b.to_string()))
                        .collect(),
                )
            }
            Query::Drifted { table, limit } => {
                let known = self.player.reader().drifted(table, limit.min(MOST)).await?;
                let drifted = known.into_iter().map(|d| Drifted {
                    chunk: d.chunk,
                    key: d.key,
                    class: d.class,
                    age: now.since(d.since),
                });
                Answer::Drifted(drifted.collect())
            }
            Query::Best => Answer::Best(self.player.state().best_rate),
            Query::Differences { .. } | Query::Locate { .. } | Query::DryRun(_) => {
                return Err(recorded("a recording holds no rows and has no database"));
            }
        })
    }
}

#[async_trait]
impl Tap for Recording {
    async fn next(&mut self) -> Option<Tapped> {
        if !self.begun {
            // Seeking may be dropped halfway and goes on where it was.
            let state = match self.player.seek(To::Last).await {
                Ok(state) => Tapped::Snapshot(state),
                Err(fault) => Tapped::Ended(fault),
            };
            self.begun = true;
            return Some(state);
        }
        if let Some(refused) = self.refused.pop_front() {
            return Some(refused);
        }
        if let Some((id, query)) = self.asked.front().cloned() {
            let answer = self.answer(query).await.unwrap_or_else(Answer::Failed);
            self.asked.pop_front();
            return Some(Tapped::Answer { id, answer });
        }
        // Nothing ever happens in a recording; what is asked comes between two calls.
        std::future::pending().await
    }

    fn send(&mut self, ask: Ask) -> Result<()> {
        if self.refused.len() + self.asked.len() >= ASKED {
            return Err(recorded("too much is waiting to be answered"));
        }
        match ask {
            Ask::Command { id, .. } => self.refused.push_back(Tapped::Reply {
                id,
                reply: Reply::Refused(recorded("this is a recording: nothing can be done in it")),
            }),
            Ask::Query { id, query } => self.asked.push_back((id, query)),
        }
        Ok(())
    }
}

fn recorded(what: &str) -> Fault {
    Fault::new(Kind::Refused, what).code("RECORDING")
}
