//! Colours and glyphs by what they mean. A colour never stands alone: every state has a glyph and a word as well.
//!
//! The colours are Okabe and Ito's, which stay apart for colour-blind eyes; the ramp is close to cividis. On a light
//! background the same hues are darkened until they can be read.

use ratatui::style::{Color, Modifier, Style};

/// How many colours the terminal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Depth {
    /// None: bold, reverse, underline and dim only. No colour is ever set.
    Mono,
    /// The sixteen of the terminal's own palette.
    Ansi,
    /// The 256 of xterm.
    Indexed,
    /// 24 bits.
    True,
}

/// What a piece of text is for. Views name roles, never colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Ordinary text.
    Text,
    /// Text that may be overlooked: units, labels, what has passed.
    Muted,
    /// A heading or the name of the open screen.
    Title,
    /// Lines between parts.
    Rule,
    /// Good: equal, done, holds.
    Ok,
    /// Watch it: near a limit, pausing, not certain.
    Warn,
    /// Bad: differs, failed, link lost.
    Bad,
    /// Neutral and worth noticing: moving, in flight.
    Info,
    /// Who leads.
    Lead,
    /// The target, and what happens there.
    Target,
    /// The selected thing. Reversed in every depth.
    Selection,
    /// The selected thing of a pane that has not the focus.
    SelectionBlurred,
    /// A key in the hint bar.
    Key,
    /// A key or command that is off now.
    Off,
    /// What matched a search.
    Match,
    /// The story's caption in the demo.
    Caption,
    /// The witness's line in the demo: not tidegate speaking.
    Witness,
    /// What is shown may not be so: the link is lost, the figures are old.
    Alarm,
    /// What is shown is not the present: the past, or a frozen picture.
    Past,
    /// Header banner of a production migration.
    Prod,
    /// Header banner of a rehearsal.
    Staging,
    /// Header banner of a developer's machine.
    Dev,
    /// Header banner of the demo.
    Demo,
    /// Not copied yet, not compared yet: grey.
    Pending,
    /// Copied, not compared.
    Landed,
    /// Compared and equal.
    Equal,
    /// Differs.
    Differs,
    /// Repaired, not compared again.
    Repaired,
    /// Being copied now.
    Copying,
    /// The first of a chart's lines.
    Series,
    /// A limit drawn into a chart.
    Limit,
}

/// One hue at the three depths that have colours, on dark and on light.
#[derive(Clone, Copy)]
struct Hue {
    dark: (u8, u8, u8),
    light: (u8, u8, u8),
    indexed: (u8, u8),
    ansi: (Color, Color),
}

const GREEN: Hue = Hue {
    dark: (0, 178, 130),
    light: (0, 110, 80),
    indexed: (36, 29),
    ansi: (Color::Green, Color::Green),
};
const ORANGE: Hue = Hue {
    dark: (230, 159, 0),
    light: (150, 95, 0),
    indexed: (214, 130),
    ansi: (Color::Yellow, Color::Yellow),
};
const RED: Hue = Hue {
    dark: (235, 110, 30),
    light: (176, 60, 0),
    indexed: (202, 130),
    ansi: (Color::LightRed, Color::Red),
};
const SKY: Hue = Hue {
    dark: (86, 180, 233),
    light: (0, 100, 150),
    indexed: (74, 25),
    ansi: (Color::Cyan, Color::Blue),
};
const BLUE: Hue = Hue {
    dark: (90, 160, 230),
    light: (0, 80, 140),
    indexed: (75, 25),
    ansi: (Color::LightBlue, Color::Blue),
};
const PINK: Hue = Hue {
    dark: (204, 121, 167),
    light: (140, 60, 105),
    indexed: (175, 132),
    ansi: (Color::Magenta, Color::Magenta),
};
const GREY: Hue = Hue {
    dark: (140, 144, 150),
    light: (105, 108, 114),
    indexed: (246, 242),
    ansi: (Color::DarkGray, Color::DarkGray),
};

/// Sixteen steps from "least" to "most", cividis-like: dark blue over grey to yellow.
const RAMP_TRUE: [(u8, u8, u8); 16] = [
    (0, 52, 110),
    (18, 60, 112),
    (40, 69, 110),
    (57, 78, 109),
    (71, 87, 110),
    (84, 96, 112),
    (96, 105, 115),
    (109, 115, 119),
    (122, 125, 121),
    (137, 135, 120),
    (152, 146, 116),
    (168, 158, 111),
    (185, 170, 103),
    (203, 183, 92),
    (222, 198, 76),
    (243, 214, 54),
];
const RAMP_INDEXED: [u8; 16] = [
    17, 18, 24, 24, 60, 60, 66, 66, 102, 102, 144, 144, 143, 179, 185, 221,
];
const RAMP_ANSI: [Color; 16] = [
    Color::Blue,
    Color::Blue,
    Color::Blue,
    Color::Blue,
    Color::Cyan,
    Color::Cyan,
    Color::Cyan,
    Color::Cyan,
    Color::Gray,
    Color::Gray,
    Color::Gray,
    Color::Gray,
    Color::Yellow,
    Color::Yellow,
    Color::Yellow,
    Color::Yellow,
];

/// The symbols a view may draw. All are one cell wide.
#[derive(Debug, PartialEq, Eq)]
pub struct Glyphs {
    /// The selected line.
    pub cursor: &'static str,
    /// Rows differ.
    pub drift: &'static str,
    /// Holds, done.
    pub ok: &'static str,
    /// Failed, does not hold.
    pub bad: &'static str,
    /// Under way.
    pub active: &'static str,
    /// Not begun.
    pub todo: &'static str,
    /// Synced, standing well.
    pub steady: &'static str,
    /// Paused.
    pub paused: &'static str,
    /// An alert that somebody must look at.
    pub alarm: &'static str,
    /// An alert that somebody should look at.
    pub minor: &'static str,
    /// Rising.
    pub up: &'static str,
    /// Falling.
    pub down: &'static str,
    /// Neither.
    pub level: &'static str,
    /// From one to the other.
    pub to: &'static str,
    /// Left key.
    pub left: &'static str,
    /// Right key.
    pub right: &'static str,
    /// Something was cut off here.
    pub more: &'static str,
    /// Between items of a list.
    pub dot: &'static str,
    /// The header's banner edge.
    pub banner: &'static str,
    /// A full cell of a bar.
    pub full: &'static str,
    /// Eighths of a bar cell, one to seven; where there are none, repeats of the empty one.
    pub eighths: [&'static str; 7],
    /// An empty cell of a bar.
    pub empty: &'static str,
    /// Shades from nothing to full.
    pub shades: [&'static str; 5],
    /// Heights of a sparkline, from the lowest.
    pub spark: &'static [&'static str],
    /// Whether charts may use braille dots.
    pub braille: bool,
    /// A horizontal line.
    pub rule: &'static str,
    /// A vertical line.
    pub wall: &'static str,
    /// A limit in a chart.
    pub limit: &'static str,
    /// Corners of a popup: top left, top right, bottom left, bottom right.
    pub corners: [&'static str; 4],
    /// The text cursor in an input.
    pub caret: &'static str,
}

/// Box drawing, blocks and braille.
pub static UNICODE: Glyphs = Glyphs {
    cursor: "▸",
    drift: "◆",
    ok: "✔",
    bad: "✖",
    active: "▶",
    todo: "○",
    steady: "●",
    paused: "‖",
    alarm: "!",
    minor: "~",
    up: "↑",
    down: "↓",
    level: "→",
    to: "→",
    left: "←",
    right: "→",
    more: "…",
    dot: "·",
    banner: "▌",
    full: "█",
    eighths: ["▏", "▎", "▍", "▌", "▋", "▊", "▉"],
    empty: "·",
    shades: ["·", "░", "▒", "▓", "█"],
    spark: &["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    braille: true,
    rule: "─",
    wall: "│",
    limit: "┄",
    corners: ["┌", "┐", "└", "┘"],
    caret: "▏",
};

/// What every terminal and every log can show.
pub static ASCII: Glyphs = Glyphs {
    cursor: ">",
    drift: "!",
    ok: "v",
    bad: "x",
    active: ">",
    todo: "o",
    steady: "*",
    paused: "=",
    alarm: "!",
    minor: "~",
    up: "^",
    down: "v",
    level: "-",
    to: ">",
    left: "<",
    right: ">",
    more: "~",
    dot: ".",
    banner: "|",
    full: "#",
    eighths: ["-", "-", "-", "=", "=", "=", "="],
    empty: ".",
    shades: [".", ":", "+", "%", "#"],
    spark: &["_", "-", "^"],
    braille: false,
    rule: "-",
    wall: "|",
    limit: "-",
    corners: ["+", "+", "+", "+"],
    caret: "_",
};

/// Colours and glyphs of this console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    /// Colours there are.
    pub depth: Depth,
    /// Whether the background is light.
    pub light: bool,
    /// Symbols there are.
    pub glyphs: &'static Glyphs,
}

impl Default for Theme {
    fn default() -> Self {
        Self::new(Depth::True, false, false)
    }
}

impl Theme {
    /// A theme for so many colours, a dark or light background, and Unicode or ASCII.
    pub fn new(depth: Depth, light: bool, ascii: bool) -> Self {
        Self {
            depth,
            light,
            glyphs: if ascii { &ASCII } else { &UNICODE },
        }
    }

    /// The style of a role. In `Mono` it never holds a colour.
    pub fn style(&self, role: Role) -> Style {
        let plain = Style::new();
        let bold = plain.add_modifier(Modifier::BOLD);
        let mono = self.depth == Depth::Mono;
        match role {
            Role::Text => plain,
            Role::Title => bold,
            Role::Muted | Role::Pending | Role::Rule | Role::Off if mono => {
                plain.add_modifier(Modifier::DIM)
            }
            Role::Muted | Role::Pending | Role::Rule | Role::Off => self.fg(plain, GREY),
            Role::Ok | Role::Equal => self.fg(plain, GREEN),
            Role::Warn | Role::Limit => self.fg(if mono { bold } else { plain }, ORANGE),
            Role::Bad | Role::Differs => self.fg(bold, RED),
            Role::Info | Role::Landed | Role::Series => self.fg(plain, SKY),
            Role::Copying => self.fg(bold, SKY),
            Role::Lead => self.fg(bold, BLUE),
            Role::Target | Role::Repaired => self.fg(plain, PINK),
            Role::Selection => plain.add_modifier(Modifier::REVERSED),
            Role::SelectionBlurred => plain.add_modifier(Modifier::UNDERLINED),
            Role::Key => self.fg(bold, SKY),
            Role::Match => self.fg(plain.add_modifier(Modifier::UNDERLINED), ORANGE),
            Role::Caption => self.fg(bold, ORANGE),
            Role::Witness => self.fg(plain, GREEN),
            Role::Prod | Role::Alarm => self.fg(bold.add_modifier(Modifier::REVERSED), RED),
            Role::Staging | Role::Past => self.fg(bold.add_modifier(Modifier::REVERSED), ORANGE),
            Role::Dev => self.fg(bold.add_modifier(Modifier::REVERSED), BLUE),
            Role::Demo => self.fg(bold.add_modifier(Modifier::REVERSED), PINK),
        }
    }

    /// A step of the ramp, from 0 (least) to 15 (most). In `Mono` plain: the glyph carries it.
    pub fn ramp(&self, step: u8) -> Style {
        let i = usize::from(step.min(15));
        match self.depth {
            Depth::Mono => Style::new(),
            Depth::Ansi => Style::new().fg(RAMP_ANSI[i]),
            Depth::Indexed => Style::new().fg(Color::Indexed(RAMP_INDEXED[i])),
            Depth::True => {
                // On white the bright end would vanish: run it the other way.
                let (r, g, b) = RAMP_TRUE[if self.light { 15 - i } else { i }];
                Style::new().fg(Color::Rgb(r, g, b))
            }
        }
    }

    fn fg(&self, style: Style, hue: Hue) -> Style {
        let (r, g, b) = if self.light { hue.light } else { hue.dark };
        match self.depth {
            Depth::Mono => style,
            Depth::Ansi => style.fg(if self.light { hue.ansi.1 } else { hue.ansi.0 }),
            Depth::Indexed => style.fg(Color::Indexed(if self.light {
                hue.indexed.1
            } else {
                hue.indexed.0
            })),
            Depth::True => style.fg(Color::Rgb(r, g, b)),
        }
    }
}
