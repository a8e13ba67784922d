//! The runtime of a console: its own thread, the terminal, the tap, and what effects ask for.
//!
//! Keys come first and are drawn at once; everything else is folded in bulk and drawn at most thirty times a second, less
//! often where the terminal is slow to take a frame. Nothing is awaited while a message is taken in.

use super::keymap::Keymap;
use super::model::{Notice, Now, Overlay, Replay, Screen, Tone, Ui};
use super::past::{Past, Seen};
use super::term::{self, Input, Terminal, Wish};
use super::update::{Effect, Form, Leave, Msg, Scene, To, update};
use super::{draw, svg};
use crate::domain::command::{Answer, Reply, Role};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::SessionId;
use crate::domain::unit::{At, Span};
use crate::replay;
use crate::state::migration::Migration;
use crate::tap::{Ask, QueryId, Tap, Tapped};
use crossterm::event::Event as Key;
use futures_util::FutureExt as _;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

/// Things taken from the tap before the next look at the keys.
const DRAIN: usize = 1_024;
/// Keys taken before a frame is drawn: a key held down must not lag behind its own repeats.
const KEYS: usize = 64;
/// Between two frames, by how long the last one took to write.
const FAST: Duration = Duration::from_millis(33);
const SLOW: Duration = Duration::from_millis(100);
const CRAWL: Duration = Duration::from_millis(250);
/// Ages tick.
const SECOND: Duration = Duration::from_secs(1);
/// The past, while it plays.
const PLAY: Duration = Duration::from_millis(100);

/// How a console begins.
#[derive(Default)]
pub struct Options {
    /// Colours and symbols asked for.
    pub wish: Wish,
    /// `[keys]`.
    pub keys: toml::Table,
    /// The journal's file, for time travel; none where it can't be read from here.
    pub journal: Option<PathBuf>,
    /// Begin in the past, there: for a recording.
    pub from: Option<replay::To>,
    /// How many times as fast a recording plays by itself; 0 stands still until Space.
    pub speed: u32,
    /// What a demo lays over the picture.
    pub overlay: Option<watch::Receiver<Overlay>>,
    /// The demo's own engine runs in this process: Ctrl-Z would stop it as well.
    pub embedded: bool,
    /// Where exported pictures go; none is the working directory.
    pub exports: Option<PathBuf>,
    /// The first screen.
    pub screen: Screen,
}

/// How a console ended.
#[derive(Debug, Clone, PartialEq)]
pub enum How {
    /// The person left; the migration runs on.
    Detached,
    /// The person left the demo.
    DemoOver {
        /// Its files are to be kept.
        keep: bool,
    },
    /// The terminal went away, or a signal asked to end.
    HungUp,
    /// The other end ended it.
    Ended(Fault),
}

/// What is left to say after a console ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Exit {
    /// How.
    pub how: How,
    /// The migration as it was last seen.
    pub state: Arc<Migration>,
    /// Panics of other threads, told now that the terminal is given back.
    pub reports: Vec<String>,
}

/// Runs a console over a tap until it ends. It has a thread of its own: an engine that hashes for a while in this process
/// does not make keys wait. Fails when there is no terminal, or when the console itself broke.
pub async fn run(tap: Box<dyn Tap>, options: Options) -> Result<Exit> {
    let (tell, told) = oneshot::channel();
    let name = "console".to_string();
    let thread = std::thread::Builder::new().name(name).spawn(move || {
        // The receiver is gone only when the caller is; then nobody wants to know.
        let _ = tell.send(on_this_thread(tap, options));
    });
    thread.map_err(|e| Fault::new(Kind::Own, "the console has no thread to run on").cause(e))?;
    told.await.unwrap_or_else(|_| {
        Err(Fault::new(
            Kind::Own,
            "the console broke; the migration is not affected",
        )
        .code("CONSOLE-BROKE")
        .hint("attach again; what it said above belongs into a report of the error"))
    })
}

fn on_this_thread(tap: Box<dyn Tap>, options: Options) -> Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Fault::new(Kind::Own, "the console could not start").cause(e))?;
    runtime.block_on(async move { Console::begin(tap, options)?.drive().await })
}

fn broken(e: std::io::Error) -> Fault {
    Fault::new(Kind::Own, "the terminal can't be used").cause(e)
}

/// What is told by the terminal's side of the world.
struct Signals {
    resized: Signal,
    went_on: Signal,
    hang_up: Signal,
    end: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            resized: signal(SignalKind::window_change())?,
            went_on: signal(SignalKind::from_raw(nix::libc::SIGCONT))?,
            hang_up: signal(SignalKind::hangup())?,
            end: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}

struct Console {
    tap: Box<dyn Tap>,
    ui: Ui,
    term: Terminal,
    keys: Input,
    live: Arc<Migration>,
    /// What is shown instead of `live`: a frozen picture, or the past.
    other: Option<Arc<Migration>>,
    past: Option<Past>,
    overlay: Option<watch::Receiver<Overlay>>,
    /// What became of effects that took a while.
    done: (mpsc::Sender<Notice>, mpsc::Receiver<Notice>),
    welcome: Option<(SessionId, bool)>,
    exports: PathBuf,
    began: Instant,
    /// When the migration's clock was heard of last.
    heard: Instant,
    /// We stopped ourselves: the signal to go on is known already.
    stopped: bool,
    dirty: bool,
    drawn: Instant,
    gap: Duration,
    end: Option<How>,
}

impl Console {
    fn begin(tap: Box<dyn Tap>, options: Options) -> Result<Self> {
        let env = |name: &str| std::env::var(name).ok();
        let mut caps = term::caps(env);
        caps.suspend &= !options.embedded;
        let mut ui = Ui {
            theme: term::theme(options.wish, env),
            caps,
            keymap: Keymap::written(&options.keys),
            screen: options.screen,
            ..Ui::default()
        };
        if let Some(problem) = ui.keymap.problems.first() {
            let text = format!("{problem} · :keys shows all");
            ui.notice = Some(notice(&ui, Tone::Bad, text));
        }
        if let Some(overlay) = &options.overlay {
            ui.overlay = Some(overlay.borrow().clone());
        }
        let mut past = options.journal.map(Past::on).transpose()?;
        if let (Some(past), Some(from)) = (&mut past, options.from) {
            past.seek(from);
            ui.replay = Some(Replay {
                speed: options.speed.max(1),
                playing: options.speed > 0,
                ..Replay::default()
            });
            ui.screen = Screen::Timeline;
        }
        let keys = Input::open().map_err(broken)?;
        let term = Terminal::take().map_err(broken)?;
        ui.size = term.size();
        let now = Instant::now();
        Ok(Self {
            tap,
            ui,
            term,
            keys,
            live: Arc::default(),
            other: None,
            past,
            overlay: options.overlay,
            done: mpsc::channel(8),
            welcome: None,
            exports: options.exports.unwrap_or_else(|| PathBuf::from(".")),
            began: now,
            heard: now,
            stopped: false,
            dirty: true,
            drawn: now,
            gap: FAST,
            end: None,
        })
    }

    async fn drive(mut self) -> Result<Exit> {
        let mut signals = Signals::listen().map_err(broken)?;
        let mut tick = Instant::now() + SECOND;
        self.paint()?;
        while self.end.is_none() {
            let frame = self.drawn + self.gap;
            tokio::select! {
                biased;
                key = self.keys.next() => self.key(key)?,
                () = sleep_until(frame), if self.dirty => self.paint()?,
                _ = signals.resized.recv() => self.resized()?,
                _ = signals.went_on.recv() => self.went_on()?,
                _ = signals.hang_up.recv() => self.end = Some(How::HungUp),
                _ = signals.end.recv() => self.end = Some(How::HungUp),
                _ = signals.interrupt.recv() => self.end = Some(How::Detached),
                () = sleep_until(tick) => {
                    let playing = self.ui.replay.as_ref().is_some_and(|r| r.playing);
                    tick = Instant::now() + if playing { PLAY } else { SECOND };
                    // A seek that is still under way is not overtaken: playing would never arrive.
                    let seeking = self.past.as_ref().is_some_and(Past::seeking);
                    if !(playing && seeking) {
                        self.tell(Msg::Tick)?;
                    }
                }
                seen = seen(&mut self.past) => self.seen(seen)?,
                overlay = next(&mut self.overlay) => match overlay {
                    Some(overlay) => self.tell(Msg::Overlay(overlay))?,
                    None => self.overlay = None,
                },
                Some(said) = self.done.1.recv() => self.tell(Msg::Said(said))?,
                tapped = self.tap.next() => self.drain(tapped)?,
            }
        }
        self.term.leave().map_err(broken)?;
        Ok(Exit {
            how: self.end.unwrap_or(How::Detached),
            state: self.live,
            reports: term::reports(),
        })
    }

    /// A key, and those that came with it; then a frame at once.
    fn key(&mut self, first: std::io::Result<Key>) -> Result<()> {
        let Ok(first) = first else {
            // The terminal is gone: nobody can see or press anything any more.
            self.end = Some(How::HungUp);
            return Ok(());
        };
        let mut next = Some(first);
        for taken in 1..=KEYS {
            let Some(key) = next.take() else { break };
            match key {
                Key::Key(key) => self.tell(Msg::Key(key))?,
                Key::Paste(text) => self.tell(Msg::Paste(text))?,
                Key::FocusGained => self.tell(Msg::Focus(true))?,
                Key::FocusLost => self.tell(Msg::Focus(false))?,
                Key::Mouse(mouse) => self.tell(Msg::Mouse(mouse))?,
                // Told by a signal.
                Key::Resize(..) => {}
            }
            if self.end.is_some() {
                return Ok(());
            }
            if taken < KEYS {
                next = self.keys.ready();
            }
        }
        self.paint()
    }

    fn resized(&mut self) -> Result<()> {
        let size = term::size().map_err(broken)?;
        self.term.resize(size);
        self.tell(Msg::Resize(size))
    }

    fn drain(&mut self, first: Option<Tapped>) -> Result<()> {
        let mut next = first;
        let mut folded = false;
        for _ in 0..DRAIN {
            let Some(tapped) = next else {
                self.end
                    .get_or_insert(How::Ended(Fault::new(Kind::Own, "nothing more is heard")));
                return Ok(());
            };
            folded |= self.take(tapped)?;
            if self.end.is_some() {
                return Ok(());
            }
            match self.tap.next().now_or_never() {
                Some(tapped) => next = tapped,
                None => break,
            }
        }
        if folded {
            self.tell(Msg::Heard)?;
        }
        Ok(())
    }

    /// Takes one thing from the tap; true when it was heard that the other end is there.
    fn take(&mut self, tapped: Tapped) -> Result<bool> {
        match tapped {
            Tapped::Welcome(welcome) => {
                self.welcome = Some((welcome.session, welcome.role == Role::Observer));
                if let Some(why) = &welcome.why {
                    let said = notice(&self.ui, Tone::Plain, format!("you look on: {why}"));
                    self.tell(Msg::Said(said))?;
                }
            }
            Tapped::Snapshot(state) => {
                self.live = state;
                self.heard = Instant::now();
                match self.welcome.take() {
                    Some((me, observer)) => self.tell(Msg::Attached(me, observer))?,
                    None => return Ok(true),
                }
            }
            Tapped::Event(event) => {
                Arc::make_mut(&mut self.live).apply(&event);
                self.heard = Instant::now();
                return Ok(true);
            }
            Tapped::Sample(sample) => {
                Arc::make_mut(&mut self.live).measure(&sample);
                return Ok(true);
            }
            Tapped::Beat => return Ok(true),
            Tapped::Reply { id, reply } => {
                let msg = match reply {
                    Reply::Refused(fault) if fault.code == "NOT-CONNECTED" => {
                        Msg::Unsent(id, fault)
                    }
                    reply => Msg::Reply(id, reply),
                };
                self.tell(msg)?;
            }
            Tapped::Answer { id, answer } => {
                let id = super::model::AskId(id.0);
                self.tell(Msg::Answer(id, answer))?;
            }
            Tapped::LinkLost { retry, .. } => self.tell(Msg::Lost(retry))?,
            // A welcome and a snapshot follow.
            Tapped::LinkBack => {}
            Tapped::Ended(fault) => self.end = Some(How::Ended(fault)),
        }
        Ok(false)
    }

    /// Takes one message in and does what it asks for.
    fn tell(&mut self, msg: Msg) -> Result<()> {
        let since = Span::from(self.heard.elapsed());
        self.ui.now = Now {
            run: Span::from(self.began.elapsed()),
            tick: self.live.tick.plus(since),
            at: At(self.live.at.0 + (since.0 / 1_000) as i64),
        };
        if let Some(replay) = self.ui.replay.as_mut().filter(|r| r.live) {
            replay.last = self.live.seq;
            replay.last_tick = self.live.tick;
        }
        let quiet = matches!(msg, Msg::Heard) && self.ui.frozen;
        let shown = self.other.clone();
        let live = Arc::clone(&self.live);
        let scene = Scene {
            live: &live,
            shown: shown.as_ref().unwrap_or(&live),
        };
        let effects = update(&mut self.ui, scene, msg);
        self.dirty |= !quiet;
        for effect in effects {
            self.perform(effect)?;
        }
        Ok(())
    }

    fn perform(&mut self, effect: Effect) -> Result<()> {
        match effect {
            Effect::Send { id, command, seen } => {
                let ask = Ask::Command {
                    id,
                    seen,
                    command,
                    reason: None,
                };
                if let Err(fault) = self.tap.send(ask) {
                    self.tell(Msg::Unsent(id, fault))?;
                }
            }
            Effect::Ask { id, query } => {
                let ask = Ask::Query {
                    id: QueryId(id.0),
                    query,
                };
                if let Err(fault) = self.tap.send(ask) {
                    self.tell(Msg::Answer(id, Answer::Failed(fault)))?;
                }
            }
            Effect::Seek(to) => self.seek(to)?,
            Effect::Freeze(freeze) => self.other = freeze.then(|| Arc::clone(&self.live)),
            Effect::Copy(text, what) => self.copy(&text, &what)?,
            Effect::Export(form) => self.export(form),
            Effect::Bell => self.term.bell().map_err(broken)?,
            Effect::Mouse(take) => self.term.mouse(take).map_err(broken)?,
            Effect::Redraw => self.term.redraw(),
            Effect::Suspend => self.suspend()?,
            Effect::Quit(Leave::Detach) => self.end = Some(How::Detached),
            Effect::Quit(Leave::Demo { keep }) => self.end = Some(How::DemoOver { keep }),
        }
        Ok(())
    }

    fn say(&mut self, tone: Tone, text: String, copy: Option<String>) -> Result<()> {
        let said = Notice {
            copy,
            ..notice(&self.ui, tone, text)
        };
        self.tell(Msg::Said(said))
    }

    fn seek(&mut self, to: To) -> Result<()> {
        let to = match to {
            To::Now => {
                self.other = None;
                // What arrives after a return to now was wished for before it.
                if let Some(past) = &mut self.past {
                    past.forget();
                }
                return self.tell(Msg::Past(None));
            }
            To::Record(seq) => replay::To::Record(seq),
            To::Moment(tick) => replay::To::Moment(tick),
        };
        let Some(past) = &mut self.past else {
            self.ui.wish = None;
            let text = "the journal can't be read from here, so there is no going back".to_string();
            return self.say(Tone::Bad, text, None);
        };
        past.seek(to);
        Ok(())
    }

    fn seen(&mut self, seen: Option<Result<Seen>>) -> Result<()> {
        let seen = match seen {
            Some(Ok(seen)) => seen,
            Some(Err(fault)) => {
                self.ui.wish = None;
                return self.say(Tone::Bad, fault.to_string(), None);
            }
            None => {
                self.ui.wish = None;
                self.past = None;
                return Ok(());
            }
        };
        let live = self.ui.me.is_some();
        let speed = self.ui.replay.as_ref().map_or(1, |r| r.speed);
        let replay = Replay {
            seq: seen.state.seq,
            last: seen.last.seq,
            at: seen.state.at,
            tick: seen.state.tick,
            last_tick: seen.last.tick,
            live,
            speed,
            ..Replay::default()
        };
        self.other = Some(seen.state);
        self.tell(Msg::Past(Some(replay)))
    }

    fn copy(&mut self, text: &str, what: &str) -> Result<()> {
        if text.len() > term::CLIPBOARD {
            let text = format!(
                "{what}: too long to copy ({} bytes); e writes a file",
                text.len()
            );
            return self.say(Tone::Bad, text, None);
        }
        let through = self.ui.caps.multiplexed;
        self.term.copy(text, through).map_err(broken)?;
        self.say(Tone::Good, format!("copied {what}"), None)
    }

    /// Writes the picture to a file, beside the loop: a disk may take its time.
    fn export(&mut self, form: Form) {
        let area = Rect::new(0, 0, self.ui.size.width, self.ui.size.height);
        let mut buf = Buffer::empty(area);
        let shown = self.other.as_ref().unwrap_or(&self.live);
        let scene = Scene {
            live: &self.live,
            shown,
        };
        let mut ui = self.ui.clone();
        ui.popup = None;
        draw(&scene.picture(&ui), area, &mut buf);
        let (text, ending) = match form {
            Form::Svg => (svg::svg(&buf, &ui.theme), "svg"),
            Form::Text => (svg::text(&buf), "txt"),
        };
        let time = super::view::words::clock(ui.now.at).replace(':', "");
        let screen = ui.screen.label().to_lowercase();
        let name = format!("tidegate-{}-{screen}-{time}Z.{ending}", self.live.name());
        let path = std::path::absolute(self.exports.join(&name))
            .unwrap_or_else(|_| self.exports.join(&name));
        let done = self.done.0.clone();
        let begin = notice(&self.ui, Tone::Good, String::new());
        tokio::task::spawn_blocking(move || {
            let shown = path.display().to_string();
            let said = match std::fs::write(&path, text) {
                Ok(()) => Notice {
                    text: format!("written: {shown} · y copies the path"),
                    copy: Some(shown),
                    ..begin
                },
                Err(e) => Notice {
                    text: format!("{shown} could not be written: {e}"),
                    tone: Tone::Bad,
                    ..begin
                },
            };
            // Full only when eight are waiting already; one more path is no loss.
            let _ = done.try_send(said);
        });
    }

    fn suspend(&mut self) -> Result<()> {
        self.term.leave().map_err(broken)?;
        self.stopped = true;
        term::stop_here().map_err(broken)?;
        self.again()
    }

    /// Somebody stopped us from outside and let us go on: the terminal is no longer as we left it.
    fn went_on(&mut self) -> Result<()> {
        if std::mem::take(&mut self.stopped) {
            return Ok(());
        }
        self.term.leave().map_err(broken)?;
        self.again()
    }

    fn again(&mut self) -> Result<()> {
        self.term.enter().map_err(broken)?;
        self.resized()
    }

    fn paint(&mut self) -> Result<()> {
        if self.end.is_some() {
            return Ok(());
        }
        #[cfg(debug_assertions)]
        if self.ui.screen == Screen::Log && std::env::var_os("TIDEGATE_BREAK_ON_LOG").is_some() {
            // Only in development builds: tests see that a panic gives the terminal back.
            std::panic::panic_any("broken on purpose");
        }
        let begin = Instant::now();
        let shown = self.other.as_ref().unwrap_or(&self.live);
        let scene = Scene {
            live: &self.live,
            shown,
        };
        let picture = scene.picture(&self.ui);
        if self
            .term
            .draw(|area, buf| draw(&picture, area, buf))
            .is_err()
        {
            // There is no terminal to draw on any more.
            self.end = Some(How::HungUp);
            return Ok(());
        }
        self.drawn = Instant::now();
        // A terminal that takes long is given fewer frames instead of a queue of old ones.
        self.gap = match self.drawn - begin {
            took if took < FAST => FAST,
            took if took < SLOW => SLOW,
            _ => CRAWL,
        };
        self.dirty = false;
        Ok(())
    }
}

fn notice(ui: &Ui, tone: Tone, text: String) -> Notice {
    Notice {
        text,
        tone,
        run: ui.now.run,
        at: ui.now.at,
        copy: None,
    }
}

/// The next thing laid over the picture; none once nobody lays anything over it any more.
async fn next(overlay: &mut Option<watch::Receiver<Overlay>>) -> Option<Overlay> {
    match overlay {
        Some(overlay) => match overlay.changed().await {
            Ok(()) => Some(overlay.borrow_and_update().clone()),
            Err(_) => None,
        },
        None => std::future::pending().await,
    }
}

async fn seen(past: &mut Option<Past>) -> Option<Result<Seen>> {
    match past {
        Some(past) => past.seen().await,
        None => std::future::pending().await,
    }
}
