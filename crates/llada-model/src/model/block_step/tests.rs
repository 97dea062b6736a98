//! Block steps with inputs that are set anew, and the turns of recording. No GPU is needed.

use std::{ops::Range, path::PathBuf};

use llada_core::predictor::{MaskPredictor, Recompute};

use super::*;
use crate::{Device, Dtype, layers::kv_cache::memory::KvMemory};

const FAMILIES: [&str; 5] = ["tiny-llada", "tiny-llada-gqa-bf16", "tiny-illada", "tiny-dream", "tiny-smdm"];
const SLOTS: [CacheSlot; 3] = [CacheSlot(0), CacheSlot(1), CacheSlot(2)];

fn open(name: &str, memory: KvMemory) -> Result<Transformer, ModelError> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    let mut model = Transformer::load(&folder, Device::Cpu, Dtype::F32)?;
    model.kv_caches.memory = memory;
    let (ids, parts) = (tokens(0), places());
    model.forward(&rows(&ids, &parts, None, &[3]))?.rows.iter().for_each(|row| assert!(row.is_some()));
    Ok(model)
}

/// Tokens of three rows, which differ from step to step.
fn tokens(step: u32) -> [Vec<u32>; 3] {
    [40, 33, 21].map(|length| (0..length).map(|place| (place * 7 + 11 * step + length) % 50).collect())
}

/// The positions of the last row, which is a part of a sequence.
fn places() -> Vec<usize> {
    (0..21).map(|place| 2 * place + 1).collect()
}

/// The three rows, of which all or `span` is computed, and the states that a beam would have of the first one.
fn rows<'a>(
    ids: &'a [Vec<u32>; 3],
    parts: &'a [usize],
    span: Option<Range<usize>>,
    wanted: &'a [usize],
) -> Vec<Row<'a>> {
    let recompute = span.map_or(Recompute::All, Recompute::Span);
    let row = |index: usize| Row {
        cache: Some(SLOTS[index]),
        recompute: recompute.clone(),
        positions: (index == 2).then_some(parts),
        ..Row::new(&ids[index], wanted)
    };
    vec![row(0), row(1), row(2), row(0)]
}

/// Begins a forward over rows with the caches of the model.
fn begin<'a, 'b>(model: &mut Transformer, rows: &'a [Row<'b>]) -> Result<(KvCaches, Vec<&'a Row<'b>>), ModelError> {
    let mut caches = std::mem::take(&mut model.kv_caches);
    let order = caches.begin(&rows.iter().collect::<Vec<_>>(), model.device)?;
    Ok((caches, order.into_iter().map(|row| &rows[row]).collect()))
}

#[test]
fn inputs_that_are_set_anew_give_the_states_of_any_block() -> Result<(), ModelError> {
    for (name, is_stacked) in FAMILIES.into_iter().flat_map(|name| [(name, false), (name, true)]) {
        let memory = || if is_stacked { KvMemory::stacked() } else { KvMemory::default() };
        let (mut expected_of, mut model) = (open(name, memory())?, open(name, memory())?);
        let mut kept: Option<StepInputs> = None;
        for (step, span, wanted) in [(1, 8..13, vec![8, 10, 12]), (2, 15..20, vec![16]), (3, 3..8, vec![4, 7])] {
            let (ids, parts) = (tokens(step), places());
            let rows = rows(&ids, &parts, Some(span.clone()), &wanted);
            let (mut caches, of_rows) = begin(&mut model, &rows)?;
            let expected = expected_of.forward_packed(&of_rows)?;

            let layout = Layout::new(&model.config, &of_rows);
            let fresh = StepInputs::new(&layout, &caches, model.device)?;
            let selected = fresh.packing.select(&layout.selections, model.device)?;
            let inputs = match kept.take() {
                Some(mut inputs) => {
                    inputs.set(&fresh)?;
                    inputs
                }
                None => fresh,
            };
            let states = inputs.run(&model, &mut caches)?.f_index_select(0, &selected.tokens)?;
            caches.end(model.blocks.len());
            model.kv_caches = caches;
            kept = Some(inputs);
            for (row, (span, expected)) in selected.packing.spans.iter().zip(&expected).enumerate() {
                // The last layer has other queries beside the wanted ones, in one call of attention.
                let error = (span.of(&states)? - &expected.states).abs().max().double_value(&[]);
                let most = if is_stacked { 1e-5 } else { 0.0 };
                assert!(error <= most, "{name}: step {step}, row {row}: {error}");
            }
        }
    }
    Ok(())
}

#[test]
fn a_key_is_of_block_steps_over_filled_caches_alone() -> Result<(), ModelError> {
    let mut model = open("tiny-llada", KvMemory::default())?;
    let (ids, parts) = (tokens(1), places());
    let key = |model: &mut Transformer, rows: &[Row<'_>]| -> Result<Option<Key>, ModelError> {
        let (mut caches, of_rows) = begin(model, rows)?;
        let key = Key::of(&model.config, &of_rows, &caches, &model.rope);
        caches.end(model.blocks.len());
        model.kv_caches = caches;
        Ok(key)
    };
    let step = rows(&ids, &parts, Some(8..13), &[9]);
    let found = key(&mut model, &step)?;
    assert!(found.is_some());
    // Another block, other wanted positions and other ids launch the same kernels.
    assert_eq!(found, key(&mut model, &rows(&tokens(2), &parts, Some(15..20), &[15, 16]))?);
    assert_ne!(found, key(&mut model, &rows(&ids, &parts, Some(8..14), &[9]))?);
    assert_ne!(found, key(&mut model, &step[..3])?);

    assert_eq!(key(&mut model, &rows(&ids, &parts, None, &[9]))?, None);
    let shadowed = Row { shadowed: true, ..step[0].clone() };
    let measuring = Row { measures_drift: true, ..step[0].clone() };
    let stateless = Row { cache: None, ..step[0].clone() };
    let empty = Row { cache: Some(CacheSlot(7)), ..step[0].clone() };
    for other in [shadowed, measuring, stateless, empty] {
        assert_eq!(key(&mut model, &[step[1].clone(), other])?, None);
    }
    let grown_ids = [0; 41];
    let grown = [Row { ids: &grown_ids, recompute: Recompute::Span(36..41), ..step[0].clone() }];
    let in_new_memory = key(&mut model, &grown)?;
    assert!(in_new_memory.is_some() && in_new_memory != key(&mut model, &step[..1])?);
    // One more lane moves those beside it.
    let mut stacked = open("tiny-llada", KvMemory::stacked())?;
    let found = key(&mut stacked, &step[..1])?;
    assert_eq!(found, key(&mut stacked, &rows(&tokens(2), &parts, Some(15..20), &[15])[..1])?);
    let fourth = Row { cache: Some(CacheSlot(7)), recompute: Recompute::All, ..step[0].clone() };
    assert!(stacked.forward(&[fourth])?.rows[0].is_some());
    assert_ne!(found, key(&mut stacked, &step[..1])?);
    model.config.attention = crate::AttentionPattern::BlockCausal { block_length: 8 };
    assert_eq!(key(&mut model, &step)?, None);
    Ok(())
}

/// A model whose block steps are recorded in `pool`, and one that launches every kernel.
#[cfg(not(cuda_graphs))]
fn recording(failure: Option<&'static str>) -> Result<[Transformer; 2], ModelError> {
    let [mut recording, plain] = [open("tiny-llada", KvMemory::default())?, open("tiny-llada", KvMemory::default())?];
    recording.block_steps = Some(BlockSteps { graphs: Graphs::new(), pool: GraphPool { failure } });
    Ok([recording, plain])
}

/// The hidden states of the wanted positions of a block step.
#[cfg(not(cuda_graphs))]
fn step(model: &mut Transformer, number: u32) -> Result<Vec<Tensor>, ModelError> {
    let (ids, parts) = (tokens(number), places());
    let rows = rows(&ids, &parts, Some(8..13), &[9, 11]);
    let hidden = model.forward(&rows[..3])?.rows;
    hidden.into_iter().flatten().map(|row| Ok(row.states.f_narrow(0, 0, row.wanted as i64)?.copy())).collect()
}

#[test]
#[cfg(not(cuda_graphs))]
fn a_step_is_plain_then_recorded_and_then_replayed_with_its_inputs() -> Result<(), ModelError> {
    let [mut model, mut plain] = recording(None)?;
    let mut recorded = Vec::new();
    for number in 1..=2 {
        recorded = step(&mut model, number)?;
        assert!(recorded.iter().zip(&step(&mut plain, number)?).all(|(found, expected)| found.equal(expected)));
    }
    // A graph that is only counted leaves the states that were recorded.
    let replayed = step(&mut model, 3)?;
    assert!(replayed.iter().zip(&recorded).all(|(replayed, recorded)| replayed.equal(recorded)));

    let (ids, parts) = (tokens(3), places());
    let rows = rows(&ids, &parts, Some(8..13), &[9, 11]);
    let (caches, of_rows) = begin(&mut model, &rows[..3])?;
    let key = Key::of(&model.config, &of_rows, &caches, &model.rope).unwrap();
    let inputs = StepInputs::new(&Layout::new(&model.config, &of_rows), &caches, model.device)?;
    let steps = model.block_steps.as_mut().unwrap();
    let Turn::Replay(recorded) = steps.graphs.turn(&key) else { panic!("the step was not recorded") };
    assert_eq!(recorded.graph.replays.get(), 2);
    assert!(recorded.inputs.numbers.equal(&inputs.numbers));
    model.kv_caches = caches;
    model.release(SLOTS[1]);
    let steps = model.block_steps.as_mut().unwrap();
    assert!(matches!(steps.graphs.turn(&key), Turn::Plain));
    Ok(())
}

#[test]
#[cfg(not(cuda_graphs))]
fn what_cannot_be_recorded_is_launched_kernel_by_kernel_from_then_on() -> Result<(), ModelError> {
    let [mut model, mut plain] = recording(Some("operation not permitted when stream is capturing"))?;
    for number in 1..=3 {
        let (found, expected) = (step(&mut model, number)?, step(&mut plain, number)?);
        assert!(found.iter().zip(&expected).all(|(found, expected)| found.equal(expected)), "step {number}");
        let failure = model.graph_failure().map(ToString::to_string).unwrap_or_default();
        assert_eq!((model.block_steps.is_some(), failure.contains("capturing")), (number == 1, number > 1));
    }
    Ok(())
}
