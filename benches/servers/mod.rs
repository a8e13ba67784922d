//! Two PostgreSQL servers of a measurement's own, source and target. They are set as `initdb` leaves a server (fsync on), but for
//! the log that tidegate reads, and for the memory and the room between checkpoints that a server with such tables is given.
//!
//! All programs reach them the same way, over TCP on the loopback. A guard beside each one stops it and removes its files when the
//! measurement ends, however it ends.

#![allow(dead_code, reason = "each measurement uses a part of it")]

pub mod program;
pub mod session;
pub mod turns;

use program::{Took, program, tied, timed};
use session::Session;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SETTINGS: &str = "wal_level = logical\nmax_wal_size = 8GB\nshared_buffers = 1GB\n";
/// Within it everything comes about that comes about at all.
pub const PATIENCE: Duration = Duration::from_secs(600);
/// pgbench makes so many rows of `pgbench_accounts` at once.
const A_SCALE: u64 = 100_000;

/// A number from the environment, to measure less (or more) than is written down.
pub fn number(name: &str, usually: u64) -> u64 {
    let Ok(told) = std::env::var(name) else {
        return usually;
    };
    match told.replace(['_', ','], "").parse() {
        Ok(number) if number > 0 => number,
        _ => panic!("{name}={told}: a number, at least 1"),
    }
}

pub fn rounds() -> usize {
    number("TIDEGATE_BENCH_ROUNDS", 3) as usize
}

pub fn rows() -> u64 {
    number("TIDEGATE_BENCH_ROWS", 3_000_000)
}

/// Asks again and again, `pause` apart.
pub fn until(what: &str, pause: Duration, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "not {what}");
        std::thread::sleep(pause);
    }
}

/// A source and a target.
pub struct Pair {
    pub source: Server,
    pub target: Server,
}

impl Pair {
    /// Starts both, and says what they are.
    pub fn start() -> Self {
        let pair = Self {
            source: Server::start(),
            target: Server::start(),
        };
        let version = pair
            .source
            .text("postgres", "SELECT current_setting('server_version')");
        let settings = SETTINGS.trim().replace('\n', ", ").replace(" = ", "=");
        println!(
            "two servers, PostgreSQL {version}, in {} ({}), over TCP on 127.0.0.1; {settings}, all else as initdb leaves it, fsync on",
            place().display(),
            disk()
        );
        if let Some(build) = std::env::var_os("TIDEGATE") {
            println!("tidegate: {}", build.to_string_lossy());
        }
        pair
    }

    /// What somebody wrote before is on the disk before the next one's time begins.
    pub fn flush(&self) {
        self.source.run("postgres", "CHECKPOINT");
        self.target.run("postgres", "CHECKPOINT");
    }

    /// `COPY … TO STDOUT | COPY … FROM STDIN` in binary, of one table of the same name and columns, by two `psql` and a pipe.
    pub fn pipe(&self, table: &str, from: &str, to: &str) -> Took {
        let psql = |url: String, copy: String| {
            let mut psql = tied(program("psql"));
            psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", &copy])
                .arg(url);
            psql
        };
        let out = format!("COPY {table} TO STDOUT (FORMAT binary)");
        let into = format!("COPY {table} FROM STDIN (FORMAT binary)");
        let start = Instant::now();
        let mut reads = psql(self.source.url(from), out)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let piped = reads.stdout.take().unwrap();
        let wrote = psql(self.target.url(to), into)
            .stdin(Stdio::from(piped))
            .status()
            .unwrap();
        let read = reads.wait().unwrap();
        let time = start.elapsed();
        assert!(read.success() && wrote.success(), "COPY | COPY of {table}");
        Took { time, memory: None }
    }
}

/// The table of pgbench that holds most rows, with its key.
pub const ACCOUNTS: &str = "pgbench_accounts";
pub const CREATE_ACCOUNTS: &str = "CREATE TABLE pgbench_accounts (aid int NOT NULL PRIMARY KEY, bid int, abalance int, filler char(84)) \
     WITH (fillfactor = 100)";

/// A server; stopped and removed when dropped.
pub struct Server {
    dir: tempfile::TempDir,
    port: u16,
    guard: Child,
}

impl Server {
    fn start() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("tidegate-bench-")
            .tempdir_in(place())
            .unwrap();
        // Its user goes in; nobody else needs to.
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o700)).unwrap();
        if let Some(user) = server_user() {
            chown(dir.path(), Some(user), None).unwrap();
        }
        let guard = guard(dir.path());
        let server = Self {
            dir,
            port: free_port(),
            guard,
        };
        let data = server.dir.path().join("data");
        let how = [
            "-A",
            "trust",
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
        ];
        server.does(as_server(&program("initdb")).args(how).arg("-D").arg(&data));
        let file = data.join("postgresql.conf");
        let port = server.port;
        let conf = std::fs::read_to_string(&file).unwrap()
            + &format!(
                "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = ''\n{SETTINGS}"
            );
        std::fs::write(&file, conf).unwrap();
        let log = server.dir.path().join("log");
        server.does(
            as_server(&program("pg_ctl"))
                .args(["start", "-w", "-s", "-l"])
                .arg(log)
                .arg("-D")
                .arg(&data),
        );
        server
    }

    fn does(&self, command: &mut Command) {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null());
        let status = command.status().unwrap();
        let log = || std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        assert!(status.success(), "{command:?}: {status}\n{}", log());
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://{}", self.address(database))
    }

    /// A URL without its scheme, which programs spell in several ways.
    pub fn address(&self, database: &str) -> String {
        format!("postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// As libpq writes it in words.
    pub fn words(&self, database: &str) -> String {
        format!(
            "host=127.0.0.1 port={} user=postgres dbname={database}",
            self.port
        )
    }

    pub fn session(&self, database: &str) -> Session {
        Session::open(&self.url(database))
    }

    /// Statements, of which the server answers nothing.
    pub fn run(&self, database: &str, sql: &str) {
        self.session(database).run(sql);
    }

    /// The one value that a query gives, as text.
    pub fn text(&self, database: &str, sql: &str) -> String {
        self.session(database).text(sql)
    }

    /// An empty database, whatever was there.
    pub fn fresh(&self, database: &str) {
        let mut session = self.session("postgres");
        session.run(&format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)"));
        session.run(&format!("CREATE DATABASE {database}"));
    }

    /// pgbench's accounts and nothing else; how many rows they are.
    pub fn accounts(&self, database: &str) -> u64 {
        self.fresh(database);
        let rows = self.pgbench_tables(database);
        self.run(
            database,
            "DROP TABLE pgbench_history, pgbench_branches, pgbench_tellers",
        );
        rows
    }

    /// pgbench's four tables; how many accounts they have.
    pub fn pgbench_tables(&self, database: &str) -> u64 {
        let scale = rows().div_ceil(A_SCALE);
        let url = self.url(database);
        let made =
            timed(tied(program("pgbench")).args(["-i", "-q", "-s", &scale.to_string(), &url]));
        made.expect(0);
        scale * A_SCALE
    }

    /// What a migration leaves on a source goes, as the next one finds it untouched.
    pub fn forget_migration(&self, database: &str) {
        let mut session = self.session(database);
        until(
            "rid of its replication slots",
            Duration::from_millis(50),
            || {
                session.run("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active");
                session
                    .try_run("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
                    .is_ok()
            },
        );
        let publications = session.text(
            "SELECT coalesce(string_agg(format('DROP PUBLICATION %I', pubname), '; '), '') FROM pg_publication",
        );
        session.run(&publications);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of its input tells it.
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// Waits for the end of its input, which comes when the measurement ends, also by a signal; then stops the server, and removes
/// everything. A group of its own: a Ctrl-C at the terminal is not meant for it.
fn guard(dir: &Path) -> Child {
    const SCRIPT: &str = "dir=$1; shift; cat >/dev/null; \
        \"$@\" stop -w -s -m immediate -D \"$dir/data\"; rm -rf \"$dir\"";
    let stop = as_server(&program("pg_ctl"));
    Command::new("sh")
        .args(["-c", SCRIPT, "guard"])
        .arg(dir)
        .arg(stop.get_program())
        .args(stop.get_args())
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Where servers put their files: on a real disk (/tmp may be memory), where the servers' user may go.
fn place() -> PathBuf {
    std::env::var_os("TIDEGATE_BENCH_DIR").map_or_else(|| "/var/tmp".into(), PathBuf::from)
}

/// The kind of file system there.
fn disk() -> String {
    let stat = Command::new("stat")
        .args(["-f", "-c", "%T"])
        .arg(place())
        .output();
    stat.map_or_else(
        |_| "unknown".to_owned(),
        |stat| String::from_utf8_lossy(&stat.stdout).trim().to_owned(),
    )
}

/// A server refuses to run as root.
fn server_user() -> Option<u32> {
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    let user = nix::unistd::User::from_name("postgres").unwrap();
    Some(user.expect("a user named postgres").uid.as_raw())
}

fn as_server(program: &Path) -> Command {
    let mut command = if server_user().is_none() {
        Command::new(program)
    } else {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=postgres", "--regid=postgres", "--init-groups"])
            .arg(program);
        command
    };
    command.current_dir("/");
    command
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// A folder for journals and work files beside the build, on a real disk.
pub fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// What a file holds that somebody wrote through another handle, from its beginning.
fn whole(mut file: std::fs::File) -> String {
    use std::io::Seek as _;
    file.rewind().unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}
