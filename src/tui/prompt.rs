//! Questions before an act. Enter never accepts, nor does the key that began it: a slip must not be able to answer.

use super::keymap::Chord;
use super::model::Loaded;
use super::theme::Role;
use super::widget::input::Input;
use super::widget::page::Page;
use crate::domain::command::{Class, Command};
use crate::domain::id::Seq;
use crossterm::event::KeyCode;

/// What it takes to accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arm {
    /// `Y`.
    Yes,
    /// The migration's name, typed key by key, then Enter.
    Name {
        /// The name.
        must: String,
        /// What was typed so far.
        typed: Input,
    },
}

/// A question about one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// What would be done, by name.
    pub title: String,
    /// What it is based on.
    pub lines: Vec<String>,
    /// What the engine says would happen; `Idle` where it is not asked.
    pub dry: Loaded<Vec<String>>,
    /// What it takes.
    pub arm: Arm,
    /// What accepting does, in one word: `resume`.
    pub yes: &'static str,
    /// What not accepting does, in one word: `keep`.
    pub no: &'static str,
    /// The command.
    pub command: Command,
    /// The last fact the person could see when they were asked.
    pub seen: Seq,
    /// Said below the lines: why the last key did nothing.
    pub said: String,
}

/// What a key did to a popup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// Nothing, or it was typed.
    Stay,
    /// Leave without doing it.
    Close,
    /// Do it.
    Accept,
    /// Another choice was made: ask again what would happen.
    Changed,
}

impl Prompt {
    /// A question answered with `Y`. Disruptive commands wait for what the engine says would happen.
    pub fn yes(
        title: impl Into<String>,
        yes: &'static str,
        no: &'static str,
        command: Command,
        seen: Seq,
    ) -> Self {
        let dry = if command.class() >= Class::Disruptive {
            Loaded::Asked
        } else {
            Loaded::Idle
        };
        Self {
            title: title.into(),
            lines: Vec::new(),
            dry,
            arm: Arm::Yes,
            yes,
            no,
            command,
            seen,
            said: String::new(),
        }
    }

    /// With a line to base the answer on.
    pub fn line(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// Answered by typing the migration's name.
    pub fn name(mut self, must: impl Into<String>) -> Self {
        self.arm = Arm::Name {
            must: must.into(),
            typed: Input::default(),
        };
        self
    }

    /// Takes a key.
    pub fn key(&mut self, key: Chord) -> Reaction {
        self.said.clear();
        if key.code == KeyCode::Esc {
            return Reaction::Close;
        }
        match &mut self.arm {
            Arm::Yes => match key.code {
                KeyCode::Char('Y') if self.dry == Loaded::Asked => {
                    self.said = "what would happen is being worked out: a moment".into();
                    Reaction::Stay
                }
                KeyCode::Char('Y') if matches!(self.dry, Loaded::Failed(_)) => {
                    self.said = "what would happen is not known, so it can't be started".into();
                    Reaction::Stay
                }
                KeyCode::Char('Y') => Reaction::Accept,
                KeyCode::Char('n' | 'N' | 'q') => Reaction::Close,
                _ => {
                    self.said = format!("Y {} · Esc {}", self.yes, self.no);
                    Reaction::Stay
                }
            },
            Arm::Name { must, typed } => match (key.code, &mut self.command) {
                (KeyCode::Tab, Command::Abort { drop_target, .. }) => {
                    *drop_target = !*drop_target;
                    Reaction::Changed
                }
                (KeyCode::Enter, command) if typed.text() == must => {
                    if let Command::Abort { confirm, .. } = command {
                        confirm.clone_from(must);
                    }
                    Reaction::Accept
                }
                (KeyCode::Enter, _) => {
                    self.said = format!("that is not {must}");
                    Reaction::Stay
                }
                _ => {
                    typed.key(key);
                    Reaction::Stay
                }
            },
        }
    }

    /// A paste answers nothing.
    pub fn paste(&mut self) {
        self.said = match self.arm {
            Arm::Name { .. } => "pasted text is refused here: the name is typed by hand".into(),
            Arm::Yes => "pasted text is not an answer".into(),
        };
    }

    /// The popup.
    pub fn page(&self, caret: &str) -> Page {
        let mut page = Page::new(self.title.clone());
        for line in &self.lines {
            page = page.line(line, Role::Text);
        }
        match &self.dry {
            Loaded::Idle => {}
            Loaded::Asked => page = page.line("working out what would happen…", Role::Muted),
            Loaded::Have(lines) => {
                for line in lines {
                    page = page.line(line, Role::Warn);
                }
            }
            Loaded::Failed(fault) => {
                page = page.line(
                    format!("what would happen is not known: {fault}"),
                    Role::Bad,
                );
            }
        }
        let keys = match &self.arm {
            Arm::Yes => format!("Y {}", self.yes),
            Arm::Name { must, typed } => {
                let (head, tail) = typed.split();
                page.lines.push(vec![
                    (format!("Type {must} and Enter: "), Role::Text),
                    (format!("{head}{caret}{tail}"), Role::Title),
                ]);
                if matches!(self.command, Command::Abort { .. }) {
                    "Tab the other choice".into()
                } else {
                    String::new()
                }
            }
        };
        if !self.said.is_empty() {
            page = page.line(&self.said, Role::Bad);
        }
        page.keys = (keys, format!("Esc {}", self.no));
        page
    }
}
