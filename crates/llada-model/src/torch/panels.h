// Products over weights in panels: a panel has the weights of BLOCK outputs, in the order in which they are read, so that
// each thread reads its share of memory from one end to the other.
#pragma once

#include "panel_shape.h"
#include "shim.h"

#include <ATen/Parallel.h>

#include <array>
#include <utility>
#include <vector>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#define INLINE inline __attribute__((always_inline))

namespace panels {

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

// Rows that take as long to multiply by a panel as the panel takes to come from memory.
constexpr int64_t FEW = 8;

// Consecutive rows of the activations and the layer that they go through: `Weight` has `inputs` and `panels` (panels,
// bytes). A product of activations by one layer has one part, a mixture of experts one for each expert that was chosen.
template <class Weight>
struct Part {
  const Weight *weight;
  int64_t row, rows;

  int64_t panels() const { return weight->panels.size(0); }
  // What a panel costs.
  int64_t cost() const { return std::max(rows, FEW); }
};

// The parts of layers of one shape, whose rows follow one another.
template <class Weight>
std::vector<Part<Weight>> parts_of(const Weight *const *weights, const int64_t *rows, int64_t count) {
  std::vector<Part<Weight>> parts;
  for (int64_t i = 0, row = 0; i < count; row += rows[i++])
    if (rows[i] > 0) parts.push_back({weights[i], row, rows[i]});
  return parts;
}

// Calls `multiply(x, stride, rows, panel, inputs, sums)` for blocks of at most BLOCK rows of a part and each panel from
// `begin` to `end`, and then `finish(weight, sums, row, rows, panel)` with what it made, (rows, BLOCK). Some rows go
// after others, so that they stay near.
template <class Sum, class X, class Weight, class Multiply, class Finish>
void for_each_block(const X *x, int64_t stride, const Part<Weight> &part, int64_t begin, int64_t end,
                    Multiply &multiply, const Finish &finish) {
  alignas(64) Sum sums[BLOCK * BLOCK];
  int64_t inputs = part.weight->inputs, size = part.weight->panels.size(1), rows_end = part.row + part.rows;
  int64_t near = std::max<int64_t>(BLOCK, NEAR / (inputs * int64_t(sizeof(X))) / BLOCK * BLOCK);
  for (int64_t first = part.row; first < rows_end; first += near) {
    int64_t last = std::min(first + near, rows_end);
    for (int64_t panel = begin; panel < end; panel++) {
      const uint8_t *weights = data<uint8_t>(part.weight->panels) + panel * size;
      for (int64_t row = first; row < last; row += BLOCK) {
        int64_t block = std::min(BLOCK, last - row);
        multiply(x + row * stride, stride, block, weights, inputs, sums);
        if (row + BLOCK >= last) prefetch(weights + size);  // memory would rest while the sums are finished
        finish(*part.weight, sums, row, block, panel);
      }
    }
  }
}

// All parts at once: threads share out what they cost together, so that a part with few rows wakes nobody. Which thread
// has a panel changes no bits. x (rows, inputs), its rows `stride` elements apart.
template <class Multiply, class Sum, class X, class Weight, class Finish>
void for_each_part(const X *x, int64_t stride, const std::vector<Part<Weight>> &parts, const Finish &finish) {
  int64_t total = 0, cheapest = INT64_MAX;
  for (const Part<Weight> &part : parts) {
    total += part.panels() * part.cost();
    cheapest = std::min(cheapest, part.cost());
  }
  if (parts.empty()) return;
  int64_t share = std::max<int64_t>(1, SHARE / (BLOCK * parts[0].weight->inputs)) * cheapest;
  at::parallel_for(0, total, share, [&](int64_t begin, int64_t end) {
    Multiply multiply;
    int64_t start = 0;  // what the parts before cost
    for (const Part<Weight> &part : parts) {
      // A panel is the thread's where its cost begins.
      auto panel = [&](int64_t cost) {
        return std::clamp<int64_t>((cost - start + part.cost() - 1) / part.cost(), 0, part.panels());
      };
      int64_t from = begin > start ? panel(begin) : 0, to = end > start ? panel(end) : 0;
      if (from < to) for_each_block<Sum>(x, stride, part, from, to, multiply, finish);
      start += part.panels() * part.cost();
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
