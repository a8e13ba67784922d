//! Text on a grid of cells: measured and cut between graphemes, and made harmless where it comes from a database.

use ratatui::buffer::CellWidth as _;
use std::borrow::Cow;
use unicode_segmentation::UnicodeSegmentation as _;

/// Cells a text takes.
pub fn width(text: &str) -> usize {
    text.graphemes(true).map(cells).sum()
}

fn cells(grapheme: &str) -> usize {
    // ratatui drops graphemes with control characters when it draws; measured alike, nothing shifts.
    if grapheme.contains(char::is_control) {
        0
    } else {
        usize::from(grapheme.cell_width())
    }
}

/// The longest beginning of a text that fits into so many cells.
pub fn fit(text: &str, max: usize) -> &str {
    let mut used = 0;
    for (at, grapheme) in text.grapheme_indices(true) {
        used += cells(grapheme);
        if used > max {
            return &text[..at];
        }
    }
    text
}

/// The text, or as much of it as fits with `more` at its end to say that it goes on.
pub fn clip<'a>(text: &'a str, max: usize, more: &str) -> Cow<'a, str> {
    if width(text) <= max {
        return Cow::Borrowed(text);
    }
    match max.checked_sub(width(more)) {
        Some(room) => Cow::Owned(format!("{}{more}", fit(text, room).trim_end())),
        None => Cow::Borrowed(fit(text, max)),
    }
}

/// The *end* of a text, with `more` before it: for paths, where the end tells them apart.
pub fn clip_start<'a>(text: &'a str, max: usize, more: &str) -> Cow<'a, str> {
    let whole = width(text);
    if whole <= max {
        return Cow::Borrowed(text);
    }
    let Some(room) = max.checked_sub(width(more)) else {
        return Cow::Borrowed(fit(text, max));
    };
    let mut drop = whole - room;
    let mut from = text.len();
    for (at, grapheme) in text.grapheme_indices(true) {
        if drop == 0 {
            from = at;
            break;
        }
        drop = drop.saturating_sub(cells(grapheme));
    }
    Cow::Owned(format!("{more}{}", &text[from..]))
}

/// Both ends of a text, with `more` between them: names that begin alike, or end alike, stay apart.
pub fn clip_middle<'a>(text: &'a str, max: usize, more: &str) -> Cow<'a, str> {
    if width(text) <= max {
        return Cow::Borrowed(text);
    }
    let Some(room) = max.checked_sub(width(more)) else {
        return Cow::Borrowed(fit(text, max));
    };
    let head = fit(text, room / 2);
    let tail = clip_start(text, room - width(head), "");
    Cow::Owned(format!("{head}{more}{tail}"))
}

/// The text in exactly so many cells: cut, or filled with spaces at its end.
pub fn left(text: &str, cells: usize, more: &str) -> String {
    let text = clip(text, cells, more);
    let gap = cells.saturating_sub(width(&text));
    format!("{text}{:gap$}", "")
}

/// The text in exactly so many cells, at their right end.
pub fn right(text: &str, cells: usize, more: &str) -> String {
    let text = clip(text, cells, more);
    let gap = cells.saturating_sub(width(&text));
    format!("{:gap$}{text}", "")
}

/// Text from a database, harmless on a terminal: what would move the cursor, turn the writing direction or take no room is
/// written out (`\n`, `\u{202e}`), so that two different values never look the same by it.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if hidden(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Controls, writing-direction marks, and what joins or takes no cell of its own. Combining marks stay: they are letters.
fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Words broken into lines of at most so many cells. A word longer than a line is cut across lines.
pub fn wrap(text: &str, max: usize) -> Vec<String> {
    let mut lines = Vec::new();
    if max == 0 {
        return lines;
    }
    for paragraph in text.lines() {
        let mut line = String::new();
        let mut used = 0;
        for word in paragraph.split_inclusive(' ') {
            let mut word = word;
            if used + width(word.trim_end()) > max && used > 0 {
                lines.push(std::mem::take(&mut line).trim_end().to_string());
                used = 0;
            }
            while width(word.trim_end()) > max {
                let head = fit(word, max);
                if head.is_empty() {
                    // Not one of its letters fits.
                    return lines;
                }
                lines.push(head.to_string());
                word = &word[head.len()..];
            }
            line.push_str(word);
            used += width(word);
        }
        lines.push(line.trim_end().to_string());
    }
    lines
}

/// Bytes as pairs of hex digits: `31 34 39`.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(bytes.len() * 3);
    for (i, byte) in bytes.iter().enumerate() {
        // Writing to a String can't fail.
        let _ = write!(out, "{}{byte:02x}", if i > 0 { " " } else { "" });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wide_text_is_cut_between_graphemes() {
        assert_eq!(width("a王b"), 4);
        assert_eq!(fit("a王b", 2), "a");
        assert_eq!(fit("e\u{301}e\u{301}", 1), "e\u{301}");
        assert_eq!(clip("Nachbarn (王)", 10, "…"), "Nachbarn…");
        assert_eq!(clip_start("/var/lib/tidegate", 9, "…"), "…tidegate");
        assert_eq!(clip_middle("shop-old", 6, "…"), "sh…old");
        assert_eq!(left("王", 4, "…"), "王  ");
        assert_eq!(right("12", 4, "…"), "  12");
    }

    #[test]
    fn what_could_deceive_is_written_out() {
        assert_eq!(escape("plain 王 é"), "plain 王 é");
        assert_eq!(escape("a\nb\u{1b}[2J"), "a\\nb\\u{1b}[2J");
        assert_eq!(escape("\u{202e}evil\u{200b}"), "\\u{202e}evil\\u{200b}");
    }

    #[test]
    fn wrapping_keeps_every_word() {
        assert_eq!(
            wrap("no change to this key", 9),
            ["no change", "to this", "key"]
        );
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_asked(text in "\\PC{0,40}", max in 0usize..30) {
            prop_assert!(width(fit(&text, max)) <= max);
            prop_assert!(width(&clip(&text, max, "…")) <= max);
            prop_assert!(width(&clip_start(&text, max, "…")) <= max);
            prop_assert!(width(&clip_middle(&text, max, "…")) <= max);
            prop_assert_eq!(width(&left(&text, max, "…")), max);
            prop_assert_eq!(width(&right(&text, max, "…")), max);
            for line in wrap(&text, max) {
                prop_assert!(width(&line) <= max);
            }
        }
    }
}
