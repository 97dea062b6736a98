//! Examples do not change: a seed means the same data in every release.

use llada_core::rng::Noise;
use llada_tasks::{ALL, Split};

#[test]
fn first_examples() {
    let mut shown = String::new();
    for task in ALL {
        for split in [Split::Train, Split::HeldOut] {
            for index in 0..3 {
                let example = task.generate(split, index, Noise::new(0));
                let name = task.name();
                shown += &format!("{name} {split:?} {index}\n    {}\n    {}\n", example.prompt, example.answer);
            }
        }
    }
    insta::assert_snapshot!(shown);
}
