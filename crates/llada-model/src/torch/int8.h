// What the files of eight-bit layers share: how a layer is multiplied, and what follows its product.
#pragma once

#include "shim.h"

#include <memory>

namespace int8 {

// What follows the product, as `Epilogue` in int8.rs has it.
enum After : int64_t { nothing, silu, mul, add };

// Rows, and outputs, that tiles multiply at once: what follows is made for as many outputs.
constexpr int64_t BLOCK = 32;

// From the product to what the layer gives. Each row of `out` and of `other` has `outputs` elements.
struct Finish {
  const float *x_scale;  // of each row
  const float *bias;     // of each output, or null
  After after;
  const at::Tensor *other;
  at::Tensor *out;
  int64_t outputs;

  // `product` is a part of the product, with the weights' scales and without the activations': `rows` by `n`, from
  // `row` and `column` on, its own rows `stride` apart.
  void part(const float *product, int64_t stride, int64_t row, int64_t rows, int64_t column, int64_t n) const;
};

// The weights of a layer, in the layout that its products read.
struct Weight {
  virtual ~Weight() = default;
  // x (rows, in) int8.
  virtual void linear(const at::Tensor &x, const Finish &finish) const = 0;
};

// How many weights a second thread is worth waking for.
constexpr int64_t SHARE = 1 << 19;

// weight (out, in) int8, scale (out) f32; for about `rows` rows of input.
std::unique_ptr<Weight> pack_onednn(const at::Tensor &weight, const at::Tensor &scale, int64_t rows);

// The same for the tiles of AMX; null where the processor has none, or they do not fit the weights.
std::unique_ptr<Weight> pack_tiles(const at::Tensor &weight, const at::Tensor &scale);

}  // namespace int8
