//! Faults: which requests they strike, and what happens to them.

use serde_json::{Value, json};
use workspace_simulator::cloud::{Delivery, Fault};

use super::support::{KEY, PROJECT, Sim, batch_delete, get, read, signed};

fn add(sim: &mut Sim, fault: Value) {
    let fault: Fault = serde_json::from_value(fault).unwrap();
    sim.cloud.add_fault(fault).unwrap();
}

fn delete(sim: &mut Sim, ids: &[&str]) -> Delivery {
    let request = signed(batch_delete(&json!({"desktop_ids": ids})), sim.now, KEY);
    sim.handle(&request)
}

#[test]
fn the_nth_request_of_an_operation_is_struck_once() {
    let mut sim = Sim::new();
    add(
        &mut sim,
        json!({"operation": "listDesktops", "nth": 2, "answer": {"status": 503}}),
    );
    let statuses: Vec<u16> = (0..4)
        .map(|_| {
            sim.get("desktops/a");
            let request = signed(get(&format!("/v2/{PROJECT}/desktops")), sim.now, KEY);
            sim.ask(&request).status.as_u16()
        })
        .collect();
    assert_eq!(statuses, [200, 503, 200, 200]);
    assert_eq!(
        (sim.cloud.faults()[0].matched, sim.cloud.faults()[0].struck),
        (4, 1)
    );
}

#[test]
fn without_nth_every_request_is_struck_until_the_faults_are_taken_away() {
    let mut sim = Sim::new();
    add(&mut sim, json!({"answer": {"status": 500}}));
    for _ in 0..3 {
        assert_eq!(sim.ask(&get("/anything")).status.as_u16(), 500);
    }
    sim.cloud.clear_faults();
    assert_eq!(sim.ask(&get("/anything")).status.as_u16(), 404);
}

#[test]
fn an_answer_can_have_another_date_than_the_service() {
    let mut sim = Sim::new();
    let dates = [json!({"dateAhead": "25m"}), json!({"dateBehind": "1h"})];
    for (nth, answer) in (1..).zip(dates) {
        add(
            &mut sim,
            json!({"operation": "listDesktops", "nth": nth, "answer": answer}),
        );
    }
    let ahead: Vec<i64> = (0..3)
        .map(|_| {
            let request = signed(get(&format!("/v2/{PROJECT}/desktops")), sim.now, KEY);
            let response = sim.ask(&request);
            assert_eq!(response.status.as_u16(), 200);
            let date = response.headers["date"].to_str().unwrap();
            let date = jiff::fmt::rfc2822::parse(date).unwrap().timestamp();
            date.duration_since(sim.now).as_mins()
        })
        .collect();
    assert_eq!(ahead, [25, -60, 0]);
}

#[test]
fn a_fault_of_a_desktop_strikes_where_the_desktop_is_named() {
    let mut sim = Sim::new();
    add(&mut sim, json!({"desktop": "b", "answer": "reset"}));
    let ask = |sim: &mut Sim, target: &str| {
        let request = signed(get(&format!("/v2/{PROJECT}/{target}")), sim.now, KEY);
        sim.handle(&request) == Delivery::Reset
    };
    assert!(ask(&mut sim, "desktops/b"));
    assert!(!ask(&mut sim, "desktops/a"));
    assert!(ask(&mut sim, "desktops?desktop_id=a&desktop_id=b"));
    assert!(!ask(&mut sim, "desktops"));
    assert_eq!(delete(&mut sim, &["a", "b"]), Delivery::Reset);
    assert!(matches!(delete(&mut sim, &["a"]), Delivery::Complete(_)));
}

#[test]
fn the_nth_is_counted_among_the_requests_that_name_the_desktop() {
    let mut sim = Sim::new();
    add(
        &mut sim,
        json!({"operation": "showDesktop", "desktop": "b", "nth": 2, "answer": {"status": 502}}),
    );
    let statuses: Vec<u16> = ["b", "a", "a", "b", "b"]
        .iter()
        .map(|id| {
            let request = signed(get(&format!("/v2/{PROJECT}/desktops/{id}")), sim.now, KEY);
            sim.ask(&request).status.as_u16()
        })
        .collect();
    assert_eq!(statuses, [200, 200, 200, 502, 200]);
}

#[test]
fn the_effect_comes_first_only_where_the_fault_says_so() {
    for answer in [json!({"status": 504}), json!("reset"), json!("timeout")] {
        for effect_first in [true, false] {
            let mut sim = Sim::new();
            add(
                &mut sim,
                json!({"operation": "batchDelete", "effectFirst": effect_first, "answer": answer}),
            );
            let got = delete(&mut sim, &["a"]);
            match (answer.as_str(), got) {
                (None, Delivery::Complete(response)) => assert_eq!(response.status.as_u16(), 504),
                (Some("reset"), Delivery::Reset) | (Some("timeout"), Delivery::Timeout) => {}
                (_, other) => panic!("{answer}: {other:?}"),
            }
            assert_eq!(
                sim.desktop("a").1,
                if effect_first { "deleting" } else { "" },
                "{answer}"
            );
            let entry = &sim.cloud.ledger()[0];
            assert_eq!(entry.took_effect, effect_first);
            assert_eq!(entry.job_id.is_some(), effect_first);
            assert_eq!(
                entry.status,
                answer["status"]
                    .as_u64()
                    .map(|status| u16::try_from(status).unwrap())
            );
        }
    }
}

#[test]
fn a_status_brings_its_own_headers_and_body() {
    let mut sim = Sim::new();
    add(
        &mut sim,
        json!({"nth": 1, "answer": {
            "status": 429, "headers": {"Retry-After": "7", "Date": null}, "body": {"error_code": "APIGW.0308"}
        }}),
    );
    add(
        &mut sim,
        json!({"nth": 2, "answer": {"status": 502, "body": "<html>Bad Gateway</html>"}}),
    );
    add(&mut sim, json!({"nth": 3, "answer": {"status": 500}}));
    let response = sim.ask(&get("/x"));
    assert_eq!(read(&response), (429, json!({"error_code": "APIGW.0308"})));
    assert_eq!(response.headers["retry-after"], "7");
    assert_eq!(response.headers["content-type"], "application/json");
    assert!(!response.headers.contains_key("date"));
    let response = sim.ask(&get("/x"));
    assert_eq!(response.body, "<html>Bad Gateway</html>");
    assert!(!response.headers.contains_key("content-type"));
    assert!(response.headers.contains_key("date"));
    assert_eq!(sim.ask(&get("/x")).body, "");
}

#[test]
fn a_delay_after_the_effect_holds_back_the_answer() {
    let mut sim = Sim::new();
    add(
        &mut sim,
        json!({"effectFirst": true, "nth": 1, "answer": {"delay": "3s"}}),
    );
    let Delivery::Delayed { delay, response } = delete(&mut sim, &["a"]) else {
        panic!("not delayed")
    };
    assert_eq!(delay.unsigned().as_secs(), 3);
    assert_eq!(response.status.as_u16(), 202);
    assert_eq!(sim.desktop("a").1, "deleting");
}

#[test]
fn a_delay_before_the_effect_holds_back_the_request() {
    let mut sim = Sim::new();
    add(
        &mut sim,
        json!({"operation": "batchDelete", "answer": {"delay": "3s"}}),
    );
    let request = signed(batch_delete(&json!({"desktop_ids": ["a"]})), sim.now, KEY);
    assert!(matches!(sim.handle(&request), Delivery::Held { .. }));
    assert_eq!(sim.cloud.ledger().len(), 0, "it has not arrived");
    sim.pass(3);
    let Delivery::Complete(response) = sim.cloud.resume(sim.now, &request) else {
        panic!("not answered")
    };
    assert_eq!(response.status.as_u16(), 202);
    assert_eq!(sim.last().signature_age, Some(3.0));
}

#[test]
fn a_request_that_is_held_beyond_the_life_of_its_signature_is_refused() {
    let mut sim = Sim::new();
    add(
        &mut sim,
        json!({"operation": "batchDelete", "answer": {"delay": "901s"}}),
    );
    let request = signed(batch_delete(&json!({"desktop_ids": ["a"]})), sim.now, KEY);
    assert!(matches!(sim.handle(&request), Delivery::Held { .. }));
    sim.pass(901);
    let Delivery::Complete(response) = sim.cloud.resume(sim.now, &request) else {
        panic!("not answered")
    };
    assert_eq!(response.status.as_u16(), 401);
    assert_eq!(sim.desktop("a").1, "");
}

#[test]
fn a_cut_answer_belongs_to_a_request_that_was_carried_out() {
    let mut sim = Sim::new();
    add(
        &mut sim,
        json!({"operation": "batchDelete", "answer": {"cutAfter": 12}}),
    );
    let Delivery::Cut { after: 12, response } = delete(&mut sim, &["a"]) else {
        panic!("not cut")
    };
    assert_eq!(response.status.as_u16(), 202);
    assert!(sim.last().took_effect);
}

#[test]
fn a_slow_or_endless_answer_belongs_to_a_request_that_was_carried_out() {
    let mut sim = Sim::new();
    add(
        &mut sim,
        json!({"operation": "batchDelete", "nth": 1, "answer": {"drip": "1s"}}),
    );
    add(
        &mut sim,
        json!({"operation": "batchDelete", "nth": 2, "answer": "endless"}),
    );
    let Delivery::Dripping { response, .. } = delete(&mut sim, &["a"]) else {
        panic!("not slow")
    };
    assert_eq!((response.status.as_u16(), sim.last().took_effect), (202, true));
    let Delivery::Endless(response) = delete(&mut sim, &["b"]) else {
        panic!("not endless")
    };
    assert_eq!((response.status.as_u16(), sim.last().took_effect), (202, true));
}

#[test]
fn an_answer_may_be_bytes_that_are_no_text() {
    let mut sim = Sim::new();
    add(
        &mut sim,
        json!({"answer": {"status": 200, "headers": {"Content-Encoding": "gzip"}, "bodyHex": "1f8B00ff"}}),
    );
    assert_eq!(&sim.ask(&get("/x")).body[..], [0x1f, 0x8b, 0, 0xff]);
    for (answer, why) in [
        (
            json!({"status": 200, "bodyHex": "1f8"}),
            "pairs of hexadecimal digits",
        ),
        (
            json!({"status": 200, "bodyHex": "+f"}),
            "pairs of hexadecimal digits",
        ),
        (
            json!({"status": 200, "bodyHex": "", "body": "x"}),
            "both body and bodyHex",
        ),
    ] {
        let fault = serde_json::from_value(json!({"answer": answer})).unwrap();
        let error = sim.cloud.add_fault(fault).unwrap_err();
        assert!(error.contains(why), "{answer}: {error}");
    }
}

#[test]
fn of_several_faults_the_oldest_strikes_and_all_count() {
    let mut sim = Sim::new();
    add(&mut sim, json!({"nth": 1, "answer": {"status": 500}}));
    add(&mut sim, json!({"nth": 1, "answer": {"status": 502}}));
    add(&mut sim, json!({"nth": 2, "answer": {"status": 504}}));
    let statuses: Vec<u16> = (0..3).map(|_| sim.ask(&get("/x")).status.as_u16()).collect();
    assert_eq!(statuses, [500, 504, 404]);
}

#[test]
fn faults_that_make_no_sense_are_refused_with_a_sentence() {
    for (fault, why) in [
        (json!({"answer": "explode"}), "an answer must be"),
        (
            json!({"answer": {"status": 504, "extra": 1}}),
            "an answer must be",
        ),
        (json!({"answer": {"delay": "-1s"}}), "an answer must be"),
        (json!({}), "missing field `answer`"),
        (json!({"answer": "reset", "times": 1}), "unknown field `times`"),
        (
            json!({"operation": "deleteAll", "answer": "reset"}),
            "unknown variant `deleteAll`",
        ),
    ] {
        let error = serde_json::from_value::<Fault>(fault.clone())
            .unwrap_err()
            .to_string();
        assert!(error.contains(why), "{fault}: {error}");
    }
    let mut sim = Sim::new();
    for (fault, why) in [
        (json!({"nth": 0, "answer": "reset"}), "nth counts from 1"),
        (
            json!({"answer": {"status": 99}}),
            "the status 99 is not within 200 and 999",
        ),
        (
            json!({"answer": {"status": 500, "headers": {"a b": "c"}}}),
            "the header a b cannot be sent",
        ),
    ] {
        let error = sim
            .cloud
            .add_fault(serde_json::from_value(fault).unwrap())
            .unwrap_err();
        assert!(error.contains(why), "{error}");
    }
    assert!(sim.cloud.faults().is_empty());
}
