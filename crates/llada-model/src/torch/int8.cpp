// Linear layers of eight-bit weights, with eight-bit activations: each row of weights and each row of activations has a
// scale of its own. Every function returns null, or an error text that the caller frees.

#include "shim.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

namespace {

// What follows the product, as `Epilogue` in int8.rs has it.
enum After : int64_t { nothing, silu, mul, add };

// Symmetric, to nearest: x is q * scale up to half a scale. A row of zeros has scale 0.
template <class T>
inline __attribute__((always_inline)) float quantize_row(const T *x, int8_t *q, int64_t n) {
  float lanes[16] = {0};
  int64_t whole = n / 16 * 16;
  for (int64_t i = 0; i < whole; i += 16)
    for (int j = 0; j < 16; j++) lanes[j] = std::max(lanes[j], std::abs(widen(x[i + j])));
  float largest = 0;
  for (float lane : lanes) largest = std::max(largest, lane);
  for (int64_t i = whole; i < n; i++) largest = std::max(largest, std::abs(widen(x[i])));
  float inverse = largest > 0 ? 127.0f / largest : 0;
  for (int64_t i = 0; i < n; i++) {
    float shifted = widen(x[i]) * inverse + 12582912.0f;  // 1.5 * 2^23: rounds to an integer, in the low bits
    int32_t bits;
    memcpy(&bits, &shifted, 4);
    q[i] = int8_t(bits);
  }
  return largest / 127.0f;
}

// One row of the product, in units of the activations' scale, to what the layer gives.
template <class T>
inline __attribute__((always_inline)) void finish_row(const float *product, float scale, const float *bias,
                                                      const T *other, int64_t after, T *out, int64_t n) {
  auto value = [&](int64_t i) { return product[i] * scale + (bias ? bias[i] : 0.0f); };
  if (after == silu)
    for (int64_t i = 0; i < n; i++) narrow(value(i) * sigmoid(value(i)), out[i]);
  else if (after == mul)
    for (int64_t i = 0; i < n; i++) narrow(value(i) * widen(other[i]), out[i]);
  else if (after == add)
    for (int64_t i = 0; i < n; i++) narrow(value(i) + widen(other[i]), out[i]);
  else
    for (int64_t i = 0; i < n; i++) narrow(value(i), out[i]);
}

#define QUANTIZE(T)                                                                                          \
  WIDEST void quantize_rows(const T *x, int8_t *q, float *scale, int64_t rows, int64_t n) {                  \
    for (int64_t r = 0; r < rows; r++) scale[r] = quantize_row(x + r * n, q + r * n, n);                     \
  }                                                                                                          \
  WIDEST void finish_rows(const float *product, const float *scale, const float *bias, const T *other,       \
                          int64_t after, T *out, int64_t rows, int64_t n) {                                  \
    for (int64_t r = 0; r < rows; r++)                                                                       \
      finish_row(product + r * n, scale[r], bias, other ? other + r * n : nullptr, after, out + r * n, n);   \
  }
FOR_EACH_TYPE(QUANTIZE)

struct Quantized {
  at::Tensor values, scale;
};

Quantized quantize(const at::Tensor &x) {
  int64_t rows = x.size(0), n = x.size(1);
  Quantized out{at::empty({rows, n}, x.options().dtype(at::kChar)), at::empty({rows}, x.options().dtype(at::kFloat))};
  by_type(x, [&](auto type) {
    using T = decltype(type);
    at::parallel_for(0, rows, grain(n), [&](int64_t begin, int64_t end) {
      quantize_rows(data<T>(x) + begin * n, data<int8_t>(out.values) + begin * n, data<float>(out.scale) + begin,
                    end - begin, n);
    });
  });
  return out;
}

// (rows, out) in f32: the weights' scales are in it, the activations' are not.
at::Tensor multiply(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &scale, const at::Tensor &zeros) {
  using Scalars = c10::List<std::optional<at::Scalar>>;
  static auto op =
      find_op<at::Tensor(at::Tensor, double, int64_t, at::Tensor, at::Tensor, at::Tensor, OptionalTensor, double,
                         int64_t, std::optional<at::ScalarType>, c10::string_view, Scalars, c10::string_view)>(
          "onednn::qlinear_pointwise", "");
  return op.call(x, 1.0, 0, weight, scale, zeros, std::nullopt, 1.0, 0, at::kFloat, "none", Scalars(), "");
}

}  // namespace

extern "C" {

// x (rows, n), contiguous, f32 or bf16 -> (rows, n) int8 and (rows) f32.
char *llada_int8_quantize(const at::Tensor *x, at::Tensor **values, at::Tensor **scale) {
  return guarded([&] {
    Quantized made = quantize(*x);
    *values = new at::Tensor(std::move(made.values));
    *scale = new at::Tensor(std::move(made.scale));
  });
}

// weight (out, in) int8 -> the same in the layout that products read.
char *llada_int8_pack(const at::Tensor *weight, int64_t rows, at::Tensor **out) {
  return guarded([&] {
    using Shape = c10::List<int64_t>;
    static auto op = find_op<at::Tensor(at::Tensor, std::optional<Shape>)>("onednn::qlinear_prepack", "");
    *out = new at::Tensor(op.call(*weight, Shape({rows, weight->size(1)})));
  });
}

// x (rows, in), contiguous, f32 or bf16; scale and bias (out) f32; zeros (out) i32; other (rows, out) like x.
char *llada_int8_linear(const at::Tensor *x, const at::Tensor *weight, const at::Tensor *scale, const at::Tensor *zeros,
                        const at::Tensor *bias, int64_t after, const at::Tensor *other, at::Tensor **out) {
  return guarded([&] {
    Quantized input = quantize(*x);
    at::Tensor product = multiply(input.values, *weight, *scale, *zeros);
    int64_t rows = product.size(0), n = product.size(1);
    at::Tensor result = at::empty({rows, n}, x->options());
    by_type(*x, [&](auto type) {
      using T = decltype(type);
      at::parallel_for(0, rows, grain(n), [&](int64_t begin, int64_t end) {
        finish_rows(data<float>(product) + begin * n, data<float>(input.scale) + begin,
                    bias ? data<float>(*bias) : nullptr, other ? data<T>(*other) + begin * n : nullptr, after,
                    data<T>(result) + begin * n, end - begin, n);
      });
    });
    *out = new at::Tensor(std::move(result));
  });
}

}  // extern "C"
