//! Secrets without valid credentials: each is named on the project and on the request that waits for it, and nothing is
//! sent with it. The API server accepts these Secrets; the operator rejects them.

use std::collections::BTreeMap;

use futures::future::join_all;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use serde_json::{Value, json};
use testkit::Cloud;
use testkit::cloud::{ACCESS_KEY, SECRET_KEY};
use workspace_simulator::cloud::Operation;

use desktop_deletion_operator::crd::conditions::ConditionType::{Submitted, Succeeded};

use crate::fixture::{Fixture, desktop, message, pair, says};

/// The keys of a valid Secret for each kind of credentials.
const LOGINS: &[(&str, &[(&str, &str)])] = &[
    (
        "accessKey",
        &[
            ("accessKey", ACCESS_KEY),
            ("secretKey", SECRET_KEY),
            ("securityToken", "canary-security-token"),
        ],
    ),
    ("token", &[("token", "canary-token")]),
    (
        "password",
        &[
            ("domainName", "test"),
            ("userName", "robot"),
            ("password", "canary-password"),
        ],
    ),
];

/// A Secret that is good but for one key.
struct Row {
    what: &'static str,
    /// The kind of credentials.
    login: &'static str,
    key: &'static str,
    /// What the Secret has under that key; `None`: nothing.
    value: Option<&'static [u8]>,
    /// What the operator says of the key.
    told: &'static str,
}

const fn row(
    what: &'static str,
    login: &'static str,
    key: &'static str,
    value: &'static [u8],
    told: &'static str,
) -> Row {
    Row {
        what,
        login,
        key,
        value: Some(value),
        told,
    }
}

const fn missing(what: &'static str, login: &'static str, key: &'static str, told: &'static str) -> Row {
    Row {
        what,
        login,
        key,
        value: None,
        told,
    }
}

const EMPTY: &str = "is empty";
const BLANK: &str = "is blank";
const NO_TEXT: &str =
    "is not valid UTF-8; encode the value in base64 exactly once in data, or use stringData";
const LINE_FEED: &str =
    "ends with a line feed; create it with `kubectl create secret --from-literal` or `echo -n`";
const FIRST: &str = "contains a space, a control character or a non-ASCII character at position 1";
const THIRD: &str = "contains a space, a control character or a non-ASCII character at position 3";
const CONTROL: &str = "contains a control character at position 3";
const EDGE: &str = "begins or ends with whitespace";
const LONG: &str = "is 256 bytes long, more than the 255 that are allowed";

/// One more than keys and passwords may have, and one more than tokens may.
const X256: &[u8] = &[b'x'; 256];
const X40001: &[u8] = &[b'x'; 40_001];

#[rustfmt::skip]
const ROWS: &[Row] = &[
    missing("no access key id", "accessKey", "accessKey", "is missing; keys of the Secret: secretKey, securityToken"),
    missing("no secret key", "accessKey", "secretKey", "is missing; keys of the Secret: accessKey, securityToken"),
    missing("no token", "token", "token", "is missing; keys of the Secret: none"),
    missing("no account", "password", "domainName", "is missing; keys of the Secret: password, userName"),
    missing("no user", "password", "userName", "is missing; keys of the Secret: domainName, password"),
    missing("no password", "password", "password", "is missing; keys of the Secret: domainName, userName"),

    row("empty access key id", "accessKey", "accessKey", b"", EMPTY),
    row("empty secret key", "accessKey", "secretKey", b"", EMPTY),
    row("empty security token", "accessKey", "securityToken", b"", EMPTY),
    row("empty token", "token", "token", b"", EMPTY),
    row("empty account", "password", "domainName", b"", EMPTY),
    row("empty user", "password", "userName", b"", EMPTY),
    row("empty password", "password", "password", b"", EMPTY),

    row("blank access key id", "accessKey", "accessKey", b"   ", BLANK),
    row("blank secret key, a tab", "accessKey", "secretKey", b"\t", BLANK),
    row("blank security token, a line feed", "accessKey", "securityToken", b"\n", BLANK),
    row("blank token", "token", "token", b" ", BLANK),
    row("blank user, a no-break space", "password", "userName", "\u{a0}".as_bytes(), BLANK),
    row("blank password", "password", "password", b"  ", BLANK),

    row("access key id in UTF-16", "accessKey", "accessKey", b"\xff\xfeA\0", NO_TEXT),
    row("secret key that is no text", "accessKey", "secretKey", b"\x80\x81", NO_TEXT),
    row("token that is no text", "token", "token", b"MII\xc3\x28", NO_TEXT),
    row("user in Latin-1", "password", "userName", b"M\xfcller", NO_TEXT),
    row("password in Latin-1", "password", "password", b"pass\xf6", NO_TEXT),

    row("access key id of 256 bytes", "accessKey", "accessKey", X256, LONG),
    row("secret key of 256 bytes", "accessKey", "secretKey", X256, LONG),
    row("security token of 40 001 bytes", "accessKey", "securityToken", X40001, "is 40001 bytes long"),
    row("token of 40 001 bytes", "token", "token", X40001, "is 40001 bytes long"),
    row("account of 256 bytes", "password", "domainName", X256, LONG),
    row("password of 256 bytes", "password", "password", X256, LONG),

    row("access key id with a line end of Windows", "accessKey", "accessKey", b"AK\r\n", LINE_FEED),
    row("secret key with a line end", "accessKey", "secretKey", b"SK\n", LINE_FEED),
    row("token with a line end of Windows", "token", "token", b"MII\r\n", LINE_FEED),
    row("password with a line end", "password", "password", b"pass\n", LINE_FEED),
    row("another header after the access key id", "accessKey", "accessKey", b"AK\r\nX-Evil: 1", THIRD),
    row("another header after the security token", "accessKey", "securityToken", b"ST\r\nX-Evil: 1", THIRD),
    row("another header after the token", "token", "token", b"MI\r\nX-Evil: 1", THIRD),
    row("two lines of a password", "password", "password", b"pa\r\nss", CONTROL),

    row("zero byte in an access key id", "accessKey", "accessKey", b"AK\0", THIRD),
    row("zero byte in a password", "password", "password", b"pa\0ss", CONTROL),
    row("blank within a secret key", "accessKey", "secretKey", b"SK SK", THIRD),
    row("blank before a token", "token", "token", b" MII", FIRST),
    row("byte order mark before a token", "token", "token", "\u{feff}MII".as_bytes(), FIRST),
    row("zero-width space in a secret key", "accessKey", "secretKey", "SK\u{200b}".as_bytes(), THIRD),
    row("right-to-left text in a token", "token", "token", "MI\u{202e}I".as_bytes(), THIRD),
    row("blank after a password", "password", "password", b"pass ", EDGE),
    row("list of key and value as access key id", "accessKey", "accessKey", b"AK,SignedHeaders=host",
        "contains ',' or '=', which is invalid in an access key ID"),
];

impl Row {
    fn secret(&self, name: &str) -> Secret {
        let (_, good) = LOGINS.iter().find(|(login, _)| *login == self.login).unwrap();
        let mut data: BTreeMap<_, _> = good
            .iter()
            .map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())))
            .collect();
        match self.value {
            Some(value) => data.insert(self.key.to_owned(), ByteString(value.to_vec())),
            None => data.remove(self.key),
        };
        Secret {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            data: Some(data),
            ..Secret::default()
        }
    }

    /// Applies Secret, project and request; all of them have the name of the row.
    async fn apply(&self, fixture: &Fixture, name: &str) {
        let secrets = fixture.namespace.api::<Secret>();
        secrets
            .create(&PostParams::default(), &self.secret(name))
            .await
            .unwrap();
        put_project(fixture, &fixture.cloud, self.login, name).await;
    }

    /// What is wrong about what the operator says.
    async fn judge(&self, fixture: &Fixture, name: &str) -> Option<String> {
        let wanted = format!("Secret {name}: the key {} of the Secret {}", self.key, self.told);
        let ready = fixture.project_says(name, "SecretInvalid").await;
        let status = fixture.reason(name, Submitted, "ProjectNotReady").await;
        let told = [
            ready["message"].as_str().unwrap_or_default().to_owned(),
            message(&status, Submitted),
        ];
        let right = told.iter().all(|text| text.contains(&wanted))
            && says(&status, Succeeded) == pair("Unknown", "Waiting");
        (!right).then(|| format!("{}: not {wanted:?} but {told:#?}", self.what))
    }
}

/// Applies a project with that kind of credentials and a request, both of that name.
async fn put_project(fixture: &Fixture, cloud: &Cloud, login: &str, name: &str) {
    let mut project = cloud.project(name, name);
    project["spec"]["credentials"] = json!({login: {"secretRef": {"name": name}}});
    fixture.namespace.apply(&project).await.unwrap();
    let there = json!({"projectRef": {"name": name}});
    fixture.request_with(name, &[name], there).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_without_valid_credentials_is_reported_and_nothing_is_sent() {
    let fixture = Fixture::without_project("secrets", Cloud::world(), &[]).await;
    let good = Cloud::start(&Cloud::world()).await.unwrap();
    good.add_desktop(&desktop("good")).unwrap();
    let _operator = fixture.operator(&["--secret-refresh=5s"]);
    let name = |number: usize| format!("row-{number}");
    let rows = || ROWS.iter().enumerate();
    join_all(rows().map(async |(number, row)| row.apply(&fixture, &name(number)).await)).await;
    let told = join_all(rows().map(async |(number, row)| row.judge(&fixture, &name(number)).await)).await;
    // Among all of them one that can be served is.
    fixture.namespace.apply(&good.secret("good")).await.unwrap();
    put_project(&fixture, &good, "accessKey", "good").await;
    let status = fixture.completed("good").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    let wrong: Vec<_> = told.into_iter().flatten().collect();
    assert!(
        wrong.is_empty(),
        "{} of {} rows:\n{}",
        wrong.len(),
        ROWS.len(),
        wrong.join("\n")
    );
    assert_eq!(fixture.cloud.ledger(), [], "nothing was sent, not even a read");
}

/// Credentials that are well-formed, and that the cloud rejects: a description, their kind, their Secret, and the
/// response of the cloud.
type Refused = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
);

#[rustfmt::skip]
const REFUSED: &[Refused] = &[
    ("token that has expired", "token", &[("token", "canary-expired-token")], "decrypt token fail"),
    ("token that was never issued", "token", &[("token", "canary-made-up-token")], "decrypt token fail"),
    ("access key that does not exist", "accessKey",
        &[("accessKey", "TESTUNKNOWNKEY000001"), ("secretKey", "canary-secret")], "err:ak not exist"),
    ("secret key of another access key", "accessKey",
        &[("accessKey", ACCESS_KEY), ("secretKey", "canary-secret-of-another")], "verify aksk signature fail"),
    ("invalid security token", "accessKey",
        &[("accessKey", ACCESS_KEY), ("secretKey", SECRET_KEY), ("securityToken", "canary-none")],
        "X-Security-Token does not belong"),
    ("password that is wrong", "password",
        &[("domainName", "test"), ("userName", "robot"), ("password", "canary-wrong")], "The username or password is wrong"),
    ("account that does not exist", "password",
        &[("domainName", "nobody"), ("userName", "robot"), ("password", "canary-right")], "createToken: HTTP 401"),
];

fn refusing_world() -> Value {
    let mut world = Cloud::world();
    world["accounts"][0]["tokens"] =
        json!([{"token": "canary-expired-token", "user": "robot", "expires": "2026-01-01T00:00:00Z"}]);
    world["accounts"][0]["users"] = json!([{"name": "robot", "password": "canary-right"}]);
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_that_the_cloud_rejects_are_reported_and_nothing_is_submitted() {
    let fixture = Fixture::without_project("refused-logins", Cloud::world(), &[desktop("good")]).await;
    // Each project is checked once while the test looks: after a second rejection its message would be that no more
    // calls are made. Nor does a response that is read late show a wrong clock.
    let _operator = fixture.operator(&["--secret-refresh=5s", "--retry-max=10m", "--clock-skew=5m"]);
    // A separate cloud for each, since failures with one set of credentials can lock another.
    let judge = async |(number, (what, login, values, said)): (usize, &Refused)| {
        let cloud = Cloud::start(&refusing_world()).await.unwrap();
        let name = format!("row-{number}");
        cloud.add_desktop(&desktop(&name)).unwrap();
        let secret = testkit::manifests::secret(&name, values);
        fixture.namespace.apply(&secret).await.unwrap();
        put_project(&fixture, &cloud, login, &name).await;
        let ready = fixture.project_says(&name, "AuthenticationFailed").await;
        let status = fixture.reason(&name, Submitted, "AuthenticationFailed").await;
        let cure = "the cloud rejects the credentials; put valid ones into the project's Secret";
        for told in [ready["message"].as_str().unwrap(), &message(&status, Submitted)] {
            assert!(told.contains(cure) && told.contains(said), "{what}: {told}");
        }
        assert!(!status.to_string().contains("canary"), "{what}: {status:#}");
        assert_eq!(
            says(&status, Succeeded),
            pair("Unknown", "Waiting"),
            "{what}: {status:#}"
        );
        assert_eq!(cloud.calls(Operation::BatchDelete), [], "{what}");
    };
    join_all(REFUSED.iter().enumerate().map(judge)).await;
    fixture
        .namespace
        .apply(&fixture.cloud.secret("good"))
        .await
        .unwrap();
    put_project(&fixture, &fixture.cloud, "accessKey", "good").await;
    let status = fixture.completed("good").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
}
