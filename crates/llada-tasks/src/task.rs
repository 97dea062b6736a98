//! The interface of synthetic tasks.

use llada_core::rng::{Domain, Noise, Stream};

use crate::{ALL, Example, Split, TaskError, split::hash};

/// A source of examples. Each example is a pure function of the task, the split, the index and the noise.
pub trait SyntheticTask: Send + Sync {
    /// Returns the name of the task.
    fn name(&self) -> &'static str;

    /// Returns the number of levels of difficulty.
    fn levels(&self) -> u64 {
        1
    }

    /// Draws an example of a level below [`levels`](Self::levels). Returns `None` if the draw fails or belongs to the other
    /// split.
    fn draw(&self, split: Split, level: u64, stream: &mut Stream) -> Option<Example>;

    /// Returns the example of `split` with this index. The levels alternate, so they are equally frequent in both splits.
    fn generate(&self, split: Split, index: u64, noise: Noise) -> Example {
        let noise = noise.domain(Domain::Task);
        let mut attempt = 0;
        loop {
            let mut stream = noise.stream(index, attempt, hash(self.name()) as u32);
            if let Some(example) = self.draw(split, index % self.levels(), &mut stream) {
                return example;
            }
            attempt += 1;
        }
    }
}

/// Returns the task with this name.
///
/// # Errors
/// If there is no such task.
pub fn by_name(name: &str) -> Result<&'static dyn SyntheticTask, TaskError> {
    ALL.into_iter()
        .find(|task| task.name() == name)
        .ok_or_else(|| TaskError::Unknown { name: name.to_owned(), known: ALL.map(|task| task.name()).to_vec() })
}

/// Returns an endless sequence of examples in which the tasks alternate.
pub fn mixture<'a>(
    tasks: &'a [&'static dyn SyntheticTask],
    split: Split,
    noise: Noise,
) -> impl Iterator<Item = (&'static dyn SyntheticTask, Example)> + 'a {
    (0..).flat_map(move |index| tasks.iter().map(move |&task| (task, task.generate(split, index, noise))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        assert_eq!(by_name("sudoku").unwrap().name(), "sudoku");
        let error = by_name("chess").err().unwrap();
        assert_eq!(error.to_string(), "unknown task \"chess\"");
        let hint = error.hint().unwrap().to_string();
        assert!(hint.starts_with("addition, sorting, ") && hint.ends_with(" or sudoku"), "{hint}");
    }
}
