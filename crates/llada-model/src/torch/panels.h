// Products over weights in panels: a panel has the weights of BLOCK outputs, in the order in which they are read, so that
// each thread reads its share of memory from one end to the other.
#pragma once

#include "shim.h"

#include <ATen/Parallel.h>

#include <array>
#include <utility>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#define INLINE inline __attribute__((always_inline))

namespace panels {

constexpr int64_t LINES = 16;         // outputs of a tile
constexpr int64_t WIDTH = 64;         // bytes of a line of a tile: four for each of its outputs
constexpr int64_t BLOCK = 2 * LINES;  // outputs of a panel, and rows that are multiplied by it at once

// How many weights a second thread is worth waking for.
constexpr int64_t SHARE = 1 << 19;

// Bytes of activations that stay in the second cache beside the weights.
constexpr int64_t NEAR = 1 << 19;

// The first lines of the panel that comes next.
inline void prefetch(const uint8_t *panel) {
#if defined(__x86_64__)
  for (int64_t i = 0; i < 64 * WIDTH; i += WIDTH)
    _mm_prefetch(reinterpret_cast<const char *>(panel) + i, _MM_HINT_T1);
#endif
}

// What follows the product, as `Epilogue` in shim.rs has it.
enum After : int64_t { nothing, silu, mul, add };

template <class T, class Value>
INLINE void finish(Value value, const T *other, After after, T *out, int64_t n) {
  if (after == silu)
    for (int64_t i = 0; i < n; i++) narrow(value(i) * sigmoid(value(i)), out[i]);
  else if (after == mul)
    for (int64_t i = 0; i < n; i++) narrow(value(i) * widen(other[i]), out[i]);
  else if (after == add)
    for (int64_t i = 0; i < n; i++) narrow(value(i) + widen(other[i]), out[i]);
  else
    for (int64_t i = 0; i < n; i++) narrow(value(i), out[i]);
}

// Calls `multiply(x, stride, rows, panel, inputs, sums)` for blocks of at most BLOCK rows and each panel, and then
// `finish(sums, row, rows, panel)` with what it made, (rows, BLOCK). Some rows go after others, so that they stay near.
// x (rows, inputs), its rows `stride` elements apart; all_panels (panels, bytes).
template <class Multiply, class Sum, class X, class Finish>
void for_each_block(const X *x, int64_t stride, int64_t rows, int64_t inputs, const at::Tensor &all_panels,
                    const Finish &finish) {
  int64_t count = all_panels.size(0), size = all_panels.size(1);
  int64_t near = std::max<int64_t>(BLOCK, NEAR / (inputs * int64_t(sizeof(X))) / BLOCK * BLOCK);
  at::parallel_for(0, count, std::max<int64_t>(1, SHARE / (BLOCK * inputs)), [&](int64_t begin, int64_t end) {
    alignas(64) Sum sums[BLOCK * BLOCK];
    Multiply multiply;
    for (int64_t first = 0; first < rows; first += near) {
      int64_t last = std::min(first + near, rows);
      for (int64_t panel = begin; panel < end; panel++) {
        const uint8_t *weights = data<uint8_t>(all_panels) + panel * size;
        for (int64_t row = first; row < last; row += BLOCK) {
          int64_t block = std::min(BLOCK, last - row);
          multiply(x + row * stride, stride, block, weights, inputs, sums);
          if (row + BLOCK >= last) prefetch(weights + size);  // memory would rest while the sums are finished
          finish(sums, row, block, panel);
        }
      }
    }
  });
}

// The rows of a group, at x, x + stride, .... Three pointers reach twelve rows, as addresses of the form
// base + stride * {0, 1, 2} and base + 3 * stride: one for each row would not fit the registers.
template <int ROWS, class X>
struct Rows {
  const X *low, *middle, *high;
  int64_t stride, thrice;

  INLINE Rows(const X *x, int64_t stride)
      : low(x), middle(x + (ROWS > 4 ? 4 * stride : 0)), high(x + (ROWS > 8 ? 8 * stride : 0)), stride(stride),
        thrice(3 * stride) {}

  // Where the row goes on.
  INLINE const X *at(int row) const {
    const X *base = row < 4 ? low : row < 8 ? middle : high;
    return row % 4 == 3 ? base + thrice : base + row % 4 * stride;
  }

  INLINE void advance(int64_t count) {
    low += count, middle += count, high += count;
    asm("" : "+r"(low), "+r"(middle), "+r"(high), "+r"(thrice));  // or the compiler makes twelve pointers of them
  }
};

// Deals rows out to groups of nearly equal size, at most `Kernel::MOST`, each multiplied by `Kernel::group<ROWS>`.
template <class Kernel, class X, class Sum>
struct Groups {
  using Group = void (*)(const X *x, int64_t stride, const uint8_t *panel, int64_t inputs, Sum *sums);

  template <size_t... I>
  static constexpr std::array<Group, Kernel::MOST> table(std::index_sequence<I...>) {
    return {Kernel::template group<int(I) + 1>...};
  }

  void operator()(const X *x, int64_t stride, int64_t rows, const uint8_t *panel, int64_t inputs, Sum *sums) {
    static constexpr auto groups = table(std::make_index_sequence<Kernel::MOST>());
    for (int64_t left = (rows + Kernel::MOST - 1) / Kernel::MOST, row = 0; left > 0; left--) {
      int64_t count = (rows - row + left - 1) / left;
      groups[count - 1](x + row * stride, stride, panel, inputs, sums + row * BLOCK);
      row += count;
    }
  }
};

}  // namespace panels
