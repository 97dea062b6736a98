// What training needs beyond tch: the fused layers with their gradients, the cross-entropy with its gradient, AdamW.
// Every function returns null, or an error text that the caller frees.

#include "shim.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <stdexcept>

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::Variable;
using torch::autograd::variable_list;

extern "C" {
char *llada_rms_norm(const at::Tensor *x, const at::Tensor *weight, double eps, at::Tensor **out);
char *llada_rotate(at::Tensor *x, const at::Tensor *cos, const at::Tensor *sin, const at::Tensor *positions);
}

namespace {

template <class F>
inline __attribute__((always_inline)) float sum_of(int64_t n, F term) {
  float lanes[16] = {0}, sum = 0;
  int64_t whole = n / 16 * 16;
  for (int64_t i = 0; i < whole; i += 16)
    for (int j = 0; j < 16; j++) lanes[j] += term(i + j);
  for (float lane : lanes) sum += lane;
  for (int64_t i = whole; i < n; i++) sum += term(i);
  return sum;
}

// dx of one row; its share of dw is added to `dw`.
template <class T>
inline __attribute__((always_inline)) void norm_backward_row(const T *dy, const T *x, const T *weight, T *dx, float *dw,
                                                             int64_t n, float eps) {
  float square = sum_of(n, [&](int64_t i) { return widen(x[i]) * widen(x[i]); });
  float scale = 1.0f / std::sqrt(square / float(n) + eps);
  float along = sum_of(n, [&](int64_t i) { return widen(dy[i]) * widen(weight[i]) * widen(x[i]); });
  float pull = along * scale * scale / float(n);
  for (int64_t i = 0; i < n; i++) {
    float g = widen(dy[i]), v = widen(x[i]);
    dw[i] += g * v * scale;
    narrow(scale * (g * widen(weight[i]) - v * pull), dx[i]);
  }
}

template <class T>
inline __attribute__((always_inline)) void silu_mul_span(const T *gate, const T *up, T *out, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    float g = widen(gate[i]);
    narrow(g * sigmoid(g) * widen(up[i]), out[i]);
  }
}

template <class T>
inline __attribute__((always_inline)) void silu_mul_backward_span(const T *dy, const T *gate, const T *up, T *dgate,
                                                                  T *dup, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    float d = widen(dy[i]), g = widen(gate[i]), s = sigmoid(g);
    narrow(d * widen(up[i]) * s * (1.0f + g * (1.0f - s)), dgate[i]);
    narrow(d * g * s, dup[i]);
  }
}

// Returns -log softmax(row)[target]; with `learn`, the row becomes its gradient times `weight`.
template <class T>
inline __attribute__((always_inline)) float cross_entropy_row(T *row, int64_t n, int64_t target, float weight,
                                                              bool learn) {
  float largest[16];
  for (float &lane : largest) lane = -INFINITY;
  int64_t whole = n / 16 * 16;
  for (int64_t i = 0; i < whole; i += 16)
    for (int j = 0; j < 16; j++) largest[j] = std::max(largest[j], widen(row[i + j]));
  float top = -INFINITY;
  for (float lane : largest) top = std::max(top, lane);
  for (int64_t i = whole; i < n; i++) top = std::max(top, widen(row[i]));
  float total = sum_of(n, [&](int64_t i) { return exponential(widen(row[i]) - top); });
  float loss = std::log(total) + top - widen(row[target]);
  if (learn) {
    float picked = exponential(widen(row[target]) - top), factor = weight / total;
    for (int64_t i = 0; i < n; i++) narrow(exponential(widen(row[i]) - top) * factor, row[i]);
    narrow(picked * factor - weight, row[target]);
  }
  return loss;
}

#define NORM_BACKWARD(T)                                                                                        \
  WIDEST void norm_backward(const T *dy, const T *x, const T *w, T *dx, float *dw, int64_t rows, int64_t n,     \
                            float eps) {                                                                        \
    for (int64_t r = 0; r < rows; r++) norm_backward_row(dy + r * n, x + r * n, w, dx + r * n, dw, n, eps);     \
  }
FOR_EACH_TYPE(NORM_BACKWARD)

#define SILU_MUL(T)                                                                                             \
  WIDEST void silu_mul(const T *gate, const T *up, T *out, int64_t n) { silu_mul_span(gate, up, out, n); }      \
  WIDEST void silu_mul_backward(const T *dy, const T *gate, const T *up, T *dgate, T *dup, int64_t n) {         \
    silu_mul_backward_span(dy, gate, up, dgate, dup, n);                                                        \
  }
FOR_EACH_TYPE(SILU_MUL)

#define CROSS_ENTROPY(T)                                                                                        \
  WIDEST void cross_entropy(T *logits, const int64_t *targets, const float *weights, float *loss, int64_t rows, \
                            int64_t n, bool learn) {                                                            \
    for (int64_t r = 0; r < rows; r++)                                                                          \
      loss[r] = cross_entropy_row(logits + r * n, n, targets[r], weights[r], learn);                            \
  }
FOR_EACH_TYPE(CROSS_ENTROPY)

void succeed(char *error) {
  if (!error) return;
  std::runtime_error raised(error);
  free(error);
  throw raised;
}

struct RmsNorm : Function<RmsNorm> {
  static at::Tensor forward(AutogradContext *ctx, const at::Tensor &x, const at::Tensor &weight, double eps) {
    at::Tensor *out;
    succeed(llada_rms_norm(&x, &weight, eps, &out));
    std::unique_ptr<at::Tensor> owned(out);
    ctx->save_for_backward({x, weight});
    ctx->saved_data["eps"] = eps;
    return *owned;
  }

  static variable_list backward(AutogradContext *ctx, variable_list grads) {
    // Rows that share a sum of dw: fixed, so that its rounding does not depend on the number of threads.
    constexpr int64_t shared = 64;
    variable_list saved = ctx->get_saved_variables();
    at::Tensor dy = grads[0].contiguous(), x = saved[0], weight = saved[1], dx = at::empty_like(x);
    float eps = float(ctx->saved_data["eps"].toDouble());
    int64_t rows = x.size(0), n = x.size(1), blocks = (rows + shared - 1) / shared;
    at::Tensor dw = at::empty({blocks, n}, x.options().dtype(at::kFloat)).zero_();
    by_type(x, [&](auto type) {
      using T = decltype(type);
      at::parallel_for(0, blocks, 1, [&](int64_t begin, int64_t end) {
        for (int64_t b = begin; b < end; b++) {
          int64_t skip = b * shared * n, count = std::min(shared, rows - b * shared);
          norm_backward(data<T>(dy) + skip, data<T>(x) + skip, data<T>(weight), data<T>(dx) + skip,
                        data<float>(dw) + b * n, count, n, eps);
        }
      });
    });
    return {dx, dw.sum(0).to(weight.scalar_type()), Variable()};
  }
};

// In place: what is rotated is a projection, which nothing else reads.
struct Rotate : Function<Rotate> {
  static at::Tensor forward(AutogradContext *ctx, at::Tensor x, const at::Tensor &cos, const at::Tensor &sin,
                            const at::Tensor &positions) {
    succeed(llada_rotate(&x, &cos, &sin, &positions));
    ctx->mark_dirty({x});
    ctx->save_for_backward({cos, sin, positions});
    return x;
  }

  static variable_list backward(AutogradContext *ctx, variable_list grads) {
    variable_list saved = ctx->get_saved_variables();
    at::Tensor dx = grads[0].clone(at::MemoryFormat::Contiguous), back = saved[1].neg();
    succeed(llada_rotate(&dx, &saved[0], &back, &saved[2]));
    return {dx, Variable(), Variable(), Variable()};
  }
};

struct SiluMul : Function<SiluMul> {
  static at::Tensor forward(AutogradContext *ctx, const at::Tensor &gate, const at::Tensor &up) {
    at::Tensor out = at::empty_like(gate);
    by_type(gate, [&](auto type) {
      using T = decltype(type);
      at::parallel_for(0, gate.numel(), grain(1), [&](int64_t begin, int64_t end) {
        silu_mul(data<T>(gate) + begin, data<T>(up) + begin, data<T>(out) + begin, end - begin);
      });
    });
    ctx->save_for_backward({gate, up});
    return out;
  }

  static variable_list backward(AutogradContext *ctx, variable_list grads) {
    variable_list saved = ctx->get_saved_variables();
    at::Tensor dy = grads[0].contiguous(), gate = saved[0], up = saved[1];
    at::Tensor dgate = at::empty_like(gate), dup = at::empty_like(up);
    by_type(gate, [&](auto type) {
      using T = decltype(type);
      at::parallel_for(0, gate.numel(), grain(1), [&](int64_t begin, int64_t end) {
        silu_mul_backward(data<T>(dy) + begin, data<T>(gate) + begin, data<T>(up) + begin, data<T>(dgate) + begin,
                          data<T>(dup) + begin, end - begin);
      });
    });
    return {dgate, dup};
  }
};

}  // namespace

extern "C" {

// x (rows, n), contiguous, f32 or bf16 like weight (n).
char *llada_rms_norm_autograd(const at::Tensor *x, const at::Tensor *weight, double eps, at::Tensor **out) {
  return guarded([&] { *out = new at::Tensor(RmsNorm::apply(*x, *weight, eps)); });
}

// x (rows, heads * 2 * half), contiguous; cos and sin (positions, half) in f32.
char *llada_rotate_autograd(const at::Tensor *x, const at::Tensor *cos, const at::Tensor *sin,
                         const at::Tensor *positions, at::Tensor **out) {
  return guarded([&] { *out = new at::Tensor(Rotate::apply(*x, *cos, *sin, *positions)); });
}

// Contiguous, of one shape and kind, f32 or bf16.
char *llada_silu_mul_autograd(const at::Tensor *gate, const at::Tensor *up, at::Tensor **out) {
  return guarded([&] { *out = new at::Tensor(SiluMul::apply(*gate, *up)); });
}

// logits (rows, n), contiguous, f32 or bf16, become their gradient if `learn`; targets (rows) i64 below n; weights
// and loss (rows) f32.
char *llada_cross_entropy(at::Tensor *logits, const at::Tensor *targets, const at::Tensor *weights, bool learn,
                          at::Tensor *loss) {
  return guarded([&] {
    int64_t n = logits->size(1);
    by_type(*logits, [&](auto type) {
      using T = decltype(type);
      at::parallel_for(0, logits->size(0), grain(n), [&](int64_t begin, int64_t end) {
        cross_entropy(data<T>(*logits) + begin * n, data<int64_t>(*targets) + begin, data<float>(*weights) + begin,
                      data<float>(*loss) + begin, end - begin, n, learn);
      });
    });
  });
}

char *llada_backward(const at::Tensor *y, const at::Tensor *gradient) {
  return guarded([&] { y->backward(*gradient); });
}

// From now on backward adds to `gradient`, in place.
char *llada_set_grad(at::Tensor *parameter, const at::Tensor *gradient) {
  return guarded([&] { parameter->mutable_grad() = *gradient; });
}

// One step, all f32; gradients are divided by `grad_scale` (1), which stays on its device.
char *llada_adamw(at::Tensor *weights, at::Tensor *gradient, at::Tensor *exp_avg, at::Tensor *exp_avg_sq,
                  const at::Tensor *step, double lr, double beta1, double beta2, double weight_decay, double eps,
                  const at::Tensor *grad_scale) {
  return guarded([&] {
    at::_fused_adamw_({*weights}, {*gradient}, {*exp_avg}, {*exp_avg_sq}, {}, {*step}, lr, beta1, beta2, weight_decay,
                      eps, false, false, *grad_scale, std::nullopt);
  });
}

}  // extern "C"
