//! The one Lease of an API server in memory, behind a network that a test disturbs.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::sleep;
use tower::BoxError;

/// What happens to one call.
#[derive(Debug, Clone, Copy)]
pub(super) enum CallBehaviour {
    /// Carried out after the first time, answered after the second one; also if the caller no longer waits.
    Served(Duration, Duration),
    /// Carried out after that time, but the response is lost.
    Unanswered(Duration),
    /// Neither carried out nor answered.
    Lost,
    /// Not carried out; this is the response.
    Refused(u16, &'static str),
}

impl CallBehaviour {
    pub(super) const PROMPT: Self = Self::Served(Duration::ZERO, Duration::ZERO);

    pub(super) fn serve(before: Duration) -> Self {
        Self::Served(before, Duration::ZERO)
    }
}

/// Decides what happens to the n-th call since it was set.
type Script = Box<dyn FnMut(u64, &Method) -> CallBehaviour + Send>;

/// The API server; clones share it.
#[derive(Clone)]
pub(super) struct ApiServer(Arc<Mutex<State>>);

struct State {
    lease: Option<Value>,
    version: u64,
    script: Script,
    calls: u64,
    conflicts: usize,
    clients: u64,
}

impl Default for ApiServer {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State {
            lease: None,
            version: 0,
            script: Box::new(|_, _| CallBehaviour::PROMPT),
            calls: 0,
            conflicts: 0,
            clients: 0,
        })))
    }
}

impl ApiServer {
    /// A client of its own connection.
    pub(super) fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { server.call(request).await }
        });
        Client::new(service, "operators")
    }

    /// A number that is given out once.
    pub(super) fn ordinal(&self) -> u64 {
        let mut state = self.lock();
        state.clients += 1;
        state.clients << 32
    }

    /// From now on calls behave like this.
    pub(super) fn script(&self, script: impl FnMut(u64, &Method) -> CallBehaviour + Send + 'static) {
        let mut state = self.lock();
        state.calls = 0;
        state.script = Box::new(script);
    }

    /// The Lease as it stands.
    pub(super) fn lease(&self) -> Value {
        self.lock().lease.clone().unwrap_or_default()
    }

    /// Who holds it.
    pub(super) fn holder(&self) -> String {
        let lease = self.lease();
        lease["spec"]["holderIdentity"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Another client writes its name into it, regardless of the holder.
    pub(super) fn overwrite_holder(&self, holder: &str) {
        let mut state = self.lock();
        let mut lease = state.lease.clone().unwrap();
        lease["spec"]["holderIdentity"] = json!(holder);
        state.store(lease);
    }

    /// Another client deletes it.
    pub(super) fn delete(&self) {
        self.lock().lease = None;
    }

    /// Writes that were refused because of a conflict.
    pub(super) fn conflicts(&self) -> usize {
        self.lock().conflicts
    }

    pub(super) fn forget_conflicts(&self) {
        self.lock().conflicts = 0;
    }

    async fn call(&self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let (head, body) = request.into_parts();
        let body = body.collect_bytes().await?;
        let behaviour = self.lock().behaviour(&head.method);
        let server = self.clone();
        let serve = move || server.lock().serve(&head.method, head.uri.path(), &body);
        match behaviour {
            // In a separate task: the server continues when the caller has timed out.
            CallBehaviour::Served(before, after) => {
                let task = tokio::spawn(async move {
                    sleep(before).await;
                    let answer = serve();
                    sleep(after).await;
                    answer
                });
                Ok(task.await?)
            }
            CallBehaviour::Unanswered(before) => {
                tokio::spawn(async move {
                    sleep(before).await;
                    serve();
                });
                std::future::pending().await
            }
            CallBehaviour::Lost => std::future::pending().await,
            CallBehaviour::Refused(code, message) => Ok(refusal(code, message)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    fn behaviour(&mut self, method: &Method) -> CallBehaviour {
        let number = self.calls;
        self.calls += 1;
        (self.script)(number, method)
    }

    fn serve(&mut self, method: &Method, path: &str, body: &[u8]) -> Response<Body> {
        const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/operators/leases";
        let of_one = path == format!("{LEASES}/desktop-deletion-operator");
        match (method.as_str(), self.lease.clone()) {
            ("GET", Some(lease)) if of_one => answer(200, &lease),
            ("GET" | "PUT", None) if of_one => refusal(404, "not found"),
            ("POST", None) if path == LEASES => self.store(serde_json::from_slice(body).unwrap()),
            ("POST", Some(_)) if path == LEASES => self.conflict("already exists"),
            ("PUT", Some(stored)) if of_one => {
                let lease: Value = serde_json::from_slice(body).unwrap();
                let version = &lease["metadata"]["resourceVersion"];
                // Without one, the API server would take the write over anything.
                if version.is_null() || *version == stored["metadata"]["resourceVersion"] {
                    self.store(lease)
                } else {
                    self.conflict("the object has been modified")
                }
            }
            _ => panic!("{method} {path} is no call of the election"),
        }
    }

    fn store(&mut self, mut lease: Value) -> Response<Body> {
        self.version += 1;
        lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let stored = answer(200, &lease);
        self.lease = Some(lease);
        stored
    }

    fn conflict(&mut self, message: &str) -> Response<Body> {
        self.conflicts += 1;
        refusal(409, message)
    }
}

fn refusal(code: u16, message: &str) -> Response<Body> {
    let reason = if code == 404 { "NotFound" } else { "" };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": code, "message": message, "reason": reason,
    });
    answer(code, &status)
}

fn answer(code: u16, body: &Value) -> Response<Body> {
    let body = Body::from(serde_json::to_vec(body).unwrap());
    Response::builder().status(code).body(body).unwrap()
}
