//! Keys: how they are written, which command they mean, and where two commands want the same one.

use super::commands::{Act, Entry, Place, TABLE};
use super::model::Picture;
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

/// One key with its modifiers, in one form however the terminal reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd)]
pub struct Chord {
    /// The key; letters carry their case, so Shift is not among the modifiers.
    pub code: KeyCode,
    /// Ctrl, Alt, and Shift where the key has no case.
    pub mods: KeyModifiers,
}

impl Chord {
    /// A key without modifiers.
    pub const fn plain(code: KeyCode) -> Self {
        Self {
            code,
            mods: KeyModifiers::NONE,
        }
    }

    /// A letter with Ctrl.
    pub const fn ctrl(c: char) -> Self {
        Self {
            code: KeyCode::Char(c),
            mods: KeyModifiers::CONTROL,
        }
    }

    /// The key of a press; none for releases and for keys that are only modifiers.
    pub fn of(event: &KeyEvent) -> Option<Self> {
        if event.kind == KeyEventKind::Release {
            return None;
        }
        let keep = KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT;
        let mut mods = event.modifiers & keep;
        let code = match event.code {
            KeyCode::Char(c) if mods.contains(KeyModifiers::CONTROL) => {
                mods.remove(KeyModifiers::SHIFT);
                KeyCode::Char(c.to_ascii_lowercase())
            }
            KeyCode::Char(c) if mods.contains(KeyModifiers::SHIFT) => {
                mods.remove(KeyModifiers::SHIFT);
                // Some protocols report the unshifted letter beside Shift.
                KeyCode::Char(c.to_ascii_uppercase())
            }
            KeyCode::BackTab => {
                mods.remove(KeyModifiers::SHIFT);
                KeyCode::BackTab
            }
            KeyCode::Tab if mods.contains(KeyModifiers::SHIFT) => {
                mods.remove(KeyModifiers::SHIFT);
                KeyCode::BackTab
            }
            KeyCode::Modifier(_) | KeyCode::Null => return None,
            code => code,
        };
        Some(Self { code, mods })
    }

    /// Reads one key as written in a config: `P`, `Ctrl-d`, `PgUp`, `F5`, `Space`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut mods = KeyModifiers::NONE;
        let mut rest = text;
        while let Some((prefix, tail)) = rest.split_once('-').filter(|(_, t)| !t.is_empty()) {
            mods |= match prefix.to_ascii_lowercase().as_str() {
                "ctrl" | "c" => KeyModifiers::CONTROL,
                "alt" | "m" => KeyModifiers::ALT,
                "shift" | "s" => KeyModifiers::SHIFT,
                _ => return Err(format!("\"{text}\" is no key")),
            };
            rest = tail;
        }
        let mut letters = rest.chars();
        let code = match (letters.next(), letters.next()) {
            (Some(c), None) => KeyCode::Char(c),
            _ => named(rest).ok_or_else(|| format!("\"{text}\" is no key"))?,
        };
        let event = KeyEvent::new(code, mods);
        Self::of(&event).ok_or_else(|| format!("\"{text}\" is no key"))
    }
}

const NAMES: [(&str, KeyCode); 19] = [
    ("Enter", KeyCode::Enter),
    ("Esc", KeyCode::Esc),
    ("Bksp", KeyCode::Backspace),
    ("Backspace", KeyCode::Backspace),
    ("Space", KeyCode::Char(' ')),
    ("Tab", KeyCode::Tab),
    ("BackTab", KeyCode::BackTab),
    ("Up", KeyCode::Up),
    ("Down", KeyCode::Down),
    ("Left", KeyCode::Left),
    ("Right", KeyCode::Right),
    ("PgUp", KeyCode::PageUp),
    ("PgDn", KeyCode::PageDown),
    ("PageUp", KeyCode::PageUp),
    ("PageDown", KeyCode::PageDown),
    ("Home", KeyCode::Home),
    ("End", KeyCode::End),
    ("Del", KeyCode::Delete),
    ("Ins", KeyCode::Insert),
];

fn named(name: &str) -> Option<KeyCode> {
    let found = NAMES.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
    let function = || {
        let number = name.strip_prefix(['F', 'f'])?.parse().ok()?;
        (1..=12).contains(&number).then_some(KeyCode::F(number))
    };
    found.map(|(_, code)| *code).or_else(function)
}

impl fmt::Display for Chord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.mods.contains(KeyModifiers::CONTROL) {
            f.write_str("Ctrl-")?;
        }
        if self.mods.contains(KeyModifiers::ALT) {
            f.write_str("Alt-")?;
        }
        if self.code == KeyCode::BackTab {
            return f.write_str("Shift-Tab");
        }
        if self.mods.contains(KeyModifiers::SHIFT) {
            f.write_str("Shift-")?;
        }
        match self.code {
            KeyCode::Char(' ') => f.write_str("Space"),
            KeyCode::Char(c) => write!(f, "{c}"),
            KeyCode::F(n) => write!(f, "F{n}"),
            code => match NAMES.iter().find(|(_, c)| *c == code) {
                Some((name, _)) => f.write_str(name),
                None => write!(f, "{code:?}"),
            },
        }
    }
}

/// Reads keys pressed one after another: `g g`, `Ctrl-d`. In a script, `jj<Enter>P`.
pub fn sequence(text: &str) -> Result<Vec<Chord>, String> {
    let keys: Result<Vec<_>, _> = text.split_whitespace().map(Chord::parse).collect();
    keys.and_then(|keys| {
        if (1..=2).contains(&keys.len()) {
            Ok(keys)
        } else {
            Err(format!("\"{text}\": one key or two after each other"))
        }
    })
}

/// Reads a script: every character is a key, `<Enter>` or `<Ctrl-d>` a named one, `<<` the character itself.
pub fn script(text: &str) -> Result<Vec<Chord>, String> {
    let mut keys = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c != '<' {
            keys.push(Chord::parse(&c.to_string())?);
        } else if let Some(tail) = rest.strip_prefix('<') {
            keys.push(Chord::plain(KeyCode::Char('<')));
            rest = tail;
        } else {
            let (name, tail) = rest
                .split_once('>')
                .ok_or_else(|| format!("\"<{rest}\" has no end"))?;
            keys.push(Chord::parse(name)?);
            rest = tail;
        }
    }
    Ok(keys)
}

/// How `[keys]` gives a command its keys: `pause = "F9"`, `pause = ["P", "F9"]`, `freeze = false`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Keys {
    /// `false` takes its keys away. `true` means nothing and is reported.
    Switch(bool),
    /// One.
    One(String),
    /// Any of these.
    Any(Vec<String>),
}

/// A command's keys.
#[derive(Debug, Clone, PartialEq)]
pub struct Binding {
    /// Pressed one after another.
    pub keys: Vec<Chord>,
    /// The command.
    pub entry: &'static Entry,
    /// Whether `[keys]` gave them.
    pub custom: bool,
}

/// What keys pressed so far mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Found {
    /// This command.
    Command(&'static Entry),
    /// The beginning of one or several commands.
    Prefix,
    /// Nothing.
    Nothing,
}

/// Which keys mean which command, and what was wrong with what was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Keymap {
    bindings: Vec<Binding>,
    /// One sentence for each key that could not be given as asked.
    pub problems: Vec<String>,
}

impl Default for Keymap {
    fn default() -> Self {
        Self::new(&BTreeMap::new())
    }
}

impl Keymap {
    /// The keys of the table, changed by `[keys]`. What can't be done is reported in `problems` and the rest holds: a slip in
    /// the config must not cost the keyboard in the middle of a migration.
    pub fn new(wanted: &BTreeMap<String, Keys>) -> Self {
        let mut map = Self {
            bindings: Vec::new(),
            problems: Vec::new(),
        };
        for id in wanted.keys() {
            if !TABLE.iter().any(|e| e.id == id) {
                let near = TABLE
                    .iter()
                    .max_by(|a, b| strsim::jaro(a.id, id).total_cmp(&strsim::jaro(b.id, id)));
                let near = near.map_or("", |e| e.id);
                map.problems.push(format!(
                    "[keys] {id}: there is no such command; did you mean {near}?"
                ));
            }
        }
        for entry in TABLE {
            match wanted.get(entry.id) {
                None => map.take(entry, entry.keys.iter().copied(), false),
                Some(_) if entry.fixed() => {
                    map.problems
                        .push(format!("[keys] {}: its keys can't be changed", entry.id));
                    map.take(entry, entry.keys.iter().copied(), false);
                }
                Some(Keys::Switch(false)) => {}
                Some(Keys::Switch(true)) => {
                    map.problems.push(format!(
                        "[keys] {}: false takes its keys away; true means nothing",
                        entry.id
                    ));
                    map.take(entry, entry.keys.iter().copied(), false);
                }
                Some(Keys::One(keys)) => map.take(entry, [keys.as_str()].into_iter(), true),
                Some(Keys::Any(all)) => map.take(entry, all.iter().map(String::as_str), true),
            }
        }
        map.find_conflicts();
        map
    }

    /// The keys of the table, changed by `[keys]` as it was written.
    pub fn written(table: &toml::Table) -> Self {
        let mut wanted = BTreeMap::new();
        let mut wrong = Vec::new();
        for (id, value) in table {
            match value.clone().try_into::<Keys>() {
                Ok(keys) => {
                    wanted.insert(id.clone(), keys);
                }
                Err(_) => wrong.push(format!(
                    "[keys] {id}: a key, a list of keys, or false: \"P\", [\"P\", \"F9\"]"
                )),
            }
        }
        let mut map = Self::new(&wanted);
        map.problems.splice(0..0, wrong);
        map
    }

    fn take<'a>(
        &mut self,
        entry: &'static Entry,
        keys: impl Iterator<Item = &'a str>,
        custom: bool,
    ) {
        for text in keys {
            match sequence(text) {
                Ok(keys) => self.bindings.push(Binding {
                    keys,
                    entry,
                    custom,
                }),
                Err(why) => self.problems.push(format!("[keys] {}: {why}", entry.id)),
            }
        }
    }

    /// Two commands for one key in one place: the one the config asked for wins, else the first of the table.
    fn find_conflicts(&mut self) {
        let mut kept: Vec<Binding> = Vec::with_capacity(self.bindings.len());
        let (custom, plain): (Vec<_>, Vec<_>) = self.bindings.drain(..).partition(|b| b.custom);
        for binding in custom.into_iter().chain(plain) {
            let rival = kept.iter().find(|other| {
                other.entry.id != binding.entry.id
                    && other.entry.place.meets(binding.entry.place)
                    && (other.keys.starts_with(&binding.keys)
                        || binding.keys.starts_with(&other.keys))
            });
            match rival {
                None => kept.push(binding),
                Some(rival) => self.problems.push(format!(
                    "{} is taken by {}, so {} has lost it",
                    text(&binding.keys),
                    rival.entry.id,
                    binding.entry.id
                )),
            }
        }
        self.bindings = kept;
    }

    /// What the keys pressed so far mean in this picture. The narrower place wins: replaying, then this screen, then everywhere.
    pub fn find(&self, p: &Picture, pressed: &[Chord]) -> Found {
        let mut best: Option<(u8, &Binding)> = None;
        let mut prefix = false;
        for binding in &self.bindings {
            let Some(rank) = binding.entry.place.rank(p) else {
                continue;
            };
            if binding.keys == pressed && best.is_none_or(|(r, _)| rank > r) {
                best = Some((rank, binding));
            }
            prefix |= binding.keys.len() > pressed.len() && binding.keys.starts_with(pressed);
        }
        match best {
            Some((_, binding)) => Found::Command(binding.entry),
            None if prefix => Found::Prefix,
            None => Found::Nothing,
        }
    }

    /// A command's keys as text, the first of them for the hint bar; empty when it has none.
    pub fn keys_of(&self, act: Act) -> Vec<String> {
        let mine = self.bindings.iter().filter(|b| b.entry.act == act);
        mine.map(|b| text(&b.keys)).collect()
    }

    /// A command's first key as text.
    pub fn key_of(&self, act: Act) -> String {
        self.keys_of(act).into_iter().next().unwrap_or_default()
    }

    /// Whether `[keys]` changed a command's keys, or another command took one of them.
    pub fn is_custom(&self, entry: &Entry) -> bool {
        let mine = || self.bindings.iter().filter(|b| b.entry.act == entry.act);
        mine().any(|b| b.custom) || mine().count() != entry.keys.len()
    }

    /// All of them, for tests and generated documents.
    pub fn bindings(&self) -> &[Binding] {
        &self.bindings
    }

    /// What may follow a prefix, for the hint bar: key and label.
    pub fn follow(&self, p: &Picture, pressed: &[Chord]) -> Vec<(String, &'static str)> {
        let follows = self.bindings.iter().filter(|b| {
            b.entry.place.rank(p).is_some()
                && b.keys.len() > pressed.len()
                && b.keys.starts_with(pressed)
        });
        follows
            .map(|b| (text(&b.keys[pressed.len()..]), b.entry.label))
            .collect()
    }
}

/// Keys as they are written: letters of a sequence side by side, names with a space.
pub fn text(keys: &[Chord]) -> String {
    let parts: Vec<String> = keys.iter().map(ToString::to_string).collect();
    let short = parts.iter().all(|p| p.chars().count() == 1);
    parts.join(if short { "" } else { " " })
}

impl Place {
    /// How narrow a place is where it applies now; none where it does not.
    fn rank(self, p: &Picture) -> Option<u8> {
        match self {
            Place::Palette => None,
            Place::Everywhere => Some(0),
            Place::On(screens) => screens.contains(&p.ui.screen).then_some(1),
            Place::Replaying => p.ui.replay.is_some().then_some(2),
        }
    }

    /// Whether one key in both places would have two meanings of the same rank.
    fn meets(self, other: Place) -> bool {
        match (self, other) {
            (Place::Everywhere, Place::Everywhere) | (Place::Replaying, Place::Replaying) => true,
            (Place::On(a), Place::On(b)) => a.iter().any(|s| b.contains(s)),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_as_it_is_written() {
        for text in [
            "P",
            "Ctrl-d",
            "PgUp",
            "F5",
            "Space",
            "-",
            "Shift-Left",
            "Esc",
            "?",
            "Shift-Tab",
        ] {
            let key = Chord::parse(text).unwrap();
            let written = key.to_string();
            assert_eq!(Chord::parse(&written).unwrap(), key, "{text} → {written}");
        }
        assert!(Chord::parse("Hyper-x").is_err());
        assert!(Chord::parse("Foo").is_err());
    }

    #[test]
    fn shift_is_in_the_letter() {
        let reported = KeyEvent::new(KeyCode::Char('p'), KeyModifiers::SHIFT);
        assert_eq!(Chord::of(&reported), Some(Chord::plain(KeyCode::Char('P'))));
        let release = KeyEvent {
            kind: KeyEventKind::Release,
            ..reported
        };
        assert_eq!(Chord::of(&release), None);
    }

    #[test]
    fn scripts() {
        let keys = script("jj<Enter><<P").unwrap();
        assert_eq!(text(&keys[..2]), "jj");
        assert_eq!(keys[2], Chord::plain(KeyCode::Enter));
        assert_eq!(keys[3], Chord::plain(KeyCode::Char('<')));
        assert!(script("<Enter").is_err());
    }

    #[test]
    fn the_table_has_no_conflicts() {
        assert_eq!(Keymap::default().problems, Vec::<String>::new());
    }

    #[test]
    fn a_config_takes_keys_gives_them_and_hears_about_conflicts() {
        let wanted = BTreeMap::from([
            (
                "pause".to_string(),
                Keys::Any(vec!["F9".into(), "V".into()]),
            ),
            ("freeze".to_string(), Keys::Switch(false)),
            ("pawse".to_string(), Keys::One("x".into())),
            ("note".to_string(), Keys::One("Hyper-x".into())),
        ]);
        let map = Keymap::new(&wanted);
        assert_eq!(map.keys_of(Act::Pause), ["F9", "V"]);
        assert!(map.keys_of(Act::Freeze).is_empty());
        assert!(map.keys_of(Act::Verify).is_empty());
        let said = map.problems.join("\n");
        assert!(
            said.contains("V is taken by pause, so verify has lost it"),
            "{said}"
        );
        assert!(said.contains("did you mean pause"), "{said}");
        assert!(said.contains("Hyper-x"), "{said}");
    }

    #[test]
    fn keys_as_they_stand_in_a_file() {
        let text = "pause = [\"P\", \"F9\"]\nfreeze = false\nnote = 7\ncopy = \"Y\"";
        let map = Keymap::written(&text.parse().unwrap());
        assert_eq!(map.keys_of(Act::Pause), ["P", "F9"]);
        assert!(map.keys_of(Act::Freeze).is_empty());
        assert_eq!(map.keys_of(Act::Copy), ["Y"]);
        assert_eq!(
            map.keys_of(Act::Note),
            ["M"],
            "what is wrong keeps its keys"
        );
        assert_eq!(map.problems.len(), 1, "{:?}", map.problems);
    }
}
