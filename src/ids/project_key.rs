//! Identifies a cloud project in a comparable form: host names are compared ignoring case, and the default port is
//! optional.

use std::fmt;

use super::ProjectID;

/// The service of an endpoint, for comparisons only: two spellings of one https URL are equal. (Two host names of one
/// service are not.) What is stored, shown and connected to is the URL as it was given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(String);

impl Origin {
    /// Reads `https://HOST[:PORT][/]`. Any other text is equal to itself alone, letter case and slashes at the end aside:
    /// whether an endpoint may be used at all is decided elsewhere.
    pub fn of(endpoint: &str) -> Self {
        let folded = endpoint.trim_end_matches('/').to_ascii_lowercase();
        Self(without_default_port(&folded).unwrap_or(folded))
    }

    /// The comparable text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The URL with its port as a plain number, or without it if it is the default port of https; `None` if it has no port.
fn without_default_port(folded: &str) -> Option<String> {
    let (host, port) = folded.strip_prefix("https://")?.rsplit_once(':')?;
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let port: u16 = port.parse().ok().filter(|_| digits)?;
    Some(if port == 443 {
        format!("https://{host}")
    } else {
        format!("https://{host}:{port}")
    })
}

/// A project of a service, for comparisons only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectKey {
    /// The service.
    pub origin: Origin,
    /// The project there, in lower case.
    pub project_id: ProjectID,
}

impl ProjectKey {
    /// The project of that ID at that endpoint.
    pub fn of(endpoint: &str, project_id: &ProjectID) -> Self {
        Self {
            origin: Origin::of(endpoint),
            project_id: ProjectID(project_id.as_str().to_ascii_lowercase()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_url_are_one_origin() {
        for spelling in [
            "https://workspace.example",
            "https://WorkSpace.Example",
            "https://workspace.example/",
            "https://workspace.example:443",
            "https://WORKSPACE.example:443/",
            "https://workspace.example:00443",
        ] {
            assert_eq!(Origin::of(spelling).as_str(), "https://workspace.example");
        }
        assert_eq!(
            Origin::of("https://Workspace.Example:08443/").as_str(),
            "https://workspace.example:8443"
        );
    }

    #[test]
    fn other_services_are_other_origins() {
        let one = Origin::of("https://workspace.example");
        for other in [
            "https://workspace.example:8443",
            "https://workspace.example:4430",
            "https://workspace.example.org",
            "http://workspace.example:443",
            "https://workspace.example:+443",
            "https://workspace.example:",
        ] {
            assert_ne!(Origin::of(other), one, "{other}");
        }
    }

    #[test]
    fn project_ids_are_compared_case_insensitively() {
        let key = |id: &str| ProjectKey::of("https://H", &ProjectID::try_from(id).unwrap());
        assert_eq!(key("0B5F"), key("0b5f"));
        assert_ne!(key("0b5f"), key("0b5e"));
    }
}
