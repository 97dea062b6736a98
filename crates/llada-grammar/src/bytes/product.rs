//! Intersections and the like of two languages (the product construction).

use std::collections::HashMap;

use super::{ByteDfa, DEAD};
use crate::{GrammarError, limits::Budget};

impl ByteDfa {
    /// Returns the smallest automaton that accepts what both accept.
    pub(crate) fn intersection(&self, other: &Self, budget: &Budget) -> Result<Self, GrammarError> {
        let mut class_of = [0; 256];
        let mut pairs: Vec<(u8, u8)> = Vec::new();
        for byte in 0..=u8::MAX {
            let pair = (self.class_of[usize::from(byte)], other.class_of[usize::from(byte)]);
            let class = pairs.iter().position(|known| *known == pair).unwrap_or(pairs.len());
            if class == pairs.len() {
                pairs.push(pair);
            }
            class_of[usize::from(byte)] = class as u8;
        }
        let mut product = Self { class_of, classes: pairs.len(), table: Vec::new(), is_accepting: Vec::new() };
        if self.states() == 0 || other.states() == 0 {
            return Ok(product);
        }
        let mut numbers = HashMap::from([((0, 0), 0)]);
        let mut states = vec![(0, 0)];
        let mut at = 0;
        while at < states.len() {
            budget.check_time()?;
            budget.check_bytes(states.len() * (4 * pairs.len() + 24))?;
            let (first, second) = states[at];
            product.is_accepting.push(self.is_accepting(first) && other.is_accepting(second));
            for &(class, other_class) in &pairs {
                let next = (
                    self.table[first as usize * self.classes + usize::from(class)],
                    other.table[second as usize * other.classes + usize::from(other_class)],
                );
                if next.0 == DEAD || next.1 == DEAD {
                    product.table.push(DEAD);
                    continue;
                }
                let number = *numbers.entry(next).or_insert(states.len() as u32);
                if number as usize == states.len() {
                    states.push(next);
                }
                product.table.push(number);
            }
            at += 1;
        }
        product.minimise(budget)
    }
}
