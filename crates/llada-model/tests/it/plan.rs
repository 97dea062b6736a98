//! The counts that plans of training are computed from, beside the tensors of every family.

use llada_model::{Device, Dtype, LoraConfig, ModelConfig, Precision, TrainableTransformer};

use crate::{families::FAMILIES, fixture};

#[test]
fn the_counts_of_a_plan_are_those_of_the_tensors() {
    for (name, _) in FAMILIES {
        let config = ModelConfig::load(&fixture(name)).unwrap();
        let shape = config.plan_shape();
        let mut of_blocks = vec![0; config.num_hidden_layers];
        for (tensor, sizes) in llada_model::expected_tensors(&config) {
            // The first number in a name is that of the block.
            if let Some(block) = tensor.split('.').find_map(|part| part.parse::<usize>().ok()) {
                of_blocks[block] += sizes.iter().product::<usize>();
            }
        }
        assert_eq!(shape.block_parameters, of_blocks.iter().copied().max().unwrap(), "{name}");
        assert_eq!(shape.outer_parameters + of_blocks.iter().sum::<usize>(), shape.parameters, "{name}");
        let looked_up = if config.tie_word_embeddings { 0 } else { config.embedding_size * config.hidden_size };
        match &config.moe {
            None => assert_eq!(shape.active_parameters, shape.parameters - looked_up, "{name}"),
            Some(moe) => {
                // Experts that a token does not go to, with their row of the router and its bias.
                let idle = moe.num_experts - moe.num_experts_per_tok;
                let bias = usize::from(moe.router.has_expert_bias);
                let expert = 3 * moe.expert_intermediate_size * config.hidden_size + config.hidden_size + bias;
                let blocks = moe.layers.count(config.num_hidden_layers);
                assert_eq!(shape.active_parameters, shape.parameters - looked_up - blocks * idle * expert, "{name}");
            }
        }
    }
}

#[test]
fn an_adapter_has_as_many_parameters_as_a_plan_says() {
    for (name, _) in FAMILIES {
        let lora = LoraConfig { r: 3, ..LoraConfig::default() };
        let f32 = Precision::Float(Dtype::F32);
        let model = TrainableTransformer::with_new_adapter(&fixture(name), &lora, 0, f32, Device::Cpu, Dtype::F32);
        let trained = model.unwrap().weights().slice(0, 1).unwrap();
        let trained: usize = trained.boxes().unwrap().iter().map(|found| found.view.numel()).sum();
        let config = ModelConfig::load(&fixture(name)).unwrap();
        assert_eq!(config.adapter_parameters(3), trained, "{name}");
        let frozen = config.frozen(f32);
        assert_eq!(frozen.bytes, 4.0 * config.parameters() as f64, "{name}");
        assert_eq!(frozen.outer_bytes, 4.0 * config.plan_shape().outer_parameters as f64, "{name}");
        assert_eq!(frozen.block_bytes.round(), 4.0 * config.plan_shape().block_parameters as f64, "{name}");
    }
}
