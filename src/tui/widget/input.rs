//! One line of text being typed.

use crate::tui::keymap::Chord;
use crossterm::event::{KeyCode, KeyModifiers};
use unicode_segmentation::UnicodeSegmentation as _;

/// Most bytes of one line: what is typed by hand is never longer.
const MOST: usize = 4_096;

/// A line and its cursor, which always stands between graphemes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Input {
    text: String,
    /// In bytes.
    cursor: usize,
}

impl Input {
    /// A line with text, the cursor at its end.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let cursor = text.len();
        Self { text, cursor }
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text before and after the cursor.
    pub fn split(&self) -> (&str, &str) {
        self.text.split_at(self.cursor)
    }

    /// Puts text in at the cursor; control characters become spaces.
    pub fn insert(&mut self, text: &str) {
        let clean: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        if self.text.len() + clean.len() <= MOST {
            self.text.insert_str(self.cursor, &clean);
            self.cursor += clean.len();
        }
    }

    /// Takes a key; false when it means nothing here.
    pub fn key(&mut self, key: Chord) -> bool {
        let ctrl = key.mods == KeyModifiers::CONTROL;
        match key.code {
            KeyCode::Char(c) if key.mods.is_empty() => self.insert(c.encode_utf8(&mut [0; 4])),
            KeyCode::Backspace => self.cut(self.before()),
            KeyCode::Char('h') if ctrl => self.cut(self.before()),
            KeyCode::Char('w') if ctrl => {
                let (head, _) = self.split();
                let words = head.trim_end();
                let from = words.rfind(' ').map_or(0, |i| i + 1);
                self.cut(from);
            }
            KeyCode::Char('u') if ctrl => self.cut(0),
            KeyCode::Delete => {
                let after = self.after();
                self.text.drain(self.cursor..after);
            }
            KeyCode::Left => self.cursor = self.before(),
            KeyCode::Right => self.cursor = self.after(),
            KeyCode::Home => self.cursor = 0,
            KeyCode::Char('a') if ctrl => self.cursor = 0,
            KeyCode::End => self.cursor = self.text.len(),
            KeyCode::Char('e') if ctrl => self.cursor = self.text.len(),
            _ => return false,
        }
        true
    }

    fn cut(&mut self, from: usize) {
        self.text.drain(from..self.cursor);
        self.cursor = from;
    }

    fn before(&self) -> usize {
        let (head, _) = self.split();
        head.grapheme_indices(true)
            .next_back()
            .map_or(0, |(i, _)| i)
    }

    fn after(&self) -> usize {
        let (_, tail) = self.split();
        self.cursor + tail.graphemes(true).next().map_or(0, str::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::keymap::script;

    fn typed(text: &str) -> Input {
        let mut input = Input::default();
        for key in script(text).unwrap() {
            input.key(key);
        }
        input
    }

    #[test]
    fn edits_whole_graphemes() {
        let mut input = Input::new("a王e\u{301}");
        input.key(Chord::plain(KeyCode::Backspace));
        assert_eq!(input.text(), "a王");
        input.key(Chord::plain(KeyCode::Left));
        assert_eq!(input.split(), ("a", "王"));
        input.key(Chord::plain(KeyCode::Delete));
        assert_eq!(input.text(), "a");
    }

    #[test]
    fn the_keys_of_a_shell() {
        assert_eq!(typed("pace 84k<Ctrl-w>90k").text(), "pace 90k");
        assert_eq!(typed("abc<Ctrl-u>x").text(), "x");
        assert_eq!(typed("bc<Home>a").text(), "abc");
    }

    #[test]
    fn pasted_lines_become_one() {
        let mut input = Input::default();
        input.insert("a\nb\u{1b}c");
        assert_eq!(input.text(), "a b c");
    }
}
