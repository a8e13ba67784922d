//! One line of the screen under construction: pieces of text by their role, never wider than it was made for.

use super::text;
use crate::tui::theme::{Role, Theme};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

/// A line being built from left to right.
#[derive(Debug, Clone)]
pub struct Row<'t> {
    theme: &'t Theme,
    width: usize,
    used: usize,
    spans: Vec<Span<'static>>,
}

impl<'t> Row<'t> {
    /// An empty line of so many cells.
    pub fn new(theme: &'t Theme, width: usize) -> Self {
        Self {
            theme,
            width,
            used: 0,
            spans: Vec::new(),
        }
    }

    /// Cells still free.
    pub fn room(&self) -> usize {
        self.width - self.used
    }

    /// Adds text in a role. What does not fit is cut, and says so.
    pub fn put(self, role: Role, what: impl AsRef<str>) -> Self {
        let style = self.theme.style(role);
        self.styled(style, what)
    }

    /// Adds text in a style.
    pub fn styled(mut self, style: Style, what: impl AsRef<str>) -> Self {
        let cut = text::clip(what.as_ref(), self.room(), self.theme.glyphs.more);
        if !cut.is_empty() {
            self.used += text::width(&cut);
            self.spans.push(Span::styled(cut.into_owned(), style));
        }
        self
    }

    /// Adds ordinary text.
    pub fn text(self, what: impl AsRef<str>) -> Self {
        self.put(Role::Text, what)
    }

    /// Adds text of little weight.
    pub fn muted(self, what: impl AsRef<str>) -> Self {
        self.put(Role::Muted, what)
    }

    /// Adds so many empty cells.
    pub fn gap(self, cells: usize) -> Self {
        let cells = cells.min(self.room());
        self.styled(Style::new(), " ".repeat(cells))
    }

    /// Goes to a column, if it lies ahead.
    pub fn at(self, column: usize) -> Self {
        let gap = column.saturating_sub(self.used);
        self.gap(gap)
    }

    /// Adds text in exactly so many cells, from their left end.
    pub fn left(self, role: Role, what: impl AsRef<str>, cells: usize) -> Self {
        let cells = cells.min(self.room());
        let what = text::left(what.as_ref(), cells, self.theme.glyphs.more);
        self.put(role, what)
    }

    /// Adds text in exactly so many cells, at their right end.
    pub fn right(self, role: Role, what: impl AsRef<str>, cells: usize) -> Self {
        let cells = cells.min(self.room());
        let what = text::right(what.as_ref(), cells, self.theme.glyphs.more);
        self.put(role, what)
    }

    /// Puts text at the end of the line; left out where it does not fit with a cell before it.
    pub fn end(self, role: Role, what: impl AsRef<str>) -> Self {
        let what = what.as_ref();
        match self.room().checked_sub(text::width(what) + 1) {
            Some(gap) => self.gap(gap + 1).put(role, what),
            None => self,
        }
    }

    /// Adds finished pieces as long as they fit.
    pub fn spans(mut self, spans: impl IntoIterator<Item = Span<'static>>) -> Self {
        for span in spans {
            let style = span.style;
            self = self.styled(style, span.content);
        }
        self
    }

    /// The line.
    pub fn line(self) -> Line<'static> {
        Line::from(self.spans)
    }

    /// The line as the selected one: filled to its end and reversed, or underlined where the focus is elsewhere.
    pub fn selected(self, focused: bool) -> Line<'static> {
        let role = if focused {
            Role::Selection
        } else {
            Role::SelectionBlurred
        };
        let style = self.theme.style(role);
        let width = self.width;
        let mut line = self.at(width).line();
        for span in &mut line.spans {
            span.style = span.style.patch(style);
        }
        line
    }
}

/// A heading: `── Why ────────`, with a word at its end where there is room.
pub fn heading(theme: &Theme, width: usize, title: &str, end: &str) -> Line<'static> {
    let rule = theme.glyphs.rule;
    let mut row = Row::new(theme, width);
    if !title.is_empty() {
        row = row
            .put(Role::Rule, rule.repeat(2))
            .gap(1)
            .put(Role::Title, title)
            .gap(1);
    }
    let end_width = if end.is_empty() {
        0
    } else {
        text::width(end) + 4
    };
    match row.room().checked_sub(end_width) {
        Some(dashes) if !end.is_empty() && dashes > 0 => row
            .put(Role::Rule, rule.repeat(dashes))
            .gap(1)
            .muted(end)
            .gap(1)
            .put(Role::Rule, rule.repeat(2))
            .line(),
        _ => {
            let dashes = row.room();
            row.put(Role::Rule, rule.repeat(dashes)).line()
        }
    }
}

/// Draws lines into an area, top down; what does not fit is left out.
pub fn paint(lines: &[Line<'_>], area: Rect, buf: &mut Buffer) {
    let area = area.intersection(buf.area);
    for (line, y) in lines.iter().zip(area.top()..area.bottom()) {
        buf.set_line(area.x, y, line, area.width);
    }
}

/// Draws one line into the `row`-th line of an area.
pub fn paint_at(line: &Line<'_>, row: u16, area: Rect, buf: &mut Buffer) {
    let area = area.intersection(buf.area);
    if row < area.height {
        buf.set_line(area.x, area.y + row, line, area.width);
    }
}

/// A line's text without its styles.
pub fn plain(line: &Line<'_>) -> String {
    line.spans.iter().map(|s| s.content.as_ref()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_never_outgrows_its_width() {
        let theme = Theme::default();
        let row = Row::new(&theme, 10)
            .text("abcdef")
            .right(Role::Ok, "12345678", 6)
            .end(Role::Muted, "x");
        assert_eq!(plain(&row.clone().line()), "abcdef123…");
        assert_eq!(
            plain(&Row::new(&theme, 8).text("ab").selected(true)),
            "ab      "
        );
        assert_eq!(
            plain(&Row::new(&theme, 8).text("ab").end(Role::Text, "yz").line()),
            "ab    yz"
        );
    }

    #[test]
    fn a_heading_fills_its_line() {
        let theme = Theme::default();
        assert_eq!(plain(&heading(&theme, 16, "Why", "")), "── Why ─────────");
        assert_eq!(
            plain(&heading(&theme, 20, "Why", "2 open")),
            "── Why ───  2 open ──".replace("  ", " ")
        );
        assert_eq!(
            plain(&heading(&theme, 6, "Why", "2 open")).chars().count(),
            6
        );
    }
}
