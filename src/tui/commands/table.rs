//! The table itself.

use super::{Act, Entry, Go, Group, Place};
use crate::domain::command::Class;
use crate::tui::model::Screen;

const fn look(
    id: &'static str,
    act: Act,
    keys: &'static [&'static str],
    label: &'static str,
    help: &'static str,
) -> Entry {
    Entry {
        id,
        act,
        keys,
        place: Place::Everywhere,
        group: Group::Look,
        class: None,
        label,
        words: &[],
        arg: "",
        help,
    }
}

const fn acts(
    id: &'static str,
    act: Act,
    keys: &'static [&'static str],
    class: Class,
    label: &'static str,
    help: &'static str,
) -> Entry {
    let mut entry = look(id, act, keys, label, help);
    entry.group = Group::Act;
    entry.class = Some(class);
    entry
}

impl Entry {
    const fn on(mut self, screens: &'static [Screen]) -> Self {
        self.place = Place::On(screens);
        self
    }
    const fn place(mut self, place: Place) -> Self {
        self.place = place;
        self
    }
    const fn group(mut self, group: Group) -> Self {
        self.group = group;
        self
    }
    const fn words(mut self, words: &'static [&'static str]) -> Self {
        self.words = words;
        self
    }
    const fn arg(mut self, arg: &'static str) -> Self {
        self.arg = arg;
        self
    }
}

const fn go(id: &'static str, go: Go, keys: &'static [&'static str], help: &'static str) -> Entry {
    look(id, Act::Move(go), keys, "move", help).group(Group::Move)
}

const fn show(
    id: &'static str,
    screen: Screen,
    keys: &'static [&'static str],
    words: &'static [&'static str],
    help: &'static str,
) -> Entry {
    look(id, Act::Show(screen), keys, screen.label(), help)
        .group(Group::Move)
        .words(words)
}

/// Every command. The order is the order of the help; where two want one key in one place, the first has it.
pub static TABLE: &[Entry] = &[
    go("up", Go::Up, &["k", "Up"], "one line up"),
    go("down", Go::Down, &["j", "Down"], "one line down"),
    go("left", Go::Left, &["h", "Left"], "one cell or record left"),
    go(
        "right",
        Go::Right,
        &["l", "Right"],
        "one cell or record right",
    ),
    go("first", Go::First, &["g g", "Home"], "the first"),
    go("last", Go::Last, &["G", "End"], "the last"),
    go("half-up", Go::HalfUp, &["Ctrl-u"], "half a page up"),
    go("half-down", Go::HalfDown, &["Ctrl-d"], "half a page down"),
    go("page-up", Go::PageUp, &["PgUp"], "a page up"),
    go("page-down", Go::PageDown, &["PgDn"], "a page down"),
    look(
        "next-pane",
        Act::NextPane,
        &["Tab"],
        "next pane",
        "the next pane",
    )
    .group(Group::Move),
    look(
        "prev-pane",
        Act::PrevPane,
        &["Shift-Tab"],
        "pane before",
        "the pane before",
    )
    .group(Group::Move),
    look(
        "open",
        Act::Open,
        &["Enter"],
        "open",
        "open what is selected",
    )
    .group(Group::Move),
    look(
        "back",
        Act::Back,
        &["Esc", "Bksp"],
        "back",
        "close, zoom out, the screen before",
    )
    .group(Group::Move),
    show(
        "overview",
        Screen::Overview,
        &["1", "g o"],
        &["overview"],
        "how it stands",
    ),
    show(
        "map",
        Screen::Map,
        &["2", "g m"],
        &["map", "chunks"],
        "every chunk of a table",
    ),
    show(
        "diff",
        Screen::Diff,
        &["3", "g d"],
        &["diff"],
        "the rows that differ",
    ),
    show(
        "shadow-screen",
        Screen::Shadow,
        &["4", "g s"],
        &["shadow-screen"],
        "reads compared on both sides",
    ),
    look(
        "cutover-screen",
        Act::SoonCutover,
        &["5", "g c"],
        "Cutover",
        "moving writes: not there yet",
    )
    .group(Group::Move)
    .words(&[
        "cutover",
        "cut-over",
        "switchtraffic",
        "reversetraffic",
        "unpostpone",
        "complete",
        "forward",
        "rollback",
        "reads",
        "approve",
        "drill",
        "final",
    ]),
    show(
        "timeline",
        Screen::Timeline,
        &["6", "g t"],
        &["timeline"],
        "what happened, and going back in time",
    ),
    look(
        "runbook-screen",
        Act::SoonRunbook,
        &["7", "g r"],
        "Runbook",
        "steps for people: not there yet",
    )
    .group(Group::Move)
    .words(&["runbook"]),
    show(
        "log",
        Screen::Log,
        &["8", "g l"],
        &["log"],
        "what this console was told",
    ),
    show(
        "help",
        Screen::Help,
        &["?", "F1"],
        &["help", "?"],
        "every key and word, filterable",
    ),
    look(
        "last-screen",
        Act::LastScreen,
        &["-"],
        "screen before",
        "the screen shown before",
    )
    .group(Group::Move),
    look(
        "find",
        Act::Find,
        &["/"],
        "filter",
        "filter the list; on the Map, go to a key",
    ),
    look(
        "next",
        Act::NextMatch,
        &["n"],
        "next",
        "the next that differs, or the next mark",
    ),
    look(
        "prev",
        Act::PrevMatch,
        &["N"],
        "before",
        "the one before that differs, or the mark before",
    ),
    look(
        "palette",
        Act::Palette,
        &[":"],
        "command",
        "commands by word, fuzzy, with history",
    ),
    look(
        "order",
        Act::Order,
        &["o"],
        "order",
        "order the tables differently",
    )
    .on(&[Screen::Overview]),
    look(
        "copy",
        Act::Copy,
        &["y"],
        "copy",
        "copy the selection as text (OSC 52); on the Overview four lines for a chat",
    )
    .words(&["copy", "status", "sup"]),
    look(
        "export",
        Act::Export,
        &["e"],
        "export",
        "write this picture to a file: svg, or text",
    )
    .words(&["export"])
    .arg("svg | text"),
    look(
        "freeze",
        Act::Freeze,
        &["f"],
        "freeze",
        "the picture stands still, the migration does not",
    )
    .words(&["freeze"]),
    look(
        "fold",
        Act::Fold,
        &["z"],
        "fold",
        "fold finished tables; on the Timeline only one kind of line",
    ),
    look(
        "full",
        Act::Full,
        &["w"],
        "full text",
        "the selected line in full",
    ),
    look(
        "only-differing",
        Act::OnlyDiffering,
        &["d"],
        "differing only",
        "hide equal columns",
    )
    .on(&[Screen::Diff]),
    look(
        "colour",
        Act::Colour,
        &["c"],
        "colour by",
        "state, drift or age",
    )
    .on(&[Screen::Map]),
    look(
        "bytes",
        Act::Bytes,
        &["b"],
        "bytes",
        "bytes of the selected value",
    )
    .on(&[Screen::Diff]),
    look(
        "prev-sibling",
        Act::PrevSibling,
        &[","],
        "before",
        "the chunk or row before",
    )
    .on(&[Screen::Map, Screen::Diff]),
    look(
        "next-sibling",
        Act::NextSibling,
        &["."],
        "next",
        "the next chunk or row",
    )
    .on(&[Screen::Map, Screen::Diff]),
    look("goto", Act::Goto, &[], "go to", "a table, or a chunk of it")
        .place(Place::Palette)
        .words(&["goto"])
        .arg("TABLE[/CHUNK]"),
    acts(
        "pause",
        Act::Pause,
        &["P"],
        Class::Safe,
        "pause",
        "pause at once; again within 10 s: undo; later: resume, asks",
    )
    .words(&["pause"]),
    acts(
        "stop-all",
        Act::StopAll,
        &["!"],
        Class::Safe,
        "stop all",
        "stop everything of ours, leave traffic where it is",
    )
    .words(&["stop-all", "panic"]),
    acts(
        "resume",
        Act::Resume,
        &[],
        Class::Reversible,
        "resume",
        "let it go on; asks",
    )
    .place(Place::Palette)
    .words(&["resume", "no-throttle"]),
    acts(
        "pace",
        Act::Pace,
        &["T"],
        Class::Reversible,
        "pace",
        "how fast: slower acts at once, faster asks",
    )
    .words(&["pace", "throttle"])
    .arg("84k | 60% | auto"),
    acts(
        "limit",
        Act::Limit,
        &[],
        Class::Reversible,
        "limit",
        "what slows the copy: stricter acts at once, looser asks",
    )
    .place(Place::Palette)
    .words(&["limit"])
    .arg("SIGNAL VALUE"),
    acts(
        "verify",
        Act::Verify,
        &["V"],
        Class::Safe,
        "compare again",
        "compare the selection again, now",
    )
    .words(&["verify", "vdiff"])
    .arg("[TABLE]"),
    acts(
        "repair",
        Act::Repair,
        &["R"],
        Class::Disruptive,
        "repair",
        "land the selected rows that differ again from the source; asks",
    )
    .on(&[Screen::Map, Screen::Diff])
    .words(&["repair"]),
    look(
        "refresh",
        Act::Refresh,
        &["R"],
        "refresh",
        "says how fresh the picture is; on Map and Diff R repairs",
    ),
    acts(
        "undo",
        Act::Undo,
        &["U"],
        Class::Reversible,
        "undo",
        "take my last repair, pace or shadow rate back; asks",
    )
    .words(&["undo"]),
    acts(
        "acknowledge",
        Act::Acknowledge,
        &["A"],
        Class::Safe,
        "acknowledge",
        "I have seen this alert",
    )
    .words(&["acknowledge"]),
    acts(
        "note",
        Act::Note,
        &["M"],
        Class::Safe,
        "note",
        "write a note into the timeline; Enter keeps it",
    )
    .words(&["note", "marker"])
    .arg("TEXT"),
    acts(
        "shadow",
        Act::Shadow,
        &["S"],
        Class::Reversible,
        "shadow rate",
        "compare reads on both sides so many times a second; asks",
    )
    .words(&["shadow"])
    .arg("10 | off"),
    acts(
        "lead",
        Act::Lead,
        &["L"],
        Class::Safe,
        "lead",
        "take the lead when it is free, or give it up",
    )
    .words(&["lead"]),
    acts(
        "abort",
        Act::Abort,
        &["B"],
        Class::Irreversible,
        "give up",
        "the way back: give up the target; the name is typed",
    )
    .words(&["abort", "cancel"]),
    acts(
        "park",
        Act::Park,
        &[],
        Class::Reversible,
        "park",
        "stop the engine, keep everything for resuming; asks",
    )
    .place(Place::Palette)
    .words(&["park", "stop"]),
    look(
        "play",
        Act::Play,
        &["Space"],
        "play",
        "go on by itself, or stand still",
    )
    .place(Place::Replaying)
    .group(Group::Replay),
    look(
        "minute-back",
        Act::MinuteBack,
        &["Shift-Left"],
        "minute back",
        "a minute back",
    )
    .place(Place::Replaying)
    .group(Group::Replay),
    look(
        "minute-on",
        Act::MinuteOn,
        &["Shift-Right"],
        "minute on",
        "a minute on",
    )
    .place(Place::Replaying)
    .group(Group::Replay),
    look(
        "speed",
        Act::Speed,
        &["s"],
        "speed",
        "1, 10 or 60 times as fast",
    )
    .place(Place::Replaying)
    .group(Group::Replay),
    look("live", Act::Live, &["End"], "now", "back to now")
        .place(Place::Replaying)
        .group(Group::Replay)
        .words(&["live"]),
    look(
        "mouse",
        Act::Mouse,
        &["m"],
        "mouse",
        "let the mouse select and scroll here, or give it back to the terminal; a click never acts",
    )
    .group(Group::Console),
    look("theme", Act::SetTheme, &[], "theme", "colours and glyphs")
        .place(Place::Palette)
        .group(Group::Console)
        .words(&["theme"])
        .arg("dark light · true 256 16 mono · ascii unicode"),
    look(
        "keys",
        Act::ShowKeys,
        &[],
        "keys",
        "keys, their conflicts, what is free",
    )
    .place(Place::Palette)
    .group(Group::Console)
    .words(&["keys"]),
    look(
        "redraw",
        Act::Redraw,
        &["Ctrl-l", "F5"],
        "redraw",
        "draw everything again",
    )
    .group(Group::Console),
    look(
        "suspend",
        Act::Suspend,
        &["Ctrl-z"],
        "suspend",
        "back to the shell; fg returns. The migration runs on",
    )
    .group(Group::Console),
    look(
        "quit",
        Act::Quit,
        &["q", "Ctrl-c", "Z Z"],
        "detach",
        "leave; the migration runs on",
    )
    .group(Group::Console)
    .words(&["q", "quit", "q!", "wq", "x", "detach"]),
];

/// Words that hands know from other tools and that have no command here, with the answer.
pub const ANSWERS: &[(&str, &str)] = &[
    (
        "chunk-size",
        "chunks are sized by time: [backfill] chunk_time in tidegate.toml",
    ),
    (
        "max-lag-millis",
        "[throttle] max_lag in tidegate.toml; the pace now: T",
    ),
    (
        "max-load",
        "what slows us is under [throttle] in tidegate.toml; to go slower now: pace",
    ),
    (
        "critical-load",
        "what stops us is under [throttle] in tidegate.toml; to stop now: pause",
    ),
    (
        "sql",
        "this console runs no SQL; a note keeps what was done by hand",
    ),
    (
        "w",
        "nothing to write: every fact is in the journal. The picture: export",
    ),
    ("u", "U takes my last act back"),
    (
        "r",
        "the picture moves by itself unless f froze it; Ctrl-l redraws",
    ),
];
