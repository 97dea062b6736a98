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

/// The place of each state in one front.
pub(super) struct Places(Vec<u32>);

impl Places {
    const ABSENT: u32 = u32::MAX;

    pub(super) fn new(language: &Language) -> Self {
        Self(vec![Self::ABSENT; language.states()])
    }

    /// Notes the places of a front's states. Those of another front must have been cleared.
    pub(super) fn set(&mut self, front: &[u32]) {
        for (place, &state) in (0..).zip(front) {
            self.0[state as usize] = place;
        }
    }

    pub(super) fn clear(&mut self, front: &[u32]) {
        for &state in front {
            self.0[state as usize] = Self::ABSENT;
        }
    }

    pub(super) fn get(&self, state: u32) -> Option<usize> {
        let place = self.0[state as usize];
        (place != Self::ABSENT).then_some(place as usize)
    }

    fn contains(&self, state: u32) -> bool {
        self.get(state).is_some()
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
        let mut places = Places::new(language);
        let mut front = vec![start];
        for position in 0..tokens.len() {
            let left = left + tokens.len() - position - 1;
            let mut next = Vec::new();
            for &state in &front {
                for edge in lattice.edges(language, position, state) {
                    if !places.contains(edge.to) && language.can_complete(edge.to, left) {
                        places.0[edge.to as usize] = next.len() as u32;
                        next.push(edge.to);
                    }
                }
            }
            places.clear(&next);
            lattice.fronts.push(std::mem::replace(&mut front, next));
        }
        front.retain(|&state| language.can_complete(state, left));
        lattice.fronts.push(front);
        lattice.keep_completable(language, &mut places);
        lattice
    }

    /// Drops the states from which the last front cannot be reached.
    fn keep_completable(&mut self, language: &Language, places: &mut Places) {
        for position in (0..self.given.len()).rev() {
            let (before, after) = self.fronts.split_at_mut(position + 1);
            let (Some(front), Some(next)) = (before.last_mut(), after.first()) else { continue };
            places.set(next);
            match self.given[position] {
                Some(class) => {
                    front.retain(|&state| language.next(state, class).is_some_and(|next| places.contains(next)))
                }
                None => front.retain(|&state| language.edges(state).any(|edge| places.contains(edge.to))),
            }
            places.clear(next);
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

    /// Returns the edges of a state that agree with a position, among them such as lead out of the lattice.
    pub(super) fn edges<'a>(
        &self,
        language: &'a Language,
        position: usize,
        state: u32,
    ) -> impl Iterator<Item = Edge> + 'a {
        let given = self.given.get(position).copied().flatten();
        let step = given.and_then(|class| language.next(state, class).map(|to| Edge { class, to }));
        let all = given.is_none().then(|| language.edges(state));
        step.into_iter().chain(all.into_iter().flatten())
    }

    /// Returns the masked positions with the only token that each can have, where there is just one.
    pub(super) fn forced(&self, language: &Language) -> Vec<(usize, u32)> {
        let mut places = Places::new(language);
        let mut forced = Vec::new();
        for position in (0..self.given.len()).filter(|&position| self.given[position].is_none()) {
            let next = self.front(position + 1);
            places.set(next);
            if let Some(token) = self.only_token(language, position, &places) {
                forced.push((position, token));
            }
            places.clear(next);
        }
        forced
    }

    fn only_token(&self, language: &Language, position: usize, next: &Places) -> Option<u32> {
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
