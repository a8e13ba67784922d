//! Servers: the one that `tests/run` starts, and private ones that may be stopped; and `psql` to ask them with.

use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// Whatever a database or a role is set to, text means the same to who compares.
const SETTINGS: &str = "-c datestyle=ISO -c intervalstyle=postgres -c timezone=UTC -c extra_float_digits=1 \
    -c bytea_output=hex -c client_min_messages=warning -c search_path=public";

/// Where a server listens.
#[derive(Clone)]
pub struct Server {
    /// `host=…&port=…`
    address: String,
}

impl Server {
    /// The one that `tests/run` starts.
    pub fn shared() -> Self {
        let url = std::env::var("TIDEGATE_TEST_POSTGRES").expect("TIDEGATE_TEST_POSTGRES");
        let (_, address) = url.split_once('?').expect("…/postgres?host=…");
        Self {
            address: address.to_owned(),
        }
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@localhost/{database}?{}", self.address)
    }

    fn psql(&self, database: &str) -> Command {
        let mut psql = Command::new(program("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"])
            .arg(self.url(database))
            .env("PGOPTIONS", SETTINGS)
            .env("PGCLIENTENCODING", "UTF8");
        psql
    }

    /// What a script prints, or what is wrong with it.
    pub fn try_sql(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut psql = self.psql(database);
        psql.stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = psql.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let script = sql.to_owned();
        let writer = std::thread::spawn(move || stdin.write_all(script.as_bytes()));
        let output = child.wait_with_output().unwrap();
        // A script that failed was not read to its end.
        let _ = writer.join().unwrap();
        if output.status.success() {
            Ok(String::from_utf8(output.stdout).unwrap())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    pub fn sql(&self, database: &str, sql: &str) -> String {
        self.try_sql(database, sql).unwrap_or_else(|error| {
            panic!("{error}\n{}", sql.chars().take(2_000).collect::<String>())
        })
    }
}

/// One of the server's programs.
pub fn program(name: &str) -> PathBuf {
    let bin = std::env::var("TIDEGATE_TEST_POSTGRES_BIN").expect("TIDEGATE_TEST_POSTGRES_BIN");
    Path::new(&bin).join(name)
}

/// A server of a test's own; stopped when dropped.
pub struct Private {
    dir: Arc<tempfile::TempDir>,
    settings: &'static str,
}

impl Private {
    fn empty(settings: &'static str) -> Self {
        // Below /tmp, where the server's user may go; a socket's path must be short too.
        let dir = tempfile::Builder::new()
            .prefix("pgt")
            .tempdir_in("/tmp")
            .unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        if let Some(user) = server_user() {
            chown(dir.path(), Some(user), None).unwrap();
        }
        Self {
            dir: Arc::new(dir),
            settings,
        }
    }

    /// A standby of this server, by this name.
    pub fn followed_by(&self, name: &str) -> Self {
        let standby = Self::empty("");
        let from = format!("host={} user=postgres", self.dir.path().display());
        assert!(standby.program(
            "pg_basebackup",
            &["-R", "-X", "stream", "-c", "fast", "-d", &from]
        ));
        standby.set(&format!(
            "unix_socket_directories = '{}'\ncluster_name = '{name}'\nhot_standby = on\nwal_receiver_status_interval = 1\n",
            standby.dir.path().display()
        ));
        standby.up();
        standby
    }

    fn set(&self, conf: &str) {
        let file = self.dir.path().join("data/postgresql.conf");
        let whole = std::fs::read_to_string(&file).unwrap() + conf;
        std::fs::write(&file, whole).unwrap();
    }

    pub fn start(settings: &'static str) -> Self {
        let server = Self::empty(settings);
        let how = [
            "-A",
            "trust",
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ];
        assert!(server.program("initdb", &how));
        let conf = format!(
            "listen_addresses = ''\nunix_socket_directories = '{}'\nwal_level = logical\nfsync = off\n\
             max_connections = 100\n{settings}\n",
            server.dir.path().display()
        );
        server.set(&conf);
        server.up();
        server
    }

    pub fn server(&self) -> Server {
        Server {
            address: format!("host={}&port=5432", self.dir.path().display()),
        }
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join(".s.PGSQL.5432")
    }

    fn up(&self) {
        let log = self.dir.path().join("log");
        assert!(
            self.program(
                "pg_ctl",
                &["start", "-w", "-s", "-l", &log.to_string_lossy()]
            ),
            "{}: {}",
            self.settings,
            std::fs::read_to_string(&log).unwrap_or_default()
        );
    }

    /// Shut down as an administrator does it, within so many seconds.
    pub fn shut_down(&self, seconds: u32) -> bool {
        let within = seconds.to_string();
        self.program("pg_ctl", &["stop", "-s", "-w", "-t", &within, "-m", "fast"])
    }

    /// Started again.
    pub fn start_again(&self) {
        self.up();
    }

    /// Ended without a word to anybody, and started again.
    pub fn restart_immediate(&self) {
        assert!(self.program("pg_ctl", &["stop", "-s", "-w", "-m", "immediate"]));
        self.up();
    }

    fn program(&self, name: &str, args: &[&str]) -> bool {
        as_server(&program(name))
            .args(args)
            .arg("-D")
            .arg(self.dir.path().join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .unwrap()
            .success()
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        let _ = self.program("pg_ctl", &["stop", "-s", "-w", "-m", "immediate"]);
    }
}

/// The server refuses to run as root.
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
    // It outlives nobody: dropped, it is stopped.
    command.current_dir("/tmp").env_remove("TIDEGATE_TEST_RUN");
    command
}
