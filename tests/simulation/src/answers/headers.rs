//! Changes of the headers of a response.

use http::header::{
    AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderName, LOCATION,
    RETRY_AFTER,
};
use http::{HeaderMap, HeaderValue};

use crate::calls::Call;
use crate::dice::Dice;

const SUBJECT_TOKEN: HeaderName = HeaderName::from_static("x-subject-token");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const DATES: [&[u8]; 11] = [
    b"Thu, 01 Jan 1970 00:00:00 GMT",
    b"Fri, 31 Dec 9999 23:59:59 GMT",
    b"Mon, 05 Jan 2026 09:30:00 GMT",
    b"Monday, 05-Jan-26 08:00:30 GMT",
    b"Mon Jan  5 08:00:30 2026",
    b"2026-01-05T08:00:30Z",
    b"yesterday",
    b"",
    b"0",
    b"Mon, 05 Jan 2026 08:00:30 +0800",
    b"\xff\xfe",
];

const WAITS: [&[u8]; 12] = [
    b"0",
    b"1",
    b"7",
    b"-1",
    b"1.5",
    b"soon",
    b"86400",
    b"18446744073709551615",
    b"18446744073709551616",
    b"Fri, 31 Dec 9999 23:59:59 GMT",
    b"Thu, 01 Jan 1970 00:00:00 GMT",
    b"\xff",
];

const TYPES: [&[u8]; 8] = [
    b"text/html",
    b"text/plain; charset=iso-8859-1",
    b"application/json;charset=UTF-16",
    b"application/problem+json",
    b"application/octet-stream",
    b"multipart/form-data; boundary=x",
    b"nonsense",
    b"",
];

/// Changes one header; says which.
pub(super) fn change(headers: &mut HeaderMap, call: Call, dice: &mut Dice) -> String {
    let of = |values: &[&'static [u8]], dice: &mut Dice| *dice.one_of(values);
    if call == Call::CreateToken && dice.once_in(3) {
        let token: &[u8] = of(&[b"", b"not-the-token", b"with blank", b"\xff"], dice);
        return set(headers, SUBJECT_TOKEN, token);
    }
    match dice.within(0..12) {
        0 => {
            headers.remove(DATE);
            "no Date".to_owned()
        }
        1 | 2 => set(headers, DATE, of(&DATES, dice)),
        3 => {
            let date = value(of(&DATES, dice));
            headers.append(DATE, date);
            "a second Date".to_owned()
        }
        4 | 5 => set(headers, RETRY_AFTER, of(&WAITS, dice)),
        6 => set(headers, AGE, of(&[b"0", b"3600", b"-1", b"old"], dice)),
        7 => set(headers, CONTENT_TYPE, of(&TYPES, dice)),
        8 => set(headers, CONTENT_LENGTH, of(&[b"0", b"1", b"99999999999"], dice)),
        9 => set(
            headers,
            CONTENT_ENCODING,
            of(&[b"gzip", b"identity", b"br", b"", b"\xff"], dice),
        ),
        10 => {
            headers.clear();
            "no header at all".to_owned()
        }
        _ => {
            set(headers, REQUEST_ID, of(&[b"", b"\xff", b"<b>id</b>"], dice));
            set(headers, CACHE_CONTROL, b"public, max-age=31536000");
            set(headers, LOCATION, b"https://elsewhere.example/")
        }
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, bytes: &[u8]) -> String {
    let how = format!("{name}: {:?}", String::from_utf8_lossy(bytes));
    headers.insert(name, value(bytes));
    how
}

/// The bytes as they stand; none of the above has a control character.
fn value(bytes: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(bytes).unwrap_or_else(|_| HeaderValue::from_static(""))
}
