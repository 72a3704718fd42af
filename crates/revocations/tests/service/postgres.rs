//! A PostgreSQL server of the tests' own, from Debian's package; or the one that `TEST_POSTGRES_URL` names.

use crate::issuer::unique;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub(crate) struct Server {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
}

/// A server for all tests of this process, or none: then the tests that need it say so and end.
pub(crate) fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    let server = SERVER.get_or_init(|| {
        let programs = programs()?;
        remove_what_others_left();
        Some(run_to_the_end(Server::create(programs)))
    });
    if server.is_none() {
        assert!(std::env::var_os("CI").is_none(), "PostgreSQL is not installed, and CI must test with it");
        // not by `eprintln!`, which is shown of failing tests only
        let said = writeln!(std::io::stderr(), "SKIPPED: PostgreSQL is not installed (apt-get install postgresql)");
        said.unwrap();
    }
    server.as_ref()
}

/// The system ends a process with the thread that started it, so that thread stays as long as this process does.
fn run_to_the_end(server: Server) -> Server {
    let (started, is_started) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _running = server.start();
        started.send(server).unwrap();
        loop {
            std::thread::park();
        }
    });
    is_started.recv().unwrap()
}

/// Folders of processes that are gone.
fn remove_what_others_left() {
    for entry in std::fs::read_dir(std::env::temp_dir()).unwrap().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix("revocations-pg-")?.split('-').next());
        if process.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            // another run of the tests may be at it too
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Debian has one folder a version.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let folders = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    folders.filter(|folder| folder.join("initdb").exists()).max()
}

/// A server does not run as root.
fn as_nobody_special(program: &Path) -> Command {
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    if !is_root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=INT"]).arg(program);
    command
}

impl Server {
    /// A server with a folder, not running yet.
    pub(crate) fn create(programs: PathBuf) -> Self {
        // a socket's path is short, and the server's user must be let in
        let folder = std::env::temp_dir().join(unique("revocations-pg"));
        std::fs::create_dir_all(&folder).unwrap();
        let _ = Command::new("chown").arg("postgres").arg(&folder).status();
        let made = as_nobody_special(&programs.join("initdb"))
            .args(["--auth=trust", "--username=tester", "--no-sync", "-D"])
            .arg(folder.join("data"))
            .stdout(Stdio::null())
            .current_dir("/")
            .status()
            .unwrap();
        assert!(made.success(), "initdb failed");
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { programs, folder, port }
    }

    /// One of its own, for tests that stop it.
    pub(crate) fn alone() -> Option<Self> {
        server().map(|shared| Self::create(shared.programs.clone()))
    }

    /// Runs it until the value is dropped.
    pub(crate) fn start(&self) -> Guard {
        let child = as_nobody_special(&self.programs.join("postgres"))
            .arg("-D")
            .arg(self.folder.join("data"))
            .args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .current_dir("/")
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while std::thread::scope(|scope| scope.spawn(|| self.client("postgres").is_err()).join().unwrap()) {
            assert!(Instant::now() < deadline, "PostgreSQL did not start");
            std::thread::sleep(Duration::from_millis(100));
        }
        Guard(child)
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://tester@127.0.0.1:{}/{database}", self.port)
    }

    fn client(&self, database: &str) -> Result<postgres::Client, postgres::Error> {
        postgres::Client::connect(&self.url(database), postgres::NoTls)
    }

    /// The url of a new, empty database.
    pub(crate) fn database(&self) -> String {
        let name = unique("db").replace('-', "_");
        // its client has a runtime of its own, which must not be made within another
        std::thread::scope(|scope| {
            let made =
                scope.spawn(|| self.client("postgres").unwrap().batch_execute(&format!("CREATE DATABASE {name}")));
            made.join().unwrap().unwrap();
        });
        self.url(&name)
    }
}

/// A server that runs.
pub(crate) struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // an immediate end: as when its machine dies
        let _ = Command::new("kill").args(["-QUIT", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}
