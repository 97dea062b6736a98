//! What a launcher tells each process of a run: the environment variables of torchrun, which other launchers set too.
//!
//! Source: `torch/distributed/elastic/agent/server/local_elastic_agent.py` and the `env://` method of
//! `torch.distributed`.

use std::env;

use llada_model::Device;

use crate::DistributedError;

/// The place of a process in a run, and where the processes meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// `RANK`, the number of this process, from 0.
    pub rank: usize,
    /// `WORLD_SIZE`, the number of processes.
    pub world_size: usize,
    /// `LOCAL_RANK`, the number of this process among those of its machine.
    pub local_rank: usize,
    /// `MASTER_ADDR`, the host at which they meet.
    pub address: String,
    /// `MASTER_PORT`, the port at which they meet.
    pub port: u16,
    /// `TORCHELASTIC_RESTART_COUNT`, how often the launcher has started all of them again.
    pub restarts: u64,
    /// `TORCHELASTIC_RUN_ID`, the name of the run.
    pub run_id: String,
    /// `TORCHELASTIC_USE_AGENT_STORE`, whether the launcher serves the store at which they meet. Otherwise rank 0 does.
    pub uses_agent_store: bool,
}

/// The variables that are set for each process; the others have a meaning if they are missing.
const NEEDED: [&str; 4] = ["RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"];

impl Environment {
    /// Reads the environment of this process: none if it is alone, because no launcher has set `RANK`, `WORLD_SIZE` or
    /// `LOCAL_RANK`.
    ///
    /// # Errors
    /// Some of the variables are missing, or have a value that they cannot have.
    pub fn from_env() -> Result<Option<Self>, DistributedError> {
        Self::of(|name| env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    /// Reads the variables that `lookup` knows.
    ///
    /// # Errors
    /// Those of [`from_env`](Self::from_env).
    pub fn of(lookup: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, DistributedError> {
        // The address alone is no sign of a launcher: clusters set it for all kinds of programs.
        if ["RANK", "WORLD_SIZE", "LOCAL_RANK"].iter().all(|name| lookup(name).is_none()) {
            return Ok(None);
        }
        for name in NEEDED {
            if lookup(name).is_none() {
                let expected = format!(
                    "{} belong together, and a launcher sets all of them: unset them all to train in one process",
                    NEEDED.join(", ")
                );
                return Err(DistributedError::Variable { name, value: None, expected });
            }
        }
        let number = |name: &'static str, range: std::ops::RangeInclusive<u64>, otherwise: u64| {
            let Some(value) = lookup(name) else { return Ok(otherwise) };
            match value.trim().parse() {
                Ok(number) if range.contains(&number) => Ok(number),
                _ => {
                    let expected = format!("it is a whole number from {} to {}", range.start(), range.end());
                    Err(DistributedError::Variable { name, value: Some(value), expected })
                }
            }
        };
        let world_size = number("WORLD_SIZE", 1..=u64::from(u16::MAX), 1)?;
        let rank = number("RANK", 0..=world_size - 1, 0)?;
        let address = lookup("MASTER_ADDR").unwrap_or_default();
        if address.trim().is_empty() {
            let expected = "it is the name or address of the host of rank 0".to_owned();
            return Err(DistributedError::Variable { name: "MASTER_ADDR", value: Some(address), expected });
        }
        let uses_agent_store = match lookup("TORCHELASTIC_USE_AGENT_STORE") {
            None => false,
            Some(value) => match value.as_str() {
                "True" => true,
                "False" => false,
                _ => {
                    let (name, expected) = ("TORCHELASTIC_USE_AGENT_STORE", "it is True or False".to_owned());
                    return Err(DistributedError::Variable { name, value: Some(value), expected });
                }
            },
        };
        Ok(Some(Self {
            rank: rank as usize,
            world_size: world_size as usize,
            local_rank: number("LOCAL_RANK", 0..=world_size - 1, 0)? as usize,
            address,
            port: number("MASTER_PORT", 1..=u64::from(u16::MAX), 0)? as u16,
            restarts: number("TORCHELASTIC_RESTART_COUNT", 0..=u64::MAX, 0)?,
            run_id: lookup("TORCHELASTIC_RUN_ID").unwrap_or_default(),
            uses_agent_store,
        }))
    }

    /// The device of this process, where `device` is that of the first process of each machine: its neighbours take the
    /// CUDA devices after it.
    pub fn device(&self, device: Device) -> Device {
        match device {
            Device::Cuda(first) => Device::Cuda(first + self.local_rank),
            device => device,
        }
    }

    /// Whether this process serves the store at which all meet.
    pub(crate) fn serves_store(&self) -> bool {
        self.rank == 0 && !self.uses_agent_store
    }

    /// What the keys of this run begin with: an agent's store still has those from before a restart.
    pub(crate) fn prefix(&self) -> String {
        format!("llada/{}/{}", self.run_id, self.restarts)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const WHOLE: [(&str, &str); 5] =
        [("RANK", "1"), ("WORLD_SIZE", "4"), ("LOCAL_RANK", "0"), ("MASTER_ADDR", "head"), ("MASTER_PORT", "29500")];

    /// The environment of `WHOLE` with changes, where an empty value takes a variable away.
    fn read(changes: &[(&str, &str)]) -> Result<Option<Environment>, DistributedError> {
        let mut variables = BTreeMap::from(WHOLE);
        for &(name, value) in changes {
            variables.insert(name, value);
        }
        Environment::of(|name| variables.get(name).filter(|value| !value.is_empty()).map(|value| (*value).to_owned()))
    }

    #[test]
    fn the_variables_of_torchrun_are_read() {
        let plain = read(&[]).unwrap().unwrap();
        let expected = Environment {
            rank: 1,
            world_size: 4,
            local_rank: 0,
            address: "head".to_owned(),
            port: 29500,
            restarts: 0,
            run_id: String::new(),
            uses_agent_store: false,
        };
        assert_eq!(plain, expected);
        let elastic = [
            ("RANK", "0"),
            ("TORCHELASTIC_RESTART_COUNT", "2"),
            ("TORCHELASTIC_USE_AGENT_STORE", "True"),
            ("TORCHELASTIC_RUN_ID", "job"),
        ];
        let elastic = read(&elastic).unwrap().unwrap();
        assert_eq!((elastic.prefix().as_str(), elastic.serves_store()), ("llada/job/2", false));
        assert!(read(&[("RANK", "0")]).unwrap().unwrap().serves_store());
        assert!(!plain.serves_store());
    }

    #[test]
    fn neighbours_take_neighbouring_devices() {
        let third = read(&[("LOCAL_RANK", "2")]).unwrap().unwrap();
        assert_eq!([Device::Cpu, Device::Cuda(1)].map(|device| third.device(device)), [Device::Cpu, Device::Cuda(3)]);
    }

    #[test]
    fn a_process_alone_has_none() {
        assert_eq!(read(&[("RANK", ""), ("WORLD_SIZE", ""), ("LOCAL_RANK", "")]).unwrap(), None);
    }

    #[test]
    fn what_is_missing_or_impossible_is_named_with_its_value() {
        for (change, message, hint) in [
            (("RANK", ""), "environment variable RANK is not set", "RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT belong"),
            (("MASTER_PORT", ""), "environment variable MASTER_PORT is not set", "to train in one process"),
            (("RANK", "4"), "environment variable RANK is \"4\"", "from 0 to 3"),
            (("RANK", "one"), "environment variable RANK is \"one\"", "a whole number"),
            (("WORLD_SIZE", "0"), "environment variable WORLD_SIZE is \"0\"", "from 1 to 65535"),
            (("LOCAL_RANK", "-1"), "environment variable LOCAL_RANK is \"-1\"", "from 0 to 3"),
            (("MASTER_ADDR", " "), "environment variable MASTER_ADDR is \" \"", "host of rank 0"),
            (("MASTER_PORT", "99999"), "environment variable MASTER_PORT is \"99999\"", "from 1 to 65535"),
            (("TORCHELASTIC_RESTART_COUNT", "x"), "environment variable TORCHELASTIC_RESTART_COUNT is \"x\"", "number"),
            (
                ("TORCHELASTIC_USE_AGENT_STORE", "1"),
                "environment variable TORCHELASTIC_USE_AGENT_STORE is \"1\"",
                "True",
            ),
        ] {
            let error = read(&[change]).unwrap_err();
            assert_eq!(error.to_string(), message);
            assert!(error.hint().unwrap().to_string().contains(hint), "{:?}", error.hint());
        }
    }
}
