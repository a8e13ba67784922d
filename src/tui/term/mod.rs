//! The terminal: taken, drawn to, and given back whatever happens.
//!
//! ratatui's own `Terminal` is not used: its `clear` asks the terminal where the cursor is and waits for the answer, which
//! races with the keys and never comes on a detached pty. Two buffers and their difference are all that is needed.

mod detect;
mod input;
mod parse;

pub use input::Input;

pub use detect::{Colour, Wish, caps, theme};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste,
    EnableFocusChange, EnableMouseCapture,
};
use crossterm::style::ResetColor;
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute, queue};
use ratatui::backend::{Backend as _, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};
use std::io::{self, BufWriter, Stdout, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once};
use std::thread::{self, ThreadId};

/// One write for a frame: the standard output alone would make one for each line.
const BUFFER: usize = 64 * 1024;
/// Longer texts are not put into the clipboard: terminals drop them.
pub const CLIPBOARD: usize = 100_000;
/// Panics of other threads that are kept to be told after the terminal is given back.
const REPORTS: usize = 8;

/// Whether the terminal is ours now.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// The thread that draws.
static DRAWS: Mutex<Option<ThreadId>> = Mutex::new(None);
static REPORTED: Mutex<Vec<String>> = Mutex::new(Vec::new());
static HOOK: Once = Once::new();

/// The terminal while it is ours. Dropped, it is given back.
pub struct Terminal {
    backend: CrosstermBackend<BufWriter<Stdout>>,
    shown: Buffer,
    next: Buffer,
    /// Every cell must be drawn.
    all: bool,
    mouse: bool,
}

impl Terminal {
    /// Takes the terminal: raw, the alternate screen, pasted text and focus told apart from keys. A panic gives it back first.
    pub fn take() -> io::Result<Self> {
        // Colour is our theme's business: crossterm's own NO_COLOR turns `ESC[m` out instead, which also ends reverse and bold.
        crossterm::style::force_color_output(true);
        install_hook();
        let size = size()?;
        let area = Rect::new(0, 0, size.width, size.height);
        let writer = BufWriter::with_capacity(BUFFER, io::stdout());
        let mut terminal = Self {
            backend: CrosstermBackend::new(writer),
            shown: Buffer::empty(area),
            next: Buffer::empty(area),
            all: true,
            mouse: false,
        };
        terminal.enter()?;
        Ok(terminal)
    }

    /// Takes it again, after [`Terminal::leave`] or after somebody else had it.
    pub fn enter(&mut self) -> io::Result<()> {
        enable_raw_mode()?;
        TAKEN.store(true, Ordering::SeqCst);
        if let Ok(mut draws) = DRAWS.lock() {
            *draws = Some(thread::current().id());
        }
        queue!(
            self.backend,
            EnterAlternateScreen,
            EnableBracketedPaste,
            EnableFocusChange,
            cursor::Hide
        )?;
        if self.mouse {
            queue!(self.backend, EnableMouseCapture)?;
        }
        self.all = true;
        io::Write::flush(&mut self.backend)
    }

    /// Gives it back as it was.
    pub fn leave(&mut self) -> io::Result<()> {
        if !TAKEN.swap(false, Ordering::SeqCst) {
            return Ok(());
        }
        let told = restore(&mut self.backend);
        disable_raw_mode()?;
        told
    }

    /// Its size as the last frame had it.
    pub fn size(&self) -> Size {
        self.next.area.as_size()
    }

    /// It has this size now.
    pub fn resize(&mut self, size: Size) {
        let area = Rect::new(0, 0, size.width, size.height);
        if area != self.next.area {
            self.next.resize(area);
            self.shown.resize(area);
            self.all = true;
        }
    }

    /// The next frame draws every cell.
    pub fn redraw(&mut self) {
        self.all = true;
    }

    /// Takes the mouse, or gives it back.
    pub fn mouse(&mut self, take: bool) -> io::Result<()> {
        self.mouse = take;
        if take {
            execute!(self.backend, EnableMouseCapture)
        } else {
            execute!(self.backend, DisableMouseCapture)
        }
    }

    /// Draws a frame: what differs from the last one, between two marks that let the terminal show it at once. Nothing is
    /// written where nothing differs.
    pub fn draw(&mut self, paint: impl FnOnce(Rect, &mut Buffer)) -> io::Result<()> {
        self.next.reset();
        paint(self.next.area, &mut self.next);
        if self.all {
            self.shown.reset();
            queue!(
                self.backend,
                BeginSynchronizedUpdate,
                ResetColor,
                Clear(ClearType::All)
            )?;
        }
        let changed = self.shown.diff(&self.next);
        if !changed.is_empty() {
            if !self.all {
                queue!(self.backend, BeginSynchronizedUpdate)?;
            }
            self.backend.draw(changed.into_iter())?;
        } else if !self.all {
            return Ok(());
        }
        queue!(self.backend, EndSynchronizedUpdate)?;
        self.all = false;
        std::mem::swap(&mut self.shown, &mut self.next);
        io::Write::flush(&mut self.backend)
    }

    /// Rings.
    pub fn bell(&mut self) -> io::Result<()> {
        self.backend.write_all(b"\x07")?;
        io::Write::flush(&mut self.backend)
    }

    /// Puts text into the clipboard of the terminal's own machine, over ssh too (OSC 52). Through tmux it goes both ways tmux
    /// may be set to let it.
    pub fn copy(&mut self, text: &str, multiplexed: bool) -> io::Result<()> {
        let code = format!("\x1b]52;c;{}\x07", STANDARD.encode(text));
        if multiplexed {
            let inner = code.replace('\x1b', "\x1b\x1b");
            write!(self.backend, "\x1bPtmux;{inner}\x1b\\")?;
        }
        self.backend.write_all(code.as_bytes())?;
        io::Write::flush(&mut self.backend)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Whoever drops it unasked is on the way out of an error or a panic: there is nobody left to tell.
        let _ = self.leave();
    }
}

/// The size of the terminal; where it does not say, 80 by 24.
pub fn size() -> io::Result<Size> {
    let (width, height) = crossterm::terminal::size()?;
    Ok(match (width, height) {
        (0, _) | (_, 0) => Size::new(80, 24),
        (width, height) => Size::new(width, height),
    })
}

fn restore(out: &mut impl Write) -> io::Result<()> {
    execute!(
        out,
        EndSynchronizedUpdate,
        DisableMouseCapture,
        DisableFocusChange,
        DisableBracketedPaste,
        ResetColor,
        LeaveAlternateScreen,
        cursor::Show
    )
}

/// A panic of the drawing thread gives the terminal back before it is told. One of another thread leaves the picture alone
/// and is told once the terminal is given back.
fn install_hook() {
    HOOK.call_once(|| {
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !TAKEN.load(Ordering::SeqCst) {
                return told(panic);
            }
            let here = thread::current().id();
            let ours = DRAWS.lock().map_or(true, |draws| *draws == Some(here));
            if ours {
                TAKEN.store(false, Ordering::SeqCst);
                let _ = restore(&mut io::stdout());
                let _ = disable_raw_mode();
                told(panic);
            } else if let Ok(mut reported) = REPORTED.lock()
                && reported.len() < REPORTS
            {
                reported.push(panic.to_string());
            }
        }));
    });
}

/// Panics of other threads since this was asked last.
pub fn reports() -> Vec<String> {
    REPORTED.lock().map_or_else(
        |_| Vec::new(),
        |mut reported| std::mem::take(&mut *reported),
    )
}

/// Stops this process like a shell's Ctrl-Z; returns once it goes on. The terminal must have been left.
pub fn stop_here() -> io::Result<()> {
    // To this thread: sent to the process, it could arrive at another one and the terminal be taken again before the stop.
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGTSTP).map_err(io::Error::from)
}
