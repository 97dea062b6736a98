//! Process groups on this machine, and runs by several ranks, which are threads here.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail it")]

mod group;
mod run;

use std::{net::TcpListener, thread, time::Duration};

use llada_distributed::{DistributedError, Environment, ProcessGroup};
use llada_model::Device;

/// The environments of `world_size` ranks that meet on this machine.
fn environments(world_size: usize) -> Vec<Environment> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let of = |rank: usize| Environment {
        rank,
        world_size,
        local_rank: rank,
        address: "127.0.0.1".to_owned(),
        port,
        restarts: 0,
        run_id: String::new(),
        uses_agent_store: false,
    };
    (0..world_size).map(of).collect()
}

/// What each of `world_size` ranks returns, which wait for each other for `timeout`.
fn ranks<T: Send>(
    world_size: usize,
    timeout: Duration,
    work: impl Fn(ProcessGroup) -> Result<T, DistributedError> + Sync,
) -> Vec<Result<T, DistributedError>> {
    thread::scope(|scope| {
        let work = &work;
        let start = |environment: Environment| {
            scope.spawn(move || {
                llada_model::set_threads(1);
                work(ProcessGroup::join(&environment, Device::Cpu, timeout).unwrap())
            })
        };
        let ranks: Vec<_> = environments(world_size).into_iter().map(start).collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}
