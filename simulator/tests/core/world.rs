//! The world file: what is refused, and what is filled in.

use workspace_simulator::world::{Desktop, World};

#[test]
fn the_example_is_a_world() {
    let world = World::parse(include_str!("../../example-world.yaml")).unwrap();
    assert_eq!(world.projects[0].name, "ap-southeast-1");
    assert_eq!(world.projects[0].account, "example-account");
    assert_eq!(world.desktops.len(), 7);
    assert_eq!(world.desktops[0].project, world.projects[0].id);
    assert_eq!(
        world.accounts[0].access_keys[2].permissions.as_ref().unwrap()[0].tags["team"],
        "vdi"
    );
}

#[test]
fn only_the_id_of_a_desktop_is_required() {
    let world =
        World::parse("{accounts: [{name: x}], projects: [{id: p}], desktops: [{id: 0123456789}]}").unwrap();
    let desktop = serde_json::to_value(&world.desktops[0]).unwrap();
    assert_eq!(
        desktop,
        serde_json::json!({
            "id": "0123456789", "name": "desktop-01234567", "project": "p", "user": "", "userGroup": "users",
            "created": "2026-01-05T08:00:00Z", "status": "ACTIVE",
            "taskStatus": "", "loginStatus": "REGISTERED", "chargingMode": "postPaid", "type": "DEDICATED",
            "tags": {}, "outcome": "success",
        })
    );
    let again: Desktop = serde_json::from_value(desktop).unwrap();
    assert_eq!(again, world.desktops[0]);
}

#[test]
fn worlds_that_do_not_fit_are_refused_with_a_sentence() {
    let around =
        |desktop: &str| format!("{{accounts: [{{name: x}}], projects: [{{id: p}}], desktops: [{desktop}]}}");
    for (world, why) in [
        ("{desktop: []}".to_owned(), "unknown field `desktop`"),
        ("{timings: {waitng: 1s}}".to_owned(), "unknown field `waitng`"),
        ("{timings: {waiting: 1}}".to_owned(), "write it like 3s"),
        ("{timings: {waiting: -1s}}".to_owned(), "must not be negative"),
        (
            "{switches: {unknownDesktop: maybe}}".to_owned(),
            "unknown variant `maybe`",
        ),
        (
            "{switches: {lockedKeys: true}}".to_owned(),
            "unknown field `lockedKeys`",
        ),
        (around("{name: no id}"), "missing field `id`"),
        (around("{id: ''}"), "must have 1 to 255 characters"),
        (around("{id: a, outcome: explode}"), "an outcome must be one of"),
        (
            around("{id: a, outcome: {result: failed, code: x}}"),
            "an outcome must be one of",
        ),
        (
            around("{id: a, project: q}"),
            "names the project q, which is not under projects",
        ),
        (around("{id: a}, {id: a}"), "the desktop a is there twice"),
        (
            "{desktops: [{id: a}]}".to_owned(),
            "has no project and the world has none",
        ),
        (
            "{projects: [{id: p}]}".to_owned(),
            "has no account and the world has none",
        ),
        (
            "{accounts: [{name: x}], projects: [{id: p, region: r}]}".to_owned(),
            "names the region r",
        ),
        (
            "{accounts: [{name: x}], projects: [{id: p, account: y}]}".to_owned(),
            "names the account y",
        ),
        (
            "{accounts: [{name: x}, {name: x}]}".to_owned(),
            "the account x is there twice",
        ),
        (
            "{accounts: [{name: x, tokens: [{token: t, user: u, project: q}]}]}".to_owned(),
            "names the project q, which is not one of its projects",
        ),
    ] {
        let error = World::parse(&world).unwrap_err().to_string();
        assert!(error.contains(why), "{world}\n{error}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = World::read("no/such/world.yaml".as_ref())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no/such/world.yaml") && error.contains("--world"),
        "{error}"
    );
}
