//! The interface to c10d: stores at which processes meet, and groups of processes over gloo and NCCL. The `unsafe` code of
//! this crate, and its C++, are in this module only; it offers them as safe functions, whose errors are c10d's words.

use std::{
    ffi::{CStr, CString, c_char},
    ptr::{NonNull, null, null_mut},
    time::Duration,
};

use tch::Tensor;
use torch_sys::C_tensor;

/// The shim's `llada_store`.
#[repr(C)]
struct RawStore {
    _opaque: [u8; 0],
}

/// The shim's `llada_group`.
#[repr(C)]
struct RawGroup {
    _opaque: [u8; 0],
}

/// The shim's `llada_work`.
#[repr(C)]
struct RawWork {
    _opaque: [u8; 0],
}

unsafe extern "C" {
    fn llada_c10d_free(text: *mut c_char);
    fn llada_c10d_meet(
        address: *const c_char,
        port: u16,
        serves: bool,
        world_size: i32,
        timeout_ms: i64,
        out: *mut *mut RawStore,
    ) -> *mut c_char;
    fn llada_c10d_close(store: *mut RawStore);
    fn llada_c10d_join_gloo(
        store: *mut RawStore,
        local: *const c_char,
        rank: i32,
        world_size: i32,
        prefix: *const c_char,
        timeout_ms: i64,
        out: *mut *mut RawGroup,
    ) -> *mut c_char;
    #[cfg(nccl)]
    fn llada_c10d_join_nccl(
        store: *mut RawStore,
        device: i32,
        rank: i32,
        world_size: i32,
        prefix: *const c_char,
        timeout_ms: i64,
        out: *mut *mut RawGroup,
    ) -> *mut c_char;
    fn llada_c10d_leave(group: *mut RawGroup);
    fn llada_c10d_all_reduce(group: *mut RawGroup, flat: *mut C_tensor, out: *mut *mut RawWork) -> *mut c_char;
    fn llada_c10d_reduce_scatter(
        group: *mut RawGroup,
        flat: *mut C_tensor,
        bounds: *const i64,
        count: usize,
        out: *mut *mut RawWork,
    ) -> *mut c_char;
    fn llada_c10d_all_gather(
        group: *mut RawGroup,
        flat: *mut C_tensor,
        bounds: *const i64,
        count: usize,
        out: *mut *mut RawWork,
    ) -> *mut c_char;
    fn llada_c10d_broadcast(
        group: *mut RawGroup,
        flat: *mut C_tensor,
        root: i32,
        out: *mut *mut RawWork,
    ) -> *mut c_char;
    fn llada_c10d_wait(work: *mut RawWork) -> *mut c_char;
    fn llada_c10d_forget(work: *mut RawWork);
}

/// The place of a process in a group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member<'a> {
    pub(crate) rank: usize,
    pub(crate) world_size: usize,
    /// What the keys of the group begin with.
    pub(crate) prefix: &'a str,
    /// How long a call may take.
    pub(crate) timeout: Duration,
}

/// The store at which processes meet.
#[derive(Debug)]
pub(crate) struct Store(NonNull<RawStore>);

/// Processes that have found each other.
#[derive(Debug)]
pub(crate) struct Group(NonNull<RawGroup>);

/// What connects processes by NCCL.
pub(crate) type JoinNccl = fn(&mut Store, usize, Member<'_>) -> Result<Group, String>;

/// The way to connect processes by NCCL, or what was missing when this crate was built.
#[cfg(nccl)]
pub(crate) const NCCL: Result<JoinNccl, &str> = Ok(Store::join_nccl);
#[cfg(not(nccl))]
pub(crate) const NCCL: Result<JoinNccl, &str> = Err(env!("LLADA_NO_NCCL"));

/// A call that was started. It keeps its tensors alive.
#[derive(Debug)]
pub(crate) struct Started(NonNull<RawWork>);

// SAFETY: c10d's stores, groups and work belong to no thread, and every use takes the value or `&mut self`.
unsafe impl Send for Store {}
// SAFETY: as above.
unsafe impl Send for Group {}
// SAFETY: as above.
unsafe impl Send for Started {}

impl Store {
    /// Connects to the store at `address`, once it is there; serves it if `serves` is set.
    pub(crate) fn meet(address: &str, port: u16, serves: bool, member: Member<'_>) -> Result<Self, String> {
        let (address, world_size) = (text(address)?, number(member.world_size)?);
        let mut store = null_mut();
        // SAFETY: a C string that outlives the call goes in; the store that comes out is owned by the value below.
        let error = unsafe {
            llada_c10d_meet(address.as_ptr(), port, serves, world_size, milliseconds(member.timeout), &mut store)
        };
        made(error, store).map(Self)
    }

    /// Waits for all processes, and connects them by gloo. This one is reached at `local`, an address of its machine, or
    /// where c10d's own variables say.
    pub(crate) fn join_gloo(&mut self, local: Option<&str>, member: Member<'_>) -> Result<Group, String> {
        let (local, prefix) = (local.map(text).transpose()?, text(member.prefix)?);
        let local = local.as_ref().map_or(null(), |local| local.as_ptr());
        let (rank, world_size) = (number(member.rank)?, number(member.world_size)?);
        let (prefix, timeout) = (prefix.as_ptr(), milliseconds(member.timeout));
        let mut group = null_mut();
        // SAFETY: a live store and C strings that outlive the call; what comes out is owned by the value below.
        let error =
            unsafe { llada_c10d_join_gloo(self.0.as_ptr(), local, rank, world_size, prefix, timeout, &mut group) };
        made(error, group).map(Group)
    }

    /// Connects processes, all of which are there, by NCCL. This one has CUDA device `device`.
    #[cfg(nccl)]
    fn join_nccl(&mut self, device: usize, member: Member<'_>) -> Result<Group, String> {
        let prefix = text(member.prefix)?;
        let (device, rank, world_size) = (number(device)?, number(member.rank)?, number(member.world_size)?);
        let (prefix, timeout) = (prefix.as_ptr(), milliseconds(member.timeout));
        let mut group = null_mut();
        // SAFETY: a live store and a C string that outlives the call; what comes out is owned by the value below.
        let error =
            unsafe { llada_c10d_join_nccl(self.0.as_ptr(), device, rank, world_size, prefix, timeout, &mut group) };
        made(error, group).map(Group)
    }
}

impl Group {
    /// Starts to replace `flat` by its sum over all processes.
    pub(crate) fn all_reduce(&mut self, flat: &mut Tensor) -> Result<Started, String> {
        // SAFETY: what `start` promises.
        self.start(flat, |group, flat, work| unsafe { llada_c10d_all_reduce(group, flat, work) })
    }

    /// Starts to replace this process's share of `flat` by its sum over all processes, and the rest by anything.
    pub(crate) fn reduce_scatter(&mut self, flat: &mut Tensor, bounds: &[i64]) -> Result<Started, String> {
        let (bounds, count) = (bounds.as_ptr(), bounds.len());
        // SAFETY: what `start` promises; the shim checks that the bounds are as many as it needs, and within the tensor.
        self.start(flat, |group, flat, work| unsafe { llada_c10d_reduce_scatter(group, flat, bounds, count, work) })
    }

    /// Starts to complete `flat` by the shares of all processes.
    pub(crate) fn all_gather(&mut self, flat: &mut Tensor, bounds: &[i64]) -> Result<Started, String> {
        let (bounds, count) = (bounds.as_ptr(), bounds.len());
        // SAFETY: as above.
        self.start(flat, |group, flat, work| unsafe { llada_c10d_all_gather(group, flat, bounds, count, work) })
    }

    /// Starts to replace `flat` by that of process `root`.
    pub(crate) fn broadcast(&mut self, flat: &mut Tensor, root: usize) -> Result<Started, String> {
        let root = number(root)?;
        // SAFETY: what `start` promises.
        self.start(flat, |group, flat, work| unsafe { llada_c10d_broadcast(group, flat, root, work) })
    }

    /// Makes a call of the shim, which gets a live group, a live tensor, of which what it starts keeps a reference, and a
    /// place for what it starts.
    fn start(
        &mut self,
        flat: &mut Tensor,
        call: impl FnOnce(*mut RawGroup, *mut C_tensor, *mut *mut RawWork) -> *mut c_char,
    ) -> Result<Started, String> {
        let mut work = null_mut();
        let error = call(self.0.as_ptr(), flat.as_mut_ptr(), &mut work);
        made(error, work).map(Started)
    }
}

impl Started {
    /// Returns once this process has its numbers.
    pub(crate) fn wait(self) -> Result<(), String> {
        // SAFETY: a live work of the shim, which this value owns.
        let error = unsafe { llada_c10d_wait(self.0.as_ptr()) };
        text_of(error).map_or(Ok(()), Err)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // SAFETY: the store is owned by this value and not used again.
        unsafe { llada_c10d_close(self.0.as_ptr()) }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: the group is owned by this value and not used again.
        unsafe { llada_c10d_leave(self.0.as_ptr()) }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // SAFETY: the work is owned by this value and not used again.
        unsafe { llada_c10d_forget(self.0.as_ptr()) }
    }
}

fn text(text: &str) -> Result<CString, String> {
    CString::new(text).map_err(|error| error.to_string())
}

fn number(count: usize) -> Result<i32, String> {
    i32::try_from(count).map_err(|error| error.to_string())
}

fn milliseconds(timeout: Duration) -> i64 {
    i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX)
}

/// What a call of the shim has made, unless it has returned an error.
fn made<T>(error: *mut c_char, made: *mut T) -> Result<NonNull<T>, String> {
    match text_of(error) {
        Some(message) => Err(message),
        None => NonNull::new(made).ok_or_else(|| "nothing was made".to_owned()),
    }
}

/// The first sentence of an error without its place in the source, if there is one: others give advice to programmers
/// of Python. `error` is null or owned text from the shim.
fn text_of(error: *mut c_char) -> Option<String> {
    if error.is_null() {
        return None;
    }
    // SAFETY: a C string made by the shim, read once and freed by the allocator that made it.
    unsafe {
        let text = CStr::from_ptr(error).to_string_lossy().into_owned();
        llada_c10d_free(error);
        Some(first_sentence(&text).to_owned())
    }
}

fn first_sentence(text: &str) -> &str {
    let text = text.strip_prefix('[').and_then(|rest| rest.split_once("] ")).map_or(text, |(_place, rest)| rest);
    let line = text.lines().next().unwrap_or_default();
    line.split(". ").next().unwrap_or_default().trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_in_a_sentence() {
        for (text, sentence) in [
            (
                "[/pair.cc:553] Connection closed by peer [127.0.0.1]:1448. Check the logs. GLHF!",
                "Connection closed by peer [127.0.0.1]:1448",
            ),
            ("Connection reset by peer\nframe #0: f", "Connection reset by peer"),
            ("It failed.", "It failed"),
            ("[not closed", "[not closed"),
            ("", ""),
        ] {
            assert_eq!(first_sentence(text), sentence);
        }
    }
}
