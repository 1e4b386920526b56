//! A small cloud with a clock, and a client that signs by the vendor's guide.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jiff::{SignedDuration, Timestamp};
use ring::{digest, hmac};
use serde_json::{Value, json};
use workspace_simulator::cloud::{Cloud, Delivery, LedgerEntry, Request, Response};
use workspace_simulator::world::World;

/// The first project, to which the desktops belong.
pub(crate) const PROJECT: &str = "00000000000000000000000000000001";

/// Key with all rights.
pub(crate) const KEY: (&str, &str) = ("AK-ALL", "secret of AK-ALL");

/// Desktops `a`, `b`, `c` (fails) and `d` (stuck); sub-jobs wait 10 s, run 20 s, and the status is empty for the
/// last 5 s.
pub(crate) const WORLD: &str = "
accounts:
  - name: acme
    id: acme-id
    accessKeys:
      - {id: AK-ALL, secret: secret of AK-ALL}
      - {id: AK-READER, secret: secret of AK-READER, user: rita, permissions: ['workspace:desktops:list*']}
      - {id: AK-TEMPORARY, secret: secret of AK-TEMPORARY, securityToken: the token}
      - id: AK-TAGGED
        secret: secret of AK-TAGGED
        permissions: [{action: 'workspace:desktops:batchDelete', tags: {team: vdi}}]
    users:
      - {name: anna, password: right}
    tokens:
      - {token: ready-token, user: anna}
      - {token: token-of-second, user: anna, project: '00000000000000000000000000000002'}
      - {token: old-token, user: anna, expires: '2026-01-01T00:00:00Z'}
  - name: others
    accessKeys: [{id: AK-OTHERS, secret: secret of AK-OTHERS}]
projects:
  - {id: '00000000000000000000000000000001'}
  - {id: '00000000000000000000000000000002', name: second}
  - {id: '00000000000000000000000000000009', account: others}
desktops:
  - {id: a, user: anna}
  - {id: b, tags: {team: vdi}}
  - {id: c, outcome: {result: failed, errorCode: WKS.1, failReason: the port is in use}}
  - {id: d, outcome: stuck}
timings: {waiting: 10s, running: 20s, emptyStatus: 5s}
";

/// A cloud with a clock of its own.
pub(crate) struct Sim {
    pub(crate) cloud: Cloud,
    pub(crate) now: Timestamp,
}

impl Sim {
    pub(crate) fn new() -> Self {
        Self::of(WORLD)
    }

    /// The usual world with some switches set, given as YAML in braces.
    pub(crate) fn switched(switches: &str) -> Self {
        Self::of(&format!("{WORLD}\nswitches: {switches}\n"))
    }

    /// The usual world with other timings, given as YAML in braces.
    pub(crate) fn timed(timings: &str) -> Self {
        let usual = WORLD.lines().filter(|line| !line.starts_with("timings:"));
        Self::of(&format!(
            "{}\ntimings: {timings}\n",
            usual.collect::<Vec<_>>().join("\n")
        ))
    }

    pub(crate) fn of(world: &str) -> Self {
        let cloud = Cloud::new(World::parse(world).unwrap()).unwrap();
        Self {
            cloud,
            now: "2026-11-24T12:00:00Z".parse().unwrap(),
        }
    }

    /// Turns the clock on.
    pub(crate) fn pass(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    pub(crate) fn handle(&mut self, request: &Request) -> Delivery {
        self.cloud.handle(self.now, request)
    }

    /// The answer to a request that is expected to get a whole one.
    pub(crate) fn ask(&mut self, request: &Request) -> Response {
        match self.handle(request) {
            Delivery::Complete(response) => response,
            other => panic!("expected a whole answer, got {other:?}"),
        }
    }

    /// A signed read of the first project; `rest` is what follows the project in the path.
    pub(crate) fn get(&mut self, rest: &str) -> (u16, Value) {
        let request = signed(get(&format!("/v2/{PROJECT}/{rest}")), self.now, KEY);
        read(&self.ask(&request))
    }

    /// A signed batch deletion in the first project with this body.
    pub(crate) fn post(&mut self, body: &Value) -> (u16, Value) {
        let request = signed(batch_delete(body), self.now, KEY);
        read(&self.ask(&request))
    }

    /// Deletes desktops; gives the id of the job.
    pub(crate) fn delete(&mut self, ids: &[&str]) -> String {
        let (status, body) = self.post(&json!({"desktop_ids": ids}));
        assert_eq!(status, 202, "{body}");
        body["job_id"].as_str().unwrap().to_owned()
    }

    /// `status` and `task_status` of a desktop, or the HTTP status of a refusal.
    pub(crate) fn desktop(&mut self, id: &str) -> (String, String) {
        match self.get(&format!("desktops/{id}")) {
            (200, body) => {
                let desktop = &body["desktop"];
                let text = |name: &str| desktop[name].as_str().unwrap_or("null").to_owned();
                (text("status"), text("task_status"))
            }
            (status, _) => (status.to_string(), String::new()),
        }
    }

    /// Desktop id and status of each sub-job of a job.
    pub(crate) fn sub_jobs(&mut self, job: &str) -> Vec<(String, String)> {
        let (status, body) = self.get(&format!("workspace-sub-jobs?job_id={job}"));
        assert_eq!(status, 200, "{body}");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let jobs = body["jobs"].as_array().unwrap();
        jobs.iter()
            .map(|job| (text(&job["entities"]["desktop_id"]), text(&job["status"])))
            .collect()
    }

    pub(crate) fn last(&self) -> &LedgerEntry {
        self.cloud.ledger().last().unwrap()
    }
}

/// A GET with the headers that Workspace wants; `target` is path and query.
pub(crate) fn get(target: &str) -> Request {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("workspace.example"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Request {
        method: Method::GET,
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: Bytes::new(),
    }
}

pub(crate) fn post(target: &str, body: &Value) -> Request {
    Request {
        method: Method::POST,
        body: body.to_string().into(),
        ..get(target)
    }
}

pub(crate) fn batch_delete(body: &Value) -> Request {
    post(&format!("/v2/{PROJECT}/desktops/batch-delete"), body)
}

/// The request with one more header.
pub(crate) fn with(mut request: Request, name: &'static str, value: &str) -> Request {
    request.headers.insert(
        HeaderName::from_static(name),
        HeaderValue::from_str(value).unwrap(),
    );
    request
}

/// The request with all its headers signed; good for paths and queries that are in canonical form already.
pub(crate) fn signed(request: Request, at: Timestamp, (access_key, secret): (&str, &str)) -> Request {
    let date = at.strftime("%Y%m%dT%H%M%SZ").to_string();
    let request = with(request, "x-sdk-date", &date);
    let mut names: Vec<&str> = request.headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    let value = |name: &str| request.headers[name].to_str().unwrap();
    let lines: Vec<String> = names
        .iter()
        .map(|name| format!("{name}:{}\n", value(name)))
        .collect();
    let mut pairs: Vec<&str> = request.query.split('&').collect();
    pairs.sort_unstable();
    let canonical = format!(
        "{}\n{}/\n{}\n{}\n{}\n{}",
        request.method,
        request.path,
        pairs.join("&"),
        lines.concat(),
        names.join(";"),
        hex(digest::digest(&digest::SHA256, &request.body).as_ref()),
    );
    let canonical = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("SDK-HMAC-SHA256\n{date}\n{canonical}").as_bytes());
    let header = format!(
        "SDK-HMAC-SHA256 Access={access_key}, SignedHeaders={}, Signature={}",
        names.join(";"),
        hex(tag.as_ref()),
    );
    let mut request = request;
    request
        .headers
        .insert(AUTHORIZATION, HeaderValue::from_str(&header).unwrap());
    request
}

/// Status and JSON body of an answer.
pub(crate) fn read(response: &Response) -> (u16, Value) {
    (
        response.status.as_u16(),
        serde_json::from_slice(&response.body).unwrap(),
    )
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}
