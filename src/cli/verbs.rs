//! The words of `tidegate send`: ours, and those that hands know from other tools.

use crate::config::nearest;
use crate::domain::command::{Command, Pace, Scope};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::{AlertId, RepairId, TableId};
use crate::domain::plan::Plan;
use crate::domain::unit::RowsPerSecond;

/// What a line of `send` asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    /// This of the engine.
    Of(Command),
    /// Only to look.
    Status,
}

/// What else was said on the line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// `--confirm`
    pub confirm: Option<String>,
    /// `--drop-target`
    pub drop_target: bool,
    /// The best speed seen, for a pace in per cent.
    pub best: RowsPerSecond,
}

/// Our words, in the order of the help.
pub const VERBS: [(&str, &str); 12] = [
    ("pause", "stop copying and applying; any operator, always"),
    ("resume", "go on"),
    (
        "stop-all",
        "stop everything of tidegate's: copy, stream, compare, shadow",
    ),
    (
        "throttle PACE",
        "the copy's speed in rows a second: 84k, 60% (of the best seen), auto",
    ),
    (
        "limit SIGNAL VALUE",
        "what slows the copy: limit stream lag 5s, limit cpu 70; status shows them all",
    ),
    (
        "verify [TABLE]",
        "compare again now, and wait for the verdict",
    ),
    (
        "repair [TABLE]",
        "land the rows that differ again from the source",
    ),
    ("undo N", "put back what repair N replaced"),
    ("shadow N", "shadow compares a second; 0 or off ends them"),
    ("acknowledge N", "you have seen alert N"),
    ("note TEXT", "a note in the timeline"),
    (
        "abort",
        "give the target up: remove everything of tidegate's; needs --confirm NAME",
    ),
];

/// Reads a verb with its arguments.
///
/// # Errors
/// `Usage`, with what to write instead; nothing is guessed.
pub fn read(words: &[String], said: &Said, plan: &Plan) -> Result<Asked> {
    let Some((verb, rest)) = words.split_first() else {
        return Err(
            usage("there is nothing to send").hint("tidegate send --help lists the commands")
        );
    };
    // gh-ost writes `chunk-size=500` and `chunk-size=?`.
    if let Some((key, value)) = verb.split_once('=') {
        return assigned(key, value);
    }
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    let of = |command| Ok(Asked::Of(command));
    match verb.to_ascii_lowercase().as_str() {
        "pause" => nothing(verb, &rest).and_then(|()| of(Command::Pause)),
        "resume" => nothing(verb, &rest).and_then(|()| of(Command::Resume)),
        "stop-all" | "panic" | "!" => nothing(verb, &rest).and_then(|()| of(Command::StopAll)),
        "throttle" | "pace" => pace(&rest, said.best).and_then(|pace| of(Command::Pace(pace))),
        "limit" => {
            let (limited, at) = plan
                .read_limit(&rest.join(" "))
                .map_err(|why| usage(format!("limit: {why}")))?;
            let signal = limited.name;
            of(Command::Limit { signal, at })
        }
        "no-throttle" => nothing(verb, &rest).and_then(|()| of(Command::Pace(Pace::Auto))),
        "verify" | "vdiff" => of(Command::Verify(scope(verb, &rest, plan)?)),
        "repair" => of(Command::Repair(scope(verb, &rest, plan)?)),
        "undo" => of(Command::Undo(RepairId(number(
            verb,
            "the repair's number",
            &rest,
        )?))),
        "shadow" => shadow(&rest),
        "acknowledge" | "ack" => of(Command::Acknowledge(AlertId(number(
            verb,
            "the alert's number",
            &rest,
        )?))),
        "note" => note(&rest),
        "abort" => nothing(verb, &rest).and_then(|()| abort(said, plan)),
        "sup" | "status" => nothing(verb, &rest).map(|()| Asked::Status),
        "lead" => Err(usage("the lead belongs to a console, and send is none")
            .hint("tidegate attach, then L")),
        "cancel" => Err(usage("cancel could mean two things")
            .hint("to stand still: pause. To give the target up: abort --confirm NAME")),
        "cut-over" | "cutover" | "unpostpone" | "switchtraffic" | "reversetraffic" | "complete"
        | "rollback" => Err(usage(format!(
            "{verb}: moving writes is not in this version of tidegate"
        ))
        .hint("the target is kept in step and compared; writes stay on the source")),
        other => Err(unknown(other)),
    }
}

fn usage(what: impl Into<String>) -> Fault {
    Fault::new(Kind::Usage, what)
}

fn unknown(word: &str) -> Fault {
    let known: Vec<&str> = VERBS
        .iter()
        .filter_map(|(verb, _)| verb.split(' ').next())
        .collect();
    let fault = usage(format!("there is no command \"{word}\" to send"));
    fault.hint(match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("commands: {}", known.join(", ")),
    })
}

fn assigned(key: &str, value: &str) -> Result<Asked> {
    if value == "?" {
        return Ok(Asked::Status);
    }
    let hint = match key {
        "chunk-size" => "chunks adapt by themselves to [backfill] chunk_time; change it in the config, then start the engine again".into(),
        "max-lag-millis" => format!("limit stream lag {value}ms"),
        "max-load" | "critical-load" => "the copy slows by [throttle] max_active: limit active statements 40, where the config has it".into(),
        _ => "tidegate send --help lists the commands".into(),
    };
    Err(usage(format!("{key}= can't be sent")).hint(hint))
}

fn nothing(verb: &str, rest: &[&str]) -> Result<()> {
    match rest {
        [] => Ok(()),
        [first, ..] => Err(usage(format!(
            "{verb} takes nothing, and was given \"{first}\""
        ))),
    }
}

fn pace(rest: &[&str], best: RowsPerSecond) -> Result<Pace> {
    let hint = "give a pace: 84k, 60%, auto. To stop: pause";
    match rest {
        [] => Err(usage("throttle without a pace could mean anything").hint(hint)),
        [one] => Pace::read(one, best).map_err(|why| usage(why).hint(hint)),
        [number, unit @ ("rows/s" | "/s")] => pace(&[&format!("{number}{unit}")], best),
        [_, more, ..] => Err(usage(format!(
            "throttle takes one pace, and was also given \"{more}\""
        ))
        .hint(hint)),
    }
}

fn scope(verb: &str, rest: &[&str], plan: &Plan) -> Result<Scope> {
    match rest {
        [] | ["all"] => Ok(Scope::All),
        [table] => table_of(table, plan).map(Scope::Table),
        [_, more, ..] => Err(usage(format!(
            "{verb} takes one table or none, and was also given \"{more}\""
        ))),
    }
}

/// The table that a person means.
///
/// # Errors
/// `Usage`, with the nearest name; also for a table that is not moved.
pub fn table_of(name: &str, plan: &Plan) -> Result<TableId> {
    let found = plan.find(name).or_else(|| {
        let other = plan.ids().find(|(_, table)| {
            table.source.eq_ignore_ascii_case(name) || table.target.eq_ignore_ascii_case(name)
        });
        other.map(|(id, _)| id)
    });
    let names: Vec<&str> = plan
        .tables
        .iter()
        .map(|table| table.source.as_str())
        .collect();
    let Some(id) = found else {
        let fault = usage(format!("{} moves no table \"{name}\"", plan.name));
        return Err(match nearest(name, names.iter().copied()) {
            Some(near) => fault.hint(format!("did you mean \"{near}\"?")),
            None => fault.hint(format!("tables: {}", names.join(", "))),
        });
    };
    match plan.table(id).map(|table| &table.mode) {
        Some(crate::domain::table::Mode::LeftOut(why)) => {
            Err(usage(format!("{name} is not moved: {why}")))
        }
        _ => Ok(id),
    }
}

fn number(verb: &str, what: &str, rest: &[&str]) -> Result<u32> {
    match rest {
        [one] => one
            .trim_start_matches('#')
            .parse()
            .map_err(|_| usage(format!("{verb}: \"{one}\" is no number"))),
        [] => Err(usage(format!("{verb} needs {what}")).hint("tidegate status shows it")),
        [_, more, ..] => Err(usage(format!(
            "{verb} takes one number, and was also given \"{more}\""
        ))),
    }
}

fn shadow(rest: &[&str]) -> Result<Asked> {
    let per_second = match rest {
        ["off"] => 0,
        [] => {
            return Err(
                usage("shadow needs a number of compares a second").hint("shadow 5, or shadow off")
            );
        }
        _ => number("shadow", "a number", rest)?,
    };
    Ok(Asked::Of(Command::Shadow { per_second }))
}

fn note(rest: &[&str]) -> Result<Asked> {
    let text = rest.join(" ");
    if text.trim().is_empty() {
        return Err(usage("a note needs some text"));
    }
    Ok(Asked::Of(Command::Note { text }))
}

fn abort(said: &Said, plan: &Plan) -> Result<Asked> {
    let Some(confirm) = said.confirm.clone() else {
        return Err(usage(
            "abort gives the target up: everything of tidegate's is removed from both sides",
        )
        .hint(format!(
            "--confirm {} if that is what you want; the target's rows stay, unless --drop-target",
            plan.name
        )));
    };
    Ok(Asked::Of(Command::Abort {
        drop_target: said.drop_target,
        confirm,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::MigrationName;
    use crate::domain::plan::{Backfill, EndPlan, Engine, Environment, Prune, Throttle, Verify};
    use crate::domain::table::{KeySpec, Mode, Table};
    use crate::domain::unit::{Bytes, Span};

    fn plan() -> Plan {
        let end = EndPlan {
            engine: Engine::Sim,
            url: "sim:".into(),
            label: "sim".into(),
        };
        let table = |name: &str, mode| Table {
            source: name.into(),
            target: name.into(),
            columns: Vec::new(),
            mode,
            shape: String::new(),
        };
        Plan {
            name: MigrationName::new("shop").unwrap(),
            environment: Environment::Dev,
            source: end.clone(),
            target: end,
            tables: vec![
                table(
                    "orders",
                    Mode::Live(KeySpec {
                        columns: vec![],
                        collations: vec![],
                    }),
                ),
                table("audit_log", Mode::LeftOut("no key".into())),
            ],
            backfill: Backfill {
                chunk_time: Span::ZERO,
                chunk_bytes: Bytes::ZERO,
                workers: 1,
                max_rows_per_second: None,
            },
            throttle: Throttle {
                max_lag: Span::ZERO,
                max_lock_wait: Span::ZERO,
                stale_after: Span::ZERO,
                ..Throttle::default()
            },
            verify: Verify {
                max_age: Span::ZERO,
                max_rows_per_second: None,
            },
            shadow: vec![],
            prune: Prune::Auto,
            adopt: vec![],
            signals: Vec::new(),
            wal_space: None,
        }
    }

    fn asked(line: &str) -> Result<Asked> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let said = Said {
            confirm: Some("shop".into()),
            best: RowsPerSecond(100_000),
            ..Said::default()
        };
        read(&words, &said, &plan())
    }

    #[test]
    fn words_mean_one_thing() {
        let orders = TableId(0);
        for (line, command) in [
            ("pause", Command::Pause),
            ("PAUSE", Command::Pause),
            (
                "throttle 84k",
                Command::Pace(Pace::Limit(RowsPerSecond(84_000))),
            ),
            (
                "throttle 60%",
                Command::Pace(Pace::Limit(RowsPerSecond(60_000))),
            ),
            (
                "pace 500 rows/s",
                Command::Pace(Pace::Limit(RowsPerSecond(500))),
            ),
            ("no-throttle", Command::Pace(Pace::Auto)),
            (
                "limit Stream lag 500ms",
                Command::Limit {
                    signal: "stream lag".into(),
                    at: Span::millis(500).into(),
                },
            ),
            (
                "limit max_lag 500ms",
                Command::Limit {
                    signal: "stream lag".into(),
                    at: Span::millis(500).into(),
                },
            ),
            ("verify", Command::Verify(Scope::All)),
            ("vdiff ORDERS", Command::Verify(Scope::Table(orders))),
            ("repair orders", Command::Repair(Scope::Table(orders))),
            ("undo 3", Command::Undo(RepairId(3))),
            ("shadow off", Command::Shadow { per_second: 0 }),
            ("ack #2", Command::Acknowledge(AlertId(2))),
            (
                "note backup done",
                Command::Note {
                    text: "backup done".into(),
                },
            ),
            (
                "abort",
                Command::Abort {
                    drop_target: false,
                    confirm: "shop".into(),
                },
            ),
        ] {
            assert_eq!(asked(line).unwrap(), Asked::Of(command), "{line}");
        }
        assert_eq!(asked("sup").unwrap(), Asked::Status);
        assert_eq!(asked("chunk-size=?").unwrap(), Asked::Status);
    }

    #[test]
    fn nothing_is_guessed() {
        for (line, words) in [
            ("throttle", "could mean anything"),
            ("throttle 0", "stand still"),
            ("throttle 0%", "out of range"),
            ("throttle 84k 60%", "also given"),
            ("cancel", "two things"),
            ("cutover", "not in this version"),
            ("lead", "belongs to a console"),
            ("pause now", "takes nothing"),
            ("verify ordrs", "moves no table"),
            ("verify audit_log", "is not moved: no key"),
            ("undo", "needs the repair's number"),
            ("undo x", "is no number"),
            ("note", "needs some text"),
            ("limit", "there are: stream lag"),
            ("limit cpu 80", "there are: stream lag"),
            ("limit stream lag 5", "a time, like 500ms or 5s"),
            ("limit stream lag 0s", "is no limit"),
            ("max-lag-millis=1500", "can't be sent"),
            ("puase", "there is no command"),
            ("", "nothing to send"),
        ] {
            let fault = asked(line).unwrap_err();
            assert!(fault.what.contains(words), "{line}: {fault}");
            assert_eq!(fault.exit_code(), 2, "{line}");
        }
        assert_eq!(
            asked("puase").unwrap_err().hint.as_deref(),
            Some("did you mean pause?")
        );
        let unconfirmed = read(&["abort".into()], &Said::default(), &plan()).unwrap_err();
        assert!(
            unconfirmed
                .hint
                .is_some_and(|hint| hint.contains("--confirm shop"))
        );
    }
}
