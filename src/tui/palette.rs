//! `:` — commands by word. Fuzzy, with what they do and their keys beside them, and with history.

use super::commands::{Entry, TABLE};
use super::keymap::Chord;
use super::model::Picture;
use super::prompt::Reaction;
use super::theme::Role;
use super::widget::input::Input;
use super::widget::page::Page;
use super::widget::text::clip;
use crossterm::event::KeyCode;
use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};
use std::collections::VecDeque;

/// Lines shown.
const SHOWN: usize = 8;
/// Lines remembered.
const HISTORY: usize = 50;

/// The palette while it is open.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Palette {
    /// What is typed.
    pub input: Input,
    /// The selected line among the matches.
    pub selected: usize,
    /// How far back in the history; none while typing.
    pub recalled: Option<usize>,
}

/// Commands that have a word, the best match first; all of them while nothing is typed.
pub fn matching(text: &str) -> Vec<&'static Entry> {
    let worded = TABLE.iter().filter(|e| !e.words.is_empty());
    let word = text.split_whitespace().next().unwrap_or("");
    if word.is_empty() {
        return worded.collect();
    }
    let mut matcher = Matcher::new(Config::DEFAULT);
    let pattern = Pattern::parse(word, CaseMatching::Ignore, Normalization::Smart);
    let mut buffer = Vec::new();
    let mut found: Vec<(u32, &'static Entry)> = worded
        .filter_map(|entry| {
            // A word that begins so comes before one that merely has the letters.
            let mut best = None;
            for name in entry.words {
                let score = pattern.score(Utf32Str::new(name, &mut buffer), &mut matcher);
                let bonus = if *name == word {
                    1_000
                } else if name.starts_with(word) {
                    100
                } else {
                    0
                };
                best = best.max(score.map(|s| s + bonus));
            }
            best.map(|score| (score, entry))
        })
        .collect();
    found.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    found.into_iter().map(|(_, entry)| entry).collect()
}

impl Palette {
    /// Takes a key. Enter accepts what is typed or selected.
    pub fn key(&mut self, key: Chord, history: &VecDeque<String>) -> Reaction {
        let matches = matching(self.input.text());
        match key.code {
            KeyCode::Esc => return Reaction::Close,
            KeyCode::Enter => return Reaction::Accept,
            KeyCode::Up if self.input.text().is_empty() || self.recalled.is_some() => {
                let back = self
                    .recalled
                    .map_or(0, |n| n + 1)
                    .min(history.len().saturating_sub(1));
                if let Some(line) = history.iter().rev().nth(back) {
                    self.input = Input::new(line.clone());
                    self.recalled = Some(back);
                    self.selected = 0;
                }
            }
            KeyCode::Down if self.recalled.is_some() => {
                self.recalled = self.recalled.and_then(|n| n.checked_sub(1));
                let line = self
                    .recalled
                    .and_then(|back| history.iter().rev().nth(back));
                self.input = Input::new(line.cloned().unwrap_or_default());
            }
            KeyCode::Up => self.selected = self.selected.saturating_sub(1),
            KeyCode::Down => {
                self.selected = (self.selected + 1).min(matches.len().saturating_sub(1));
            }
            KeyCode::Tab => {
                if let Some(entry) = matches.get(self.selected) {
                    self.complete(entry);
                }
            }
            KeyCode::Backspace if self.input.text().is_empty() => return Reaction::Close,
            _ => {
                self.recalled = None;
                if self.input.key(key) {
                    self.selected = 0;
                }
            }
        }
        Reaction::Stay
    }

    /// Puts a command's word in place of the first one typed.
    pub fn complete(&mut self, entry: &Entry) {
        let Some(word) = entry.words.first() else {
            return;
        };
        let rest = self
            .input
            .text()
            .split_once(' ')
            .map_or("", |(_, rest)| rest);
        self.input = Input::new(format!("{word} {rest}"));
        self.selected = 0;
    }

    /// The line to run, as word and the rest: what is typed when its first word is one, else the selected command with what
    /// was typed behind.
    pub fn line(&self) -> String {
        let text = self.input.text().trim();
        let word = text.split([' ', '=']).next().unwrap_or("");
        let known = TABLE.iter().any(|e| e.words.contains(&word));
        let answered = super::commands::ANSWERS.iter().any(|(w, _)| *w == word);
        let selected = matching(text).get(self.selected).copied();
        match selected {
            Some(entry) if (!known || self.selected > 0) && !answered => {
                let rest = text.split_once(' ').map_or("", |(_, rest)| rest);
                let first = entry.words.first().copied().unwrap_or_default();
                format!("{first} {rest}").trim_end().to_string()
            }
            _ => text.to_string(),
        }
    }

    /// The popup.
    pub fn page(&self, p: &Picture) -> Page {
        let keymap = &p.ui.keymap;
        let mut page = Page::new("command");
        page.low = true;
        let (head, tail) = self.input.split();
        page.lines.push(vec![
            (": ".into(), Role::Key),
            (format!("{head}{}{tail}", p.theme.glyphs.caret), Role::Title),
        ]);
        let matches = matching(self.input.text());
        let shown = super::lists::window(self.selected, matches.len(), SHOWN);
        for (i, entry) in matches
            .iter()
            .enumerate()
            .skip(shown.start)
            .take(shown.len())
        {
            let mark = if i == self.selected {
                p.theme.glyphs.cursor
            } else {
                " "
            };
            let word = entry.words.first().copied().unwrap_or_default();
            let command = format!("{mark} {:<26}", format!("{word} {}", entry.arg));
            let role = if i == self.selected {
                Role::Selection
            } else {
                Role::Text
            };
            let (why, role2) = match entry.enabled(p) {
                Ok(()) => (entry.help.to_string(), Role::Muted),
                Err(why) => (format!("off: {why}"), Role::Off),
            };
            let key = keymap.key_of(entry.act);
            page.lines.push(vec![
                (command, role),
                (format!(" {key:<6} "), Role::Key),
                (clip(&why, 44, p.theme.glyphs.more).into_owned(), role2),
            ]);
        }
        if matches.is_empty() {
            page = page.line("no such command", Role::Bad);
        }
        page.keys = ("Enter run  Tab complete".into(), "Esc close".into());
        page
    }
}

/// Remembers a line, without repeating the last one.
pub fn remember(history: &mut VecDeque<String>, line: &str) {
    if history.back().is_none_or(|last| last != line) {
        if history.len() == HISTORY {
            history.pop_front();
        }
        history.push_back(line.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::keymap::script;

    fn typed(keys: &str) -> Palette {
        let mut palette = Palette::default();
        for key in script(keys).unwrap() {
            palette.key(key, &VecDeque::new());
        }
        palette
    }

    #[test]
    fn letters_find_the_command() {
        assert_eq!(matching("thr")[0].id, "pace");
        assert_eq!(matching("pau")[0].id, "pause");
        assert_eq!(matching("ackn")[0].id, "acknowledge");
        assert!(matching("zzzz").is_empty());
        assert!(matching("").len() > 10);
    }

    #[test]
    fn the_first_word_is_completed_and_the_rest_kept() {
        assert_eq!(typed("thr 84k").line(), "pace 84k");
        assert_eq!(typed("throttle 84k").line(), "throttle 84k");
        assert_eq!(typed("not<Tab>hello").line(), "note hello");
        assert_eq!(typed("max-lag-millis=?").line(), "max-lag-millis=?");
    }

    #[test]
    fn other_tools_words_are_found() {
        for word in [
            "sup",
            "no-throttle",
            "vdiff",
            "cancel",
            "switchtraffic",
            "panic",
        ] {
            let first = matching(word)[0];
            assert!(first.words.contains(&word), "{word} → {}", first.id);
        }
    }

    #[test]
    fn history_is_walked_and_bounded() {
        let mut history = VecDeque::new();
        for i in 0..60 {
            remember(&mut history, &format!("pace {i}k"));
        }
        remember(&mut history, "pace 59k");
        assert_eq!(history.len(), HISTORY);
        let mut palette = Palette::default();
        for key in script("<Up><Up>").unwrap() {
            palette.key(key, &history);
        }
        assert_eq!(palette.input.text(), "pace 58k");
        palette.key(Chord::plain(KeyCode::Down), &history);
        assert_eq!(palette.input.text(), "pace 59k");
    }
}
