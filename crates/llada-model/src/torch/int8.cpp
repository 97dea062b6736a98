// Linear layers of eight-bit weights, with eight-bit activations: each row of weights and each row of activations has a
// scale of its own. Every function returns null, or an error text that the caller frees.

#include "shim.h"

#include <ATen/Parallel.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <memory>
#include <vector>

namespace {

// What follows the product, as `Epilogue` in int8.rs has it.
enum After : int64_t { nothing, silu, mul, add };

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
                          int64_t after, T *out, int64_t stride, int64_t rows, int64_t n) {                  \
    for (int64_t r = 0; r < rows; r++) {                                                                     \
      const T *operand = other ? other + r * stride : nullptr;                                               \
      finish_row(product + r * n, scale[r], bias, operand, after, out + r * stride, n);                      \
    }                                                                                                        \
  }
FOR_EACH_TYPE(QUANTIZE)

// Outputs first to first + zeros.size(0) of a layer, in the layout that products read.
struct Part {
  int64_t first;
  at::Tensor packed, scale, zeros;
};

// (rows, outputs of the part) in f32: the weights' scales are in it, the activations' are not.
at::Tensor multiply(const at::Tensor &x, const Part &part) {
  using Scalars = c10::List<std::optional<at::Scalar>>;
  static auto op =
      find_op<at::Tensor(at::Tensor, double, int64_t, at::Tensor, at::Tensor, at::Tensor, OptionalTensor, double,
                         int64_t, std::optional<at::ScalarType>, c10::string_view, Scalars, c10::string_view)>(
          "onednn::qlinear_pointwise", "");
  return op.call(x, 1.0, 0, part.packed, part.scale, part.zeros, std::nullopt, 1.0, 0, at::kFloat, "none", Scalars(),
                 "");
}

Part pack(const at::Tensor &weight, const at::Tensor &scale, int64_t first, int64_t end, int64_t rows) {
  using Shape = c10::List<int64_t>;
  static auto op = find_op<at::Tensor(at::Tensor, std::optional<Shape>)>("onednn::qlinear_prepack", "");
  at::Tensor packed = op.call(weight.slice(0, first, end), Shape({rows, weight.size(1)}));
  return Part{first, packed, scale.slice(0, first, end), at::zeros({end - first}, at::kInt)};
}

// Outputs are dealt out in multiples of this, the width of the product's blocks.
constexpr int64_t LANES = 64;

// Weights that a second thread is worth waking for.
constexpr int64_t SHARE = 1 << 19;

}  // namespace

extern "C" {

// The weights of a layer in shares, one a thread: their products are small, and a product that all threads share waits
// for its slowest one several times over.
struct Int8Weight {
  int64_t outputs;
  std::vector<Part> parts;
};

// x (rows, n), contiguous, f32 or bf16 -> (rows, n) int8 and (rows) f32.
char *llada_int8_quantize(const at::Tensor *x, at::Tensor **values, at::Tensor **scale) {
  return guarded([&] {
    int64_t rows = x->size(0), n = x->size(1);
    at::Tensor q = at::empty({rows, n}, x->options().dtype(at::kChar));
    at::Tensor steps = at::empty({rows}, x->options().dtype(at::kFloat));
    by_type(*x, [&](auto type) {
      using T = decltype(type);
      at::parallel_for(0, rows, grain(n), [&](int64_t begin, int64_t end) {
        quantize_rows(data<T>(*x) + begin * n, data<int8_t>(q) + begin * n, data<float>(steps) + begin, end - begin, n);
      });
    });
    *values = new at::Tensor(std::move(q));
    *scale = new at::Tensor(std::move(steps));
  });
}

// weight (out, in) int8, scale (out) f32 -> what llada_int8_linear reads, for about `rows` rows of input.
char *llada_int8_pack(const at::Tensor *weight, const at::Tensor *scale, int64_t rows, Int8Weight **out) {
  return guarded([&] {
    int64_t outputs = weight->size(0);
    int64_t shares = std::clamp<int64_t>(weight->numel() / SHARE, 1, at::get_num_threads());
    int64_t each = ((outputs + shares - 1) / shares + LANES - 1) / LANES * LANES;
    auto made = std::make_unique<Int8Weight>(Int8Weight{outputs, {}});
    for (int64_t first = 0; first < outputs; first += each)
      made->parts.push_back(pack(*weight, *scale, first, std::min(first + each, outputs), rows));
    *out = made.release();
  });
}

void llada_int8_free(Int8Weight *weight) { delete weight; }

// x (rows, in) int8 with its scale (rows) f32; bias (out) f32; other and out (rows, out), contiguous, f32 or bf16.
char *llada_int8_linear(const at::Tensor *x, const at::Tensor *x_scale, const Int8Weight *weight,
                        const at::Tensor *bias, int64_t after, const at::Tensor *other, at::Tensor *out) {
  return guarded([&] {
    int64_t rows = x->size(0), outputs = weight->outputs;
    by_type(*out, [&](auto type) {
      using T = decltype(type);
      auto share = [&](const Part &part) {
        at::AutoDispatchBelowAutograd below;  // the products have no gradients, and the detour that says so costs time
        at::Tensor product = multiply(*x, part);
        int64_t n = product.size(1);
        at::parallel_for(0, rows, grain(n), [&](int64_t begin, int64_t end) {
          int64_t place = begin * outputs + part.first;
          finish_rows(data<float>(product) + begin * n, data<float>(*x_scale) + begin,
                      bias ? data<float>(*bias) + part.first : nullptr, other ? data<T>(*other) + place : nullptr, after,
                      data<T>(*out) + place, outputs, end - begin, n);
        });
      };
      at::parallel_for(0, int64_t(weight->parts.size()), 1, [&](int64_t begin, int64_t end) {
        std::for_each(&weight->parts[begin], &weight->parts[0] + end, share);
      });
    });
  });
}

}  // extern "C"
