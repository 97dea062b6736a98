//! The tokens of a vocabulary as a tree of their bytes.

/// No text.
const NONE: u32 = u32::MAX;

/// A node of the tree.
#[derive(Clone, Copy, Debug)]
struct Node {
    byte: u8,
    /// The number of bytes before this one.
    depth: u32,
    /// The text that ends here, or [`NONE`].
    text: u32,
    /// The node after all that begin with this one.
    end: u32,
}

/// The texts of a vocabulary in a tree, whose nodes are in the order of the texts. Tokens with the same bytes are one text.
#[derive(Clone, Debug)]
pub(crate) struct Trie {
    nodes: Vec<Node>,
    depth: usize,
    /// The text of each token, if it is emitted.
    text_of: Vec<Option<u32>>,
    /// A token of each text.
    tokens: Vec<u32>,
}

impl Trie {
    pub(super) fn new(pieces: &[Option<Vec<u8>>]) -> Self {
        let mut sorted: Vec<(&[u8], u32)> =
            (0..).zip(pieces).filter_map(|(token, piece)| Some((piece.as_deref()?, token))).collect();
        sorted.sort_unstable();
        let mut trie = Self { nodes: Vec::new(), depth: 0, text_of: vec![None; pieces.len()], tokens: Vec::new() };
        // The nodes that the last text leads through.
        let mut path: Vec<usize> = Vec::new();
        let mut last: &[u8] = &[];
        for (bytes, token) in sorted {
            let shared = bytes.iter().zip(last).take_while(|(byte, other)| byte == other).count();
            trie.close(&mut path, shared);
            for (depth, &byte) in bytes.iter().enumerate().skip(shared) {
                path.push(trie.nodes.len());
                trie.nodes.push(Node { byte, depth: depth as u32, text: NONE, end: 0 });
            }
            trie.depth = trie.depth.max(bytes.len());
            if let Some(node) = path.last().and_then(|&node| trie.nodes.get_mut(node)) {
                if node.text == NONE {
                    node.text = trie.tokens.len() as u32;
                    trie.tokens.push(token);
                }
                trie.text_of[token as usize] = Some(node.text);
            }
            last = bytes;
        }
        trie.close(&mut path, 0);
        trie
    }

    /// Ends the nodes of a path that are at this depth or deeper.
    fn close(&mut self, path: &mut Vec<usize>, depth: usize) {
        let end = self.nodes.len() as u32;
        for node in path.drain(depth.min(path.len())..) {
            self.nodes[node].end = end;
        }
    }

    /// Returns the number of different texts.
    pub(crate) fn texts(&self) -> usize {
        self.tokens.len()
    }

    /// Returns the text of each token.
    pub(crate) fn text_of(&self) -> &[Option<u32>] {
        &self.text_of
    }

    /// Returns a token of a text.
    pub(crate) fn token(&self, text: u32) -> u32 {
        self.tokens[text as usize]
    }

    /// Calls `visit` with each text and the state that it leads to, where `next` leads from a state by a byte. Where there
    /// is no next state, longer texts are not tried.
    pub(crate) fn walk(&self, start: u32, next: impl Fn(u32, u8) -> Option<u32>, mut visit: impl FnMut(u32, u32)) {
        let mut states = vec![start; self.depth + 1];
        let mut at = 0;
        while let Some(node) = self.nodes.get(at) {
            let depth = node.depth as usize;
            match next(states[depth], node.byte) {
                None => at = node.end as usize,
                Some(state) => {
                    states[depth + 1] = state;
                    if node.text != NONE {
                        visit(node.text, state);
                    }
                    at += 1;
                }
            }
        }
    }
}
