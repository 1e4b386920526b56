//! `DesktopDeletion`: what a person may write.

use serde_json::{Value, json};

use super::{Allowed, Create, Expected, Object, Refused, Row, under};

pub(super) fn rows() -> Vec<Row> {
    [
        desktops(),
        projects_and_flags(),
        expectations(),
        deadlines(),
        suspension(),
        approval(),
        immutable_desktops(),
        immutable_flags(),
        immutable_deadline(),
        freezing(),
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

fn change(name: &'static str, before: Value, change: Value, expected: Expected) -> Row {
    Row {
        name,
        before: under("spec", before),
        change: Object(under("spec", change)),
        expected,
    }
}

fn desktops() -> Vec<Row> {
    let many = |count: usize| (0..count).map(|number| format!("d{number}")).collect::<Vec<_>>();
    vec![
        create(
            "create a request with 100 desktops",
            json!({"desktopIDs": many(100)}),
            Allowed,
        ),
        create(
            "create a request with 101 desktops",
            json!({"desktopIDs": many(101)}),
            Refused("must have at most 100 items"),
        ),
        create(
            "create a request without desktops",
            json!({"desktopIDs": []}),
            Refused("should have at least 1 items"),
        ),
        create(
            "create a request with no list of desktops",
            json!({"desktopIDs": null}),
            Refused("Required value"),
        ),
        create(
            "create a request that names a desktop twice",
            json!({"desktopIDs": ["d1", "d2", "d1"]}),
            Refused("must be unique, ignoring case"),
        ),
        create(
            "create a request that names a desktop twice, in upper and lower case",
            json!({"desktopIDs": ["1d81c1dc-312b", "1D81C1DC-312B"]}),
            Refused("ignoring case; remove the duplicates"),
        ),
        create(
            "create a request with an id of 255 characters",
            json!({"desktopIDs": ["x".repeat(255)]}),
            Allowed,
        ),
        create(
            "create a request with an id of 256 characters",
            json!({"desktopIDs": ["x".repeat(256)]}),
            Refused("spec.desktopIDs[0]: Too long"),
        ),
        create(
            "create a request with an empty id",
            json!({"desktopIDs": [""]}),
            Refused("at least 1 chars"),
        ),
        create(
            "create a request with a path in an id",
            json!({"desktopIDs": ["d1/../d2"]}),
            Refused("should match"),
        ),
        create(
            "create a request with a query in an id",
            json!({"desktopIDs": ["d1?x=y"]}),
            Refused("should match"),
        ),
        create(
            "create a request with a line feed in an id",
            json!({"desktopIDs": ["d1\n"]}),
            Refused("should match"),
        ),
        create(
            "create a request with a letter beyond ASCII",
            json!({"desktopIDs": ["d\u{e9}"]}),
            Refused("should match"),
        ),
    ]
}

fn projects_and_flags() -> Vec<Row> {
    vec![
        create(
            "create a request without a project",
            json!({"projectRef": null}),
            Refused("Required value"),
        ),
        create(
            "create a request with an empty project",
            json!({"projectRef": {"name": ""}}),
            Refused("spec.projectRef.name in body should be at least 1 chars long"),
        ),
        create(
            "create a request for a project of another namespace",
            json!({"projectRef": {"name": "other/prod"}}),
            Refused("should match"),
        ),
        create(
            "create a request with a word for yes",
            json!({"force": "yes"}),
            Refused("must be of type boolean"),
        ),
        create(
            "create a request with a flag of null, the default",
            json!({"force": null}),
            Allowed,
        ),
    ]
}

fn expectations() -> Vec<Row> {
    let expect = |name, expected: Value, verdict| {
        create(
            name,
            json!({"desktopIDs": ["pc-1", "pc-2"], "expected": expected}),
            verdict,
        )
    };
    vec![
        expect(
            "create a request that expects a user and a computer name",
            json!([{"id": "pc-1", "userName": "anna"}, {"id": "pc-2", "computerName": "PC-2", "userName": "ben"}]),
            Allowed,
        ),
        expect("create a request that expects nothing", json!([]), Allowed),
        expect(
            "expect something of a desktop that is not requested",
            json!([{"id": "pc-3", "userName": "anna"}]),
            Refused("expected can only name desktops of desktopIDs"),
        ),
        expect(
            "expect something of a desktop in another spelling",
            json!([{"id": "PC-1", "userName": "anna"}]),
            Refused("expected can only name desktops of desktopIDs"),
        ),
        expect(
            "expect nothing of a desktop that is named",
            json!([{"id": "pc-1"}]),
            Refused("an expectation requires computerName, userName or both"),
        ),
        expect(
            "expect a user without a name",
            json!([{"id": "pc-1", "userName": ""}]),
            Refused("userName"),
        ),
        expect(
            "expect a user with a name of 65 characters",
            json!([{"id": "pc-1", "userName": "a".repeat(65)}]),
            Refused("may not be more than 64"),
        ),
        expect(
            "expect something of a desktop twice",
            json!([{"id": "pc-1", "userName": "anna"}, {"id": "pc-1", "userName": "ben"}]),
            Refused("Duplicate value"),
        ),
        change(
            "change what is expected",
            json!({"desktopIDs": ["pc-1"], "expected": [{"id": "pc-1", "userName": "anna"}]}),
            json!({"expected": [{"id": "pc-1", "userName": "ben"}]}),
            Refused("expected is immutable and can neither be added nor removed"),
        ),
        change(
            "expect something later",
            json!({"desktopIDs": ["pc-1"]}),
            json!({"expected": [{"id": "pc-1", "userName": "ben"}]}),
            Refused("expected is immutable and can neither be added nor removed"),
        ),
    ]
}

fn deadlines() -> Vec<Row> {
    vec![
        create(
            "create a request with a deadline",
            json!({"notAfter": "2026-12-05T00:00:00Z"}),
            Allowed,
        ),
        create(
            "create a request with a deadline in a zone",
            json!({"notAfter": "2026-12-05T08:00:00+08:00"}),
            Allowed,
        ),
        create(
            "create a request with a deadline of null, as if left out",
            json!({"notAfter": null}),
            Allowed,
        ),
        create(
            "create a request with a deadline without a zone",
            json!({"notAfter": "2026-12-05T00:00:00"}),
            Refused("must be of type date-time"),
        ),
        create(
            "create a request with a date as deadline",
            json!({"notAfter": "2026-12-05"}),
            Refused("must be of type date-time"),
        ),
        create(
            "create a request with a deadline that is no time of the operator's calendar",
            json!({"notAfter": "9999-12-31T23:59:59Z"}),
            Refused("must be between the years 1970 and 9998"),
        ),
        create(
            "create a request with an earliest time before its deadline",
            json!({"notBefore": "2026-12-04T00:00:00Z", "notAfter": "2026-12-05T00:00:00Z"}),
            Allowed,
        ),
        create(
            "create a request with an earliest time alone",
            json!({"notBefore": "2026-12-04T08:00:00+08:00"}),
            Allowed,
        ),
        create(
            "create a request with an earliest time after its deadline",
            json!({"notBefore": "2026-12-05T00:00:00Z", "notAfter": "2026-12-05T00:00:00Z"}),
            Refused("notBefore must be earlier than notAfter"),
        ),
        create(
            "create a request with an earliest time that is no time of the operator's calendar",
            json!({"notBefore": "9999-12-31T23:59:59Z"}),
            Refused("omit notBefore to submit as soon as possible"),
        ),
        create(
            "create a request with a deadline in a zone that does not exist",
            json!({"notAfter": "2026-12-05T00:00:00+99:00"}),
            Refused("should match"),
        ),
    ]
}

fn suspension() -> Vec<Row> {
    vec![
        change("set suspend", json!({}), json!({"suspend": true}), Allowed),
        change(
            "lift suspend",
            json!({"suspend": true}),
            json!({"suspend": false}),
            Allowed,
        ),
        change(
            "lift suspend by removing it",
            json!({"suspend": true}),
            json!({"suspend": null}),
            Allowed,
        ),
    ]
}

fn approval() -> Vec<Row> {
    let hash = |digit: &str| format!("sha256:{}", digit.repeat(64));
    vec![
        create(
            "create a request that approves a plan",
            json!({"approvedPlan": hash("0")}),
            Allowed,
        ),
        change(
            "approve a plan",
            json!({}),
            json!({"approvedPlan": hash("0")}),
            Allowed,
        ),
        change(
            "approve another plan",
            json!({"approvedPlan": hash("0")}),
            json!({"approvedPlan": hash("1")}),
            Allowed,
        ),
        change(
            "withdraw an approval",
            json!({"approvedPlan": hash("0")}),
            json!({"approvedPlan": null}),
            Allowed,
        ),
        change(
            "approve an invalid hash",
            json!({}),
            json!({"approvedPlan": "yes"}),
            Refused("should match '^sha256:[0-9a-f]{64}$'"),
        ),
        change(
            "approve a hash in upper case",
            json!({}),
            json!({"approvedPlan": hash("A")}),
            Refused("should match '^sha256:[0-9a-f]{64}$'"),
        ),
        change(
            "approve nothing",
            json!({}),
            json!({"approvedPlan": ""}),
            Refused("should match '^sha256:[0-9a-f]{64}$'"),
        ),
    ]
}

fn immutable_desktops() -> Vec<Row> {
    vec![
        change(
            "add a desktop",
            json!({}),
            json!({"desktopIDs": ["d1", "d2", "d3"]}),
            Refused("desktopIDs is immutable; create a new DesktopDeletion instead"),
        ),
        change(
            "take a desktop out",
            json!({}),
            json!({"desktopIDs": ["d1"]}),
            Refused("desktopIDs is immutable"),
        ),
        change(
            "exchange a desktop",
            json!({}),
            json!({"desktopIDs": ["d1", "d3"]}),
            Refused("desktopIDs is immutable"),
        ),
        change(
            "change the order of the desktops",
            json!({}),
            json!({"desktopIDs": ["d2", "d1"]}),
            Refused("desktopIDs is immutable"),
        ),
        change(
            "spell a desktop in upper case",
            json!({}),
            json!({"desktopIDs": ["D1", "d2"]}),
            Refused("desktopIDs is immutable"),
        ),
        change(
            "remove the desktops",
            json!({}),
            json!({"desktopIDs": null}),
            Refused("Required value"),
        ),
    ]
}

fn immutable_flags() -> Vec<Row> {
    vec![
        change(
            "point to another project",
            json!({}),
            json!({"projectRef": {"name": "test"}}),
            Refused("projectRef is immutable; create a new DesktopDeletion instead"),
        ),
        change(
            "remove the project",
            json!({}),
            json!({"projectRef": null}),
            Refused("Required value"),
        ),
        change(
            "have the users deleted too",
            json!({}),
            json!({"deleteUsers": true}),
            Refused("deleteUsers is immutable; create a new DesktopDeletion instead"),
        ),
        change(
            "go back to the default of deleteUsers by removing it",
            json!({"deleteUsers": true}),
            json!({"deleteUsers": null}),
            Refused("deleteUsers is immutable"),
        ),
        change(
            "disable the email notification",
            json!({}),
            json!({"emailNotification": false}),
            Refused("emailNotification is immutable; create a new DesktopDeletion instead"),
        ),
        change(
            "go back to the default of emailNotification by removing it",
            json!({"emailNotification": false}),
            json!({"emailNotification": null}),
            Refused("emailNotification is immutable"),
        ),
        change(
            "remove a flag that has its default value",
            json!({"force": false}),
            json!({"force": null}),
            Allowed,
        ),
        change(
            "force it",
            json!({}),
            json!({"force": true}),
            Refused("force is immutable; create a new DesktopDeletion instead"),
        ),
        change(
            "go back to the default of force by removing it",
            json!({"force": true}),
            json!({"force": null}),
            Refused("force is immutable"),
        ),
    ]
}

fn immutable_deadline() -> Vec<Row> {
    vec![
        change(
            "extend the deadline",
            json!({"notAfter": "2026-12-05T00:00:00Z"}),
            json!({"notAfter": "2026-12-06T00:00:00Z"}),
            Refused("notAfter is immutable and can neither be added nor removed"),
        ),
        change(
            "add a deadline",
            json!({}),
            json!({"notAfter": "2026-12-06T00:00:00Z"}),
            Refused("notAfter is immutable and can neither be added nor removed"),
        ),
        change(
            "remove the deadline",
            json!({"notAfter": "2026-12-05T00:00:00Z"}),
            json!({"notAfter": null}),
            Refused("notAfter is immutable and can neither be added nor removed"),
        ),
        change(
            "postpone the earliest time",
            json!({"notBefore": "2026-12-05T00:00:00Z"}),
            json!({"notBefore": "2026-12-06T00:00:00Z"}),
            Refused("notBefore is immutable and can neither be added nor removed"),
        ),
        change(
            "add an earliest time",
            json!({}),
            json!({"notBefore": "2026-12-06T00:00:00Z"}),
            Refused("notBefore is immutable and can neither be added nor removed"),
        ),
        change(
            "remove the earliest time",
            json!({"notBefore": "2026-12-05T00:00:00Z"}),
            json!({"notBefore": null}),
            Refused("notBefore is immutable and can neither be added nor removed"),
        ),
        change(
            "spell the same deadline in another zone",
            json!({"notAfter": "2026-12-05T00:00:00Z"}),
            json!({"notAfter": "2026-12-05T08:00:00+08:00"}),
            Allowed,
        ),
    ]
}

fn freezing() -> Vec<Row> {
    let before = || json!({"status": super::deletion_status::finished()});
    vec![
        Row {
            name: "suspend a finished request",
            before: before(),
            change: Object(json!({"spec": {"suspend": true}})),
            expected: Allowed,
        },
        Row {
            name: "write a finished request as it is",
            before: before(),
            change: Object(json!({"spec": {"suspend": false, "desktopIDs": ["d1", "d2"]}})),
            expected: Allowed,
        },
        Row {
            name: "create a request with a name that no Event can have",
            before: json!({}),
            change: Create(json!({"metadata": {"name": "n".repeat(237)}})),
            expected: Refused("metadata.name: Too long: may not be more than 236"),
        },
        Row {
            name: "create a request with the longest name",
            before: json!({}),
            change: Create(json!({"metadata": {"name": "n".repeat(236)}})),
            expected: Allowed,
        },
        Row {
            name: "label a finished request",
            before: before(),
            change: Object(json!({"metadata": {"labels": {"week": "48"}}})),
            expected: Allowed,
        },
        Row {
            name: "add and remove finalizers on a finished request",
            before: before(),
            change: Object(json!({"metadata": {"finalizers": ["cloud-desktops.dev/submission"]}})),
            expected: Allowed,
        },
    ]
}
