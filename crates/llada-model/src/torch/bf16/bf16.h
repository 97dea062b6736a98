// Products with matrices of bfloat16 that are packed for one product alone.
#pragma once

#include <ATen/core/Tensor.h>

namespace bf16 {

// Whether this processor multiplies bfloat16 faster here than in libtorch.
bool is_best();

// x W^T, or with `transposed` x W, for x (rows, in) and weight W (out, in) or (in, out), bfloat16 on the CPU; without a
// gradient. To pack a matrix takes about as long as to multiply it by a row or two.
at::Tensor product(const at::Tensor &x, const at::Tensor &weight, bool transposed);

}  // namespace bf16
