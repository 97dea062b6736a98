// Linear layers of eight-bit weights, with eight-bit activations: each row of weights and each row of activations has a
// scale of its own. Every function returns null, or an error text that the caller frees.

#include "int8.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

namespace int8 {
namespace {

inline int32_t bits_of(float f) {
  int32_t bits;
  memcpy(&bits, &f, 4);
  return bits;
}

// Symmetric, to nearest: x is q * scale up to half a scale. A row of zeros has scale 0.
template <class T>
inline __attribute__((always_inline)) float quantize_row(const T *x, int8_t *q, int64_t n) {
  int32_t most = 0;  // a larger magnitude has larger bits, and the maximum of integers comes as vectors
  for (int64_t i = 0; i < n; i++) most = std::max(most, bits_of(widen(x[i])) & INT32_MAX);
  float largest;
  memcpy(&largest, &most, 4);
  float inverse = largest > 0 ? 127.0f / largest : 0;
  for (int64_t i = 0; i < n; i++) {
    q[i] = int8_t(bits_of(widen(x[i]) * inverse + 12582912.0f));  // 1.5 * 2^23: rounds to an integer, in the low bits
  }
  return largest / 127.0f;
}

template <class T, class Value>
inline __attribute__((always_inline)) void finish_values(Value value, const T *other, After after, T *out, int64_t n) {
  if (after == silu)
    for (int64_t i = 0; i < n; i++) narrow(value(i) * sigmoid(value(i)), out[i]);
  else if (after == mul)
    for (int64_t i = 0; i < n; i++) narrow(value(i) * widen(other[i]), out[i]);
  else if (after == add)
    for (int64_t i = 0; i < n; i++) narrow(value(i) + widen(other[i]), out[i]);
  else
    for (int64_t i = 0; i < n; i++) narrow(value(i), out[i]);
}

template <class T>
inline __attribute__((always_inline)) void finish_row(const float *product, float scale, const float *bias,
                                                      const T *other, After after, T *out, int64_t n) {
  if (bias)
    finish_values([&](int64_t i) { return product[i] * scale + bias[i]; }, other, after, out, n);
  else
    finish_values([&](int64_t i) { return product[i] * scale; }, other, after, out, n);
}

#define ROWS(T)                                                                                              \
  WIDEST void quantize_rows(const T *x, int8_t *q, float *scale, int64_t rows, int64_t n) {                  \
    for (int64_t r = 0; r < rows; r++) scale[r] = quantize_row(x + r * n, q + r * n, n);                     \
  }                                                                                                          \
  WIDEST void finish_rows(const float *product, int64_t stride, const float *scale, const float *bias,       \
                          const T *other, After after, T *out, int64_t outputs, int64_t rows, int64_t n) {   \
    for (int64_t r = 0; r < rows; r++) {                                                                     \
      const T *operand = other ? other + r * outputs : nullptr;                                              \
      if (n == BLOCK)                                                                                        \
        finish_row(product + r * stride, scale[r], bias, operand, after, out + r * outputs, BLOCK);          \
      else                                                                                                   \
        finish_row(product + r * stride, scale[r], bias, operand, after, out + r * outputs, n);              \
    }                                                                                                        \
  }
FOR_EACH_TYPE(ROWS)

}  // namespace

void Finish::part(const float *product, int64_t stride, int64_t row, int64_t rows, int64_t column, int64_t n) const {
  by_type(*out, [&](auto type) {
    using T = decltype(type);
    int64_t place = row * outputs + column;
    finish_rows(product, stride, x_scale + row, bias ? bias + column : nullptr,
                other ? data<T>(*other) + place : nullptr, after, data<T>(*out) + place, outputs, rows, n);
  });
}

}  // namespace int8

extern "C" {

// x (rows, n), contiguous, f32 or bf16 -> (rows, n) int8 and (rows) f32.
char *llada_int8_quantize(const at::Tensor *x, at::Tensor **values, at::Tensor **scale) {
  return guarded([&] {
    int64_t rows = x->size(0), n = x->size(1);
    at::Tensor q = at::empty({rows, n}, x->options().dtype(at::kChar));
    at::Tensor steps = at::empty({rows}, x->options().dtype(at::kFloat));
    by_type(*x, [&](auto type) {
      using T = decltype(type);
      at::parallel_for(0, rows, grain(n), [&](int64_t begin, int64_t end) {
        int8_t *to = data<int8_t>(q) + begin * n;
        int8::quantize_rows(data<T>(*x) + begin * n, to, data<float>(steps) + begin, end - begin, n);
      });
    });
    *values = new at::Tensor(std::move(q));
    *scale = new at::Tensor(std::move(steps));
  });
}

// weight (out, in) int8, scale (out) f32 -> what llada_int8_linear reads, for about `rows` rows of input.
char *llada_int8_pack(const at::Tensor *weight, const at::Tensor *scale, int64_t rows, int8::Weight **out) {
  return guarded([&] {
    std::unique_ptr<int8::Weight> made = int8::pack_tiles(*weight, *scale);
    if (!made) made = int8::pack_onednn(*weight, *scale, rows);
    *out = made.release();
  });
}

void llada_int8_free(int8::Weight *weight) { delete weight; }

// x (rows, in) int8 with its scale (rows) f32; bias (out) f32; other and out (rows, out), contiguous, f32 or bf16.
char *llada_int8_linear(const at::Tensor *x, const at::Tensor *x_scale, const int8::Weight *weight,
                        const at::Tensor *bias, int64_t after, const at::Tensor *other, at::Tensor *out) {
  return guarded([&] {
    const float *offsets = bias ? data<float>(*bias) : nullptr;
    weight->linear(*x, {data<float>(*x_scale), offsets, int8::After(after), other, out, out->size(1)});
  });
}

}  // extern "C"
