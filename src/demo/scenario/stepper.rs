//! Walks through a scenario. Pure: it is told what is seen and how much time has passed, and says what to do.

use std::time::Duration;

use super::{Action, Auto, Scenario, Step};

/// Who takes the application's writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Owner {
    /// The database that was there first.
    #[default]
    Source,
    /// Nobody, for a moment.
    Nobody,
    /// The new one.
    Target,
}

/// What a scenario can wait for, as of now.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Observed {
    /// Part of the rows that is copied, from 0 to 1.
    pub copied: f64,
    /// How far the target is behind; none while nobody knows.
    pub lag: Option<Duration>,
    /// Everything is copied and followed.
    pub synced: bool,
    /// Everything has been compared, and nothing differs.
    pub equal: bool,
    /// A repair has ended, and nothing differs any more.
    pub repaired: bool,
    /// Paused by somebody.
    pub paused: bool,
    /// The engine does not answer; the rest is what was known last.
    pub engine_gone: bool,
    /// Rows known to differ.
    pub differ: u64,
    /// Who takes the writes.
    pub owner: Owner,
    /// Keys pressed since the last look, as they are named on the screen: `P`, `n`, `Enter`.
    pub pressed: Vec<String>,
}

/// What has been seen at any time so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Before {
    pub paused: bool,
    pub engine_gone: bool,
}

/// What is to be done now.
#[derive(Debug, Clone, PartialEq)]
pub enum Do {
    /// Show this line, and offer this key.
    Caption {
        /// The line.
        text: String,
        /// The key to press.
        key: Option<String>,
    },
    /// Let this happen.
    Act(Action),
    /// What hands would have done by now; only in a demo without hands.
    Auto(Auto),
    /// The longest wait was over and the step happened all the same; what it did follows. Its caption does not: it would
    /// tell of something that has not been seen.
    Late {
        /// Which step.
        step: usize,
    },
    /// The longest wait was over and the step, being optional, did not happen.
    PassedOver {
        /// Which step.
        step: usize,
    },
}

/// Where a story is. Steps are counted from 1 in what it says.
#[derive(Debug, Clone)]
pub struct Stepper {
    steps: Vec<Step>,
    longest_wait: Duration,
    hands: bool,
    /// The step that is waited for, from 0.
    next: usize,
    /// When the step before leaves the stage.
    held_until: Duration,
    /// What hands do when it does.
    pending: Option<Auto>,
    /// When the condition of `next` held first.
    met: Option<Duration>,
    /// How long `next` has been waited for, without pauses.
    waited: Duration,
    seen_at: Duration,
    before: Before,
}

impl Stepper {
    /// At the beginning of a story. With `auto` it also says what hands would do.
    pub fn new(scenario: &Scenario, auto: bool) -> Self {
        Self {
            steps: scenario.steps.clone(),
            longest_wait: scenario.longest_wait,
            hands: !auto,
            next: 0,
            held_until: Duration::ZERO,
            pending: None,
            met: None,
            waited: Duration::ZERO,
            seen_at: Duration::ZERO,
            before: Before::default(),
        }
    }

    /// Looks, and says what is to be done, in order. `elapsed` is the time since the beginning of the story (faster or slower
    /// than real time, if the caller likes); it never goes back.
    pub fn advance(&mut self, seen: &Observed, elapsed: Duration) -> Vec<Do> {
        let passed = elapsed.saturating_sub(self.seen_at.max(self.held_until));
        // A person who pauses must not find the story gone on without them.
        if !seen.paused {
            self.waited += passed;
        }
        self.seen_at = elapsed;
        self.before.paused |= seen.paused;
        self.before.engine_gone |= seen.engine_gone;
        let mut dos = Vec::new();
        while let Some(step) = self.steps.get(self.next) {
            let on_stage = elapsed < self.held_until;
            if self.met.is_none()
                && (!on_stage || step.when.is_fleeting())
                && step.when.holds(seen, self.before)
            {
                self.met = Some(elapsed);
            }
            if on_stage {
                return dos;
            }
            dos.extend(self.pending.take().map(Do::Auto));
            let ready = self.met.is_some_and(|met| elapsed >= met + step.after);
            let over =
                self.met.is_none() && self.waited >= step.timeout.unwrap_or(self.longest_wait);
            if !ready && !over {
                return dos;
            }
            if over && step.optional {
                dos.push(Do::PassedOver {
                    step: self.next + 1,
                });
                self.go_on(elapsed);
                continue;
            }
            if over {
                dos.push(Do::Late {
                    step: self.next + 1,
                });
            } else if let Some(caption) = &step.caption {
                dos.push(Do::Caption {
                    text: filled(caption, seen),
                    key: step.key.clone(),
                });
            }
            dos.extend(step.acts.iter().cloned().map(Do::Act));
            if !self.hands {
                self.pending = step.auto.clone();
            }
            let held_until = elapsed + step.hold;
            self.go_on(held_until);
        }
        if elapsed >= self.held_until {
            dos.extend(self.pending.take().map(Do::Auto));
        }
        dos
    }

    /// Passes over the step that is waited for, without doing it, and what holds the stage now.
    pub fn skip(&mut self) {
        self.pending = None;
        self.go_on(self.seen_at);
    }

    /// Every step has happened or was passed over, and the last one has left the stage.
    pub fn finished(&self) -> bool {
        self.next >= self.steps.len() && self.seen_at >= self.held_until && self.pending.is_none()
    }

    /// The step that is waited for, from 1, and how many there are.
    pub fn place(&self) -> (usize, usize) {
        ((self.next + 1).min(self.steps.len()), self.steps.len())
    }

    fn go_on(&mut self, held_until: Duration) {
        self.next = (self.next + 1).min(self.steps.len());
        self.held_until = held_until;
        self.met = None;
        self.waited = Duration::ZERO;
    }
}

const FIGURES: [&str; 3] = ["lag", "differ", "copied"];

/// The first `{name}` in a caption that nothing can fill in.
pub(super) fn unknown_figure(caption: &str) -> Option<&str> {
    let mut names = caption
        .split('{')
        .skip(1)
        .map(|rest| rest.split('}').next().unwrap_or(rest));
    names.find(|name| !FIGURES.contains(name))
}

fn filled(caption: &str, seen: &Observed) -> String {
    let lag = seen.lag.map_or_else(
        || "?".to_owned(),
        |lag| format!("{:.1} s", lag.as_secs_f64()),
    );
    // Rounded down: 99.9 % is not yet all.
    let copied = format!("{} %", (seen.copied.clamp(0.0, 1.0) * 100.0).floor());
    caption
        .replace("{lag}", &lag)
        .replace("{differ}", &seen.differ.to_string())
        .replace("{copied}", &copied)
}
