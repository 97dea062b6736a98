// Products of activations with matrices, by the fastest kernel of this processor.
#pragma once

#include <ATen/core/Tensor.h>

// x W^T, or with `transposed` x W; without a gradient.
at::Tensor product(const at::Tensor &x, const at::Tensor &weight, bool transposed);
