//! The processes of a run, if a launcher has started several.

use std::time::Duration;

use llada_distributed::{C10dCollective, Environment, ProcessGroup};
use llada_train::{config::RunConfig, run::Run};

/// The place of this process among those of a run.
pub(super) struct Ranks {
    /// What a launcher has told it, if it is not alone.
    environment: Option<Environment>,
    timeout: Duration,
}

impl Ranks {
    /// Reads the environment. A process waits for the others for `timeout` at most.
    pub(super) fn from_env(timeout: Duration) -> anyhow::Result<Self> {
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

    /// Meets the other processes and opens the run with them.
    pub(super) fn open<E: Into<anyhow::Error>>(&self, open: impl FnOnce() -> Result<Run, E>) -> anyhow::Result<Run> {
        let Some(environment) = &self.environment else { return open().map_err(Into::into) };
        // First of all, so that an error while the run is opened ends all of them.
        let group = ProcessGroup::join(environment, self.timeout)?;
        Ok(open().map_err(Into::into)?.with_collective(C10dCollective::new(group)))
    }
}
