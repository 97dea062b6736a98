//! The formats of strings: date, time and date-time (RFC 3339), uuid (RFC 9562), ipv4 and email.
//!
//! Dates are those of the calendar, with its leap years; times have no leap seconds. Addresses of mail are the usual ones:
//! no quotes, no comments, no brackets, no two hyphens in a row, and at most 50 characters before the sign and 180 after it.

/// The names, for errors.
pub(super) const KNOWN: &str = "only date, time, date-time, uuid, ipv4 and email are";

const DATE: &str = "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)\
                    |02-(?:0[1-9]|1[0-9]|2[0-8]))\
                    |(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)";
const TIME: &str =
    r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])";
const UUID: &str = "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}";
const OCTET: &str = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
const ATOM: &str = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,16}";
const LABEL: &str = "[A-Za-z0-9]{1,16}(?:-[A-Za-z0-9]{1,16}){0,2}";

/// Returns the regular expression of a format.
pub(super) fn by_name(name: &str) -> Option<String> {
    match name {
        "date" => Some(DATE.to_owned()),
        "time" => Some(TIME.to_owned()),
        "date-time" => Some(format!("{DATE}T{TIME}")),
        "uuid" => Some(UUID.to_owned()),
        "ipv4" => Some(format!(r"(?:{OCTET}\.){{3}}{OCTET}")),
        "email" => Some(format!(r"{ATOM}(?:\.{ATOM}){{0,2}}@(?:{LABEL}\.){{1,3}}[A-Za-z]{{2,24}}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_accept_what_they_should() {
        for (name, good, bad) in [
            (
                "date",
                vec!["2024-02-29", "2000-02-29", "1999-12-31"],
                vec!["2023-02-29", "1900-02-29", "2024-04-31", "2024-13-01"],
            ),
            ("time", vec!["23:59:59Z", "00:00:00.125+01:30"], vec!["24:00:00Z", "12:00:60Z", "12:00:00"]),
            ("date-time", vec!["2024-02-29T12:00:00Z"], vec!["2024-02-29 12:00:00Z"]),
            ("uuid", vec!["01234567-89ab-cdef-0123-456789ABCDEF"], vec!["0123456789abcdef0123456789abcdef"]),
            ("ipv4", vec!["0.0.0.0", "255.10.9.199"], vec!["256.0.0.1", "1.2.3", "01.2.3.4"]),
            (
                "email",
                vec!["a@b.cd", "first.last+tag@mail-1.example.org"],
                vec!["a@b", ".a@b.cd", "a@-b.cd", "a b@c.de"],
            ),
        ] {
            let regex = regex::Regex::new(&format!("^(?:{})$", by_name(name).unwrap())).unwrap();
            good.iter().for_each(|text| assert!(regex.is_match(text), "{name} {text}"));
            bad.iter().for_each(|text| assert!(!regex.is_match(text), "{name} {text}"));
        }
    }
}
