//! The folded state, on one screen of text or as JSON.

use super::paint::{Paint, Role, Sign};
use super::when::date_time;
use crate::domain::command;
use crate::domain::event::Severity;
use crate::domain::sample::{Sample, ShadowLine};
use crate::domain::signal::{Bound, Signal};
use crate::domain::unit::{Rows, Span, counted};
use crate::state::conditions::{self, Condition};
use crate::state::migration::{Migration, OpenAlert, Owner, Pause, WayBack};
use crate::state::pace::{self, Eta};
use crate::state::table::TableState;
use crate::state::timeline::pause_words;
use serde_json::{Value as Json, json};
use std::fmt::Write as _;

/// How the engine stands, as seen from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// It answers.
    Running,
    /// It said goodbye.
    Parked,
    /// It said no goodbye and does not answer.
    Gone,
    /// The migration has ended; it lets consoles look once more.
    Ending,
    /// The migration has ended, and it with it.
    Ended,
    /// None ever started.
    Never,
    /// It is looked at in a recording: whatever it does now.
    Recorded,
}

impl Engine {
    /// From what the journal says and whether its socket answers.
    pub fn of(state: &Migration, answers: bool) -> Self {
        match (&state.engine, answers) {
            (_, true) if state.over() => Self::Ending,
            (_, true) => Self::Running,
            (None, false) => Self::Never,
            (Some(_), false) if state.over() => Self::Ended,
            (Some(engine), false) if engine.running => Self::Gone,
            (Some(_), false) => Self::Parked,
        }
    }

    /// The word in text and JSON.
    pub fn label(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Parked => "parked",
            Self::Gone => "gone",
            Self::Ending => "ending",
            Self::Ended => "ended",
            Self::Never => "not started",
            Self::Recorded => "recorded",
        }
    }
}

/// Whether what was compared still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The engine keeps the sides in step, or will again when a pause is over.
    Kept,
    /// None runs; the next one goes on.
    Waits,
    /// Nothing does any more.
    Left,
}

impl Step {
    fn of(state: &Migration, engine: Engine) -> Self {
        match engine {
            _ if !state.keeps_in_step() => Self::Left,
            Engine::Running | Engine::Recorded => Self::Kept,
            _ => Self::Waits,
        }
    }
}

/// The phase with how far it is: `copy 61 %`, `synced`.
pub fn phase(state: &Migration) -> String {
    let label = state.phase.label();
    match state.phase {
        crate::domain::event::Phase::Copy => format!("{label} {} of rows", percent(state.copied())),
        crate::domain::event::Phase::CatchUp => {
            format!("{label}, {} of rows equal", percent(state.equal_part()))
        }
        _ => label.to_owned(),
    }
}

/// Never 100 before it is whole.
fn percent(part: f64) -> String {
    if part >= 1.0 {
        "100 %".into()
    } else {
        format!("{:.1} %", (part * 1_000.0).floor() / 10.0)
    }
}

/// Who takes writes.
pub fn owner(state: &Migration) -> &'static str {
    match state.owner() {
        Owner::Source => "source",
        Owner::Target => "target",
        Owner::Nobody => "nobody",
    }
}

/// What going back would lose.
pub fn way_back(state: &Migration) -> &'static str {
    match state.way_back() {
        WayBack::LosesNothing => "loses nothing",
        WayBack::Unknown => "unknown",
        WayBack::Done => "none needed",
    }
}

/// One screen for people.
pub fn text(state: &Migration, engine: Engine, paint: Paint) -> String {
    let mut out = String::new();
    let Some(plan) = &state.plan else {
        return "nothing is recorded yet\n".into();
    };
    let environment = plan.environment.label();
    let _ = writeln!(
        out,
        "{}  {environment}  {} → {}   {}   writes on {}   way back {}",
        paint.role(Role::Heading, plan.name.as_str()),
        plan.source.label,
        plan.target.label,
        phase(state),
        owner(state),
        way_back(state),
    );
    let mut line = |name: &str, text: &str| {
        let _ = writeln!(out, "  {name:9} {text}");
    };
    line("engine", &engine_words(state, engine, paint));
    line("phase", &phase_words(state));
    for pause in &state.pauses {
        let since = state.tick.since(pause.since);
        let verb = if state.rested { "stands" } else { "pausing" };
        let words = format!(
            "{}: {}, {since} ago",
            pause_words(&pause.reason, state),
            pause.by
        );
        line(verb, &paint.role(Role::Warn, &words));
    }
    match state.ending() {
        Some(ending) => line("ended", &ending),
        None => {
            line("copy", &copy_words(state));
            line("stream", &stream_words(state));
            signals(state, paint, &mut line);
        }
    }
    let step = Step::of(state, engine);
    line("rows", &rows_words(state, step, paint));
    line("compared", &compared_words(state, step));
    for shadow in &state.sample.shadow {
        line("shadow", &shadow_words(shadow));
    }
    tables(&mut out, state, step);
    for open in state.alerts.values() {
        let role = if open.alert.severity == Severity::Notice {
            Role::Dim
        } else {
            Role::Bad
        };
        let seen = open
            .seen_by
            .as_ref()
            .map_or(String::new(), |who| format!("   seen by {who}"));
        let words = format!(
            "{} {} {}{seen}",
            paint.sign(Sign::Bang),
            open.alert.id,
            open.alert.text
        );
        let _ = writeln!(out, "  {}", paint.role(role, &words));
    }
    let _ = writeln!(out, "  {:9} {}", "here", people(state));
    let _ = writeln!(
        out,
        "  {:9} {}",
        "as of",
        paint.role(
            Role::Dim,
            &format!("{}, record {}", date_time(state.at), state.seq)
        )
    );
    paint.plain(&out)
}

fn engine_words(state: &Migration, engine: Engine, paint: Paint) -> String {
    let Some(info) = &state.engine else {
        return "not started yet".into();
    };
    let place = format!(
        "pid {} on {}, tidegate {}",
        info.pid, info.host, info.version
    );
    match engine {
        Engine::Running => format!("running: {place}, for {}", state.tick.since(info.since)),
        Engine::Recorded => format!("recorded: {place}"),
        Engine::Ending => format!("ending: {place}"),
        Engine::Ended => format!("ended (was {place})"),
        Engine::Parked | Engine::Never => {
            format!("parked; everything is kept for resuming (was {place})")
        }
        Engine::Gone => paint.role(
            Role::Bad,
            &format!("does not answer: {place}. Start it again: tidegate run -c FILE (it resumes)"),
        ),
    }
}

fn phase_words(state: &Migration) -> String {
    let since = state.tick.since(state.phase_since);
    let next = match conditions::next_phase(state) {
        Some((phase, conditions)) => {
            let open: Vec<&Condition> = conditions
                .iter()
                .filter(|condition| !condition.holds)
                .collect();
            match open.as_slice() {
                [] => format!("   next: {}", phase.label()),
                open => {
                    let words: Vec<String> = open
                        .iter()
                        .map(|c| format!("{}: {}", c.name, c.figures))
                        .collect();
                    format!("   next: {}, waits for {}", phase.label(), words.join("; "))
                }
            }
        }
        None => String::new(),
    };
    format!("{} for {since}{next}", state.phase.label())
}

fn copy_words(state: &Migration) -> String {
    let sample = &state.sample;
    let allowed = match sample.allowed.or(state.pace) {
        Some(allowed) => format!("of {allowed} rows/s allowed"),
        None => "rows/s, no limit set".into(),
    };
    let held = pace::held_by(state).map_or(String::new(), |held| format!(", held by {held}"));
    let eta = match pace::eta(state) {
        Eta::Done => return "all copied".into(),
        Eta::Measuring => "time left: being measured".into(),
        ref eta @ Eta::Between { left, .. } => {
            format!("{} left ({left} rows)", eta.range("–").unwrap_or_default())
        }
        Eta::Stopped(_) => "stands still".into(),
    };
    format!("{} {allowed}{held}   {eta}", sample.copy_rate)
}

fn stream_words(state: &Migration) -> String {
    let sample = &state.sample;
    let lag = sample
        .lag
        .map_or("not known".to_owned(), |lag| lag.to_string());
    let lag = match sample.lag_bytes {
        Some(bytes) => format!("{lag}, {bytes}"),
        None => lag,
    };
    let mut words = if state.unread() {
        format!("lag {lag} · changes wait, unread while paused")
    } else {
        format!(
            "lag {lag} · {} changes waiting · {} made, {} applied a second",
            Rows(sample.waiting),
            Rows(sample.incoming_per_s),
            Rows(sample.applied_per_s)
        )
    };
    if let Some(runway) = sample.runway {
        let _ = write!(words, " · a pause may last {runway}");
    } else if let (true, Some(plan)) = (unlimited(sample), &state.plan)
        && state.unread()
    {
        let _ = write!(words, " · {}", plan.source.engine.words().runway);
    }
    words
}

/// Every signal that has a limit: its figure, or what to do so that there is one.
fn signals(state: &Migration, paint: Paint, line: &mut impl FnMut(&str, &str)) {
    let (known, unknown): (Vec<&Signal>, Vec<&Signal>) = state
        .sample
        .signals
        .iter()
        .partition(|signal| signal.figure.is_some());
    let figures = |signal: &&Signal| format!("{} {}", signal.name, signal.figures());
    if !known.is_empty() {
        let words: Vec<String> = known.iter().map(figures).collect();
        line("signals", &words.join(" · "));
    }
    for signal in unknown {
        let words = format!("{} {}", signal.name, signal.unknown());
        line("unknown", &paint.role(Role::Warn, &words));
    }
    let plan = state.plan.as_ref().filter(|plan| plan.signals.is_empty());
    if let Some(unseen) = plan.map(|plan| plan.source.engine.words().unseen)
        && !unseen.is_empty()
    {
        line("unknown", &paint.role(Role::Dim, unseen));
    }
}

/// Whether the source keeps its log for us and sets no limit to it.
fn unlimited(sample: &Sample) -> bool {
    sample.lag_bytes.is_some() && sample.log_room.is_none() && sample.source_free.is_none()
}

fn rows_words(state: &Migration, step: Step, paint: Paint) -> String {
    let drift = state.drift();
    let differ = format!("{} differ", Rows(drift.confirmed));
    let role = match (drift.confirmed, step) {
        (1.., _) => Role::Bad,
        (0, Step::Kept) => Role::Good,
        (0, _) => Role::Dim,
    };
    let then = match step {
        Step::Kept => "",
        Step::Waits | Step::Left => " · as last seen",
    };
    format!(
        "{} · {} in flight · {} not yet compared{then}",
        paint.role(role, &differ),
        Rows(drift.in_flight),
        drift.uncovered
    )
}

fn compared_words(state: &Migration, step: Step) -> String {
    let equal = percent(state.equal_part());
    let oldest = state.oldest_check(state.tick);
    let mut words = match (step, oldest) {
        (Step::Kept, None) => format!("{equal} of rows equal"),
        (Step::Kept, Some(oldest)) => format!("{equal} of rows equal, oldest {oldest} ago"),
        (_, None) => format!("{equal} of rows were equal when last compared"),
        (_, Some(oldest)) => format!(
            "{equal} of rows were equal when last compared, the oldest {oldest} before {}",
            date_time(state.at)
        ),
    };
    words.push_str(match step {
        Step::Kept => "",
        Step::Waits => "; nothing keeps the sides in step until an engine runs again",
        Step::Left => "; nothing keeps the sides in step any more",
    });
    if let Some(pass) = &state.pass {
        let verdict = if pass.valid { "" } else { " INVALID:" };
        let _ = write!(
            words,
            "   last whole pass, {} before:{verdict} {} of {} chunks, {} rows on the source, {} on the target",
            state.tick.since(pass.at),
            Rows(pass.compared.into()),
            Rows(pass.chunks.into()),
            pass.source_rows,
            pass.target_rows
        );
    }
    words
}

fn shadow_words(line: &ShadowLine) -> String {
    format!(
        "{}: {} compared, {} equal, {} different, {} not proven · p95 {} on the source, {} on the target",
        line.name,
        Rows(line.compared),
        Rows(line.matched),
        Rows(line.mismatched),
        Rows(line.unproven),
        line.source_p95,
        line.target_p95
    )
}

fn tables(out: &mut String, state: &Migration, step: Step) {
    let names = state.plan.iter().flat_map(|plan| plan.tables.iter());
    let width = names
        .map(|table| table.source.chars().count())
        .max()
        .unwrap_or_default();
    for (_, table, at) in state.live_tables() {
        let tally = at.chunks.tally();
        let _ = writeln!(
            out,
            "    {:width$}  {:>7}  {:>11} rows  {}{}",
            table.source,
            percent(at.copied()),
            at.rows(),
            counted(at.chunks.len().into(), "chunk"),
            table_words(at, tally.differing_rows, step)
        );
    }
    for (_, table) in state.plan.iter().flat_map(|plan| plan.ids()) {
        if let crate::domain::table::Mode::LeftOut(why) = &table.mode {
            let _ = writeln!(out, "    {:width$}  left out: {why}", table.source);
        }
    }
}

fn table_words(at: &TableState, differing: u64, step: Step) -> String {
    let uncovered = at.uncovered();
    match (differing, uncovered) {
        (0, Rows(0)) if at.complete && step == Step::Kept => "  equal".into(),
        (0, Rows(0)) if at.complete => "  was equal".into(),
        (0, left) => format!("  {} not yet compared", counted(left.0, "row")),
        (n, _) => format!("  {} differ", Rows(n)),
    }
}

fn people(state: &Migration) -> String {
    let lead = state.people.leader().map(|present| present.who.to_string());
    let names: Vec<String> = state
        .people
        .names()
        .into_iter()
        .map(|(name, role)| match role {
            _ if lead.as_ref() == Some(&name) => format!("{name} leads"),
            command::Role::Observer => format!("{name} looks on"),
            command::Role::Operator => name,
        })
        .collect();
    if names.is_empty() {
        "nobody".into()
    } else {
        names.join(", ")
    }
}

/// One line for a list: name, phase, what holds it.
pub fn line(state: &Migration, engine: Engine) -> String {
    if let Some(ending) = state.ending() {
        return format!("{}   engine {}   {ending}", phase(state), engine.label());
    }
    let paused = if state.paused() { ", paused" } else { "" };
    let lag = match (engine, state.sample.lag) {
        (Engine::Running, Some(lag)) => format!("   lag {lag}"),
        _ => String::new(),
    };
    let differ = state.drift().confirmed;
    let differ = if differ > 0 {
        format!("   {} known to differ", counted(differ, "row"))
    } else {
        String::new()
    };
    format!(
        "{}{paused}   engine {}{lag}{differ}",
        phase(state),
        engine.label()
    )
}

/// What programs read. The shape is stable: keys are added, never changed; durations are seconds.
pub fn json(state: &Migration, engine: Engine) -> Json {
    let parts = [
        identity_json(state, engine),
        movement_json(state),
        proof_json(state),
        people_json(state),
    ];
    parts
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

type Keys = Vec<(&'static str, Json)>;

fn seconds(span: Option<Span>) -> Json {
    json!(span.map(Span::as_secs_f64))
}

fn identity_json(state: &Migration, engine: Engine) -> Keys {
    let plan = state.plan.as_ref();
    let info = state.engine.as_ref();
    vec![
        ("name", json!(state.name())),
        ("environment", json!(plan.map(|plan| plan.environment))),
        ("source", json!(plan.map(|plan| &plan.source))),
        ("target", json!(plan.map(|plan| &plan.target))),
        ("plan_hash", json!(state.plan_hash)),
        ("seq", json!(state.seq)),
        ("at", json!(date_time(state.at))),
        ("phase", json!(state.phase)),
        (
            "phase_seconds",
            seconds(Some(state.tick.since(state.phase_since))),
        ),
        ("over", json!(state.over())),
        ("write_owner", json!(state.owner())),
        ("way_back", json!(state.way_back())),
        (
            "engine",
            json!({
                "state": engine.label(),
                "pid": info.map(|info| info.pid),
                "host": info.map(|info| &info.host),
                "version": info.map(|info| &info.version),
                "starts": state.engine_starts,
            }),
        ),
    ]
}

fn movement_json(state: &Migration) -> Keys {
    let sample = &state.sample;
    let read = !state.unread();
    let eta = match pace::eta(state) {
        Eta::Between { low, high, .. } => Some([low.as_secs_f64(), high.as_secs_f64()]),
        Eta::Done => Some([0.0, 0.0]),
        Eta::Measuring | Eta::Stopped(_) => None,
    };
    let pause = |pause: &Pause| {
        json!({
            "reason": pause_words(&pause.reason, state),
            "by": pause.by.to_string(),
            "seconds": state.tick.since(pause.since).as_secs_f64(),
        })
    };
    vec![
        ("paused", state.pauses.iter().map(pause).collect()),
        ("rested", json!(state.rested)),
        ("copied", json!(state.copied())),
        ("eta_seconds", json!(eta)),
        ("copy_rows_per_second", json!(sample.copy_rate)),
        ("allowed_rows_per_second", json!(sample.allowed)),
        ("held_by", json!(pace::held_by(state))),
        ("signals", sample.signals.iter().map(signal_json).collect()),
        ("lag", seconds(sample.lag)),
        ("lag_bytes", json!(sample.lag_bytes)),
        ("waiting", json!(read.then_some(sample.waiting))),
        (
            "incoming_per_second",
            json!(read.then_some(sample.incoming_per_s)),
        ),
        ("applied_per_second", json!(sample.applied_per_s)),
        ("head", json!(sample.head)),
        ("applied", json!(sample.applied)),
        ("source_log_bytes", json!(sample.log_bytes)),
        ("source_log_room_bytes", json!(sample.log_room)),
        ("source_free_bytes", json!(sample.source_free)),
        ("target_free_bytes", json!(sample.target_free)),
        ("runway_seconds", seconds(sample.runway)),
    ]
}

fn signal_json(signal: &Signal) -> Json {
    let (limit, min) = match signal.limit.bound {
        Bound::Most => (Some(signal.limit.at), None),
        Bound::Least => (None, Some(signal.limit.at)),
    };
    json!({
        "name": signal.name,
        "figure": signal.figure,
        "limit": limit,
        "min": min,
        "measure": signal.measure,
        "age": seconds(signal.age),
        "holds": signal.holds,
        "trouble": signal.trouble,
    })
}

fn proof_json(state: &Migration) -> Keys {
    let drift = state.drift();
    let pass = state.pass.as_ref().map(|pass| {
        json!({
            "chunks": pass.chunks,
            "compared": pass.compared,
            "source_rows": pass.source_rows,
            "target_rows": pass.target_rows,
            "valid": pass.valid,
            "position": pass.position,
            "seconds_ago": state.tick.since(pass.at).as_secs_f64(),
        })
    });
    let open = conditions::blockers(state);
    let open = open
        .iter()
        .map(|c| json!({"condition": c.name, "figures": c.figures}));
    let tables = state.live_tables().map(|(_, table, at)| {
        json!({
            "source": table.source,
            "target": table.target,
            "rows": at.rows(),
            "copied": at.copied(),
            "complete": at.complete,
            "chunks": at.chunks.len(),
            "differ": at.chunks.tally().differing_rows,
            "uncovered": at.uncovered(),
        })
    });
    vec![
        ("equal", json!(state.equal_part())),
        ("synced_and_equal", json!(state.synced_and_equal())),
        (
            "drift",
            json!({"confirmed": drift.confirmed, "in_flight": drift.in_flight, "uncovered": drift.uncovered}),
        ),
        (
            "oldest_check_seconds",
            seconds(state.oldest_check(state.tick)),
        ),
        ("pass", json!(pass)),
        ("waits_for", open.collect()),
        ("tables", tables.collect()),
        (
            "shadow",
            state.sample.shadow.iter().map(shadow_json).collect(),
        ),
    ]
}

fn shadow_json(line: &ShadowLine) -> Json {
    json!({
        "name": line.name,
        "compared": line.compared,
        "matched": line.matched,
        "mismatched": line.mismatched,
        "unproven": line.unproven,
        "source_errors": line.source_errors,
        "target_errors": line.target_errors,
        "source_p95": line.source_p95.as_secs_f64(),
        "target_p95": line.target_p95.as_secs_f64(),
    })
}

fn people_json(state: &Migration) -> Keys {
    let alert = |open: &OpenAlert| {
        json!({
            "id": open.alert.id,
            "severity": open.alert.severity,
            "text": open.alert.text,
            "seconds": state.tick.since(open.since).as_secs_f64(),
            "seen_by": open.seen_by.as_ref().map(ToString::to_string),
        })
    };
    let people = state
        .people
        .names()
        .into_iter()
        .map(|(name, role)| json!({"name": name, "role": role}));
    vec![
        ("alerts", state.alerts.values().map(alert).collect()),
        (
            "lead",
            json!(state.people.leader().map(|present| present.who.to_string())),
        ),
        ("people", people.collect()),
    ]
}
