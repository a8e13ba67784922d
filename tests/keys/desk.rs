//! A person at a console: keys go in as a script, effects come out, and the migration answers as an engine would.

use super::story::{ANA, Story};
use ratatui::layout::Size;
use tidegate::domain::command::{Answer, Command, Query, Reply};
use tidegate::domain::fault::Fault;
use tidegate::domain::id::{CommandId, Seq};
use tidegate::domain::unit::Span;
use tidegate::tui::keymap::script;
use tidegate::tui::model::{AskId, Now, TableOrder, Ui};
use tidegate::tui::update::{Effect, Msg, Scene, update};

pub struct Desk {
    pub ui: Ui,
    pub story: Story,
    /// What came out since it was last looked at.
    pub effects: Vec<Effect>,
    run: Span,
}

impl Desk {
    /// Ana, who leads, at 120 by 36.
    pub fn of(story: Story) -> Self {
        let mut ui = Ui {
            size: Size::new(120, 36),
            ..Ui::default()
        };
        ui.overview.order = TableOrder::Plan;
        let mut desk = Self {
            ui,
            story,
            effects: Vec::new(),
            run: Span::seconds(100),
        };
        desk.tell(Msg::Attached(ANA, false));
        desk.effects.clear();
        desk
    }

    pub fn tell(&mut self, msg: Msg) -> &mut Self {
        self.ui.now = Now {
            run: self.run,
            tick: self.story.tick,
            at: self.story.state.at,
        };
        let scene = Scene::now(&self.story.state);
        self.effects.extend(update(&mut self.ui, scene, msg));
        self
    }

    pub fn press(&mut self, keys: &str) -> &mut Self {
        for key in script(keys).unwrap() {
            let event = crossterm::event::KeyEvent::new(key.code, key.mods);
            self.tell(Msg::Key(event));
        }
        self
    }

    /// Time goes by and the engine is heard.
    pub fn wait(&mut self, span: Span) -> &mut Self {
        self.run += span;
        self.story.wait(span);
        self.tell(Msg::Heard);
        self.tell(Msg::Tick)
    }

    /// Time goes by in silence.
    pub fn silence(&mut self, span: Span) -> &mut Self {
        self.run += span;
        self.story.wait(span);
        self.tell(Msg::Tick)
    }

    /// The commands that were sent since this was asked last.
    pub fn sent(&mut self) -> Vec<Command> {
        let sent = self.effects.iter().filter_map(|e| match e {
            Effect::Send { command, .. } => Some(command.clone()),
            _ => None,
        });
        let sent = sent.collect();
        self.effects.clear();
        sent
    }

    /// The number of the last command sent.
    pub fn last(&self) -> CommandId {
        self.ui.sent.back().expect("nothing was sent").id
    }

    pub fn accept(&mut self) -> &mut Self {
        let id = self.last();
        self.tell(Msg::Reply(id, Reply::Accepted { seq: Seq(9) }))
    }

    pub fn refuse(&mut self, fault: Fault) -> &mut Self {
        let id = self.last();
        self.tell(Msg::Reply(id, Reply::Refused(fault)))
    }

    /// The questions asked since, with their numbers.
    pub fn asked(&self) -> Vec<(AskId, Query)> {
        let asked = self.effects.iter().filter_map(|e| match e {
            Effect::Ask { id, query } => Some((*id, query.clone())),
            _ => None,
        });
        asked.collect()
    }

    pub fn answer_dry_run(&mut self, lines: &[&str]) -> &mut Self {
        let asked = self.asked();
        let id = asked
            .iter()
            .rev()
            .find(|(_, q)| matches!(q, Query::DryRun(_)));
        let id = id.expect("no dry run was asked for").0;
        let lines = lines.iter().map(|l| (*l).to_string()).collect();
        self.tell(Msg::Answer(id, Answer::DryRun(lines)))
    }

    /// What was said last.
    pub fn notice(&self) -> &str {
        self.ui.notice.as_ref().map_or("", |n| &n.text)
    }

    /// The frame as text.
    pub fn frame(&self) -> String {
        let area = ratatui::layout::Rect::new(0, 0, self.ui.size.width, self.ui.size.height);
        let mut buf = ratatui::buffer::Buffer::empty(area);
        let scene = Scene::now(&self.story.state);
        tidegate::tui::draw(&scene.picture(&self.ui), area, &mut buf);
        let mut out = String::new();
        for y in 0..area.height {
            for x in 0..area.width {
                out.push_str(buf[(x, y)].symbol());
            }
            out.push('\n');
        }
        out
    }
}
