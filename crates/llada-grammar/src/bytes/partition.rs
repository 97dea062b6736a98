//! Partitions of the numbers below n that are refined by sets, in time proportional to the sets (Paige and Tarjan 1987).

/// A partition into blocks, which are numbered from 0.
#[derive(Debug)]
pub(crate) struct Partition {
    /// The numbers, by block.
    items: Vec<u32>,
    /// Where each number is in `items`.
    place: Vec<u32>,
    block_of: Vec<u32>,
    /// Where each block starts and ends in `items`, and how many of its first numbers are marked.
    first: Vec<u32>,
    end: Vec<u32>,
    marked: Vec<u32>,
    touched: Vec<u32>,
}

impl Partition {
    /// Creates the partition into one block, or none if there are no numbers.
    pub(crate) fn new(length: usize) -> Self {
        let blocks = usize::from(length > 0);
        Self {
            items: (0..length as u32).collect(),
            place: (0..length as u32).collect(),
            block_of: vec![0; length],
            first: vec![0; blocks],
            end: vec![length as u32; blocks],
            marked: vec![0; blocks],
            touched: Vec::new(),
        }
    }

    pub(crate) fn blocks(&self) -> usize {
        self.first.len()
    }

    pub(crate) fn block(&self, number: u32) -> u32 {
        self.block_of[number as usize]
    }

    pub(crate) fn members(&self, block: u32) -> &[u32] {
        &self.items[self.first[block as usize] as usize..self.end[block as usize] as usize]
    }

    /// Splits every block into what is in the set and what is not, and calls `split` with the old block and the new one.
    /// The set has no number twice.
    pub(crate) fn refine(&mut self, set: &[u32], mut split: impl FnMut(&Self, u32, u32)) {
        for &number in set {
            let block = self.block_of[number as usize] as usize;
            if self.marked[block] == 0 {
                self.touched.push(block as u32);
            }
            let (from, to) = (self.place[number as usize], self.first[block] + self.marked[block]);
            let other = self.items[to as usize];
            self.items.swap(from as usize, to as usize);
            (self.place[number as usize], self.place[other as usize]) = (to, from);
            self.marked[block] += 1;
        }
        for block in std::mem::take(&mut self.touched) {
            let index = block as usize;
            let marked = std::mem::take(&mut self.marked[index]);
            let (start, border) = (self.first[index], self.first[index] + marked);
            if border == self.end[index] {
                continue;
            }
            let new = self.blocks() as u32;
            // The new block is the smaller part, so that no number is moved more often than a logarithm says.
            if marked * 2 <= self.end[index] - start {
                self.first.push(start);
                self.end.push(border);
                self.first[index] = border;
            } else {
                self.first.push(border);
                self.end.push(self.end[index]);
                self.end[index] = border;
            }
            self.marked.push(0);
            for place in self.first[new as usize]..self.end[new as usize] {
                self.block_of[self.items[place as usize] as usize] = new;
            }
            split(self, block, new);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use llada_core::rng::Noise;

    use super::*;

    #[test]
    fn numbers_share_a_block_if_they_share_all_sets() {
        for seed in 0..200 {
            let mut random = Noise::new(seed).stream(0, 0, 0);
            let mut partition = Partition::new(12);
            let mut signatures = vec![Vec::new(); 12];
            for _ in 0..random.below(6) {
                let set: Vec<u32> = (0..12).filter(|_| random.uniform() < 0.4).collect();
                partition.refine(&set, |_, _, _| ());
                for number in 0..12 {
                    signatures[number as usize].push(set.contains(&number));
                }
            }
            let mut blocks: HashMap<_, Vec<u32>> = HashMap::new();
            (0..12).for_each(|number| blocks.entry(signatures[number as usize].clone()).or_default().push(number));
            assert_eq!(partition.blocks(), blocks.len());
            for block in blocks.values() {
                let mut members = partition.members(partition.block(block[0])).to_vec();
                members.sort_unstable();
                assert_eq!(&members, block, "seed {seed}");
            }
        }
    }
}
