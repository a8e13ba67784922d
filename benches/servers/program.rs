//! Programs that are measured: tidegate and its peers, timed from start to end, with the memory they take.

use super::{PATIENCE, whole};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{File, read_to_string};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Between two looks at whether a program has ended.
const LOOK: Duration = Duration::from_millis(5);
/// Looks between two at what its children take: that reads all processes there are.
const CHILDREN: u32 = 20;

/// What a run took.
#[derive(Debug, Clone, Copy)]
pub struct Took {
    pub time: Duration,
    /// The most resident memory in kB, of the program and its children; none where it says nothing.
    pub memory: Option<u64>,
}

/// A run that is over.
pub struct Ran {
    pub took: Took,
    pub out: String,
    pub err: String,
    status: ExitStatus,
    what: String,
}

impl Ran {
    /// Ended with this code.
    pub fn expect(&self, code: i32) {
        assert_eq!(
            self.status.code(),
            Some(code),
            "{}: {}\n{}{}",
            self.what,
            self.status,
            tail(&self.out),
            tail(&self.err)
        );
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(30);
    lines[from..]
        .iter()
        .map(|line| format!("{line}\n"))
        .collect()
}

/// One of the server's programs, of the newest version that is here.
pub fn program(name: &str) -> PathBuf {
    if let Some(bin) = std::env::var_os("TIDEGATE_TEST_POSTGRES_BIN") {
        return Path::new(&bin).join(name);
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql");
    let newest = versions
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .max();
    let found = newest.map(|version| format!("/usr/lib/postgresql/{version}/bin/{name}"));
    found
        .map(PathBuf::from)
        .filter(|path| path.exists())
        .or_else(|| on_path(name))
        .unwrap_or_else(|| panic!("no {name}: install PostgreSQL's server, or tell where its programs are: TIDEGATE_TEST_POSTGRES_BIN"))
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// A program that is compared with, where it is here; says which version, or how to get it.
pub fn peer(name: &str, get: &str) -> Option<PathBuf> {
    let Some(found) = on_path(name) else {
        println!("{name} is not here and left out. To have it: {get}");
        return None;
    };
    let asked = Command::new(&found).arg("--version").output().unwrap();
    let said = String::from_utf8_lossy(&asked.stdout).into_owned();
    let version = said.lines().next().unwrap_or_default().trim();
    println!("{name}: {}", version.trim_start_matches(name).trim());
    Some(found)
}

/// A program that ends when the measurement does, however that ends.
pub fn tied(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}

/// tidegate: this build, or the one that `TIDEGATE` names.
pub fn tidegate(place: &Path) -> Command {
    let build = std::env::var_os("TIDEGATE");
    let build = build.unwrap_or_else(|| env!("CARGO_BIN_EXE_tidegate").into());
    let mut command = tied(build);
    command.env("XDG_STATE_HOME", place);
    command
}

/// Starts a program, waits for its end and watches its memory.
pub fn timed(command: &mut Command) -> Ran {
    let start = Instant::now();
    let mut running = Running::start(command);
    let mut looks = 0;
    let status = loop {
        if let Some(status) = running.child.try_wait().unwrap() {
            break status;
        }
        let memory = if looks % CHILDREN == 0 {
            with_children(running.child.id())
        } else {
            resident_peak(running.child.id())
        };
        running.peak = running.peak.max(memory);
        looks += 1;
        assert!(start.elapsed() < PATIENCE, "{command:?} does not end");
        std::thread::sleep(LOOK);
    };
    let time = start.elapsed();
    running.ran(time, status)
}

/// A program beside the measurement; killed when dropped.
pub struct Running {
    child: Child,
    what: String,
    out: File,
    err: File,
    peak: u64,
}

impl Running {
    pub fn start(command: &mut Command) -> Self {
        // Files, not pipes: nobody has to read them meanwhile.
        let (out, err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(err.try_clone().unwrap())
            .spawn()
            .unwrap();
        Self {
            child,
            what: format!("{command:?}"),
            out,
            err,
            peak: 0,
        }
    }

    /// The most resident memory so far in kB.
    pub fn peak(&self) -> u64 {
        resident_peak(self.child.id())
    }

    /// Asks it to end, which it does well.
    pub fn stop(self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        self.ended().expect(0);
    }

    /// Waits for its end.
    pub fn ended(mut self) -> Ran {
        let status = self.child.wait().unwrap();
        self.ran(Duration::ZERO, status)
    }

    fn ran(&self, time: Duration, status: ExitStatus) -> Ran {
        Ran {
            took: Took {
                time,
                memory: Some(self.peak),
            },
            out: whole(self.out.try_clone().unwrap()),
            err: whole(self.err.try_clone().unwrap()),
            status,
            what: self.what.clone(),
        }
    }

    /// Must not have ended by itself.
    pub fn assert_running(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            let said = whole(self.err.try_clone().unwrap());
            panic!("{}: ended by itself, {status}\n{}", self.what, tail(&said));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing where it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resident_peak(pid: u32) -> u64 {
    read_to_string(format!("/proc/{pid}/status"))
        .ok()
        .and_then(|status| {
            let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
            line.split_whitespace().nth(1)?.parse().ok()
        })
        .unwrap_or(0)
}

/// The same of a process and of all that descend from it and are alive.
fn with_children(pid: u32) -> u64 {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else {
            continue;
        };
        let stat = read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        // The name may hold anything but ends with the last bracket; then come the state and the parent.
        let parent = stat
            .rsplit_once(") ")
            .and_then(|(_, rest)| rest.split(' ').nth(1));
        if let Some(parent) = parent.and_then(|parent| parent.parse().ok()) {
            children.entry(parent).or_default().push(child);
        }
    }
    let (mut all, mut at) = (vec![pid], 0);
    while let Some(next) = all.get(at) {
        all.extend(children.remove(next).unwrap_or_default());
        at += 1;
    }
    all.into_iter().map(resident_peak).sum()
}

/// A migration with a folder of its own.
pub struct Migration {
    place: PathBuf,
}

impl Migration {
    pub fn new(place: PathBuf, name: &str, from: &str, to: &str) -> Self {
        std::fs::create_dir(&place).unwrap();
        let config = format!(
            "[migration]\nname = \"{name}\"\n[source]\nurl = \"{from}\"\n[target]\nurl = \"{to}\"\n"
        );
        std::fs::write(place.join("tidegate.toml"), config).unwrap();
        Self { place }
    }

    fn engine(&self) -> Command {
        let mut command = tidegate(&self.place);
        command.args(["engine", "-c"]);
        command.arg(self.place.join("tidegate.toml"));
        command
    }

    /// The whole program, from its start with preflight until the phase is reached and the engine parked.
    pub fn until(&self, phase: &str) -> Took {
        let ran = timed(self.engine().args(["--until", phase]));
        ran.expect(0);
        ran.took
    }

    /// An engine beside the measurement.
    pub fn start(&self) -> Running {
        Running::start(&mut self.engine())
    }
}
