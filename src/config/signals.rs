//! `[throttle]` and `[[signal]]`: limits that the source can measure, and figures from elsewhere.

use super::meant::Resolver;
use super::written::{self, Written};
use crate::domain::fault::Result;
use crate::domain::limits;
use crate::domain::plan::{Engine, SignalPlan, Throttle};
use crate::domain::redact::redact;
use crate::domain::signal::{Bound, Limit, Measure};
use crate::domain::unit::{Bytes, Span};
use crate::signal::command::Program;
use crate::signal::http::Address;
use crate::signal::{From, Outside, Probe};
use std::collections::HashSet;
use std::fmt::Display;
use std::ops::Range;
use toml::Spanned;

/// Most signals: each is a task's worth of work, and a line on the screen.
const MOST: usize = 32;
/// How often a signal is read, unless the config says otherwise.
const EVERY: Span = Span::seconds(5);
/// How long reading it may take, unless the config says otherwise.
const TIMEOUT: Span = Span::seconds(2);

type Place = Range<usize>;

impl Resolver<'_> {
    pub(super) fn throttle(&self, written: &written::Throttle) -> Result<Throttle> {
        let safe = Throttle::default();
        let (day, minute) = (Span::seconds(86_400), Span::seconds(60));
        if let (None, Some(replica)) = (&written.max_replica_lag, written.replicas.first()) {
            return self.wrong(&replica.span(), "need a limit: max_replica_lag = \"1s\"");
        }
        if let Some(active) = written.max_active.as_ref().filter(|n| *n.get_ref() == 0) {
            return self.wrong(
                &active.span(),
                "a limit of 0 would stand still; to stop, pause",
            );
        }
        let bytes = written.max_lag_bytes.as_ref();
        if let Some(bytes) = bytes.filter(|n| n.get_ref().0 < Bytes(1_000_000)) {
            return self.wrong(
                &bytes.span(),
                "is less than 1MB, which one busy moment writes",
            );
        }
        Ok(Throttle {
            max_lag: self.span(
                written.max_lag.as_ref(),
                safe.max_lag,
                Span::millis(100),
                day,
            )?,
            max_lag_bytes: bytes.map(|bytes| bytes.get_ref().0),
            max_lock_wait: self.span(
                written.max_lock_wait.as_ref(),
                safe.max_lock_wait,
                Span::millis(1),
                minute,
            )?,
            max_active: written.max_active.as_ref().map(|n| *n.get_ref()),
            max_replica_lag: match &written.max_replica_lag {
                Some(lag) => Some(self.span(Some(lag), Span::ZERO, Span::millis(100), day)?),
                None => None,
            },
            replicas: written
                .replicas
                .iter()
                .map(|name| name.get_ref().clone())
                .collect(),
            stale_after: self.span(
                written.stale_after.as_ref(),
                safe.stale_after,
                Span::seconds(1),
                Span::seconds(3_600),
            )?,
        })
    }

    /// Refuses what this kind of source can't heed, as a limit on what it can't measure: passed over in silence it would look
    /// like safety.
    pub(super) fn heeded(&self, written: &Written, engine: Engine) -> Result<()> {
        let throttle = &written.throttle;
        for (key, why) in engine.words().unheeded {
            let span = match *key {
                "max_lag_bytes" => throttle.max_lag_bytes.as_ref().map(Spanned::span),
                "max_active" => throttle.max_active.as_ref().map(Spanned::span),
                "max_replica_lag" => throttle.max_replica_lag.as_ref().map(Spanned::span),
                "replicas" => throttle.replicas.first().map(Spanned::span),
                "prune" => written.source.prune.as_ref().map(Spanned::span),
                "wal_space" => written.source.wal_space.as_ref().map(Spanned::span),
                _ => None,
            };
            if let Some(span) = span {
                let fault = self.source.about(&span, format!("can't be heeded: {why}"));
                return Err(match *key {
                    "prune" => fault.hint("take the line out"),
                    _ => fault
                        .hint("take the line out; what no database tells comes from a [[signal]]"),
                });
            }
        }
        Ok(())
    }

    /// What the plan says of the signals, and how they are read.
    pub(super) fn signals(
        &self,
        written: Vec<written::Signal>,
    ) -> Result<(Vec<SignalPlan>, Vec<Probe>)> {
        let (mut plans, mut probes, mut names) = (Vec::new(), Vec::new(), HashSet::new());
        for signal in &written {
            let (name, span) = (signal.name.get_ref(), signal.name.span());
            if name.trim().is_empty()
                || name.chars().count() > 40
                || name.contains(char::is_control)
            {
                return self.wrong(&span, "is 1 to 40 letters that can be read");
            }
            if limits::OURS.contains(&name.as_str()) || name.starts_with("replica ") {
                return self.wrong(
                    &span,
                    format!("\"{name}\" is what tidegate measures itself; call it otherwise"),
                );
            }
            if !names.insert(name.clone()) {
                return self.wrong(&span, format!("\"{name}\" is there twice"));
            }
            if plans.len() == MOST {
                return self.wrong(
                    &span,
                    format!("is one too many: there are at most {MOST} signals"),
                );
            }
            let (from, shown) = self.from(signal)?;
            let (limit, measure) = self.limit(signal)?;
            let (least, hour) = (Span::millis(100), Span::seconds(3_600));
            plans.push(SignalPlan {
                name: name.clone(),
                from: shown,
                limit,
                measure,
                every: self.span(signal.every.as_ref(), EVERY, least, hour)?,
                timeout: self.span(
                    signal.timeout.as_ref(),
                    TIMEOUT,
                    Span::millis(10),
                    Span::seconds(60),
                )?,
            });
            probes.push(Probe {
                name: name.clone(),
                from,
            });
        }
        Ok((plans, probes))
    }

    /// Where the figure is, and the same in words that hold no secret.
    fn from(&self, signal: &written::Signal) -> Result<(From, String)> {
        let kinds: [(&str, Option<Place>); 4] = [
            ("sql", signal.sql.as_ref().map(Spanned::span)),
            ("command", signal.command.as_ref().map(Spanned::span)),
            ("http", signal.http.as_ref().map(Spanned::span)),
            ("prometheus", signal.prometheus.as_ref().map(Spanned::span)),
        ];
        let mut given = kinds
            .into_iter()
            .filter_map(|(kind, span)| Some((kind, span?)));
        let Some((kind, _)) = given.next() else {
            let what =
                "says nowhere what it is read from; give one of sql, command, http, prometheus";
            return self.wrong(
                &signal.name.span(),
                format!("\"{}\" {what}", signal.name.get_ref()),
            );
        };
        if let Some((other, span)) = given.next() {
            return self.wrong(
                &span,
                format!(
                    "\"{}\" is read from one place: {kind} or {other}, not both",
                    signal.name.get_ref()
                ),
            );
        }
        let companions: [(&[&str], Option<Place>); 4] = [
            (&["sql"], signal.on.as_ref().map(Spanned::span)),
            (&["http"], signal.pick.as_ref().map(Spanned::span)),
            (&["prometheus"], signal.query.as_ref().map(Spanned::span)),
            (
                &["http", "prometheus"],
                signal.bearer.as_ref().map(Spanned::span),
            ),
        ];
        for (owners, span) in &companions {
            if let Some(span) = span.as_ref().filter(|_| !owners.contains(&kind)) {
                let owners = owners.join(" or ");
                return self.wrong(
                    span,
                    format!("goes with {owners}, and this signal is read from {kind}"),
                );
            }
        }
        if let Some(sql) = &signal.sql {
            let Some(on) = &signal.on else {
                return self.wrong(
                    &sql.span(),
                    "needs a database: on = \"source\" or on = \"target\"",
                );
            };
            let (on, sql) = (*on.get_ref(), self.filled(sql)?);
            let shown = format!("sql on the {}: {}", on.label(), redact(&sql));
            return Ok((From::Sql { on, sql }, shown));
        }
        let outside = if let Some(command) = &signal.command {
            let [program, args @ ..] = command.get_ref().as_slice() else {
                return self.wrong(
                    &command.span(),
                    "names no program, like [\"/opt/cpu\", \"db1\"]",
                );
            };
            if program.is_empty() {
                return self.wrong(
                    &command.span(),
                    "names no program, like [\"/opt/cpu\", \"db1\"]",
                );
            }
            // A config that was named without a folder lies in the one where we are.
            let folder = match self.base.as_os_str().is_empty() {
                true => std::env::current_dir().unwrap_or_else(|_| "/".into()),
                false => self.base.to_owned(),
            };
            // A name without a slash is looked for on the path; a file lies where the config does.
            let program = match program.contains('/') {
                true => folder.join(program).to_string_lossy().into_owned(),
                false => program.clone(),
            };
            Outside::Command(Program {
                program,
                args: args.to_vec(),
                folder,
            })
        } else if let Some(url) = &signal.http {
            if let Some(pick) = signal.pick.as_ref().filter(|pick| !pointer(pick.get_ref())) {
                return self.wrong(&pick.span(), "is a JSON pointer, like \"/disk/free\"");
            }
            Outside::Http {
                at: self.address(url, signal)?,
                pick: signal.pick.as_ref().map(|pick| pick.get_ref().clone()),
            }
        } else {
            // One of the four was given, and it was none of the others.
            let url = signal.prometheus.as_ref().unwrap_or(&signal.name);
            let Some(query) = &signal.query else {
                return self.wrong(&url.span(), "needs a query: query = \"max(…)\"");
            };
            Outside::Prometheus {
                at: self.address(url, signal)?,
                query: self.filled(query)?,
            }
        };
        let shown = match &outside {
            Outside::Command(program) => format!("command {program}"),
            Outside::Http { at, .. } => format!("http {at}"),
            Outside::Prometheus { at, query } => format!("prometheus {at}: {}", redact(query)),
        };
        Ok((From::Outside(outside), shown))
    }

    fn limit(&self, signal: &written::Signal) -> Result<(Limit, Measure)> {
        let (bound, written) = match (&signal.limit, &signal.min) {
            (Some(limit), None) => (Bound::Most, limit),
            (None, Some(min)) => (Bound::Least, min),
            (Some(_), Some(min)) => {
                return self.wrong(&min.span(), "a signal has one limit: limit, which the figure stays below, or min, which it stays above");
            }
            (None, None) => {
                let what = "has no limit; give limit = 80, which the figure stays below, or min = 10, which it stays above";
                return self.wrong(
                    &signal.name.span(),
                    format!("\"{}\" {what}", signal.name.get_ref()),
                );
            }
        };
        let (at, measure) = (written.get_ref().0, written.get_ref().1);
        if at.get() <= 0.0 {
            let what =
                "is above zero: the copy slows from half of it on, and a limit of 0 has no half";
            return self.wrong(&written.span(), what);
        }
        Ok((Limit { bound, at }, measure))
    }

    fn filled(&self, text: &Spanned<String>) -> Result<String> {
        match text.get_ref().trim() {
            "" => self.wrong(&text.span(), "is empty"),
            text => Ok(text.to_owned()),
        }
    }

    fn address(&self, url: &Spanned<String>, signal: &written::Signal) -> Result<Address> {
        let at = Address::parse(&self.text(url)?).or_else(|why| self.wrong(&url.span(), why))?;
        match &signal.bearer {
            Some(bearer) => at
                .bearing(&self.text(bearer)?)
                .or_else(|why| self.wrong(&bearer.span(), why)),
            None => Ok(at),
        }
    }

    fn wrong<T>(&self, span: &Place, what: impl Display) -> Result<T> {
        Err(self.source.about(span, what))
    }
}

/// Whether a text is a JSON pointer.
fn pointer(text: &str) -> bool {
    text.is_empty() || text.starts_with('/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{load, meant::Config};
    use crate::domain::fault::Fault;

    const HEAD: &str = "[migration]\nname = \"shop\"\n[source]\nurl = \"SOURCE\"\n[target]\nurl = \"/data/new.db\"\n";
    const SQLITE: &str = "/data/old.db";
    const POSTGRES: &str = "postgres://app@db1/shop";

    fn read(source: &str, more: &str) -> std::result::Result<Config, Fault> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tidegate.toml");
        std::fs::write(&path, HEAD.replace("SOURCE", source) + more).unwrap();
        load(&path, &|name| {
            (name == "TOKEN").then(|| "s3cret".to_owned())
        })
    }

    fn told(source: &str, more: &str) -> String {
        let fault = read(source, more).expect_err(more);
        assert_eq!((fault.exit_code(), fault.code.as_str()), (2, "CONFIG"));
        let at = fault.what.find("tidegate.toml").unwrap();
        fault.what[at..].to_owned()
    }

    #[test]
    fn every_kind_of_signal_is_read_and_shows_no_secret() {
        let config = read(
            POSTGRES,
            r#"[throttle]
max_active = 40
max_replica_lag = "1s"
replicas = ["r1"]
max_lag_bytes = "2GB"
[[signal]]
name = "cpu"
prometheus = "https://ana:${TOKEN}@prom:9090/${TOKEN}"
query = "max(cpu)"
limit = 80
[[signal]]
name = "free"
http = "http://db1:9100/${TOKEN}?key=${TOKEN}"
pick = "/disk/free"
bearer = "${TOKEN}"
min = "10GB"
every = "10s"
timeout = "500ms"
[[signal]]
name = "jobs"
sql = "select count(*) from jobs"
on = "target"
limit = 0.5
[[signal]]
name = "load"
command = ["bin/load", "--password", "s3cret"]
limit = "2s"
"#,
        )
        .unwrap();
        assert_eq!(config.throttle.max_active, Some(40));
        assert_eq!(config.throttle.max_replica_lag, Some(Span::seconds(1)));
        assert_eq!(config.throttle.max_lag_bytes, Some(Bytes(2_000_000_000)));
        assert_eq!(config.throttle.replicas, ["r1"]);
        let shown: Vec<&str> = config.signals.iter().map(|s| s.from.as_str()).collect();
        assert_eq!(
            shown[..3],
            [
                "prometheus https://prom:9090: max(cpu)",
                "http http://db1:9100",
                "sql on the target: select count(*) from jobs",
            ]
        );
        assert!(shown[3].starts_with("command /") && shown[3].ends_with("/bin/load"));
        let free = &config.signals[1];
        assert_eq!(
            (free.every, free.timeout),
            (Span::seconds(10), Span::millis(500))
        );
        assert_eq!(free.limit.bound, Bound::Least);
        assert_eq!(free.measure, Measure::Bytes);
        assert!(!format!("{config:?}").contains("s3cret"), "{config:?}");
        assert_eq!(config.probes.len(), 4);
    }

    #[test]
    fn every_mistake_in_a_signal_names_its_line_and_remedy() {
        let signal = |lines: &str| format!("[[signal]]\nname = \"cpu\"\n{lines}\n");
        for (lines, expected) in [
            (
                "limit = 80",
                "tidegate.toml:8: [[signal]] name: \"cpu\" says nowhere what it is read from; give one of sql, command, http, prometheus",
            ),
            (
                "limit = 80\ncommand = [\"cpu\"]\nhttp = \"http://db1/\"",
                "tidegate.toml:11: [[signal]] http: \"cpu\" is read from one place: command or http, not both",
            ),
            (
                "command = [\"cpu\"]\nlimit = 80\nbearer = \"x\"",
                "tidegate.toml:11: [[signal]] bearer: goes with http or prometheus, and this signal is read from command",
            ),
            (
                "http = \"http://ana:pw@db1/\"\nlimit = 80\nbearer = \"x\"",
                "tidegate.toml:11: [[signal]] bearer: goes with a URL without a user: who asks is said once",
            ),
            (
                "command = [\"cpu\"]",
                "tidegate.toml:8: [[signal]] name: \"cpu\" has no limit; give limit = 80, which the figure stays below, or min = 10, which it stays above",
            ),
            (
                "command = [\"cpu\"]\nlimit = 80\nmin = 10",
                "tidegate.toml:11: [[signal]] min: a signal has one limit: limit, which the figure stays below, or min, which it stays above",
            ),
            (
                "command = [\"cpu\"]\nlimits = 80",
                "tidegate.toml:10: [[signal]] has no \"limits\"; did you mean \"limit\"?  (keys: name, sql, on, command, http, pick, prometheus, query, bearer, limit, min, every, timeout)",
            ),
            (
                "command = \"cpu --all\"\nlimit = 80",
                "tidegate.toml:9: [[signal]] command: a text in quotes is not a list, like [\"a\", \"b\"]",
            ),
            (
                "command = []\nlimit = 80",
                "tidegate.toml:9: [[signal]] command: names no program, like [\"/opt/cpu\", \"db1\"]",
            ),
            (
                "sql = \"select 1\"\nlimit = 80",
                "tidegate.toml:9: [[signal]] sql: needs a database: on = \"source\" or on = \"target\"",
            ),
            (
                "sql = \"select 1\"\non = \"sauce\"\nlimit = 80",
                "tidegate.toml:10: [[signal]] on: \"sauce\" is not a choice; did you mean \"source\"?  (choices: source, target)",
            ),
            (
                "prometheus = \"http://prom:9090\"\nlimit = 80",
                "tidegate.toml:9: [[signal]] prometheus: needs a query: query = \"max(…)\"",
            ),
            (
                "http = \"http://db1/\"\nquery = \"up\"\nlimit = 80",
                "tidegate.toml:10: [[signal]] query: goes with prometheus, and this signal is read from http",
            ),
            (
                "http = \"db1:9100/s3cret\"\nlimit = 80",
                "tidegate.toml:9: [[signal]] http: is no URL that begins with http:// or https://",
            ),
            (
                "command = [\"cpu\"]\nlimit = 0",
                "tidegate.toml:10: [[signal]] limit: is above zero: the copy slows from half of it on, and a limit of 0 has no half",
            ),
            (
                "command = [\"cpu\"]\nlimit = \"80\"",
                "tidegate.toml:10: [[signal]] limit: write the number 80 without quotes",
            ),
            (
                "command = [\"cpu\"]\nlimit = true",
                "tidegate.toml:10: [[signal]] limit: true is not a limit, like 80, \"10GB\" or \"2s\"",
            ),
            (
                "command = [\"cpu\"]\nlimit = 80\nevery = \"1ms\"",
                "tidegate.toml:11: [[signal]] every: 1ms is out of range; it is from 0.1s to 1h00m",
            ),
        ] {
            assert_eq!(told(SQLITE, &signal(lines)), expected);
        }
        let ours = signal("command = [\"cpu\"]\nlimit = 80").replace("cpu\"\n", "stream lag\"\n");
        assert!(told(SQLITE, &ours).contains("measures itself"));
        let twice = signal("command = [\"cpu\"]\nlimit = 80").repeat(2);
        assert!(told(SQLITE, &twice).ends_with("\"cpu\" is there twice"));
    }

    #[test]
    fn a_limit_that_the_source_can_not_measure_is_refused() {
        for (lines, why) in [
            (
                "[throttle]\nmax_active = 40",
                "[throttle] max_active: can't be heeded: SQLite has no server",
            ),
            (
                "[throttle]\nmax_replica_lag = \"1s\"",
                "[throttle] max_replica_lag: can't be heeded: SQLite has no standbys",
            ),
            (
                "[throttle]\nmax_lag_bytes = \"1GB\"",
                "[throttle] max_lag_bytes: can't be heeded: SQLite's changes",
            ),
        ] {
            let said = told(SQLITE, lines);
            assert!(said.contains(why), "{said}");
            assert!(read(POSTGRES, lines).is_ok(), "{lines}");
        }
        let said = told(SQLITE, "[throttle]\nmax_active = 40");
        assert!(said.starts_with("tidegate.toml:8: "), "{said}");
        for how in ["auto", "at-end"] {
            let pruned = |source: &str| format!("{source}\"\nprune = \"{how}");
            let said = told(&pruned(POSTGRES), "");
            assert!(
                said.contains("[source] prune: can't be heeded: PostgreSQL's own log"),
                "{said}"
            );
            assert!(read(&pruned(SQLITE), "").is_ok());
        }
        let replicas = "[throttle]\nreplicas = [\"r1\"]";
        assert!(told(POSTGRES, replicas).contains("need a limit"));
        assert!(told(POSTGRES, "[throttle]\nmax_active = 0").contains("to stop, pause"));
        assert!(told(POSTGRES, "[throttle]\nmax_lag_bytes = \"9kB\"").contains("less than 1MB"));
        assert!(told(POSTGRES, "[throttle]\nmax_lag_bytes = 9").contains("a size in quotes"));
    }
}
