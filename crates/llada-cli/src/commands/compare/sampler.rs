//! The two samplers that are compared.

use std::sync::Arc;

use llada_infer::{Request, SamplerConfig, learn2pd::Filter};

use crate::{args::filtered, commands::questions::Question};

/// One of the two samplers.
pub(super) struct Sampler {
    pub(super) config: SamplerConfig,
    pub(super) is_constrained: bool,
    /// A decoder in place of the config's.
    pub(super) filter: Option<Filter>,
}

/// Returns the requests of a sampler, each with a seed of its own.
pub(super) fn requests(questions: &[Question], sampler: &Sampler) -> Vec<Request> {
    let prompts: Vec<Vec<u32>> = questions.iter().map(|question| question.prompt.clone()).collect();
    let requests = Request::for_each(&prompts, &sampler.config).into_iter().zip(questions);
    let request = |(request, question): (Request, &Question)| {
        let request = filtered(request, sampler.filter.as_ref());
        match &question.constraint {
            Some(constraint) if sampler.is_constrained => request.with_constraint(Arc::clone(constraint)),
            _ => request,
        }
    };
    requests.map(request).collect()
}
