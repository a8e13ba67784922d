//! A server of a test's own.

use super::*;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A server of the test's own; stopped when dropped.
pub(super) struct Private {
    dir: tempfile::TempDir,
    bin: PathBuf,
}

impl Private {
    /// From the same programs as the server that the tests were given, which runs on this machine. Only by its socket, and for
    /// everybody.
    pub(super) async fn start() -> Self {
        let server = Self::made().await;
        server.run("local all all trust", "listen_addresses = ''");
        server
    }

    /// Not running yet.
    pub(super) async fn made() -> Self {
        let given = std::env::var("TIDEGATE_TEST_POSTGRES").expect("TIDEGATE_TEST_POSTGRES");
        let given = Server::at(&given, Side::Source).unwrap();
        let mut session = given.session().await.unwrap();
        let bin: String = sqlx::query_scalar("SELECT setting FROM pg_config WHERE name = 'BINDIR'")
            .fetch_one(session.conn().unwrap())
            .await
            .unwrap();
        // Below /tmp, where the server's user may go; a socket's path must be short too.
        let dir = tempfile::Builder::new()
            .prefix("feed")
            .tempdir_in("/tmp")
            .unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let server = Self {
            dir,
            bin: bin.into(),
        };
        if let Some(user) = server_user() {
            chown(server.dir.path(), Some(user), None).unwrap();
        }
        server.program("initdb", &["-A", "trust", "-U", "postgres", "--no-sync"]);
        server
    }

    /// Starts it with who is let in, and settings.
    pub(super) fn run(&self, who: &str, settings: &str) {
        std::fs::write(self.data().join("pg_hba.conf"), who).unwrap();
        let conf = format!(
            "unix_socket_directories = '{}'\nwal_level = logical\nfsync = off\n{settings}\n",
            self.dir().display()
        );
        std::fs::write(self.data().join("postgresql.auto.conf"), conf).unwrap();
        self.program("pg_ctl", &["start", "-w", "-s", "-l", "/dev/null"]);
    }

    /// Where it is; its user may write there.
    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// By its socket.
    pub(super) fn url(&self, who: &str) -> String {
        let dir = self.dir.path().display();
        format!("postgres://{who}@localhost/postgres?host={dir}")
    }

    fn program(&self, name: &str, args: &[&str]) {
        let done = as_server(&self.bin.join(name))
            .args(args)
            .arg("-D")
            .arg(self.data())
            .status()
            .unwrap();
        assert!(done.success(), "{name}: {done}");
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        // Nothing to do about it.
        let _ = as_server(&self.bin.join("pg_ctl"))
            .args(["stop", "-s", "-m", "immediate", "-D"])
            .arg(self.data())
            .status();
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

/// A program as the user that the server runs as.
pub(super) fn as_server(program: &Path) -> Command {
    if server_user().is_none() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=postgres", "--regid=postgres", "--init-groups"])
        .arg(program)
        .current_dir("/tmp");
    command
}
