//! A running mock with an identity provider beside it, and short ways to talk to both ports.

use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::idp::Idp;

pub(crate) const WORKSPACE: &str = "7405619408829168";
pub(crate) const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub(crate) const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

pub(crate) type Form = Vec<(&'static str, String)>;

pub(crate) struct Bench {
    pub(crate) idp: Idp,
    pub(crate) url: String,
    pub(crate) admin: String,
    http: reqwest::Client,
}

/// The state that all tests begin with.
pub(crate) fn state(idp: &Idp) -> Value {
    let groups = json!([
        { "id": "777", "name": "data-eng", "assume": true, "permissions": { "jobs": ["303"] } },
        { "id": "888", "name": "admins", "assume": false },
    ]);
    let policy = json!({ "issuer": idp.issuer, "audiences": ["databricks"], "subject": "robot" });
    json!({
        "workspace_id": WORKSPACE,
        "account_id": "6f4a0000-0000-4000-8000-000000000001",
        "host": "adb-7405619408829168.8.azuredatabricks.net",
        "account_policies": [{ "issuer": idp.issuer, "audiences": ["databricks"], "subject_claim": "sub" }],
        "users": { "alice@example.com": { "groups": groups, "permissions": { "jobs": ["101", "202"] } } },
        "service_principals": {
            "sp-all": { "secret": "s3cret", "policies": [policy.clone()], "groups": groups },
            "sp-sql": { "secret": "narrow", "scopes": ["sql"], "policies": [policy] },
            "sp-nosecret": { "secret": null },
        },
    })
}

impl Bench {
    pub(crate) async fn start() -> Self {
        let idp = Idp::start().await;
        let any = "127.0.0.1:0".parse().unwrap();
        let running = mock_databricks::start(&state(&idp).to_string(), any, any).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { idp, url: running.url, admin: running.admin_url, http }
    }

    /// The form of an exchange that succeeds, for the account-wide policy.
    pub(crate) fn exchange_form(&self) -> Form {
        self.exchange_form_of(&self.idp.claims())
    }

    pub(crate) fn exchange_form_of(&self, claims: &Value) -> Form {
        let token = self.idp.sign(claims);
        let pairs = [("grant_type", EXCHANGE), ("subject_token_type", JWT), ("scope", "all-apis")];
        let mut form: Form = pairs.map(|(name, value)| (name, value.to_owned())).into();
        form.push(("subject_token", token));
        form
    }

    pub(crate) async fn token(&self, form: &Form) -> (u16, Value) {
        self.token_with(form, &[]).await
    }

    pub(crate) async fn token_with(&self, form: &Form, headers: &[(&str, &str)]) -> (u16, Value) {
        let kind = ("content-type", "application/x-www-form-urlencoded");
        let headers = [&[kind], headers].concat();
        self.send(Method::POST, "/oidc/v1/token", &headers, encode(form)).await
    }

    /// A token of sp-all by client credentials.
    pub(crate) async fn access_token(&self, scope: &str) -> String {
        let pairs = [("grant_type", "client_credentials"), ("scope", scope)];
        let (status, body) = self.token_with(&pairs.map(|(n, v)| (n, v.to_owned())).into(), &[SP_ALL]).await;
        assert_eq!(status, 200, "{body}");
        body["access_token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn exchanged(&self, form: &Form) -> String {
        let (status, body) = self.token(form).await;
        assert_eq!(status, 200, "{body}");
        body["access_token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> (u16, Value) {
        self.send(Method::GET, path, &[("authorization", &format!("Bearer {token}"))], String::new()).await
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: Value) -> (u16, Value) {
        self.send(Method::POST, path, &[("authorization", &format!("Bearer {token}"))], body.to_string()).await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> (u16, Value) {
        let answer = self.answer(method, path, headers, body).await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or(Value::Null))
    }

    pub(crate) async fn answer(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> reqwest::Result<Response> {
        let mut request = self.http.request(method, format!("{}{path}", self.url)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await
    }

    pub(crate) async fn ask_admin(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let request = self.http.request(method, format!("{}{path}", self.admin)).body(text);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    pub(crate) async fn order(&self, fault: Value) {
        let (status, body) = self.ask_admin(Method::POST, "/faults", fault).await;
        assert_eq!(status, 200, "{body}");
    }

    /// Sends bytes and returns all that comes until the other side closes.
    pub(crate) async fn raw(&self, bytes: &str) -> String {
        let address = self.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

/// `sp-all:s3cret`
pub(crate) const SP_ALL: (&str, &str) = ("authorization", "Basic c3AtYWxsOnMzY3JldA==");

pub(crate) fn encode(form: &Form) -> String {
    let escaped = |text: &str| -> String {
        text.bytes()
            .map(|byte| match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
                b' ' => "+".into(),
                other => format!("%{other:02X}"),
            })
            .collect()
    };
    let pairs: Vec<String> = form.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
    pairs.join("&")
}

/// The form with one field changed, or left out.
pub(crate) fn with(mut form: Form, name: &'static str, value: Option<&str>) -> Form {
    form.retain(|(existing, _)| *existing != name);
    form.extend(value.map(|value| (name, value.to_owned())));
    form
}

pub(crate) fn refused(answer: &(u16, Value), status: u16, error: &str, description: &str) {
    let (got, body) = answer;
    assert_eq!((*got, body["error"].as_str()), (status, Some(error)), "{body}");
    let text = body["error_description"].as_str().unwrap_or_default();
    assert!(text.contains(description), "{text:?} does not say {description:?}");
}
