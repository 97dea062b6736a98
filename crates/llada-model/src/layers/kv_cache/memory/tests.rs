//! Contents of lanes while others are claimed, released and grow.

use super::*;

/// Keys and values of `tokens` tokens, which are these numbers.
fn filled(tokens: i64, keys: f64, values: f64) -> [Tensor; 2] {
    [keys, values].map(|value| Tensor::full([tokens, 2], value, tch::kind::FLOAT_CPU))
}

/// Claims a lane and fills it in two layers with `value`.
fn claim(memory: &mut KvMemory, length: usize, value: f64) -> Result<Lane, ModelError> {
    let lane = memory.claim(length)?;
    for layer in 0..2 {
        let new = filled(length as i64, value, -value);
        memory.open(layer, lane, &new)?;
        for (mut row, new) in memory.row(layer, lane, length)?.into_iter().zip(&new) {
            row.copy_(new);
        }
    }
    Ok(lane)
}

fn holds(memory: &KvMemory, lane: Lane, length: usize, value: f64) -> Result<bool, ModelError> {
    let expected = filled(length as i64, value, -value);
    let is_equal = |layer| -> Result<bool, ModelError> {
        let found = memory.row(layer, lane, length)?;
        Ok(found.iter().zip(&expected).all(|(found, expected)| found.equal(expected)))
    };
    Ok(is_equal(0)? && is_equal(1)?)
}

#[test]
fn rows_of_about_the_same_length_lie_side_by_side() -> Result<(), ModelError> {
    let mut memory = KvMemory::stacked();
    let lanes = [(300, 1.0), (384, 2.0), (260, 3.0)];
    let [a, b, c] = lanes.map(|(length, value)| claim(&mut memory, length, value));
    let (a, b, c) = (a?, b?, c?);
    assert!(b.follows(a) && c.follows(b) && !c.follows(a) && !a.follows(b));
    let longer = claim(&mut memory, 400, 4.0)?;
    assert!(!longer.follows(c));
    let [k, v] = memory.rows(1, a, 3, 300)?;
    assert_eq!((k.size(), v.size()), (vec![3, 300, 2], vec![3, 300, 2]));
    // The lanes are longer than their rows, and past these they are zero.
    let firsts = |x: &Tensor, place| [0, 1, 2].map(|lane| x.double_value(&[lane, place, 0]));
    assert_eq!((firsts(&k, 259), firsts(&v, 259)), ([1.0, 2.0, 3.0], [-1.0, -2.0, -3.0]));
    assert_eq!(firsts(&k, 280), [1.0, 2.0, 0.0]);
    assert_eq!(memory.first_place(c), 2 * 384);
    Ok(())
}

#[test]
fn lanes_keep_their_contents_while_others_come_and_go() -> Result<(), ModelError> {
    for mut memory in [KvMemory::stacked(), KvMemory::default()] {
        let a = claim(&mut memory, 100, 1.0)?;
        let b = claim(&mut memory, 100, f64::INFINITY)?;
        let c = claim(&mut memory, 100, 3.0)?;
        memory.release(b);
        let d = memory.claim(90)?;
        assert_eq!(memory.is_stacked(), d == b);
        if memory.is_stacked() {
            assert!(holds(&memory, d, 100, 0.0)?);
        }
        assert!(holds(&memory, a, 100, 1.0)? && holds(&memory, c, 100, 3.0)?);
        let larger = memory.grow(a, 5000)?;
        assert!(holds(&memory, larger, 100, 1.0)? && holds(&memory, c, 100, 3.0)?);
        assert_eq!(memory.grow(larger, 4000)?, larger);
        [larger, c, d].into_iter().for_each(|lane| memory.release(lane));
        assert!(memory.is_empty());
    }
    Ok(())
}

#[test]
fn free_lanes_at_the_end_are_memory_no_longer() -> Result<(), ModelError> {
    let mut memory = KvMemory::stacked();
    let lanes = [1.0, 2.0, 3.0, 4.0].map(|value| claim(&mut memory, 100, value));
    let [a, b, c, d] = lanes.map(|lane| lane.expect("memory for a lane"));
    let lanes_of = |memory: &KvMemory| memory.beside(1, a).map(|of_all| of_all.size()[0] / LOWEST as i64);
    memory.release(b);
    memory.release(d);
    assert_eq!(lanes_of(&memory), [4, 4]);
    memory.release(c);
    assert_eq!(lanes_of(&memory), [1, 1]);
    assert!(holds(&memory, a, 100, 1.0)?);
    let again = claim(&mut memory, 100, 5.0)?;
    assert!(again.follows(a) && holds(&memory, a, 100, 1.0)?);
    Ok(())
}

#[test]
fn a_lane_that_cannot_be_had_is_not_taken() -> Result<(), ModelError> {
    for mut memory in [KvMemory::stacked(), KvMemory::default()] {
        let lane = claim(&mut memory, 100, 1.0)?;
        // More than there is memory for, so that allocation fails.
        assert!(memory.grow(lane, 1 << 55).is_err());
        assert!(holds(&memory, lane, 100, 1.0)?);
        memory.release(lane);
        assert!(memory.is_empty());
    }
    Ok(())
}

#[test]
fn capacities_are_few() {
    let memory = KvMemory::stacked();
    let of = [1, 256, 257, 384, 385, 512, 513, 768, 769, 1024, 1025];
    let capacities = [256, 256, 384, 384, 512, 512, 768, 768, 1024, 1024, 1536];
    assert_eq!(of.map(|length| memory.capacity(length)), capacities);
    assert_eq!(KvMemory::default().capacity(257), 257);
}
