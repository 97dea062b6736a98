// The loop over rows and panels that all kernels share.
#pragma once

#include "int8.h"

#include <ATen/Parallel.h>
#include <xmmintrin.h>

namespace int8 {

// How many weights a second thread is worth waking for.
constexpr int64_t SHARE = 1 << 19;

// Bytes of activations that stay in the second cache beside the weights.
constexpr int64_t NEAR = 1 << 19;

inline void prefetch(const int8_t *weight) {
  for (int64_t i = 0; i < 2 * STEP; i += WIDTH) _mm_prefetch(reinterpret_cast<const char *>(weight) + i, _MM_HINT_T1);
}

// A thread reads its panels from one end to the other, with some rows after others so that they stay near. Its `Multiply`
// makes sums: `multiply(x, stride, rows, panel, inputs, sums)` those of at most BLOCK rows with a panel, (rows, BLOCK).
template <class Multiply>
void linear(const at::Tensor &x, const Finish &finish) {
  const Weight &weight = finish.weight;
  int64_t rows = x.size(0), inputs = weight.inputs, size = weight.panels.size(1);
  int64_t near = std::max(BLOCK, NEAR / inputs / BLOCK * BLOCK);
  at::parallel_for(0, weight.panels.size(0), std::max<int64_t>(1, SHARE / size), [&](int64_t begin, int64_t end) {
    alignas(64) int32_t sums[BLOCK * BLOCK];
    Multiply multiply;
    for (int64_t first = 0; first < rows; first += near) {
      int64_t last = std::min(first + near, rows);
      for (int64_t panel = begin; panel < end; panel++) {
        const int8_t *weights = data<int8_t>(weight.panels) + panel * size;
        for (int64_t row = first; row < last; row += BLOCK) {
          int64_t count = std::min(BLOCK, last - row);
          multiply(data<uint8_t>(x) + row * inputs, inputs, count, weights, inputs, sums);
          if (row + BLOCK >= last) prefetch(weights + size);  // memory would rest while the sums are finished
          finish.block(sums, row, count, panel);
        }
      }
    }
  });
}

}  // namespace int8
