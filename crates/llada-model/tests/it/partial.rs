//! Rows that are a part of a sequence: their ids stay at their positions, and what is left out is seen by nothing.

use std::collections::BTreeMap;

use llada_core::predictor::{CacheSlot, MaskPredictor, Recompute, Row};
use llada_model::{Device, Dtype, Transformer};
use safetensors::SafeTensors;

use crate::{
    FIXTURES, fixture,
    forward::{golden, largest_difference, logits},
};

const SLOT: CacheSlot = CacheSlot(3);
/// A row of 25 tokens in a sequence of 60: a block at 12..20, four masks after it, and the last one.
const LENGTH: usize = 60;

fn load(name: &str) -> Transformer {
    Transformer::load(&fixture(name), Device::Cpu, Dtype::F32).unwrap()
}

fn seen() -> Vec<usize> {
    (0..24).chain([LENGTH - 1]).collect()
}

/// Twelve tokens of a prompt, a block that is half decoded, and masks.
fn sequence(mask: u32) -> Vec<u32> {
    (0..LENGTH as u32).map(|i| if i < 12 || i < 20 && i % 2 == 0 { i * 37 % 500 } else { mask }).collect()
}

fn of<T: Copy>(values: &[T], at: &[usize]) -> Vec<T> {
    at.iter().map(|&index| values[index]).collect()
}

/// The forward pass of LLaDA in plain loops, without any of the model's code, under a mask of the keys.
struct Plain {
    weights: BTreeMap<String, Vec<f64>>,
}

impl Plain {
    const HEADS: usize = 4;
    const WIDTH: usize = 64;

    fn load() -> Self {
        let mut weights = BTreeMap::new();
        for part in 1..=2 {
            let file = fixture("tiny-llada").join(format!("model-0000{part}-of-00002.safetensors"));
            for (name, tensor) in SafeTensors::deserialize(&std::fs::read(file).unwrap()).unwrap().tensors() {
                let values = tensor.data().chunks(4).map(|x| f32::from_le_bytes(x.try_into().unwrap()).into());
                weights.insert(name.replace("model.transformer.", ""), values.collect());
            }
        }
        Self { weights }
    }

    fn linear(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let rows = self.weights[&format!("{name}.weight")].chunks(x.len());
        rows.map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
    }

    fn norm(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let scale = (x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64 + 1e-5).sqrt();
        self.weights[&format!("{name}.weight")].iter().zip(x).map(|(w, x)| w * x / scale).collect()
    }

    fn rotated(mut x: Vec<f64>, position: usize) -> Vec<f64> {
        for head in x.chunks_mut(Self::WIDTH / Self::HEADS) {
            let half = head.len() / 2;
            for i in 0..half {
                let angle = position as f64 * 500_000_f64.powf(-(i as f64) / half as f64);
                let (low, high) = (head[i], head[i + half]);
                (head[i], head[i + half]) =
                    (low * angle.cos() - high * angle.sin(), high * angle.cos() + low * angle.sin());
            }
        }
        x
    }

    /// The logits of all positions; a query attends to the keys for which `is_seen`.
    fn logits(&self, ids: &[u32], is_seen: impl Fn(usize) -> bool) -> Vec<Vec<f32>> {
        let embedding = &self.weights["wte.weight"];
        let mut x: Vec<Vec<f64>> =
            ids.iter().map(|&id| embedding[id as usize * Self::WIDTH..][..Self::WIDTH].to_vec()).collect();
        for layer in 0..3 {
            let name = |part: &str| format!("blocks.{layer}.{part}");
            let hidden: Vec<_> = x.iter().map(|x| self.norm(&name("attn_norm"), x)).collect();
            let rotated = |part: &str| {
                let each = hidden.iter().enumerate();
                each.map(|(at, x)| Self::rotated(self.linear(&name(part), x), at)).collect::<Vec<_>>()
            };
            let (q, k) = (rotated("q_proj"), rotated("k_proj"));
            let v: Vec<_> = hidden.iter().map(|x| self.linear(&name("v_proj"), x)).collect();
            let head_dim = Self::WIDTH / Self::HEADS;
            for (x, q) in x.iter_mut().zip(&q) {
                let mut mixed = vec![0.0; Self::WIDTH];
                for head in 0..Self::HEADS {
                    let of_head = |x: &[f64]| x[head * head_dim..(head + 1) * head_dim].to_vec();
                    let (q, mut total) = (of_head(q), 0.0);
                    let mut sum = vec![0.0; head_dim];
                    for key in (0..ids.len()).filter(|&key| is_seen(key)) {
                        let score: f64 = q.iter().zip(of_head(&k[key])).map(|(q, k)| q * k).sum();
                        let weight = (score / (head_dim as f64).sqrt()).exp();
                        total += weight;
                        sum.iter_mut().zip(of_head(&v[key])).for_each(|(sum, v)| *sum += weight * v);
                    }
                    mixed[head * head_dim..][..head_dim]
                        .iter_mut()
                        .zip(sum)
                        .for_each(|(mixed, sum)| *mixed = sum / total);
                }
                x.iter_mut().zip(self.linear(&name("attn_out"), &mixed)).for_each(|(x, out)| *x += out);
                let hidden = self.norm(&name("ff_norm"), x);
                let (gate, up) = (self.linear(&name("ff_proj"), &hidden), self.linear(&name("up_proj"), &hidden));
                let gated: Vec<f64> = gate.iter().zip(up).map(|(gate, up)| gate / (1.0 + (-gate).exp()) * up).collect();
                x.iter_mut().zip(self.linear(&name("ff_out"), &gated)).for_each(|(x, out)| *x += out);
            }
        }
        let head = |x: &Vec<f64>| self.linear("ff_out", &self.norm("ln_f", x)).into_iter().map(|x| x as f32).collect();
        x.iter().map(head).collect()
    }
}

#[test]
fn the_plain_forward_is_the_reference() {
    let (ids, expected) = golden("tiny-llada").swap_remove(0);
    let found = Plain::load().logits(&ids, |_| true).concat();
    assert!(largest_difference(&found, &expected) < 1e-4);
}

/// The row is the sequence in which nothing attends to what the row leaves out.
#[test]
fn what_is_left_out_is_hidden_from_attention() {
    let mut model = load("tiny-llada");
    let (ids, at) = (sequence(model.mask_id()), seen());
    let plain = Plain::load();
    let hidden = plain.logits(&ids, |key| at.contains(&key));
    let row_ids = of(&ids, &at);
    let wanted: Vec<usize> = (0..at.len()).collect();
    let row = Row { positions: Some(&at), ..Row::new(&row_ids, &wanted) };
    let found = logits(&mut model, std::slice::from_ref(&row)).remove(0);
    let expected: Vec<f32> = at.iter().flat_map(|&position| &hidden[position]).copied().collect();
    assert!(largest_difference(&found, &expected) < 1e-4);
    // That is neither the whole sequence nor one that the last mask has moved in.
    let whole = plain.logits(&ids, |_| true);
    let whole: Vec<f32> = at.iter().flat_map(|&position| &whole[position]).copied().collect();
    assert!(largest_difference(&whole, &expected) > 1e-2);
    let moved = logits(&mut model, &[Row::new(&row_ids, &wanted)]).remove(0);
    assert!(largest_difference(&moved, &expected) > 1e-2);
}

/// A row at the positions 0, 1, 2 and so on has the bits of a row without positions, however it is computed.
#[test]
fn positions_in_order_change_no_bit() {
    let recomputed = [
        Recompute::All,
        Recompute::Span(10..20),
        Recompute::LeastSimilar { within: 0..40, count: 40 },
        Recompute::LeastSimilar { within: 10..40, count: 5 },
    ];
    for name in FIXTURES.into_iter().chain(["tiny-illada", "tiny-llada-moe", "tiny-dream"]) {
        let ids: Vec<u32> = (0..40).map(|i| i * 7 % 400).collect();
        let (wanted, at): (Vec<usize>, Vec<usize>) = ((12..20).collect(), (0..40).collect());
        let run = |positions| {
            let mut model = load(name);
            recomputed.clone().map(|recompute| {
                logits(&mut model, &[Row { positions, cache: Some(SLOT), recompute, ..Row::new(&ids, &wanted) }])
            })
        };
        assert_eq!(run(None), run(Some(&at)), "{name}");
    }
}

/// Alone or in a batch, with a cache and shadows, before and after others were in the slot.
#[test]
fn a_part_is_kept_like_a_whole() {
    for name in FIXTURES {
        let mut model = load(name);
        let mask = model.mask_id();
        let (ids, at) = (of(&sequence(mask), &seen()), seen());
        let moved: Vec<usize> = (0..24).chain([LENGTH - 2]).collect();
        let wanted: Vec<usize> = (12..20).collect();
        for shadowed in [false, true] {
            let row = |at| Row { positions: Some(at), shadowed, ..Row::new(&ids, &wanted) };
            let alone = logits(&mut model, &[row(&at)]).remove(0);
            let whole = sequence(mask);
            let batch = logits(&mut model, &[Row::new(&whole, &wanted), row(&at), row(&moved)]);
            assert_eq!(batch[1], alone);
            assert!(largest_difference(&batch[2], &alone) > 1e-4, "{name}: the positions do not count");
            let in_slot = |at, recompute| Row { cache: Some(SLOT), recompute, ..row(at) };
            for first in [&moved, &at] {
                model.release(SLOT);
                assert!(model.forward(&[in_slot(&at, Recompute::Span(12..20))]).is_err());
                model.forward(&[in_slot(first, Recompute::All)]).unwrap();
                let span = in_slot(&at, Recompute::Span(12..20));
                assert_eq!(model.forward(std::slice::from_ref(&span)).is_ok(), first == &at);
                assert!(largest_difference(&logits(&mut model, &[in_slot(&at, Recompute::All)])[0], &alone) < 1e-5);
                assert!(largest_difference(&logits(&mut model, &[span])[0], &alone) < 1e-4);
            }
        }
        let least = |within, count| Recompute::LeastSimilar { within, count };
        let row = |at, recompute| Row { positions: Some(at), cache: Some(SLOT), recompute, ..Row::new(&ids, &wanted) };
        let alone = logits(&mut model, &[Row { positions: Some(&at), ..Row::new(&ids, &wanted) }]).remove(0);
        assert!(largest_difference(&logits(&mut model, &[row(&at, least(0..25, 25))])[0], &alone) < 1e-4);
        assert!(largest_difference(&logits(&mut model, &[row(&at, least(12..25, 3))])[0], &alone) < 1e-4);
        let error = model.forward(&[row(&moved, least(12..25, 3))]).unwrap_err().to_string();
        assert!(error.contains("slot 3 keeps nothing of 25 tokens"), "{error}");
    }
}

#[test]
fn impossible_positions_are_refused() {
    let mut model = load("tiny-llada");
    let mut refused = |positions: &[usize]| {
        model.forward(&[Row { positions: Some(positions), ..Row::new(&[1, 2, 3], &[0]) }]).unwrap_err().to_string()
    };
    for positions in [&[0, 1][..], &[0, 1, 2, 3], &[0, 2, 1], &[0, 1, 1], &[]] {
        assert!(refused(positions).contains("its 3 ids need as many ascending positions"));
    }
    assert!(refused(&[0, 1, 256]).contains("257"));
    let mut causal = load("tiny-llada2");
    let row = Row { positions: Some(&[0, 1, 5]), ..Row::new(&[1, 2, 3], &[0]) };
    let error = causal.forward(&[row]).unwrap_err().to_string();
    assert!(error.contains("a part of a sequence is computed under full attention alone"), "{error}");
}
