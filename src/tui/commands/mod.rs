//! The one table of commands. Dispatch, the hint bar, `?` help, the `:` palette and the generated documents all read it, so
//! none of them can know a key that another does not.

mod allowed;
mod table;

pub use allowed::{acting, brake, lead_needed, my_repair, slip};
pub use table::{ANSWERS, TABLE};

use super::model::{Picture, Screen};
use crate::domain::command::Class;
use crate::domain::event::PauseReason;

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Go {
    /// One line up.
    Up,
    /// One line down.
    Down,
    /// One cell left.
    Left,
    /// One cell right.
    Right,
    /// Half a page up.
    HalfUp,
    /// Half a page down.
    HalfDown,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// To the first.
    First,
    /// To the last.
    Last,
}

/// What a command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// Move the selection.
    Move(Go),
    /// The next pane.
    NextPane,
    /// The pane before.
    PrevPane,
    /// Open what is selected.
    Open,
    /// Up, close, out.
    Back,
    /// A screen.
    Show(Screen),
    /// What will be screen 5.
    SoonCutover,
    /// What will be screen 7.
    SoonRunbook,
    /// The screen before.
    LastScreen,
    /// Filter a list or find a key.
    Find,
    /// The next that matters.
    NextMatch,
    /// The one before that matters.
    PrevMatch,
    /// The palette.
    Palette,
    /// Another order.
    Order,
    /// Copy.
    Copy,
    /// Write the picture to a file.
    Export,
    /// Freeze the picture.
    Freeze,
    /// Fold finished tables; only one kind of line.
    Fold,
    /// The full text of the selected line.
    Full,
    /// Only differing columns.
    OnlyDiffering,
    /// What colours tell.
    Colour,
    /// Bytes of a value.
    Bytes,
    /// The next sibling: chunk, row.
    NextSibling,
    /// The sibling before.
    PrevSibling,
    /// Let the mouse select, or give it back to the terminal.
    Mouse,
    /// Draw everything again.
    Redraw,
    /// What hands press for "refresh".
    Refresh,
    /// Stop this console, not the migration.
    Suspend,
    /// Leave.
    Quit,
    /// Replay: go on or stand still.
    Play,
    /// Replay: how fast.
    Speed,
    /// Replay: back to now.
    Live,
    /// Replay: a minute back.
    MinuteBack,
    /// Replay: a minute on.
    MinuteOn,
    /// The keys, their conflicts and what is free.
    ShowKeys,
    /// Colours and glyphs.
    SetTheme,
    /// A table, or a chunk of it.
    Goto,

    /// Pause; when paused, resume.
    Pause,
    /// Stop everything of ours.
    StopAll,
    /// Resume, by word.
    Resume,
    /// How fast.
    Pace,
    /// What slows it.
    Limit,
    /// Compare again.
    Verify,
    /// Land again what differs.
    Repair,
    /// Shadow compare.
    Shadow,
    /// Give up the target.
    Abort,
    /// I have seen it.
    Acknowledge,
    /// Write something down.
    Note,
    /// Take my last act back.
    Undo,
    /// Take or give up the lead.
    Lead,
    /// Stop the engine, resumable.
    Park,
}

/// Where a command's keys count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On every screen.
    Everywhere,
    /// On these screens.
    On(&'static [Screen]),
    /// While the past is shown.
    Replaying,
    /// Only by its word in the palette.
    Palette,
}

/// Which heading of the help it stands under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// Getting about.
    Move,
    /// Looking.
    Look,
    /// The past.
    Replay,
    /// Touching the migration.
    Act,
    /// This console.
    Console,
}

impl Group {
    /// Its heading.
    pub fn label(self) -> &'static str {
        match self {
            Self::Move => "Move",
            Self::Look => "Look",
            Self::Replay => "The past",
            Self::Act => "Acts on the migration · CAPITALS",
            Self::Console => "This console",
        }
    }
    /// All of them in the help's order.
    pub const ALL: [Self; 5] = [
        Self::Act,
        Self::Look,
        Self::Move,
        Self::Replay,
        Self::Console,
    ];
}

/// One command.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry {
    /// Its name in `[keys]`.
    pub id: &'static str,
    /// What it does.
    pub act: Act,
    /// Its keys, unless `[keys]` says otherwise.
    pub keys: &'static [&'static str],
    /// Where they count.
    pub place: Place,
    /// The heading it stands under.
    pub group: Group,
    /// How much harm a slip could do; none for what only looks.
    pub class: Option<Class>,
    /// For the hint bar.
    pub label: &'static str,
    /// Words for the palette, the first one shown; other tools' words after it.
    pub words: &'static [&'static str],
    /// What may follow its word.
    pub arg: &'static str,
    /// One line for the help.
    pub help: &'static str,
}

impl Entry {
    /// Whether its keys can't be changed: a way in, a way out and a way to leave always work.
    pub fn fixed(&self) -> bool {
        matches!(self.act, Act::Open | Act::Back)
    }

    /// Whether it can be done in this picture; if not, the reason, with the way on where there is one.
    pub fn enabled(&self, p: &Picture) -> Result<(), String> {
        allowed::allowed(self.act, p)
    }

    /// What its key does now: some do the opposite of what they did last.
    pub fn label_now(&self, p: &Picture) -> &'static str {
        match self.act {
            Act::Pause if would_resume(p) => "resume",
            // In the past, where it does nothing more.
            Act::Pause if paused_by_hand(p) => "paused",
            Act::Freeze if p.ui.frozen => "unfreeze",
            Act::Play if p.ui.replay.as_ref().is_some_and(|r| r.playing) => "stop",
            // The demo's engine ends with it.
            Act::Quit if p.ui.overlay.as_ref().is_some_and(|o| o.demo) => "leave",
            Act::Lead if p.leads() => "give up lead",
            Act::Find if p.ui.screen == Screen::Map => "key",
            Act::Move(Go::Right) if p.ui.screen == Screen::Timeline => "record",
            Act::NextMatch if p.ui.screen == Screen::Timeline => "mark",
            Act::NextMatch if p.ui.screen == Screen::Map => "differing",
            _ => self.label,
        }
    }
}

/// The command with this act.
pub fn entry(act: Act) -> Option<&'static Entry> {
    TABLE.iter().find(|e| e.act == act)
}

/// Whether `P` would resume: an operator's pause or stop stands, and the picture is fresh enough to rely on it. In doubt it
/// pauses.
pub fn would_resume(p: &Picture) -> bool {
    paused_by_hand(p) && p.ui.replay.is_none()
}

/// Whether an operator's pause or stop certainly stands.
pub fn paused_by_hand(p: &Picture) -> bool {
    let by_hand =
        |reason: &PauseReason| matches!(reason, PauseReason::Operator | PauseReason::StopAll);
    let mut pauses = p.live.pauses.iter();
    pauses.any(|pause| by_hand(&pause.reason)) && !p.stale()
}

/// One hint of the bar at the bottom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// The key.
    pub key: String,
    /// What it does.
    pub label: &'static str,
    /// Whether it touches the migration.
    pub acts: bool,
}

/// The bar at the bottom: what can be done here, and why acting keys are off if they are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hints {
    /// Keys that look, the most useful first.
    pub looks: Vec<Hint>,
    /// Keys that act and are on, the most useful first.
    pub acts: Vec<Hint>,
    /// Stands in the place of the acting keys while they are off; the brake stays in `acts`.
    pub off: Option<String>,
}

/// The hints for this picture: keys as they are bound now. Those that can't be used are left out; while none of the acting
/// ones can, the reason stands in their place.
pub fn hints(p: &Picture) -> Hints {
    let keymap = &p.ui.keymap;
    let hint = |act: &Act| {
        let entry = entry(*act)?;
        let key = keymap.key_of(*act);
        (!key.is_empty() && entry.enabled(p).is_ok()).then(|| Hint {
            key,
            label: entry.label_now(p),
            acts: entry.class.is_some(),
        })
    };
    let (looks, acts) = offered(p);
    // Whoever froze the picture must find the way out of it on every screen.
    let thaw = p.ui.frozen.then_some(&Act::Freeze);
    let others = looks.iter().filter(|act| Some(*act) != thaw);
    Hints {
        looks: thaw.into_iter().chain(others).filter_map(hint).collect(),
        acts: acts.iter().filter_map(hint).collect(),
        off: acting(p).err(),
    }
}

fn offered(p: &Picture) -> (&'static [Act], &'static [Act]) {
    use Act::*;
    if p.ui.replay.is_some() && p.ui.screen == Screen::Timeline {
        return (
            &[
                Move(Go::Right),
                MinuteOn,
                Play,
                Speed,
                NextMatch,
                Live,
                Quit,
            ],
            &[Act::Pause, StopAll],
        );
    }
    match p.ui.screen {
        Screen::Overview => (
            &[Open, Find, Order, Freeze, Quit],
            &[Act::Pause, Pace, Acknowledge, Verify, Note, StopAll],
        ),
        Screen::Map => (
            &[Open, Back, NextMatch, Colour, Find, Quit],
            &[Verify, Repair, Act::Pause, StopAll],
        ),
        Screen::Diff => (
            &[NextSibling, NextPane, OnlyDiffering, Bytes, Copy, Quit],
            &[Repair, Verify, Undo, Act::Pause, StopAll],
        ),
        Screen::Shadow => (
            &[Open, Full, Copy, Quit],
            &[Act::Shadow, Act::Pause, StopAll],
        ),
        Screen::Timeline => (
            &[Open, Find, NextMatch, Fold, Export, Quit],
            &[Note, Act::Pause, StopAll],
        ),
        Screen::Log => (&[Full, Copy, Find, Quit], &[Note, Act::Pause, StopAll]),
        Screen::Help => (&[Find, Back, Quit], &[Act::Pause, StopAll]),
    }
}
