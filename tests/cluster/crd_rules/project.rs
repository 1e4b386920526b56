//! `WorkspaceProject`: what a person may write.

use serde_json::{Value, json};

use super::{Allowed, Create, Expected, Object, Refused, Row, under};

const ENDPOINT: &str =
    "endpoint is immutable and can neither be added nor removed; create a new WorkspaceProject instead";
const IAM: &str =
    "iamEndpoint is immutable and can neither be added nor removed; create a new WorkspaceProject instead";
const LOGIN: &str = "credentials requires exactly one source: set one of accessKey, token and password";
const OTHER_CLOUD: &str = "a password requires iamEndpoint if endpoint is set";
const PEM: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

pub(super) fn rows() -> Vec<Row> {
    [
        creation(),
        credentials(),
        passwords(),
        urls(),
        immutability(),
        guardrails(),
        limits(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn create(name: &'static str, spec: Value, expected: Expected) -> Row {
    Row {
        name,
        before: json!({}),
        change: Create(under("spec", spec)),
        expected,
    }
}

fn creation() -> Vec<Row> {
    let key = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n";
    vec![
        create("create a project", json!({}), Allowed),
        create(
            "create a project without a region",
            json!({"region": null}),
            Refused("Required value"),
        ),
        create(
            "create a project with a region that is no part of a host name",
            json!({"region": "a.b"}),
            Refused("should match"),
        ),
        create(
            "create a project with a region in upper case",
            json!({"region": "AP-Southeast-1"}),
            Refused("should match"),
        ),
        create(
            "create a project with a path as its ID",
            json!({"projectID": "../v1"}),
            Refused("should match"),
        ),
        create(
            "create a project with certificates",
            json!({"caBundle": PEM}),
            Allowed,
        ),
        create(
            "create a project with invalid certificates",
            json!({"caBundle": "MIIB"}),
            Refused("should match"),
        ),
        create(
            "create a project with certificates of more than 64 KiB",
            json!({"caBundle": PEM.repeat(1200)}),
            Refused("Too long"),
        ),
        create(
            "create a project with a private key",
            json!({"caBundle": format!("{PEM}{key}")}),
            Refused("caBundle contains a private key; set certificates only"),
        ),
    ]
}

fn credentials() -> Vec<Row> {
    let secret = |name: &str| json!({"secretRef": {"name": name}});
    let row = |name, credentials, expected| create(name, json!({"credentials": credentials}), expected);
    vec![
        row(
            "create a project with a token",
            json!({"accessKey": null, "token": secret("login")}),
            Allowed,
        ),
        row(
            "create a project with a password",
            json!({"accessKey": null, "password": secret("login")}),
            Allowed,
        ),
        row(
            "create a project with two kinds of credentials",
            json!({"token": secret("login")}),
            Refused(LOGIN),
        ),
        row(
            "create a project with an access key and a password",
            json!({"password": secret("login")}),
            Refused(LOGIN),
        ),
        row(
            "create a project with a token and a password",
            json!({"accessKey": null, "token": secret("login"), "password": secret("login")}),
            Refused(LOGIN),
        ),
        row(
            "create a project with all three kinds of credentials",
            json!({"token": secret("login"), "password": secret("login")}),
            Refused(LOGIN),
        ),
        row(
            "create a project with no kind of credentials",
            json!({"accessKey": null}),
            Refused(LOGIN),
        ),
        row(
            "create a project with no credentials",
            json!(null),
            Refused("Required value"),
        ),
        row(
            "create a project with an unnamed Secret",
            json!({"accessKey": secret("")}),
            Refused("at least 1 chars"),
        ),
        row(
            "create a project with a Secret of another namespace",
            json!({"accessKey": secret("other/login")}),
            Refused("should match"),
        ),
        Row {
            name: "exchange the Secret",
            before: json!({}),
            change: Object(json!({"spec": {"credentials": {"accessKey": secret("new-login")}}})),
            expected: Allowed,
        },
        Row {
            name: "change the kind of credentials",
            before: json!({}),
            change: Object(json!({"spec": {"credentials": {"accessKey": null, "token": secret("token")}}})),
            expected: Allowed,
        },
        Row {
            name: "remove the credentials",
            before: json!({}),
            change: Object(json!({"spec": {"credentials": {"accessKey": null}}})),
            expected: Refused(LOGIN),
        },
    ]
}

/// A password goes to the identity service of the cloud that the project is in.
fn passwords() -> Vec<Row> {
    let password = json!({"accessKey": null, "password": {"secretRef": {"name": "login"}}});
    let (own, iam) = ("https://workspace.example.com", "https://iam.example.com");
    let row = |name, urls: Value, expected| {
        let mut spec = urls;
        spec["credentials"] = password.clone();
        create(name, spec, expected)
    };
    vec![
        row(
            "create a project of a private cloud with a password and without an identity service",
            json!({"endpoint": own}),
            Refused(OTHER_CLOUD),
        ),
        row(
            "create a project of a private cloud with a password and an identity service",
            json!({"endpoint": own, "iamEndpoint": iam}),
            Allowed,
        ),
        row(
            "create a project with a password and another identity service",
            json!({"iamEndpoint": iam}),
            Allowed,
        ),
        Row {
            name: "exchange the access key of a private cloud for a password",
            before: under("spec", json!({"endpoint": own})),
            change: Object(json!({"spec": {"credentials": password}})),
            expected: Refused(OTHER_CLOUD),
        },
    ]
}

fn urls() -> Vec<Row> {
    let row = |name, url: &str, expected| create(name, json!({"endpoint": url}), expected);
    let port = "the port must be between 1 and 65535";
    vec![
        row(
            "create a project at a host",
            "https://workspace.example.com",
            Allowed,
        ),
        row(
            "create a project at a host with a slash",
            "https://workspace.example.com/",
            Allowed,
        ),
        row("create a project at a port", "https://127.0.0.1:8443", Allowed),
        row(
            "create a project at the last port, with a slash",
            "https://127.0.0.1:65535/",
            Allowed,
        ),
        row(
            "create a project at port 65536",
            "https://127.0.0.1:65536",
            Refused(port),
        ),
        row(
            "create a project at port 99999, with a slash",
            "https://127.0.0.1:99999/",
            Refused(port),
        ),
        row("create a project at port 0", "https://127.0.0.1:0", Refused(port)),
        row(
            "create a project with a plain HTTP URL",
            "http://workspace.example.com",
            Refused("should match"),
        ),
        row(
            "create a project at a path",
            "https://workspace.example.com/v2",
            Refused("should match"),
        ),
        row(
            "create a project at a query",
            "https://workspace.example.com?x=y",
            Refused("should match"),
        ),
        row(
            "create a project with a password in the URL",
            "https://me:pw@example.com",
            Refused("should match"),
        ),
        row(
            "create a project with a line feed in the URL",
            "https://example.com\n",
            Refused("should match"),
        ),
        row("create a project with an empty URL", "", Refused("should match")),
        create(
            "create a project with an identity service",
            json!({"iamEndpoint": "https://iam.example.com:443"}),
            Allowed,
        ),
        create(
            "create a project with an identity service at port 99999",
            json!({"iamEndpoint": "https://iam.example.com:99999"}),
            Refused(port),
        ),
        create(
            "create a project with an identity service at a plain HTTP URL",
            json!({"iamEndpoint": "http://iam.example.com"}),
            Refused("should match"),
        ),
    ]
}

fn immutability() -> Vec<Row> {
    let row = |name, before, change, expected| Row {
        name,
        before: under("spec", before),
        change: Object(under("spec", change)),
        expected,
    };
    let (one, other) = ("https://a.example.com", "https://b.example.com");
    vec![
        row(
            "move to another region",
            json!({}),
            json!({"region": "cn-north-4"}),
            Refused("region is immutable; create a new WorkspaceProject instead"),
        ),
        row(
            "move to another project",
            json!({}),
            json!({"projectID": "fedcba9876543210"}),
            Refused("projectID is immutable; create a new WorkspaceProject instead"),
        ),
        row(
            "move to another endpoint",
            json!({"endpoint": one}),
            json!({"endpoint": other}),
            Refused(ENDPOINT),
        ),
        row(
            "add an endpoint",
            json!({}),
            json!({"endpoint": one}),
            Refused(ENDPOINT),
        ),
        row(
            "remove the endpoint",
            json!({"endpoint": one}),
            json!({"endpoint": null}),
            Refused(ENDPOINT),
        ),
        row(
            "move to another identity service",
            json!({"iamEndpoint": one}),
            json!({"iamEndpoint": other}),
            Refused(IAM),
        ),
        row(
            "add an identity service",
            json!({}),
            json!({"iamEndpoint": one}),
            Refused(IAM),
        ),
        row(
            "remove the identity service",
            json!({"iamEndpoint": one}),
            json!({"iamEndpoint": null}),
            Refused(IAM),
        ),
        row(
            "exchange the certificates",
            json!({"caBundle": PEM}),
            json!({"caBundle": PEM.repeat(2)}),
            Allowed,
        ),
        row(
            "remove the certificates",
            json!({"caBundle": PEM}),
            json!({"caBundle": null}),
            Allowed,
        ),
        row(
            "stop new submissions",
            json!({}),
            json!({"suspend": true}),
            Allowed,
        ),
        row(
            "let submissions go on",
            json!({"suspend": true}),
            json!({"suspend": null}),
            Allowed,
        ),
    ]
}

#[allow(clippy::needless_pass_by_value)] // rows read better
fn guarded(name: &'static str, guardrails: Value, expected: Expected) -> Row {
    create(name, json!({"guardrails": guardrails}), expected)
}

/// Guardrails other than the approval.
fn limits() -> Vec<Row> {
    vec![
        guarded(
            "create a project with every other guardrail",
            json!({
                "maxDesktopsPerRequest": 100, "allowForce": false, "allowDeleteUsers": false,
                "requiredTags": [{"key": "leaver"}, {"key": "fixture", "value": "test"}],
                "protectedTags": [{"key": "keep"}], "protectedNames": ["srv-*", "pc-?"],
                "pooledDesktops": "Refuse", "requireMaintenance": true,
                "windows": [
                    {"days": ["Monday", "Sunday"], "from": "22:00", "to": "06:00", "timeZone": "Europe/Berlin"},
                    {"from": "00:00", "to": "23:59", "timeZone": "UTC"},
                ],
            }),
            Allowed,
        ),
        guarded(
            "create a project that permits requests without a desktop",
            json!({"maxDesktopsPerRequest": 0}),
            Refused("should be greater than or equal to 1"),
        ),
        guarded(
            "create a project that permits more desktops than one request may have",
            json!({"maxDesktopsPerRequest": 101}),
            Refused("should be less than or equal to 100"),
        ),
        guarded(
            "create a project that protects two values of a tag",
            json!({"protectedTags": [{"key": "keep", "value": "a"}, {"key": "keep", "value": "b"}]}),
            Allowed,
        ),
        guarded(
            "create a project with a pattern twice",
            json!({"protectedNames": ["srv-*", "srv-*"]}),
            Refused("Duplicate value"),
        ),
        guarded(
            "create a project with a tag without a key",
            json!({"requiredTags": [{"value": "a"}]}),
            Refused("Required value"),
        ),
        guarded(
            "create a project with an empty pattern",
            json!({"protectedNames": [""]}),
            Refused("should be at least 1 chars long"),
        ),
        guarded(
            "create a project with a window that begins at no time",
            json!({"windows": [{"from": "24:00", "to": "06:00", "timeZone": "UTC"}]}),
            Refused("should match"),
        ),
        guarded(
            "create a project with a window that ends at no time",
            json!({"windows": [{"from": "22:00", "to": "6:00", "timeZone": "UTC"}]}),
            Refused("should match"),
        ),
        guarded(
            "create a project with a window in no time zone",
            json!({"windows": [{"from": "22:00", "to": "06:00"}]}),
            Refused("Required value"),
        ),
        guarded(
            "create a project with a window on a day that does not exist",
            json!({"windows": [{"days": ["Caturday"], "from": "22:00", "to": "06:00", "timeZone": "UTC"}]}),
            Refused("Unsupported value"),
        ),
        guarded(
            "create a project that treats desktops of a pool in another way",
            json!({"pooledDesktops": "Ask"}),
            Refused("Unsupported value"),
        ),
    ]
}

fn guardrails() -> Vec<Row> {
    vec![
        guarded("create a project with no guardrail", json!({}), Allowed),
        guarded(
            "create a project that requires an approval",
            json!({"approval": "Required"}),
            Allowed,
        ),
        guarded(
            "create a project that requires an approval of large requests",
            json!({"approval": "Required", "approvalAbove": 10}),
            Allowed,
        ),
        guarded(
            "create a project that requires no approval of large requests",
            json!({"approvalAbove": 10}),
            Refused("approvalAbove requires approval: Required"),
        ),
        guarded(
            "create a project that requires an approval of no request",
            json!({"approval": "Required", "approvalAbove": 100}),
            Refused("should be less than or equal to 99"),
        ),
        guarded(
            "create a project that requires an approval of requests without a desktop",
            json!({"approval": "Required", "approvalAbove": 0}),
            Refused("should be greater than or equal to 1"),
        ),
        guarded(
            "create a project with an approval of another kind",
            json!({"approval": "Twice"}),
            Refused("Unsupported value"),
        ),
        Row {
            name: "require an approval from now on",
            before: json!({}),
            change: Object(under("spec", json!({"guardrails": {"approval": "Required"}}))),
            expected: Allowed,
        },
        Row {
            name: "require an approval no longer",
            before: under("spec", json!({"guardrails": {"approval": "Required"}})),
            change: Object(under("spec", json!({"guardrails": null}))),
            expected: Allowed,
        },
    ]
}
