//! Invalid input: missing and wrong values, strange characters, fields of other spellings, and every edit of
//! what may not be edited.

use serde_json::{Value, json};

use super::{Create, Object, Refused, Row, Strict, under};

const MISSING: Refusal = "Required value";
const PATTERN: Refusal = "should match";
const NO_STRING: Refusal = "must be of type string";
const NO_BOOLEAN: Refusal = "must be of type boolean";
const NO_ARRAY: Refusal = "must be of type array";
const NO_OBJECT: Refusal = "must be of type object";
const NO_TIME: Refusal = "must be of type date-time";
const PORT: Refusal = "the port must be between 1 and 65535";
const FROZEN: Refusal = "; create a new DesktopDeletion instead";

type Refusal = &'static str;

fn create(name: &'static str, spec: Value, refusal: Refusal) -> Row {
    Row {
        name,
        before: json!({}),
        change: Create(under("spec", spec)),
        expected: Refused(refusal),
    }
}

fn strict(name: &'static str, spec: Value, refusal: Refusal) -> Row {
    Row {
        change: Strict(under("spec", spec)),
        ..create(name, json!({}), refusal)
    }
}

fn edit(name: &'static str, before: Value, spec: Value, refusal: Refusal) -> Row {
    Row {
        name,
        before,
        change: Object(under("spec", spec)),
        expected: Refused(refusal),
    }
}

pub(super) fn deletions() -> Vec<Row> {
    let mut rows = characters();
    rows.extend(deletion_types());
    rows.extend(deletion_spellings());
    rows.extend(times());
    rows.extend(late_edits());
    rows
}

pub(super) fn projects() -> Vec<Row> {
    let mut rows = project_types();
    rows.extend(urls("endpoint"));
    rows.extend(urls("iamEndpoint"));
    rows.extend(project_edits());
    rows
}

/// Each as one of two desktops.
#[rustfmt::skip]
fn characters() -> Vec<Row> {
    let id = |name, id: &str, refusal| create(name, json!({"desktopIDs": ["d1", id]}), refusal);
    vec![
        id("name a desktop by a zero byte at its end", "d2\0", PATTERN),
        id("name a desktop by a zero byte within", "d\u{0}2", PATTERN),
        id("name a desktop by a space of no width", "d2\u{200b}", PATTERN),
        id("name a desktop by a joiner of no width", "d\u{200d}2", PATTERN),
        id("name a desktop by a byte order mark", "\u{feff}d2", PATTERN),
        id("name a desktop by a soft hyphen", "d\u{ad}2", PATTERN),
        id("name a desktop by text from right to left", "\u{202e}2d", PATTERN),
        id("name a desktop by an isolate from right to left", "d2\u{2067}", PATTERN),
        id("name a desktop by full-width digits", "d\u{ff12}", PATTERN),
        id("name a desktop by a Cyrillic letter that looks alike", "\u{501}2", PATTERN),
        id("name a desktop by a combining accent", "d\u{301}2", PATTERN),
        id("name a desktop by an emoji", "d\u{1f5a5}", PATTERN),
        id("name a desktop by a line feed before it", "\nd2", PATTERN),
        id("name a desktop by a carriage return", "d2\r", PATTERN),
        id("name a desktop by two lines", "d2\nd3", PATTERN),
        id("name a desktop by a line separator", "d2\u{2028}", PATTERN),
        id("name a desktop by a tab", "d\t2", PATTERN),
        id("name a desktop by a blank", " ", PATTERN),
        id("name a desktop by a blank after it", "d2 ", PATTERN),
        id("name a desktop by a path", "d2/..", PATTERN),
        id("name a desktop by the folder above", "..", PATTERN),
        id("name a desktop by a backslash", "d\\2", PATTERN),
        id("name a desktop by a query", "d2&force=true", PATTERN),
        id("name a desktop by a fragment", "d2#", PATTERN),
        id("name a desktop by a slash, encoded", "d2%2f", PATTERN),
        id("name a desktop by a comma", "d2,d3", PATTERN),
        id("name a desktop by a star", "*", PATTERN),
        id("name a desktop by a quote", "d2\"", PATTERN),
        id("name a desktop by a brace", "{d2}", PATTERN),
        id("name a desktop by an option", "-d2", PATTERN),
        id("name a desktop by an underscore before it", "_d2", PATTERN),
        id("name a desktop by 256 characters", &"d".repeat(256), "Too long: may not be more than 255"),
    ]
}

#[rustfmt::skip]
fn deletion_types() -> Vec<Row> {
    vec![
        create("create a request without a spec", json!(null), MISSING),
        create("create a request with an empty spec", json!({"projectRef": null, "desktopIDs": null}), MISSING),
        create("create a request with a list as spec", json!([]), NO_OBJECT),
        create("name the desktops by one text", json!({"desktopIDs": "d1,d2"}), NO_ARRAY),
        create("name the desktops by an object", json!({"desktopIDs": {"d1": true}}), NO_ARRAY),
        create("name a desktop by a number", json!({"desktopIDs": ["d1", 2]}), NO_STRING),
        create("name a desktop by null", json!({"desktopIDs": ["d1", null]}), NO_STRING),
        create("name a desktop by a list", json!({"desktopIDs": ["d1", ["d2"]]}), NO_STRING),
        create("name a desktop by an object", json!({"desktopIDs": ["d1", {"id": "d2"}]}), NO_STRING),
        create("name the project by a text", json!({"projectRef": "prod"}), NO_OBJECT),
        create("name the project by a number", json!({"projectRef": {"name": 1}}), NO_STRING),
        create("name the project by null", json!({"projectRef": {"name": null}}), MISSING),
        create("name the project in capitals", json!({"projectRef": {"name": "Prod"}}), PATTERN),
        create("name the project by two lines", json!({"projectRef": {"name": "prod\n"}}), PATTERN),
        create("name the project by 254 characters", json!({"projectRef": {"name": "p".repeat(254)}}), "Too long"),
        create("force by a number", json!({"force": 1}), NO_BOOLEAN),
        create("force by a text", json!({"force": "true"}), NO_BOOLEAN),
        create("delete users by a text", json!({"deleteUsers": "false"}), NO_BOOLEAN),
        create("notify by a list", json!({"emailNotification": [true]}), NO_BOOLEAN),
        create("suspend by a text", json!({"suspend": "yes"}), NO_BOOLEAN),
    ]
}

/// `kubectl apply` refuses unknown fields; with any other client such a field is dropped silently.
#[rustfmt::skip]
fn deletion_spellings() -> Vec<Row> {
    vec![
        create("name the desktops in snake case", json!({"desktopIDs": null, "desktop_ids": ["d1"]}), MISSING),
        create("name the desktops with a small d", json!({"desktopIDs": null, "desktopIds": ["d1"]}), MISSING),
        create("name the project in snake case", json!({"projectRef": null, "project_ref": {"name": "prod"}}), MISSING),
        strict("apply the mail flag in snake case", json!({"email_notification": false}), "spec.email_notification: field not declared in schema"),
        strict("apply the user flag in snake case", json!({"delete_users": true}), "spec.delete_users: field not declared in schema"),
        strict("apply the force flag of the cloud", json!({"is_force_delete": true}), "spec.is_force_delete: field not declared in schema"),
        strict("apply the deadline in snake case", json!({"not_after": "2026-12-05T00:00:00Z"}), "spec.not_after: field not declared in schema"),
        strict("apply a flag in capitals", json!({"Suspend": true}), "spec.Suspend: field not declared in schema"),
        strict("apply a namespace for the project", json!({"projectRef": {"namespace": "other"}}), "spec.projectRef.namespace: field not declared in schema"),
    ]
}

#[rustfmt::skip]
fn times() -> Vec<Row> {
    let time = |name, time: Value, refusal| create(name, json!({"notAfter": time}), refusal);
    vec![
        time("set a deadline in words", json!("tomorrow"), NO_TIME),
        time("set an empty deadline", json!(""), NO_TIME),
        time("set a deadline by a number", json!(1_796_428_800), NO_TIME),
        time("set a deadline with a blank in place of T", json!("2026-12-05 00:00:00Z"), NO_TIME),
        time("set a deadline with a small z", json!("2026-12-05T00:00:00z"), PATTERN),
        time("set a deadline without seconds", json!("2026-12-05T00:00Z"), NO_TIME),
        time("set a deadline in hour 24", json!("2026-12-05T24:00:00Z"), NO_TIME),
        time("set a deadline on the 31st of November", json!("2026-11-31T00:00:00Z"), NO_TIME),
        time("set a deadline before 1970", json!("1969-12-31T23:59:59Z"), "must be between the years 1970 and 9998"),
        time("set a deadline with a zone of no minutes", json!("2026-12-05T00:00:00+08"), NO_TIME),
        time("set a deadline with a line feed", json!("2026-12-05T00:00:00Z\n"), NO_TIME),
    ]
}

/// After the end nothing of the spec may change but `suspend`, and the sentence says what to do.
#[rustfmt::skip]
fn late_edits() -> Vec<Row> {
    let before = || json!({"spec": {"notAfter": "2026-12-05T00:00:00Z"}, "status": super::deletion_status::finished()});
    let late = |name, spec, refusal| edit(name, before(), spec, refusal);
    vec![
        late("add a desktop after its end", json!({"desktopIDs": ["d1", "d2", "d3"]}), FROZEN),
        late("change the order of the desktops after its end", json!({"desktopIDs": ["d2", "d1"]}), FROZEN),
        late("point to another project after its end", json!({"projectRef": {"name": "test"}}), FROZEN),
        late("force it after its end", json!({"force": true}), FROZEN),
        late("have the users deleted after its end", json!({"deleteUsers": true}), FROZEN),
        late("disable the email notification after its end", json!({"emailNotification": false}), FROZEN),
        late("extend the deadline after its end", json!({"notAfter": "2027-12-05T00:00:00Z"}), FROZEN),
        late("remove the deadline after its end", json!({"notAfter": null}), FROZEN),
        late("remove the desktops after its end", json!({"desktopIDs": null}), MISSING),
    ]
}

#[rustfmt::skip]
fn project_types() -> Vec<Row> {
    vec![
        create("create a project without a spec", json!(null), MISSING),
        create("create a project without an ID", json!({"projectID": null}), MISSING),
        create("create a project with an empty ID", json!({"projectID": ""}), "at least 1 chars"),
        create("create a project with a number as its ID", json!({"projectID": 7}), NO_STRING),
        create("create a project with an ID of 256 characters", json!({"projectID": "p".repeat(256)}), "Too long"),
        create("create a project with a line feed in its ID", json!({"projectID": "p1\n"}), PATTERN),
        create("create a project with a zero byte in its ID", json!({"projectID": "p\0"}), PATTERN),
        create("create a project with a space of no width in its ID", json!({"projectID": "p\u{200b}1"}), PATTERN),
        create("create a project with a query in its ID", json!({"projectID": "p1?limit=1"}), PATTERN),
        create("create a project with an empty region", json!({"region": ""}), "at least 1 chars"),
        create("create a project with a host as region", json!({"region": "evil.example/"}), PATTERN),
        create("create a project with a user in its region", json!({"region": "a@evil"}), PATTERN),
        create("create a project with a region of 64 characters", json!({"region": "r".repeat(64)}), "Too long"),
        create("create a project with a list as region", json!({"region": ["a"]}), NO_STRING),
        create("create a project with a text as credentials", json!({"credentials": "login"}), NO_OBJECT),
        create("create a project with a text as Secret", json!({"credentials": {"accessKey": "login"}}), NO_OBJECT),
        create("create a project with credentials without a Secret", json!({"credentials": {"accessKey": {"secretRef": null}}}), MISSING),
        create("create a project with a misspelled kind of credentials", json!({"credentials": {"accessKey": null, "access_key": {"secretRef": {"name": "login"}}}}), "credentials requires exactly one source"),
        create("create a project that is suspended by a text", json!({"suspend": "true"}), NO_BOOLEAN),
        strict("apply a project with its ID in snake case", json!({"project_id": "p1"}), "spec.project_id: field not declared in schema"),
        strict("apply a project with a Secret of another namespace", json!({"credentials": {"accessKey": {"secretRef": {"namespace": "other"}}}}), "secretRef.namespace: field not declared in schema"),
        strict("apply a project with the key itself", json!({"credentials": {"accessKey": {"secretKey": "x"}}}), "accessKey.secretKey: field not declared in schema"),
    ]
}

#[rustfmt::skip]
fn urls(field: &'static str) -> Vec<Row> {
    let url = |name, url: &str, refusal| create(name, under(field, json!(url)), refusal);
    vec![
        url("point a project to a plain HTTP URL", "http://workspace.example.com", PATTERN),
        url("point a project to a scheme in capitals", "HTTPS://workspace.example.com", PATTERN),
        url("point a project to a host without a scheme", "workspace.example.com", PATTERN),
        url("point a project to a user at a host", "https://user@workspace.example.com", PATTERN),
        url("point a project to a user and a password at a host", "https://user:pw@workspace.example.com", PATTERN),
        url("point a project to a path", "https://workspace.example.com/v2", PATTERN),
        url("point a project to two slashes", "https://workspace.example.com//", PATTERN),
        url("point a project to a query", "https://workspace.example.com?x=y", PATTERN),
        url("point a project to a query after a slash", "https://workspace.example.com/?x=y", PATTERN),
        url("point a project to a fragment", "https://workspace.example.com#x", PATTERN),
        url("point a project to a backslash", "https://workspace.example.com\\@evil.example", PATTERN),
        url("point a project to a dot, encoded", "https://workspace%2eexample.com", PATTERN),
        url("point a project to an IPv6 address", "https://[::1]:8443", PATTERN),
        url("point a project to an IPv4 address in IPv6", "https://[::ffff:127.0.0.1]", PATTERN),
        url("point a project to a zone id", "https://[fe80::1%25eth0]", PATTERN),
        url("point a project to full-width digits", "https://１２７.０.０.１", PATTERN),
        url("point a project to a full stop of East Asia", "https://workspace。example.com", PATTERN),
        url("point a project to a space of no width", "https://workspace\u{200b}.example.com", PATTERN),
        url("point a project to text from right to left", "https://\u{202e}moc.elpmaxe", PATTERN),
        url("point a project to a zero byte", "https://workspace.example.com\0", PATTERN),
        url("point a project to two lines", "https://workspace.example.com\r\nX-Evil: 1", PATTERN),
        url("point a project to a blank", "https://workspace.example.com ", PATTERN),
        url("point a project to an underscore", "https://work_space.example.com", PATTERN),
        url("point a project to a star", "https://*.example.com", PATTERN),
        url("point a project to no host", "https://", PATTERN),
        url("point a project to no host and a port", "https://:443", PATTERN),
        url("point a project to a host of 254 characters", &format!("https://{}", "h".repeat(254)), PATTERN),
        url("point a project to an empty port", "https://workspace.example.com:", PATTERN),
        url("point a project to port 0", "https://workspace.example.com:0", PORT),
        url("point a project to port 65536", "https://workspace.example.com:65536", PORT),
        url("point a project to port 100000", "https://workspace.example.com:100000", PATTERN),
        url("point a project to a negative port", "https://workspace.example.com:-1", PATTERN),
        url("point a project to a port with a sign", "https://workspace.example.com:+443", PATTERN),
        url("point a project to a port in letters", "https://workspace.example.com:https", PATTERN),
        url("point a project to two ports", "https://workspace.example.com:443:443", PATTERN),
        create("point a project to a list", under(field, json!(["https://workspace.example.com"])), NO_STRING),
        create("point a project to 301 characters", under(field, json!(format!("https://{}", "h".repeat(293)))), "Too long"),
    ]
}

/// What says where a project is can neither be changed nor taken away.
#[rustfmt::skip]
fn project_edits() -> Vec<Row> {
    let edit = |name, spec, refusal| edit(name, json!({}), spec, refusal);
    vec![
        edit("remove the region", json!({"region": null}), MISSING),
        edit("spell the region otherwise", json!({"region": "ap-southeast-2"}), "region is immutable"),
        edit("remove the project's ID", json!({"projectID": null}), MISSING),
        edit("spell the project's ID in capitals", json!({"projectID": "0123456789ABCDEF"}), "projectID is immutable"),
        edit("remove all credentials", json!({"credentials": null}), MISSING),
        edit("add a second kind of credentials", json!({"credentials": {"token": {"secretRef": {"name": "login"}}}}), "credentials requires exactly one source"),
    ]
}
