//! The machine's memory, as Linux reports it.

use std::fs;

/// Returns all memory, in megabytes.
#[must_use]
pub fn total() -> Option<u64> {
    megabytes("MemTotal")
}

/// Returns the memory that a new process can have without swapping, in megabytes.
#[must_use]
pub fn available() -> Option<u64> {
    megabytes("MemAvailable")
}

fn megabytes(name: &str) -> Option<u64> {
    read(&fs::read_to_string("/proc/meminfo").ok()?, name)
}

/// Reads a line `name:   1234 kB`.
fn read(info: &str, name: &str) -> Option<u64> {
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024 / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_table() {
        let info = "MemTotal:  4000000 kB\nMemAvailable:\t1000 kB\nMemFree: many\n";
        assert_eq!(read(info, "MemTotal"), Some(4096));
        assert_eq!(read(info, "MemAvailable"), Some(1));
        assert_eq!((read(info, "MemFree"), read(info, "Mem")), (None, None));
    }
}
