//! What a process group promises: sums, gathered bytes, and errors where a rank is lost or hangs.

use std::{
    sync::{Barrier, mpsc::channel},
    thread,
    time::{Duration, Instant},
};

use llada_distributed::{DistributedError, ProcessGroup};
use llada_model::Device;
use tch::{Kind, Tensor};

use crate::{environments, ranks};

const LONG: Duration = Duration::from_secs(60);

#[test]
fn sums_and_bytes_are_those_of_all_ranks() {
    for world_size in [1, 2, 3, 4] {
        let results = ranks(world_size, LONG, |mut group| {
            let rank = group.rank();
            let mut numbers = [rank as f64 + 0.1, -1.5, if rank == 0 { 1e-300 } else { 0.0 }];
            group.sum(&mut numbers)?;
            // As many bytes as the rank, so that rank 0 has none.
            Ok((numbers, group.gather_bytes(&vec![rank as u8 + 7; rank])?))
        });
        let expected: Vec<Vec<u8>> = (0..world_size).map(|rank| vec![rank as u8 + 7; rank]).collect();
        let sum: f64 = (0..world_size).map(|rank| rank as f64 + 0.1).sum();
        for result in results {
            let ([ranks, constants, tiny], bytes) = result.unwrap();
            assert!((ranks - sum).abs() < 1e-12 && constants == -1.5 * world_size as f64, "{ranks} {constants}");
            assert_eq!((tiny, &bytes), (1e-300, &expected));
        }
    }
}

#[test]
fn a_sum_has_the_same_bits_in_every_rank_and_in_every_repetition() {
    let sums = || {
        ranks(3, LONG, |mut group| {
            let rank = group.rank();
            let numbers: Vec<f32> = (0..10_007).map(|i| ((i * 7919 + rank * 104_729) as f32).sin()).collect();
            let mut tensor = Tensor::f_from_slice(&numbers)?;
            group.all_reduce(&mut tensor)?;
            assert_eq!(tensor.kind(), Kind::Float);
            Ok(Vec::<f32>::try_from(tensor)?)
        })
    };
    let (first, second) = (sums(), sums());
    let expected = first[0].as_ref().unwrap();
    assert!(first.iter().chain(&second).all(|sum| sum.as_ref().unwrap() == expected));
}

#[test]
fn shares_are_summed_and_gathered_whatever_their_sizes() {
    for bounds in [vec![0, 4], vec![0, 3, 6], vec![0, 5, 5, 7], vec![0, 1, 2, 3, 9], vec![0, 0, 0]] {
        let world_size = bounds.len() - 1;
        let count = bounds[world_size];
        let results = ranks(world_size, LONG, |mut group| {
            let own = bounds[group.rank()]..bounds[group.rank() + 1];
            let numbers: Vec<f32> = (0..count).map(|i| (i + 100 * group.rank()) as f32).collect();
            let mut sums = Tensor::f_from_slice(&numbers)?;
            group.start_reduce_scatter(&mut sums, &bounds)?.wait()?;
            let sums = Vec::<f32>::try_from(sums)?[own.clone()].to_vec();
            // Of the others this process has nothing.
            let mut whole = vec![f32::NAN; count];
            whole[own].copy_from_slice(&sums);
            let mut whole = Tensor::f_from_slice(&whole)?;
            group.start_all_gather(&mut whole, &bounds)?.wait()?;
            Ok(Vec::<f32>::try_from(whole)?)
        });
        let of_ranks = (0..world_size).sum::<usize>() * 100;
        let expected: Vec<f32> = (0..count).map(|i| (i * world_size + of_ranks) as f32).collect();
        for result in results {
            assert_eq!(result.unwrap(), expected, "{bounds:?}");
        }
    }
}

#[test]
fn what_are_no_bounds_of_shares_is_refused_before_anything_is_sent() {
    for bounds in [vec![0, 5], vec![0, 4, 6], vec![1, 3, 5], vec![0, 6, 5], vec![0, 1, 2, 5]] {
        let results = ranks(2, LONG, |mut group| {
            let mut numbers = Tensor::f_zeros([5], (Kind::Float, tch::Device::Cpu))?;
            group.start_all_gather(&mut numbers, &bounds).map(drop)
        });
        for result in results {
            let error = result.unwrap_err().to_string();
            assert_eq!(error, format!("{bounds:?} are no bounds of 2 shares of 5 numbers"));
        }
    }
}

/// No machine that tests run on has two CUDA devices; where NCCL is part of the build, it has to say so.
#[test]
fn processes_with_cuda_devices_need_nccl_and_the_devices() {
    let join = |environment| move || ProcessGroup::join(&environment, Device::Cuda(0), LONG).map(drop).unwrap_err();
    let ranks: Vec<_> = environments(2).into_iter().map(|environment| thread::spawn(join(environment))).collect();
    for rank in ranks {
        let error = rank.join().unwrap();
        if cfg!(nccl) {
            assert!(error.to_string().contains(": by NCCL, on cuda:0: "), "{error}");
            continue;
        }
        assert!(matches!(error, DistributedError::NoNccl { device: Device::Cuda(0), .. }), "{error}");
        assert!(error.hint().unwrap().to_string().contains("cargo xtask setup --cuda"), "{error}");
    }
    // One that is alone has nobody to speak to.
    let alone = environments(1).swap_remove(0);
    assert_eq!(ProcessGroup::join(&alone, Device::Cuda(0), LONG).unwrap().world_size(), 1);
}

#[test]
fn a_rank_that_is_lost_is_an_error_at_once() {
    let start = Instant::now();
    let results = ranks(2, LONG, |mut group| {
        group.sum(&mut [1.0])?;
        if group.rank() == 0 { group.sum(&mut [1.0]) } else { Ok(()) }
    });
    let error = results[0].as_ref().unwrap_err();
    assert!(matches!(error, DistributedError::Lost { call: "all_reduce", rank: 0, world_size: 2, .. }), "{error}");
    assert!(error.to_string().starts_with("rank 0 of 2 has lost another process in all_reduce: "), "{error}");
    assert!(start.elapsed() < LONG, "it has waited for the timeout");
}

#[test]
fn a_rank_that_hangs_is_an_error_after_the_timeout() {
    let done = Barrier::new(2);
    let results = ranks(2, Duration::from_secs(1), |mut group| {
        let result = if group.rank() == 0 { group.gather_bytes(b"here").map(|_| ()) } else { Ok(()) };
        done.wait();
        result
    });
    let error = results[0].as_ref().unwrap_err();
    assert!(matches!(error, DistributedError::NoAnswer { call: "all_gather", rank: 0, .. }), "{error}");
    assert!(error.to_string().starts_with("rank 0 of 2 has waited 1 s for another process in all_gather: "), "{error}");
}

#[test]
fn a_rank_that_does_not_come_is_an_error_after_the_timeout() {
    for (rank, waited_for) in [(0, "/rank 1"), (1, "timed out")] {
        let (sender, receiver) = channel();
        let environment = environments(2).swap_remove(rank);
        thread::spawn(move || sender.send(ProcessGroup::join(&environment, Device::Cpu, Duration::from_secs(1))));
        let error = receiver.recv_timeout(LONG).unwrap().unwrap_err();
        let expected = format!("rank {rank} of 2 has not met the others at 127.0.0.1:");
        assert!(error.to_string().starts_with(&expected) && error.to_string().contains(waited_for), "{error}");
        assert!(error.hint().unwrap().to_string().contains("GLOO_SOCKET_IFNAME"));
    }
}
