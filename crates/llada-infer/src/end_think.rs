//! The end-of-thinking boost of iLLaDA's samplers (`generate.py` of the release): the nearer the answer is to its length,
//! the more probable the tokens become that end the model's reasoning.

use crate::SamplerConfig;

/// A number that is added to one logit of one position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Boost {
    pub(crate) position: usize,
    pub(crate) token: u32,
    pub(crate) amount: f32,
}

/// Returns the boost of a step whose first mask is at `position`; none where the answer has ended its reasoning, or the
/// request has no such boost.
///
/// With g the place of the position in the answer and n `gen_length`, the amount is b · (g / n)^q. The token is the one
/// that continues the longest beginning of the sequence that stands right before the position.
pub(crate) fn boost(config: &SamplerConfig, answer: &[u32], prompt_length: usize, position: usize) -> Option<Boost> {
    let sequence = &config.end_think_token_ids;
    if sequence.is_empty() || config.end_think_logit_boost == 0.0 || position < prompt_length {
        return None;
    }
    if answer.windows(sequence.len()).any(|window| window == sequence) {
        return None;
    }
    let place = position - prompt_length;
    let before = &answer[..place];
    let longest = (0..sequence.len()).rev().find(|&length| before.ends_with(&sequence[..length])).unwrap_or(0);
    let share = ((place + 1) as f32 / config.gen_length.max(1) as f32).clamp(0.0, 1.0);
    let amount = config.end_think_logit_boost * share.powf(config.end_think_boost_power);
    Some(Boost { position, token: sequence[longest], amount })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_continued_where_it_has_begun() {
        let config = SamplerConfig {
            gen_length: 8,
            end_think_token_ids: vec![4, 5, 4, 6],
            end_think_logit_boost: 8.0,
            end_think_boost_power: 2.0,
            ..Default::default()
        };
        let token = |answer: &[u32], place: usize| boost(&config, answer, 3, 3 + place).map(|boost| boost.token);
        assert_eq!(token(&[9, 9], 0), Some(4));
        assert_eq!(token(&[4, 5, 9], 2), Some(4));
        // The longest of several beginnings counts.
        assert_eq!(token(&[4, 5, 4, 9], 3), Some(6));
        assert_eq!(token(&[4, 5, 4, 6, 9], 4), None);
        assert_eq!(boost(&config, &[1, 9, 9], 3, 4), Some(Boost { position: 4, token: 4, amount: 8.0 / 16.0 }));
        assert_eq!(boost(&SamplerConfig::default(), &[9], 0, 0), None);
    }
}
