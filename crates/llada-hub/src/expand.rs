//! Expansion of `~` and `$VARIABLE` in paths, as by Python's `os.path.expanduser` and `os.path.expandvars`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use nix::unistd::{Uid, User};

/// Expands first the user's folder, then variables. Unknown users and variables are left as they are.
pub(crate) fn expanded(path: OsString, variable: &dyn Fn(&OsStr) -> Option<OsString>) -> OsString {
    let path = with_user(path.into_vec(), variable);
    OsString::from_vec(with_variables(&path, variable))
}

/// Replaces `~` with `HOME` or, if that is not set, with the user's home folder, and `~name` with that of another user.
fn with_user(path: Vec<u8>, variable: &dyn Fn(&OsStr) -> Option<OsString>) -> Vec<u8> {
    let Some(rest) = path.strip_prefix(b"~") else { return path };
    let end = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
    let (name, below) = rest.split_at(end);
    let folder = if name.is_empty() {
        variable(OsStr::new("HOME")).or_else(|| home_of(User::from_uid(Uid::current())))
    } else {
        std::str::from_utf8(name).ok().and_then(|name| home_of(User::from_name(name)))
    };
    let Some(folder) = folder else { return path };
    let folder = folder.as_bytes();
    let kept = folder.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
    let full = [&folder[..kept], below].concat();
    if full.is_empty() { b"/".to_vec() } else { full }
}

fn home_of(user: nix::Result<Option<User>>) -> Option<OsString> {
    user.ok().flatten().map(|user| user.dir.into_os_string())
}

/// Replaces `$name` and `${name}`. The values of variables are not expanded again.
fn with_variables(path: &[u8], variable: &dyn Fn(&OsStr) -> Option<OsString>) -> Vec<u8> {
    let mut full = Vec::new();
    let mut rest = path;
    while let Some(dollar) = rest.iter().position(|&byte| byte == b'$') {
        full.extend_from_slice(&rest[..dollar]);
        rest = &rest[dollar..];
        let (name, length) = name_after(&rest[1..]);
        match variable(OsStr::from_bytes(name)) {
            Some(value) => full.extend_from_slice(value.as_bytes()),
            None => full.extend_from_slice(&rest[..=length]),
        }
        rest = &rest[length + 1..];
    }
    full.extend_from_slice(rest);
    full
}

/// Returns the name of the variable after a `$`, and its length in bytes including braces; an empty name if there is none.
fn name_after(text: &[u8]) -> (&[u8], usize) {
    if text.first() == Some(&b'{') {
        return match text.iter().position(|&byte| byte == b'}') {
            Some(end) => (&text[1..end], end + 1),
            None => (&[], 0),
        };
    }
    let length = text.iter().take_while(|&&byte| byte.is_ascii_alphanumeric() || byte == b'_').count();
    (&text[..length], length)
}
