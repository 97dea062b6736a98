//! The processes of a run, if a launcher has started several.

use std::{env, io, process, thread, time::Duration};

use llada_distributed::{C10dCollective, Environment, ProcessGroup};
use llada_model::Device;
use llada_train::{
    collective::{Collective, SingleProcess},
    config::RunConfig,
};

use crate::interrupt;

/// The variable that tells a process that its standard input is a pipe of `llada launch`, which ends when that ends.
pub(crate) const LAUNCHED: &str = "LLADA_LAUNCHED";

/// The place of this process among those of a run.
pub(super) struct Ranks {
    /// What a launcher has told it, if it is not alone.
    environment: Option<Environment>,
    timeout: Duration,
}

impl Ranks {
    /// Reads the environment. A process waits for the others for `timeout` at most.
    pub(super) fn from_env(timeout: Duration) -> anyhow::Result<Self> {
        if env::var_os(LAUNCHED).is_some() {
            thread::spawn(end_with_launcher);
        }
        Ok(Self { environment: Environment::from_env()?, timeout })
    }

    /// Whether this process tells of the run.
    pub(super) fn is_first(&self) -> bool {
        self.environment.as_ref().is_none_or(|environment| environment.rank == 0)
    }

    /// The settings of this process.
    pub(super) fn settle(&self, config: RunConfig) -> RunConfig {
        match &self.environment {
            Some(environment) => RunConfig { device: environment.device(config.device), ..config },
            None => config,
        }
    }

    /// Meets the other processes, as one that computes on `device`.
    pub(super) fn join(&self, device: Device) -> anyhow::Result<Box<dyn Collective>> {
        Ok(match &self.environment {
            Some(environment) => {
                // NCCL has no good words for a device that is not there.
                device.check()?;
                interrupt::outlive_connections()?;
                Box::new(C10dCollective::new(ProcessGroup::join(environment, device, self.timeout)?))
            }
            None => Box::new(SingleProcess),
        })
    }
}

/// Ends this process once its launcher is gone, even if that was killed: whoever starts the run again must find nobody
/// who writes in its folder. What is written meanwhile is no worse off than if this process had been killed too.
fn end_with_launcher() {
    // The launcher sends nothing.
    let _ = io::copy(&mut io::stdin(), &mut io::sink());
    eprintln!("error: llada launch has ended\nhint: the same command goes on from the last checkpoint");
    process::exit(1);
}
