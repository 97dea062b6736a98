//! How libtorch's threads wait for one another: a moment awake, then asleep.
//!
//! A thread that is through with its share of an operation waits for the others. GNU's OpenMP, which libtorch brings, lets
//! it spin for milliseconds before it sleeps. Beside other work, the thread that it waits for may not be running at all,
//! because the spinning one has its core; and a forward of a small model waits hundreds of times.
//!
//! The runtime reads the setting from the environment while it is loaded, before `main`, and offers no other way to change
//! it. So the program begins again with it. That happens before the constructors of libtorch, which take nearly all of the
//! time of a start: it costs 15 ms, where a second start out of `main` would cost 250.

use std::{
    ffi::{CStr, CString, c_char, c_int},
    os::unix::ffi::OsStringExt,
};

use nix::unistd::execve;

/// Turns of the loop that a thread waits in before it sleeps, in place of 300,000. With fewer, threads fall asleep between
/// the layers of a small model: 1,000 make llada-tiny slower by two thirds.
const SETTING: &CStr = c"GOMP_SPINCOUNT=10000";

/// How the variables begin that a user may have settled it by.
const SETTLED_BY: [&[u8]; 2] = [b"GOMP_SPINCOUNT=", b"OMP_WAIT_POLICY="];

/// What the loader calls before the constructors of all libraries.
#[used]
// SAFETY: the section holds pointers to functions of this signature, which the loader calls with the process's arguments.
#[unsafe(link_section = ".preinit_array")]
static BEFORE_LIBTORCH: extern "C" fn(c_int, *const *const c_char, *const *const c_char) = wait_briefly;

/// Begins the program again with [`SETTING`], unless the user has settled it.
extern "C" fn wait_briefly(_count: c_int, arguments: *const *const c_char, variables: *const *const c_char) {
    // SAFETY: the loader passes the arrays of the process, which end in null and live as long as it.
    let (arguments, mut variables) = unsafe { (strings(arguments), strings(variables)) };
    if variables.iter().any(|variable| SETTLED_BY.iter().any(|name| variable.to_bytes().starts_with(name))) {
        return;
    }
    let program = std::fs::read_link("/proc/self/exe").ok();
    let Some(program) = program.and_then(|path| CString::new(path.into_os_string().into_vec()).ok()) else { return };
    variables.push(SETTING);
    // It returns only if it fails, and then the threads wait as they used to.
    let _ = execve(&program, &arguments, &variables);
}

/// # Safety
/// `array` ends in null, and it and its strings live as long as the process.
unsafe fn strings(array: *const *const c_char) -> Vec<&'static CStr> {
    let mut strings = Vec::new();
    let mut next = array;
    // SAFETY: the array has not ended before its null, and what stands before that are strings.
    while let Some(string) = unsafe { next.as_ref() }.filter(|string| !string.is_null()) {
        // SAFETY: the same.
        unsafe {
            strings.push(CStr::from_ptr(*string));
            next = next.add(1);
        }
    }
    strings
}
