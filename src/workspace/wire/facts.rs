//! Facts of a desktop, each read for itself: one that cannot be read affects neither the others nor its row.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::workspace::api::{
    AttachedKind, AttachedUser, Billing, Desktop, DesktopDetails, DesktopFacts, DesktopKind, DetailFacts,
    Fact, LoginStatus,
};
use crate::workspace::text::{self, Sanitizer};

/// Most users, and most tags, of one desktop. The service documents at most 20 tags, and nothing about users.
const MAX_ENTRIES: usize = 100;

/// Times without a zone, as the short form and some others have them.
const ZONELESS: [&str; 2] = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"];

/// Reads the fields of one row.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    pub(super) row: &'a Value,
    pub(super) sanitizer: Sanitizer<'a>,
}

/// The facts that both forms of a desktop contain.
pub(super) fn desktop(fields: Fields<'_>) -> DesktopFacts {
    DesktopFacts {
        computer_name: fields.text("computer_name"),
        user_name: fields.text("user_name"),
        attached: fields.read("attach_user_infos", |value| fields.attached(value)),
        created: fields.read("created", |value| value.as_str().and_then(instant)),
        tags: fields.read("tags", |value| fields.tags(value)),
        maintenance: fields.flag("in_maintenance_mode"),
        kind: fields.word(
            "desktop_type",
            &[
                ("DEDICATED", DesktopKind::Dedicated),
                ("SHARED", DesktopKind::Shared),
                ("POOLED", DesktopKind::Pooled),
            ],
        ),
        pool: fields.text("pool_id"),
    }
}

/// The facts that only the detailed form of a desktop contains. The two billing fields have opposite encodings.
pub(super) fn details(desktop: Desktop, fields: Fields<'_>) -> DesktopDetails {
    let facts = DetailFacts {
        login_status: fields.word(
            "login_status",
            &[
                ("UNREGISTER", LoginStatus::Unregistered),
                ("REGISTERED", LoginStatus::Registered),
                ("CONNECTED", LoginStatus::Connected),
                ("DISCONNECTED", LoginStatus::Disconnected),
                ("OFFLINE", LoginStatus::Offline),
            ],
        ),
        charge_mode: fields.word_in(
            "product",
            "charge_mode",
            &[("0", Billing::Prepaid), ("1", Billing::PayPerUse)],
        ),
        charging_mode: fields.word_in(
            "metadata",
            "charging_mode",
            &[("1", Billing::Prepaid), ("0", Billing::PayPerUse)],
        ),
        order_id: fields.text("order_id"),
    };
    DesktopDetails { desktop, facts }
}

impl Fields<'_> {
    fn read<T>(self, field: &str, read: impl FnOnce(&Value) -> Option<T>) -> Fact<T> {
        match self.row.get(field) {
            None | Some(Value::Null) => Fact::NotGiven,
            Some(value) => read(value).map_or_else(|| self.unreadable(value), Fact::Given),
        }
    }

    fn unreadable<T>(self, value: &Value) -> Fact<T> {
        let word = match value {
            Value::Array(entries) => format!("a list of {}", entries.len()),
            Value::Object(_) => "an object".to_owned(),
            word => self
                .sanitizer
                .line(&scalar(word).unwrap_or_default(), text::MAX_CODE)
                .unwrap_or_default(),
        };
        Fact::Unreadable(word)
    }

    fn text(self, field: &str) -> Fact<String> {
        self.read(field, |value| self.plain(value))
    }

    /// A text that needs no sanitizing. Otherwise, two different texts could become equal after sanitizing or
    /// truncation.
    fn plain(self, value: &Value) -> Option<String> {
        let text = scalar(value)?;
        let shown = self
            .sanitizer
            .line(&text, text::MAX_SHORT_TEXT)
            .unwrap_or_default();
        (shown == text).then_some(text)
    }

    /// One of several values, ignoring case.
    fn word<T: Copy>(self, field: &str, words: &[(&str, T)]) -> Fact<T> {
        self.read(field, |value| {
            let word = scalar(value)?;
            let known = words.iter().find(|(known, _)| known.eq_ignore_ascii_case(&word));
            known.map(|(_, meaning)| *meaning)
        })
    }

    /// One of several values in a field of an object.
    fn word_in<T: Copy>(self, object: &str, field: &str, words: &[(&str, T)]) -> Fact<T> {
        match self.row.get(object) {
            None | Some(Value::Null) => Fact::NotGiven,
            Some(row @ Value::Object(_)) => Fields { row, ..self }.word(field, words),
            Some(other) => self.unreadable(other),
        }
    }

    fn flag(self, field: &str) -> Fact<bool> {
        self.word(field, &[("true", true), ("false", false)])
    }

    /// An entry that cannot be read makes the whole list unreadable: a desktop must not look unassigned because an
    /// entry was omitted.
    fn attached(self, value: &Value) -> Option<BTreeSet<AttachedUser>> {
        entries(value)?
            .iter()
            .map(|entry| {
                let fields = Fields { row: entry, ..self };
                let Fact::Given(name) = fields.text("user_name") else {
                    return None;
                };
                let kind = match fields.word(
                    "type",
                    &[("USER", AttachedKind::User), ("GROUP", AttachedKind::Group)],
                ) {
                    Fact::Given(kind) => kind,
                    Fact::NotGiven => AttachedKind::User,
                    Fact::Unreadable(_) => return None,
                };
                Some(AttachedUser { name, kind })
            })
            .collect()
    }

    fn tags(self, value: &Value) -> Option<BTreeMap<String, String>> {
        let mut tags = BTreeMap::new();
        for entry in entries(value)? {
            let fields = Fields { row: entry, ..self };
            let Fact::Given(key) = fields.text("key") else {
                return None;
            };
            let value = match fields.text("value") {
                Fact::Given(value) => value,
                Fact::NotGiven => String::new(),
                Fact::Unreadable(_) => return None,
            };
            // It is not defined which of two values of one key counts.
            if tags.insert(key, value).is_some() {
                return None;
            }
        }
        Some(tags)
    }
}

fn entries(value: &Value) -> Option<&Vec<Value>> {
    value.as_array().filter(|entries| entries.len() <= MAX_ENTRIES)
}

/// A value that is neither a list nor an object, as text.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// An instant since 1970, in whole seconds.
fn instant(text: &str) -> Option<Timestamp> {
    let zoneless = |form: &&str| DateTime::strptime(form, text).ok();
    let instant = text.parse::<Timestamp>().ok().or_else(|| {
        let time = ZONELESS.iter().find_map(zoneless)?;
        let zoned = TimeZone::UTC.to_zoned(time).ok()?;
        Some(zoned.timestamp())
    })?;
    (instant >= Timestamp::UNIX_EPOCH)
        .then(|| Timestamp::from_second(instant.as_second()).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::SecretString;
    use serde_json::json;

    use super::*;
    use crate::workspace::auth::Credentials;

    fn read(row: &Value) -> DesktopFacts {
        let login = Credentials::Token(SecretString::from("TOKEN-canary"));
        desktop(Fields {
            row,
            sanitizer: Sanitizer(&login),
        })
    }

    fn user(name: &str, kind: AttachedKind) -> AttachedUser {
        AttachedUser {
            name: name.to_owned(),
            kind,
        }
    }

    fn unreadable<T>(word: &str) -> Fact<T> {
        Fact::Unreadable(word.to_owned())
    }

    #[test]
    fn every_documented_fact_is_read() {
        let facts = read(&json!({
            "computer_name": "PC-ALICE", "user_name": "alice",
            "attach_user_infos": [
                {"user_id": "a1", "user_name": "alice", "user_group": "sudo", "type": "USER"},
                {"user_name": "night-shift", "type": "GROUP"}, {"user_name": "alice"},
            ],
            "created": "2022-02-23 04:02:07", "tags": [{"key": "team", "value": "blue"}, {"key": "keep"}],
            "in_maintenance_mode": false, "desktop_type": "POOLED", "pool_id": "pool-1",
        }));
        let tags = [("team", "blue"), ("keep", "")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(
            facts,
            DesktopFacts {
                computer_name: Fact::Given("PC-ALICE".to_owned()),
                user_name: Fact::Given("alice".to_owned()),
                attached: Fact::Given(BTreeSet::from([
                    user("alice", AttachedKind::User),
                    user("night-shift", AttachedKind::Group),
                ])),
                created: Fact::Given("2022-02-23T04:02:07Z".parse().unwrap()),
                tags: Fact::Given(BTreeMap::from(tags)),
                maintenance: Fact::Given(false),
                kind: Fact::Given(DesktopKind::Pooled),
                pool: Fact::Given("pool-1".to_owned()),
            }
        );
    }

    #[test]
    fn a_missing_or_null_fact_is_not_given_and_an_empty_one_is() {
        let null = json!({
            "computer_name": null, "user_name": null, "attach_user_infos": null, "created": null, "tags": null,
            "in_maintenance_mode": null, "desktop_type": null, "pool_id": null,
        });
        for row in [json!({}), null, json!("no row"), json!([])] {
            assert_eq!(read(&row), DesktopFacts::default(), "{row}");
        }
        let empty = read(&json!({"user_name": "", "attach_user_infos": [], "tags": [], "pool_id": ""}));
        assert_eq!(empty.user_name, Fact::Given(String::new()));
        assert_eq!(empty.attached, Fact::Given(BTreeSet::new()));
        assert_eq!(empty.tags, Fact::Given(BTreeMap::new()));
        assert_eq!(empty.pool, Fact::Given(String::new()));
    }

    #[test]
    fn a_time_is_read_with_and_without_a_zone() {
        for (text, instant) in [
            ("2022-01-21T06:57:47.459Z", "2022-01-21T06:57:47Z"),
            ("2022-01-21T06:57:47.999999Z", "2022-01-21T06:57:47Z"),
            ("2022-01-21T14:57:47+08:00", "2022-01-21T06:57:47Z"),
            ("2022-01-21 06:57:47", "2022-01-21T06:57:47Z"),
            ("2022-01-21 06:57:47.459", "2022-01-21T06:57:47Z"),
            ("2022-01-21T06:57:47", "2022-01-21T06:57:47Z"),
        ] {
            let facts = read(&json!({"created": text}));
            assert_eq!(facts.created, Fact::Given(instant.parse().unwrap()), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "2022-01-21",
            "0000-00-00 00:00:00",
            "1969-12-31T23:59:59.5Z",
            "2022-02-30 00:00:00",
            "2022-01-21 06:57:47 CST",
            "2022-01-21T06:57:47[Asia/Shanghai]",
        ] {
            let facts = read(&json!({"created": text}));
            assert_eq!(facts.created, unreadable(text), "{text}");
        }
        assert_eq!(
            read(&json!({"created": 1_642_748_267})).created,
            unreadable("1642748267")
        );
    }

    #[test]
    fn an_undocumented_value_is_kept_unchanged() {
        let facts = read(&json!({"desktop_type": "HOLOGRAM", "in_maintenance_mode": "1"}));
        assert_eq!(facts.kind, unreadable("HOLOGRAM"));
        assert_eq!(facts.maintenance, unreadable("1"));
        let facts = read(&json!({"desktop_type": "pooled", "in_maintenance_mode": "True"}));
        assert_eq!(facts.kind, Fact::Given(DesktopKind::Pooled));
        assert_eq!(facts.maintenance, Fact::Given(true));
    }

    #[test]
    fn one_odd_entry_makes_its_whole_list_unreadable() {
        for entry in [
            json!({"type": "USER"}),
            json!({"user_name": null}),
            json!({"user_name": ["a"]}),
            json!({"user_name": "b", "type": "ROBOT"}),
            json!("bob"),
            json!(null),
        ] {
            let facts =
                read(&json!({"user_name": "alice", "attach_user_infos": [{"user_name": "alice"}, entry]}));
            assert_eq!(facts.attached, unreadable("a list of 2"), "{entry}");
            assert_eq!(
                facts.user_name,
                Fact::Given("alice".to_owned()),
                "the others stay"
            );
        }
        for entry in [
            json!({"value": "x"}),
            json!({"key": "a", "value": {}}),
            json!({"key": "team", "value": "red"}),
            json!(7),
        ] {
            let facts = read(&json!({"tags": [{"key": "team", "value": "blue"}, entry]}));
            assert_eq!(facts.tags, unreadable("a list of 2"), "{entry}");
        }
        assert_eq!(
            read(&json!({"tags": {"team": "blue"}})).tags,
            unreadable("an object")
        );
    }

    #[test]
    fn values_beyond_the_limits_are_unreadable_and_not_truncated() {
        let name = |length: usize| "n".repeat(length);
        let facts = read(&json!({"user_name": name(255), "computer_name": name(256)}));
        assert_eq!(facts.user_name, Fact::Given(name(255)));
        assert_eq!(facts.computer_name, unreadable(&format!("{}\u{2026}", name(63))));
        let users = |count: usize| -> Vec<Value> {
            (0..count)
                .map(|n| json!({"user_name": format!("user-{n}")}))
                .collect()
        };
        let facts = read(&json!({"attach_user_infos": users(100)}));
        assert!(matches!(facts.attached, Fact::Given(users) if users.len() == 100));
        let facts = read(&json!({"attach_user_infos": users(101), "tags": users(101)}));
        assert_eq!(facts.attached, unreadable("a list of 101"));
        assert_eq!(facts.tags, unreadable("a list of 101"));
    }

    #[test]
    fn a_text_with_unprintable_characters_is_not_mistaken_for_another_one() {
        for text in [
            "ali\u{200b}ce",
            " alice",
            "<b>alice</b>",
            "alice\n",
            "TOKEN-canary",
        ] {
            let facts = read(&json!({"user_name": text, "tags": [{"key": "team", "value": text}]}));
            assert!(matches!(&facts.user_name, Fact::Unreadable(_)), "{text:?}");
            assert_eq!(facts.tags, unreadable("a list of 1"), "{text:?}");
            assert!(!format!("{facts:?}").contains("canary"));
        }
        let facts = read(&json!({"user_name": "\u{5f20}\u{4e09}"}));
        assert_eq!(facts.user_name, Fact::Given("\u{5f20}\u{4e09}".to_owned()));
    }

    fn read_details(row: &Value) -> DesktopDetails {
        let login = Credentials::Token(SecretString::from("TOKEN-canary"));
        let sanitizer = Sanitizer(&login);
        let found = Desktop {
            id: "a".try_into().unwrap(),
            name: None,
            status: String::new(),
            task_status: String::new(),
            facts: Box::default(),
        };
        details(found, Fields { row, sanitizer })
    }

    #[test]
    fn the_two_billing_fields_have_opposite_values_for_prepaid() {
        for (product, metadata, billing) in [("0", "1", Billing::Prepaid), ("1", "0", Billing::PayPerUse)] {
            let details = read_details(
                &json!({"product": {"charge_mode": product}, "metadata": {"charging_mode": metadata}}),
            );
            assert_eq!(details.facts.charge_mode, Fact::Given(billing));
            assert_eq!(details.facts.charging_mode, Fact::Given(billing));
        }
        let numbers = read_details(&json!({"product": {"charge_mode": 0}, "metadata": {"charging_mode": 0}}));
        assert_eq!(numbers.facts.charge_mode, Fact::Given(Billing::Prepaid));
        assert_eq!(numbers.facts.charging_mode, Fact::Given(Billing::PayPerUse));
    }

    #[test]
    fn missing_and_unreadable_details_are_marked_as_such() {
        for row in [
            json!({}),
            json!({"login_status": null, "product": null, "metadata": {}, "order_id": null}),
        ] {
            let details = read_details(&row);
            assert_eq!(details.facts.login_status, Fact::NotGiven, "{row}");
            assert_eq!(details.facts.charge_mode, Fact::NotGiven, "{row}");
            assert_eq!(details.facts.charging_mode, Fact::NotGiven, "{row}");
            assert_eq!(details.facts.order_id, Fact::NotGiven, "{row}");
        }
        let details = read_details(&json!({
        "login_status": "LOGGING_IN", "product": {"charge_mode": "2"}, "metadata": "none", "order_id": "",
        }));
        assert_eq!(details.facts.login_status, unreadable("LOGGING_IN"));
        assert_eq!(details.facts.charge_mode, unreadable("2"));
        assert_eq!(details.facts.charging_mode, unreadable("none"));
        assert_eq!(details.facts.order_id, Fact::Given(String::new()));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in any::<String>(), number in any::<i64>()) {
            let row = json!({
                "computer_name": text, "user_name": number, "created": text, "in_maintenance_mode": text,
                "desktop_type": number, "tags": [{"key": text, "value": number}],
                "attach_user_infos": [{"user_name": text, "type": text}], "pool_id": [text],
            });
            let facts = read(&row);
            prop_assert_eq!(facts.user_name, Fact::Given(number.to_string()));
        }
    }
}
