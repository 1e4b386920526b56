//! From what the files of a release were built, and by what: an in-toto statement with the provenance of SLSA 1.

use serde_json::{Map, Value, json};

/// Names the parameters below and what they mean: `docs/release.md` describes the build.
const BUILD_TYPE: &str = "https://cloud-desktops.dev/release/v1";

/// What a build is told, and what it was made with.
#[derive(Debug, Clone, Copy)]
pub struct Build<'a> {
    /// URL of the source repository.
    pub source: &'a str,
    /// Commit that was built.
    pub revision: &'a str,
    /// Version that was built.
    pub version: &'a str,
    /// SHA-256 of `Cargo.lock`, which pins every dependency.
    pub lock: &'a str,
    /// Who or what built it, as a URI.
    pub builder: &'a str,
    /// What else the build was told, by name.
    pub parameters: &'a [(String, String)],
    /// Versions of the tools, by name.
    pub tools: &'a [(String, String)],
}

/// The statement about the files that `sums` names, in the format of `sha256sum`; `None` if that has a line of another form.
pub fn statement(build: Build<'_>, sums: &str) -> Option<Value> {
    let subject = |line: &str| {
        let (digest, name) = line.split_once("  ")?;
        let is_digest = digest.len() == 64 && digest.chars().all(|c| c.is_ascii_hexdigit());
        is_digest.then(|| json!({"name": name, "digest": {"sha256": digest}}))
    };
    let subjects: Option<Vec<_>> = sums.lines().map(subject).collect();
    let mut parameters = object(build.parameters);
    parameters.extend([
        ("source".to_owned(), json!(build.source)),
        ("revision".to_owned(), json!(build.revision)),
        ("version".to_owned(), json!(build.version)),
    ]);
    Some(json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects?,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": parameters,
                "resolvedDependencies": [
                    {"uri": format!("git+{}", build.source), "digest": {"gitCommit": build.revision}},
                    {"name": "Cargo.lock", "digest": {"sha256": build.lock}},
                ],
            },
            "runDetails": {"builder": {"id": build.builder, "version": object(build.tools)}},
        },
    }))
}

fn object(pairs: &[(String, String)]) -> Map<String, Value> {
    let values = pairs.iter().map(|(name, value)| (name.clone(), json!(value)));
    values.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILD: Build<'_> = Build {
        source: "https://example.com/project",
        revision: "0123",
        version: "0.1.0",
        lock: "4567",
        builder: "https://example.com/builder",
        parameters: &[],
        tools: &[],
    };

    #[test]
    fn each_file_is_a_subject_with_its_digest() {
        let (one, other) = ("a".repeat(64), "0".repeat(64));
        let sums = format!("{one}  image.tar\n{other}  name with spaces\n");
        let statement = statement(BUILD, &sums).unwrap();
        assert_eq!(
            statement["subject"],
            json!([
                {"name": "image.tar", "digest": {"sha256": one}},
                {"name": "name with spaces", "digest": {"sha256": other}},
            ])
        );
        let built = &statement["predicate"]["buildDefinition"]["resolvedDependencies"][0];
        assert_eq!(
            *built,
            json!({"uri": "git+https://example.com/project", "digest": {"gitCommit": "0123"}})
        );
    }

    #[test]
    fn parameters_and_tools_are_named() {
        let build = Build {
            parameters: &[("image".to_owned(), "example.com/image".to_owned())],
            tools: &[("rustc".to_owned(), "1.95.0".to_owned())],
            ..BUILD
        };
        let predicate = &statement(build, "").unwrap()["predicate"];
        assert_eq!(
            predicate["buildDefinition"]["externalParameters"],
            json!({
                "image": "example.com/image",
                "source": "https://example.com/project",
                "revision": "0123",
                "version": "0.1.0",
            })
        );
        assert_eq!(
            predicate["runDetails"]["builder"],
            json!({"id": "https://example.com/builder", "version": {"rustc": "1.95.0"}})
        );
    }

    #[test]
    fn sums_of_another_form_are_refused() {
        for sums in ["image.tar", "abc  image.tar", "\n"] {
            assert!(statement(BUILD, sums).is_none(), "{sums:?}");
        }
    }
}
