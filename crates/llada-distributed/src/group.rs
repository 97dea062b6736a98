//! The processes of a run as they speak to each other: what is in the memory of a machine goes through gloo, over TCP, and
//! what is on a CUDA device through NCCL.

use std::{
    env, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
    time::{Duration, Instant},
};

use llada_model::Device;
use tch::Tensor;

use crate::{
    DistributedError, Environment,
    c10d::{self, Group, Member, Started, Store},
};

/// The variable with which c10d is told the network interface.
const INTERFACE: &str = "GLOO_SOCKET_IFNAME";

/// Processes that have found each other. All make the same calls in the same order, and a call returns once all have
/// made it.
#[derive(Debug)]
pub struct ProcessGroup {
    gloo: Group,
    /// None if this process has no CUDA device, or is alone.
    nccl: Option<Group>,
    // Dropped last: the groups end before what they have met at.
    _store: Store,
    rank: usize,
    world_size: usize,
    timeout: Duration,
}

/// What carries a tensor from process to process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backend {
    Gloo,
    Nccl,
}

impl Backend {
    /// What carries tensors on this device, of processes that have NCCL or not.
    fn of(device: tch::Device, has_nccl: bool) -> Result<Self, DistributedError> {
        match device {
            tch::Device::Cuda(_) if has_nccl => Ok(Self::Nccl),
            tch::Device::Cuda(index) => Err(DistributedError::NotJoined { device: Device::Cuda(index) }),
            _ => Ok(Self::Gloo),
        }
    }
}

impl ProcessGroup {
    /// Meets the other processes of `environment`: waits until all are there, `timeout` at most. Later calls wait for
    /// the others as long. They speak through the network interface that leads to the host at which they meet, unless
    /// `GLOO_SOCKET_IFNAME` names another. If `device`, that of this process, is a CUDA device, NCCL connects them too, and
    /// finds its own ways.
    ///
    /// # Errors
    /// A process does not come, or cannot be reached; `device` needs NCCL, and this crate was built without.
    pub fn join(environment: &Environment, device: Device, timeout: Duration) -> Result<Self, DistributedError> {
        let Environment { rank, world_size, port, .. } = *environment;
        let refuse = |message: String| DistributedError::NotMet {
            address: environment.address.clone(),
            port,
            rank,
            world_size,
            message,
        };
        let on_cuda = match device {
            Device::Cuda(index) if world_size > 1 => {
                let join = c10d::NCCL.map_err(|missing| DistributedError::NoNccl { device, missing })?;
                Some((index, join))
            }
            _ => None,
        };
        let prefix = environment.prefix();
        let member = Member { rank, world_size, prefix: &prefix, timeout };
        let mut store = Store::meet(&environment.address, port, environment.serves_store(), member).map_err(refuse)?;
        let interface = env::var_os(INTERFACE);
        let reached = match &interface {
            Some(name) => format!("{INTERFACE} {}", name.display()),
            None => local_address(&environment.address).map_err(|error| refuse(error.to_string()))?,
        };
        let local = if interface.is_some() { None } else { Some(reached.as_str()) };
        let gloo = store.join_gloo(local, member).map_err(|message| refuse(format!("as {reached}: {message}")))?;
        let mut nccl = None;
        if let Some((index, join)) = on_cuda {
            let told = |message: String| refuse(format!("by NCCL, on {device}: {message}"));
            nccl = Some(join(&mut store, index, member).map_err(told)?);
        }
        Ok(Self { gloo, nccl, _store: store, rank, world_size, timeout })
    }

    /// The number of this process, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The number of processes.
    pub fn world_size(&self) -> usize {
        self.world_size
    }

    /// Replaces `flat`, which is as large and contiguous in every process, by its sum over all processes. The sum has
    /// the same bits in all of them, and whenever it is repeated.
    ///
    /// # Errors
    /// A process has ended or does not answer; `flat` is on a CUDA device, and the processes were joined without one.
    pub fn all_reduce(&mut self, flat: &mut Tensor) -> Result<(), DistributedError> {
        self.start_all_reduce(flat)?.wait()
    }

    /// Starts an [`all_reduce`](Self::all_reduce). Until it was waited for, nothing else may read or write the numbers.
    ///
    /// # Errors
    /// Those of [`all_reduce`](Self::all_reduce).
    pub fn start_all_reduce(&mut self, flat: &mut Tensor) -> Result<Work, DistributedError> {
        self.start("all_reduce", flat, Group::all_reduce)
    }

    /// Starts to sum `flat`, which is as large and contiguous in every process, over all processes. Process r gets the sums
    /// from `bounds[r]` to `bounds[r + 1]`, and the rest may be anything. Until it was waited for, nothing else may read or
    /// write the numbers.
    ///
    /// # Shapes
    /// - `flat`: (numbers).
    /// - `bounds`: as many as there are processes and one, ascending, from 0 to the count of the numbers.
    ///
    /// # Errors
    /// Those of [`all_reduce`](Self::all_reduce); the bounds are no such.
    pub fn start_reduce_scatter(&mut self, flat: &mut Tensor, bounds: &[usize]) -> Result<Work, DistributedError> {
        let bounds = self.checked(flat, bounds)?;
        self.start("reduce_scatter", flat, |group, flat| group.reduce_scatter(flat, &bounds))
    }

    /// Starts to complete `flat`, of which process r has the numbers from `bounds[r]` to `bounds[r + 1]`. Until it was
    /// waited for, nothing else may write the numbers, or read those of others.
    ///
    /// # Shapes
    /// Those of [`start_reduce_scatter`](Self::start_reduce_scatter).
    ///
    /// # Errors
    /// Those of [`start_reduce_scatter`](Self::start_reduce_scatter).
    pub fn start_all_gather(&mut self, flat: &mut Tensor, bounds: &[usize]) -> Result<Work, DistributedError> {
        let bounds = self.checked(flat, bounds)?;
        self.start("all_gather", flat, |group, flat| group.all_gather(flat, &bounds))
    }

    /// Replaces `flat`, which is as large and contiguous in every process, by that of process `root`.
    ///
    /// # Errors
    /// Those of [`all_reduce`](Self::all_reduce).
    pub fn broadcast(&mut self, flat: &mut Tensor, root: usize) -> Result<(), DistributedError> {
        self.start("broadcast", flat, |group, flat| group.broadcast(flat, root))?.wait()
    }

    fn checked(&self, flat: &Tensor, bounds: &[usize]) -> Result<Vec<i64>, DistributedError> {
        let (world_size, count) = (self.world_size, flat.numel());
        let is_whole = bounds.first() == Some(&0) && bounds.last() == Some(&count);
        if bounds.len() != world_size + 1 || !bounds.is_sorted() || !is_whole {
            return Err(DistributedError::Bounds { bounds: bounds.to_vec(), world_size, count });
        }
        Ok(bounds.iter().map(|&bound| bound as i64).collect())
    }

    fn start(
        &mut self,
        call: &'static str,
        flat: &mut Tensor,
        start: impl FnOnce(&mut Group, &mut Tensor) -> Result<Started, String>,
    ) -> Result<Work, DistributedError> {
        let Self { rank, world_size, timeout, .. } = *self;
        let mut work = Work { started: None, call, start: Instant::now(), rank, world_size, timeout };
        // All know that there is nothing to send.
        if flat.numel() == 0 || world_size == 1 {
            return Ok(work);
        }
        let group = match (Backend::of(flat.device(), self.nccl.is_some())?, &mut self.nccl) {
            (Backend::Nccl, Some(nccl)) => nccl,
            _ => &mut self.gloo,
        };
        work.started = Some(start(group, flat).map_err(|message| work.error(message))?);
        Ok(work)
    }

    /// The bytes of all processes, in the order of the ranks.
    ///
    /// # Errors
    /// A process has ended or does not answer; there is no memory for the bytes.
    pub fn gather_bytes(&mut self, own: &[u8]) -> Result<Vec<Vec<u8>>, DistributedError> {
        let mut lengths = vec![0; self.world_size];
        lengths[self.rank] = own.len() as i64;
        let mut lengths = Tensor::f_from_slice(&lengths)?;
        let one_each: Vec<usize> = (0..=self.world_size).collect();
        self.start_all_gather(&mut lengths, &one_each)?.wait()?;
        let mut bounds = vec![0];
        for length in Vec::<i64>::try_from(lengths)? {
            bounds.push(bounds[bounds.len() - 1] + length as usize);
        }
        let mut bytes = vec![0; bounds[self.world_size]];
        bytes[bounds[self.rank]..bounds[self.rank + 1]].copy_from_slice(own);
        let mut bytes = Tensor::f_from_slice(&bytes)?;
        self.start_all_gather(&mut bytes, &bounds)?.wait()?;
        let bytes = Vec::<u8>::try_from(bytes)?;
        Ok(bounds.windows(2).map(|bounds| bytes[bounds[0]..bounds[1]].to_vec()).collect())
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
    started: Option<Started>,
    call: &'static str,
    start: Instant,
    rank: usize,
    world_size: usize,
    timeout: Duration,
}

impl Work {
    /// Returns once the numbers are there.
    ///
    /// # Errors
    /// A process has ended or does not answer.
    pub fn wait(mut self) -> Result<(), DistributedError> {
        let Some(started) = self.started.take() else { return Ok(()) };
        started.wait().map_err(|message| self.error(message))
    }

    /// What `message` says of the call.
    fn error(&self, message: String) -> DistributedError {
        let Self { call, start, rank, world_size, timeout, .. } = *self;
        match start.elapsed() < timeout {
            true => DistributedError::Lost { call, rank, world_size, message },
            false => DistributedError::NoAnswer { call, rank, world_size, timeout, message },
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_reaches_itself_through_its_loopback() {
        assert_eq!(local_address("127.0.0.1").unwrap(), "127.0.0.1");
        assert!(local_address("no-such-host.invalid").is_err());
    }

    #[test]
    fn the_device_of_a_tensor_chooses_what_carries_it() {
        for has_nccl in [true, false] {
            assert_eq!(Backend::of(tch::Device::Cpu, has_nccl).unwrap(), Backend::Gloo);
        }
        assert_eq!(Backend::of(tch::Device::Cuda(1), true).unwrap(), Backend::Nccl);
        let error = Backend::of(tch::Device::Cuda(1), false).unwrap_err().to_string();
        assert_eq!(error, "a tensor is on cuda:1, and the processes were joined without a CUDA device");
    }
}
