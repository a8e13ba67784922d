//! Popups in which something is set or written: a rate, a note.

use super::keymap::Chord;
use super::prompt::Reaction;
use super::theme::{Role, Theme};
use super::widget::page::Page;
use crate::domain::command::Pace;
use crate::domain::unit::{RowsPerSecond, short_count};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::widgets::Widget as _;
use tui_textarea::TextArea;

/// Most rows a second that can be asked for.
const FASTEST: u64 = 1_000_000_000;

/// What a rate is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateOf {
    /// Rows copied a second.
    Copy,
    /// Shadow comparisons a second.
    Shadow,
}

/// Setting a rate with arrows or digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateDialog {
    /// What it is of.
    pub of: RateOf,
    /// The rate as set here; none is as fast as the signals allow.
    pub value: Option<u64>,
    /// What holds now.
    pub now: Option<u64>,
    /// By how much an arrow goes.
    pub step: u64,
    /// What was typed: a number, for the copy also a share of the best speed seen.
    pub typed: String,
    /// What is measured now, in words.
    pub facts: Vec<String>,
    /// Why the last key did nothing.
    pub said: String,
}

impl RateDialog {
    /// For the copy: the rate that is allowed, the best that was seen, what holds it now.
    pub fn pace(now: Option<RowsPerSecond>, best: RowsPerSecond, facts: Vec<String>) -> Self {
        let now = now.map(|r| r.0);
        let scale = best.0.max(now.unwrap_or(0));
        Self {
            of: RateOf::Copy,
            value: now,
            now,
            step: round_step(scale / 15),
            typed: String::new(),
            facts,
            said: String::new(),
        }
    }

    /// For shadow compare.
    pub fn shadow(now: u32, facts: Vec<String>) -> Self {
        Self {
            of: RateOf::Shadow,
            value: Some(if now == 0 { 10 } else { u64::from(now) }),
            now: Some(u64::from(now)),
            step: 5,
            typed: String::new(),
            facts,
            said: String::new(),
        }
    }

    /// The pace it would set.
    pub fn chosen(&self) -> Pace {
        match self.value {
            None => Pace::Auto,
            Some(rate) => Pace::Limit(RowsPerSecond(rate)),
        }
    }

    /// Takes a key. Enter accepts: what that means is decided by whoever opened it.
    pub fn key(&mut self, key: Chord, best: u64) -> Reaction {
        self.said.clear();
        let most = match self.of {
            RateOf::Copy => FASTEST,
            RateOf::Shadow => 1_000,
        };
        match key.code {
            KeyCode::Esc | KeyCode::Char('q') => return Reaction::Close,
            KeyCode::Enter => match self.read(best, most) {
                Ok(()) => return Reaction::Accept,
                Err(why) => self.said = why,
            },
            KeyCode::Left | KeyCode::Char('h' | '-') => {
                self.typed.clear();
                let from = self.value.unwrap_or(best.max(self.step));
                let to = if from > self.step {
                    (from - 1) / self.step * self.step
                } else {
                    from / 2
                };
                let least = u64::from(self.of == RateOf::Copy);
                self.value = Some(to.max(least));
            }
            KeyCode::Right | KeyCode::Char('l' | '+') => {
                self.typed.clear();
                self.value = self
                    .value
                    .map(|from| ((from / self.step + 1) * self.step).min(most));
            }
            KeyCode::Char('a') if self.of == RateOf::Copy => {
                self.typed.clear();
                self.value = None;
            }
            KeyCode::Char(c) if c.is_ascii_digit() || "kKmMgG.%".contains(c) => {
                if self.typed.len() < 12 {
                    self.typed.push(c);
                }
                self.said = self.read(best, most).err().unwrap_or_default();
            }
            KeyCode::Backspace => {
                self.typed.pop();
                if self.typed.is_empty() {
                    self.value = self.now;
                }
                self.said = self.read(best, most).err().unwrap_or_default();
            }
            KeyCode::Char(c) => {
                let like = match self.of {
                    RateOf::Copy => "write 84k or 60%, or a for auto",
                    RateOf::Shadow => "write a number a second; 0 is off",
                };
                self.said = format!("{c} means nothing here: {like}");
            }
            _ => self.said = "←/→ · digits · Enter sets it · Esc".into(),
        }
        Reaction::Stay
    }

    /// Takes what was typed as the value; the value stays when it means nothing.
    fn read(&mut self, best: u64, most: u64) -> Result<(), String> {
        if self.typed.is_empty() {
            return Ok(());
        }
        self.value = match self.of {
            RateOf::Copy => match Pace::read(&self.typed, RowsPerSecond(best))? {
                Pace::Auto => None,
                Pace::Limit(rate) => Some(rate.0.min(most)),
            },
            RateOf::Shadow => {
                let read = rate(&self.typed);
                let read = read.ok_or_else(|| format!("\"{}\" is no rate", self.typed))?;
                Some(read.min(most))
            }
        };
        Ok(())
    }

    /// The popup.
    pub fn page(&self, theme: &Theme, best: u64) -> Page {
        let glyphs = theme.glyphs;
        let (title, unit) = match self.of {
            RateOf::Copy => ("Pace of the copy", "rows/s"),
            RateOf::Shadow => ("Shadow compare", "comparisons/s"),
        };
        let mut page = Page::new(title);
        for fact in &self.facts {
            page = page.line(fact, Role::Text);
        }
        let value = match self.value {
            None => "auto: as fast as the signals allow".to_string(),
            Some(0) => "off".to_string(),
            Some(rate) => format!("{} {unit}", short_count(rate)),
        };
        let value = match self.typed.ends_with('%') && self.said.is_empty() {
            true => format!("{} of the best seen: {value}", self.typed),
            false => value,
        };
        let scale = best.max(self.now.unwrap_or(0)).max(self.step * 10);
        let cells = 24u64;
        let full = self
            .value
            .map_or(cells, |v| (v * cells / scale.max(1)).min(cells)) as usize;
        let bar = format!(
            "{}{}",
            glyphs.full.repeat(full),
            glyphs.empty.repeat(cells as usize - full)
        );
        page.lines
            .push(vec![(bar, Role::Info), (format!("  {value}"), Role::Title)]);
        let help = match self.of {
            RateOf::Copy => format!(
                "{}/{} by {} · 84k or 60% is typed · a auto",
                glyphs.left,
                glyphs.right,
                short_count(self.step)
            ),
            RateOf::Shadow => format!(
                "{}/{} by {} · digits set · 0 is off",
                glyphs.left, glyphs.right, self.step
            ),
        };
        page = page.line(help, Role::Muted);
        let means = match self.of {
            RateOf::Copy => "slower acts at once; faster asks Y",
            RateOf::Shadow => "asks Y",
        };
        if self.said.is_empty() {
            page = page.line(means, Role::Muted);
        } else {
            page = page.line(&self.said, Role::Bad);
        }
        page.keys = ("Enter set".into(), "Esc close".into());
        page
    }
}

/// Reads a rate: `84000`, `84k`, `1.2M`.
pub fn rate(text: &str) -> Option<u64> {
    let (number, unit) = match text.char_indices().next_back()? {
        (i, 'k' | 'K') => (&text[..i], 1e3),
        (i, 'm' | 'M') => (&text[..i], 1e6),
        _ => (text, 1.0),
    };
    let value: f64 = number.parse().ok()?;
    (value >= 0.0 && value * unit <= FASTEST as f64).then(|| (value * unit).round() as u64)
}

/// 1, 2 or 5 times a power of ten, at most the given and at least ten.
fn round_step(n: u64) -> u64 {
    let mut step = 10;
    while step * 10 <= n {
        step *= 10;
    }
    [5, 2, 1]
        .into_iter()
        .map(|f| f * step)
        .find(|s| *s <= n)
        .unwrap_or(step)
}

/// A note being written.
#[derive(Debug, Clone)]
pub struct NoteEditor {
    area: TextArea<'static>,
    /// Why the last key did nothing.
    pub said: String,
}

impl PartialEq for NoteEditor {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text() && self.said == other.said
    }
}

/// Most characters of a note.
const NOTE: usize = 2_000;

impl NoteEditor {
    /// An editor with a draft in it.
    pub fn new(draft: &str) -> Self {
        let mut area = TextArea::new(draft.lines().map(str::to_string).collect());
        area.set_cursor_line_style(Style::new());
        area.move_cursor(tui_textarea::CursorMove::End);
        Self {
            area,
            said: String::new(),
        }
    }

    /// What was written.
    pub fn text(&self) -> String {
        self.area.lines().join("\n")
    }

    /// Takes a key. Enter keeps it, as in every other box; Alt-Enter or Ctrl-j begins a new line; Esc leaves.
    pub fn key(&mut self, key: Chord) -> Reaction {
        self.said.clear();
        match (key.code, key.mods) {
            (KeyCode::Esc, _) => return Reaction::Close,
            (KeyCode::Enter, KeyModifiers::ALT) | (KeyCode::Char('j'), KeyModifiers::CONTROL) => {
                if self.room() {
                    self.area.insert_newline();
                }
                return Reaction::Stay;
            }
            (KeyCode::Enter, _) | (KeyCode::Char('s'), KeyModifiers::CONTROL) => {
                if self.text().trim().is_empty() {
                    self.said = "a note needs some text".into();
                    return Reaction::Stay;
                }
                return Reaction::Accept;
            }
            _ => {}
        }
        if !matches!(key.code, KeyCode::Char(_)) || self.room() {
            self.area.input(KeyEvent::new(key.code, key.mods));
        }
        Reaction::Stay
    }

    /// Whether another character fits; if not, that is said.
    fn room(&mut self) -> bool {
        let fits = self.text().chars().count() < NOTE;
        if !fits {
            self.said = format!("a note has at most {NOTE} characters");
        }
        fits
    }

    /// Pasted text is text here.
    pub fn paste(&mut self, text: &str) {
        let room = NOTE.saturating_sub(self.text().chars().count());
        let clean: String = text
            .replace("\r\n", "\n")
            .replace('\r', "\n")
            .chars()
            .filter(|c| *c == '\n' || !c.is_control())
            .take(room)
            .collect();
        self.area.insert_str(clean);
    }

    /// Draws it over `area`.
    pub fn draw(&self, area: Rect, buf: &mut Buffer, theme: &Theme) {
        let lines = self.area.lines().len().clamp(3, 10);
        let mut page = Page::new("Note");
        for _ in 0..lines {
            page = page.line(" ".repeat(60), Role::Text);
        }
        page = page.line(self.said.clone(), Role::Bad);
        page.keys = (
            "Enter keep it in the timeline  Ctrl-j new line".into(),
            "Esc leave".into(),
        );
        let mut inner = page.draw(area, buf, theme);
        inner.height = inner.height.min(lines as u16);
        if inner.width > 0 && inner.height > 0 {
            (&self.area).render(inner, buf);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::keymap::script;

    fn press(dialog: &mut RateDialog, keys: &str) -> Reaction {
        let mut last = Reaction::Stay;
        for key in script(keys).unwrap() {
            last = dialog.key(key, 171_000);
        }
        last
    }

    #[test]
    fn arrows_go_by_round_steps() {
        let mut dialog =
            RateDialog::pace(Some(RowsPerSecond(150_000)), RowsPerSecond(171_000), vec![]);
        assert_eq!(dialog.step, 10_000);
        press(&mut dialog, "<Left><Left>");
        assert_eq!(dialog.value, Some(130_000));
        press(&mut dialog, "<Right>");
        assert_eq!(dialog.value, Some(140_000));
        assert_eq!(press(&mut dialog, "84k<Enter>"), Reaction::Accept);
        assert_eq!(dialog.chosen(), Pace::Limit(RowsPerSecond(84_000)));
        press(&mut dialog, "a");
        assert_eq!(dialog.chosen(), Pace::Auto);
        press(&mut dialog, "<Left>");
        assert_eq!(
            dialog.value,
            Some(170_000),
            "from auto down from the best seen"
        );
    }

    #[test]
    fn the_copy_is_never_set_to_nothing_by_arrows() {
        let mut dialog = RateDialog::pace(Some(RowsPerSecond(30)), RowsPerSecond(0), vec![]);
        press(&mut dialog, &"<Left>".repeat(20));
        assert_eq!(dialog.value, Some(1));
    }

    #[test]
    fn rates_as_people_write_them() {
        assert_eq!(rate("84k"), Some(84_000));
        assert_eq!(rate("1.2M"), Some(1_200_000));
        assert_eq!(rate("84000"), Some(84_000));
        assert_eq!(rate("k"), None);
        assert_eq!(rate("nan"), None);
        assert_eq!(rate(""), None);
    }

    #[test]
    fn a_note_takes_pasted_lines_and_has_an_end() {
        let mut note = NoteEditor::new("");
        note.paste("one\r\ntwo\u{7}");
        assert_eq!(note.text(), "one\ntwo");
        note.paste(&"x".repeat(3_000));
        assert_eq!(note.text().chars().count(), NOTE);
        let keys = script("y").unwrap();
        note.key(keys[0]);
        assert_eq!(note.text().chars().count(), NOTE);
        assert!(!note.said.is_empty());
    }
}
