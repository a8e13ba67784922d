//! `?` — every key and word, made from the table and the active keymap, filtered by what is typed after `/`.

use super::commands::{ANSWERS, Entry, Group, Place, TABLE};
use super::keymap::text;
use super::lists::matches;
use super::model::{Picture, Screen, Ui};
use super::theme::Role;
use super::widget::page::{Piece, wrap};
use crate::domain::command::{Class, Role as Part};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// Columns of keys before what they do.
const KEYS: usize = 11;
/// A column of the help needs so much.
const COLUMN: u16 = 58;

/// The help's lines: a heading before each group, changed keys marked with `*`.
pub fn lines(p: &Picture) -> Vec<Vec<Piece>> {
    let filter = p.ui.filter.get(&Screen::Help).map_or("", String::as_str);
    let mut lines = Vec::new();
    for group in Group::ALL {
        let mut part: Vec<Vec<Piece>> = Vec::new();
        for entry in TABLE.iter().filter(|e| e.group == group) {
            let line = line(p, entry);
            let whole: String = line.iter().map(|(t, _)| t.as_str()).collect();
            let words = entry.words.join(" ");
            if matches(&format!("{whole} {words} {}", entry.id), filter) {
                part.push(line);
            }
        }
        section(&mut lines, group.label(), part);
    }
    let others = [
        ("full load", "copy"),
        ("ongoing replication, binlog, WAL", "stream"),
        (
            "validation pending, mismatched, suspended",
            "in flight, differ, not compared",
        ),
        ("CDC source latency, target latency", "read lag, apply lag"),
        (
            "throttle 60 %",
            "pace: rows a second, never a percentage of anything unnamed",
        ),
    ];
    let said = others.iter().chain(ANSWERS);
    let said = said.filter(|(a, b)| matches(&format!("{a} {b}"), filter));
    let said = said.map(|(theirs, ours)| {
        vec![
            (format!("  {theirs}: "), Role::Muted),
            ((*ours).to_string(), Role::Text),
        ]
    });
    section(&mut lines, "Words of other tools", said.collect());
    let people = p.live.people.present.iter();
    let people = people.map(|(id, present)| {
        let part = match present.role {
            Part::Observer => "looks on",
            Part::Operator if p.live.people.lead == Some(*id) => "leads",
            Part::Operator => "operator",
        };
        let line = format!("{} from {}", present.who, present.from);
        vec![
            (format!("  {line:<30} "), Role::Text),
            (part.to_string(), Role::Lead),
        ]
    });
    if filter.is_empty() {
        section(&mut lines, "Who is here", people.collect());
    }
    lines
}

fn section(lines: &mut Vec<Vec<Piece>>, heading: &str, part: Vec<Vec<Piece>>) {
    if part.is_empty() {
        return;
    }
    if !lines.is_empty() {
        lines.push(Vec::new());
    }
    lines.push(vec![(heading.to_string(), Role::Title)]);
    lines.extend(part);
}

fn line(p: &Picture, entry: &Entry) -> Vec<Piece> {
    let keymap = &p.ui.keymap;
    let mut keys = keymap.keys_of(entry.act).join(" ");
    if keys.is_empty() {
        keys = entry.words.first().map_or("-".into(), |w| format!(":{w}"));
    }
    if keymap.is_custom(entry) {
        keys.push('*');
    }
    let off = entry.class.is_some() && entry.enabled(p).is_err();
    let class = entry.class.map_or("", |c| match c {
        Class::Safe => " · at once",
        // The sentence ends with it where there is more to say than that.
        Class::Reversible if entry.help.ends_with("asks") => "",
        Class::Disruptive if entry.help.ends_with("asks") => ", with what it would do",
        Class::Irreversible if entry.help.ends_with("is typed") => "",
        Class::Reversible => " · asks",
        Class::Disruptive => " · asks, with what it would do",
        Class::Irreversible => " · the name is typed",
    });
    vec![
        (
            format!("  {keys:<KEYS$} "),
            if off { Role::Off } else { Role::Key },
        ),
        (
            entry.help.to_string(),
            if off { Role::Off } else { Role::Text },
        ),
        (class.to_string(), Role::Muted),
    ]
}

/// The lines as they fit into a width: in how many columns, and what does not fit goes on below, indented.
pub fn laid_out(p: &Picture, width: u16) -> (usize, Vec<Vec<Piece>>) {
    let columns = usize::from((width / COLUMN).clamp(1, 3));
    let room = (usize::from(width) / columns).saturating_sub(2).max(1);
    let mut out = Vec::new();
    for line in lines(p) {
        let heading = line.len() < 2;
        if heading || room <= 2 * KEYS {
            out.push(line);
            continue;
        }
        let (key, text) = line.split_at(1);
        let indent = key[0].0.chars().count();
        if indent + KEYS > room {
            // A name longer than the column: cut where it is drawn.
            out.push(line);
            continue;
        }
        for (i, part) in wrap(text, room - indent).into_iter().enumerate() {
            let mut row = if i == 0 {
                key.to_vec()
            } else {
                vec![(" ".repeat(indent), Role::Text)]
            };
            row.extend(part);
            out.push(row);
        }
    }
    (columns, out)
}

/// Draws the help into `area`: in as many columns as fit, from the line scrolled to.
pub fn draw(p: &Picture, area: Rect, buf: &mut Buffer) {
    let area = area.intersection(*buf.area());
    if area.width == 0 || area.height == 0 {
        return;
    }
    let height = usize::from(area.height);
    let (columns, lines) = laid_out(p, area.width);
    let width = usize::from(area.width) / columns;
    // The last page is full: scrolling ends when the last line is at the bottom.
    let most = lines.len().saturating_sub(height * columns);
    let from = p.ui.help.min(most);
    if lines.is_empty() {
        let style = p.theme.style(Role::Muted);
        let filter = p.ui.filter();
        buf.set_stringn(
            area.x,
            area.y,
            format!(" no key or word has \"{filter}\""),
            width,
            style,
        );
    }
    for (i, line) in lines.iter().skip(from).take(height * columns).enumerate() {
        let left = area.x + (i / height * width) as u16;
        let y = area.y + (i % height) as u16;
        let end = left + width as u16 - u16::from(columns > 1);
        let mut x = left + 1;
        for (text, role) in line {
            let room = usize::from(end.saturating_sub(x));
            (x, _) = buf.set_stringn(x.min(end), y, text, room, p.theme.style(*role));
        }
    }
}

/// All commands as a document: what `assets/keys.md` holds, kept right by a test.
pub fn document() -> String {
    let mut out = String::from(
        "# Keys and words\n\n\
         Made from the console's table of commands. Lower case looks, capitals act. Every key can be changed under `[keys]` in\n\
         `tidegate.toml`, by the name in the first column: `pause = [\"P\", \"F9\"]`, `freeze = false`.\n",
    );
    for group in Group::ALL {
        out.push_str(&format!(
            "\n## {}\n\n| name | keys | word | where | does |\n|---|---|---|---|---|\n",
            group.label()
        ));
        for entry in TABLE.iter().filter(|e| e.group == group) {
            let code = |texts: &[&str]| {
                let quoted: Vec<String> = texts.iter().map(|t| format!("`{t}`")).collect();
                quoted.join(" ")
            };
            let place = match entry.place {
                Place::Everywhere => "everywhere".to_string(),
                Place::Replaying => "in the past".to_string(),
                Place::Palette => "palette".to_string(),
                Place::On(screens) => {
                    let names: Vec<&str> = screens.iter().map(|s| s.label()).collect();
                    names.join(", ")
                }
            };
            let words: Vec<String> = entry.words.iter().map(|w| format!(":{w}")).collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let arg = entry.arg.replace('|', "\\|");
            let arg = if arg.is_empty() {
                arg
            } else {
                format!(" {arg}")
            };
            out.push_str(&format!(
                "| {} | {} | {}{arg} | {place} | {} |\n",
                entry.id,
                code(entry.keys),
                code(&words),
                entry.help
            ));
        }
    }
    out
}

/// `:keys` — what was wrong with `[keys]`, what it changed, and which letters are free.
pub fn keys_report(ui: &Ui) -> Vec<String> {
    let mut lines = ui.keymap.problems.clone();
    if lines.is_empty() {
        lines.push("no conflicts".into());
    }
    for entry in TABLE.iter().filter(|e| ui.keymap.is_custom(e)) {
        let now = ui.keymap.keys_of(entry.act).join(" ");
        let now = if now.is_empty() { "no key" } else { &now };
        lines.push(format!(
            "{}: {now} (was {})",
            entry.id,
            entry.keys.join(", ")
        ));
    }
    let taken: Vec<String> = ui
        .keymap
        .bindings()
        .iter()
        .map(|b| text(&b.keys[..1]))
        .collect();
    let free: Vec<String> = ('a'..='z')
        .chain('A'..='Z')
        .map(String::from)
        .filter(|c| !taken.contains(c))
        .collect();
    lines.push(format!("free letters: {}", free.join(" ")));
    lines.push(
        "change them under [keys] in tidegate.toml: pause = [\"P\", \"F9\"], freeze = false".into(),
    );
    lines
}
