//! The interface to c10d: process groups of libtorch, over TCP by gloo. The `unsafe` code of this crate, and its C++,
//! are in this module only.

use std::{
    env,
    ffi::{CStr, CString, c_char},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
    ptr::{NonNull, null, null_mut},
    time::{Duration, Instant},
};

use tch::Tensor;
use torch_sys::C_tensor;

use crate::{DistributedError, Environment};

/// The shim's `llada_group`.
#[repr(C)]
struct Group {
    _opaque: [u8; 0],
}

/// The shim's `llada_work`.
#[repr(C)]
struct Started {
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
        out: *mut *mut Group,
    ) -> *mut c_char;
    fn llada_c10d_join(
        group: *mut Group,
        local: *const c_char,
        rank: i32,
        world_size: i32,
        prefix: *const c_char,
        timeout_ms: i64,
    ) -> *mut c_char;
    fn llada_c10d_leave(group: *mut Group);
    fn llada_c10d_all_reduce(group: *mut Group, tensor: *mut C_tensor, out: *mut *mut Started) -> *mut c_char;
    fn llada_c10d_broadcast(group: *mut Group, tensor: *mut C_tensor, root: i32, out: *mut *mut Started)
    -> *mut c_char;
    fn llada_c10d_wait(work: *mut Started) -> *mut c_char;
    fn llada_c10d_forget(work: *mut Started);
    fn llada_c10d_all_gather(group: *mut Group, out: *mut C_tensor, own: *const C_tensor) -> *mut c_char;
}

/// The variable with which c10d is told the network interface.
const INTERFACE: &str = "GLOO_SOCKET_IFNAME";

/// Processes that have found each other. All make the same calls in the same order, and a call returns once all have
/// made it.
#[derive(Debug)]
pub struct ProcessGroup {
    group: NonNull<Group>,
    rank: usize,
    world_size: usize,
    timeout: Duration,
}

// SAFETY: c10d's groups belong to no thread, and every use takes `&mut self`.
unsafe impl Send for ProcessGroup {}

impl ProcessGroup {
    /// Meets the other processes of `environment`: waits until all are there, `timeout` at most. Later calls wait for
    /// the others as long. They speak through the network interface that leads to the host at which they meet, unless
    /// `GLOO_SOCKET_IFNAME` names another.
    ///
    /// # Errors
    /// A process does not come, or cannot be reached.
    pub fn join(environment: &Environment, timeout: Duration) -> Result<Self, DistributedError> {
        let Environment { rank, world_size, port, .. } = *environment;
        let refuse = |message: String| DistributedError::NotMet {
            address: environment.address.clone(),
            port,
            rank,
            world_size,
            message,
        };
        let text = |text: &str| CString::new(text).map_err(|error| refuse(error.to_string()));
        let (address, prefix) = (text(&environment.address)?, text(&environment.prefix())?);
        let number = |count: usize| i32::try_from(count).map_err(|error| refuse(error.to_string()));
        let (of_rank, of_world) = (number(rank)?, number(world_size)?);
        let milliseconds = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
        let serves = environment.serves_store();
        let mut group = null_mut();
        // SAFETY: a C string that outlives the call goes in; the group that comes out is owned by the value below.
        let error = unsafe { llada_c10d_meet(address.as_ptr(), port, serves, of_world, milliseconds, &mut group) };
        // SAFETY: the shim's own text, or null.
        unsafe { text_of(error) }.map_or(Ok(()), |message| Err(refuse(message)))?;
        let group = NonNull::new(group).ok_or_else(|| refuse("no group".to_owned()))?;
        let group = Self { group, rank, world_size, timeout };
        let interface = env::var_os(INTERFACE);
        let reached = match &interface {
            Some(name) => format!("{INTERFACE} {}", name.display()),
            None => local_address(&environment.address).map_err(|error| refuse(error.to_string()))?,
        };
        let local = text(&reached)?;
        let local = if interface.is_some() { null() } else { local.as_ptr() };
        let this = group.group.as_ptr();
        // SAFETY: a live group and C strings that outlive the call.
        let error = unsafe { llada_c10d_join(this, local, of_rank, of_world, prefix.as_ptr(), milliseconds) };
        // SAFETY: the shim's own text, or null.
        unsafe { text_of(error) }.map_or(Ok(()), |message| Err(refuse(format!("as {reached}: {message}"))))?;
        Ok(group)
    }

    /// The number of this process, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The number of processes.
    pub fn world_size(&self) -> usize {
        self.world_size
    }

    /// Replaces `tensor`, which is as large and contiguous in every process, by its sum over all processes. The sum has
    /// the same bits in all of them, and whenever it is repeated.
    ///
    /// # Errors
    /// A process has ended or does not answer.
    pub fn all_reduce(&mut self, tensor: &mut Tensor) -> Result<(), DistributedError> {
        self.start_all_reduce(tensor)?.wait()
    }

    /// Starts an [`all_reduce`](Self::all_reduce). Until it was waited for, nothing else may read or write the numbers.
    ///
    /// # Errors
    /// A process has ended.
    pub fn start_all_reduce(&mut self, tensor: &mut Tensor) -> Result<Work, DistributedError> {
        self.start("all_reduce", tensor, |group, tensor, out| {
            // SAFETY: a live group and a live tensor, of which what was started keeps a reference.
            unsafe { llada_c10d_all_reduce(group, tensor, out) }
        })
    }

    /// Replaces `tensor`, which is as large and contiguous in every process, by that of process `root`.
    ///
    /// # Errors
    /// A process has ended or does not answer.
    pub fn broadcast(&mut self, tensor: &mut Tensor, root: usize) -> Result<(), DistributedError> {
        self.start_broadcast(tensor, root)?.wait()
    }

    /// Starts a [`broadcast`](Self::broadcast). Until it was waited for, nothing else may write the numbers, or read them
    /// in another process than `root`.
    ///
    /// # Errors
    /// A process has ended.
    pub fn start_broadcast(&mut self, tensor: &mut Tensor, root: usize) -> Result<Work, DistributedError> {
        self.start("broadcast", tensor, |group, tensor, out| {
            // SAFETY: a live group and a live tensor, of which what was started keeps a reference.
            unsafe { llada_c10d_broadcast(group, tensor, root as i32, out) }
        })
    }

    fn start(
        &mut self,
        call: &'static str,
        tensor: &mut Tensor,
        start: impl FnOnce(*mut Group, *mut C_tensor, *mut *mut Started) -> *mut c_char,
    ) -> Result<Work, DistributedError> {
        let Self { rank, world_size, timeout, .. } = *self;
        let mut work = Work { started: None, call, start: Instant::now(), rank, world_size, timeout };
        // All know that there is nothing to send.
        if tensor.numel() > 0 {
            let mut started = null_mut();
            let error = start(self.group.as_ptr(), tensor.as_mut_ptr(), &mut started);
            work.check(error)?;
            work.started = NonNull::new(started);
        }
        Ok(work)
    }

    /// The numbers of all processes, each of which has as many, in the order of the ranks.
    ///
    /// # Errors
    /// A process has ended or does not answer; there is no memory for the numbers.
    fn all_gather(&mut self, own: &Tensor) -> Result<Tensor, DistributedError> {
        let Self { rank, world_size, timeout, .. } = *self;
        let work = Work { started: None, call: "all_gather", start: Instant::now(), rank, world_size, timeout };
        let mut all = Tensor::f_empty([own.size1()? * self.world_size as i64], (own.kind(), own.device()))?;
        // SAFETY: a live group and live tensors, `all` world_size times as large as `own`.
        let error = unsafe { llada_c10d_all_gather(self.group.as_ptr(), all.as_mut_ptr(), own.as_ptr()) };
        work.check(error)?;
        Ok(all)
    }

    /// The bytes of all processes, in the order of the ranks.
    ///
    /// # Errors
    /// A process has ended or does not answer; there is no memory for the bytes.
    pub fn gather_bytes(&mut self, own: &[u8]) -> Result<Vec<Vec<u8>>, DistributedError> {
        let lengths: Vec<i64> = self.all_gather(&Tensor::f_from_slice(&[own.len() as i64])?)?.try_into()?;
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let mut padded = own.to_vec();
        padded.resize(longest as usize, 0);
        if longest == 0 {
            return Ok(vec![Vec::new(); self.world_size]);
        }
        let all: Vec<u8> = self.all_gather(&Tensor::f_from_slice(&padded)?)?.try_into()?;
        let rows = all.chunks(padded.len()).zip(lengths);
        Ok(rows.map(|(row, length)| row[..length as usize].to_vec()).collect())
    }

    /// Replaces each of `values` by its sum over all processes.
    ///
    /// # Errors
    /// A process has ended or does not answer.
    pub fn sum(&mut self, values: &mut [f64]) -> Result<(), DistributedError> {
        let mut tensor = Tensor::f_from_slice(values)?;
        self.all_reduce(&mut tensor)?;
        let sums: Vec<f64> = tensor.try_into()?;
        values.copy_from_slice(&sums);
        Ok(())
    }
}

/// A call of all processes that was started.
#[derive(Debug)]
pub struct Work {
    /// None if there is nothing to wait for.
    started: Option<NonNull<Started>>,
    call: &'static str,
    start: Instant,
    rank: usize,
    world_size: usize,
    timeout: Duration,
}

// SAFETY: c10d's work belongs to no thread, and every use takes the value or `&mut self`.
unsafe impl Send for Work {}

impl Work {
    /// Returns once the numbers are there.
    ///
    /// # Errors
    /// A process has ended or does not answer.
    pub fn wait(self) -> Result<(), DistributedError> {
        let Some(started) = self.started else { return Ok(()) };
        // SAFETY: a live work of the shim, which this value owns.
        self.check(unsafe { llada_c10d_wait(started.as_ptr()) })
    }

    /// The error of the call, if it has one.
    fn check(&self, error: *mut c_char) -> Result<(), DistributedError> {
        // SAFETY: the shim's own text, or null.
        let Some(message) = (unsafe { text_of(error) }) else { return Ok(()) };
        let Self { call, start, rank, world_size, timeout, .. } = *self;
        Err(match start.elapsed() < timeout {
            true => DistributedError::Lost { call, rank, world_size, message },
            false => DistributedError::NoAnswer { call, rank, world_size, timeout, message },
        })
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Some(started) = self.started {
            // SAFETY: the work is owned by this value and not used again.
            unsafe { llada_c10d_forget(started.as_ptr()) }
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        // SAFETY: the group is owned by this value and not used again.
        unsafe { llada_c10d_leave(self.group.as_ptr()) }
    }
}

/// The address from which this machine reaches `host`. The name of the machine may lead to its loopback alone.
fn local_address(host: &str) -> io::Result<String> {
    // The port has no meaning, as nothing is sent. IPv4 wherever there is a choice, as all have to make the same.
    let from = |any: IpAddr| {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((host, 9))?;
        Ok(socket.local_addr()?.ip().to_string())
    };
    from(Ipv4Addr::UNSPECIFIED.into()).or_else(|_: io::Error| from(Ipv6Addr::UNSPECIFIED.into()))
}

/// The first sentence of an error without its place in the source, if there is one: others give advice to programmers
/// of Python.
///
/// # Safety
/// `error` is null or owned text from the shim.
unsafe fn text_of(error: *mut c_char) -> Option<String> {
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
    fn a_machine_reaches_itself_through_its_loopback() {
        assert_eq!(local_address("127.0.0.1").unwrap(), "127.0.0.1");
        assert!(local_address("no-such-host.invalid").is_err());
    }

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
