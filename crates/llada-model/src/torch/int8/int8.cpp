// Eight-bit layers but for the products: quantisation, panels, and what follows a sum. Every function of the interface
// returns null, or an error text that the caller frees.

#include "int8.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

namespace int8 {
namespace {

inline int32_t bits_of(float f) {
  int32_t bits;
  memcpy(&bits, &f, 4);
  return bits;
}

// Symmetric, to nearest: x is (q - zero_point) * scale up to half a scale. A row of zeros has scale 0.
template <class T>
inline __attribute__((always_inline)) float quantize_row(const T *x, uint8_t *q, int32_t zero_point, int64_t n) {
  int32_t most = 0;  // a larger magnitude has larger bits, and the maximum of integers comes as vectors
  for (int64_t i = 0; i < n; i++) most = std::max(most, bits_of(widen(x[i])) & INT32_MAX);
  float largest;
  memcpy(&largest, &most, 4);
  float inverse = largest > 0 ? 127.0f / largest : 0;
  for (int64_t i = 0; i < n; i++)  // adding 1.5 * 2^23 rounds to an integer, in the low bits
    q[i] = uint8_t(bits_of(widen(x[i]) * inverse + 12582912.0f) + zero_point);
  return largest / 127.0f;
}

// What the outputs of a panel have, from its first on.
struct Outputs {
  const int32_t *offset;
  const float *scale, *bias;
};

template <class T>
inline __attribute__((always_inline)) void finish_row(const int32_t *sums, Outputs outputs, float x_scale,
                                                      const T *other, After after, T *out, int64_t n) {
  auto product = [&](int64_t i) { return float(sums[i] + outputs.offset[i]) * outputs.scale[i] * x_scale; };
  if (outputs.bias)
    panels::finish<T>([&](int64_t i) { return product(i) + outputs.bias[i]; }, other, after, out, n);
  else
    panels::finish<T>(product, other, after, out, n);
}

#define ROWS(T)                                                                                              \
  WIDEST void quantize_rows(const T *x, uint8_t *q, int32_t zero_point, float *scale, int64_t rows,          \
                            int64_t n) {                                                                     \
    for (int64_t r = 0; r < rows; r++) scale[r] = quantize_row(x + r * n, q + r * n, zero_point, n);         \
  }                                                                                                          \
  WIDEST void finish_rows(const int32_t *sums, Outputs outputs, const float *x_scale, const T *other,        \
                          After after, T *out, int64_t stride, int64_t rows, int64_t n) {                    \
    for (int64_t r = 0; r < rows; r++) {                                                                     \
      const T *operand = other ? other + r * stride : nullptr;                                               \
      if (n == BLOCK)                                                                                        \
        finish_row(sums + r * BLOCK, outputs, x_scale[r], operand, after, out + r * stride, BLOCK);          \
      else                                                                                                   \
        finish_row(sums + r * BLOCK, outputs, x_scale[r], operand, after, out + r * stride, n);              \
    }                                                                                                        \
  }
FOR_EACH_TYPE(ROWS)

bool runs(Kernel kernel) {
  switch (kernel) {
    case amx: return runs_amx();
    case avx512_vnni: return runs_avx512_vnni();
    case avx_vnni: return runs_avx_vnni();
  }
  return false;
}

}  // namespace

Weight::Weight(Kernel kernel, const at::Tensor &weight, const at::Tensor &scales)
    : kernel(kernel), inputs(weight.size(1)), outputs(weight.size(0)) {
  int64_t count = (outputs + BLOCK - 1) / BLOCK, steps = (inputs + WIDTH - 1) / WIDTH;
  panels = at::zeros({count, steps * STEP}, at::kByte);
  scale = at::zeros({count * BLOCK}, at::kFloat);
  scale.narrow(0, 0, outputs).copy_(scales);
  offset = at::zeros({count * BLOCK}, at::kInt);
  at::Tensor rows = weight.contiguous();
  at::parallel_for(0, outputs, grain(inputs), [&](int64_t begin, int64_t end) {
    for (int64_t output = begin; output < end; output++) deal(data<int8_t>(rows) + output * inputs, output);
  });
}

// One row of weights to its places in its panel.
void Weight::deal(const int8_t *row, int64_t output) {
  uint8_t *panel = data<uint8_t>(panels) + output / BLOCK * panels.size(1);
  int32_t sum = 0;
  for (int64_t i = 0; i < inputs; i++) {
    panel[place(output, i)] = uint8_t(row[i]);
    sum += row[i];
  }
  data<int32_t>(offset)[output] = -ZERO_POINT * sum;
}

void Finish::operator()(const Weight &weight, const int32_t *sums, int64_t row, int64_t rows, int64_t panel) const {
  int64_t column = panel * BLOCK, n = std::min(BLOCK, weight.outputs - column);
  int64_t place = row * weight.outputs + column;
  Outputs outputs{data<int32_t>(weight.offset) + column, data<float>(weight.scale) + column,
                  bias ? bias + column : nullptr};
  by_type(*out, [&](auto type) {
    using T = decltype(type);
    const T *operand = other ? data<T>(*other) + place : nullptr;
    finish_rows(sums, outputs, x_scale + row, operand, after, data<T>(*out) + place, weight.outputs, rows, n);
  });
}

}  // namespace int8

extern "C" {

bool llada_int8_runs(int64_t kernel) { return int8::runs(int8::Kernel(kernel)); }

// x (rows, n), contiguous, f32 or bf16 -> (rows, n) int8, or uint8 with zero point for activations, and (rows) f32.
char *llada_int8_quantize(const at::Tensor *x, bool activations, at::Tensor **values, at::Tensor **scale) {
  return guarded([&] {
    int64_t rows = x->size(0), n = x->size(1);
    at::Tensor q = at::empty({rows, n}, x->options().dtype(activations ? at::kByte : at::kChar));
    at::Tensor steps = at::empty({rows}, x->options().dtype(at::kFloat));
    int32_t zero_point = activations ? int8::ZERO_POINT : 0;
    by_type(*x, [&](auto type) {
      using T = decltype(type);
      at::parallel_for(0, rows, grain(n), [&](int64_t begin, int64_t end) {
        int8::quantize_rows(data<T>(*x) + begin * n, data<uint8_t>(q) + begin * n, zero_point,
                            data<float>(steps) + begin, end - begin, n);
      });
    });
    *values = new at::Tensor(std::move(q));
    *scale = new at::Tensor(std::move(steps));
  });
}

// weight (out, in) int8, scale (out) f32 -> what llada_int8_linear reads.
char *llada_int8_pack(int64_t kernel, const at::Tensor *weight, const at::Tensor *scale, int8::Weight **out) {
  return guarded([&] { *out = new int8::Weight(int8::Kernel(kernel), *weight, *scale); });
}

void llada_int8_free(int8::Weight *weight) { delete weight; }

// x (rows, in) uint8 with its scale (rows) f32, of which the first rows[0] go through weights[0], and so on; the
// `count` weights, at least one, are of one shape and for one kernel. bias (out) f32; other and out (rows, out),
// contiguous, f32 or bf16.
char *llada_int8_linear(const at::Tensor *x, const at::Tensor *x_scale, const int8::Weight *const *weights,
                        const int64_t *rows, int64_t count, const at::Tensor *bias, int64_t after,
                        const at::Tensor *other, at::Tensor *out) {
  return guarded([&] {
    int8::Parts parts = panels::parts_of(weights, rows, count);
    int8::Finish finish{data<float>(*x_scale), bias ? data<float>(*bias) : nullptr, int8::After(after), other, out};
    switch (weights[0]->kernel) {
      case int8::amx: return int8::linear_amx(*x, parts, finish);
      case int8::avx512_vnni: return int8::linear_avx512_vnni(*x, parts, finish);
      case int8::avx_vnni: return int8::linear_avx_vnni(*x, parts, finish);
    }
  });
}

}  // extern "C"
