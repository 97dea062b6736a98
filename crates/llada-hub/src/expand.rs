//! `~` and `$VARIABLE` in a path, replaced as Python's `os.path.expanduser` and `os.path.expandvars` do.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use nix::unistd::{Uid, User};

/// First the user's folder, then variables. What cannot be replaced stays as it is.
pub(crate) fn expanded(path: OsString, variable: &dyn Fn(&OsStr) -> Option<OsString>) -> OsString {
    let path = with_user(path.into_vec(), variable);
    OsString::from_vec(with_variables(&path, variable))
}

/// `~` is `HOME`, or without it the folder that the system knows; `~name` is that of another user.
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

/// `$name` and `${name}`; what a variable holds is not looked at again.
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

/// The name that follows a `$`, and how many bytes are its, braces included; none where there is no name.
fn name_after(text: &[u8]) -> (&[u8], usize) {
    if text.first() == Some(&b'{') {
        return match text.iter().position(|&byte| byte == b'}') {
            Some(end) => (&text[1..end], end + 1),
            None => (&[], 0),
        };
    }
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let length = text.iter().position(|byte| !is_part(byte)).unwrap_or(text.len());
    (&text[..length], length)
}
