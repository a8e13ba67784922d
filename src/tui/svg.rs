//! A picture of a frame: rectangles for backgrounds and blocks, text for the rest. Cells are whole pixels, so no seams show.

use super::theme::Theme;
use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use std::fmt::Write as _;

/// A cell in pixels.
const WIDTH: u32 = 9;
const HEIGHT: u32 = 19;
/// The baseline of text below a cell's top.
const BASE: u32 = 14;
/// Round the frame.
const MARGIN: u32 = 12;

/// The sixteen of a terminal, as xterm has them.
const SIXTEEN: [&str; 16] = [
    "#000000", "#cd3131", "#0dbc79", "#e5e510", "#2472c8", "#bc3fbc", "#11a8cd", "#e5e5e5",
    "#666666", "#f14c4c", "#23d18b", "#f5f543", "#3b8eea", "#d670d6", "#29b8db", "#ffffff",
];

/// How a cell is drawn.
#[derive(Clone, PartialEq, Eq)]
struct Look {
    ink: String,
    paper: Option<String>,
    bold: bool,
    dim: bool,
    underlined: bool,
}

/// The frame as an SVG document.
pub fn svg(buf: &Buffer, theme: &Theme) -> String {
    let area = *buf.area();
    let (width, height) = (
        u32::from(area.width) * WIDTH,
        u32::from(area.height) * HEIGHT,
    );
    let (ink, paper) = if theme.light {
        ("#24292f", "#fbfbfa")
    } else {
        ("#d8dce2", "#15181d")
    };
    let (w, h) = (width + 2 * MARGIN, height + 2 * MARGIN);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\">\n\
         <rect width=\"{w}\" height=\"{h}\" rx=\"6\" fill=\"{paper}\"/>\n\
         <g transform=\"translate({MARGIN} {MARGIN})\" font-family=\"ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace\" \
         font-size=\"15\" shape-rendering=\"crispEdges\">\n"
    );
    for y in 0..area.height {
        let mut x = 0;
        while x < area.width {
            let cell = &buf[(area.x + x, area.y + y)];
            let look = look(cell, ink, paper);
            let first = cell.symbol();
            // Blocks are drawn, not written; those as wide as a cell join into one rectangle.
            let joins = block(first).map(|(_, _, wide, _, _)| wide == 8);
            let mut run = String::new();
            let from = x;
            while x < area.width {
                let cell = &buf[(area.x + x, area.y + y)];
                let symbol = cell.symbol();
                let belongs = match joins {
                    None => block(symbol).is_none(),
                    Some(joins) => x == from || joins && symbol == first,
                };
                if !belongs || self::look(cell, ink, paper) != look {
                    break;
                }
                run.push_str(symbol);
                x += u16::try_from(super::widget::text::width(symbol).max(1)).unwrap_or(1);
            }
            draw_run(
                &mut out,
                &run,
                (u32::from(from), u32::from(x.min(area.width)), u32::from(y)),
                &look,
            );
        }
    }
    out.push_str("</g>\n</svg>\n");
    out
}

fn draw_run(out: &mut String, run: &str, (from, to, y): (u32, u32, u32), look: &Look) {
    let (left, top, wide) = (from * WIDTH, y * HEIGHT, (to - from) * WIDTH);
    // Writing into a String can't fail.
    if let Some(paper) = &look.paper {
        let _ = writeln!(
            out,
            "<rect x=\"{left}\" y=\"{top}\" width=\"{wide}\" height=\"{HEIGHT}\" fill=\"{paper}\"/>"
        );
    }
    let faint = if look.dim { " opacity=\"0.6\"" } else { "" };
    let symbol = run.chars().next().map_or(String::new(), String::from);
    if let Some((x, y, w, h, opacity)) = block(&symbol) {
        let (x, w) = (left + x * WIDTH / 8, (w * wide).div_ceil(8));
        let (y, h) = (top + y * HEIGHT / 8, (h * HEIGHT).div_ceil(8));
        let opacity = if opacity < 100 {
            format!(" opacity=\"0.{opacity:02}\"")
        } else {
            faint.to_string()
        };
        let ink = &look.ink;
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" fill=\"{ink}\"{opacity}/>"
        );
        return;
    }
    if run.trim().is_empty() && !look.underlined {
        return;
    }
    let weight = if look.bold {
        " font-weight=\"700\""
    } else {
        ""
    };
    let line = if look.underlined {
        " text-decoration=\"underline\""
    } else {
        ""
    };
    let base = top + BASE;
    let ink = &look.ink;
    let _ = writeln!(
        out,
        "<text x=\"{left}\" y=\"{base}\" fill=\"{ink}\"{weight}{line}{faint} textLength=\"{wide}\" lengthAdjust=\"spacingAndGlyphs\" \
         xml:space=\"preserve\">{}</text>",
        escape(run)
    );
}

fn look(cell: &Cell, ink: &str, paper: &str) -> Look {
    let front = colour(cell.fg);
    let back = colour(cell.bg);
    let (front, back) = if cell.modifier.contains(Modifier::REVERSED) {
        (
            Some(back.unwrap_or_else(|| paper.to_string())),
            Some(front.unwrap_or_else(|| ink.to_string())),
        )
    } else {
        (front, back)
    };
    Look {
        ink: front.unwrap_or_else(|| ink.to_string()),
        paper: back,
        bold: cell.modifier.contains(Modifier::BOLD),
        dim: cell.modifier.contains(Modifier::DIM),
        underlined: cell.modifier.contains(Modifier::UNDERLINED),
    }
}

fn colour(colour: Color) -> Option<String> {
    let sixteen = |i: usize| Some(SIXTEEN[i].to_string());
    match colour {
        Color::Reset => None,
        Color::Rgb(r, g, b) => Some(format!("#{r:02x}{g:02x}{b:02x}")),
        Color::Indexed(i) if i < 16 => sixteen(usize::from(i)),
        Color::Indexed(i) if i >= 232 => {
            let level = 8 + 10 * (i - 232);
            Some(format!("#{level:02x}{level:02x}{level:02x}"))
        }
        Color::Indexed(i) => {
            let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
            let i = i - 16;
            let (r, g, b) = (level(i / 36), level(i / 6 % 6), level(i % 6));
            Some(format!("#{r:02x}{g:02x}{b:02x}"))
        }
        Color::Black => sixteen(0),
        Color::Red => sixteen(1),
        Color::Green => sixteen(2),
        Color::Yellow => sixteen(3),
        Color::Blue => sixteen(4),
        Color::Magenta => sixteen(5),
        Color::Cyan => sixteen(6),
        Color::Gray => sixteen(7),
        Color::DarkGray => sixteen(8),
        Color::LightRed => sixteen(9),
        Color::LightGreen => sixteen(10),
        Color::LightYellow => sixteen(11),
        Color::LightBlue => sixteen(12),
        Color::LightMagenta => sixteen(13),
        Color::LightCyan => sixteen(14),
        Color::White => sixteen(15),
    }
}

/// A block symbol as a rectangle in eighths of a cell, and how solid it is in per cent.
fn block(symbol: &str) -> Option<(u32, u32, u32, u32, u32)> {
    Some(match symbol {
        "█" => (0, 0, 8, 8, 100),
        "▀" => (0, 0, 8, 4, 100),
        "▄" => (0, 4, 8, 4, 100),
        "▌" => (0, 0, 4, 8, 100),
        "▐" => (4, 0, 4, 8, 100),
        "▏" => (0, 0, 1, 8, 100),
        "▎" => (0, 0, 2, 8, 100),
        "▍" => (0, 0, 3, 8, 100),
        "▋" => (0, 0, 5, 8, 100),
        "▊" => (0, 0, 6, 8, 100),
        "▉" => (0, 0, 7, 8, 100),
        "▁" => (0, 7, 8, 1, 100),
        "▂" => (0, 6, 8, 2, 100),
        "▃" => (0, 5, 8, 3, 100),
        "▅" => (0, 3, 8, 5, 100),
        "▆" => (0, 2, 8, 6, 100),
        "▇" => (0, 1, 8, 7, 100),
        "░" => (0, 0, 8, 8, 25),
        "▒" => (0, 0, 8, 8, 50),
        "▓" => (0, 0, 8, 8, 75),
        _ => return None,
    })
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// The frame as text, without spaces at the ends of lines.
pub fn text(buf: &Buffer) -> String {
    let area = *buf.area();
    let mut out = String::new();
    for y in area.top()..area.bottom() {
        let mut line = String::new();
        let mut x = area.left();
        while x < area.right() {
            let symbol = buf[(x, y)].symbol();
            line.push_str(symbol);
            x += u16::try_from(super::widget::text::width(symbol).max(1)).unwrap_or(1);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    #[test]
    fn runs_blocks_and_reverse() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 10, 1));
        buf.set_string(0, 0, "a<b", Style::new().fg(Color::Rgb(1, 2, 3)));
        buf.set_string(3, 0, "██", Style::new().fg(Color::Indexed(196)));
        buf.set_string(5, 0, "王x", Style::new().add_modifier(Modifier::REVERSED));
        let out = svg(&buf, &Theme::default());
        assert!(out.contains(">a&lt;b</text>"), "{out}");
        assert!(out.contains("fill=\"#010203\""));
        let bar = "<rect x=\"27\" y=\"0\" width=\"18\" height=\"19\" fill=\"#ff0000\"/>";
        assert!(out.contains(bar), "{out}");
        assert!(
            out.contains(">王x</text>") && out.contains("textLength=\"27\""),
            "{out}"
        );
        assert!(out.starts_with("<svg ") && out.trim_end().ends_with("</svg>"));
        assert_eq!(text(&buf), "a<b██王x\n");
    }

    #[test]
    fn colours_of_every_depth_have_a_value() {
        assert_eq!(colour(Color::Indexed(16)).as_deref(), Some("#000000"));
        assert_eq!(colour(Color::Indexed(231)).as_deref(), Some("#ffffff"));
        assert_eq!(colour(Color::Indexed(255)).as_deref(), Some("#eeeeee"));
        assert_eq!(colour(Color::Reset), None);
    }
}
