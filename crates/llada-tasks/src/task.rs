//! What a task is: a name, grades of difficulty, and a way to draw examples.

use llada_core::rng::{Domain, Noise, Stream};

use crate::{ALL, Example, Split, TaskError, split::hash};

/// A source of examples. Each is a pure function of the task, the split, the index and the noise.
pub trait Task: Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;

    /// How many grades of difficulty its questions have.
    fn levels(&self) -> u64 {
        1
    }

    /// Draws an example of a level below [`levels`](Self::levels); none if the draw fails or belongs to the other
    /// split.
    fn draw(&self, split: Split, level: u64, stream: &mut Stream) -> Option<Example>;

    /// The example of `split` with this index. The levels take turns, so that they are equally frequent in both splits.
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

/// The task called `name`.
///
/// # Errors
/// There is none; the error lists those there are.
pub fn by_name(name: &str) -> Result<&'static dyn Task, TaskError> {
    ALL.into_iter()
        .find(|task| task.name() == name)
        .ok_or_else(|| TaskError::Unknown { name: name.to_owned(), known: ALL.map(|task| task.name()).join(", ") })
}

/// Examples without end, the tasks taking turns.
pub fn mixture<'a>(
    tasks: &'a [&'static dyn Task],
    split: Split,
    noise: Noise,
) -> impl Iterator<Item = (&'static dyn Task, Example)> + 'a {
    (0..).flat_map(move |index| tasks.iter().map(move |&task| (task, task.generate(split, index, noise))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        assert_eq!(by_name("sudoku").unwrap().name(), "sudoku");
        let message = by_name("chess").err().unwrap().to_string();
        assert!(message.starts_with("unknown task \"chess\"; hint: addition, sorting"), "{message}");
    }
}
