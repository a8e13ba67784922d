//! Several who do the same work, in turns, and the table of what each took.

use super::program::Took;
use std::time::Duration;

/// One who takes part.
pub struct Entry<'a> {
    pub name: String,
    /// The most that tidegate may take of its time, where something is asked.
    pub limit: Option<f64>,
    /// Does it in one round, and says what it took.
    pub run: Box<dyn FnMut(usize) -> Took + 'a>,
}

impl<'a> Entry<'a> {
    pub fn new(
        name: impl Into<String>,
        limit: Option<f64>,
        run: impl FnMut(usize) -> Took + 'a,
    ) -> Self {
        Self {
            name: name.into(),
            limit,
            run: Box::new(run),
        }
    }
}

/// Lets all of them do it in every round, each round beginning with another one, and prints the table. The first is tidegate.
/// Their medians come back.
pub fn take(what: &str, rounds: usize, entries: &mut [Entry<'_>]) -> Vec<Duration> {
    let mut took: Vec<Vec<Took>> = entries.iter().map(|_| Vec::new()).collect();
    let width = |name: &str| name.chars().count().max(18);
    println!("\n{what}");
    let heads = entries.iter().map(|entry| {
        let wide = width(&entry.name);
        format!("  {:>wide$}", entry.name)
    });
    println!("round {}", heads.collect::<String>());
    let line = |first: &str, cells: &mut dyn Iterator<Item = Took>, entries: &[Entry<'_>]| {
        let cells = entries.iter().zip(cells).map(|(entry, took)| {
            let wide = width(&entry.name);
            format!("  {:>wide$}", cell(took))
        });
        println!("{first:<6}{}", cells.collect::<String>());
    };
    for round in 0..rounds {
        for turn in 0..entries.len() {
            let at = (turn + round) % entries.len();
            let this = (entries[at].run)(round + 1);
            took[at].push(this);
        }
        let mut now = took.iter().map(|all| all[round]);
        line(&(round + 1).to_string(), &mut now, entries);
    }
    let medians: Vec<Took> = took.iter().map(|all| middle(all)).collect();
    line("median", &mut medians.iter().copied(), entries);
    let ratios = entries.iter().zip(&medians).skip(1).map(|(entry, theirs)| {
        let ratio = medians[0].time.as_secs_f64() / theirs.time.as_secs_f64();
        let asked = entry.limit.map_or(String::new(), |limit| {
            format!(" (asked: at most {limit:.2})")
        });
        format!("{ratio:.2} × {}{asked}", entry.name)
    });
    let ratios: Vec<String> = ratios.collect();
    if !ratios.is_empty() {
        println!("tidegate took {}", ratios.join(", "));
    }
    medians.into_iter().map(|took| took.time).collect()
}

fn cell(took: Took) -> String {
    let time = format!("{:.2}s", took.time.as_secs_f64());
    match took.memory {
        Some(memory) => format!("{time} {:>5} MB", memory >> 10),
        None => format!("{time}         "),
    }
}

/// The median time, and the most memory.
fn middle(all: &[Took]) -> Took {
    let mut times: Vec<Duration> = all.iter().map(|took| took.time).collect();
    times.sort();
    Took {
        time: times[times.len() / 2],
        memory: all.iter().filter_map(|took| took.memory).max(),
    }
}
