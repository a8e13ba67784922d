//! A terminal that a program runs in, and what stands on its screen.

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Long enough for a debug build on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

struct Screen {
    parser: vt100::Parser,
    bytes: Vec<u8>,
    ended: bool,
}

pub struct Terminal {
    master: Box<dyn MasterPty + Send>,
    writer: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    screen: Arc<Mutex<Screen>>,
}

impl Terminal {
    /// Starts a program in a terminal of so many columns and lines. The environment says nothing that is not set here.
    pub fn start(
        program: &str,
        args: &[&str],
        env: &[(&str, &str)],
        (cols, rows): (u16, u16),
    ) -> Self {
        let size = PtySize {
            rows,
            cols,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(program);
        command.args(args);
        for name in [
            "NO_COLOR",
            "COLORTERM",
            "TMUX",
            "COLUMNS",
            "LINES",
            "LC_ALL",
            "LC_CTYPE",
        ] {
            command.env_remove(name);
        }
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        for (name, value) in env {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let screen = Arc::new(Mutex::new(Screen {
            parser: vt100::Parser::new(rows, cols, 0),
            bytes: Vec::new(),
            ended: false,
        }));
        let seen = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut piece = [0; 16 * 1024];
            while let Ok(n @ 1..) = reader.read(&mut piece) {
                let mut screen = seen.lock().unwrap();
                screen.parser.process(&piece[..n]);
                screen.bytes.extend_from_slice(&piece[..n]);
            }
            seen.lock().unwrap().ended = true;
        });
        let writer = pair.master.take_writer().unwrap();
        Self {
            master: pair.master,
            writer,
            child,
            screen,
        }
    }

    pub fn press(&mut self, keys: &str) {
        self.writer.write_all(keys.as_bytes()).unwrap();
        self.writer.flush().unwrap();
    }

    /// What stands on the screen.
    pub fn text(&self) -> String {
        self.screen.lock().unwrap().parser.screen().contents()
    }

    /// Everything the program ever wrote.
    pub fn bytes(&self) -> Vec<u8> {
        self.screen.lock().unwrap().bytes.clone()
    }

    pub fn look<T>(&self, at: impl FnOnce(&vt100::Screen) -> T) -> T {
        at(self.screen.lock().unwrap().parser.screen())
    }

    /// Waits until a text stands on the screen.
    #[track_caller]
    pub fn see(&self, text: &str) {
        self.until(text, |screen| screen.contents().contains(text));
    }

    /// Waits until something is true of the screen.
    #[track_caller]
    pub fn until(&self, what: &str, holds: impl Fn(&vt100::Screen) -> bool) {
        let begun = Instant::now();
        while !self.look(&holds) {
            assert!(
                begun.elapsed() < PATIENCE,
                "never saw {what:?}; the screen is\n{}",
                self.text()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn resize(&self, cols: u16, rows: u16) {
        // The parser first: what is drawn for the new size must find it. vt100 itself breaks on sizes of a few cells; to the
        // program they are what they are.
        let mut screen = self.screen.lock().unwrap();
        screen
            .parser
            .screen_mut()
            .set_size(rows.max(10), cols.max(40));
        drop(screen);
        let size = PtySize {
            rows,
            cols,
            pixel_width: 0,
            pixel_height: 0,
        };
        self.master.resize(size).unwrap();
    }

    /// Waits for the program to end and for all it wrote; gives its exit code.
    #[track_caller]
    pub fn end(&mut self) -> u32 {
        let begun = Instant::now();
        let code = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.exit_code();
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "it never ended:\n{}",
                self.text()
            );
            std::thread::sleep(Duration::from_millis(10));
        };
        while !self.screen.lock().unwrap().ended && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(10));
        }
        code
    }

    /// As if its machine had died.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Only when a test fails is it still there.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program under test.
pub fn tidegate() -> &'static str {
    env!("CARGO_BIN_EXE_tidegate")
}

/// A demo in `dir`, at a size.
pub fn demo(dir: &Path, env: &[(&str, &str)], size: (u16, u16)) -> Terminal {
    let dir = dir.to_str().unwrap();
    Terminal::start(
        tidegate(),
        &["demo", "--rows", "60000", "--dir", dir],
        env,
        size,
    )
}

/// How often a sequence of bytes stands in others.
pub fn count(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).filter(|w| *w == part).count()
}
