//! The rules that the API server itself enforces (CEL), as far as they are shared by several fields.
//!
//! A rule on a field does not run when the field is removed, so a field that must not be removed is protected one level
//! up. Everything else belongs on the field itself: the API server builds the map of all properties of an object for
//! each field that a rule reads, so a rule on a large object costs much more than one on a field.

use kube::core::Rule;
use kube::core::cel::Reason;

/// Characters of a point in time that the API server and the operator read alike: RFC 3339 with a zone.
pub(super) const TIME: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$";

/// Digest of a request body.
pub(super) const DIGEST: &str = "^sha256:[0-9a-f]{64}$";

/// An https URL of a host, without user, path or query. `isURL` of CEL would admit user names and port 99999.
pub(super) const ENDPOINT: &str = "^https://[0-9A-Za-z.-]{1,253}(:[0-9]{1,5})?/?$";

/// Name of a Kubernetes object (DNS-1123 subdomain).
pub(super) const OBJECT_NAME: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// A field that is always there keeps the value that the object was created with.
pub(super) fn immutable(field: &str, instead: &str) -> Rule {
    forbidden("self == oldSelf", &format!("{field} is immutable; {instead}"))
}

/// An optional field of the object that carries the rule is neither changed, nor added, nor removed.
pub(super) fn immutable_optional(field: &str, instead: &str) -> Rule {
    forbidden(
        &same(field),
        &format!("{field} is immutable and can neither be added nor removed; {instead}"),
    )
    .field_path(format!(".{field}"))
}

/// An optional field that is written once does not change. [`write_once_stays`] is the other half.
pub(super) fn write_once(field: &str) -> Rule {
    forbidden("self == oldSelf", &written_once(field))
}

/// An optional field, written once, of the object that carries the rule does not vanish.
pub(super) fn write_once_stays(field: &str) -> Rule {
    forbidden(&kept(field), &written_once(field)).field_path(format!(".{field}"))
}

fn written_once(field: &str) -> String {
    format!("{field} is written once and can neither be changed nor removed")
}

/// An expression: an optional field does not vanish.
pub(super) fn kept(field: &str) -> String {
    format!("!has(oldSelf.{field}) || has(self.{field})")
}

/// An optional number of the object that carries the rule stays or grows; a missing one is 0.
pub(super) fn never_falls(field: &str) -> Rule {
    let kept = format!(
        "!has(oldSelf.{field}) || oldSelf.{field} == 0 || (has(self.{field}) && self.{field} >= oldSelf.{field})"
    );
    forbidden(&kept, &format!("{field} cannot decrease")).field_path(format!(".{field}"))
}

/// An expression: an optional field is as it was.
pub(super) fn same(field: &str) -> String {
    format!(
        "has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})"
    )
}

/// A rule whose violation is reported with reason `FieldValueForbidden`.
pub(super) fn forbidden(rule: &str, message: &str) -> Rule {
    Rule::new(rule)
        .message(message)
        .reason(Reason::FieldValueForbidden)
}

/// The port of a URL exists. (The pattern [`ENDPOINT`] bounds its digits, and CEL's `url()` admits any number.)
pub(super) fn port() -> Rule {
    let port = "int(self.split(':')[2].replace('/', ''))";
    Rule::new(format!(
        "!self.matches(':[0-9]+/?$') || [{port}].all(port, port >= 1 && port <= 65535)"
    ))
    .message("the port must be between 1 and 65535")
}

/// A time that the operator can read back: its calendar ends on 9999-12-30.
pub(super) const READABLE_TIME: &str =
    "self >= timestamp('1970-01-01T00:00:00Z') && self < timestamp('9999-01-01T00:00:00Z')";

/// Message of the API server for a time in status that cannot be read back.
pub(super) const UNREADABLE_TIME: &str = "the time must be between the years 1970 and 9998";

/// A time in status.
pub(super) fn recorded_time() -> Rule {
    Rule::new(READABLE_TIME).message(UNREADABLE_TIME)
}

/// A time in spec; `omitted` names the field and the effect of leaving it out.
pub(super) fn readable_time(omitted: &str) -> Rule {
    Rule::new(READABLE_TIME).message(&*format!(
        "the time must be between the years 1970 and 9998; omit {omitted}"
    ))
}
