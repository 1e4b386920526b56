//! Bodies that are not what was asked for, and bodies of which there is too much.

use std::sync::OnceLock;

use bytes::Bytes;
use serde_json::json;

use super::tree::Tree;
use super::{Body, Original};
use crate::dice::Dice;

/// More than the client takes in of a response about one thing, in bytes.
const MORE_THAN_SMALL: usize = 65 << 10;

/// More than the client takes in of a list.
const MORE_THAN_A_LIST: usize = (8 << 20) + 1;

/// Pages of gateways, proxies and portals.
const PAGES: [&str; 8] = [
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><center><h1>502 Bad Gateway</h1></center></body></html>",
    "<!DOCTYPE html><html><head><title>Sign in to the network</title></head><body></body></html>",
    "<html><head><title>Web server is down | 521</title></head></html>",
    "upstream connect error or disconnect/reset before headers. reset reason: overflow",
    "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><RequestId>1</RequestId></Error>",
    "error code: 1016",
    "no healthy upstream",
    "\n",
];

/// Another body; says which.
pub(super) fn other(truth: &Original<'_>, dice: &mut Dice) -> (Body, String) {
    let real = &truth.answer.body;
    let bytes = |bytes: Vec<u8>, how: &str| (Body::Bytes(Bytes::from(bytes)), how.to_owned());
    match dice.within(0..13) {
        0 => bytes(vec![], "no body"),
        1 | 2 => {
            let page = *dice.one_of(&PAGES);
            (
                Body::Bytes(Bytes::from_static(page.as_bytes())),
                format!("the body is {page:?}"),
            )
        }
        3 => {
            let end = usize::try_from(dice.within(0..real.len().max(1) as u64)).unwrap_or_default();
            let how = format!("the body ends after {end} bytes");
            (Body::Bytes(real.slice(..end.min(real.len()))), how)
        }
        4 => bytes(
            [b"\xef\xbb\xbf", &real[..]].concat(),
            "a byte order mark before the body",
        ),
        5 => {
            let mut broken = real.to_vec();
            if let Some(byte) = broken.get_mut(real.len() / 2) {
                *byte = 0xff;
            }
            bytes(broken, "a byte of the body is not UTF-8")
        }
        6 => {
            let wide = String::from_utf8_lossy(real);
            let wide = wide.encode_utf16().flat_map(u16::to_le_bytes).collect();
            bytes(wide, "the body is UTF-16")
        }
        7 => bytes([&real[..], &real[..]].concat(), "the body comes twice"),
        8 => bytes(
            [&real[..], b"\n\n<!-- end -->"].concat(),
            "something follows the body",
        ),
        9 => {
            let word = *dice.one_of(&["null", "[]", "{}", "\"\"", "0", "true", "{", "[[[", "NaN", "\0"]);
            let how = format!("the body is {word:?}");
            let body = Tree::parse(word.as_bytes())
                .map_or_else(|| Body::Bytes(Bytes::from_static(word.as_bytes())), Body::Json);
            (body, how)
        }
        10 => {
            let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
            bytes(
                format!("{{\"desktops\":{deep}}}").into_bytes(),
                "the body is nested 100000 deep",
            )
        }
        11 => {
            let tree = Tree::parse(real).map(|tree| Tree::List(vec![tree]));
            let body = tree.map_or_else(|| Body::Bytes(real.clone()), Body::Json);
            (body, "the body is an array of it".to_owned())
        }
        _ => {
            let foreign = match dice.within(0..5) {
                0 => json!({"total_count": 0, "desktops": []}),
                1 => json!({"total_count": 0, "jobs": null}),
                2 => {
                    json!({"total_count": 1, "size": 1, "desktops": [{"desktop_id": "pc-foreign", "status": "ACTIVE"}]})
                }
                3 => json!({"desktop": {"desktop_id": "pc-foreign", "status": "ACTIVE"}}),
                _ => json!({"id": "job-foreign", "status": "SUCCESS", "sub_jobs_total": 0, "sub_jobs": []}),
            };
            let how = format!("the body is {foreign}, the answer to something else");
            (Body::Json(Tree::of(foreign)), how)
        }
    }
}

/// The same content with a field that fills it up, or behind blanks. Bodies that are larger than lists may be take time.
pub(super) fn large(tree: &Tree, cheap: bool, dice: &mut Dice) -> (Bytes, String) {
    static BLANKS: OnceLock<Bytes> = OnceLock::new();
    if !cheap && dice.once_in(8) {
        let blanks = BLANKS.get_or_init(|| Bytes::from(vec![b' '; MORE_THAN_A_LIST]));
        return (blanks.clone(), "the body is 8 MiB of blanks".to_owned());
    }
    let size = *dice.one_of(&[4 << 10, MORE_THAN_SMALL, 200 << 10]);
    let (filler, body) = ("x".repeat(size), tree.to_string());
    let body = match body.strip_prefix('{') {
        Some(rest) if rest != "}" => format!("{{\"filler\":\"{filler}\",{rest}"),
        _ => format!("{}{body}", " ".repeat(size)),
    };
    (Bytes::from(body), format!("{size} bytes more in the body"))
}
