//! The lattice of a partly masked region: the states that its valid completions pass through.
//!
//! The boundary before each position has the states that can be reached from the left and from which the end can be reached
//! to the right. A lattice is empty if there is no valid completion. Everything that is computed about completions runs over
//! it, from boundary to boundary.

use llada_core::automaton::Edge;

use super::language::Language;

/// The states of all valid completions of a run of positions.
#[derive(Debug, Clone, Default)]
pub(super) struct Lattice {
    /// The states before each position, and after the last one.
    fronts: Vec<Vec<u32>>,
    /// The class of each given position; `None` for masks.
    given: Vec<Option<u32>>,
}

/// A set of states, which holds those of one front.
struct States(Vec<bool>);

impl States {
    fn new(language: &Language) -> Self {
        Self(vec![false; language.states()])
    }

    fn add(&mut self, state: u32) {
        self.0[state as usize] = true;
    }

    fn add_all(&mut self, front: &[u32]) {
        front.iter().for_each(|&state| self.add(state));
    }

    fn clear(&mut self, front: &[u32]) {
        front.iter().for_each(|&state| self.0[state as usize] = false);
    }

    fn contains(&self, state: u32) -> bool {
        self.0[state as usize]
    }
}

impl Lattice {
    /// Builds the lattice of `tokens`, where `None` is a mask, from the state `start` before them. `left` is the number of
    /// free positions of the region after them.
    pub(super) fn new(language: &Language, start: u32, tokens: &[Option<u32>], left: usize) -> Self {
        let given: Vec<Option<Option<u32>>> =
            tokens.iter().map(|token| token.map(|token| language.class(token))).collect();
        if given.contains(&Some(None)) {
            // A token that occurs in no string.
            return Self::default();
        }
        let given: Vec<Option<u32>> = given.into_iter().map(Option::flatten).collect();
        let mut lattice = Self { fronts: Vec::with_capacity(tokens.len() + 1), given };
        let mut is_reached = States::new(language);
        let mut front = vec![start];
        for position in 0..tokens.len() {
            let left = left + tokens.len() - position - 1;
            let mut next = Vec::new();
            for &state in &front {
                lattice.for_each_edge(language, position, state, |edge| {
                    if !is_reached.contains(edge.to) && language.can_complete(edge.to, left) {
                        is_reached.add(edge.to);
                        next.push(edge.to);
                    }
                });
            }
            is_reached.clear(&next);
            lattice.fronts.push(std::mem::replace(&mut front, next));
        }
        front.retain(|&state| language.can_complete(state, left));
        lattice.fronts.push(front);
        lattice.keep_completable(language, &mut is_reached);
        lattice
    }

    /// Drops the states from which the last front cannot be reached.
    fn keep_completable(&mut self, language: &Language, states: &mut States) {
        for position in (0..self.given.len()).rev() {
            let (before, after) = self.fronts.split_at_mut(position + 1);
            let (Some(front), Some(next)) = (before.last_mut(), after.first()) else { continue };
            states.add_all(next);
            match self.given[position] {
                Some(class) => {
                    front.retain(|&state| language.next(state, class).is_some_and(|next| states.contains(next)))
                }
                None => front.retain(|&state| language.edges(state).any(|edge| states.contains(edge.to))),
            }
            states.clear(next);
        }
    }

    /// Returns true if there is no valid completion.
    pub(super) fn is_empty(&self) -> bool {
        self.fronts.first().is_none_or(Vec::is_empty)
    }

    /// Returns the number of positions.
    pub(super) fn len(&self) -> usize {
        self.given.len()
    }

    /// Returns true if a completion exists that has `left` positions after the lattice.
    pub(super) fn can_complete(&self, language: &Language, left: usize) -> bool {
        self.front(self.len()).iter().any(|&state| language.can_complete(state, left))
    }

    /// Returns the states before a position.
    pub(super) fn front(&self, position: usize) -> &[u32] {
        self.fronts.get(position).map_or(&[], Vec::as_slice)
    }

    /// Calls `f` with the edges of a state that agree with a position, among them such as lead out of the lattice.
    pub(super) fn for_each_edge(&self, language: &Language, position: usize, state: u32, mut f: impl FnMut(Edge)) {
        match self.given.get(position).copied().flatten() {
            None => language.edges(state).for_each(f),
            Some(class) => {
                if let Some(to) = language.next(state, class) {
                    f(Edge { class, to });
                }
            }
        }
    }

    /// Returns the masked positions with the only token that each can have, where there is just one.
    pub(super) fn forced(&self, language: &Language) -> Vec<(usize, u32)> {
        let mut states = States::new(language);
        let mut forced = Vec::new();
        for position in (0..self.given.len()).filter(|&position| self.given[position].is_none()) {
            let next = self.front(position + 1);
            states.add_all(next);
            if let Some(token) = self.only_token(language, position, &states) {
                forced.push((position, token));
            }
            states.clear(next);
        }
        forced
    }

    fn only_token(&self, language: &Language, position: usize, next: &States) -> Option<u32> {
        let mut only = None;
        for &state in self.front(position) {
            for edge in language.edges(state).filter(|edge| next.contains(edge.to)) {
                if only.is_some_and(|class| class != edge.class) {
                    return None;
                }
                only = Some(edge.class);
            }
        }
        match language.members(only?) {
            &[token] => Some(token),
            _ => None,
        }
    }

    /// Returns the classes that a masked position can have.
    pub(super) fn classes(&self, language: &Language, position: usize) -> Vec<u32> {
        let mut is_live = vec![false; language.classes()];
        for &state in self.front(position) {
            language.edges(state).for_each(|edge| is_live[edge.class as usize] = true);
        }
        (0..).zip(is_live).filter(|&(_, is_live)| is_live).map(|(class, _)| class).collect()
    }
}
