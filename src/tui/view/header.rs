//! The answers that stand on every screen: which migration, where from and to, its phase, who owns writes, what going back
//! would lose, lag, equality, time left, who leads, how fresh all that is.

use super::scene::Scene;
use super::words;
use crate::domain::command::Role as Seat;
use crate::domain::event::Phase;
use crate::domain::plan::{EndPlan, Environment};
use crate::domain::unit::{Rows, Span};
use crate::state::migration::Migration;
use crate::state::pace::{self, Eta};
use crate::tui::model::{Link, Screen};
use crate::tui::theme::Role;
use crate::tui::widget::row::Row;
use crate::tui::widget::strip::{Part, Piece, strip};
use crate::tui::widget::text;
use ratatui::text::Line;

/// Lines the header takes at this width: two of answers, one of screens, and the way through the phases where it fits.
pub fn height(p: &Scene, width: usize) -> u16 {
    if width >= 100 && p.ui.size.height >= 30 {
        4
    } else {
        3
    }
}

/// The header, as many lines as [`height`] says.
pub fn header(p: &Scene, width: usize) -> Vec<Line<'static>> {
    let mut lines = vec![who_and_what(p, width), figures(p, width), screens(p, width)];
    if height(p, width) > 3 {
        lines.push(way(p, width));
    }
    lines
}

fn one(role: Role, what: impl Into<String>) -> Vec<Piece> {
    vec![(role, what.into())]
}

/// The banner's role and words; while the past is shown or the link is lost it says so before anything else.
pub fn banner(p: &Scene) -> (Role, &'static str) {
    match p.state.plan.as_ref().map(|plan| plan.environment) {
        Some(Environment::Prod) => (Role::Prod, "PROD"),
        Some(Environment::Staging) => (Role::Staging, "STAGING"),
        Some(Environment::Dev) => (Role::Dev, "DEV"),
        Some(Environment::Demo) => (Role::Demo, "DEMO"),
        None => (Role::Off, "NO PLAN"),
    }
}

/// The phase as the header says it: glyph, words, and how that is meant.
pub fn phase(p: &Scene) -> (Role, String) {
    let state = p.state;
    let glyphs = p.theme.glyphs;
    let caps = words::phase_caps(state.phase);
    let copied = || words::percent(state.copied());
    let running = state.engine.as_ref().is_some_and(|e| e.running);
    let name = match state.phase {
        Phase::Copy => format!("{caps} {}", copied()),
        Phase::Synced if running => format!("{caps} {}", p.now.since(state.phase_since)),
        _ => caps,
    };
    if state.over() {
        return (Role::Muted, format!("{} {name}", glyphs.ok));
    }
    if state.phase == Phase::InDoubt {
        return (Role::Bad, format!("{} {name}", glyphs.bad));
    }
    if !running && state.engine.is_some() {
        return (Role::Warn, format!("{} PARKED in {name}", glyphs.todo));
    }
    if state.paused() {
        let word = match (state.rested, state.all_stopped()) {
            (true, true) => "STOPPED",
            (true, false) => "PAUSED",
            (false, true) => "stopping",
            (false, false) => "pausing",
        };
        return (Role::Warn, format!("{} {word} in {name}", glyphs.paused));
    }
    match state.phase {
        Phase::Synced if state.synced_and_equal() => {
            (Role::Ok, format!("{} {name}", glyphs.steady))
        }
        Phase::Synced => (Role::Warn, format!("{} {name}", glyphs.steady)),
        Phase::RollingBack => (Role::Warn, format!("{} {name}", glyphs.active)),
        Phase::Plan => (Role::Info, format!("{} {name}", glyphs.todo)),
        _ => (Role::Info, format!("{} {name}", glyphs.active)),
    }
}

fn ends(state: &Migration, to: &str, width: usize) -> Vec<Vec<Piece>> {
    let Some(plan) = state.plan.as_ref() else {
        return vec![one(Role::Muted, "nothing planned yet")];
    };
    let engine = |end: &EndPlan| format!("{} {}", text::escape(&end.label), end.engine.label());
    let label = |end: &EndPlan| text::escape(&end.label).into_owned();
    let stem = |end: &EndPlan| {
        let label = label(end);
        [".sqlite3", ".sqlite", ".db"]
            .iter()
            .find_map(|suffix| label.strip_suffix(suffix))
            .map_or_else(|| label.clone(), str::to_string)
    };
    let (source, target) = (&plan.source, &plan.target);
    let both = |a: String, b: String| vec![(Role::Muted, format!("{a}{to}")), (Role::Target, b)];
    let cut = |s: String, n: usize| text::clip_middle(&s, n, "…").into_owned();
    let mut forms = vec![
        both(
            format!("{} ", engine(source)),
            format!(" {}", engine(target)),
        ),
        both(format!("{} ", label(source)), format!(" {}", label(target))),
        both(stem(source), stem(target)),
    ];
    for n in [14, 10, 8, 6, 4] {
        forms.push(both(cut(stem(source), n), cut(stem(target), n)));
    }
    if width < 72 {
        forms.push(Vec::new());
    }
    forms
}

fn who_and_what(p: &Scene, width: usize) -> Line<'static> {
    let (banner_role, banner) = banner(p);
    let name = text::escape(p.state.name()).into_owned();
    let glyphs = p.theme.glyphs;
    let named = |n: usize| {
        vec![
            (banner_role, format!(" {banner} ")),
            (Role::Text, glyphs.banner.to_string()),
            (Role::Title, text::clip(&name, n, glyphs.more).into_owned()),
        ]
    };
    let (phase_role, phase) = phase(p);
    let (owner, owner_role) = words::owner(p.state.owner());
    let (back, back_role) = words::way_back(p.state);
    let mut title = Part::new(2, named(64));
    for n in [24, 16, 12, 9, 6] {
        title = title.or(named(n));
    }
    let mut from_to = Part::new(1, Vec::new());
    from_to.forms = ends(p.state, glyphs.to, width);
    let short_phase = short_phase(&phase);
    let parts = [
        title,
        from_to,
        Part::new(0, one(phase_role, &phase))
            .or(one(phase_role, short_phase))
            .at_least(12),
        Part::new(
            9,
            vec![(Role::Muted, "WRITES ".into()), (owner_role, owner.into())],
        ),
        Part::new(
            9,
            vec![(Role::Muted, "WAY BACK ".into()), (back_role, back.into())],
        ),
    ];
    strip(p.theme, width, &parts)
}

/// Without what can be read elsewhere: `‖ PAUSED 61%`, `● SYNCED`.
fn short_phase(phase: &str) -> String {
    let phase = phase.replace(" in COPY", "").replace(" in ", " ");
    match phase.find(" SYNCED ") {
        Some(at) => phase[..at + " SYNCED".len()].to_string(),
        None => phase,
    }
}

/// Up, down or level: the last five measured seconds against the five before.
fn trend(state: &Migration) -> Option<std::cmp::Ordering> {
    let lags: Vec<u64> = state
        .history
        .iter()
        .rev()
        .take(10)
        .map(|h| h.lag.map(|l| l.0))
        .collect::<Option<_>>()?;
    if lags.len() < 10 {
        return None;
    }
    let sum = |lags: &[u64]| {
        lags.iter()
            .fold(0, |sum: u64, lag| sum.saturating_add(*lag))
    };
    let (new, old) = (sum(&lags[..5]), sum(&lags[5..]));
    // Less than a tenth of change, or of a tenth of a second, is none.
    if new.abs_diff(old) <= (old / 10).max(5 * 100_000) {
        return Some(std::cmp::Ordering::Equal);
    }
    Some(new.cmp(&old))
}

fn lag(p: &Scene) -> Part {
    if p.state.over() {
        return Part::new(4, one(Role::Muted, "lag ended"));
    }
    if p.state.engine.is_some() && !p.engine_runs() {
        return Part::new(4, one(Role::Warn, "lag not measured")).or(one(Role::Warn, "lag ?"));
    }
    let limit = p.state.max_lag();
    let lag = p.state.sample.lag;
    let role = match (lag, limit) {
        (None, _) => Role::Warn,
        (Some(lag), Some(limit)) if lag > limit => Role::Bad,
        (Some(lag), Some(limit)) if lag.0 > limit.0 / 10 * 8 => Role::Warn,
        _ => Role::Text,
    };
    let glyphs = p.theme.glyphs;
    let arrow = match trend(p.state) {
        Some(std::cmp::Ordering::Greater) => glyphs.up,
        Some(std::cmp::Ordering::Less) => glyphs.down,
        Some(std::cmp::Ordering::Equal) => glyphs.level,
        None => "",
    };
    let value = (role, words::span(lag));
    let of = limit.map_or_else(String::new, |l| format!(" of {l}"));
    let label = (Role::Muted, "lag ".to_string());
    Part::new(
        4,
        vec![
            label.clone(),
            value.clone(),
            (Role::Muted, of.clone()),
            (Role::Text, pre(arrow)),
        ],
    )
    .or(vec![label.clone(), value.clone(), (Role::Muted, of)])
    .or(vec![label, value])
    .at_least(17)
}

fn pre(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(" {text}")
    }
}

fn equal(p: &Scene) -> Part {
    let state = p.state;
    let part = state.equal_part();
    let drift = state.drift();
    let role = match (drift.confirmed, part >= 1.0) {
        (1.., _) => Role::Bad,
        (0, true) => Role::Ok,
        _ => Role::Text,
    };
    let label = (Role::Muted, "equal ".to_string());
    let value = (role, words::percent(part));
    // The age of what was checked: what never was is in the per cent already.
    let oldest = p.oldest();
    let age = match oldest {
        Some(age) => format!(" oldest {}", words::age(age)),
        None => " unchecked".to_string(),
    };
    let late = state
        .plan
        .as_ref()
        .is_some_and(|plan| oldest.is_some_and(|age| age > plan.verify.max_age));
    let age_role = if late { Role::Warn } else { Role::Muted };
    let differ = if drift.confirmed > 0 {
        vec![(
            Role::Differs,
            format!(
                " {}{}",
                p.theme.glyphs.drift,
                words::rows(Rows(drift.confirmed))
            ),
        )]
    } else {
        vec![]
    };
    if !state.keeps_in_step() {
        let was = [
            one(Role::Muted, format!("was equal {}", words::percent(part))),
            differ,
        ]
        .concat();
        return Part::new(6, was).at_least(20);
    }
    let with = |tail: &[Piece]| [&[label.clone(), value.clone()], differ.as_slice(), tail].concat();
    Part::new(6, with(&[(age_role, age.clone())]))
        .or(with(&[(age_role, age.replace(" oldest", ""))]))
        .or(with(&[]))
        .at_least(20)
}

fn left(p: &Scene) -> Part {
    let state = p.state;
    let label = (Role::Muted, "left ".to_string());
    let forms = |words: &[String]| {
        let mut part = Part::new(3, Vec::new());
        let form = |w: &String| vec![label.clone(), (Role::Text, w.clone())];
        part.forms = words.iter().map(form).collect();
        part.at_least(18)
    };
    let both = |value: &str, more: &str| forms(&[format!("{value}{more}"), value.to_string()]);
    if state.over() {
        return both("0", "");
    }
    match pace::eta(state) {
        Eta::Stopped(_) => both("?", " stands still"),
        Eta::Measuring if state.phase != Phase::Copy => both("?", " not begun"),
        Eta::Measuring => both("?", " measuring"),
        eta @ Eta::Between { .. } => {
            let range = words::eta(&eta, p.theme);
            let longest = eta.longest().unwrap_or_default();
            forms(&[format!("{range} to copy"), range, longest])
        }
        Eta::Done => match compare_left(state) {
            _ if state.phase == Phase::Synced => both("0", ", next is yours"),
            Some(span) => both(&format!("~{span}"), " to compare"),
            None => both("?", ""),
        },
    }
}

/// How long comparing the rest takes at the measured speed.
pub fn compare_left(state: &Migration) -> Option<Span> {
    let rate = state.sample.verify_rate.0;
    let rows = state.drift().uncovered.0;
    (rate > 0).then(|| Span(((rows as f64 / rate as f64) * 1e6) as u64))
}

fn people(p: &Scene) -> Part {
    let people = &p.state.people;
    let lead = people
        .leader()
        .map(|l| text::escape(&l.who.to_string()).into_owned());
    let others: Vec<String> = people
        .names()
        .into_iter()
        .filter(|(name, _)| lead.as_ref() != Some(&text::escape(name).into_owned()))
        .map(|(name, seat)| {
            let name = text::escape(&name).into_owned();
            if seat == Seat::Observer {
                format!("{name} looks")
            } else {
                name
            }
        })
        .collect();
    let dot = format!(" {} ", p.theme.glyphs.dot);
    let (lead_role, lead_name) = match &lead {
        Some(name) => (Role::Lead, name.clone()),
        None => (Role::Warn, "nobody".into()),
    };
    let head = vec![
        (Role::Muted, "lead ".to_string()),
        (lead_role, lead_name.clone()),
    ];
    let short = vec![(
        lead_role,
        text::clip(&lead_name, 8, p.theme.glyphs.more).into_owned(),
    )];
    if others.is_empty() {
        return Part::new(2, head).or(short);
    }
    let all = others.join(&dot);
    let plus = format!(" +{}", others.len());
    Part::new(
        2,
        [head.clone(), vec![(Role::Muted, format!("{dot}{all}"))]].concat(),
    )
    .or([head, vec![(Role::Muted, plus.clone())]].concat())
    .or([short.clone(), vec![(Role::Muted, plus)]].concat())
    .or(short)
}

/// How fresh the picture is, unmistakably when it is not.
pub fn freshness(p: &Scene) -> (Role, String) {
    let bad = p.theme.glyphs.bad;
    match p.link {
        Link::Lost { since, .. } => (Role::Alarm, format!("{bad} LINK LOST {since}")),
        Link::Replay { back, .. } => {
            let minus = if p.theme.glyphs.braille { "−" } else { "-" };
            (
                Role::Past,
                format!("{} REPLAY {minus}{back}", p.theme.glyphs.left),
            )
        }
        _ if p.ui.frozen => (
            Role::Past,
            format!("{} PICTURE FROZEN", p.theme.glyphs.paused),
        ),
        Link::Live { age } if p.stale() => (Role::Alarm, format!("{bad} STALE {age}")),
        // Below a tenth of a second the figure would only flicker.
        Link::Live { age } => (
            Role::Muted,
            format!("{}", Span(age.0.max(100_000) / 100_000 * 100_000)),
        ),
    }
}

fn figures(p: &Scene, width: usize) -> Line<'static> {
    let (role, fresh) = freshness(p);
    let parts = [
        lag(p),
        equal(p),
        left(p),
        people(p),
        Part::new(9, one(role, fresh)),
    ];
    strip(p.theme, width, &parts)
}

fn screens(p: &Scene, width: usize) -> Line<'static> {
    let listed = Screen::ALL.into_iter().filter(|s| *s != Screen::Help);
    let long = width >= 100;
    let mut row = Row::new(p.theme, width);
    for (i, screen) in listed.enumerate() {
        let name = if long { screen.label() } else { screen.short() };
        let here = p.ui.screen == screen;
        let (open, close) = if here { ("[", "]") } else { (" ", " ") };
        let gap = usize::from(i > 0 && long);
        let role = if here { Role::Title } else { Role::Muted };
        row = row
            .gap(gap)
            .put(role, open)
            .put(
                if here { Role::Title } else { Role::Key },
                screen.digit().to_string(),
            )
            .put(role, format!(" {name}{close}"));
    }
    let help = if p.ui.screen == Screen::Help {
        "[? help]"
    } else {
        "? help "
    };
    row.end(Role::Muted, format!(": command  {help}")).line()
}

/// The way through the phases: `✔ plan ─ ▶ copy 61.3% ─ ○ catch-up …` and the moment shown.
fn way(p: &Scene, width: usize) -> Line<'static> {
    let glyphs = p.theme.glyphs;
    let state = p.state;
    let forward = &Phase::ALL[..9];
    let on_way = forward.contains(&state.phase);
    let mut row = Row::new(p.theme, width).gap(1);
    if !on_way {
        let (role, words) = phase(p);
        row = row
            .put(role, words)
            .gap(2)
            .muted("the way forward has been left");
    } else {
        for (i, phase) in forward.iter().enumerate() {
            if i > 0 {
                row = row.put(Role::Rule, format!(" {} ", glyphs.rule));
            }
            row = match phase.cmp(&state.phase) {
                std::cmp::Ordering::Less => row
                    .put(Role::Ok, glyphs.ok)
                    .muted(format!(" {}", phase.label())),
                std::cmp::Ordering::Greater => {
                    row.muted(format!("{} {}", glyphs.todo, phase.label()))
                }
                std::cmp::Ordering::Equal => {
                    let parked = state.engine.is_some() && !p.engine_runs();
                    let mark = match (parked, state.paused()) {
                        (true, _) => glyphs.todo,
                        (false, true) => glyphs.paused,
                        (false, false) => glyphs.active,
                    };
                    let part = if *phase == Phase::Copy {
                        format!(" {}%", words::percent_fine(state.copied()))
                    } else {
                        String::new()
                    };
                    row.put(Role::Title, format!("{mark} {}{part}", phase.label()))
                }
            };
        }
    }
    let at = if p.ui.replay.is_some() {
        state.at
    } else {
        p.ui.now.at
    };
    row.end(Role::Muted, format!("{}Z ", words::clock(at)))
        .line()
}
