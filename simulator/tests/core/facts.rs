//! What reads of desktops tell of each: whose it is, its session, its billing; how that changes, and what it may lack.

use serde_json::{Map, Value, json};
use workspace_simulator::world::{Desktop, FieldOverride};

use super::support::Sim;

/// A desktop with every fact, in place of the usual ones.
fn described() -> Sim {
    let mut sim = Sim::new();
    let desktop = json!({
        "id": "x", "name": "PC-BEN", "user": "ben", "userGroup": "administrators",
        "attachedUsers": [{"name": "ben"}, {"name": "night shift", "type": "GROUP", "group": "users"}],
        "created": "2026-03-01T10:20:30.456Z", "loginStatus": "CONNECTED", "chargingMode": "prePaid",
        "orderID": "CS2603011020ABCDE", "type": "POOLED", "pool": "pool-1", "tags": {"team": "vdi"},
        "maintenance": true, "frozen": true,
    });
    put(&mut sim, desktop);
    sim
}

fn put(sim: &mut Sim, desktop: Value) {
    let desktop: Desktop = serde_json::from_value(desktop).unwrap();
    sim.cloud.put_desktop(desktop).unwrap();
}

fn change(sim: &mut Sim, id: &str, keys: Value) -> Result<Desktop, String> {
    let keys: Map<String, Value> = serde_json::from_value(keys).unwrap();
    let changed = sim.cloud.change_desktop(sim.now, id, &keys);
    changed.map_err(|error| error.to_string())
}

/// The only row of a list.
fn row(sim: &mut Sim, list: &str, id: &str) -> Value {
    let (status, body) = sim.get(&format!("{list}?desktop_id={id}"));
    assert_eq!((status, &body["total_count"]), (200, &json!(1)), "{body}");
    body["desktops"][0].clone()
}

fn ids(sim: &mut Sim, rest: &str) -> Vec<String> {
    let (status, body) = sim.get(rest);
    assert_eq!(status, 200, "{rest} {body}");
    let rows = body["desktops"].as_array().unwrap().iter();
    rows.map(|row| row["desktop_id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn both_forms_say_whose_a_desktop_is() {
    let mut sim = described();
    for list in ["desktops", "desktops/detail"] {
        let mut row = row(&mut sim, list, "x");
        for user in row["attach_user_infos"].as_array_mut().unwrap() {
            let id = user.as_object_mut().unwrap().remove("user_id");
            assert_eq!(id.unwrap().as_str().unwrap().len(), 32);
        }
        for (field, value) in [
            ("computer_name", json!("PC-BEN")),
            ("user_name", json!("ben")),
            ("user_group", json!("administrators")),
            (
                "attach_user_infos",
                json!([
                    {"user_name": "ben", "user_group": "administrators", "type": "USER"},
                    {"user_name": "night shift", "user_group": "users", "type": "GROUP"},
                ]),
            ),
            ("desktop_type", json!("POOLED")),
            ("in_maintenance_mode", json!(true)),
            ("tags", json!([{"key": "team", "value": "vdi"}])),
        ] {
            assert_eq!(row[field], value, "{list} {field}");
        }
    }
}

#[test]
fn each_form_has_fields_of_its_own() {
    let mut sim = described();
    let of_short = [
        ("created", json!("2026-03-01 10:20:30")),
        ("connect_status", json!("CONNECTED")),
        ("pool_id", json!("pool-1")),
        ("domain_id", json!("acme-id")),
    ];
    let of_detailed = [
        ("created", json!("2026-03-01T10:20:30.456Z")),
        ("login_status", json!("CONNECTED")),
        ("attach_state", json!("ATTACHED")),
        ("order_id", json!("CS2603011020ABCDE")),
        ("is_freeze", json!(true)),
    ];
    let short = row(&mut sim, "desktops", "x");
    let detailed = row(&mut sim, "desktops/detail", "x");
    for (field, value) in &of_short {
        assert_eq!(&short[field], value, "{field}");
        assert!(*field == "created" || detailed.get(field).is_none(), "{field}");
    }
    for (field, value) in &of_detailed {
        assert_eq!(&detailed[field], value, "{field}");
        assert!(*field == "created" || short.get(field).is_none(), "{field}");
    }
    // The same fact is coded the opposite way round.
    assert_eq!(detailed["product"]["charge_mode"], "0");
    assert_eq!(detailed["metadata"]["charging_mode"], "1");
    assert_eq!((short.get("product"), short.get("metadata")), (None, None));
}

#[test]
fn a_desktop_that_is_not_described_has_plausible_facts() {
    let mut sim = Sim::new();
    let short = row(&mut sim, "desktops", "a");
    assert_eq!(short["attach_user_infos"][0]["user_name"], "anna");
    assert_eq!(short["user_group"], "users");
    assert_eq!(short["created"], "2026-01-05 08:00:00");
    assert_eq!(
        (&short["in_maintenance_mode"], &short["tags"]),
        (&json!(false), &json!([]))
    );
    assert_eq!(short.get("pool_id"), None);
    let detailed = row(&mut sim, "desktops/detail", "a");
    assert_eq!(detailed["login_status"], "REGISTERED");
    assert_eq!(detailed["is_freeze"], false);
    assert_eq!(detailed["product"]["charge_mode"], "1");
    assert_eq!(detailed["metadata"]["charging_mode"], "0");
    assert_eq!(detailed.get("order_id"), None);

    put(
        &mut sim,
        json!({"id": "y", "type": "POOLED", "chargingMode": "prePaid"}),
    );
    assert_eq!(
        row(&mut sim, "desktops", "y")["pool_id"].as_str().unwrap().len(),
        32
    );
    assert_eq!(
        row(&mut sim, "desktops/detail", "y")["order_id"],
        "CS0000000000000000"
    );
}

#[test]
fn a_desktop_changes_while_the_cloud_runs() {
    let mut sim = Sim::new();
    for (changes, list, field, value) in [
        (json!({"user": "eve"}), "desktops", "user_name", json!("eve")),
        (
            json!({"loginStatus": "CONNECTED"}),
            "desktops/detail",
            "login_status",
            json!("CONNECTED"),
        ),
        (
            json!({"tags": {"keep": "yes"}}),
            "desktops",
            "tags",
            json!([{"key": "keep", "value": "yes"}]),
        ),
        (
            json!({"maintenance": true}),
            "desktops",
            "in_maintenance_mode",
            json!(true),
        ),
        (
            json!({"frozen": true}),
            "desktops/detail",
            "is_freeze",
            json!(true),
        ),
    ] {
        change(&mut sim, "a", changes).unwrap();
        assert_eq!(row(&mut sim, list, "a")[field], value);
    }
    let row = row(&mut sim, "desktops", "a");
    assert_eq!(row["attach_user_infos"][0]["user_name"], "eve");
    assert_eq!(
        row["tags"][0]["key"], "keep",
        "keys that are not named stay as they were"
    );
}

#[test]
fn a_change_leaves_a_deletion_alone() {
    let mut sim = Sim::new();
    sim.delete(&["a"]);
    change(&mut sim, "a", json!({"user": "eve"})).unwrap();
    assert_eq!(sim.desktop("a").1, "deleting");
    sim.pass(30);
    assert_eq!(sim.desktop("a").0, "404");
    let error = change(&mut sim, "a", json!({"user": "eve"})).unwrap_err();
    assert!(error.contains("the desktop a does not exist"), "{error}");
}

#[test]
fn a_change_that_makes_no_sense_is_refused_with_a_sentence() {
    let mut sim = Sim::new();
    for (id, changes, why) in [
        (
            "nobody",
            json!({"user": "eve"}),
            "the desktop nobody does not exist",
        ),
        ("a", json!({"usr": "eve"}), "unknown field `usr`"),
        ("a", json!({"maintenance": "yes"}), "invalid type"),
        ("a", json!({"id": "other"}), "must keep its id and project"),
        (
            "a",
            json!({"project": "00000000000000000000000000000002"}),
            "must keep its id and project",
        ),
    ] {
        let error = change(&mut sim, id, changes).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn lists_that_lag_show_the_desktop_as_it_was() {
    let mut sim = Sim::timed("{listLag: 10s}");
    sim.pass(60);
    change(&mut sim, "a", json!({"user": "eve"})).unwrap();
    assert_eq!(row(&mut sim, "desktops", "a")["user_name"], "anna");
    assert_eq!(ids(&mut sim, "desktops?user_name=eve"), [""; 0]);
    assert_eq!(sim.get("desktops/a").1["desktop"]["user_name"], "eve");
    sim.pass(10);
    assert_eq!(row(&mut sim, "desktops", "a")["user_name"], "eve");
}

#[test]
fn any_field_may_be_absent_or_null_or_hold_an_unknown_word() {
    let fields = [
        "computer_name",
        "user_name",
        "attach_user_infos",
        "created",
        "tags",
        "in_maintenance_mode",
        "desktop_type",
        "login_status",
        "is_freeze",
        "product",
        "product.charge_mode",
        "metadata",
        "metadata.charging_mode",
        "order_id",
    ];
    for field in fields {
        for (answer, expected) in [
            (json!({"field": field, "absent": true}), None),
            (json!({"field": field}), Some(json!(null))),
            (json!({"field": field, "value": "HALF"}), Some(json!("HALF"))),
        ] {
            let mut sim = Sim::new();
            put(&mut sim, json!({"id": "a", "user": "anna", "fields": [answer]}));
            let row = row(&mut sim, "desktops/detail", "a");
            let found = match field.split_once('.') {
                Some((object, field)) => row[object].get(field),
                None => row.get(field),
            };
            assert_eq!(found.cloned(), expected, "{field}");
            assert_eq!(row["desktop_id"], "a", "the rest stays");
        }
    }
}

#[test]
fn a_field_of_every_desktop_may_read_otherwise_in_one_operation_only() {
    let mut sim = Sim::switched(
        "{fields: [{field: tags, value: null, operation: listDesktops}, {field: user_name, value: all}]}",
    );
    assert_eq!(row(&mut sim, "desktops", "b")["tags"], json!(null));
    assert_eq!(row(&mut sim, "desktops/detail", "b")["tags"][0]["key"], "team");
    assert_eq!(sim.get("desktops/b").1["desktop"]["user_name"], "all");
    let own = json!([{"field": "user_name", "value": "own"}]);
    put(&mut sim, json!({"id": "b", "fields": own}));
    assert_eq!(
        row(&mut sim, "desktops", "b")["user_name"],
        "own",
        "the desktop's own word is the last"
    );

    let mut switches = sim.cloud.switches().clone();
    switches.fields = Vec::new();
    sim.cloud.set_switches(switches);
    assert_eq!(row(&mut sim, "desktops", "a")["user_name"], "anna");
    let misspelt = json!({"field": "tags", "is_absent": true});
    assert!(serde_json::from_value::<FieldOverride>(misspelt).is_err());
}

#[test]
fn the_lists_filter_by_facts() {
    let mut sim = Sim::new();
    put(
        &mut sim,
        json!({
            "id": "p", "name": "PC-POOLED", "user": "annabel", "type": "POOLED", "pool": "pool-1",
            "tags": {"team": "vdi", "floor": "2"}, "chargingMode": "prePaid", "maintenance": true,
        }),
    );
    let of_both: &[(&str, &[&str])] = &[
        ("desktop_type=POOLED", &["p"]),
        ("desktop_type=POOLED%2CDEDICATED", &["a", "b", "c", "d", "p"]),
        ("pool_id=pool-0%2Cpool-1", &["p"]),
        ("tag=team%3Dvdi", &["b", "p"]),
        ("tag=team%3Dvdi%2Cfloor%3D2", &["p"]),
        ("tag=team%3Dother", &[]),
    ];
    for (query, expected) in of_both {
        for list in ["desktops", "desktops/detail"] {
            assert_eq!(
                ids(&mut sim, &format!("{list}?{query}")),
                *expected,
                "{list}?{query}"
            );
        }
    }
    // The short list takes a part of a user's name.
    assert_eq!(ids(&mut sim, "desktops?user_name=anna"), ["a", "p"]);
    let of_detailed: &[(&str, &[&str])] = &[
        ("user_name=anna", &["a"]),
        ("user_names=anna&user_names=annabel&user_name=nobody", &["a", "p"]),
        ("computer_names=PC-POOLED&computer_names=desktop-a", &["a", "p"]),
        ("charge_mode=0", &["p"]),
        ("charge_mode=1", &["a", "b", "c", "d"]),
        ("in_maintenance_mode=true", &["p"]),
        ("user_attached=false", &["b", "c", "d"]),
        ("without_any_tag=true", &["a", "c", "d"]),
        ("sort_field=computer_name", &["p", "a", "b", "c", "d"]),
        (
            "sort_field=computer_name&sort_type=DESC&limit=2&offset=1",
            &["c", "b"],
        ),
        ("sort_type=DESC", &["a", "b", "c", "d", "p"]),
    ];
    for (query, expected) in of_detailed {
        assert_eq!(
            ids(&mut sim, &format!("desktops/detail?{query}")),
            *expected,
            "{query}"
        );
    }
    for query in [
        "charge_mode=2",
        "in_maintenance_mode=yes",
        "sort_field=user_name",
        "sort_field=created&sort_type=UP",
    ] {
        assert_eq!(sim.get(&format!("desktops/detail?{query}")).0, 400, "{query}");
    }
}

#[test]
fn pages_of_the_detailed_list_are_half_as_long() {
    let mut sim = Sim::new();
    assert_eq!(sim.get("desktops/detail?limit=500").0, 200);
    assert_eq!(sim.get("desktops/detail?limit=501").0, 400);
    assert_eq!(sim.get("desktops?limit=1000").0, 200);
    for n in 0..600 {
        put(&mut sim, json!({"id": format!("n{n}")}));
    }
    assert_eq!(ids(&mut sim, "desktops/detail").len(), 500);
    assert_eq!(ids(&mut sim, "desktops").len(), 604);
    assert_eq!(sim.get("desktops/detail?offset=600").1["total_count"], 604);
}
