//! A popup: a framed page of text over the picture.

use crate::tui::theme::{Role, Theme};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

/// A piece of a line with its role.
pub type Piece = (String, Role);

/// A popup's text: lines of pieces, and the keys below.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Above the lines, in the frame.
    pub title: String,
    /// What it says.
    pub lines: Vec<Vec<Piece>>,
    /// The keys, in the last line: left ones and right ones.
    pub keys: (String, String),
    /// Where it stands: near the bottom (palette, filter), or in the middle.
    pub low: bool,
}

impl Page {
    /// An empty page under a title.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            ..Self::default()
        }
    }

    /// With a line of one role.
    pub fn line(mut self, text: impl Into<String>, role: Role) -> Self {
        self.lines.push(vec![(text.into(), role)]);
        self
    }

    /// Draws it over `area`, as wide as its text needs; gives the rectangle of its lines. Where there is no room, text is cut
    /// and the keys stay.
    pub fn draw(&self, area: Rect, buf: &mut Buffer, theme: &Theme) -> Rect {
        let area = area.intersection(*buf.area());
        if area.width < 4 || area.height < 3 {
            self.draw_line(area, buf, theme);
            return Rect::ZERO;
        }
        let width_of = |line: &Vec<Piece>| line.iter().map(|(t, _)| t.width()).sum::<usize>();
        let keys = self.keys.0.width() + self.keys.1.width() + 3;
        let text = self.lines.iter().map(width_of).max().unwrap_or(0);
        let wanted = text.max(keys).max(self.title.width() + 3).max(30) + 4;
        let width = (wanted.min(usize::from(area.width))) as u16;
        let inner = usize::from(width) - 4;
        let lines: Vec<Vec<Piece>> = self
            .lines
            .iter()
            .flat_map(|line| wrap(line, inner))
            .collect();
        let has_keys = !self.keys.0.is_empty() || !self.keys.1.is_empty();
        let height = (lines.len() + 2 + usize::from(has_keys)).min(usize::from(area.height)) as u16;
        let left = area.x + (area.width - width) / 2;
        let top = if self.low {
            area.bottom() - height
        } else {
            area.y + (area.height - height) / 2
        };
        let frame = Rect::new(left, top, width, height);
        self.draw_frame(frame, buf, theme);
        let room = usize::from(height) - 2 - usize::from(has_keys);
        for (row, line) in lines.iter().take(room).enumerate() {
            let mut x = left + 2;
            for (text, role) in line {
                let end = left + width - 2;
                let (to, _) = buf.set_stringn(
                    x,
                    top + 1 + row as u16,
                    text,
                    usize::from(end.saturating_sub(x)),
                    theme.style(*role),
                );
                x = to;
            }
        }
        if has_keys {
            let y = top + height - 2;
            let (l, r) = &self.keys;
            buf.set_stringn(left + 2, y, l, inner, theme.style(Role::Key));
            let at = inner.saturating_sub(r.width());
            if at > l.width() {
                buf.set_stringn(
                    left + 2 + at as u16,
                    y,
                    r,
                    inner - at,
                    theme.style(Role::Muted),
                );
            }
        }
        Rect::new(left + 2, top + 1, inner as u16, room as u16)
    }

    fn draw_frame(&self, frame: Rect, buf: &mut Buffer, theme: &Theme) {
        let glyphs = theme.glyphs;
        let style = theme.style(Role::Title);
        for y in frame.top()..frame.bottom() {
            for x in frame.left()..frame.right() {
                let cell = &mut buf[(x, y)];
                cell.reset();
                let edge_x = x == frame.left() || x == frame.right() - 1;
                let edge_y = y == frame.top() || y == frame.bottom() - 1;
                let symbol = match (edge_x, edge_y) {
                    (true, true) => {
                        let i = usize::from(x != frame.left()) + 2 * usize::from(y != frame.top());
                        glyphs.corners[i]
                    }
                    (true, false) => glyphs.wall,
                    (false, true) => glyphs.rule,
                    (false, false) => " ",
                };
                cell.set_symbol(symbol).set_style(style);
                if !edge_x && !edge_y {
                    cell.set_style(Style::reset());
                }
            }
        }
        if !self.title.is_empty() {
            let room = usize::from(frame.width).saturating_sub(4);
            let title = format!(" {} ", self.title);
            buf.set_stringn(frame.x + 1, frame.y, title, room, style);
        }
    }

    /// Too small for a frame: title and keys in one line each, over whatever is there.
    fn draw_line(&self, area: Rect, buf: &mut Buffer, theme: &Theme) {
        if area.width == 0 || area.height == 0 {
            return;
        }
        let blank = " ".repeat(usize::from(area.width));
        let y = area.bottom() - 1;
        let width = usize::from(area.width);
        buf.set_stringn(area.x, y, &blank, width, Style::reset());
        let text = format!("{} {}", self.keys.0, self.title);
        buf.set_stringn(area.x, y, text, width, theme.style(Role::Key));
    }
}

/// Breaks a line at spaces so that it fits; what has none is broken anywhere.
pub fn wrap(line: &[Piece], width: usize) -> Vec<Vec<Piece>> {
    let width = width.max(1);
    let mut lines = vec![Vec::new()];
    let mut used = 0;
    for (text, role) in line {
        for word in text.split_word_bounds() {
            let mut word = word;
            let mut w = word.width();
            if used + w > width && used > 0 {
                lines.push(Vec::new());
                used = 0;
                if word.trim().is_empty() {
                    continue;
                }
            }
            while w > width {
                let mut cut = 0;
                let mut taken = 0;
                for (i, g) in word.grapheme_indices(true) {
                    if taken + g.width() > width {
                        break;
                    }
                    taken += g.width();
                    cut = i + g.len();
                }
                if cut == 0 {
                    return lines;
                }
                push(&mut lines, &word[..cut], *role);
                lines.push(Vec::new());
                word = &word[cut..];
                w = word.width();
                used = 0;
            }
            push(&mut lines, word, *role);
            used += w;
        }
    }
    lines
}

fn push(lines: &mut [Vec<Piece>], text: &str, role: Role) {
    let Some(line) = lines.last_mut() else { return };
    match line.last_mut() {
        Some((last, r)) if *r == role => last.push_str(text),
        _ => line.push((text.to_string(), role)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(lines: &[Vec<Piece>]) -> Vec<String> {
        lines
            .iter()
            .map(|l| l.iter().map(|(t, _)| t.as_str()).collect())
            .collect()
    }

    #[test]
    fn wraps_at_words_and_loses_none() {
        let line = [
            ("one two ".to_string(), Role::Text),
            ("three".to_string(), Role::Bad),
        ];
        assert_eq!(plain(&wrap(&line, 8)), ["one two ", "three"]);
        assert_eq!(plain(&wrap(&line, 3)), ["one", "two", "thr", "ee"]);
        for width in 1..20 {
            let kept: String = plain(&wrap(&line, width)).concat();
            assert_eq!(kept.replace(' ', ""), "onetwothree", "width {width}");
        }
    }

    #[test]
    fn draws_at_every_size() {
        let page = Page::new("Resume copying?").line("paused 2m12s by ana", Role::Text);
        let page = Page {
            keys: ("Y resume".into(), "Esc keep".into()),
            ..page
        };
        for width in 0..60 {
            for height in 0..12 {
                let area = Rect::new(0, 0, width, height);
                let mut buf = Buffer::empty(area);
                page.draw(area, &mut buf, &Theme::default());
                if width > 10 && height > 0 {
                    let text: String = buf.content().iter().map(|c| c.symbol()).collect();
                    assert!(
                        text.contains("Y resume") || width < 14,
                        "{width}x{height}: {text}"
                    );
                }
            }
        }
    }
}
