//! The smallest automaton of a language (Hopcroft 1971).

use super::{ByteDfa, DEAD, Partition};
use crate::{GrammarError, limits::Budget};

/// A transition into a state.
#[derive(Clone, Copy)]
struct Incoming {
    class: u8,
    from: u32,
}

impl ByteDfa {
    /// Returns the smallest automaton that accepts the same strings. All of its states lead to an accepting one.
    pub(super) fn minimise(&self, budget: &Budget) -> Result<Self, GrammarError> {
        let incoming = self.incoming();
        let is_live = self.live(&incoming);
        if !is_live.first().is_some_and(|&is_live| is_live) {
            return Ok(Self { class_of: [0; 256], classes: 1, table: Vec::new(), is_accepting: Vec::new() });
        }
        let partition = self.equivalent(&incoming, budget)?;
        // Blocks are numbered as they are reached; those of dead states are not.
        let mut number_of = vec![DEAD; partition.blocks()];
        number_of[partition.block(0) as usize] = 0;
        let mut order = vec![0];
        let mut table = Vec::new();
        let mut is_accepting = Vec::new();
        let mut at = 0;
        while at < order.len() {
            let state: u32 = order[at];
            is_accepting.push(self.is_accepting(state));
            for &to in self.row(state) {
                if to == DEAD || !is_live[to as usize] {
                    table.push(DEAD);
                    continue;
                }
                let number = &mut number_of[partition.block(to) as usize];
                if *number == DEAD {
                    *number = order.len() as u32;
                    order.push(to);
                }
                table.push(*number);
            }
            at += 1;
        }
        Ok(Self { class_of: self.class_of, classes: self.classes, table, is_accepting })
    }

    fn row(&self, state: u32) -> &[u32] {
        &self.table[state as usize * self.classes..][..self.classes]
    }

    /// Returns the transitions into each state.
    fn incoming(&self) -> Vec<Vec<Incoming>> {
        let mut incoming = vec![Vec::new(); self.states()];
        for from in 0..self.states() as u32 {
            for (class, &to) in (0..=u8::MAX).zip(self.row(from)) {
                if to != DEAD {
                    incoming[to as usize].push(Incoming { class, from });
                }
            }
        }
        incoming
    }

    /// Returns true for each state that leads to an accepting one.
    fn live(&self, incoming: &[Vec<Incoming>]) -> Vec<bool> {
        let mut is_live = vec![false; self.states()];
        let mut open: Vec<u32> = (0..self.states() as u32).filter(|&state| self.is_accepting(state)).collect();
        while let Some(state) = open.pop() {
            if !std::mem::replace(&mut is_live[state as usize], true) {
                open.extend(incoming[state as usize].iter().map(|transition| transition.from));
            }
        }
        is_live
    }

    /// Returns the states by the strings that they accept. Dead states may be in several blocks.
    fn equivalent(&self, incoming: &[Vec<Incoming>], budget: &Budget) -> Result<Partition, GrammarError> {
        let is_live = self.live(incoming);
        let accepting: Vec<u32> = (0..self.states() as u32).filter(|&state| self.is_accepting(state)).collect();
        let live: Vec<u32> = (0..self.states() as u32).filter(|&state| is_live[state as usize]).collect();
        let mut partition = Partition::new(self.states());
        partition.refine(&live, |_, _, _| ());
        partition.refine(&accepting, |_, _, _| ());
        let mut open: Vec<u32> = (0..partition.blocks() as u32).collect();
        let mut is_open = vec![true; open.len()];
        let mut sources = vec![Vec::new(); self.classes];
        while let Some(splitter) = open.pop() {
            budget.check_time()?;
            is_open[splitter as usize] = false;
            for &state in partition.members(splitter) {
                for transition in &incoming[state as usize] {
                    sources[usize::from(transition.class)].push(transition.from);
                }
            }
            for set in &mut sources {
                partition.refine(set, |partition, old, new| {
                    is_open.push(false);
                    let (shorter, is_waiting) =
                        (partition.members(new).len() <= partition.members(old).len(), is_open[old as usize]);
                    let next = if is_waiting || shorter { new } else { old };
                    is_open[next as usize] = true;
                    open.push(next);
                });
                set.clear();
            }
        }
        Ok(partition)
    }
}
