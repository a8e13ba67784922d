//! Plays the scenario: looks at the migration from a console of its own, releases steps by what it sees, and does what they
//! say with means that anybody has.

use super::stage::Stage;
use super::{Played, told};
use crate::attach::client::Client;
use crate::attach::wire::Greeting;
use crate::cli::world::World;
use crate::demo::corrupt;
use crate::demo::scenario::{Action, Auto, Do, Observed, Owner as Owned, Scenario, Stepper};
use crate::demo::witness;
use crate::domain::command::{Command, Role, Scope};
use crate::domain::fault::Result;
use crate::domain::id::CommandId;
use crate::faces::headless;
use crate::state::migration::{Migration, Owner, RepairState};
use crate::tap::{Ask, Tap as _, Tapped};
use crate::tui::model::Overlay;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// Between two looks of the witness.
const WITNESS: Duration = Duration::from_millis(500);
/// Between two lines of the witness without a screen.
const WITNESS_LINE: Duration = Duration::from_secs(5);
/// How long a killed engine stays away: long enough to see that the application does not care.
const DEAD_FOR: Duration = Duration::from_millis(1_200);

/// Who plays.
pub struct Director<'a> {
    stage: &'a Stage,
    stepper: Stepper,
    auto: bool,
    speed: f64,
    overlay: watch::Sender<Overlay>,
    lines: Option<World>,
    state: Migration,
    link: bool,
    sent: u64,
    dead_since: Option<Instant>,
    played: Played,
}

impl<'a> Director<'a> {
    /// With a screen the overlay is drawn; without one everything is told as lines.
    pub fn new(
        stage: &'a Stage,
        scenario: Scenario,
        auto: bool,
        speed: f64,
        overlay: watch::Sender<Overlay>,
        lines: Option<World>,
    ) -> Self {
        Self {
            stage,
            stepper: Stepper::new(&scenario, auto),
            auto,
            speed,
            overlay,
            lines,
            state: Migration::default(),
            link: false,
            sent: 0,
            dead_since: None,
            played: Played::default(),
        }
    }

    /// Plays until the story is told or the screen is left.
    pub async fn direct(mut self, stop: CancellationToken) -> Result<Played> {
        // Without a screen this is the only console, and leads; beside a screen it is the person's other hand.
        let role = if self.auto {
            Role::Operator
        } else {
            Role::Observer
        };
        let from = if self.lines.is_some() {
            "demo"
        } else {
            crate::engine::decide::SEND
        };
        let mut client =
            Client::attach(self.stage.dir().socket(), Greeting::new(role, from)).await?;
        let mut counting =
            witness::Running::new(crate::demo::app::ack::path(&self.stage.control()));
        let began = Instant::now();
        let mut timer = tokio::time::interval(LOOK);
        let (mut counted_at, mut told_at) = (began, began);
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(self.played),
                tapped = client.next() => match tapped {
                    Some(tapped) => self.hear(tapped)?,
                    None => return Ok(self.played),
                },
                _ = timer.tick() => {
                    self.revive()?;
                    if counted_at.elapsed() >= WITNESS {
                        counted_at = Instant::now();
                        let line = self.witness(&mut counting);
                        if told_at.elapsed() >= WITNESS_LINE {
                            told_at = Instant::now();
                            self.say(&line)?;
                            self.say(&headless::progress(&self.state))?;
                        }
                    }
                    let observed = self.observe();
                    for doing in self.stepper.advance(&observed, began.elapsed().mul_f64(self.speed)) {
                        self.act(doing, &mut client).await?;
                    }
                    if self.stepper.finished() && self.lines.is_some() {
                        self.played.finished = true;
                        return Ok(self.played);
                    }
                    self.played.finished = self.stepper.finished();
                }
            }
        }
    }

    fn hear(&mut self, tapped: Tapped) -> Result<()> {
        match tapped {
            Tapped::Snapshot(state) => {
                // What happened while nobody listened is told now.
                for line in state
                    .timeline
                    .iter()
                    .filter(|line| line.seq > self.state.seq)
                {
                    self.say(&headless::text(line))?;
                }
                self.state = (*state).clone();
                self.link = true;
            }
            Tapped::Event(event) => {
                self.link = true;
                self.state.apply(&event);
                if let Some(line) = headless::line(&event, &self.state) {
                    self.say(&line)?;
                }
            }
            Tapped::Sample(sample) => self.state.measure(&sample),
            Tapped::LinkLost { .. } => self.link = false,
            _ => {}
        }
        Ok(())
    }

    fn say(&self, line: &str) -> Result<()> {
        self.lines
            .as_ref()
            .map_or(Ok(()), |world| world.say(&format!("{line}\n")))
    }

    fn observe(&self) -> Observed {
        let state = &self.state;
        let repaired = !state.repairs.is_empty()
            && state
                .repairs
                .values()
                .all(|r| matches!(r.state, RepairState::Done { .. }))
            && state.drift().confirmed == 0;
        Observed {
            copied: state.copied(),
            lag: state.sample.lag.map(|lag| lag.to_duration()),
            synced: state.phase == crate::domain::event::Phase::Synced,
            equal: state.synced_and_equal(),
            repaired,
            paused: state.rested && state.paused(),
            engine_gone: !self.link,
            differ: state.drift().confirmed,
            owner: if state.owner() == Owner::Target {
                Owned::Target
            } else {
                Owned::Source
            },
            pressed: Vec::new(),
        }
    }

    fn witness(&mut self, counting: &mut witness::Running) -> String {
        let Ok(status) = witness::status(&self.stage.control()) else {
            return String::new();
        };
        let lost = counting.look(&self.stage.source()).ok();
        let line = witness::caption(&status, lost);
        self.overlay.send_modify(|o| o.witness.clone_from(&line));
        line
    }

    /// Starts the engine again that was killed.
    fn revive(&mut self) -> Result<()> {
        if self
            .dead_since
            .is_some_and(|since| since.elapsed() >= DEAD_FOR)
        {
            self.dead_since = None;
            self.stage.start_engine()?;
        }
        Ok(())
    }

    async fn act(&mut self, doing: Do, client: &mut Client) -> Result<()> {
        match doing {
            Do::Caption { text, key } => {
                self.say(&format!("▸ {text}"))?;
                self.overlay.send_modify(|o| {
                    o.caption = vec![text];
                    o.offer = key;
                    o.hidden = false;
                });
            }
            Do::Act(action) => self.stage_action(action).await?,
            Do::Auto(auto) => self.press(auto, client)?,
            Do::Late { step } => {
                self.say(&format!("late: {step}"))?;
                self.played.late.push(step.to_string());
            }
            Do::PassedOver { .. } => {}
        }
        Ok(())
    }

    async fn stage_action(&mut self, action: Action) -> Result<()> {
        match action {
            Action::App(command) => self.stage.tell_app(command).await?,
            Action::KillEngine => {
                self.stage.kill_engine();
                self.link = false;
                self.played.kills += 1;
                self.dead_since = Some(Instant::now());
                self.say("the engine is killed (kill -9)")?;
            }
            Action::GuardOff { table } => {
                let target = self.stage.target();
                on_thread(move || corrupt::drop_guard(&target, &table)).await?;
            }
            Action::Corrupt { table, how } => {
                let target = self.stage.target();
                let deeds = on_thread(move || corrupt::corrupt(&target, &table, how, 7)).await?;
                self.played.damaged += how.rows();
                for deed in deeds {
                    self.say(&format!("from outside: {deed}"))?;
                }
            }
        }
        Ok(())
    }

    fn press(&mut self, auto: Auto, client: &mut Client) -> Result<()> {
        let command = match auto {
            Auto::Pause => Command::Pause,
            Auto::Resume => Command::Resume,
            Auto::Repair => Command::Repair(Scope::All),
            Auto::Verify => Command::Verify(Scope::All),
            // Looking is the console's business; without a screen there is nothing to look at.
            Auto::Press(_) => return Ok(()),
        };
        self.sent += 1;
        client.send(Ask::Command {
            id: CommandId(self.sent),
            seen: self.state.seq,
            command,
            reason: None,
        })
    }
}

async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> crate::demo::error::Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| crate::cli::world::own("the demo broke", e))?
        .map_err(told)
}
