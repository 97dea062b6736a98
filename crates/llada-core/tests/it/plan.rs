//! Plans of training: LLaDA-8B's numbers computed by hand, and traffic that was measured.

use std::num::NonZero;

use llada_core::plan::{Frozen, Machine, ModelShape, Plan, RESERVED, Run, Sharding, flop, traffic, weight_flop};
use proptest::prelude::*;

const GB: f64 = 1e9;

/// LLaDA-8B: 32 blocks of width 4096 with an MLP of 12288, and 126464 rows of the embedding and of the head.
const LLADA_8B: ModelShape = ModelShape {
    parameters: 8_015_581_184,
    active_parameters: 8_015_581_184 - 517_996_544,
    block_parameters: 218_112_000,
    outer_parameters: 2 * 517_996_544 + 4096,
    head_parameters: 517_996_544,
    num_hidden_layers: 32,
    hidden_size: 4096,
    query_size: 4096,
    saved_per_token: 8 * 4096 + 3 * 12288,
};

/// Parameters of LLaDA-8B's adapters of rank 1.
const RANK_ONE: usize = 2_621_440;

const H100: Machine = Machine { memory_bytes: 80e9, flops: 989e12, utilisation: 0.4, bandwidth: 12.5e9 };

fn number(n: usize) -> NonZero<usize> {
    NonZero::new(n).unwrap()
}

/// One row of 4096 tokens for each of `ranks`, in bf16.
fn full(ranks: usize, activation_checkpointing: bool) -> Run {
    Run {
        ranks: number(ranks),
        batch_size: ranks,
        micro_batch_size: number(1),
        length: 4096,
        dtype_bytes: 2,
        trained_parameters: LLADA_8B.parameters,
        frozen: None,
        activation_checkpointing,
    }
}

/// The same for an adapter of rank `r` over weights of `bytes`.
fn adapter(r: usize, bytes: f64, activation_checkpointing: bool) -> Run {
    let frozen = Some(Frozen { bytes, block_bytes: 0.0, outer_bytes: 0.0 });
    Run { trained_parameters: RANK_ONE * r, frozen, ..full(1, activation_checkpointing) }
}

fn plan(run: &Run, sharding: Sharding) -> Plan {
    Plan::new(&LLADA_8B, run, &H100, sharding)
}

/// Bytes of weights, gradient and moments.
fn state(ranks: usize, sharding: Sharding) -> f64 {
    let memory = plan(&full(ranks, true), sharding).memory;
    memory.weights + memory.gradient + memory.optimizer
}

#[test]
fn states_of_all_weights_by_what_is_divided() {
    let table = [
        (Sharding::None, [128.0, 128.0, 128.0, 128.0]),
        (Sharding::Optimizer, [128.0, 96.0, 72.0, 65.0]),
        // With the gradients of head and block that are summed at a time, 2.9.
        (Sharding::Gradient, [128.0, 83.0, 47.0, 36.5]),
        // And with two blocks, of which one is in bf16, embedding and head that are gathered, 5.5.
        (Sharding::Weights, [128.0, 72.5, 24.4, 10.4]),
    ];
    for (sharding, row) in table {
        for (ranks, expected) in [1, 2, 8, 64].into_iter().zip(row) {
            let found = state(ranks, sharding) / GB;
            assert!((found - expected).abs() < 0.5, "{sharding} on {ranks}: {found}, not {expected}");
        }
    }
}

#[test]
fn adapters_over_frozen_weights() {
    // Rank, GB of the base, GB with and without checkpointing, rows of 80 GB without.
    let table = [
        (16, 16.031, 19.8, 36.5, 3),
        (128, 16.031, 24.5, 41.2, 3),
        (16, 8.534, 12.3, 29.0, 3),
        (16, 5.671, 9.5, 26.1, 3),
        (128, 5.671, 14.2, 30.8, 3),
    ];
    for (r, base, with, without, rows) in table {
        let [with_found, without_found] = [true, false].map(|on| plan(&adapter(r, base * GB, on), Sharding::None));
        assert!((with_found.total_bytes / GB - with).abs() < 0.06, "{r}, {base}: {with_found:?}");
        assert!((without_found.total_bytes / GB - without).abs() < 0.06, "{r}, {base}: {without_found:?}");
        assert!(with_found.fits && without_found.fits && without_found.rows_that_fit == rows, "{without_found:?}");
    }
}

#[test]
fn all_weights_on_one_device() {
    let [with, without] = [true, false].map(|on| plan(&full(1, on), Sharding::None));
    let but_casts = with.total_bytes - with.memory.buffers + RESERVED;
    assert_eq!(((but_casts / GB).round(), (without.total_bytes / GB).round()), (131.0, 165.0));
    assert_eq!([with.memory.activations, without.memory.activations].map(|x| (x / GB * 10.0).round()), [16.0, 183.0]);
    assert!(!with.fits && with.rows_that_fit == 0 && without.rows_that_fit == 0);
}

#[test]
fn devices_on_which_all_weights_are_trained() {
    for (sharding, ranks, expected) in
        [(Sharding::Gradient, 8, 54.0), (Sharding::Weights, 8, 31.0), (Sharding::Weights, 2, 79.0)]
    {
        let plan = plan(&full(ranks, true), sharding);
        assert_eq!((plan.total_bytes / GB).round(), expected, "{plan:?}");
        assert!(plan.fits);
    }
}

#[test]
fn traffic_of_many_ranks() {
    let many = full(1 << 20, true);
    let table =
        [(Sharding::None, 64.0), (Sharding::Optimizer, 96.0), (Sharding::Gradient, 96.0), (Sharding::Weights, 94.0)];
    for (sharding, expected) in table {
        assert_eq!((traffic(&LLADA_8B, &many, sharding) / GB).round(), expected, "{sharding}");
    }
    // A second micro-batch gathers and sums once more where gradients are divided.
    let two = Run { batch_size: 2 << 20, ..many };
    let table =
        [(Sharding::None, 64.0), (Sharding::Optimizer, 96.0), (Sharding::Gradient, 160.0), (Sharding::Weights, 187.0)];
    for (sharding, expected) in table {
        assert_eq!((traffic(&LLADA_8B, &two, sharding) / GB).round(), expected, "{sharding}");
    }
    for (r, expected) in [(16, 0.17), (128, 1.34)] {
        let run = Run {
            trained_parameters: RANK_ONE * r,
            frozen: Some(Frozen { bytes: 16e9, block_bytes: 0.0, outer_bytes: 0.0 }),
            ..many
        };
        // An all-reduce moves twice the bytes of the gradient.
        assert!((traffic(&LLADA_8B, &run, Sharding::None) / GB / 2.0 - expected).abs() < 0.005);
    }
}

#[test]
fn traffic_is_what_was_measured() {
    // Processes, parameters, what is divided, and the megabytes that all processes sent in a step: two cores, gloo over the
    // loopback, f32.
    let table = [
        (2, 8_900_000, Sharding::None, 71.5),
        (4, 8_900_000, Sharding::None, 214.3),
        (2, 120_000_000, Sharding::None, 958.1),
        (2, 120_000_000, Sharding::Optimizer, 1436.7),
    ];
    for (ranks, trained_parameters, sharding, measured) in table {
        let run = Run { trained_parameters, dtype_bytes: 4, ..full(ranks, false) };
        let found = traffic(&LLADA_8B, &run, sharding) * ranks as f64 / 1e6;
        assert!((found / measured - 1.0).abs() < 0.01, "{sharding} on {ranks}: {found}, not {measured}");
    }
    // 12 blocks of width 768 with an MLP of 2048, and 32000 rows of the embedding and of the head; one micro-batch each.
    let shape = ModelShape {
        parameters: 134_105_856,
        block_parameters: 7_079_424,
        outer_parameters: 49_152_768,
        head_parameters: 24_576_000,
        num_hidden_layers: 12,
        ..LLADA_8B
    };
    for (sharding, measured) in [
        (Sharding::None, 1075.4),
        (Sharding::Optimizer, 1612.4),
        (Sharding::Gradient, 1615.4),
        (Sharding::Weights, 1927.9),
    ] {
        let run = Run { trained_parameters: shape.parameters, dtype_bytes: 4, ..full(2, false) };
        let found = 2.0 * traffic(&shape, &run, sharding) / 1e6;
        assert!((found / measured - 1.0).abs() < 0.01, "{sharding}: {found}, not {measured}");
    }
    // 6 blocks of width 256 with an MLP of 1024, and a vocabulary of 300: weights that are gathered in f32 and in bf16.
    let shape = ModelShape {
        parameters: 6_448_384,
        block_parameters: 1_049_088,
        outer_parameters: 153_856,
        num_hidden_layers: 6,
        ..LLADA_8B
    };
    for (dtype_bytes, measured) in [(4, 99.1), (2, 75.4)] {
        let run = Run { trained_parameters: shape.parameters, dtype_bytes, ..full(2, false) };
        let found = 2.0 * traffic(&shape, &run, Sharding::Weights) / 1e6;
        assert!((found / measured - 1.0).abs() < 0.01, "{dtype_bytes}: {found}, not {measured}");
    }
    // Divided moments saved 460 MiB of two processes with 120 million weights.
    let of = |sharding| {
        let run = Run { trained_parameters: 120_000_000, dtype_bytes: 4, ..full(2, false) };
        Plan::new(&ModelShape { parameters: 120_000_000, ..LLADA_8B }, &run, &H100, sharding).total_bytes
    };
    let saved = (of(Sharding::None) - of(Sharding::Optimizer)) / f64::from(1 << 20);
    assert!((saved / 460.0 - 1.0).abs() < 0.01, "{saved}");
}

#[test]
fn operations_of_a_row() {
    let row = |run: &Run| weight_flop(&LLADA_8B, run) * 4096.0 / 1e13;
    let found =
        [full(1, false), full(1, true), adapter(16, 16e9, false), adapter(16, 16e9, true)].map(|run| row(&run).round());
    assert_eq!(found, [18.0, 25.0, 12.0, 18.0]);
    // Attention adds one seventh at 4096 tokens.
    let all = flop(&LLADA_8B, &full(1, false));
    assert!((all / (row(&full(1, false)) * 1e13) - 8.0 / 7.0).abs() < 0.005, "{all}");
}

#[test]
fn talking_is_waited_for_unless_it_is_hidden() {
    let run = Run { batch_size: 1280, micro_batch_size: number(20), ..full(64, true) };
    let seconds = |bytes: f64| bytes / H100.bandwidth;
    // The weights that were moved are waited for, and sums hide behind the backward pass over twenty rows.
    let moved = seconds(4.0 * LLADA_8B.parameters as f64 * 63.0 / 64.0);
    for (sharding, expected) in
        [(Sharding::None, 0.0), (Sharding::Optimizer, moved), (Sharding::Gradient, moved), (Sharding::Weights, 0.0)]
    {
        let found = plan(&run, sharding).waiting_seconds;
        assert!((found - expected).abs() < 1e-9, "{sharding}: {found}, not {expected}");
    }
    // Behind one row they do not, of which three quarters of the operations are backwards.
    let one = plan(&full(64, true), Sharding::None);
    let expected = seconds(one.traffic_bytes) - 0.75 * one.compute_seconds;
    assert!((one.waiting_seconds - expected).abs() < 1e-9, "{one:?}");
    assert!((one.tokens_per_day * one.seconds() / 86_400.0 - 64.0 * 4096.0).abs() < 1e-3);
}

proptest! {
    #[test]
    fn more_ranks_take_no_more_memory_each(ranks in 1_usize..512, on: bool, frozen: bool) {
        let run = |ranks| if frozen { Run { ranks: number(ranks), ..adapter(16, 16e9, on) } } else { full(ranks, on) };
        for sharding in Sharding::ALL {
            let [fewer, more] = [ranks, ranks + 1].map(|ranks| plan(&run(ranks), sharding));
            prop_assert!(more.total_bytes <= fewer.total_bytes && more.rows_that_fit >= fewer.rows_that_fit);
            prop_assert!(more.traffic_bytes > fewer.traffic_bytes, "{sharding}: {more:?}");
        }
    }

    #[test]
    fn any_numbers_make_a_plan(ranks in 1_usize.., batch_size: usize, micro in 1_usize.., length: usize, r: usize, memory: f64) {
        let run = Run { ranks: number(ranks), batch_size, micro_batch_size: number(micro), length, trained_parameters: r, ..full(1, true) };
        for sharding in Sharding::ALL {
            let plan = Plan::new(&LLADA_8B, &run, &Machine { memory_bytes: memory, ..H100 }, sharding);
            prop_assert!(plan.total_bytes >= RESERVED && plan.traffic_bytes >= 0.0);
        }
    }
}
