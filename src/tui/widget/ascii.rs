//! The last look at a frame for terminals and fonts that have nothing but ASCII: symbols in sentences become letters too.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// Symbols that our sentences use, with what stands for them. All are one cell wide. What a database holds is left alone.
const PLAIN: [(&str, &str); 17] = [
    ("·", "-"),
    ("…", "~"),
    ("→", ">"),
    ("←", "<"),
    ("↑", "^"),
    ("↓", "v"),
    ("–", "-"),
    ("—", "-"),
    ("≠", "!"),
    ("•", "*"),
    ("×", "x"),
    ("µ", "u"),
    ("─", "-"),
    ("│", "|"),
    ("▸", ">"),
    ("◆", "!"),
    ("▏", "_"),
];

/// Replaces them in `area`.
pub fn plain(area: Rect, buf: &mut Buffer) {
    let area = area.intersection(*buf.area());
    for y in area.top()..area.bottom() {
        for x in area.left()..area.right() {
            let cell = &mut buf[(x, y)];
            if let Some((_, letter)) = PLAIN.iter().find(|(s, _)| *s == cell.symbol()) {
                cell.set_symbol(letter);
            }
        }
    }
}
