//! Sanitizes external texts for status, Events and logs: one line, no control characters, no markup, not longer than
//! documented.

use super::auth::Redact;

/// Maximum length of an error code (Workspace documents 12 characters, sub-jobs 55).
pub(super) const MAX_CODE: usize = 64;

/// Maximum length of a message or detail, as documented by the service.
pub(super) const MAX_MESSAGE: usize = 1000;

/// Maximum length of a request ID.
pub(super) const MAX_REQUEST_ID: usize = 128;

/// Longest `encoded_authorization_message`: what STS accepts for decoding.
pub(super) const MAX_ENCODED_MESSAGE: usize = 10_240;

/// Longest name, status or reason of a failed sub-job: what the service documents.
pub(super) const MAX_SHORT_TEXT: usize = 255;

/// Sanitizes texts, and removes the credentials from them, in case a service or a library repeats them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sanitizer<'a>(pub(super) &'a dyn Redact);

impl Sanitizer<'_> {
    /// One clean line of at most `max` characters; `None` if nothing is left.
    pub(super) fn line(self, text: &str, max: usize) -> Option<String> {
        // Cleaning may cut through a secret or join one together, so credentials are removed before and after it.
        let text = self.0.redact(&clean(&self.0.redact(text)));
        (!text.is_empty()).then(|| cut(&text, max))
    }

    /// As [`line`](Self::line), for a text that must not be empty.
    pub(super) fn sentence(self, text: &str) -> String {
        self.line(text, MAX_MESSAGE)
            .unwrap_or_else(|| "no reason was given".to_owned())
    }
}

/// One line without markup: tags are removed, runs of blanks and control characters become one blank, invisible
/// and direction-changing characters vanish.
pub(super) fn clean(text: &str) -> String {
    let visible: String = without_tags(text).chars().filter(|c| !is_invisible(*c)).collect();
    let words: Vec<&str> = visible
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ")
}

/// At most `max` characters, the last one an ellipsis if something was cut.
pub(super) fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}

/// A `<` followed by a letter, `/`, `!` or `?` opens a tag, as in HTML; any other is text. A blank takes the place of a
/// tag, so that what was around it does not form another one.
fn without_tags(text: &str) -> String {
    let (mut plain, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(start) = tag_start(rest) {
        plain.push_str(&rest[..start]);
        plain.push(' ');
        rest = rest[start..]
            .find('>')
            .map_or("", |length| &rest[start + length + 1..]);
    }
    plain + rest
}

fn tag_start(text: &str) -> Option<usize> {
    text.match_indices('<').map(|(at, _)| at).find(|at| {
        text[at + 1..]
            .chars()
            .next()
            .is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?'))
    })
}

/// Zero-width characters and marks that change the direction of writing.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text of a page that a proxy sends instead of a response: its title, or its text if it is not HTML.
pub(super) fn of_page(body: &[u8]) -> String {
    let body = String::from_utf8_lossy(body);
    let lower = body.to_ascii_lowercase();
    let title = lower.find("<title>").and_then(|start| {
        let start = start + "<title>".len();
        lower[start..]
            .find("</title>")
            .map(|length| &body[start..start + length])
    });
    match title {
        Some(title) => clean(title),
        None if lower.contains("<html") || lower.contains("<!doctype") => String::new(),
        None => clean(&body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_one_plain_line() {
        for (text, plain) in [
            ("plain", "plain"),
            (
                "  two\r\n lines\t and\0 a NUL\u{1b}[31m",
                "two lines and a NUL [31m",
            ),
            ("<b>bold</b> <script>alert(1)</script>", "bold alert(1)"),
            ("<<b>b>nested</b>", "< b>nested"),
            ("limit < 5 and > 3", "limit < 5 and > 3"),
            ("open <a href='x'", "open"),
            ("<a><b", ""),
            ("<</a>/b>", "< /b>"),
            ("zero\u{200b}width \u{202e}reversed\u{202c}", "zerowidth reversed"),
            ("\u{65e5}\u{672c}", "\u{65e5}\u{672c}"),
            ("", ""),
        ] {
            assert_eq!(clean(text), plain, "{text:?}");
        }
    }

    #[test]
    fn truncation_counts_characters_and_is_marked() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut(&"\u{e9}".repeat(10), 4).chars().count(), 4);
    }

    #[test]
    fn the_title_of_an_html_page_is_extracted() {
        assert_eq!(
            of_page(b"<html><head><TITLE>502 Bad\n Gateway</TITLE></head>..."),
            "502 Bad Gateway"
        );
        assert_eq!(of_page(b"<!DOCTYPE html><body>junk</body>"), "");
        assert_eq!(of_page(b"upstream connect error\n"), "upstream connect error");
        assert_eq!(of_page(&[0xff, 0xfe]), "\u{fffd}\u{fffd}");
    }
}
