//! What belongs to one console alone, and the picture that views draw from.

use super::dialog::{NoteEditor, RateDialog};
use super::keymap::{Chord, Keymap};
use super::palette::Palette;
use super::prompt::Prompt;
use super::theme::Theme;
use super::update::To;
use super::widget::input::Input;
use crate::domain::command::{Command, Drifted, Role};
use crate::domain::fault::Fault;
use crate::domain::id::{AlertId, ChunkId, CommandId, Seq, SessionId, TableId};
use crate::domain::key::Key;
use crate::domain::unit::{At, RowsPerSecond, Span, Tick};
use crate::domain::verdict::RowDiff;
use crate::state::migration::Migration;
use crate::state::people::Present;
use crate::state::timeline::Mark;
use ratatui::layout::Size;
use std::collections::{BTreeMap, VecDeque};

/// Older than this, the picture is stale and acting keys are off.
pub const STALE: Span = Span::seconds(3);

/// The screens there are. Digits 5 and 7 are kept for screens that come with cutover and runbooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Screen {
    /// How it stands.
    #[default]
    Overview,
    /// Every chunk of a table.
    Map,
    /// The rows that differ.
    Diff,
    /// Reads compared on both sides.
    Shadow,
    /// What happened, and time travel.
    Timeline,
    /// This console's own outcomes, and the engine's failures.
    Log,
    /// Keys and words.
    Help,
}

impl Screen {
    /// All of them, in the order of the screen bar.
    pub const ALL: [Self; 7] = [
        Self::Overview,
        Self::Map,
        Self::Diff,
        Self::Shadow,
        Self::Timeline,
        Self::Log,
        Self::Help,
    ];
    /// The key in the screen bar.
    pub fn digit(self) -> char {
        match self {
            Self::Overview => '1',
            Self::Map => '2',
            Self::Diff => '3',
            Self::Shadow => '4',
            Self::Timeline => '6',
            Self::Log => '8',
            Self::Help => '?',
        }
    }
    /// Its name.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Map => "Map",
            Self::Diff => "Diff",
            Self::Shadow => "Shadow",
            Self::Timeline => "Timeline",
            Self::Log => "Log",
            Self::Help => "help",
        }
    }
    /// Its name where there is little room.
    pub fn short(self) -> &'static str {
        match self {
            Self::Overview => "Over",
            Self::Timeline => "Time",
            other => other.label(),
        }
    }
    /// How many panes Tab goes through.
    pub fn panes(self) -> u8 {
        match self {
            // tables, alerts
            Self::Overview => 2,
            // rows that differ, columns of one
            Self::Diff => 2,
            _ => 1,
        }
    }
}

/// How wide the terminal is, in the steps at which the layout changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Width {
    /// Below 60×15: the essential lines only.
    Tiny,
    /// 60 to 99 columns: one column.
    Narrow,
    /// 100 to 159: two columns.
    Wide,
    /// From 160: a third column.
    Huge,
}

impl Width {
    /// The step for a terminal of this size.
    pub fn of(size: Size) -> Self {
        match (size.width, size.height) {
            (w, h) if w < 60 || h < 15 => Self::Tiny,
            (w, _) if w < 100 => Self::Narrow,
            (w, _) if w < 160 => Self::Wide,
            _ => Self::Huge,
        }
    }
}

/// The moment, as the runtime tells it with each message: nothing in here reads a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Since this console started.
    pub run: Span,
    /// On the migration's clock: the last event's, and the time since it came.
    pub tick: Tick,
    /// On the wall clock, for people.
    pub at: At,
}

/// How this console hears of the migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Attached to a running engine.
    Live {
        /// Since the last thing heard.
        age: Span,
    },
    /// The connection is gone; the engine, as far as one knows, runs on.
    Lost {
        /// For how long.
        since: Span,
        /// How often it was tried again.
        tries: u32,
        /// Until the next try.
        retry: Span,
    },
    /// The past is shown.
    Replay {
        /// The record shown.
        seq: Seq,
        /// The last record there is.
        last: Seq,
        /// How far back that is.
        back: Span,
        /// Whether a running engine can be returned to (`End`).
        live: bool,
    },
}

/// What this terminal can do, found out once at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Caps {
    /// Ctrl-Z can stop us: there is a shell with job control to come back from.
    pub suspend: bool,
    /// Inside tmux or screen: escape sequences for the outer terminal must be wrapped.
    pub multiplexed: bool,
    /// Over ssh.
    pub remote: bool,
}

/// Something asked for that comes later.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Loaded<T> {
    /// Not asked for.
    #[default]
    Idle,
    /// Asked, no answer yet.
    Asked,
    /// Here it is.
    Have(T),
    /// It can't be had now.
    Failed(Fault),
}

impl<T> Loaded<T> {
    /// The thing, once it is here.
    pub fn get(&self) -> Option<&T> {
        match self {
            Self::Have(value) => Some(value),
            _ => None,
        }
    }
}

/// How tables are ordered on the Overview.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TableOrder {
    /// As the plan has them.
    Plan,
    /// Longest to go first; those that stand still before all.
    #[default]
    Left,
    /// Most rows first.
    Rows,
    /// Most differing rows first.
    Differ,
    /// By name.
    Name,
}

impl TableOrder {
    /// The next one, when `o` is pressed.
    pub fn next(self) -> Self {
        match self {
            Self::Plan => Self::Left,
            Self::Left => Self::Rows,
            Self::Rows => Self::Differ,
            Self::Differ => Self::Name,
            Self::Name => Self::Plan,
        }
    }
    /// For the heading: `Tables, by time left`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Plan => "as planned",
            Self::Left => "by rows left",
            Self::Rows => "by rows",
            Self::Differ => "by rows that differ",
            Self::Name => "by name",
        }
    }
}

/// The Overview's own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OverviewUi {
    /// The selected table.
    pub table: Option<TableId>,
    /// The selected alert.
    pub alert: Option<AlertId>,
    /// How tables are ordered.
    pub order: TableOrder,
    /// Finished tables folded into one line.
    pub fold: bool,
}

/// What the map's colours tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ColourBy {
    /// Copied, compared, differing.
    #[default]
    State,
    /// How many rows differ.
    Drift,
    /// How long ago it was compared.
    Age,
}

impl ColourBy {
    /// The next one, when `c` is pressed.
    pub fn next(self) -> Self {
        match self {
            Self::State => Self::Drift,
            Self::Drift => Self::Age,
            Self::Age => Self::State,
        }
    }
    /// Its word.
    pub fn label(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Drift => "drift",
            Self::Age => "age",
        }
    }
}

/// The Map's own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MapUi {
    /// The table shown.
    pub table: Option<TableId>,
    /// The chunk under the cursor.
    pub chunk: u32,
    /// Windows zoomed into: first chunk and how many; the last is shown, none shows the whole table.
    pub zoom: Vec<(u32, u32)>,
    /// What colours tell.
    pub colour: ColourBy,
    /// First keys of chunks as text, for the axis and the line below the map.
    pub bounds: BTreeMap<ChunkId, String>,
}

/// The Diff's own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DiffUi {
    /// The table it is limited to; none for all.
    pub table: Option<TableId>,
    /// The rows known to differ.
    pub known: Loaded<Vec<Drifted>>,
    /// The migration's clock when `known` was asked for.
    pub known_tick: Option<Tick>,
    /// The selected row: its chunk and key.
    pub row: Option<(ChunkId, Key)>,
    /// Both images of the rows of the selected row's chunk, and whether there are more.
    pub rows: Loaded<(ChunkId, Vec<RowDiff>, bool)>,
    /// The chunk whose rows were asked for last.
    pub rows_of: Option<ChunkId>,
    /// The chunk whose first row is to be selected once it is known.
    pub wanted: Option<ChunkId>,
    /// The column under the cursor, as a place in the table's columns.
    pub column: u16,
    /// Equal columns are hidden.
    pub only_differing: bool,
    /// Bytes of the selected cell are shown.
    pub bytes: bool,
    /// Long values are shown in full.
    pub wrap: bool,
}

/// The Shadow screen's own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShadowUi {
    /// The selected query.
    pub query: Option<String>,
}

/// The Timeline's own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TimelineUi {
    /// The selected fact; none follows the newest.
    pub seq: Option<Seq>,
    /// Only lines of this kind.
    pub only: Option<Mark>,
}

/// The Log's own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogUi {
    /// Lines scrolled back from the newest.
    pub back: usize,
}

/// How a line is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tone {
    /// It went well.
    Good,
    /// It is on its way, or merely said.
    Plain,
    /// A faint hint: an unknown key, an ignored paste.
    Faint,
    /// It was refused or could not be done.
    Bad,
}

/// One line said to the person: shown above the hints until something newer is said or its time is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What.
    pub text: String,
    /// How it is meant.
    pub tone: Tone,
    /// When, since the console started.
    pub run: Span,
    /// When, for people.
    pub at: At,
    /// What `y` copies while this is fresh: a path, a command to run.
    pub copy: Option<String>,
}

/// A command on its way: asked is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its number.
    pub id: CommandId,
    /// What was asked for.
    pub command: Command,
    /// When.
    pub run: Span,
    /// The fact that recorded it, once the engine said so.
    pub accepted: Option<Seq>,
    /// How it would be taken back, remembered once it is accepted.
    pub undo: Option<Undo>,
}

/// What the demo lays over the picture. It never says what tidegate says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overlay {
    /// The story, one or two lines; empty shows none.
    pub caption: Vec<String>,
    /// The one key that is offered now.
    pub offer: Option<String>,
    /// The independent witness's count; empty shows none.
    pub witness: String,
    /// Esc hid the caption.
    pub hidden: bool,
    /// Leaving ends the demo's engine, so it asks.
    pub demo: bool,
}

/// Time travel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Replay {
    /// The record shown.
    pub seq: Seq,
    /// The last record there is.
    pub last: Seq,
    /// When the shown record was made.
    pub at: At,
    /// Its time on the migration's clock.
    pub tick: Tick,
    /// The last record's time on the migration's clock.
    pub last_tick: Tick,
    /// It plays.
    pub playing: bool,
    /// How many times as fast as it was.
    pub speed: u32,
    /// There is a running engine to return to.
    pub live: bool,
    /// While it plays: when it began to, and the replayed time then.
    pub from: (Span, Tick),
    /// Marks along the bar: which record, its time, what kind.
    pub marks: Vec<(Seq, Tick, Mark)>,
}

/// A popup over the picture; it takes all keys while it is open.
#[derive(Debug, Clone, PartialEq)]
pub enum Popup {
    /// A question before an act.
    Ask(Box<Prompt>),
    /// A rate being set.
    Rate(RateDialog),
    /// A note being written.
    Note(Box<NoteEditor>),
    /// The palette.
    Palette(Palette),
    /// A filter, or a key to go to, being typed.
    Find(Input),
    /// Text to read: title, lines, the first line shown.
    Text(String, Vec<String>, usize),
    /// Leave the demo?
    Leave,
}

/// An act of mine that can be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undo {
    /// The pace goes back to this.
    Pace(Option<RowsPerSecond>),
    /// The shadow rate goes back to this.
    Shadow(u32),
    /// The newest repair of mine is put back.
    Repair,
}

/// What a question to the engine was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// The rows known to differ.
    Known,
    /// Both images of a chunk's rows.
    Rows(ChunkId),
    /// First keys of chunks from this one on.
    Bounds(ChunkId),
    /// Where a typed key lies.
    Locate(TableId),
    /// What the open prompt's command would do.
    DryRun,
}

/// Numbers a question, so that its answer is known again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct AskId(pub u64);

/// Everything that belongs to this console alone.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ui {
    /// The terminal's size.
    pub size: Size,
    /// Colours and glyphs.
    pub theme: Theme,
    /// What the terminal can do.
    pub caps: Caps,
    /// The moment.
    pub now: Now,
    /// This console's connection; none while there is none.
    pub me: Option<SessionId>,
    /// It only looks.
    pub observer: bool,
    /// When something was heard last; none while the link is lost.
    pub heard: Option<Span>,
    /// While the link is lost: since when, tries, the next try's time.
    pub lost: Option<(Span, u32, Span)>,
    /// The screen shown.
    pub screen: Screen,
    /// Screens to go back to with Esc, and the last one with `-`.
    pub back: Vec<Screen>,
    /// The pane that has the focus.
    pub pane: u8,
    /// Filter or search text of each screen.
    pub filter: BTreeMap<Screen, String>,
    /// The Overview's own.
    pub overview: OverviewUi,
    /// The Map's own.
    pub map: MapUi,
    /// The Diff's own.
    pub diff: DiffUi,
    /// The Shadow screen's own.
    pub shadow: ShadowUi,
    /// The Timeline's own.
    pub timeline: TimelineUi,
    /// The Log's own.
    pub log: LogUi,
    /// The picture stands still; the migration does not.
    pub frozen: bool,
    /// Time travel.
    pub replay: Option<Replay>,
    /// Where in time it was last asked to go, until that is shown.
    pub wish: Option<To>,
    /// What the demo lays over it.
    pub overlay: Option<Overlay>,
    /// The newest thing said.
    pub notice: Option<Notice>,
    /// It answers a key pressed on the screen shown, and goes with that screen.
    pub notice_here: bool,
    /// What was said, oldest first.
    pub said: VecDeque<Notice>,
    /// Commands on their way.
    pub sent: VecDeque<Sent>,
    /// The keys of a sequence pressed so far (`g`).
    pub pending: Vec<Chord>,
    /// Which keys mean what.
    pub keymap: Keymap,
    /// The popup, while one is open.
    pub popup: Option<Popup>,
    /// Lines run from the palette, oldest first.
    pub history: VecDeque<String>,
    /// A note that was left without keeping it.
    pub draft: String,
    /// The mouse selects and scrolls here.
    pub mouse: bool,
    /// The terminal does not show us: alerts ring the bell.
    pub unfocused: bool,
    /// When the terminal came back to us; acting keys wait a moment after that.
    pub focused_at: Option<Span>,
    /// Acts of mine that can be taken back, oldest first.
    pub undo: VecDeque<Undo>,
    /// Questions on their way, with what they are for.
    pub asked: VecDeque<(AskId, Purpose)>,
    /// The number of the next question.
    pub next_ask: AskId,
    /// The number of the next command.
    pub next_command: CommandId,
    /// Alerts up to this one have been rung for.
    pub rung: AlertId,
    /// When it was last looked whether the rows known to differ must be asked for again.
    pub known_looked_at: Span,
    /// The help's first line shown.
    pub help: usize,
    /// The verdicts that held when [`DiffUi::known`] was asked for.
    pub verdicts_asked: u64,
}

/// Everything a frame is drawn from. Nothing else is read while drawing.
#[derive(Clone, Copy)]
pub struct Picture<'a> {
    /// The migration, now or as it was.
    pub state: &'a Migration,
    /// What belongs to this console.
    pub ui: &'a Ui,
    /// Colours and glyphs.
    pub theme: &'a Theme,
    /// The migration's clock now: ages are differences to this.
    pub now: Tick,
    /// How fresh it is.
    pub link: Link,
    /// The migration as it is now, where the past or a frozen picture is shown; else the same as `state`.
    pub live: &'a Migration,
    /// This console among the present.
    pub me: Option<&'a Present>,
    /// It only looks.
    pub observer: bool,
}

impl<'a> Picture<'a> {
    /// The picture of a state for a console.
    pub fn of(state: &'a Migration, ui: &'a Ui) -> Self {
        Self::between(state, state, ui)
    }

    /// The picture of a state that is shown while another one holds.
    pub fn between(shown: &'a Migration, live: &'a Migration, ui: &'a Ui) -> Self {
        let me = ui.me.and_then(|id| live.people.present.get(&id));
        Self {
            state: shown,
            ui,
            theme: &ui.theme,
            now: ui.replay.as_ref().map_or(ui.now.tick, |r| r.tick),
            link: ui.link(),
            live,
            me,
            observer: ui.observer || me.is_some_and(|m| m.role == Role::Observer),
        }
    }

    /// Whether this console holds the lead.
    pub fn leads(&self) -> bool {
        self.ui.me.is_some() && self.live.people.lead == self.ui.me
    }

    /// Whether what is shown may no longer be true.
    pub fn stale(&self) -> bool {
        match self.link {
            Link::Live { age } => age > STALE,
            Link::Lost { .. } => true,
            Link::Replay { .. } => false,
        }
    }
}

impl Ui {
    /// How fresh the picture is.
    pub fn link(&self) -> Link {
        if let Some(replay) = &self.replay {
            return Link::Replay {
                seq: replay.seq,
                last: replay.last,
                back: replay.last_tick.since(replay.tick),
                live: replay.live,
            };
        }
        match (self.lost, self.heard) {
            (Some((since, tries, next)), _) => Link::Lost {
                since: self.now.run - since,
                tries,
                retry: next - self.now.run,
            },
            (None, heard) => Link::Live {
                age: self.now.run - heard.unwrap_or(Span::ZERO),
            },
        }
    }

    /// Lines the demo takes above the hints: its caption and its witness.
    pub fn overlay_lines(&self) -> u16 {
        let Some(overlay) = &self.overlay else {
            return 0;
        };
        let caption = if overlay.hidden {
            0
        } else {
            overlay.caption.len().min(2) as u16
        };
        caption + u16::from(!overlay.witness.is_empty())
    }

    /// The filter of the screen shown.
    pub fn filter(&self) -> &str {
        self.filter.get(&self.screen).map_or("", String::as_str)
    }
}
