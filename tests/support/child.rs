//! An engine in a process of its own, to be killed.
#![expect(
    clippy::exit,
    reason = "a child ends with the code that the test asks for, at once"
)]

use super::{Settings, World, me, person};
use serde::{Deserialize, Serialize};
use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command as Process, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tidegate::domain::command::{Command, Reply, Role};
use tidegate::domain::fault::{Fault, Result};
use tidegate::engine::Exit;

const ENGINE: &str = "TIDEGATE_TEST_ENGINE";
/// Before each line that is meant for the parent: the test harness writes to the same pipe.
const MARK: &str = "@@";

#[derive(Serialize, Deserialize)]
struct Given {
    folder: PathBuf,
    state: PathBuf,
    set: Settings,
}

/// What the parent says, one line each.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Say {
    /// A command of the console that leads.
    Order(Command),
    /// A command of one who only looks on.
    Observe(Command),
    /// Somebody comes and goes.
    Visit,
}

/// What the child says.
#[derive(Debug, Serialize, Deserialize)]
enum Said {
    Up,
    Reply(Reply),
    NotStarted(Fault),
    Ended(std::result::Result<String, Fault>),
}

fn tell(said: &Said) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{MARK}{}", serde_json::to_string(said).unwrap());
    let _ = out.flush();
}

/// What the process is when it was started to be the engine. Call it from a test named `an_engine`.
pub fn be_the_engine() {
    let Ok(given) = std::env::var(ENGINE) else {
        return;
    };
    let given: Given = serde_json::from_str(&given).unwrap();
    super::log();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(serve(given));
    std::process::exit(0);
}

async fn serve(given: Given) {
    let mut world = World::at(&given.folder, given.set);
    world.state = given.state;
    let running = match world.try_start(None).await {
        Ok(running) => std::sync::Arc::new(running),
        Err(fault) => return tell(&Said::NotStarted(fault)),
    };
    tell(&Said::Up);
    let heard = std::sync::Arc::clone(&running);
    let handle = tokio::runtime::Handle::current();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            let say: Say = serde_json::from_str(&line).unwrap();
            let running = std::sync::Arc::clone(&heard);
            handle.spawn(async move {
                match say {
                    Say::Order(command) => tell(&Said::Reply(running.send(command).await)),
                    Say::Observe(command) => {
                        let reply = running
                            .send_as(9, person(9, "olaf"), Role::Observer, command)
                            .await;
                        tell(&Said::Reply(reply));
                    }
                    Say::Visit => {
                        running.arrive(2, me(), Role::Operator).await;
                        running.leave(2).await;
                    }
                }
            });
        }
        // The parent is gone: so must be its child.
        std::process::exit(9);
    });
    let ended = running.ended_whenever().await;
    tell(&Said::Ended(ended.map(|exit| format!("{exit:?}"))));
}

impl super::Running {
    async fn ended_whenever(&self) -> Result<Exit> {
        let done = self.done.lock().await.take().unwrap();
        done.await.unwrap()
    }
}

/// How a child ended.
#[derive(Debug)]
pub enum End {
    /// The engine ended by itself.
    Itself(std::result::Result<String, Fault>),
    /// It could not start.
    NotStarted(Fault),
    /// The process ended without a word.
    Silent,
}

/// The parent's side.
pub struct ChildEngine {
    child: Child,
    stdin: ChildStdin,
    heard: Receiver<Said>,
}

impl ChildEngine {
    /// Starts a process with an engine over the world's files.
    pub fn start(world: &World) -> Self {
        let given = Given {
            folder: world.folder.clone(),
            state: world.state.clone(),
            set: world.set.clone(),
        };
        let mut child = Process::new(std::env::current_exe().unwrap())
            .args(["--exact", "an_engine", "--nocapture"])
            .env(ENGINE, serde_json::to_string(&given).unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(match std::env::var_os("TIDEGATE_TEST_LOG") {
                Some(_) => Stdio::inherit(),
                None => Stdio::null(),
            })
            .spawn()
            .unwrap();
        let (tell, heard) = channel();
        let stdout = std::io::BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines() {
                let Ok(line) = line else { return };
                // The harness may have begun the line.
                let said = line.find(MARK).map(|at| &line[at + MARK.len()..]);
                // A killed child leaves half a line behind.
                if let Some(said) = said.and_then(|said| serde_json::from_str(said).ok())
                    && tell.send(said).is_err()
                {
                    return;
                }
            }
        });
        Self {
            stdin: child.stdin.take().unwrap(),
            child,
            heard,
        }
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Says something; whether it is heard is seen in the journal.
    pub fn say(&mut self, say: &Say) {
        let _ = writeln!(self.stdin, "{}", serde_json::to_string(say).unwrap());
        let _ = self.stdin.flush();
    }

    pub fn order(&mut self, command: Command) {
        self.say(&Say::Order(command));
    }

    /// SIGKILL, now.
    pub fn kill(mut self) -> ExitStatus {
        let _ = self.child.kill();
        self.child.wait().unwrap()
    }

    /// Whether the process has ended.
    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until the engine has ended by itself.
    pub fn ended(mut self) -> End {
        let began = Instant::now();
        while !self.is_over() {
            assert!(began.elapsed() < super::PATIENCE, "the engine never ended");
            std::thread::sleep(Duration::from_millis(5));
        }
        loop {
            match self.heard.recv_timeout(Duration::from_secs(2)) {
                Ok(Said::Ended(how)) => return End::Itself(how),
                Ok(Said::NotStarted(fault)) => return End::NotStarted(fault),
                Ok(_) => {}
                Err(_) => return End::Silent,
            }
        }
    }

    /// Resident memory of the process, in bytes.
    pub fn resident(&self) -> u64 {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id()));
        let pages = statm
            .ok()
            .and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok());
        pages.unwrap_or(0) * 4096
    }
}

impl Drop for ChildEngine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
