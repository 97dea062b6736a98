// What tch does not bind: copies to a GPU that nothing waits for, oneDNN's prepacked linear layers, reached through the
// dispatcher, and two kernels that fuse what would be a dozen passes over memory. Every function returns null, or an error
// text that the caller frees.

#include "shim.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <cmath>

namespace {

// Scaled, rounded to the activations' type, then weighted in that type, as the reference does.
template <class T>
inline __attribute__((always_inline)) void norm_row(const T *x, const T *weight, T *out, int64_t n, float eps) {
  float lanes[16] = {0};
  int64_t whole = n / 16 * 16;
  for (int64_t i = 0; i < whole; i += 16)
    for (int j = 0; j < 16; j++) lanes[j] += widen(x[i + j]) * widen(x[i + j]);
  float sum = 0;
  for (float lane : lanes) sum += lane;
  for (int64_t i = whole; i < n; i++) sum += widen(x[i]) * widen(x[i]);
  float scale = 1.0f / std::sqrt(sum / float(n) + eps);
  for (int64_t i = 0; i < n; i++) {
    T unit;
    narrow(widen(x[i]) * scale, unit);
    narrow(widen(unit) * widen(weight[i]), out[i]);
  }
}

// Pairs are (i, i + half): rotate-half, in place.
template <class T>
inline __attribute__((always_inline)) void rotate_row(T *x, const float *cos, const float *sin, int64_t heads,
                                                      int64_t half) {
  for (int64_t h = 0; h < heads; h++, x += 2 * half)
    for (int64_t i = 0; i < half; i++) {
      float low = widen(x[i]), high = widen(x[i + half]);
      narrow(low * cos[i] - high * sin[i], x[i]);
      narrow(high * cos[i] + low * sin[i], x[i + half]);
    }
}

WIDEST void norm_rows(const float *x, const float *w, float *out, int64_t rows, int64_t n, float eps) {
  for (int64_t r = 0; r < rows; r++) norm_row(x + r * n, w, out + r * n, n, eps);
}
WIDEST void norm_rows_bf16(const uint16_t *x, const uint16_t *w, uint16_t *out, int64_t rows, int64_t n, float eps) {
  for (int64_t r = 0; r < rows; r++) norm_row(x + r * n, w, out + r * n, n, eps);
}
WIDEST void rotate_rows(float *x, const float *cos, const float *sin, const int64_t *positions, int64_t rows,
                        int64_t heads, int64_t half) {
  for (int64_t r = 0; r < rows; r++)
    rotate_row(x + r * heads * 2 * half, cos + positions[r] * half, sin + positions[r] * half, heads, half);
}
WIDEST void rotate_rows_bf16(uint16_t *x, const float *cos, const float *sin, const int64_t *positions, int64_t rows,
                             int64_t heads, int64_t half) {
  for (int64_t r = 0; r < rows; r++)
    rotate_row(x + r * heads * 2 * half, cos + positions[r] * half, sin + positions[r] * half, heads, half);
}

}  // namespace

extern "C" {

void llada_free(char *text) { free(text); }

// A copy from memory that is not page-locked would be waited for. libtorch keeps this memory until the copy is made.
char *llada_upload(const int64_t *values, size_t count, int64_t device, at::Tensor **out) {
  return guarded([&] {
    at::Tensor locked = at::empty({int64_t(count)}, at::dtype(at::kLong).pinned_memory(true));
    std::copy(values, values + count, locked.data_ptr<int64_t>());
    *out = new at::Tensor(locked.to(at::Device(at::kCUDA, at::DeviceIndex(device)), at::kLong, true));
  });
}

char *llada_pack(const at::Tensor *weight, int64_t rows, at::Tensor **out) {
  return guarded([&] {
    static auto op = find_op<at::Tensor(const at::Tensor &, std::optional<c10::SymInt>)>(
        "mkldnn::_reorder_linear_weight", "");
    *out = new at::Tensor(op.call(*weight, c10::SymInt(rows)));
  });
}

char *llada_packed_linear(const at::Tensor *x, const at::Tensor *weight, const at::Tensor *bias, const char *unary,
                          at::Tensor **out) {
  return guarded([&] {
    using Scalars = c10::List<std::optional<at::Scalar>>;
    static auto op = find_op<at::Tensor(const at::Tensor &, const at::Tensor &, const OptionalTensor &,
                                        c10::string_view, Scalars, std::optional<c10::string_view>)>(
        "mkldnn::_linear_pointwise", "");
    *out = new at::Tensor(op.call(*x, *weight, bias ? OptionalTensor(*bias) : std::nullopt, unary, Scalars(), ""));
  });
}

char *llada_packed_linear_binary(const at::Tensor *x, const at::Tensor *other, const at::Tensor *weight,
                                 const at::Tensor *bias, const char *binary, at::Tensor **out) {
  return guarded([&] {
    static auto op = find_op<at::Tensor(const at::Tensor &, const at::Tensor &, const at::Tensor &,
                                        const OptionalTensor &, c10::string_view)>("mkldnn::_linear_pointwise",
                                                                                    "binary");
    *out = new at::Tensor(op.call(*x, *other, *weight, bias ? OptionalTensor(*bias) : std::nullopt, binary));
  });
}

// x (rows, n), contiguous, f32 or bf16 like weight (n).
char *llada_rms_norm(const at::Tensor *x, const at::Tensor *weight, double eps, at::Tensor **out) {
  return guarded([&] {
    at::Tensor result = at::empty_like(*x);
    int64_t n = x->size(1);
    bool bf16 = x->scalar_type() == at::kBFloat16;
    at::parallel_for(0, x->size(0), grain(n), [&](int64_t begin, int64_t end) {
      int64_t skip = begin * n, rows = end - begin;
      if (bf16)
        norm_rows_bf16(static_cast<const uint16_t *>(x->data_ptr()) + skip,
                       static_cast<const uint16_t *>(weight->data_ptr()),
                       static_cast<uint16_t *>(result.data_ptr()) + skip, rows, n, float(eps));
      else
        norm_rows(x->data_ptr<float>() + skip, weight->data_ptr<float>(), result.data_ptr<float>() + skip, rows, n,
                  float(eps));
    });
    *out = new at::Tensor(std::move(result));
  });
}

// x (rows, heads * 2 * half), contiguous, rotated in place; cos and sin (positions, half) in f32.
char *llada_rotate(at::Tensor *x, const at::Tensor *cos, const at::Tensor *sin, const at::Tensor *positions) {
  return guarded([&] {
    int64_t half = cos->size(1), width = x->size(1), heads = width / (2 * half);
    const float *c = cos->data_ptr<float>(), *s = sin->data_ptr<float>();
    const int64_t *p = positions->data_ptr<int64_t>();
    bool bf16 = x->scalar_type() == at::kBFloat16;
    at::parallel_for(0, x->size(0), grain(width), [&](int64_t begin, int64_t end) {
      if (bf16)
        rotate_rows_bf16(static_cast<uint16_t *>(x->data_ptr()) + begin * width, c, s, p + begin, end - begin, heads,
                         half);
      else
        rotate_rows(x->data_ptr<float>() + begin * width, c, s, p + begin, end - begin, heads, half);
    });
  });
}

}  // extern "C"
