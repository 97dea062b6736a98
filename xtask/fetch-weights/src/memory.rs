//! The memory that a model needs in each precision, and whether this machine has it.

use std::fmt;

use xtask::{disk, memory};

use crate::listing::Listing;

/// A precision that `llada --dtype` takes.
struct Precision {
    name: &'static str,
    /// Bytes of a weight.
    bytes: u64,
    /// Whether some weights take more: in int8 the embedding and the norms stay in bf16.
    is_mixed: bool,
}

const PRECISIONS: [Precision; 3] = [
    Precision { name: "f32", bytes: 4, is_mixed: false },
    Precision { name: "bf16", bytes: 2, is_mixed: false },
    Precision { name: "int8", bytes: 1, is_mixed: true },
];

/// Bytes of a weight in the files of the hub, unless it has counted.
const STORED: u64 = 2;

/// What a model needs, and what there is.
pub(crate) struct Memory {
    parameters: u64,
    /// Whether the number of parameters is the hub's own; otherwise it follows from the size of the files.
    is_counted: bool,
    /// In megabytes.
    free: Option<u64>,
}

impl Memory {
    /// The memory for the model of a listing; none if it lists no weights.
    pub(crate) fn of(listing: &Listing) -> Option<Self> {
        let weights = listing.files.iter().filter(|file| file.path.ends_with(".safetensors"));
        let stored: u64 = weights.map(|file| file.size).sum();
        let parameters = listing.parameters.unwrap_or(stored / STORED);
        let is_counted = listing.parameters.is_some();
        (stored > 0).then(|| Self { parameters, is_counted, free: memory::available() })
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let about = if self.is_counted { "" } else { "about " };
        let millions = self.parameters.div_ceil(1_000_000);
        match millions {
            ..1000 => writeln!(f, "  model     {about}{millions} million parameters")?,
            _ => writeln!(f, "  model     {about}{:.1} billion parameters", millions as f64 / 1000.0)?,
        }
        let free = self.free.map_or("unknown".to_owned(), disk::shown);
        writeln!(f, "  memory    {free} free; the weights take:")?;
        for Precision { name, bytes, is_mixed } in PRECISIONS {
            let about = if is_mixed { "about " } else { about };
            let needed = self.parameters.saturating_mul(bytes);
            let fits = match self.free {
                Some(free) if needed / 1_000_000 < free => ", fits",
                Some(_) => ", does not fit",
                None => "",
            };
            writeln!(f, "            {name:<5} {about}{}{fits}", disk::size(needed))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(parameters: u64, is_counted: bool, free: Option<u64>) -> String {
        Memory { parameters, is_counted, free }.to_string()
    }

    #[test]
    fn each_precision_is_told_with_whether_it_fits() {
        let text = shown(8_015_581_184, true, Some(16_100));
        assert!(text.contains("model     8.0 billion parameters\n") && text.contains("16.1 GB free"), "{text}");
        for line in ["f32   32.1 GB, does not fit", "bf16  16.0 GB, fits", "int8  about 8.0 GB, fits"] {
            assert!(text.contains(line), "{text}");
        }
    }

    #[test]
    fn what_is_not_known_is_not_claimed() {
        let text = shown(300_000, false, None);
        assert!(text.contains("model     about 1 million parameters\n"), "{text}");
        assert!(text.contains("unknown free") && text.contains("bf16  about 600 kB\n"), "{text}");
    }
}
