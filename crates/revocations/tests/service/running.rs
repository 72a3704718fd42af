//! The service as a process: started with a configuration, spoken to over HTTP, ended or killed.

use crate::issuer::{Issuer, unique};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub(crate) const ADMIN: &str = "the-administrators-secret";
pub(crate) const RETENTION: u64 = 3600;

pub(crate) fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_databricks-kong-revocations"))
}

/// A folder of the test's own.
pub(crate) fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique("revocations"));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A configuration with everything that most tests need; JSON is YAML.
pub(crate) fn configuration(issuer: &Issuer, database: &str) -> Value {
    json!({
        "listen": "127.0.0.1:0",
        "database": database,
        "admin": {"secret": {"env": "TEST_ADMIN"}},
        "retention": RETENTION,
        "identity_providers": [{"name": "idp", "issuer": issuer.url(), "audiences": ["databricks"]}],
        "sources": [
            {"name": "logout", "type": "backchannel_logout", "provider": "idp", "audiences": ["client-1"]},
            {"name": "events", "type": "security_events", "provider": "idp", "audiences": ["revocations"],
             "subject_formats": ["iss_sub", "opaque", "email", "account"]},
        ],
    })
}

pub(crate) struct Running {
    pub(crate) url: String,
    pub(crate) folder: PathBuf,
    child: Child,
    log: Arc<Mutex<String>>,
    /// Ends with the service.
    reader: Option<JoinHandle<()>>,
    pub(crate) http: reqwest::Client,
}

impl Running {
    /// With [`configuration`], on a database of its own.
    pub(crate) fn start(issuer: &Issuer) -> Self {
        Self::start_with(&configuration(issuer, "revocations.db"))
    }

    pub(crate) fn start_with(configuration: &Value) -> Self {
        Self::start_in(folder(), configuration)
    }

    pub(crate) fn start_in(folder: PathBuf, configuration: &Value) -> Self {
        std::fs::write(folder.join("revocations.yml"), configuration.to_string()).unwrap();
        let mut child = binary()
            .args(["serve", "--config"])
            .arg(folder.join("revocations.yml"))
            .env("TEST_ADMIN", ADMIN)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut first = String::new();
        let address = loop {
            let Some(Ok(line)) = lines.next() else { panic!("the service did not start: {first}") };
            let said: Value = serde_json::from_str(&line).unwrap_or_default();
            if said["message"] == "listening" {
                break said["address"].as_str().unwrap().to_owned();
            }
            first.push_str(&line);
        };
        let log = Arc::new(Mutex::new(first));
        let rest = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                rest.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
        Self { url: format!("http://{address}"), folder, child, log, reader: Some(reader), http }
    }

    /// As far as it is read.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// The log, once it says this: what a request had logged is read behind its answer.
    pub(crate) async fn log_when(&self, says: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let log = self.log();
            if log.contains(says) {
                return log;
            }
            assert!(Instant::now() < deadline, "nothing says {says}: {log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// As `kill -9`.
    pub(crate) fn kill(mut self) -> PathBuf {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.folder.clone()
    }

    /// As `kill -TERM`: the exit code, and the whole log.
    pub(crate) fn terminate(mut self) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let code = self.child.wait().unwrap().code();
        self.reader.take().unwrap().join().unwrap();
        (code, self.log())
    }

    pub(crate) async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let mut request = self.http.request(method, format!("{}{path}", self.url)).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.send(Method::GET, path, &[], "").await
    }

    /// Pushes a security event token: status, and the answer's JSON if it has any.
    pub(crate) async fn push(&self, token: &str) -> (u16, Value) {
        let headers = [("content-type", "application/secevent+jwt")];
        parts(self.send(Method::POST, "/events", &headers, token).await).await
    }

    /// Posts a logout token.
    pub(crate) async fn logout(&self, token: &str) -> (u16, Value) {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let answer = self.send(Method::POST, "/backchannel-logout", &headers, &format!("logout_token={token}")).await;
        assert_eq!(answer.headers()["cache-control"], "no-store");
        parts(answer).await
    }

    /// A request of an administrator.
    pub(crate) async fn admin(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let secret = format!("Bearer {ADMIN}");
        parts(self.send(method, path, &[("authorization", &secret)], &body.to_string()).await).await
    }

    pub(crate) async fn feed(&self) -> Value {
        let answer = self.get("/feed/idp").await;
        assert_eq!(answer.status(), 200);
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    /// The feed, once it is as wanted.
    pub(crate) async fn feed_when(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let feed = self.feed().await;
            if is_so(&feed) {
                return feed;
            }
            assert!(Instant::now() < deadline, "{what}: {feed}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The value of a metric's line that begins so.
    pub(crate) async fn metric(&self, line: &str) -> Option<f64> {
        let page = self.get("/metrics").await.text().await.unwrap();
        let found = page.lines().find_map(|one| one.strip_prefix(line).map(str::trim));
        found.map(|value| value.parse().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // already gone, where a test ended it
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn parts(answer: Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
}

/// The values of one list of the feed, whether they are cut off for good or before a time.
pub(crate) fn values<'f>(feed: &'f Value, list: &str) -> Vec<&'f str> {
    let items = feed[list].as_array().unwrap();
    items.iter().map(|item| item.as_str().or_else(|| item["value"].as_str()).unwrap()).collect()
}
