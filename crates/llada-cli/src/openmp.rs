//! A shorter spin time for the threads of libtorch.
//!
//! A thread that has finished its share of an operation waits for the others. GNU OpenMP, which comes with libtorch,
//! lets it spin for milliseconds before it sleeps. If the machine is busy, the spinning thread may occupy the very core
//! that the thread it waits for needs, and a forward of a small model waits hundreds of times.
//!
//! OpenMP reads the setting from the environment while it is loaded, before `main`, and offers no other way to change
//! it. The program therefore sets the variable and executes itself again. It does so before the constructors of
//! libtorch, which take most of the time of a start: this costs 15 ms, while executing the program again from `main`
//! would cost 250 ms.

use std::{
    ffi::{CStr, CString, c_char, c_int},
    os::unix::ffi::OsStringExt,
};

use nix::unistd::execve;

/// The number of iterations for which a thread spins, instead of 300,000. With fewer, threads fall asleep between the
/// layers of a small model; 1,000 make llada-tiny slower by two thirds.
const SETTING: &CStr = c"GOMP_SPINCOUNT=10000";

/// The beginnings of the variables by which a user may have set the spin time.
const SETTLED_BY: [&[u8]; 2] = [b"GOMP_SPINCOUNT=", b"OMP_WAIT_POLICY="];

/// The functions that the loader calls before the constructors of all libraries.
#[used]
// SAFETY: the section holds pointers to functions of this signature, which the loader calls with the process's arguments.
#[unsafe(link_section = ".preinit_array")]
static BEFORE_LIBTORCH: extern "C" fn(c_int, *const *const c_char, *const *const c_char) = wait_briefly;

/// Executes the program again with [`SETTING`], unless the user has set the spin time.
extern "C" fn wait_briefly(_count: c_int, arguments: *const *const c_char, variables: *const *const c_char) {
    // SAFETY: the loader passes the null-terminated arrays of the process, which live as long as the process.
    let (arguments, mut variables) = unsafe { (strings(arguments), strings(variables)) };
    if variables.iter().any(|variable| SETTLED_BY.iter().any(|name| variable.to_bytes().starts_with(name))) {
        return;
    }
    let program = std::fs::read_link("/proc/self/exe").ok();
    let Some(program) = program.and_then(|path| CString::new(path.into_os_string().into_vec()).ok()) else { return };
    variables.push(SETTING);
    // This returns only if it fails. Then the program runs with the default spin time.
    let _ = execve(&program, &arguments, &variables);
}

/// Collects the strings of a null-terminated array.
///
/// # Safety
/// `array` ends in null, and it and its strings live as long as the process.
unsafe fn strings(array: *const *const c_char) -> Vec<&'static CStr> {
    let mut strings = Vec::new();
    let mut next = array;
    // SAFETY: `next` does not pass the null at the end of the array.
    while let Some(string) = unsafe { next.as_ref() }.filter(|string| !string.is_null()) {
        // SAFETY: all elements before the null point to strings.
        unsafe {
            strings.push(CStr::from_ptr(*string));
            next = next.add(1);
        }
    }
    strings
}
