//! The order of an epoch: a function of the seed, the epoch and the sizes of the blocks alone.
//!
//! Blocks are shuffled. Then as many blocks in a row as fit into memory are a window, whose rows are shuffled too. So
//! data of any size is read in large pieces, and data that fits into one window is shuffled wholly.

use llada_core::rng::{Domain, Noise};

/// The number of bytes of records that are in memory at once, at least one block.
const WINDOW: u64 = 1 << 26;

/// The size of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) rows: usize,
    pub(super) bytes: u64,
}

/// The windows of an epoch.
#[derive(Debug)]
pub(super) struct EpochOrder {
    pub(super) epoch: u64,
    noise: Noise,
    windows: Vec<Window>,
}

/// Blocks that are in memory at once.
#[derive(Debug)]
struct Window {
    /// The number of rows before it.
    start: u64,
    /// The indices of its blocks, and how many rows they have.
    blocks: Vec<(usize, usize)>,
}

/// A row: the index of its block, and its own in that.
pub(super) type Row = (usize, usize);

impl EpochOrder {
    pub(super) fn new(sizes: &[Size], noise: Noise, epoch: u64) -> Self {
        let noise = noise.domain(Domain::Shuffle);
        let mut order: Vec<usize> = (0..sizes.len()).collect();
        noise.stream(epoch, 1, 0).shuffle(&mut order);
        let (mut windows, mut rows, mut bytes) = (Vec::<Window>::new(), 0, 0);
        for block in order {
            let size = sizes[block];
            bytes += size.bytes;
            match windows.last_mut().filter(|_| bytes <= WINDOW) {
                Some(window) => window.blocks.push((block, size.rows)),
                None => {
                    bytes = size.bytes;
                    windows.push(Window { start: rows, blocks: vec![(block, size.rows)] });
                }
            }
            rows += size.rows as u64;
        }
        Self { epoch, noise, windows }
    }

    /// The window that has the row at `position`, and the number of rows before it.
    pub(super) fn window(&self, position: u64) -> (usize, u64) {
        let window = self.windows.partition_point(|window| window.start <= position).saturating_sub(1);
        (window, self.windows.get(window).map_or(0, |window| window.start))
    }

    /// The indices of the blocks of a window.
    pub(super) fn blocks(&self, window: usize) -> Vec<usize> {
        self.windows[window].blocks.iter().map(|&(block, _)| block).collect()
    }

    /// The rows of a window, in the order in which they are seen.
    pub(super) fn rows(&self, window: usize) -> Vec<Row> {
        let blocks = &self.windows[window].blocks;
        let mut rows: Vec<Row> =
            blocks.iter().flat_map(|&(block, rows)| (0..rows).map(move |row| (block, row))).collect();
        self.noise.stream(self.epoch, 2, window as u32).shuffle(&mut rows);
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(sizes: &[Size], epoch: u64) -> Vec<Vec<Row>> {
        let order = EpochOrder::new(sizes, Noise::new(3), epoch);
        let mut seen = 0;
        let mut windows = Vec::new();
        while windows.len() < order.windows.len() {
            let (window, start) = order.window(seen);
            assert_eq!((window, start), (windows.len(), seen));
            let rows = order.rows(window);
            seen += rows.len() as u64;
            assert_eq!(order.window(seen - 1), (window, start));
            windows.push(rows);
        }
        windows
    }

    #[test]
    fn every_row_is_seen_once_an_epoch_and_windows_are_bounded() {
        let sizes: Vec<Size> =
            (0..40).map(|i| Size { rows: 3 + i % 5, bytes: WINDOW / 10 * (1 + i as u64 % 3) }).collect();
        let (one, two) = (order(&sizes, 0), order(&sizes, 1));
        assert_ne!(one, two);
        assert_eq!(one, order(&sizes, 0));
        for windows in [&one, &two] {
            for rows in windows {
                let mut blocks: Vec<usize> = rows.iter().map(|&(block, _)| block).collect();
                blocks.sort_unstable();
                blocks.dedup();
                assert!(blocks.iter().map(|&block| sizes[block].bytes).sum::<u64>() <= WINDOW);
            }
            let mut all = windows.concat();
            assert!(!all.is_sorted());
            all.sort_unstable();
            let expected: Vec<Row> =
                (0..40).flat_map(|block| (0..sizes[block].rows).map(move |row| (block, row))).collect();
            assert_eq!(all, expected);
        }
        let large = [Size { rows: 2, bytes: 3 * WINDOW }, Size { rows: 1, bytes: 2 * WINDOW }];
        assert_eq!(order(&large, 0).len(), 2);
    }
}
