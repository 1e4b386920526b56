//! Bodies of responses as the vendor documents them, read tolerantly: unknown fields are ignored, numbers may be strings, a
//! row that cannot be read does not affect its page. What must not be guessed (a job ID, the number of rows) makes the whole
//! response unreadable. The body of the delete request is [`BatchDelete`](super::api::BatchDelete); paths, queries and
//! headers are in [`super::http`].

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use facts::Fields;
use unique_keys::UniqueKeys;

use super::api::{Desktop, DesktopDetails, DesktopPage, Job, SubJob, SubJobPage, SubJobStatus};
use super::text::{self, Sanitizer};
use crate::ids::{DesktopID, JobID, code};

mod facts;
mod unique_keys;

/// Why a body is not as documented.
pub(super) type Unreadable = String;

#[derive(Deserialize)]
struct AcceptedBody {
    job_id: Option<Value>,
}

/// The job of an accepted batch-delete: `{"job_id"}`.
pub(super) fn accepted(body: &[u8]) -> Result<JobID, Unreadable> {
    match parse::<AcceptedBody>(body)?.job_id {
        Some(Value::String(id)) => JobID::try_from(id).map_err(|error| error.to_string()),
        Some(Value::Null) | None => Err("no job_id".to_owned()),
        Some(_) => Err("job_id is not a string".to_owned()),
    }
}

#[derive(Deserialize)]
struct DesktopListBody {
    #[serde(default, deserialize_with = "count")]
    total_count: Option<u64>,
    #[serde(default)]
    desktops: Option<Vec<UniqueKeys>>,
}

/// The rows of a list. A body with a count of zero may omit the list.
fn listed(rows: Option<Vec<UniqueKeys>>, total: u64) -> Option<Vec<UniqueKeys>> {
    rows.or_else(|| (total == 0).then(Vec::new))
}

#[derive(Deserialize)]
struct DesktopRow {
    desktop_id: DesktopID,
    #[serde(default, deserialize_with = "scalar_text")]
    computer_name: String,
    #[serde(default, deserialize_with = "scalar_text")]
    status: String,
    #[serde(default, deserialize_with = "scalar_text")]
    task_status: String,
}

fn desktop_list(body: &[u8]) -> Result<(u64, Vec<UniqueKeys>), Unreadable> {
    let body: DesktopListBody = parse(body)?;
    let total = body.total_count.ok_or("no total_count")?;
    let rows = listed(body.desktops, total).ok_or("no desktops")?;
    Ok((total, rows))
}

/// A page of desktops in their detailed form, read like the short one.
pub(super) fn desktop_details(
    body: &[u8],
    sanitizer: Sanitizer<'_>,
) -> Result<Vec<DesktopDetails>, Unreadable> {
    let (_, rows) = desktop_list(body)?;
    let details = |UniqueKeys(row): &UniqueKeys| {
        let found = desktop(row, sanitizer)?;
        Some(facts::details(found, Fields { row, sanitizer }))
    };
    Ok(rows.iter().filter_map(details).collect())
}

/// A page of desktops. A row without a readable id is left out, and so leaves the page short of `total_count`.
pub(super) fn desktops(body: &[u8], sanitizer: Sanitizer<'_>) -> Result<DesktopPage, Unreadable> {
    let (total, rows) = desktop_list(body)?;
    Ok(DesktopPage {
        total,
        rows: rows.len(),
        desktops: rows
            .iter()
            .filter_map(|UniqueKeys(row)| desktop(row, sanitizer))
            .collect(),
    })
}

#[derive(Deserialize)]
struct DesktopBody {
    #[serde(default)]
    desktop: UniqueKeys,
}

/// One desktop; the vendor's own example shows it inside an array of one.
pub(super) fn desktop_detail(
    body: &[u8],
    expected: &DesktopID,
    sanitizer: Sanitizer<'_>,
) -> Result<Desktop, Unreadable> {
    let UniqueKeys(body) = parse::<DesktopBody>(body)?.desktop;
    let one = match &body {
        Value::Array(rows) if rows.len() == 1 => &rows[0],
        other => other,
    };
    let found = desktop(one, sanitizer).ok_or("no desktop with a desktop_id")?;
    if found.id.folded() != expected.folded() {
        return Err(format!("it describes desktop {} instead of {expected}", found.id));
    }
    Ok(found)
}

/// A desktop; `None` if its row has no ID.
fn desktop(row: &Value, sanitizer: Sanitizer<'_>) -> Option<Desktop> {
    let facts = facts::desktop(Fields { row, sanitizer });
    let row: DesktopRow = object(row)?;
    let short = |text: &str| sanitizer.line(text, text::MAX_SHORT_TEXT);
    Some(Desktop {
        id: row.desktop_id,
        name: short(&row.computer_name),
        status: short(&row.status).unwrap_or_default(),
        task_status: short(&row.task_status).unwrap_or_default(),
        facts: Box::new(facts),
    })
}

#[derive(Deserialize)]
struct SubJobListBody {
    #[serde(default, deserialize_with = "count")]
    total_count: Option<u64>,
    #[serde(default)]
    jobs: Option<Vec<UniqueKeys>>,
}

#[derive(Deserialize)]
struct SubJobRow {
    #[serde(default, deserialize_with = "scalar_text")]
    id: String,
    #[serde(default)]
    job_id: Option<JobID>,
    #[serde(default)]
    entities: Option<Entities>,
    #[serde(default, deserialize_with = "scalar_text")]
    status: String,
    #[serde(default, deserialize_with = "scalar_text")]
    error_code: String,
    #[serde(default, deserialize_with = "scalar_text")]
    fail_reason: String,
}

#[derive(Deserialize)]
struct Entities {
    desktop_id: Option<DesktopID>,
}

/// A page of sub-jobs. Rows that do not name a parent and a desktop are counted but left out.
pub(super) fn sub_jobs(body: &[u8], sanitizer: Sanitizer<'_>) -> Result<SubJobPage, Unreadable> {
    let body: SubJobListBody = parse(body)?;
    let total = body.total_count.ok_or("no total_count")?;
    let named = body.jobs.is_some();
    let rows = listed(body.jobs, total).ok_or("no jobs")?;
    Ok(SubJobPage {
        total,
        rows: rows.len(),
        has_list: named,
        sub_jobs: rows
            .iter()
            .filter_map(|row| sub_job(row, None, sanitizer))
            .collect(),
    })
}

/// A sub-job, of `parent` unless it names another.
fn sub_job(UniqueKeys(row): &UniqueKeys, parent: Option<&JobID>, sanitizer: Sanitizer<'_>) -> Option<SubJob> {
    let row: SubJobRow = object(row)?;
    let status = sub_job_status(&row.status);
    let word = || {
        let word = sanitizer.line(&row.status, text::MAX_CODE);
        (status == SubJobStatus::Other).then(|| word.unwrap_or_else(|| code::NO_STATUS.to_owned()))
    };
    Some(SubJob {
        job: row.job_id.or_else(|| parent.cloned())?,
        desktop: row.entities?.desktop_id?,
        id: sanitizer.line(&row.id, text::MAX_SHORT_TEXT).unwrap_or_default(),
        status,
        code: sanitizer.line(&row.error_code, text::MAX_CODE).or_else(word),
        reason: sanitizer.line(&row.fail_reason, text::MAX_SHORT_TEXT),
    })
}

/// The documented values, and those that the service uses for parents and other jobs.
fn sub_job_status(word: &str) -> SubJobStatus {
    match word.trim().to_ascii_uppercase().as_str() {
        "WAITING" | "INIT" | "PENDING" => SubJobStatus::Waiting,
        "RUNNING" => SubJobStatus::Running,
        "SUCCESS" | "COMPLETE" => SubJobStatus::Success,
        "FAILED" | "FAIL" => SubJobStatus::Failed,
        _ => SubJobStatus::Other,
    }
}

#[derive(Deserialize)]
struct JobBody {
    id: JobID,
    #[serde(default, deserialize_with = "scalar_text")]
    status: String,
    #[serde(default, deserialize_with = "scalar_text")]
    job_error_code: String,
    #[serde(default, deserialize_with = "scalar_text")]
    fail_reason: String,
    #[serde(default, deserialize_with = "count")]
    sub_jobs_total: Option<u64>,
    #[serde(default)]
    sub_jobs: Option<Vec<UniqueKeys>>,
}

/// A parent job with its sub-jobs.
pub(super) fn job(body: &[u8], expected: &JobID, sanitizer: Sanitizer<'_>) -> Result<Job, Unreadable> {
    let body: JobBody = parse(body)?;
    if !body.id.as_str().eq_ignore_ascii_case(expected.as_str()) {
        return Err(format!("it describes job {} instead of {expected}", body.id));
    }
    let status = sub_job_status(&body.status);
    let rows = body.sub_jobs.unwrap_or_default();
    let sent = rows.len();
    let sub_jobs: Vec<_> = rows
        .iter()
        .filter_map(|row| sub_job(row, Some(expected), sanitizer))
        .collect();
    Ok(Job {
        finished: matches!(status, SubJobStatus::Success | SubJobStatus::Failed),
        end_unknown: status == SubJobStatus::Other && (sent == 0 || !body.status.trim().is_empty()),
        code: sanitizer.line(&body.job_error_code, text::MAX_CODE),
        reason: sanitizer.line(&body.fail_reason, text::MAX_MESSAGE),
        // A row that cannot be read may name any desktop.
        complete: body.sub_jobs_total == Some(sent as u64) && sub_jobs.len() == sent,
        sub_jobs,
        id: expected.clone(),
    })
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Unreadable> {
    if body.is_empty() {
        return Err("it is empty".to_owned());
    }
    // A derived struct would also accept an array of its fields.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err("not a JSON object".to_owned());
    }
    serde_json::from_slice(body).map_err(|error| format!("unexpected JSON: {error}"))
}

/// A row, or nothing if it is not even an object with the right kinds of values.
fn object<T: DeserializeOwned>(row: &Value) -> Option<T> {
    // A derived struct would also accept an array of its fields.
    T::deserialize(row.is_object().then_some(row)?).ok()
}

/// A text that may be missing, null, or sent as a number or boolean; any other value counts as missing.
fn scalar_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
    })
}

/// A count that may be sent as a string.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::SecretString;

    use super::*;
    use crate::workspace::api::{BatchDelete, DesktopFacts, Fact};
    use crate::workspace::auth::Credentials;

    const D1: &str = "1d81c1dc-312b-4621-b778-bac3a1336442";
    const D2: &str = "34e25501-fd50-42b5-97ca-f4c5bb7b09b0";

    fn login() -> Credentials {
        Credentials::Token(SecretString::from("TOKEN-canary"))
    }

    fn desktop_id(text: &str) -> DesktopID {
        DesktopID::try_from(text).unwrap()
    }

    fn job_id(text: &str) -> JobID {
        JobID::try_from(text).unwrap()
    }

    #[test]
    fn every_flag_is_sent_whatever_its_value() {
        let batch = BatchDelete {
            desktop_ids: vec![desktop_id(D1), desktop_id(D2)],
            delete_users: false,
            email_notification: true,
            force: false,
        };
        assert_eq!(
            serde_json::to_string(&batch).unwrap(),
            format!(
                r#"{{"desktop_ids":["{D1}","{D2}"],"delete_users":false,"email_notification":true,"is_force_delete":false}}"#
            )
        );
    }

    #[test]
    fn only_a_plain_job_id_counts_as_accepted() {
        assert_eq!(accepted(br#"{"job_id":"job-1","more":[1]}"#), Ok(job_id("job-1")));
        for (body, why) in [
            (r"", "it is empty"),
            (r"{}", "no job_id"),
            (r#"{"job_id":null}"#, "no job_id"),
            (r#"{"job_id":7}"#, "job_id is not a string"),
            (r#"{"job_id":{"id":"a"}}"#, "job_id is not a string"),
            (r#"{"job_id":""}"#, "a job ID must be"),
            (r#"{"job_id":"a/b"}"#, "a job ID must be"),
            (r#"["job-1"]"#, "not a JSON object"),
            (r#""job-1""#, "not a JSON object"),
            (r"<html>", "not a JSON object"),
            (r#"{"job_id":"job-1""#, "unexpected JSON: EOF"),
            (r#"{"job_id":"job-1","job_id":"job-2"}"#, "duplicate field"),
        ] {
            let error = accepted(body.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{body}: {error}");
        }
    }

    #[test]
    fn deeply_nested_json_is_an_error_and_not_a_crash() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(
            accepted(format!(r#"{{"job_id":"a","x":{deep}}}"#).as_bytes()),
            Ok(job_id("a"))
        );
        let error = accepted(format!(r#"{{"job_id":{deep}}}"#).as_bytes()).unwrap_err();
        assert!(error.contains("recursion limit"), "{error}");
    }

    #[test]
    fn a_desktop_page_keeps_what_it_can_read() {
        let body = format!(
            r#"{{"total_count":"5","desktops":[
                {{"desktop_id":"{D1}","computer_name":"PC-1","status":"ACTIVE","task_status":null}},
                {{"desktop_id":"{D2}","computer_name":7,"status":null,"extra":{{}}}},
                {{"desktop_id":"not/an/id"}}, {{"computer_name":"no id"}}, "junk"]}}"#
        );
        let page = desktops(body.as_bytes(), Sanitizer(&login())).unwrap();
        assert_eq!(page.total, 5);
        let row = |id, name: &str, status: &str| Desktop {
            id: desktop_id(id),
            name: Some(name.into()),
            status: status.into(),
            task_status: String::new(),
            facts: Box::new(DesktopFacts {
                computer_name: Fact::Given(name.into()),
                ..DesktopFacts::default()
            }),
        };
        assert_eq!(page.desktops, [row(D1, "PC-1", "ACTIVE"), row(D2, "7", "")]);
    }

    #[test]
    fn a_page_without_its_count_or_rows_is_unreadable() {
        for body in [
            r#"{"desktops":[]}"#,
            r#"{"total_count":-1,"desktops":[]}"#,
            r#"{"total_count":1}"#,
        ] {
            assert!(desktops(body.as_bytes(), Sanitizer(&login())).is_err(), "{body}");
            assert!(
                desktop_details(body.as_bytes(), Sanitizer(&login())).is_err(),
                "{body}"
            );
        }
        for body in [
            r#"{"jobs":[]}"#,
            r#"{"total_count":1.5,"jobs":[]}"#,
            r#"{"total_count":1,"jobs":null}"#,
        ] {
            assert!(sub_jobs(body.as_bytes(), Sanitizer(&login())).is_err(), "{body}");
        }
    }

    #[test]
    fn a_page_that_counts_no_row_may_lack_the_list() {
        for body in [r#"{"total_count":0}"#, r#"{"total_count":0,"desktops":null}"#] {
            let page = desktops(body.as_bytes(), Sanitizer(&login())).unwrap();
            assert_eq!((page.total, page.desktops.len()), (0, 0), "{body}");
        }
        for (body, named) in [
            (r#"{"total_count":0}"#, false),
            (r#"{"total_count":0,"jobs":null}"#, false),
            (r#"{"total_count":0,"jobs":[]}"#, true),
        ] {
            let page = sub_jobs(body.as_bytes(), Sanitizer(&login())).unwrap();
            assert_eq!((page.total, page.rows, page.has_list), (0, 0, named), "{body}");
        }
    }

    #[test]
    fn a_desktop_is_read_from_an_object_or_an_array_of_one() {
        let row = format!(r#"{{"desktop_id":"{}","status":"deleted"}}"#, D1.to_uppercase());
        for body in [
            format!(r#"{{"desktop":{row}}}"#),
            format!(r#"{{"desktop":[{row}]}}"#),
        ] {
            let found = desktop_detail(body.as_bytes(), &desktop_id(D1), Sanitizer(&login())).unwrap();
            assert_eq!(found.status, "deleted");
        }
    }

    #[test]
    fn a_desktop_that_was_not_asked_for_is_unreadable() {
        for body in [
            format!(r#"{{"desktop":{{"desktop_id":"{D2}"}}}}"#),
            r#"{"desktop":null}"#.to_owned(),
            r#"{"desktop":[]}"#.to_owned(),
            r#"{"desktop":{}}"#.to_owned(),
            "{}".to_owned(),
        ] {
            assert!(
                desktop_detail(body.as_bytes(), &desktop_id(D1), Sanitizer(&login())).is_err(),
                "{body}"
            );
        }
    }

    #[test]
    fn sub_jobs_that_name_no_desktop_are_counted_and_left_out() {
        let body = format!(
            r#"{{"total_count":6,"jobs":[
                {{"id":"s1","job_id":"j1","status":"success","entities":{{"desktop_id":"{D1}"}}}},
                {{"id":2,"job_id":"j1","status":"FAILED","error_code":"WKS.1","fail_reason":"in <b>use</b>","entities":{{"desktop_id":"{D2}"}}}},
                {{"id":"s3","job_id":"j1","status":"RUNNING"}},
                {{"id":"s4","job_id":"j1","entities":null}},
                {{"id":"s5","entities":{{"desktop_id":"{D1}"}}}},
                null]}}"#
        );
        let page = sub_jobs(body.as_bytes(), Sanitizer(&login())).unwrap();
        assert_eq!((page.total, page.rows, page.sub_jobs.len()), (6, 6, 2));
        assert_eq!(page.sub_jobs[0].status, SubJobStatus::Success);
        assert_eq!(
            page.sub_jobs[1],
            SubJob {
                id: "2".into(),
                job: job_id("j1"),
                desktop: desktop_id(D2),
                status: SubJobStatus::Failed,
                code: Some("WKS.1".into()),
                reason: Some("in use".into()),
            }
        );
    }

    #[test]
    fn a_duplicate_key_is_treated_as_missing() {
        let row = |job: &str, entities: &str, status: &str| {
            format!(r#"{{"id":"s1",{job},"entities":{{{entities}}},{status}}}"#)
        };
        let (j, e, s) = (
            r#""job_id":"j1""#.to_owned(),
            format!(r#""desktop_id":"{D1}""#),
            r#""status":"RUNNING""#.to_owned(),
        );
        let with = |first: &str, second: &str| format!("{first},{second}");
        let jobs = [
            row(&with(&j, r#""job_id":"j2""#), &e, &s),
            row(&j, &with(&e, &format!(r#""desktop_id":"{D2}""#)), &s),
            row(&j, &e, &with(&s, r#""status":"SUCCESS""#)),
        ];
        let body = format!(r#"{{"total_count":3,"jobs":[{}]}}"#, jobs.join(","));
        let page = sub_jobs(body.as_bytes(), Sanitizer(&login())).unwrap();
        assert_eq!((page.rows, page.sub_jobs.len()), (3, 1));
        assert_eq!(page.sub_jobs[0].status, SubJobStatus::Other);

        let twice = format!(r#""desktop_id":"{D1}","status":"ACTIVE","status":"DELETED""#);
        let found = desktop_detail(
            format!(r#"{{"desktop":{{{twice}}}}}"#).as_bytes(),
            &desktop_id(D1),
            Sanitizer(&login()),
        );
        assert_eq!(found.unwrap().status, "");
        let page = desktops(
            format!(r#"{{"total_count":1,"desktops":[{{{twice}}}]}}"#).as_bytes(),
            Sanitizer(&login()),
        );
        assert_eq!(page.unwrap().desktops[0].status, "");
    }

    #[test]
    fn an_undocumented_status_becomes_the_error_code_of_the_sub_job() {
        let read = |status: &str| {
            let row = format!(
                r#"{{"id":"s1","job_id":"j1","status":"{status}","entities":{{"desktop_id":"{D1}"}}}}"#
            );
            let body = format!(r#"{{"total_count":1,"jobs":[{row}]}}"#);
            let page = sub_jobs(body.as_bytes(), Sanitizer(&login())).unwrap();
            page.sub_jobs[0].code.clone()
        };
        assert_eq!(read("Skipped").as_deref(), Some("Skipped"));
        assert_eq!(read("").as_deref(), Some("NoStatus"));
        assert_eq!(read("RUNNING"), None);
    }

    #[test]
    fn an_undocumented_status_is_not_final() {
        for (word, status) in [
            ("WAITING", SubJobStatus::Waiting),
            ("waiting", SubJobStatus::Waiting),
            ("INIT", SubJobStatus::Waiting),
            ("PENDING", SubJobStatus::Waiting),
            ("RUNNING", SubJobStatus::Running),
            ("", SubJobStatus::Other),
            ("CANCELLED", SubJobStatus::Other),
            ("ABNORMAL", SubJobStatus::Other),
            ("SKIPPED", SubJobStatus::Other),
            ("Success", SubJobStatus::Success),
            ("COMPLETE", SubJobStatus::Success),
            ("FAILED", SubJobStatus::Failed),
            ("fail", SubJobStatus::Failed),
        ] {
            assert_eq!(sub_job_status(word), status, "{word}");
        }
    }

    #[test]
    fn sub_jobs_without_a_job_id_get_that_of_their_parent() {
        let body = format!(
            r#"{{"id":"j1","status":"FAIL","job_error_code":"WKS.2","fail_reason":"partly","sub_jobs":[
                {{"id":"s1","status":"SUCCESS","entities":{{"desktop_id":"{D1}"}}}},
                {{"id":"s2","job_id":"j9","status":"FAILED","entities":{{"desktop_id":"{D2}"}}}}]}}"#
        );
        let job = job(body.as_bytes(), &job_id("j1"), Sanitizer(&login())).unwrap();
        assert!(job.finished);
        assert_eq!(
            (job.code.as_deref(), job.reason.as_deref()),
            (Some("WKS.2"), Some("partly"))
        );
        let parents: Vec<&str> = job.sub_jobs.iter().map(|sub_job| sub_job.job.as_str()).collect();
        assert_eq!(parents, ["j1", "j9"]);
    }

    #[test]
    fn a_parent_is_finished_only_with_a_documented_final_status() {
        for (status, finished, unclear) in [
            ("SUCCESS", true, false),
            ("COMPLETE", true, false),
            ("FAIL", true, false),
            ("failed", true, false),
            ("INIT", false, false),
            ("RUNNING", false, false),
            ("", false, true),
            ("SUCCESSFUL", false, true),
            ("CANCELLED", false, true),
        ] {
            let body = format!(r#"{{"id":"j1","status":"{status}"}}"#);
            let job = job(body.as_bytes(), &job_id("j1"), Sanitizer(&login())).unwrap();
            assert_eq!((job.finished, job.end_unknown), (finished, unclear), "{status}");
        }
        let row = format!(r#"{{"id":"s1","status":"RUNNING","entities":{{"desktop_id":"{D1}"}}}}"#);
        let body = format!(r#"{{"id":"j1","status":"","sub_jobs":[{row}]}}"#);
        let job = job(body.as_bytes(), &job_id("j1"), Sanitizer(&login())).unwrap();
        assert!(!job.end_unknown, "its sub-jobs say what there is");
        let other = br#"{"id":"j2","status":"SUCCESS"}"#;
        assert!(super::job(other, &job_id("j1"), Sanitizer(&login())).is_err());
    }

    #[test]
    fn texts_of_the_cloud_carry_no_secret() {
        let body = format!(
            r#"{{"total_count":1,"desktops":[{{"desktop_id":"{D1}","computer_name":"TOKEN-canary"}}]}}"#
        );
        let page = desktops(body.as_bytes(), Sanitizer(&login())).unwrap();
        assert_eq!(page.desktops[0].name.as_deref(), Some("[redacted]"));
    }

    proptest! {
        #[test]
        fn no_body_makes_the_reader_panic(body in any::<Vec<u8>>()) {
            let login = login();
            let sanitizer = Sanitizer(&login);
            let _ = accepted(&body);
            let _ = desktops(&body, sanitizer);
            let _ = desktop_details(&body, sanitizer);
            let _ = desktop_detail(&body, &desktop_id(D1), sanitizer);
            let _ = sub_jobs(&body, sanitizer);
            let _ = job(&body, &job_id("j1"), sanitizer);
        }

        #[test]
        fn no_value_in_a_row_makes_its_page_unreadable(id in any::<String>(), status in any::<i64>(), flag in any::<bool>()) {
            let body = serde_json::json!({"total_count": 1, "jobs": [
                {"id": status, "job_id": id, "status": flag, "entities": {"desktop_id": id}, "fail_reason": [flag]}
            ]});
            let page = sub_jobs(body.to_string().as_bytes(), Sanitizer(&login())).unwrap();
            prop_assert_eq!(page.rows, 1);
        }
    }
}
