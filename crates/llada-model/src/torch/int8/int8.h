// Linear layers of eight-bit weights over eight-bit activations: what their files share.
//
// Activations are unsigned with zero point 128, since the instructions that every kernel has multiply unsigned by signed
// bytes. What the zero point adds to a sum is the same for every row: an offset of each output, known at load. Sums are
// exact integers, so every kernel gives the same bits.
#pragma once

#include "../panels.h"
#include "panel.h"

namespace int8 {

// The instructions that multiply, as `Kernel` in mod.rs has them.
enum Kernel : int64_t { amx, avx512_vnni, avx_vnni };

using panels::After;

constexpr int64_t ZERO_POINT = 128;

// A layer's weights, in the order in which products read them.
struct Weight {
  Kernel kernel;
  int64_t inputs, outputs;
  at::Tensor panels;  // (panels, steps * STEP) bytes in the order of `place`; zeros where there is no weight
  at::Tensor scale;   // (panels * BLOCK) f32
  at::Tensor offset;  // (panels * BLOCK) int32

  // weight (out, in) int8, scale (out) f32.
  Weight(Kernel kernel, const at::Tensor &weight, const at::Tensor &scales);

 private:
  void deal(const int8_t *row, int64_t output);
};

// From the sums to what the layers give. Each row of `out` and of `other` has as many elements as there are outputs.
struct Finish {
  const float *x_scale;  // of each row
  const float *bias;     // of each output, or null
  After after;
  const at::Tensor *other;
  at::Tensor *out;

  // `sums` (rows, BLOCK) are those of the rows from `row` on and of the outputs of a panel.
  void operator()(const Weight &weight, const int32_t *sums, int64_t row, int64_t rows, int64_t panel) const;
};

// Whether the processor has the instructions, and the system lets this process use them.
bool runs_amx();
bool runs_avx512_vnni();
bool runs_avx_vnni();

using Parts = std::vector<panels::Part<Weight>>;

// x (rows, in) uint8.
void linear_amx(const at::Tensor &x, const Parts &parts, const Finish &finish);
void linear_avx512_vnni(const at::Tensor &x, const Parts &parts, const Finish &finish);
void linear_avx_vnni(const at::Tensor &x, const Parts &parts, const Finish &finish);

template <class Multiply>
void linear(const at::Tensor &x, const Parts &parts, const Finish &finish) {
  panels::for_each_part<Multiply, int32_t>(data<uint8_t>(x), x.size(1), parts, finish);
}

}  // namespace int8
